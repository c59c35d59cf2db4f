"""The flusher: one turn for all that is dirty, and the way onto the loop's thread."""

from __future__ import annotations

import logging
from itertools import pairwise
from time import monotonic

import gevent
import pytest
from gevent.event import Event

from wellhead.server.flush import Flusher
from wellhead.server.runtime.flusher import FEW_SESSIONS, SESSIONS_PER_TURN, LoopFlusher, allocate_lock

TIMEOUT = 10


class End:
    def __init__(self, done: Event) -> None:
        self.done = done

    def flush(self) -> None:
        self.done.set()


class Dirty:
    def __init__(self, name: object, log: list[object], error: Exception | None = None) -> None:
        self.name, self.log, self.error = name, log, error

    def flush(self) -> None:
        if self.error is not None:
            raise self.error
        self.log.append(self.name)


@pytest.fixture
def flusher() -> LoopFlusher:
    return LoopFlusher.of()


def turn() -> None:
    """Let the loop finish the turn, and look at sockets and timers once."""
    done = Event()
    gevent.get_hub().loop.run_callback(done.set)
    assert done.wait(TIMEOUT)


@pytest.mark.spec("CDS-01")
def test_there_is_one_flusher_for_a_hub(flusher: LoopFlusher) -> None:
    contract: Flusher = flusher
    assert LoopFlusher.of() is contract


@pytest.mark.spec("CDS-01")
def test_what_is_dirty_is_flushed_in_order_when_the_caller_gives_way(flusher: LoopFlusher) -> None:
    log: list[object] = []
    for name in "abc":
        flusher.request(Dirty(name, log))
    assert log == []
    turn()
    assert log == ["a", "b", "c"]


@pytest.mark.spec("CDS-01")
def test_a_flush_that_fails_is_logged_and_the_others_go_on(
    flusher: LoopFlusher, caplog: pytest.LogCaptureFixture
) -> None:
    log: list[object] = []
    flusher.request(Dirty("a", log, OSError("broken")))
    flusher.request(Dirty("b", log))
    turn()
    assert log == ["b"]
    assert "broken" in caplog.text


@pytest.mark.spec("CDS-01")
@pytest.mark.parametrize(
    "count", [1, FEW_SESSIONS, FEW_SESSIONS + 1, SESSIONS_PER_TURN - 1, SESSIONS_PER_TURN, SESSIONS_PER_TURN + 1]
)
def test_the_loop_gets_its_turn_before_a_broadcast_and_between_many_sessions(flusher: LoopFlusher, count: int) -> None:
    log: list[object] = []
    seen: list[int] = []
    done = Event()
    for number in range(count):
        flusher.request(Dirty(number, log))
    timer = gevent.get_hub().loop.timer(0.0)  # Always due: it runs whenever the loop looks at its timers.

    def look() -> None:
        seen.append(len(log))
        if len(log) < count:
            timer.start(look)

    timer.start(look)
    flusher.call_later(lambda: flusher.request(End(done)), 1)
    assert done.wait(TIMEOUT)
    timer.close()
    assert log == list(range(count))
    assert seen[0] == (count if count <= FEW_SESSIONS else 0)
    assert max(after - before for before, after in pairwise([0, *seen, count])) <= SESSIONS_PER_TURN


@pytest.mark.spec("CDS-01")
def test_other_threads_may_ask_and_nothing_is_lost(flusher: LoopFlusher) -> None:
    log: list[object] = []
    done = Event()

    def ask(thread: int) -> None:
        for number in range(500):
            flusher.request(Dirty((thread, number), log))
        flusher.hand_over(finished, thread)

    left = {0, 1, 2}

    def finished(thread: int) -> None:
        left.discard(thread)
        if not left:
            flusher.request(Dirty("end", log))
            flusher.call_later(done.set, 1)

    pool = gevent.get_hub().threadpool
    for thread in range(3):
        pool.spawn(ask, thread)
    assert done.wait(TIMEOUT)
    for thread in range(3):
        assert [entry[1] for entry in log if entry[0] == thread] == list(range(500))  # type: ignore[index]  # tuples


@pytest.mark.spec("CDS-01")
def test_run_now_runs_at_once_on_the_loops_thread(flusher: LoopFlusher) -> None:
    log: list[str] = []
    assert flusher.run_now(lambda: log.append("ran"), timeout_ms=0)
    assert log == ["ran"]


@pytest.mark.spec("CDS-01")
def test_run_now_from_another_thread_returns_when_it_has_run(flusher: LoopFlusher) -> None:
    log: list[object] = []

    def ask() -> None:
        assert not flusher.on_loop_thread
        log.append(flusher.run_now(lambda: log.append(flusher.on_loop_thread), timeout_ms=TIMEOUT * 1000))

    gevent.get_hub().threadpool.apply(ask)
    assert log == [True, True]


@pytest.mark.spec("CDS-01")
def test_run_now_gives_up_after_its_time(flusher: LoopFlusher) -> None:
    results: list[bool] = []
    ended = allocate_lock()
    ended.acquire()
    handed = Event()

    def ask() -> None:
        results.append(flusher.run_now(handed.set, timeout_ms=1))
        ended.release()

    gevent.get_hub().threadpool.spawn(ask)
    assert ended.acquire(timeout=TIMEOUT)  # A native wait: the loop stands still meanwhile.
    assert results == [False]
    assert handed.wait(TIMEOUT)  # It was too late, not lost.


@pytest.mark.spec("CDS-01")
def test_an_error_of_what_was_handed_over_is_logged(flusher: LoopFlusher, caplog: pytest.LogCaptureFixture) -> None:
    log: list[str] = []
    flusher.hand_over(lambda: 1 / 0)
    flusher.hand_over(log.append, "next")
    turn()
    assert log == ["next"]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.spec("CDS-01")
def test_now_ms_is_the_monotonic_clock(flusher: LoopFlusher) -> None:
    before = monotonic() * 1000
    assert before <= flusher.now_ms() <= monotonic() * 1000


@pytest.mark.spec("CDS-02")
def test_call_later_can_be_cancelled(flusher: LoopFlusher) -> None:
    log: list[str] = []
    done = Event()
    flusher.call_later(lambda: log.append("cancelled"), 1).cancel()
    flusher.call_later(lambda: log.append("ran"), 1)
    flusher.call_later(done.set, 2)
    assert done.wait(TIMEOUT)
    assert log == ["ran"]


@pytest.mark.spec("CDS-01")
def test_what_is_handed_over_for_ever_leaves_the_loop_its_turns(flusher: LoopFlusher) -> None:
    timer_ran = Event()
    flusher.call_later(timer_ran.set, 1)
    began = monotonic()

    def again() -> None:
        assert monotonic() - began < TIMEOUT, "the loop never got to its timer"
        if not timer_ran.is_set():
            flusher.hand_over(again)

    flusher.hand_over(again)
    assert timer_ran.wait(TIMEOUT)
