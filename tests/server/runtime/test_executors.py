"""The pool of worker greenlets, and native threads beside it (CH-06)."""

from __future__ import annotations

import threading
from asyncio import CancelledError
from collections.abc import Callable, Iterator

import gevent
import pytest
from gevent.event import Event
from gevent.monkey import get_original

from wellhead.messaging.exceptions import TaskRejectedError
from wellhead.messaging.executor import PooledExecutor
from wellhead.server.runtime.executors import GreenletExecutor, NativeThreadExecutor

TIMEOUT = 10
MakeExecutor = Callable[..., GreenletExecutor]


@pytest.fixture
def make() -> Iterator[MakeExecutor]:
    made: list[GreenletExecutor] = []

    def make(**options: int) -> GreenletExecutor:
        made.append(GreenletExecutor(thread_name_prefix="test-", **options))  # type: ignore[arg-type]  # all are ints
        return made[-1]

    yield make
    for executor in made:
        assert executor.shutdown()
        settle(executor)
        assert executor.pool_size == 0


def settle(executor: GreenletExecutor) -> None:
    """Let the pool do what it can without being released."""
    done = Event()
    gevent.get_hub().loop.run_callback(executor._hub.loop.run_callback, done.set)
    assert done.wait(TIMEOUT)


@pytest.mark.spec("CH-06")
def test_tasks_run_in_order_when_the_caller_gives_way(make: MakeExecutor) -> None:
    executor: PooledExecutor = make()
    log: list[int] = []
    for number in range(200):
        executor.execute(lambda number=number: log.append(number))  # type: ignore[misc]  # bound now
    assert log == []
    assert executor.queue_size == 200
    done = Event()
    executor.execute(done.set)
    assert done.wait(TIMEOUT)
    assert log == list(range(200))
    assert executor.queue_size == 0


@pytest.mark.spec("CH-06")
def test_one_worker_does_for_tasks_that_do_not_block(make: MakeExecutor) -> None:
    executor = make(core_pool_size=8)
    done = Event()
    for _ in range(100):
        executor.execute(lambda: None)
    executor.execute(done.set)
    assert done.wait(TIMEOUT)
    settle(executor)
    assert executor.pool_size == 1
    assert executor.completed_task_count == 101


@pytest.mark.spec("CH-06")
def test_a_blocked_task_holds_up_no_other(make: MakeExecutor) -> None:
    executor = make(core_pool_size=3)
    released, done = Event(), Event()
    executor.execute(released.wait)
    executor.execute(released.wait)
    executor.execute(done.set)
    assert done.wait(TIMEOUT)
    assert executor.active_count == 2
    assert executor.pool_size == 3
    released.set()


@pytest.mark.spec("CH-06")
def test_workers_are_used_again(make: MakeExecutor) -> None:
    executor = make()
    workers: set[object] = set()
    for _ in range(5):
        done = Event()
        executor.execute(lambda done=done: (workers.add(gevent.getcurrent()), done.set()))  # type: ignore[misc]
        assert done.wait(TIMEOUT)
        settle(executor)
    assert len(workers) == 1


@pytest.mark.spec("CH-06")
@pytest.mark.parametrize("core, most, queue", [(1, 1, 0), (1, 1, 1), (1, 2, 1), (2, 4, 3), (2, 2, 2)])
def test_tasks_queue_after_the_core_and_workers_grow_after_the_queue(
    make: MakeExecutor, core: int, most: int, queue: int
) -> None:
    executor = make(core_pool_size=core, max_pool_size=most, queue_capacity=queue)
    released = Event()
    for number in range(1, most + queue + 1):
        executor.execute(released.wait)
        settle(executor)
        expected = min(core, number) + max(0, number - core - queue)
        assert executor.pool_size == executor.active_count == expected
        assert executor.queue_size == number - expected
    with pytest.raises(TaskRejectedError, match="test- is full"):
        executor.execute(released.wait)
    released.set()


@pytest.mark.spec("CH-06")
def test_the_limit_counts_within_one_turn(make: MakeExecutor) -> None:
    executor = make(core_pool_size=2, queue_capacity=3)
    released = Event()
    for _ in range(5):
        executor.execute(released.wait)
    with pytest.raises(TaskRejectedError):
        executor.execute(released.wait)
    released.set()


@pytest.mark.spec("CH-06")
def test_an_error_is_logged_and_the_worker_goes_on(make: MakeExecutor, caplog: pytest.LogCaptureFixture) -> None:
    executor = make(core_pool_size=1)
    done = Event()
    executor.execute(lambda: 1 / 0)
    executor.execute(done.set)
    assert done.wait(TIMEOUT)
    settle(executor)
    assert "ZeroDivisionError" in caplog.text
    assert executor.completed_task_count == 2
    assert executor.active_count == 0


class RustPanic(BaseException):
    """As extensions written in Rust raise it."""


