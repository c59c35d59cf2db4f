"""Timers of a hub: one heap of deadlines on one libev timer, and the task scheduler on top of it.

A deadline costs a heap entry, not a libev timer or a greenlet. Cancelled entries are dropped when their time comes, or
all at once when they are more than half of the heap.
"""

from __future__ import annotations

import heapq
import itertools
import logging
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from ...messaging.exceptions import TaskRejectedError, is_passed_on, remark_on
from ...messaging.executor import Executor, Task

if TYPE_CHECKING:
    from .flusher import LoopFlusher

logger = logging.getLogger(__name__)

_COMPACT_FROM = 64
"""Heaps smaller than this are never compacted."""


class ScheduledCall:
    """One entry of the heap."""

    __slots__ = ("_function", "_timers")

    def __init__(self, function: Callable[[], object], timers: LoopTimers) -> None:
        self._function: Callable[[], object] | None = function
        self._timers = timers

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled or has run."""
        return self._function is None

    def cancel(self) -> None:
        """Never run it. Harmless at any time and from any thread; the function is let go at once."""
        if self._function is not None:
            self._function = None
            self._timers._count_cancelled()

    def _take(self) -> Callable[[], object] | None:
        function, self._function = self._function, None
        return function


class LoopTimers:
    """The deadlines of one hub. Functions run in the hub itself, on the loop's thread: they must not block."""

    __slots__ = ("_flusher", "_heap", "_sequence", "_timer", "_armed_for", "_cancelled")

    def __init__(self, flusher: LoopFlusher) -> None:
        self._flusher = flusher
        self._heap: list[tuple[float, int, ScheduledCall]] = []
        self._sequence = itertools.count()
        self._timer = flusher.loop.timer(0.0)
        self._armed_for = float("inf")
        self._cancelled = 0  # An estimate when several threads cancel: it only decides when to compact.

    def __len__(self) -> int:
        """Entries in the heap, cancelled ones included that are not dropped yet."""
        return len(self._heap)

    def call_later(self, function: Callable[[], object], delay_ms: float) -> ScheduledCall:
        """Run *function* once, *delay_ms* from now, on the loop's thread; errors are logged. From any thread."""
        call = ScheduledCall(function, self)
        flusher = self._flusher
        if flusher.on_loop_thread:
            self._push(call, delay_ms)
        else:
            flusher.hand_over(self._push, call, delay_ms)
        return call

    def _push(self, call: ScheduledCall, delay_ms: float) -> None:
        due = monotonic() + max(0.0, delay_ms) / 1000.0
        heapq.heappush(self._heap, (due, next(self._sequence), call))
        if due < self._armed_for:
            self._arm(due)

    def _arm(self, due: float) -> None:
        timer = self._timer
        timer.stop()
        timer.close()
        self._timer = timer = self._flusher.loop.timer(max(0.0, due - monotonic()))
        self._armed_for = due
        timer.start(self._run_due, update=True)  # From now, not from when this turn of the loop began.

    def _run_due(self) -> None:
        self._armed_for = float("inf")
        heap = self._heap
        now = monotonic()
        while heap and heap[0][0] <= now:
            function = heapq.heappop(heap)[2]._take()
            if function is None:
                self._cancelled -= 1
                continue
            try:
                function()
            except Exception:
                # The border to whoever asked for the call and is gone since.
                logger.exception("Error in scheduled %r", function)
        if heap and heap[0][0] < self._armed_for:
            self._arm(heap[0][0])

    def _count_cancelled(self) -> None:
        self._cancelled += 1
        if self._cancelled * 2 > len(self._heap) >= _COMPACT_FROM and self._flusher.on_loop_thread:
            self._heap[:] = [entry for entry in self._heap if not entry[2].cancelled]
            heapq.heapify(self._heap)
            self._cancelled = 0


class GeventTaskScheduler:
    """A ``TaskScheduler``: deadlines in the hub's heap, tasks run by an executor, which is where they may block.

    May be used from any thread. A task whose executor takes no more work is dropped with a log line, at WARN unless the
    scheduler is shut down; errors of tasks are logged and end no series.
    """

    __slots__ = ("_flusher", "_executor", "_shut_down")

    def __init__(self, flusher: LoopFlusher, executor: Executor) -> None:
        self._flusher = flusher
        self._executor = executor
        self._shut_down = False

    @property
    def executor(self) -> Executor:
        """What runs the tasks when their time has come."""
        return self._executor

    def schedule(self, task: Task, delay_ms: float) -> _RepeatedTask:
        """Run *task* once, *delay_ms* from now."""
        return _RepeatedTask(self, task, None).start(delay_ms)

    def schedule_with_fixed_delay(
        self, task: Task, delay_ms: float, *, initial_delay_ms: float | None = None
    ) -> _RepeatedTask:
        """Run *task* again and again, *delay_ms* after each end; first after *initial_delay_ms* (None: *delay_ms*)."""
        first = delay_ms if initial_delay_ms is None else initial_delay_ms
        return _RepeatedTask(self, task, delay_ms).start(first)

    def now_ms(self) -> float:
        """The monotonic clock that the delays are measured with, in milliseconds."""
        return self._flusher.now_ms()

    def shutdown(self) -> None:
        """Run no more tasks: those whose time comes after this are dropped, and nobody is warned. Harmless twice."""
        self._shut_down = True


class _RepeatedTask:
    """A task of the scheduler with its next deadline; implements ``ScheduledTask``."""

    __slots__ = ("_scheduler", "_task", "_delay_ms", "_call", "_cancelled")

    def __init__(self, scheduler: GeventTaskScheduler, task: Task, delay_ms: float | None) -> None:
        self._scheduler = scheduler
        self._task = task
        self._delay_ms = delay_ms
        """None: once."""
        self._call: ScheduledCall | None = None
        self._cancelled = False

    def cancel(self) -> None:
        """Never run it (again). Harmless at any time and from any thread; a run that has begun is not interrupted."""
        self._cancelled = True
        call = self._call
        if call is not None:
            call.cancel()

    def start(self, delay_ms: float) -> _RepeatedTask:
        self._call = self._scheduler._flusher.call_later(self._submit, delay_ms)
        return self

    def _submit(self) -> None:
        scheduler = self._scheduler
        if scheduler._shut_down:
            logger.debug("Dropped scheduled task %r: the scheduler is shut down", self._task)
            return
        try:
            scheduler.executor.execute(self._run)
        except TaskRejectedError as error:
            logger.warning("Dropped scheduled task %r: %s", self._task, error)

    def _run(self) -> None:
        if self._cancelled:
            return
        try:
            self._task()
        except BaseException as error:
            if is_passed_on(error):
                raise
            # The border to the task: a series goes on, as the contract says.
            logger.exception("Error in scheduled task %r%s", self._task, remark_on(error))
        if self._delay_ms is not None and not self._cancelled:
            self.start(self._delay_ms)
