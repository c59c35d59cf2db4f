"""Lines of the access log, gathered for a moment."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest
from kit.flushing import ManualFlusher

from wellhead.messaging.exceptions import TaskRejectedError
from wellhead.server.runtime import access_log
from wellhead.server.runtime.access_log import AccessLog


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    caplog.set_level(logging.INFO, "wellhead.server.access")
    yield lambda: [record.getMessage() for record in caplog.records if record.name == "wellhead.server.access"]


def run(task: Callable[[], object]) -> None:
    task()


def reject(task: Callable[[], object]) -> None:
    raise TaskRejectedError("shut down")


@pytest.mark.spec("HS-01")
def test_lines_come_together_a_moment_later(lines: Callable[[], list[str]]) -> None:
    flusher = ManualFlusher()
    log = AccessLog(flusher, run)  # type: ignore[arg-type]  # has what is used of it
    for status in (200, 404):
        log.add("::1", "GET /x HTTP/1.1", status, 17, 1.26)
    assert len(flusher.timers.pending) == 1
    assert lines() == []
    flusher.timers.advance(50)
    assert lines() == ['::1 "GET /x HTTP/1.1" 200 17 1.3ms', '::1 "GET /x HTTP/1.1" 404 17 1.3ms']
    log.add("::1", "GET /y HTTP/1.1", 200, 0, 0.0)
    flusher.timers.advance(50)
    assert len(lines()) == 3


@pytest.mark.spec("HS-01")
def test_each_record_has_the_time_of_its_request(
    caplog: pytest.LogCaptureFixture, lines: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AccessLog(ManualFlusher(), run)  # type: ignore[arg-type]  # has what is used of it
    for time_s in (1_000_000.25, 1_000_001.5):
        monkeypatch.setattr(access_log, "time", lambda time_s=time_s: time_s)
        log.add("h", "GET / HTTP/1.1", 200, 0, 0.0)
    log.write()
    first, second = caplog.records
    assert (first.created, first.msecs) == (1_000_000.25, 250.0)
    assert (second.created, second.msecs) == (1_000_001.5, 500.0)
    assert second.relativeCreated - first.relativeCreated == pytest.approx(1250.0)


@pytest.mark.spec("HS-01")
@pytest.mark.parametrize(("count", "written"), [(499, 0), (500, 500), (501, 500)])
def test_many_lines_do_not_wait(lines: Callable[[], list[str]], count: int, written: int) -> None:
    flusher = ManualFlusher()
    log = AccessLog(flusher, run)  # type: ignore[arg-type]  # has what is used of it
    for _ in range(count):
        log.add("h", "GET / HTTP/1.1", 200, 0, 0.0)
    assert len(lines()) == written
    flusher.timers.advance(50)
    assert len(lines()) == count


@pytest.mark.spec("HS-01")
def test_what_nobody_wants_to_read_is_not_gathered(lines: object, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "wellhead.server.access")
    flusher = ManualFlusher()
    AccessLog(flusher, run).add("h", "GET / HTTP/1.1", 200, 0, 0.0)  # type: ignore[arg-type]  # has what is used of it
    assert not flusher.timers.pending


@pytest.mark.spec("HS-01")
def test_what_no_worker_can_write_any_more_is_written_at_the_end(lines: Callable[[], list[str]]) -> None:
    flusher = ManualFlusher()
    log = AccessLog(flusher, reject)  # type: ignore[arg-type]  # has what is used of it
    log.add("h", "GET / HTTP/1.1", 200, 0, 0.0)
    flusher.timers.advance(50)
    assert lines() == []
    log.write()
    assert len(lines()) == 1
