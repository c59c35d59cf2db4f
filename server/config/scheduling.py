"""The scheduler and the executor that components are given before there is a runtime."""

from __future__ import annotations

import time

from ...messaging.exceptions import TaskRejectedError
from ...messaging.executor import Executor, PooledExecutor, ScheduledTask, Task, TaskScheduler


class ApplicationTaskScheduler:
    """Passes everything on to the runtime's scheduler, from ``start`` of the application to its ``stop``."""

    def __init__(self) -> None:
        self.delegate: TaskScheduler | None = None

    @property
    def executor(self) -> Executor | None:
        """What runs the tasks; None while the application is not started, or when its scheduler does not tell."""
        return getattr(self.delegate, "executor", None)

    def _running(self) -> TaskScheduler:
        if self.delegate is None:
            raise RuntimeError("The application is not started: its server starts it, or call start() with a runtime")
        return self.delegate

    def schedule(self, task: Task, delay_ms: float) -> ScheduledTask:
        """Run *task* once. Raises RuntimeError when the application is not started."""
        return self._running().schedule(task, delay_ms)

    def schedule_with_fixed_delay(
        self, task: Task, delay_ms: float, *, initial_delay_ms: float | None = None
    ) -> ScheduledTask:
        """Run *task* again and again. Raises RuntimeError when the application is not started."""
        return self._running().schedule_with_fixed_delay(task, delay_ms, initial_delay_ms=initial_delay_ms)

    def now_ms(self) -> float:
        return self.delegate.now_ms() if self.delegate is not None else time.monotonic() * 1000


class ApplicationExecutor:
    """Passes tasks on to a pool of the runtime, from ``start`` of the application to its ``stop``."""

    def __init__(self) -> None:
        self.delegate: PooledExecutor | None = None

    def execute(self, task: Task) -> None:
        """Run *task*. Raises TaskRejectedError when the pool is full or the application is not started."""
        delegate = self.delegate
        if delegate is None:
            raise TaskRejectedError("The application is not started")
        delegate.execute(task)
