import logging

import pytest
from kit.scheduling import ManualTaskScheduler

from wellhead.server.sockjs.timers import MOST_AT_ONCE, SockJsTimers


class Target:
    def __init__(self, due_ms, error=None):
        self.due_ms = due_ms
        self.error = error
        self.calls = []

    def next_due_ms(self):
        return self.due_ms

    def on_due(self, now_ms):
        self.calls.append(now_ms)
        self.due_ms = None
        if self.error is not None:
            raise self.error


class StoppedScheduler(ManualTaskScheduler):
    stopped = True

    def schedule(self, task, delay_ms):
        if self.stopped:
            raise RuntimeError("not started")
        return super().schedule(task, delay_ms)


@pytest.fixture
def clock():
    return ManualTaskScheduler()


def watch(timers, *targets):
    watches = [timers.watch(target) for target in targets]
    for each in watches:
        each.moved()
    return watches


@pytest.mark.spec("LIFE-02")
def test_each_deadline_is_met_once_in_order(clock):
    targets = [Target(due) for due in (300, 100, 200)]
    watch(SockJsTimers(clock), *targets)
    assert len(clock.pending) == 1
    clock.advance(1_000)
    assert [target.calls for target in targets] == [[300], [100], [200]]
    assert clock.pending == []


@pytest.mark.spec("LIFE-02")
def test_a_deadline_that_moved_away_is_asked_for_again(clock):
    target = Target(100)
    watch(SockJsTimers(clock), target)
    target.due_ms = 5_000
    clock.advance(4_999)
    assert target.calls == []
    clock.advance(1)
    assert target.calls == [5_000]


@pytest.mark.spec("LIFE-02")
def test_a_deadline_that_came_closer_is_met(clock):
    target = Target(5_000)
    (own,) = watch(SockJsTimers(clock), target)
    target.due_ms = 100
    own.moved()
    clock.advance(100)
    assert target.calls == [100]
    clock.advance(10_000)
    assert target.calls == [100]


@pytest.mark.spec("LIFE-02")
def test_a_cancelled_watch_is_never_met(clock):
    target = Target(100)
    (own,) = watch(SockJsTimers(clock), target)
    own.cancel()
    own.moved()
    clock.advance(1_000)
    assert target.calls == []


@pytest.mark.spec("SJS-14")
def test_ended_sessions_do_not_wait_for_their_deadlines_in_the_queue(clock):
    timers = SockJsTimers(clock)
    targets = [Target(1000 + number) for number in range(100)]
    watches = watch(timers, *targets)
    for each in watches[:50]:
        each.cancel()
        each.cancel()
    assert len(timers) == 100
    watches[50].cancel()
    assert len(timers) == 49
    clock.advance(1_200)
    assert [target.calls != [] for target in targets] == [False] * 51 + [True] * 49
    assert len(timers) == 0


@pytest.mark.spec("LIFE-02")
def test_an_error_at_one_deadline_is_logged_and_touches_no_other(clock, caplog):
    broken, other = Target(100, LookupError("broken")), Target(100)
    watch(SockJsTimers(clock), broken, other)
    with caplog.at_level(logging.ERROR):
        clock.advance(100)
    assert other.calls == [100]
    assert "Error at the deadline of" in caplog.text


@pytest.mark.spec("LIFE-02")
def test_deadlines_close_together_are_met_together(clock):
    targets = [Target(100 + number) for number in range(10)]
    watch(SockJsTimers(clock), *targets)
    clock.advance(200)
    assert {call for target in targets for call in target.calls} == {100, 120}


@pytest.mark.spec("LIFE-02")
def test_without_a_running_scheduler_nothing_is_lost():
    clock = StoppedScheduler()
    timers = SockJsTimers(clock)
    early, late = Target(100), Target(200)
    watch(timers, early)
    clock.stopped = False
    watch(timers, late)
    clock.advance(200)
    assert early.calls == late.calls == [200]


@pytest.mark.spec("SJS-14", "LIFE-02")
@pytest.mark.parametrize("more, runs", [(-1, 1), (0, 1), (1, 2)])
def test_many_deadlines_are_met_a_few_at_a_time(clock, more, runs):
    met = []
    targets = [Target(100) for _ in range(MOST_AT_ONCE + more)]
    timers = SockJsTimers(RunCounter(clock, met, targets))
    watch(timers, *targets)
    clock.advance(99)
    assert met == []
    clock.advance(1)
    assert (len(met), met[-1], len(timers)) == (runs, len(targets), 0)
    assert all(target.calls == [100] for target in targets)


class RunCounter:
    """Implements TaskScheduler: notes after each task how many of the targets were met."""

    def __init__(self, clock, met, targets):
        self.clock = clock
        self.met = met
        self.targets = targets
        self.now_ms = clock.now_ms

    def schedule(self, task, delay_ms):
        def run():
            task()
            self.met.append(sum(len(target.calls) for target in self.targets))

        return self.clock.schedule(run, delay_ms)


@pytest.mark.spec("SJS-14", "LIFE-02")
def test_one_that_blocks_does_not_hold_up_the_next_ones(clock):
    class Blocking(Target):
        def on_due(self, now_ms):
            clock.advance(1_000)
            super().on_due(now_ms)

    blocking, other = Blocking(100), Target(300)
    watch(SockJsTimers(clock), blocking, other)
    clock.advance(100)
    assert (other.calls, blocking.calls) == ([300], [100])


@pytest.mark.spec("SJS-14")
def test_deadlines_that_came_closer_leave_nothing_behind(clock):
    timers = SockJsTimers(clock)
    targets = [Target(25_000) for _ in range(100)]
    watches = watch(timers, *targets)
    for target, own in zip(targets, watches, strict=True):
        target.due_ms = 1_000
        own.moved()
    clock.advance(1_000)
    assert all(target.calls == [1_000] for target in targets)
    assert len(timers) == 0


@pytest.mark.spec("SJS-14", "LIFE-02")
def test_an_earlier_deadline_may_come_while_the_timer_is_set():
    class Slow(ManualTaskScheduler):
        """Before a timer is set another session comes, as from another thread."""

        meanwhile = None

        def schedule(self, task, delay_ms):
            meanwhile, self.meanwhile = self.meanwhile, None
            if meanwhile is not None:
                meanwhile()
            return super().schedule(task, delay_ms)

    clock = Slow()
    timers, early, late = SockJsTimers(clock), Target(100), Target(200)
    clock.meanwhile = lambda: watch(timers, early)
    watch(timers, late)
    assert [task.due_ms for task in clock.pending] == [100]
    clock.advance(1_000)
    assert (early.calls, late.calls) == ([100], [200])
    assert clock.pending == []
