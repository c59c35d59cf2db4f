"""The lock that applications may hold over anything: it knows greenlets, whatever was patched (SCOPE-01).

Beside all stations. ``threading.RLock`` takes all greenlets of a thread for one holder unless gevent has patched it,
and then it may lose the wake-up of a waiter in another native thread.
"""

from __future__ import annotations

import _thread
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from ..locks import allocate_lock

_POLL_SECONDS = 0.001


class SessionMutex:
    """A re-entrant lock for native threads and for greenlets, of one thread or of several.

    A greenlet that waits asks again every millisecond and lets the others run meanwhile. A thread without greenlets
    waits as for any lock. Nobody waits in turn. A callback of gevent's loop cannot wait: gevent raises there.
    """

    __slots__ = ("_count", "_current", "_holder", "_lock")

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._current = _who_runs()
        self._holder: Any = None
        """A greenlet, or the number of a thread; whoever reads its own there holds the lock."""
        self._count = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock, or take it once more; False when that failed within *timeout* seconds. Negative: no limit."""
        current = self._current()
        if self._holder == current:
            self._count += 1
            return True
        if not self._lock.acquire(False) and not (blocking and self._wait(timeout)):
            return False
        self._holder = current
        self._count = 1
        return True

    def release(self) -> None:
        """Give it back as often as it was taken. Raises RuntimeError for one who does not hold it."""
        if self._holder != self._current():
            raise RuntimeError("cannot release a mutex that is not held here")
        self._count -= 1
        if not self._count:
            self._holder = None
            self._lock.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _wait(self, timeout: float) -> bool:
        sleep = _sleep_of_greenlets()
        if sleep is None:
            return self._lock.acquire(True, timeout)
        deadline = time.monotonic() + timeout if timeout >= 0 else float("inf")
        while not self._lock.acquire(False):
            if time.monotonic() >= deadline:
                return False
            sleep(_POLL_SECONDS)
        return True


def _who_runs() -> Callable[[], Any]:
    # As for all locks gevent and greenlet are only looked for: who has not imported them has no greenlets.
    greenlet = sys.modules.get("greenlet")
    return _thread.get_ident if greenlet is None else greenlet.getcurrent


def _sleep_of_greenlets() -> Callable[[float], object] | None:
    """How to wait in this thread so that its greenlets go on; None when it has no hub."""
    hubs = sys.modules.get("gevent._hub_local")  # the public way to ask for a thread's hub makes one
    if hubs is None or hubs.get_hub_if_exists() is None:
        return None
    sleep: Callable[[float], object] = sys.modules["gevent"].sleep
    return sleep
