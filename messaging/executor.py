"""What runs tasks: the contracts of executors and schedulers, and the simplest executor (CH-06).

Greenlet pools are in the server's runtime; a pool of native threads is in ``threads``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

Task = Callable[[], object]


class Executor(Protocol):
    """Runs tasks, now or soon, here or elsewhere."""

    def execute(self, task: Task) -> None:
        """Run *task*. Raises TaskRejectedError when there is no room or the executor is shut down."""
        ...


@runtime_checkable
class PooledExecutor(Executor, Protocol):
    """An executor with workers that can be counted and ended."""

    @property
    def pool_size(self) -> int: ...
    @property
    def active_count(self) -> int: ...
    @property
    def queue_size(self) -> int: ...
    @property
    def completed_task_count(self) -> int: ...

    def shutdown(self, *, wait_ms: int = 10_000) -> bool:
        """Take no more tasks and wait for those taken; False when some still ran after *wait_ms*."""
        ...


class ScheduledTask(Protocol):
    """A task that waits for its time."""

    def cancel(self) -> None:
        """Never run it (again). Harmless at any time and from any thread."""
        ...


class TaskScheduler(Protocol):
    """Runs tasks later. Tasks must be short: all of them may share one thread."""

    def schedule(self, task: Task, delay_ms: float) -> ScheduledTask:
        """Run *task* once, *delay_ms* from now."""
        ...

    def schedule_with_fixed_delay(
        self, task: Task, delay_ms: float, *, initial_delay_ms: float | None = None
    ) -> ScheduledTask:
        """Run *task* again and again, *delay_ms* after each end; first after *initial_delay_ms* (default: *delay_ms*).

        An error of the task is logged and does not end the series.
        """
        ...

    def now_ms(self) -> float:
        """The monotonic clock that the delays are measured with, in milliseconds."""
        ...


class CallerRunsExecutor:
    """Runs each task at once in the thread that hands it over; errors go to that caller."""

    def execute(self, task: Task) -> None:
        task()
