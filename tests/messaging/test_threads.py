import _thread
import os
import threading
import time

import pytest

from wellhead.messaging.exceptions import TaskRejectedError
from wellhead.messaging.threads import QUEUE_CAPACITY, ThreadPoolTaskExecutor

pytestmark = pytest.mark.spec("CH-06")

WAIT = 10


class Gate:
    """A task that says when it runs and waits until it may end."""

    def __init__(self):
        self.running = threading.Event()
        self.may_end = threading.Event()
        self.thread = None

    def __call__(self):
        self.thread = threading.current_thread().name
        self.running.set()
        assert self.may_end.wait(WAIT)


@pytest.fixture
def pool():
    """Makes executors and shuts them down; gates opened by then end."""
    made, gates = [], []

    class Made:
        def __call__(self, **options):
            made.append(ThreadPoolTaskExecutor(**options))
            return made[-1]

        def busy(self, executor):
            """Keep one more thread of the executor busy."""
            gate = Gate()
            gates.append(gate)
            executor.execute(gate)
            return gate

    yield Made()
    for gate in gates:
        gate.may_end.set()
    for executor in made:
        assert executor.shutdown()


def until(condition):
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_defaults():
    executor = ThreadPoolTaskExecutor()
    assert executor.core_pool_size == executor.max_pool_size == 2 * os.cpu_count()
    assert executor.queue_capacity == QUEUE_CAPACITY
    assert executor.keep_alive_seconds == 60
    assert executor.pool_size == 0


@pytest.mark.parametrize(
    "options",
    [{"core_pool_size": -1}, {"core_pool_size": 0}, {"core_pool_size": 2, "max_pool_size": 1}, {"queue_capacity": -1}],
)
def test_sizes_that_make_no_sense(options):
    with pytest.raises(ValueError, match="must"):
        ThreadPoolTaskExecutor(**options)


def test_first_the_core_then_the_queue_then_up_to_max_then_rejection(pool):
    executor = pool(core_pool_size=2, max_pool_size=3, queue_capacity=2)
    gates = [pool.busy(executor), pool.busy(executor)]
    assert (executor.pool_size, executor.queue_size) == (2, 0)
    gates += [pool.busy(executor), pool.busy(executor)]
    assert (executor.pool_size, executor.queue_size) == (2, 2)
    gates.append(pool.busy(executor))
    assert (executor.pool_size, executor.queue_size) == (3, 2)
    with pytest.raises(TaskRejectedError, match="All 3 threads are busy and 2 tasks are queued"):
        executor.execute(lambda: None)
    for busy in (gates[0], gates[1], gates[4]):
        assert busy.running.wait(WAIT)
    assert executor.active_count == 3
    assert not gates[2].running.is_set()
    for gate in gates:
        gate.may_end.set()
    until(lambda: executor.completed_task_count == 5)
    assert executor.queue_size == 0


def test_the_core_grows_although_a_thread_is_idle(pool):
    executor = pool(core_pool_size=2)
    executor.execute(lambda: None)
    until(lambda: executor.completed_task_count == 1 and executor.active_count == 0)
    pool.busy(executor)
    assert executor.pool_size == 2


def test_beyond_the_core_an_idle_thread_is_used_again(pool):
    executor = pool(core_pool_size=1, queue_capacity=0)
    for number in range(1, 50):
        executor.execute(lambda: None)
        until(lambda number=number: executor.completed_task_count == number and executor.active_count == 0)
    assert executor.pool_size == 1


def test_queued_tasks_run_in_order(pool):
    executor, ran = pool(core_pool_size=1), []
    gate = pool.busy(executor)
    for number in range(100):
        executor.execute(lambda number=number: ran.append(number))
    gate.may_end.set()
    until(lambda: executor.completed_task_count == 101)
    assert ran == list(range(100))


