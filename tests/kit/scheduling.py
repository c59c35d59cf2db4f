"""A scheduler whose clock is moved by hand."""

from __future__ import annotations

import heapq
import itertools
import logging

from wellhead.messaging.executor import Task

logger = logging.getLogger(__name__)


class ManualTask:
    """A task of a ManualTaskScheduler; tests may look at when it is due."""

    def __init__(self, task: Task, due_ms: float, period_ms: float | None) -> None:
        self.task = task
        self.due_ms = due_ms
        self.period_ms = period_ms
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class ManualTaskScheduler:
    """Implements TaskScheduler: nothing runs until ``advance`` is called, and then in the order of the due times."""

    def __init__(self) -> None:
        self._now_ms = 0.0
        self._order = itertools.count()
        self._heap: list[tuple[float, int, ManualTask]] = []

    def schedule(self, task: Task, delay_ms: float) -> ManualTask:
        return self._push(ManualTask(task, self._now_ms + max(0.0, delay_ms), None))

    def schedule_with_fixed_delay(
        self, task: Task, delay_ms: float, *, initial_delay_ms: float | None = None
    ) -> ManualTask:
        first = delay_ms if initial_delay_ms is None else initial_delay_ms
        return self._push(ManualTask(task, self._now_ms + max(0.0, first), delay_ms))

    def now_ms(self) -> float:
        return self._now_ms

    # -- for tests

    @property
    def pending(self) -> list[ManualTask]:
        """The tasks that wait, the next one first, without the cancelled ones."""
        return [task for _, _, task in sorted(self._heap) if not task.cancelled]

    def advance(self, ms: float) -> None:
        """Move the clock and run what becomes due on the way, at its time; errors of tasks are logged."""
        end = self._now_ms + ms
        while self._heap and self._heap[0][0] <= end:
            due_ms, _, task = heapq.heappop(self._heap)
            if task.cancelled:
                continue
            self._now_ms = max(self._now_ms, due_ms)
            try:
                task.task()
            except Exception:
                logger.exception("Unexpected error in scheduled task %s", task.task)
            if task.period_ms is not None and not task.cancelled:
                task.due_ms = self._now_ms + task.period_ms
                self._push(task)
        self._now_ms = end

    def _push(self, task: ManualTask) -> ManualTask:
        heapq.heappush(self._heap, (task.due_ms, next(self._order), task))
        return task
