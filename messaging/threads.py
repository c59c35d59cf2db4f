"""A pool of native threads: the executor for handlers that block in C code (CH-06)."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from .exceptions import TaskRejectedError
from .executor import Task

logger = logging.getLogger(__name__)

QUEUE_CAPACITY = 10_000
"""At 1 KiB for a waiting message with its headers this is 10 MiB, and minutes of work: more than that is
overload, not a burst.
"""

_POLL_SECONDS = 0.005


class ThreadPrimitives(Protocol):
    """Starts threads and makes locks, as the module ``_thread`` does: how a patched process hands in the native
    ones.
    """

    @property
    def start_new_thread(self) -> Callable[[Callable[[], object], tuple[()]], object]: ...

    @property
    def allocate_lock(self) -> Callable[[], Any]: ...


def default_core_pool_size() -> int:
    """Twice the number of CPUs."""
    return (os.cpu_count() or 1) * 2


class ThreadPoolTaskExecutor:
    """Runs tasks in threads: first up to *core_pool_size* of them, then tasks queue, then threads up to
    *max_pool_size*.

    A task beyond that, or after ``shutdown``, raises TaskRejectedError (and a channel runs it in the sender's
    thread), and so does one that the system has no thread for. A thread without work for *keep_alive_seconds* ends, the
    core's too. Errors of tasks are logged. The threads do not keep the process alive.

    No task that was taken is lost: where others have queued behind a thread that then could not be started, and there
    is no other thread, whoever called ``execute`` for that one runs all of them.

    *max_pool_size* None means *core_pool_size*. With *queue_capacity* 0 nothing waits: a task finds an idle thread,
    gets a new one, or is rejected. *primitives* None means the ``threading`` module as it is when the executor is
    made; handing in native ones makes native threads in a process where that module was patched. Any thread and any
    greenlet may call ``execute``: it holds one lock for a few instructions and never waits for a worker.
    """

    # Differs from Spring: neither the queue nor, where the queue is full, the number of threads is unbounded by
    # default.

    def __init__(
        self,
        *,
        core_pool_size: int | None = None,
        max_pool_size: int | None = None,
        queue_capacity: int = QUEUE_CAPACITY,
        keep_alive_seconds: float = 60,
        thread_name_prefix: str = "ThreadPoolTaskExecutor-",
        primitives: ThreadPrimitives | None = None,
    ) -> None:
        self.core_pool_size = default_core_pool_size() if core_pool_size is None else core_pool_size
        self.max_pool_size = self.core_pool_size if max_pool_size is None else max_pool_size
        if self.core_pool_size < 0 or self.max_pool_size < max(1, self.core_pool_size):
            raise ValueError("max_pool_size must be positive and not less than core_pool_size")
        if queue_capacity < 0:
            raise ValueError("queue_capacity must not be negative")
        self.queue_capacity = queue_capacity
        self.keep_alive_seconds = min(keep_alive_seconds, threading.TIMEOUT_MAX)
        self.thread_name_prefix = thread_name_prefix
        self._primitives = primitives
        self._allocate_lock: Callable[[], Any] = primitives.allocate_lock if primitives is not None else threading.Lock
        self._guard: Any = self._allocate_lock()
        """Guards everything below; held for a few instructions, never while a task or an idle thread's wait runs."""
        self._queue: deque[Task] = deque()
        self._idle: list[_Worker] = []  # the one that went idle last is used first, so that the others can end
        self._pool_size = 0
        self._runs_elsewhere = 0  # callers of ``execute`` that run what no thread could be started for
        self._started = 0
        self._completed = 0
        self._is_shutdown = False

    # -- numbers

    @property
    def pool_size(self) -> int:
        """Threads there are."""
        return self._pool_size

    @property
    def active_count(self) -> int:
        """Threads that run a task."""
        with self._guard:
            return self._pool_size - len(self._idle)

    @property
    def queue_size(self) -> int:
        """Tasks that wait for a thread."""
        return len(self._queue)

    @property
    def completed_task_count(self) -> int:
        """Tasks that ended, with an error or without."""
        return self._completed

    @property
    def is_shutdown(self) -> bool:
        return self._is_shutdown

    # -- operations

    def execute(self, task: Task) -> None:
        """Run *task* in one of the threads.

        Raises TaskRejectedError when there is no room, the system has no more threads, or the executor is shut down.
        """
        with self._guard:
            worker = self._place(task)
        if worker is not None:
            self._start(worker)

    def shutdown(self, *, wait_ms: int = 10_000) -> bool:
        """Take no more tasks and wait for those taken, the queued ones too; False when some still ran after *wait_ms*.

        Twice waits again. Must not be called from a task of this executor with a wait: that task would wait for itself.
        """
        with self._guard:
            self._is_shutdown = True
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.wake(None)
        deadline = time.monotonic() + wait_ms / 1000
        # Polled, because a waiting native lock would stop a greenlet's whole thread.
        while self._pool_size or self._runs_elsewhere:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    # -- with the guard held

    def _place(self, task: Task) -> _Worker | None:
        """Find a place for *task*; returns a new worker to start, if that is the place."""
        if self._is_shutdown:
            raise TaskRejectedError("The executor is shut down")
        if self._pool_size < self.core_pool_size:
            return self._new_worker(task)
        if self._idle:
            self._idle.pop().wake(task)
            return None
        if len(self._queue) < self.queue_capacity and self._pool_size:
            self._queue.append(task)
            return None
        if self._pool_size < self.max_pool_size:
            return self._new_worker(task)
        raise TaskRejectedError(f"All {self._pool_size} threads are busy and {len(self._queue)} tasks are queued")

    def _new_worker(self, task: Task) -> _Worker:
        self._pool_size += 1
        self._started += 1
        return _Worker(self, task, f"{self.thread_name_prefix}{self._started}")

    # -- workers

    def _start(self, worker: _Worker) -> None:
        try:
            if self._primitives is None:
                threading.Thread(target=worker.run, name=worker.name, daemon=True).start()
            else:
                self._primitives.start_new_thread(worker.run_native, ())
        except RuntimeError as error:  # the system has no more threads
            stranded = self._give_up(worker)
            if not stranded:
                raise TaskRejectedError(str(error)) from error
            logger.warning("%s: %s. Its caller runs %d tasks", worker.name, error, len(stranded))
            self._run_here(stranded)

    def _give_up(self, worker: _Worker) -> list[Task]:
        """Take out a worker that was not started; returns its task and those behind it if no other worker is there."""
        with self._guard:
            stranded: list[Task] = []
            if self._pool_size == 1 and self._queue and worker.task is not None:
                stranded = [worker.task, *self._queue]
                self._queue.clear()
                self._runs_elsewhere += 1  # before the other: shutdown reads them without the guard
            self._pool_size -= 1
            return stranded

    def _run_here(self, tasks: list[Task]) -> None:
        ended: BaseException | None = None
        for task in tasks:
            try:
                task()
            except Exception:  # as in a thread of the pool
                logger.exception("Unexpected error in task %s", task)
            except BaseException as error:  # this thread or greenlet is to end: not before the others had their turn
                ended = error
        with self._guard:
            self._completed += len(tasks)
            self._runs_elsewhere -= 1
        if ended is not None:
            raise ended

    def _next_task(self, worker: _Worker) -> Task | None:
        """After a task: the next one, waiting for it; None tells the worker to end."""
        with self._guard:
            self._completed += 1
            if self._queue:
                return self._queue.popleft()
            if self._is_shutdown:
                self._pool_size -= 1
                return None
            self._idle.append(worker)
        woken = worker.park(self.keep_alive_seconds)
        with self._guard:
            if not woken and worker in self._idle:
                self._idle.remove(worker)
                self._pool_size -= 1
                return None
            if not woken:
                worker.park(-1)  # the task came together with the end of the wait: the wake-up is there already
            if worker.task is None:
                self._pool_size -= 1
            return worker.task


class _Worker:
    """One thread of the pool and the place where it waits."""

    __slots__ = ("_executor", "_parked", "name", "task")

    def __init__(self, executor: ThreadPoolTaskExecutor, task: Task, name: str) -> None:
        self._executor = executor
        self._parked: Any = executor._allocate_lock()
        self._parked.acquire()
        self.task: Task | None = task
        self.name = name

    def wake(self, task: Task | None) -> None:
        """Hand over a task, or None to end. Only for a worker that was taken out of the idle ones."""
        self.task = task
        self._parked.release()

    def park(self, seconds: float) -> bool:
        """Wait for ``wake``; False when it did not come in time. Negative: for ever."""
        woken: bool = self._parked.acquire(True, seconds)
        return woken

    def run_native(self) -> None:
        threading.current_thread().name = self.name
        self.run()

    def run(self) -> None:
        task = self.task
        while task is not None:
            self.task = None
            try:
                task()
            except BaseException:  # the thread is the pool's: not even SystemExit of a task may end it
                logger.exception("Unexpected error in task %s of %s", task, self.name)
            task = None  # do not keep what the task holds while waiting
            task = self._executor._next_task(self)
