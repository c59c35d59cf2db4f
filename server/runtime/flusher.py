"""The flusher of a hub: writes of all its sessions, gathered once per turn of the loop.

The station between whoever buffers messages and the socket. One per hub, found with :meth:`LoopFlusher.of`; it also is
the way onto the loop's thread for everybody who is on another one.
"""

from __future__ import annotations

import _thread
import logging
import weakref
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any

from gevent import get_hub, getcurrent  # type: ignore[import-untyped]  # gevent has no type information
from gevent.monkey import get_original  # type: ignore[import-untyped]  # gevent has no type information

from ..flush import Flushable, Mailing
from .timers import LoopTimers, ScheduledCall

logger = logging.getLogger(__name__)

SESSIONS_PER_TURN = 256
"""After so many sessions the loop looks at its sockets and timers before the flusher goes on."""
FEW_SESSIONS = 16
"""Up to so many are flushed at once; for a broadcast to more the loop first looks whether the next one is there."""

get_ident: Callable[[], int] = get_original("_thread", "get_ident")
"""The native thread's id, also when gevent has patched."""
allocate_lock: Callable[[], _thread.LockType] = get_original("_thread", "allocate_lock")
"""A native lock, also when gevent has patched."""

_flushers: weakref.WeakKeyDictionary[Any, LoopFlusher] = weakref.WeakKeyDictionary()


class LoopFlusher:
    """Implements the contract ``Flusher`` on one gevent hub; made and used once per hub.

    `request`, `hand_over`, `run_now` and `call_later` may be called from any thread. What they are given is run on the
    loop's thread, in the hub itself: it must not block. Errors are logged and touch nobody else.
    """

    __slots__ = (
        "loop",
        "mailing",
        "timers",
        "_thread",
        "_dirty",
        "_flush_wanted",
        "_has_polled",
        "_handed",
        "_turn_wanted",
        "_poll_timer",
    )

    def __init__(self, loop: Any) -> None:
        self.loop = loop
        """gevent's loop."""
        self.timers = LoopTimers(self)
        """The deadlines of this hub."""
        self.mailing: Mailing | None = None
        self._thread = get_ident()
        self._dirty: deque[Flushable] = deque()
        self._flush_wanted = False
        self._has_polled = False
        """Whether the loop has looked at its sockets since the flush that is due was asked for."""
        self._handed: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._turn_wanted = False
        self._poll_timer = loop.timer(0.0, priority=loop.MINPRI)
        """Due at once, and of so low a priority that it comes after what the loop has read from its sockets."""

    @staticmethod
    def of(hub: Any = None) -> LoopFlusher:
        """The flusher of *hub*, by default of the calling thread's; made at the first call, on that hub's thread."""
        hub = get_hub() if hub is None else hub
        flusher = _flushers.get(hub)
        if flusher is None:
            flusher = _flushers[hub] = LoopFlusher(hub.loop)
        return flusher

    @property
    def on_loop_thread(self) -> bool:
        """Whether the caller runs on the loop's thread, in whatever greenlet."""
        return get_ident() == self._thread

    def request(self, flushable: Flushable) -> None:
        """Have ``flushable.flush()`` called at the end of this turn; ask once, not for each message."""
        self._dirty.append(flushable)
        self._want_flush()

    def mail(self, mailing: Mailing) -> None:
        """Have it written at the end of this turn. On the loop's thread, when there is none."""
        self.mailing = mailing
        self._want_flush()

    def settle(self) -> None:
        """Have the rest of the mailing put into the buffers of its sessions; returns when that is done."""
        mailing = self.mailing
        if mailing is None:
            return
        if get_ident() != self._thread:
            mailing.settle_from_thread()
            return
        mailing.settle()
        if self.mailing is mailing:  # only now: who sends meanwhile has to see it
            self.mailing = None

    def _want_flush(self) -> None:
        # _flush clears the flag before it looks into the queue, so what is appended while it is set will be seen.
        if not self._flush_wanted:
            self._flush_wanted = True
            self._soon(self._flush)

    def hand_over(self, function: Callable[..., object], *arguments: Any) -> None:
        """Run ``function(*arguments)`` on the loop's thread, soon; for one caller in order, and before flushes."""
        self._handed.append((function, arguments))
        if not self._turn_wanted:
            self._turn_wanted = True
            self._soon(self._turn)

    def run_now(self, function: Callable[[], None], *, timeout_ms: float) -> bool:
        """Run *function* on the loop's thread and return when it has run: at once when called there.

        False when it had not run after *timeout_ms*; it may still run then.
        """
        if get_ident() == self._thread:
            function()
            return True
        done = allocate_lock()
        done.acquire()
        self.hand_over(_run_and_release, function, done)
        return done.acquire(timeout=max(0.0, timeout_ms / 1000.0))

    def give_way(self) -> None:
        """Let the loop look at its sockets and others have their turn: for a greenlet of this loop that has much to do.
        Elsewhere nothing happens.
        """
        if get_ident() == self._thread:
            hub = get_hub()
            if getcurrent() is not hub:
                # Not sleep(0): that is a callback, and the loop runs many of them before it looks at anything else.
                timer = self.loop.timer(0.0)
                try:
                    hub.wait(timer)
                finally:
                    timer.close()

    def now_ms(self) -> float:
        """The monotonic clock, in milliseconds."""
        return monotonic() * 1000.0  # Not loop.now(), which follows the wall clock.

    def call_later(self, function: Callable[[], object], delay_ms: float) -> ScheduledCall:
        """Run *function* on the loop's thread after *delay_ms*; the result has ``cancel()``."""
        return self.timers.call_later(function, delay_ms)

    def _soon(self, callback: Callable[[], None]) -> None:
        if get_ident() == self._thread:
            self.loop.run_callback(callback)
        else:
            self.loop.run_callback_threadsafe(callback)

    def _turn(self) -> None:
        self._turn_wanted = False
        handed = self._handed
        for _ in range(len(handed)):  # What is handed over meanwhile has asked for a turn of its own.
            function, arguments = handed.popleft()
            try:
                function(*arguments)
            except Exception:
                # The border to whoever handed it over, who is not here to be told.
                logger.exception("Error in %r, handed over to the loop", function)

    def _flush(self) -> None:
        dirty = self._dirty
        if not self._has_polled and (self.mailing is not None or len(dirty) > FEW_SESSIONS):
            self._poll_first()
            return
        self._has_polled = self._flush_wanted = False
        if self.mailing is not None:
            self._write_mailing(self.mailing)
        take = dirty.popleft
        for _ in range(min(len(dirty), SESSIONS_PER_TURN)):
            flushable = take()
            try:
                flushable.flush()
            except Exception:
                # One session's failure must not keep the others from their bytes.
                logger.exception("Error while flushing %r", flushable)
        if (dirty or self.mailing is not None) and not self._flush_wanted:
            self._flush_wanted = True
            self._poll_first()

    def _write_mailing(self, mailing: Mailing) -> None:
        try:
            is_done = mailing.write(SESSIONS_PER_TURN)
        except Exception:
            logger.exception("Error while writing %r", mailing)
            is_done = True
        if is_done and self.mailing is mailing:
            self.mailing = None

    def _poll_first(self) -> None:
        """Flush after the loop has looked at its sockets and workers have handled what came: it goes out together.

        A callback alone would run before the loop looks at its sockets.
        """
        self._has_polled = True
        self._poll_timer.start(self._after_poll)

    def _after_poll(self) -> None:
        self.loop.run_callback(self._flush)


def _run_and_release(function: Callable[[], None], done: _thread.LockType) -> None:
    try:
        function()
    finally:
        done.release()
