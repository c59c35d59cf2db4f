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
from contextlib import AbstractContextManager


def _native() -> Callable[[], _thread.LockType]:
    # Only looked for: where gevent is not imported nothing is patched, and what is taken now stays native.
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None:
        return threading.Lock
    allocate_lock: Callable[[], _thread.LockType] = monkey.get_original("_thread", "allocate_lock")
    return allocate_lock


allocate_lock = _native()
"""Makes a native lock."""

allocate_reentrant_lock: Callable[[], AbstractContextManager[bool]] = _thread.RLock
"""Makes a native lock that its thread may take again, which gevent does not replace.

For what a `__del__` of the application may come to, by publishing or sending: wherever an object is made a collection
of garbage may begin, and the thread that holds the lock would wait for itself for ever. So what is done under the lock
has to stand another such call in between.
"""