@pytest.mark.spec("CH-06", "LOG-01")
@pytest.mark.parametrize(
    "error",
    [gevent.Timeout(1), CancelledError(), GeneratorExit(), SystemExit(3), RustPanic("panic")],
    ids=lambda error: type(error).__name__,
)
def test_what_is_no_exception_does_not_get_out_of_the_worker(
    make: MakeExecutor, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    def fail() -> None:
        raise error

    executor = make(core_pool_size=1)
    done = Event()
    executor.execute(fail)
    executor.execute(done.set)
    assert done.wait(TIMEOUT)
    settle(executor)  # Whatever was thrown into this greenlet would come here.
    [record] = caplog.records
    assert record.levelname == "ERROR"
    assert record.exc_info is not None and record.exc_info[1] is error
    assert ("SystemExit(3) from an application's code" in record.getMessage()) is isinstance(error, SystemExit)
    assert executor.pool_size == 1


@pytest.mark.spec("CH-06")
def test_an_interrupt_goes_to_the_main_greenlet(make: MakeExecutor) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    executor = make(core_pool_size=1)
    executor.execute(interrupt)
    with pytest.raises(KeyboardInterrupt):
        Event().wait(TIMEOUT)


@pytest.mark.spec("CH-06")
def test_a_killed_task_does_not_cost_a_worker(make: MakeExecutor) -> None:
    executor = make(core_pool_size=1)
    begun, done = Event(), Event()
    workers: list[gevent.Greenlet] = []
    executor.execute(lambda: (workers.append(gevent.getcurrent()), begun.set(), Event().wait()))
    assert begun.wait(TIMEOUT)
    gevent.kill(workers[0])
    executor.execute(done.set)
    assert done.wait(TIMEOUT)


@pytest.mark.spec("CH-06")
def test_a_killed_idle_worker_is_replaced(make: MakeExecutor) -> None:
    executor = make(core_pool_size=1)
    done = Event()
    workers: list[gevent.Greenlet] = []
    executor.execute(lambda: workers.append(gevent.getcurrent()))
    settle(executor)
    workers[0].kill()
    assert executor.pool_size == 0
    executor.execute(done.set)
    assert done.wait(TIMEOUT)


@pytest.mark.spec("CH-06")
def test_idle_workers_end_after_their_time(make: MakeExecutor) -> None:
    executor = make(core_pool_size=4, keep_alive_seconds=0)
    released = Event()
    for _ in range(4):
        executor.execute(released.wait)
    settle(executor)
    assert executor.pool_size == 4
    released.set()
    with gevent.Timeout(TIMEOUT):
        while executor.pool_size:
            settle(executor)


@pytest.mark.spec("CH-06")
def test_shutdown_takes_nothing_more_and_waits_for_what_was_taken(make: MakeExecutor) -> None:
    executor = make(core_pool_size=1)
    log: list[str] = []
    begun, released = Event(), Event()
    executor.execute(lambda: (begun.set(), released.wait(), log.append("first")))
    executor.execute(lambda: log.append("second"))
    assert begun.wait(TIMEOUT)
    assert not executor.shutdown(wait_ms=1)
    with pytest.raises(TaskRejectedError, match="shut down"):
        executor.execute(lambda: None)
    gevent.spawn_raw(released.set)
    assert executor.shutdown()
    assert log == ["first", "second"]
    assert executor.shutdown(wait_ms=0)


@pytest.mark.spec("CH-06")
def test_native_threads_may_hand_over_and_shut_down(make: MakeExecutor) -> None:
    executor = make()
    log: list[int] = []

    def produce() -> bool:
        for number in range(1000):
            executor.execute(lambda number=number: log.append(number))  # type: ignore[misc]  # bound now
        return executor.shutdown(wait_ms=TIMEOUT * 1000)

    assert gevent.get_hub().threadpool.apply(produce)
    assert log == list(range(1000))


@pytest.mark.spec("CH-06")
def test_the_loop_gets_its_turn_between_many_tasks(make: MakeExecutor) -> None:
    executor = make()
    done, stop = Event(), Event()

    def again() -> None:
        if not stop.is_set():
            executor.execute(again)

    again()
    timer = gevent.get_hub().loop.timer(0.0)
    timer.start(done.set)
    assert done.wait(TIMEOUT)
    stop.set()
    timer.close()


@pytest.mark.spec("CH-06")
def test_workers_carry_the_prefix(make: MakeExecutor) -> None:
    executor = make()
    names: list[str] = []
    done = Event()
    executor.execute(lambda: (names.append(gevent.getcurrent().name), done.set()))
    assert done.wait(TIMEOUT)
    assert names == ["test-1"]


@pytest.mark.spec("CH-06")
def test_the_log_shows_the_workers_name_where_gevent_has_patched(make: MakeExecutor) -> None:
    executor = make()
    names: list[str] = []
    done = Event()
    executor.execute(lambda: (names.append(threading.current_thread().name), done.set()))
    assert done.wait(TIMEOUT)
    patched = gevent.monkey.is_module_patched("threading")
    assert names == ["test-1" if patched else threading.current_thread().name]


@pytest.mark.spec("CH-06")
@pytest.mark.parametrize("limits", [{"core_pool_size": 0}, {"core_pool_size": 3, "max_pool_size": 2}])
def test_limits_that_make_no_sense_are_refused(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="pool_size"):
        GreenletExecutor(**limits)  # type: ignore[arg-type]  # all are ints


@pytest.mark.spec("CH-06")
def test_native_threads_are_native_in_every_mode() -> None:
    get_ident = get_original("_thread", "get_ident")
    executor = NativeThreadExecutor(core_pool_size=2, thread_name_prefix="native-")
    idents: list[int] = []
    executor.execute(lambda: idents.append(get_ident()))
    assert executor.shutdown()
    assert len(idents) == 1
    assert idents[0] != get_ident()
