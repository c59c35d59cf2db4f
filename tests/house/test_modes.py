"""What the modes of the suite promise."""

from __future__ import annotations

import threading

import gevent
import pytest
from gevent import monkey
from kit.mode import MODE

from wellhead.server.runtime.executors import native_primitives


def where_a_task_runs(executor) -> tuple[object, int]:
    """The greenlet and the native thread, as told by a task of *executor*."""
    answers: list[tuple[object, int]] = []
    done = threading.Event()

    def task() -> None:
        answers.append((gevent.getcurrent(), monkey.get_original("_thread", "get_ident")()))
        done.set()

    executor.execute(task)
    if MODE == "threads":
        assert done.wait(30)
    else:
        with gevent.Timeout(30):
            while not answers:
                gevent.sleep(0)
    return answers[0]


def test_tasks_run_in_the_workers_of_the_mode(executor):
    greenlet, thread = where_a_task_runs(executor)
    assert greenlet is not gevent.getcurrent()
    assert (thread == monkey.get_original("_thread", "get_ident")()) == (MODE != "threads")


@pytest.mark.modes("patched")
def test_the_standard_library_is_patched():
    assert monkey.is_module_patched("socket")
    assert monkey.is_module_patched("threading")
    assert type(threading.Lock()) is not type(native_primitives().allocate_lock())


@pytest.mark.modes("unpatched", "threads")
def test_nothing_has_patched_the_standard_library():
    assert not any(monkey.is_module_patched(name) for name in ("socket", "threading", "time", "ssl", "queue", "select"))
