"""The mutex of a session's attributes, between greenlets and between threads."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import gevent
import pytest
from gevent.monkey import get_original

from wellhead.messaging.simp.mutex import SessionMutex

pytestmark = pytest.mark.spec("SCOPE-01")

WAIT = 10
start_native_thread = get_original("_thread", "start_new_thread")
native_lock = get_original("_thread", "allocate_lock")


class NativeThread:
    """Runs a function in a native thread, in every mode."""

    def __init__(self, function: Any) -> None:
        self._function = function
        self._running = native_lock()
        self._running.acquire()
        self.value: Any = None
        start_native_thread(self._run, ())

    def _run(self) -> None:
        try:
            self.value = self._function()
        finally:
            self._running.release()

    def join(self) -> Any:
        """Lets greenlets run meanwhile."""
        with gevent.Timeout(WAIT):
            while not self._running.acquire(False):
                gevent.sleep(0.001)
        return self.value


def test_its_holder_takes_it_again_and_gives_it_back_as_often():
    mutex = SessionMutex()
    with mutex, mutex:
        assert mutex.acquire()
        mutex.release()
    with pytest.raises(RuntimeError, match="not held here"):
        mutex.release()


def test_two_greenlets_of_a_thread_are_kept_apart():
    mutex, log = SessionMutex(), []

    def work(name: str) -> None:
        with mutex:
            log.append(f"{name} in")
            gevent.sleep(0.01)
            log.append(f"{name} out")

    gevent.joinall([gevent.spawn(work, name) for name in "ab"], timeout=WAIT, raise_error=True)
    assert log in (["a in", "a out", "b in", "b out"], ["b in", "b out", "a in", "a out"])


def test_a_greenlet_does_not_release_what_another_one_holds():
    mutex = SessionMutex()
    with mutex:
        other = gevent.spawn(mutex.release)
        other.join(WAIT)
        assert isinstance(other.exception, RuntimeError)
        assert gevent.spawn(mutex.acquire, False).get(timeout=WAIT) is False


def test_the_loop_goes_on_while_a_greenlet_waits_for_a_native_thread():
    mutex, may_end, holds = SessionMutex(), native_lock(), native_lock()
    may_end.acquire()
    holds.acquire()

    def hold() -> None:
        with mutex:
            holds.release()
            may_end.acquire(True, WAIT)

    thread = NativeThread(hold)
    assert holds.acquire(True, WAIT)
    waiting = gevent.spawn(mutex.acquire)
    gevent.spawn(may_end.release).join(WAIT)  # runs only if the one that waits lets it
    assert waiting.get(timeout=WAIT) is True
    thread.join()


def test_a_native_thread_waits_for_a_greenlet():
    mutex = SessionMutex()
    with mutex:
        thread = NativeThread(mutex.acquire)
        gevent.sleep(0.005)
        assert thread.value is None
    assert thread.join() is True


@pytest.mark.parametrize("timeout", [0, 0.002])
def test_waiting_ends_in_time(timeout):
    mutex = SessionMutex()
    with mutex:
        assert gevent.spawn(mutex.acquire, timeout=timeout).get(timeout=WAIT) is False
        assert NativeThread(lambda: mutex.acquire(timeout=timeout)).join() is False
    assert gevent.spawn(mutex.acquire, timeout=timeout).get(timeout=WAIT) is True


def test_many_threads_with_greenlets_lose_no_step():
    mutex, total = SessionMutex(), [0]

    def step() -> None:
        for _ in range(50):
            with mutex:
                before = total[0]
                gevent.sleep(0)
                total[0] = before + 1

    def steps() -> None:
        gevent.joinall([gevent.spawn(step) for _ in range(3)], raise_error=True)
        gevent.get_hub().destroy()

    threads = [NativeThread(steps) for _ in range(3)]
    gevent.joinall([gevent.spawn(step) for _ in range(3)], timeout=WAIT, raise_error=True)
    for thread in threads:
        thread.join()
    assert total == [600]


def test_without_gevent_it_is_a_lock_of_threads():
    code = """
import sys, threading
from wellhead.messaging.simp.mutex import SessionMutex
mutex, got = SessionMutex(), []
with mutex, mutex:
    thread = threading.Thread(target=lambda: got.append((mutex.acquire(False), mutex.acquire(timeout=0.001))))
    thread.start()
    thread.join()
thread = threading.Thread(target=lambda: got.append(mutex.acquire(timeout=10)))
thread.start()
thread.join()
print(got, [name for name in ("gevent", "greenlet") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert (done.stdout, done.stderr) == ("[(False, False), True] []\n", "")
