"""What ``python -m wellhead.server`` logs with, unless the application configures logging: lines on stderr.

Beside the access log, whose lines come in rows: a row is written at once, and the text of a second is made once.
"""

from __future__ import annotations

import logging
from time import strftime

logger = logging.getLogger(__name__)

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class LineFormatter(logging.Formatter):
    """As ``logging.Formatter(FORMAT)``."""

    def __init__(self) -> None:
        logging.Formatter.__init__(self, FORMAT)
        self._second = (0, "")
        """The one that was asked for last, and its text."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802  # logging's name
        second, text = self._second
        if second != int(record.created):
            second = int(record.created)
            text = strftime(self.default_time_format, self.converter(second))
            self._second = second, text
        return f"{text},{int(record.msecs):03}"


class LineHandler(logging.StreamHandler):  # type: ignore[type-arg]  # generic for the type checker alone
    """As ``logging.StreamHandler``, on stderr; what is logged between `begin_row` and `end_row` is written at once."""

    def __init__(self) -> None:
        logging.StreamHandler.__init__(self)
        self.setFormatter(LineFormatter())
        self._row: list[str] | None = None

    def begin_row(self) -> None:
        """What is logged from now on waits for `end_row`; rows that overlap end with the first of them."""
        if self._row is None:
            self._row = []

    def end_row(self) -> None:
        """Write what has come together."""
        self.acquire()
        try:
            row, self._row = self._row, None
            if row:
                self.stream.write("".join(row))
                self.flush()
        except (OSError, ValueError):
            logger.debug("A row of %d lines is lost: stderr is gone", len(row or ()))
        finally:
            self.release()

    def emit(self, record: logging.LogRecord) -> None:
        if self._row is None:
            logging.StreamHandler.emit(self, record)
            return
        try:
            self._row.append(self.format(record) + self.terminator)
        except Exception:
            # As every handler does: the border to whoever logs.
            self.handleError(record)
