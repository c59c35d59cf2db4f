"""Connections whose peers vanished: so many are ended in a turn of the loop, as a whole network may vanish at once.

Between the reader, which notices, and the ending half of a connection, which closes the socket and tells the handler.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from .flusher import SESSIONS_PER_TURN

logger = logging.getLogger(__name__)


class VanishedPeers:
    """Those of one loop; used on its thread."""

    __slots__ = ("_loop", "_ends", "_is_due", "_rest_timer")

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._ends: deque[tuple[Callable[[Exception], object], Exception]] = deque()
        self._is_due = False
        self._rest_timer = loop.timer(0.0, priority=loop.MINPRI)
        """Due at once, and of so low a priority that it comes after what the loop has read from its sockets."""

    def add(self, end: Callable[[Exception], object], error: Exception) -> None:
        """Have ``end(error)`` called at the end of this turn; of many, some in each of the next turns."""
        self._ends.append((end, error))
        if not self._is_due:
            self._is_due = True
            self._loop.run_callback(self._end_some)

    def _end_some(self) -> None:
        ends = self._ends
        for _ in range(min(len(ends), SESSIONS_PER_TURN)):
            end, error = ends.popleft()
            try:
                end(error)
            except Exception:
                # One connection's failure must not keep the others from their end.
                logger.exception("Error in %r", end)
        self._is_due = bool(ends)
        if ends:
            self._rest_timer.start(self._end_some)
