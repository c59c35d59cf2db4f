"""Locks for what is guarded for a few instructions: native ones, also when gevent has patched the standard library.

Beside all stations. Channels may run in native threads of a process that is patched. There ``threading.Lock`` makes a
lock for greenlets, which between several native threads can lose the wake-up of a waiter. A native lock is right where
nothing under it ever switches greenlets: no I/O, no waiting, no code of users.
"""

from __future__ import annotations

import _thread
import sys
import threading
from collections.abc import Callable


def _native() -> Callable[[], _thread.LockType]:
    # Only looked for: where gevent is not imported nothing is patched, and what is taken now stays native.
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None:
        return threading.Lock
    allocate_lock: Callable[[], _thread.LockType] = monkey.get_original("_thread", "allocate_lock")
    return allocate_lock


allocate_lock = _native()
"""Makes a native lock."""