def test_without_a_core_the_first_task_gets_a_thread(pool):
    executor = pool(core_pool_size=0, max_pool_size=1)
    gate = pool.busy(executor)
    assert gate.running.wait(WAIT)
    assert executor.pool_size == 1


def test_core_threads_end_without_work(pool):
    executor = pool(core_pool_size=2, keep_alive_seconds=0)
    executor.execute(lambda: None)
    executor.execute(lambda: None)
    until(lambda: executor.pool_size == 0)
    executor.execute(lambda: None)
    until(lambda: executor.completed_task_count == 3)


def test_no_task_is_lost_when_threads_end_all_the_time(pool):
    executor, ran = pool(core_pool_size=2, keep_alive_seconds=0.0001), []
    for number in range(500):
        executor.execute(lambda number=number: ran.append(number))
        if number % 50 == 0:
            until(lambda: executor.pool_size == 0)
    until(lambda: len(ran) == 500)
    assert sorted(ran) == list(range(500))


def test_threads_have_names(pool):
    executor = pool(core_pool_size=2, thread_name_prefix="inbound-")
    gates = [pool.busy(executor), pool.busy(executor)]
    for gate in gates:
        assert gate.running.wait(WAIT)
    assert [gate.thread for gate in gates] == ["inbound-1", "inbound-2"]


@pytest.mark.spec("LOG-01")
@pytest.mark.parametrize("error", [ValueError("bad"), SystemExit(1)])
def test_errors_are_logged_and_the_thread_goes_on(pool, caplog, error):
    def fail():
        raise error

    executor, ran = pool(core_pool_size=1), []
    executor.execute(fail)
    executor.execute(lambda: ran.append(1))
    until(lambda: ran == [1])
    assert executor.pool_size == 1
    assert executor.completed_task_count >= 1
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "Unexpected error in task" in caplog.text


def test_shutdown_takes_no_more_tasks_and_finishes_those_taken(pool):
    executor, ran = pool(core_pool_size=1), []
    gate = pool.busy(executor)
    executor.execute(lambda: ran.append(1))
    assert executor.shutdown(wait_ms=0) is False
    assert executor.is_shutdown
    with pytest.raises(TaskRejectedError, match="shut down"):
        executor.execute(lambda: None)
    gate.may_end.set()
    assert executor.shutdown() is True
    assert ran == [1]
    assert (executor.pool_size, executor.queue_size) == (0, 0)


def test_shutdown_ends_idle_threads_at_once(pool):
    executor = pool(core_pool_size=3)
    for _ in range(3):
        executor.execute(lambda: None)
    until(lambda: executor.active_count == 0)
    assert executor.pool_size == 3
    assert executor.shutdown() is True


def test_shutdown_of_an_unused_executor():
    assert ThreadPoolTaskExecutor().shutdown(wait_ms=0) is True


class Primitives:
    """Counts what is used of it."""

    def __init__(self, *, may_start=True):
        self.started = 0
        self.locks = 0
        self.may_start = may_start

    def start_new_thread(self, function, arguments):
        if not self.may_start:
            raise RuntimeError("can't start new thread")
        self.started += 1
        return _thread.start_new_thread(function, arguments)

    def allocate_lock(self):
        self.locks += 1
        return _thread.allocate_lock()


def test_threads_and_locks_can_be_handed_in(pool):
    primitives = Primitives()
    executor = pool(core_pool_size=2, primitives=primitives, thread_name_prefix="native-")
    gates = [pool.busy(executor), pool.busy(executor)]
    for gate in gates:
        assert gate.running.wait(WAIT)
    assert {gate.thread for gate in gates} == {"native-1", "native-2"}
    assert (primitives.started, primitives.locks) == (2, 3)


def test_a_system_without_more_threads_rejects_the_task(pool):
    primitives = Primitives(may_start=False)
    executor = pool(core_pool_size=1, primitives=primitives)
    with pytest.raises(TaskRejectedError, match="can't start new thread"):
        executor.execute(lambda: None)
    assert executor.pool_size == 0
    primitives.may_start, ran = True, []
    executor.execute(lambda: ran.append(1))
    until(lambda: ran == [1])


