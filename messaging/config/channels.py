"""How a channel is configured: its executor and its interceptors (CFG-07, CH-06)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from ..channel import ChannelInterceptor
from ..executor import Executor, PooledExecutor
from ..threads import QUEUE_CAPACITY, default_core_pool_size
from .checks import at_least, objects


class ExecutorFactory(Protocol):
    """What the runtime offers: pools of greenlets, or of native threads for drivers that block."""

    def executor(self, name_prefix: str, **limits: Any) -> PooledExecutor:
        """A pool of greenlets with these limits: core_pool_size, max_pool_size, queue_capacity, keep_alive_seconds."""
        ...

    def thread_executor(self, name_prefix: str, **limits: Any) -> PooledExecutor:
        """The same of native threads, for drivers that block outside of gevent's reach."""
        ...


@dataclass(slots=True)
class TaskExecutorRegistration:
    """The size of a pool. Without a change: twice the CPUs, a bounded queue, workers that end after a minute without
    work.

    The methods set, and return the registration; each raises ValueError for a number that makes no sense. The core must
    not be larger than the maximum once the pool is made.
    """

    thread_name_prefix: str = ""
    pool_size: int = field(default_factory=default_core_pool_size)
    max_size: int | None = None
    """Workers at most, once the queue is full; None: no more than the core."""
    queue: int = QUEUE_CAPACITY
    """Tasks that wait for a worker."""
    # Differs from Spring, whose queue has no end: that hides overload, and a maximum above the core never matters.
    keep_alive: float = 60.0
    """Seconds after which a worker without work ends."""
    native_threads: bool = False

    def core_pool_size(self, size: int) -> TaskExecutorRegistration:
        """Workers that are made before tasks have to queue."""
        self.pool_size = at_least(0, size, "core_pool_size")
        return self

    def max_pool_size(self, size: int) -> TaskExecutorRegistration:
        """Workers at most; matters once the queue is full."""
        self.max_size = at_least(1, size, "max_pool_size")
        return self

    def keep_alive_seconds(self, seconds: float) -> TaskExecutorRegistration:
        """How long a worker without work stays; the core's, too."""
        self.keep_alive = at_least(0, seconds, "keep_alive_seconds")
        return self

    def queue_capacity(self, tasks: int) -> TaskExecutorRegistration:
        """Tasks that may wait; one more runs in the sender's thread."""
        self.queue = at_least(0, tasks, "queue_capacity")
        return self

    def use_native_threads(self, use: bool = True) -> TaskExecutorRegistration:
        """Native threads instead of greenlets: for drivers that block outside of gevent's reach."""
        self.native_threads = use
        return self

    def make_executor(self, factory: ExecutorFactory) -> PooledExecutor:
        """The pool. Raises ValueError for a core that is larger than the maximum."""
        make = factory.thread_executor if self.native_threads else factory.executor
        return make(
            self.thread_name_prefix,
            core_pool_size=self.pool_size,
            max_pool_size=self.max_size,
            queue_capacity=self.queue,
            keep_alive_seconds=self.keep_alive,
        )


class ChannelRegistration:
    """Collects what one channel gets."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.registered_interceptors: list[ChannelInterceptor] = []
        self.registered_executor: Executor | None = None
        self.registration: TaskExecutorRegistration | None = None

    def task_executor(self) -> TaskExecutorRegistration:
        """Run the channel's subscribers in a pool of its own; the result, the same each time, sets its size."""
        if self.registration is None:
            self.registration = TaskExecutorRegistration(f"{self.name}-")
        return self.registration

    def executor(self, executor: Executor) -> ChannelRegistration:
        """Run the channel's subscribers in this executor, which wins over ``task_executor`` and is left as it is."""
        self.registered_executor = executor
        return self

    def interceptors(self, *interceptors: ChannelInterceptor) -> ChannelRegistration:
        """Append interceptors; the one that freezes messages comes after all of them. Raises TypeError for a list of
        them and for a class.
        """
        self.registered_interceptors.extend(objects(interceptors, "interceptors"))
        return self

    def make_executor(self, factory: ExecutorFactory) -> Executor | None:
        """The executor of the channel once there is a runtime; None: the sender's thread."""
        if self.registered_executor is not None:
            return self.registered_executor
        return self.registration.make_executor(factory) if self.registration is not None else None
