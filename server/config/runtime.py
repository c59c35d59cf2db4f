"""What a server gives to the application that it starts: a clock, and pools for the channels that want one (CH-06)."""

from __future__ import annotations

from typing import Any, Protocol

from ...messaging.config.channels import TaskExecutorRegistration
from ...messaging.executor import PooledExecutor, TaskScheduler


class Runtime(Protocol):
    """What the server gives the application when it starts it."""

    @property
    def scheduler(self) -> TaskScheduler: ...

    def executor(self, name_prefix: str, **limits: Any) -> PooledExecutor:
        """A pool of greenlets."""

    def thread_executor(self, name_prefix: str, **limits: Any) -> PooledExecutor:
        """A pool of native threads, for drivers that block outside of gevent's reach."""


class RuntimePools:
    """The runtime's pools, made as a registration says."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def executor(self, settings: TaskExecutorRegistration) -> PooledExecutor:
        make = self._runtime.thread_executor if settings.native_threads else self._runtime.executor
        return make(
            settings.thread_name_prefix,
            core_pool_size=settings.pool_size,
            max_pool_size=settings.max_size,
            queue_capacity=settings.queue,
            keep_alive_seconds=settings.keep_alive,
        )