class FailingStart(Primitives):
    """Refuses the first thread, after something else has happened."""

    def __init__(self, meanwhile):
        super().__init__()
        self.meanwhile = meanwhile

    def start_new_thread(self, function, arguments):
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is None:
            return super().start_new_thread(function, arguments)
        meanwhile()
        raise RuntimeError("can't start new thread")


@pytest.mark.spec("LOG-01")
def test_tasks_behind_a_thread_that_cannot_be_started_are_run_by_its_caller(pool, caplog):
    ran = []

    def run(name):
        ran.append((name, threading.get_ident()))

    def queue():
        executor.execute(lambda: run("second"))
        executor.execute(lambda: 1 / 0)
        executor.execute(lambda: run("fourth"))

    executor = pool(core_pool_size=1, primitives=FailingStart(queue), thread_name_prefix="pool-")
    executor.execute(lambda: run("first"))
    here = threading.get_ident()
    assert ran == [("first", here), ("second", here), ("fourth", here)]
    assert (executor.queue_size, executor.pool_size, executor.completed_task_count) == (0, 0, 4)
    assert [(record.levelname, record.getMessage()) for record in caplog.records][0] == (
        "WARNING",
        "pool-1: can't start new thread. Its caller runs 4 tasks",
    )
    assert "ZeroDivisionError" in caplog.text
    executor.execute(lambda: run("fifth"))
    until(lambda: len(ran) == 4)
    assert ran[-1][1] != here, "the next one gets a thread"


def test_shutdown_waits_for_what_a_caller_runs(pool):
    said = []
    executor = pool(core_pool_size=1, primitives=FailingStart(lambda: executor.execute(lambda: None)))
    executor.execute(lambda: said.append(executor.shutdown(wait_ms=0)))
    assert said == [False]
    assert executor.shutdown(wait_ms=0) is True


def test_tasks_behind_a_thread_that_cannot_be_started_are_left_to_another_thread(pool):
    ran = []

    def queue():
        gates.append(pool.busy(executor))
        assert gates[0].running.wait(WAIT)
        executor.execute(lambda: ran.append("queued"))

    gates = []
    executor = pool(core_pool_size=2, primitives=FailingStart(queue))
    with pytest.raises(TaskRejectedError, match="can't start new thread"):
        executor.execute(lambda: ran.append("rejected"))
    assert (executor.pool_size, executor.queue_size, ran) == (1, 1, [])
    gates[0].may_end.set()
    until(lambda: ran == ["queued"])


def test_a_caller_that_is_to_end_runs_the_other_tasks_first(pool):
    def end():
        raise SystemExit(7)

    ran = []
    executor = pool(core_pool_size=1, primitives=FailingStart(lambda: executor.execute(lambda: ran.append("second"))))
    with pytest.raises(SystemExit):
        executor.execute(end)
    assert ran == ["second"]
    assert executor.shutdown(wait_ms=0) is True


@pytest.mark.modes("patched", "unpatched")
def test_native_threads_beside_greenlets(pool):
    import gevent
    from gevent.monkey import get_original

    class Native:
        start_new_thread = staticmethod(get_original("_thread", "start_new_thread"))
        allocate_lock = staticmethod(get_original("_thread", "allocate_lock"))

    native_ident = get_original("_thread", "get_ident")
    executor, idents, blocked = pool(core_pool_size=2, primitives=Native()), [], Native.allocate_lock()
    blocked.acquire()

    def block():
        assert blocked.acquire(timeout=WAIT)
        blocked.release()
        idents.append(native_ident())

    executor.execute(block)
    executor.execute(block)
    gevent.idle()  # the hub goes on while both are blocked
    assert not idents
    blocked.release()
    assert executor.shutdown()
    assert len(set(idents)) == 2
    assert native_ident() not in idents
