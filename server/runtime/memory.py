"""Gives memory back to the system after a crowd has left.

Beside the stations, once per process that serves. What thousands of connections took is free again when they are gone,
but stays with the process: glibc returns only what lies at the end of its heap, and a few small objects hold whole
arenas of Python's: tuples in free lists, which a full collection empties, and names in the cache of look-ups.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import sys
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .server import WellheadServer

logger = logging.getLogger(__name__)

LOOK_EVERY_MS = 2_000
QUIET_LOOKS = (1, 6)
"""After so many looks in a row at which few were there: soon, and when the workers that the crowd needed have ended."""
MOST_THAT_STAY = 0.25
"""Of the most connections there were: with more the collection would take too long, and too little is free."""
CROWD = 500
"""So many must have left."""


class MemoryReturn:
    """Looks at the number of connections every two seconds. Everything happens on the loop's thread."""

    def __init__(self, server: WellheadServer) -> None:
        self._server = server
        self._most = 0
        """The most connections since memory was given back."""
        self._quiet_looks = 0
        self._trim = _malloc_trim()

    def start(self) -> None:
        """Begin to look; ends when the server is not started any more."""
        self._server.runtime.flusher.call_later(self._look, LOOK_EVERY_MS)

    def _look(self) -> None:
        server = self._server
        if server.state.value != "started":
            return
        now = len(server.runtime.connections) + len(server.handlers) + len(server.waiting)
        self._most = max(self._most, now)
        left = self._most - now >= CROWD and now <= self._most * MOST_THAT_STAY
        self._quiet_looks = self._quiet_looks + 1 if left else 0
        if self._quiet_looks in QUIET_LOOKS:
            give_memory_back(self._trim)
        if self._quiet_looks == QUIET_LOOKS[-1]:
            self._most, self._quiet_looks = now, 0
        self.start()


def give_memory_back(trim: Callable[[int], Any] | None) -> None:
    """Collect all garbage and hand the pages that are free then to the system. Takes some tens of milliseconds."""
    began = perf_counter()
    # Before the collection: it is what frees arenas last.
    clear_caches = getattr(sys, "_clear_internal_caches", None) or getattr(sys, "_clear_type_cache", None)
    if clear_caches is not None:
        clear_caches()
    gc.collect()
    if trim is not None:
        trim(0)
    logger.debug("Gave memory back in %.1f ms", (perf_counter() - began) * 1000.0)


def _malloc_trim() -> Callable[[int], Any] | None:
    """glibc's function; None where there is another C library."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018  # musl has no such thing.
        trim: Callable[[int], Any] = library.malloc_trim
    except (OSError, AttributeError):
        return None
    return trim
