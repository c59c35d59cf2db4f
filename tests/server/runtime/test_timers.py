"""One heap of deadlines for a hub, and the scheduler on it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from time import monotonic

import gevent
import pytest
from gevent.event import Event

from wellhead.messaging.executor import TaskScheduler
from wellhead.server.runtime.executors import GreenletExecutor
from wellhead.server.runtime.flusher import LoopFlusher
from wellhead.server.runtime.timers import GeventTaskScheduler, LoopTimers, ScheduledCall

TIMEOUT = 10


@pytest.fixture
def timers() -> LoopTimers:
    return LoopTimers(LoopFlusher.of())


@pytest.fixture
def executor() -> Iterator[GreenletExecutor]:
    executor = GreenletExecutor(core_pool_size=4)
    yield executor
    assert executor.shutdown()


@pytest.fixture
def scheduler(executor: GreenletExecutor) -> GeventTaskScheduler:
    return GeventTaskScheduler(LoopFlusher.of(), executor)


@pytest.mark.spec("LIFE-02")
def test_calls_come_in_the_order_of_their_times(timers: LoopTimers, monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[int] = []
    done = Event()
    with monkeypatch.context() as asking:  # All ask at one moment: time that passes in between would count.
        now = monotonic()
        asking.setattr("wellhead.server.runtime.timers.monotonic", lambda: now)
        timers.call_later(done.set, 8)
        for delay in (6, 2, 4, 0):
            timers.call_later(lambda delay=delay: log.append(delay), delay)  # type: ignore[misc]  # bound now
    assert done.wait(TIMEOUT)
    assert log == [0, 2, 4, 6]


@pytest.mark.spec("LIFE-02")
def test_calls_of_the_same_time_come_in_the_order_of_asking(
    timers: LoopTimers, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = monotonic()
    monkeypatch.setattr("wellhead.server.runtime.timers.monotonic", lambda: now)
    log: list[int] = []
    for number in range(5):
        timers.call_later(lambda number=number: log.append(number), 0)  # type: ignore[misc]  # bound now
    timers._run_due()
    assert log == [0, 1, 2, 3, 4]


@pytest.mark.spec("LIFE-02")
def test_a_call_never_comes_early(timers: LoopTimers) -> None:
    done = Event()
    asked = monotonic()
    came: list[float] = []
    timers.call_later(lambda: (came.append(monotonic()), done.set()), 20)
    assert done.wait(TIMEOUT)
    assert came[0] - asked >= 0.02


@pytest.mark.spec("LIFE-02")
def test_an_earlier_deadline_may_be_added_later(timers: LoopTimers) -> None:
    done = Event()
    late = timers.call_later(lambda: None, 60_000)
    timers.call_later(done.set, 1)
    assert done.wait(TIMEOUT)
    late.cancel()


@pytest.mark.spec("LIFE-02")
def test_an_error_of_a_call_is_logged_and_the_next_one_comes(
    timers: LoopTimers, caplog: pytest.LogCaptureFixture
) -> None:
    done = Event()
    timers.call_later(lambda: 1 / 0, 1)
    timers.call_later(done.set, 2)
    assert done.wait(TIMEOUT)
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.spec("LIFE-02")
def test_cancelled_calls_leave_the_heap_when_they_are_more_than_half(timers: LoopTimers) -> None:
    calls = [timers.call_later(lambda: None, 60_000) for _ in range(100)]
    for call in calls[:50]:
        call.cancel()
    assert len(timers) == 100
    calls[50].cancel()
    assert len(timers) == 49
    for call in calls:
        call.cancel()
        call.cancel()


@pytest.mark.spec("LIFE-02")
def test_calls_may_cancel_each_other_while_they_run(timers: LoopTimers) -> None:
    log: list[str] = []
    done = Event()
    calls: list[ScheduledCall] = []
    # All are due at once, and run in the order in which they were asked for: the first cancels the others.
    timers.call_later(lambda: [call.cancel() for call in calls], 0)
    calls += [timers.call_later(lambda: log.append("cancelled"), 0) for _ in range(200)]
    timers.call_later(done.set, 1)
    assert done.wait(TIMEOUT)
    assert log == []


@pytest.mark.spec("LIFE-02")
def test_other_threads_may_ask_and_cancel(timers: LoopTimers) -> None:
    log: list[bool] = []
    done = Event()
    flusher = LoopFlusher.of()

    def ask() -> None:
        timers.call_later(lambda: log.append(False), 50).cancel()
        timers.call_later(lambda: (log.append(flusher.on_loop_thread), done.set()), 1)

    gevent.get_hub().threadpool.apply(ask)
    assert done.wait(TIMEOUT)
    assert log == [True]


@pytest.mark.spec("LIFE-02")
def test_the_scheduler_runs_a_task_once(scheduler: GeventTaskScheduler) -> None:
    contract: TaskScheduler = scheduler
    log: list[int] = []
    done = Event()
    contract.schedule(lambda: log.append(1), 1)
    contract.schedule(done.set, 5)
    assert done.wait(TIMEOUT)
    assert log == [1]


@pytest.mark.spec("LIFE-02")
def test_tasks_may_block_without_holding_up_others(scheduler: GeventTaskScheduler) -> None:
    released, done = Event(), Event()
    scheduler.schedule(lambda: released.wait(TIMEOUT), 1)
    scheduler.schedule(done.set, 2)
    assert done.wait(TIMEOUT)
    released.set()


@pytest.mark.spec("LIFE-02")
def test_a_series_goes_on_after_an_error(scheduler: GeventTaskScheduler, caplog: pytest.LogCaptureFixture) -> None:
    log: list[int] = []
    done = Event()

    def task() -> None:
        log.append(1)
        if len(log) == 3:
            done.set()
        raise OSError("no luck")

    series = scheduler.schedule_with_fixed_delay(task, 1, initial_delay_ms=0)
    assert done.wait(TIMEOUT)
    series.cancel()
    assert caplog.text.count("OSError: no luck") >= 2


@pytest.mark.spec("LIFE-02")
def test_the_delay_of_a_series_counts_from_the_end_of_a_run(scheduler: GeventTaskScheduler) -> None:
    begins: list[float] = []
    ends: list[float] = []
    done = Event()

    def task() -> None:
        begins.append(monotonic())
        Event().wait(0.01)  # The length of the run, which is what is measured here.
        ends.append(monotonic())
        if len(begins) == 3:
            done.set()

    series = scheduler.schedule_with_fixed_delay(task, 10)
    assert done.wait(TIMEOUT)
    series.cancel()
    assert all(begin - end >= 0.01 for begin, end in zip(begins[1:], ends, strict=False))


@pytest.mark.spec("LIFE-02")
def test_a_series_can_be_cancelled_by_its_own_task(scheduler: GeventTaskScheduler) -> None:
    log: list[int] = []
    done = Event()
    series = scheduler.schedule_with_fixed_delay(lambda: (log.append(1), series.cancel()), 1)
    scheduler.schedule(done.set, 20)
    assert done.wait(TIMEOUT)
    assert log == [1]


@pytest.mark.spec("LIFE-02")
def test_a_task_that_no_executor_takes_is_dropped_with_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    executor = GreenletExecutor()
    executor.shutdown()
    done = Event()
    GeventTaskScheduler(LoopFlusher.of(), executor).schedule(lambda: None, 1)
    LoopFlusher.of().call_later(done.set, 5)
    assert done.wait(TIMEOUT)
    assert "Dropped scheduled task" in caplog.text


@pytest.mark.spec("LIFE-01", "LIFE-02")
def test_what_is_still_scheduled_at_the_shutdown_is_dropped_without_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    executor = GreenletExecutor()
    scheduler = GeventTaskScheduler(LoopFlusher.of(), executor)
    done = Event()
    log: list[str] = []
    scheduler.schedule(lambda: log.append("ran"), 1)
    scheduler.schedule_with_fixed_delay(lambda: log.append("ran"), 1)
    scheduler.shutdown()
    executor.shutdown()
    LoopFlusher.of().call_later(done.set, 5)
    assert done.wait(TIMEOUT)
    assert log == []
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []


@pytest.mark.spec("LIFE-02")
def test_the_scheduler_tells_the_time_it_measures_with(scheduler: GeventTaskScheduler) -> None:
    before = monotonic() * 1000
    assert before <= scheduler.now_ms() <= monotonic() * 1000
