"""How a channel is configured: its executor and its interceptors (CFG-07, CH-06)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Protocol

from ..channel import ChannelInterceptor
from ..executor import Executor, PooledExecutor

DEFAULT_POOL_SIZE = 2 * (os.cpu_count() or 1)
DEFAULT_QUEUE_CAPACITY = 10_000
"""Tasks that wait for a worker; Spring's queue has no end and hides overload."""


class ExecutorFactory(Protocol):
    """What the runtime offers: pools of greenlets, or of native threads for drivers that block."""

    def executor(self, name_prefix: str, **limits: Any) -> PooledExecutor:
        """A pool of greenlets."""
        ...

    def thread_executor(self, name_prefix: str, **limits: Any) -> PooledExecutor:
        """A pool of native threads, which may block outside of gevent's reach."""
        ...


@dataclass(slots=True)
class TaskExecutorRegistration:
    """The size of a pool. Without a change: twice the CPUs, a bounded queue, workers that end after a minute without work."""

    thread_name_prefix: str = ""
    pool_size: int = DEFAULT_POOL_SIZE
    max_size: int | None = None
    """Workers at most, once the queue is full; None: no more than the core."""
    queue: int = DEFAULT_QUEUE_CAPACITY
    keep_alive: float = 60.0
    native_threads: bool = False

    def core_pool_size(self, size: int) -> TaskExecutorRegistration:
        """Workers that are made before tasks have to queue."""
        self.pool_size = size
        return self

    def max_pool_size(self, size: int) -> TaskExecutorRegistration:
        """Workers at most; matters once the queue is full."""
        self.max_size = size
        return self

    def keep_alive_seconds(self, seconds: float) -> TaskExecutorRegistration:
        self.keep_alive = seconds
        return self

    def queue_capacity(self, tasks: int) -> TaskExecutorRegistration:
        """Tasks that may wait; one more runs in the sender's thread."""
        self.queue = tasks
        return self

    def use_native_threads(self, use: bool = True) -> TaskExecutorRegistration:
        """Native threads instead of greenlets: for drivers that block outside of gevent's reach."""
        self.native_threads = use
        return self

    def make_executor(self, factory: ExecutorFactory) -> PooledExecutor:
        """The pool, once there is a runtime."""
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
        """Run the channel's subscribers in a pool of its own; the result sets its size."""
        if self.registration is None:
            self.registration = TaskExecutorRegistration(f"{self.name}-")
        return self.registration

    def executor(self, executor: Executor) -> ChannelRegistration:
        """Run the channel's subscribers in this executor, which wins over ``task_executor`` and is left as it is."""
        self.registered_executor = executor
        return self

    def interceptors(self, *interceptors: ChannelInterceptor) -> ChannelRegistration:
        """Append interceptors; the one that freezes messages comes after all of them."""
        self.registered_interceptors.extend(interceptors)
        return self

    def make_executor(self, factory: ExecutorFactory) -> Executor | None:
        """The executor of the channel once there is a runtime; None: the sender's thread."""
        if self.registered_executor is not None:
            return self.registered_executor
        return self.registration.make_executor(factory) if self.registration is not None else None
