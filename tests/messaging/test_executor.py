import pytest
from kit.scheduling import ManualTaskScheduler

from wellhead.messaging.executor import CallerRunsExecutor, Executor, PooledExecutor, TaskScheduler
from wellhead.messaging.threads import ThreadPoolTaskExecutor


@pytest.mark.spec("CH-06")
def test_caller_runs_and_gets_the_errors():
    ran = []
    executor: Executor = CallerRunsExecutor()
    executor.execute(lambda: ran.append(1))
    assert ran == [1]
    with pytest.raises(ZeroDivisionError):
        executor.execute(lambda: 1 / 0)


@pytest.mark.spec("CH-06")
def test_what_is_a_pooled_executor():
    assert isinstance(ThreadPoolTaskExecutor(core_pool_size=1), PooledExecutor)
    assert not isinstance(CallerRunsExecutor(), PooledExecutor)


class TestManualTaskScheduler:
    """The kit's own scheduler does what the contract says."""

    def test_tasks_run_at_their_time_and_in_their_order(self):
        scheduler, ran = ManualTaskScheduler(), []
        contract: TaskScheduler = scheduler
        for name, delay in (("c", 20), ("a", 10), ("b", 10)):
            contract.schedule(lambda name=name: ran.append((name, scheduler.now_ms())), delay)
        scheduler.advance(9)
        assert ran == []
        scheduler.advance(1)
        assert ran == [("a", 10), ("b", 10)]
        scheduler.advance(100)
        assert ran[-1] == ("c", 20)
        assert scheduler.now_ms() == 110

    def test_fixed_delay_goes_on_after_an_error(self, caplog):
        scheduler, ran = ManualTaskScheduler(), []

        def task():
            ran.append(scheduler.now_ms())
            raise ValueError("bad")

        scheduled = scheduler.schedule_with_fixed_delay(task, 10, initial_delay_ms=5)
        scheduler.advance(30)
        assert ran == [5, 15, 25]
        assert "Unexpected error" in caplog.text
        scheduled.cancel()
        scheduled.cancel()
        scheduler.advance(30)
        assert ran == [5, 15, 25]
        assert scheduler.pending == []

    def test_first_delay_is_the_delay(self):
        scheduler, ran = ManualTaskScheduler(), []
        scheduler.schedule_with_fixed_delay(lambda: ran.append(scheduler.now_ms()), 10)
        scheduler.advance(20)
        assert ran == [10, 20]

    def test_a_task_may_cancel_itself_and_schedule_others(self):
        scheduler, ran = ManualTaskScheduler(), []

        def once():
            ran.append("once")
            scheduled.cancel()
            scheduler.schedule(lambda: ran.append("other"), 0)

        scheduled = scheduler.schedule_with_fixed_delay(once, 10)
        scheduler.advance(10)
        assert ran == ["once", "other"]
        assert scheduler.pending == []
