"""How the suite runs this time: WELLHEAD_TEST_MODE is ``unpatched`` (the default), ``patched`` or ``threads``.

- unpatched: gevent's hub and greenlets beside a standard library as Python made it;
- patched: gevent has replaced the standard library's blocking parts before anything was imported;
- threads: nothing is patched, and what takes an executor gets native threads.

A test for some modes only is marked ``@pytest.mark.modes("patched")``; it is left out of the others.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wellhead.messaging.executor import PooledExecutor

MODES = ("unpatched", "patched", "threads")
MODE = os.environ.get("WELLHEAD_TEST_MODE") or "unpatched"


def mode_error() -> str | None:
    """What is wrong with the mode that was asked for, as a line for a person; None when nothing is."""
    if MODE not in MODES:
        return f"WELLHEAD_TEST_MODE={MODE} is not one of {', '.join(MODES)}"
    if MODE == "patched" and not is_patched():
        return "the patched mode has to patch before pytest is imported: run 'python tests/run.py' instead of 'pytest'"
    if MODE != "patched" and is_patched():
        return f"something has patched the standard library, which the mode {MODE} forbids"
    return None


def is_patched() -> bool:
    """True when gevent has replaced the standard library's sockets and threads."""
    from gevent import monkey

    return bool(monkey.is_module_patched("socket") and monkey.is_module_patched("threading"))


def make_executor(*, pool_size: int = 4, queue_capacity: int = 1_000) -> PooledExecutor:
    """A pool of native threads or of greenlets, as the mode is; the caller (the fixture ``executor``) shuts it down."""
    if MODE == "threads":
        from wellhead.messaging.threads import ThreadPoolTaskExecutor

        return ThreadPoolTaskExecutor(core_pool_size=pool_size, queue_capacity=queue_capacity)
    from wellhead.server.runtime.executors import GreenletExecutor

    return GreenletExecutor(core_pool_size=pool_size, queue_capacity=queue_capacity)
