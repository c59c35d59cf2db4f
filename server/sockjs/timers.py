"""The deadlines of all sessions of a service: one queue, one timer (SJS-13, SJS-14, LIFE-02).

Station: beside the sessions. A session costs one entry here. Activity only changes what the session answers when it is
asked: an entry whose time has come asks, and goes back into the queue if the session's time has not.

Differs from Spring: there is no clean-up task that comes by every ``disconnectDelay`` and finds sessions after one or
two delays. Each session ends when its own delay is over: never earlier, and later only by what many at once take. Many
are met a few at a time, so that the loop, or the scheduler's thread, has its turn in between.
"""

from __future__ import annotations

import heapq
import itertools
import logging
from functools import partial
from typing import TYPE_CHECKING, Protocol

from ...messaging.locks import allocate_lock

if TYPE_CHECKING:
    from ...messaging.executor import ScheduledTask, TaskScheduler

logger = logging.getLogger(__name__)

_COMPACT_FROM = 64
"""Shorter queues keep entries that nobody needs any more until their time comes."""
_AT_MOST_EVERY_MS = 20.0
"""Deadlines that are closer together than this are met together."""
MOST_AT_ONCE = 100
"""So many deadlines are met in one go; then others have their turn before the next ones."""
_NEVER = float("inf")


class Timed(Protocol):
    """Has a deadline that moves."""

    def next_due_ms(self) -> float | None:
        """When to call ``on_due``, by the scheduler's clock; None for never."""
        ...

    def on_due(self, now_ms: float) -> None:
        """The time has come. Must not block."""
        ...


class Watch:
    """One session in the queue."""

    __slots__ = ("_queued_for", "_timers", "target")

    def __init__(self, timers: SockJsTimers, target: Timed) -> None:
        self._timers = timers
        self.target: Timed | None = target
        self._queued_for = _NEVER

    def moved(self) -> None:
        """The deadline may have come closer. Needless, but harmless, when it moved away. From any thread."""
        target = self.target
        due = target.next_due_ms() if target is not None else None
        if due is not None and due < self._queued_for:
            self._timers.queue(self, due)

    def cancel(self) -> None:
        """Ask no more; the session is let go at once. Harmless twice."""
        self._timers.forget(self)


class SockJsTimers:
    """The queue. Its time runs only while it has entries."""

    def __init__(self, scheduler: TaskScheduler) -> None:
        self._scheduler = scheduler
        self.now_ms = scheduler.now_ms
        """The clock of the deadlines."""
        self._heap: list[tuple[float, int, Watch]] = []
        self._order = itertools.count()
        self._lock = allocate_lock()
        """Guards all below; the scheduler, which may be anybody's, is called without it."""
        self._stale = 0
        """Entries that nobody needs any more: of ended sessions, or queued again for an earlier time."""
        self._armed_for = _NEVER
        self._run_number = 0
        """The one run that is awaited; others that still come do nothing."""
        self._task: ScheduledTask | None = None

    def watch(self, target: Timed) -> Watch:
        """Begin to ask *target*; call ``moved`` on the result when its deadline comes closer."""
        return Watch(self, target)

    def queue(self, watch: Watch, due_ms: float) -> None:
        with self._lock:
            if watch.target is None or due_ms >= watch._queued_for:
                return
            if watch._queued_for != _NEVER:
                self._stale += 1
            watch._queued_for = due_ms
            heapq.heappush(self._heap, (due_ms, next(self._order), watch))
            self._compact()
            number = self._next_run(due_ms)
        self._arm(number, due_ms - self.now_ms())

    def forget(self, watch: Watch) -> None:
        with self._lock:
            watch.target = None
            if watch._queued_for != _NEVER:
                watch._queued_for = _NEVER
                self._stale += 1
                self._compact()

    def _compact(self) -> None:
        """Once half of the queue is stale, throw that out. With the lock held."""
        if self._stale * 2 > len(self._heap) >= _COMPACT_FROM:
            self._heap = [entry for entry in self._heap if entry[0] == entry[2]._queued_for]
            heapq.heapify(self._heap)
            self._stale = 0

    def _next_run(self, due_ms: float) -> int:
        """The number of the run to be armed, 0 when there is one in time. With the lock held."""
        if due_ms >= self._armed_for:
            return 0
        self._armed_for = due_ms
        self._run_number += 1
        return self._run_number

    def _arm(self, number: int, delay_ms: float) -> None:
        if not number:
            return
        task: ScheduledTask | None
        try:
            task = self._scheduler.schedule(partial(self._run, number), max(delay_ms, 0.0))
        except RuntimeError as error:
            # The application is not started, or stopped already: the next one to be queued tries again.
            task = None
            logger.debug("No timer for SockJS sessions: %s", error)
        with self._lock:
            if number == self._run_number:
                if task is None:
                    self._armed_for = _NEVER
                task, self._task = self._task, task
        if task is not None:
            # The one before; or this one, when meanwhile another thread needed an earlier one.
            task.cancel()

    def _run(self, number: int) -> None:
        with self._lock:
            if number != self._run_number:
                return
            self._armed_for, self._task = _NEVER, None
            now_ms = self.now_ms()
            due = self._take_due(now_ms)
            next_ms = self._heap[0][0] if self._heap else _NEVER
            number = self._next_run(next_ms)
        # Before the sessions have their turn: one that blocks must not hold up the others.
        self._arm(number, max(next_ms - now_ms, _AT_MOST_EVERY_MS) if next_ms > now_ms else 0.0)
        for watch in due:
            target = watch.target
            due_ms = target.next_due_ms() if target is not None else None
            if target is not None and due_ms is not None and due_ms <= now_ms:
                try:
                    target.on_due(now_ms)
                except Exception:
                    # One session's failure must not end the heart-beats of the others.
                    logger.exception("Error at the deadline of %r", target)
            watch.moved()

    def _take_due(self, now_ms: float) -> list[Watch]:
        """Some of those whose time has come. With the lock held."""
        due: list[Watch] = []
        heap = self._heap
        while heap and heap[0][0] <= now_ms and len(due) < MOST_AT_ONCE:
            queued_for, _, watch = heapq.heappop(heap)
            if queued_for == watch._queued_for:
                watch._queued_for = _NEVER
                due.append(watch)
            else:
                self._stale -= 1
        self._compact()
        return due

    def __len__(self) -> int:
        """Entries, those included that nobody needs any more and whose time has not come."""
        return len(self._heap)
