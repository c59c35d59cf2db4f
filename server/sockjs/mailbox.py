"""The calls of one session's handler, one after the other, in order (WSA-01).

Station: between the requests, timers and closes of a session, which come from anywhere, and its handler. There is no
worker of its own: whoever brings a call while nobody is calling does the calling.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

logger = logging.getLogger(__name__)

Call = Callable[[], object]


class Mailbox:
    """A queue of calls with at most one thread or greenlet at work on it. Nobody ever waits."""

    __slots__ = ("_calls", "_lock", "_running", "waiting_bytes")

    def __init__(self) -> None:
        self._calls: deque[tuple[Call, int]] = deque()
        self._running = False
        self._lock = threading.Lock()
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
            self._calls.append((call, size))
            self.waiting_bytes += size
            if self._running:
                return False
            self._running = True
            return True

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._calls:
                    self._running = False
                    return
                call, size = self._calls.popleft()
            try:
                call()
            except Exception:
                # The border to a handler without the exception decorator: the calls after this one must still come.
                logger.exception("Error in a call of a SockJS session's handler")
            except BaseException:
                with self._lock:
                    self._running = False
                raise
            finally:
                with self._lock:
                    self.waiting_bytes -= size
