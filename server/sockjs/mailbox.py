"""The calls of one session's handler, one after the other, in order (WSA-01).

Station: between the requests, timers and closes of a session, which come from anywhere, and its handler. There is no
worker of its own: whoever brings a call while nobody is calling does the calling.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from ...messaging.locks import allocate_lock

logger = logging.getLogger(__name__)

Call = Callable[[], object]


class Mailbox:
    """A queue of calls with at most one thread or greenlet at work on it. Nobody ever waits."""

    __slots__ = ("_calls", "_execute", "_lock", "_next", "_running", "waiting_bytes")

    # Two lists, which are there only while they hold something: a deque would be the largest part of a session.

    def __init__(self, execute: Callable[[Call], object] | None = None) -> None:
        """*execute* runs the calls that are left when the one who was calling is killed: the end of the session may be
        among them, and nothing comes after it. None: they wait for the next call.
        """
        self._execute = execute
        self._calls: list[tuple[Call, int]] | None = None
        """The latest calls, in order."""
        self._next: list[tuple[Call, int]] | None = None
        """The calls before those, the first one at the end."""
        self._running = False
        self._lock = allocate_lock()
        self.waiting_bytes = 0
        """Sizes of the calls that are not done, as they were given."""

    def post(self, call: Call, execute: Callable[[Call], object]) -> None:
        """Append *call*, and have *execute* run the calls unless somebody does already."""
        if self._append(call, 0):
            execute(self._run)

    def call(self, call: Call, size: int) -> None:
        """Append *call* and run all calls, here, unless somebody else does already."""
        if self._append(call, size):
            self._run()

    def _append(self, call: Call, size: int) -> bool:
        with self._lock:
            if self._calls is None:
                self._calls = []
            self._calls.append((call, size))
            self.waiting_bytes += size
            if self._running:
                return False
            self._running = True
            return True

    def _run(self) -> None:
        while True:
            with self._lock:
                if self._next is None:
                    self._next, self._calls = self._calls, None
                    if self._next is None:
                        self._running = False
                        return
                    self._next.reverse()
                call, size = self._next.pop()
                if not self._next:
                    self._next = None
            try:
                call()
            except Exception:
                # The border to a handler without the exception decorator: the calls after this one must still come.
                logger.exception("Error in a call of a SockJS session's handler")
            except BaseException:
                with self._lock:
                    self._running = self._execute is not None and (self._next or self._calls) is not None
                if self._running and self._execute is not None:
                    self._execute(self._run)
                raise
            finally:
                with self._lock:
                    self.waiting_bytes -= size
