"""The flusher: one turn for all that is dirty, and the way onto the loop's thread."""

from __future__ import annotations

import logging
from collections.abc import Callable
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
            flusher.request(End(done))  # flushed after all that was asked for before it, however many turns that takes

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


# -- mailings


class Letters:
    """Implements Mailing: so many sessions to write to. ``on_write`` may do something before each write."""

    def __init__(self, count: int, log: list[object], on_write: Callable[[], object] = lambda: None) -> None:
        self.left, self.log, self.on_write = count, log, on_write
        self.done = Event()
        self.settled = 0

    def write(self, most: int) -> bool:
        self.on_write()
        written = min(most, self.left)
        self.left -= written
        self.log.append(written)
        if not self.left:
            self.done.set()
        return not self.left

    def settle(self) -> None:
        self.settled += 1
        self.log.append(("settled", self.left))
        self.left = 0
        self.done.set()

    def settle_from_thread(self) -> None:
        self.log.append(("settled from a thread", self.left))
        self.left = 0


@pytest.mark.spec("CDS-01")
def test_a_mailing_is_written_before_what_is_dirty(flusher: LoopFlusher) -> None:
    log: list[object] = []
    done = Event()
    flusher.request(Dirty("a", log))
    flusher.mail(Letters(1, log))
    flusher.request(Dirty("b", log))
    flusher.request(End(done))
    assert log == []
    assert done.wait(TIMEOUT)
    assert log == [1, "a", "b"]
    assert flusher.mailing is None


@pytest.mark.spec("CDS-01")
@pytest.mark.parametrize(
    "count", [1, SESSIONS_PER_TURN - 1, SESSIONS_PER_TURN, SESSIONS_PER_TURN + 1, 3 * SESSIONS_PER_TURN]
)
def test_the_loop_gets_its_turn_before_a_mailing_and_between_its_slices(flusher: LoopFlusher, count: int) -> None:
    log: list[object] = []
    seen: list[int] = []
    mailing = Letters(count, log)
    timer = gevent.get_hub().loop.timer(0.0)  # Always due: it runs whenever the loop looks at its timers.

    def look() -> None:
        seen.append(count - mailing.left)
        if mailing.left:
            timer.start(look)

    timer.start(look)
    flusher.mail(mailing)
    assert mailing.done.wait(TIMEOUT)
    timer.close()
    assert seen[0] == 0
    assert max(after - before for before, after in pairwise([0, *seen, count])) <= SESSIONS_PER_TURN
    assert sum(each for each in log if isinstance(each, int)) == count
    assert flusher.mailing is None


@pytest.mark.spec("CDS-01")
def test_what_is_dirty_does_not_wait_for_the_whole_mailing(flusher: LoopFlusher) -> None:
    log: list[object] = []
    mailing = Letters(3 * SESSIONS_PER_TURN, log)
    flusher.mail(mailing)
    flusher.request(Dirty("a", log))
    assert mailing.done.wait(TIMEOUT)
    turn()
    assert log == [SESSIONS_PER_TURN, "a", SESSIONS_PER_TURN, SESSIONS_PER_TURN]


@pytest.mark.spec("CDS-01")
def test_what_asks_while_a_mailing_is_written_is_flushed_too(flusher: LoopFlusher) -> None:
    log: list[object] = []
    done = Event()
    flusher.mail(Letters(1, log, lambda: flusher.request(Dirty("a", log))))
    flusher.call_later(lambda: flusher.request(End(done)), 1)
    assert done.wait(TIMEOUT)
    assert log == [1, "a"]


@pytest.mark.spec("CDS-01")
def test_what_is_mailed_while_another_mailing_is_written_is_written_then(flusher: LoopFlusher) -> None:
    log: list[object] = []
    second = Letters(2, log)

    def mail_another() -> None:
        flusher.settle()
        flusher.mail(second)

    first = Letters(1, log, mail_another)
    flusher.mail(first)
    assert second.done.wait(TIMEOUT)
    turn()
    assert first.settled == 1
    assert log == [("settled", 1), 0, 2]
    assert flusher.mailing is None


