"""The access log: a line for each request, on the logger ``wellhead.server.access``, at INFO.

Beside the HTTP handler. Python's logging costs more than a whole handshake when it is called once in each; lines are
gathered for a moment and handed over in a row, which costs a third. Each record has the time of its request.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import time

from ...messaging.exceptions import TaskRejectedError
from .flusher import LoopFlusher
from .log_lines import LineHandler

logger = logging.getLogger("wellhead.server")
access_logger = logging.getLogger("wellhead.server.access")

_DELAY_MS = 50
"""How long a line waits for others."""
_MOST_WAITING = 500
"""So many are handed over at once."""


class AccessLog:
    """Of one server; used on its loop's thread. *execute* runs a task where handlers of logging may block."""

    __slots__ = ("_flusher", "_execute", "_entries", "_is_due")

    def __init__(self, flusher: LoopFlusher, execute: Callable[[Callable[[], object]], None]) -> None:
        self._flusher = flusher
        self._execute = execute
        self._entries: list[tuple[float, str, str, int, int, float]] = []
        self._is_due = False

    def add(self, host: str, request_line: str, status: int, size: int, took_ms: float) -> None:
        """A request was answered just now. What the client sent has to be printable, see the head parser."""
        if not access_logger.isEnabledFor(logging.INFO):
            return
        entry = (time(), host, request_line, status, size, took_ms)  # before the list is looked up: `write` replaces it
        self._entries.append(entry)
        if not self._is_due:
            self._is_due = True
            self._flusher.call_later(self._submit, _DELAY_MS)
        elif len(self._entries) == _MOST_WAITING:
            self._submit()

    def write(self) -> None:
        """Hand over what was gathered; the server does it once more when it stops."""
        self._is_due = False
        entries, self._entries = self._entries, []
        if not entries:
            return
        rows = [handler for handler in logging.getLogger().handlers if isinstance(handler, LineHandler)]
        for handler in rows:
            handler.begin_row()
        try:
            first = access_logger.makeRecord(
                access_logger.name, logging.INFO, __file__, 0, '%s "%s" %d %d %.1fms', (), None, "add"
            )
            for time_s, *arguments in entries:
                access_logger.handle(_like(first, time_s, tuple(arguments)))
        finally:
            for handler in rows:
                handler.end_row()

    def _submit(self) -> None:
        try:
            self._execute(self.write)
        except TaskRejectedError:
            logger.debug("The access log is written when the server has stopped")


def _like(first: logging.LogRecord, time_s: float, arguments: tuple[object, ...]) -> logging.LogRecord:
    """Another record of the same kind: process, thread and the like are found out once for all of them."""
    record = logging.LogRecord.__new__(first.__class__)
    record.__dict__.update(first.__dict__)
    record.args = arguments
    record.created = time_s
    record.msecs = time_s * 1000.0 % 1000.0
    record.relativeCreated += (time_s - first.created) * 1000.0
    return record
