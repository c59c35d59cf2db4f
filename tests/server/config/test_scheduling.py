from __future__ import annotations

import pytest
from kit.channels import HeldExecutor
from kit.scheduling import ManualTaskScheduler

from wellhead.messaging.exceptions import TaskRejectedError
from wellhead.server.config.scheduling import ApplicationExecutor, ApplicationTaskScheduler


@pytest.mark.spec("LIFE-01")
def test_before_the_start_nothing_can_be_scheduled():
    scheduler = ApplicationTaskScheduler()
    for schedule in (scheduler.schedule, scheduler.schedule_with_fixed_delay):
        with pytest.raises(RuntimeError, match="not started"):
            schedule(lambda: None, 1)
    assert scheduler.now_ms() <= scheduler.now_ms()


@pytest.mark.spec("LIFE-01")
def test_everything_goes_to_the_scheduler_of_the_runtime():
    scheduler, runtime, ran = ApplicationTaskScheduler(), ManualTaskScheduler(), []
    scheduler.delegate = runtime
    scheduler.schedule(lambda: ran.append("once"), 5)
    task = scheduler.schedule_with_fixed_delay(lambda: ran.append("again"), 10, initial_delay_ms=1)
    runtime.advance(20)
    assert ran == ["again", "once", "again"]
    assert scheduler.now_ms() == 20
    task.cancel()
    assert runtime.pending == []


@pytest.mark.spec("LIFE-01")
def test_an_executor_takes_tasks_once_the_application_is_started():
    executor, pool, ran = ApplicationExecutor(), HeldExecutor(), []
    with pytest.raises(TaskRejectedError, match="not started"):
        executor.execute(lambda: ran.append(1))
    executor.delegate = pool
    executor.execute(lambda: ran.append(2))
    assert ran == []
    pool.run_all()
    assert ran == [2]
