"""The deadlines of all sessions of a service: one queue, one timer (SJS-13, SJS-14, LIFE-02).

Station: beside the sessions. A session costs one entry here. Activity only changes what the session answers when it is
asked: an entry whose time has come asks, and goes back into the queue if the session's time has not.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ...messaging.executor import ScheduledTask, TaskScheduler

logger = logging.getLogger(__name__)

_COMPACT_FROM = 64
"""Shorter queues keep the entries of ended sessions until their time comes."""

_AT_MOST_EVERY_MS = 20.0
"""Deadlines that are closer together than this are met together."""


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
        self._queued_for = float("inf")

    def moved(self) -> None:
        """The deadline may have come closer. Needless, but harmless, when it moved away. From any thread."""
        target = self.target
        due = target.next_due_ms() if target is not None else None
        if due is not None and due < self._queued_for:
            self._timers.queue(self, due)

    def cancel(self) -> None:
        """Ask no more; the session is let go at once. Harmless twice."""
        if self.target is not None:
            self.target = None
            self._timers.count_cancelled()


class SockJsTimers:
    """The queue. Its time runs only while it has entries."""

    def __init__(self, scheduler: TaskScheduler) -> None:
        self._scheduler = scheduler
        self.now_ms = scheduler.now_ms
        """The clock of the deadlines."""
        self._heap: list[tuple[float, int, Watch]] = []
        self._order = itertools.count()
        self._lock = threading.Lock()
        """Guards the heap and what is armed."""
        self._armed_for = float("inf")
        self._task: ScheduledTask | None = None
        self._cancelled = 0
        """About how many entries are of ended sessions."""

    def watch(self, target: Timed) -> Watch:
        """Begin to ask *target*; call ``moved`` on the result when its deadline comes closer."""
        return Watch(self, target)

    def queue(self, watch: Watch, due_ms: float) -> None:
        with self._lock:
            watch._queued_for = due_ms
            heapq.heappush(self._heap, (due_ms, next(self._order), watch))
            if due_ms < self._armed_for:
                self._arm(due_ms)

    def count_cancelled(self) -> None:
        """A session has ended: once half of the queue is of such, they are thrown out."""
        with self._lock:
            self._cancelled += 1
            if self._cancelled * 2 > len(self._heap) >= _COMPACT_FROM:
                self._heap = [entry for entry in self._heap if entry[2].target and entry[0] == entry[2]._queued_for]
                heapq.heapify(self._heap)
                self._cancelled = 0

    def _arm(self, due_ms: float, at_least_ms: float = 0.0) -> None:
        if self._task is not None:
            self._task.cancel()
        try:
            self._task = self._scheduler.schedule(self._run, max(due_ms - self.now_ms(), at_least_ms))
            self._armed_for = due_ms
        except RuntimeError as error:
            # The application is not started, or stopped already: the next one to be queued tries again.
            self._task, self._armed_for = None, float("inf")
            logger.debug("No timer for SockJS sessions: %s", error)

    def _run(self) -> None:
        now_ms = self.now_ms()
        for watch in self._take_due(now_ms):
            watch._queued_for = float("inf")
            target = watch.target
            due_ms = target.next_due_ms() if target is not None else None
            if target is not None and due_ms is not None and due_ms <= now_ms:
                try:
                    target.on_due(now_ms)
                except Exception:
                    # One session's failure must not end the heart-beats of the others.
                    logger.exception("Error at the deadline of %r", target)
            watch.moved()
        with self._lock:
            if self._heap and self._heap[0][0] < self._armed_for:
                self._arm(self._heap[0][0], _AT_MOST_EVERY_MS)

    def _take_due(self, now_ms: float) -> list[Watch]:
        due = []
        with self._lock:
            self._armed_for, self._task = float("inf"), None
            while self._heap and self._heap[0][0] <= now_ms:
                queued_for, _, watch = heapq.heappop(self._heap)
                if watch.target is None:
                    self._cancelled = max(0, self._cancelled - 1)
                if queued_for == watch._queued_for:  # Else it was queued again, for an earlier time.
                    due.append(watch)
        return due

    def __len__(self) -> int:
        """Entries, those of ended sessions included whose time has not come."""
        return len(self._heap)
