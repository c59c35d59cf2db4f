"""The program's own log: the same lines as logging would write, a row of them at once."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest
from kit.flushing import ManualFlusher

from wellhead.server.runtime.access_log import AccessLog
from wellhead.server.runtime.log_lines import FORMAT, LineFormatter, LineHandler


class CountingStream(io.StringIO):
    def __init__(self) -> None:
        super().__init__()
        self.writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)


class BrokenStream(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError("gone")


def record_at(created: float, message: str = "hello %s") -> logging.LogRecord:
    record = logging.LogRecord("a.logger", logging.INFO, __file__, 1, message, ("you",), None)
    record.created, record.msecs = created, created * 1000.0 % 1000.0
    return record


@pytest.fixture
def handler() -> Iterator[LineHandler]:
    """At the root, where the program has it."""
    handler = LineHandler()
    handler.setStream(CountingStream())
    root = logging.getLogger()
    root.addHandler(handler)
    yield handler
    root.removeHandler(handler)


@pytest.mark.spec("HS-01")
def test_lines_are_those_of_logging() -> None:
    ours, theirs = LineFormatter(), logging.Formatter(FORMAT)
    for created in (1_000_000.25, 1_000_000.9995, 1_000_001.0, 1_000_000.5, 1_800_000_000.125, 0.0):
        record = record_at(created)
        assert ours.format(record) == theirs.format(record)


@pytest.mark.spec("HS-01")
def test_a_row_is_written_at_once_and_in_order(handler: LineHandler) -> None:
    stream = handler.stream
    handler.handle(record_at(0.0, "before %s"))
    assert stream.writes == 1
    handler.begin_row()
    handler.handle(record_at(0.0, "first %s"))
    handler.handle(record_at(0.0, "second %s"))
    assert stream.writes == 1
    handler.end_row()
    assert stream.writes == 2
    handler.handle(record_at(0.0, "after %s"))
    assert [line.split(": ")[1] for line in stream.getvalue().splitlines()] == [
        "before you",
        "first you",
        "second you",
        "after you",
    ]


@pytest.mark.spec("HS-01")
def test_rows_that_overlap_lose_nothing(handler: LineHandler) -> None:
    handler.begin_row()
    handler.handle(record_at(0.0, "first %s"))
    handler.begin_row()
    handler.handle(record_at(0.0, "second %s"))
    handler.end_row()
    handler.handle(record_at(0.0, "third %s"))
    handler.end_row()
    assert [line.split(": ")[1] for line in handler.stream.getvalue().splitlines()] == [
        "first you",
        "second you",
        "third you",
    ]


@pytest.mark.spec("HS-01")
def test_a_line_that_cannot_be_made_costs_no_other(handler: LineHandler, monkeypatch: pytest.MonkeyPatch) -> None:
    failed: list[logging.LogRecord] = []
    monkeypatch.setattr(handler, "handleError", failed.append)
    handler.begin_row()
    handler.handle(record_at(0.0, "no place for it"))
    handler.handle(record_at(0.0))
    handler.end_row()
    assert len(failed) == 1
    assert handler.stream.getvalue().endswith(": hello you\n")


@pytest.mark.spec("HS-01")
@pytest.mark.parametrize("count", [0, 1])
def test_a_stream_that_is_gone_is_nobodys_error(count: int) -> None:
    handler = LineHandler()
    handler.setStream(BrokenStream())
    handler.begin_row()
    for _ in range(count):
        handler.handle(record_at(0.0))
    handler.end_row()


@pytest.mark.spec("HS-01")
def test_the_access_log_comes_in_a_row(handler: LineHandler) -> None:
    access = logging.getLogger("wellhead.server.access")
    level = access.level
    access.setLevel(logging.INFO)
    try:
        log = AccessLog(ManualFlusher(), lambda task: task())  # type: ignore[arg-type]  # has what is used of it
        for status in (101, 200, 404):
            log.add("h", "GET / HTTP/1.1", status, 7, 1.0)
        log.write()
    finally:
        access.setLevel(level)
    assert handler.stream.writes == 1
    assert [line.split('" ')[1] for line in handler.stream.getvalue().splitlines()] == [
        "101 7 1.0ms",
        "200 7 1.0ms",
        "404 7 1.0ms",
    ]
    logging.getLogger("wellhead.server.access").warning("by itself")
    assert handler.stream.writes == 2