@pytest.mark.spec("CDS-01")
def test_a_mailing_that_fails_is_logged_and_the_others_go_on(
    flusher: LoopFlusher, caplog: pytest.LogCaptureFixture
) -> None:
    log: list[object] = []
    done = Event()

    def fail() -> None:
        raise OSError("broken")

    flusher.mail(Letters(1, log, fail))
    flusher.request(Dirty("a", log))
    flusher.request(End(done))
    assert done.wait(TIMEOUT)
    assert log == ["a"]
    assert "broken" in caplog.text
    assert flusher.mailing is None
    next_one = Letters(1, log)
    flusher.mail(next_one)
    assert next_one.done.wait(TIMEOUT)


@pytest.mark.spec("CDS-01")
def test_settling_a_mailing_takes_it_from_the_flusher(flusher: LoopFlusher) -> None:
    log: list[object] = []
    flusher.settle()
    flusher.mail(Letters(5, log))
    flusher.settle()
    assert flusher.mailing is None
    flusher.settle()
    assert log == [("settled", 5)]
    turn()
    assert log == [("settled", 5)]


@pytest.mark.spec("CDS-01")
def test_who_settles_while_a_mailing_is_settled_has_it_done(flusher: LoopFlusher) -> None:
    """Whoever sends then comes after all of it: the mailing stays until it is settled."""
    log: list[object] = []

    class Nested(Letters):
        def settle(self) -> None:
            super().settle()
            if self.settled == 1:
                flusher.settle()
                log.append(flusher.mailing)

    flusher.mail(Nested(5, log))
    flusher.settle()
    assert log == [("settled", 5), ("settled", 0), None]
    assert flusher.mailing is None


@pytest.mark.spec("CDS-01")
def test_what_is_mailed_while_another_mailing_is_settled_stays(flusher: LoopFlusher) -> None:
    log: list[object] = []
    second = Letters(1, log)

    class Nested(Letters):
        def settle(self) -> None:
            super().settle()
            if self.settled == 1:
                flusher.settle()
                flusher.mail(second)

    flusher.mail(Nested(5, log))
    flusher.settle()
    assert flusher.mailing is second
    assert second.done.wait(TIMEOUT)
    turn()
    assert second.settled == 0
    assert flusher.mailing is None


@pytest.mark.spec("CDS-01")
def test_another_thread_settles_although_the_loop_waits_for_it(flusher: LoopFlusher) -> None:
    log: list[object] = []
    returned = allocate_lock()
    returned.acquire()

    def settle() -> None:
        flusher.settle()
        returned.release()

    mailing = Letters(5, log)
    flusher.mail(mailing)
    gevent.get_hub().threadpool.spawn(settle)
    assert returned.acquire(timeout=TIMEOUT)  # the loop is here, and does nothing else
    assert log == [("settled from a thread", 5)]
    assert mailing.done.wait(TIMEOUT)
    assert flusher.mailing is None
    assert log == [("settled from a thread", 5), 0]


@pytest.mark.spec("CDS-01")
def test_who_gives_way_lets_timers_and_other_greenlets_run_and_nobody_else_waits(flusher: LoopFlusher) -> None:
    log: list[object] = []
    flusher.call_later(lambda: log.append("timer"), 0)
    gevent.spawn(log.append, "greenlet")
    for _ in range(3):
        flusher.give_way()
    assert sorted(map(str, log)) == ["greenlet", "timer"]
    flusher.call_later(lambda: log.append(flusher.give_way()), 0)  # in the hub, which must not wait
    for _ in range(3):
        flusher.give_way()
    assert log[-1] is None
    assert gevent.get_hub().threadpool.apply(flusher.give_way) is None
