"""Executors of the runtime: a pool of long-lived worker greenlets, and native threads beside a patched process (CH-06).

Spawning a greenlet costs more than everything else that is done with a message, so workers are kept and reused: one
callback of the loop hands all tasks of a turn to one worker after the other, each going on until it blocks.
"""

from __future__ import annotations

import logging
import sys
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any

from gevent import Greenlet, GreenletExit, get_hub  # type: ignore[import-untyped]  # no type information
from gevent.event import Event  # type: ignore[import-untyped]  # no type information
from gevent.monkey import get_original, is_module_patched  # type: ignore[import-untyped]  # no type information

from ...messaging.exceptions import TaskRejectedError, remark_on
from ...messaging.executor import Task
from ...messaging.threads import ThreadPoolTaskExecutor, ThreadPrimitives
from .flusher import LoopFlusher, allocate_lock
from .timers import ScheduledCall

logger = logging.getLogger(__name__)

_TASKS_PER_TURN = 64
"""After so many tasks in a row the loop looks at its sockets and timers before the next one."""


class GreenletExecutor:
    """A ``PooledExecutor`` of worker greenlets on one hub. Tasks may block; others then go on in other workers.

    As Java's pool: up to `core_pool_size` workers are made as needed, then tasks wait in the queue, and only when that
    is full up to `max_pool_size`. An idle worker is always preferred to a new one. `execute` may be called from any
    thread; with several threads at once the queue may exceed its capacity by a task for each of them.
    """

    __slots__ = (
        "core_pool_size",
        "max_pool_size",
        "queue_capacity",
        "keep_alive_seconds",
        "thread_name_prefix",
        "_flusher",
        "_hub",
        "_tasks",
        "_idle",
        "_size",
        "_made",
        "_active",
        "_completed",
        "_dispatching",
        "_budget",
        "_rest_timer",
        "_reaper",
        "_shut_down",
        "_waiters",
    )

    def __init__(
        self,
        *,
        core_pool_size: int = 256,
        max_pool_size: int | None = None,
        queue_capacity: int | None = None,
        keep_alive_seconds: float = 60.0,
        thread_name_prefix: str = "worker-",
        hub: Any = None,
    ) -> None:
        """
        core_pool_size: workers that are made before tasks have to queue; at least 1.
        max_pool_size: workers at most, with a full queue; None: as many as core_pool_size.
        queue_capacity: tasks that may wait; None: any number, and max_pool_size has no effect.
        keep_alive_seconds: how long a worker stays without work.
        hub: by default that of the calling thread, which then has to be the hub's own.
        """
        if core_pool_size < 1:
            raise ValueError(f"core_pool_size must be at least 1, not {core_pool_size}")
        if max_pool_size is not None and max_pool_size < core_pool_size:
            raise ValueError(f"max_pool_size {max_pool_size} is less than core_pool_size {core_pool_size}")
        self.core_pool_size = core_pool_size
        self.max_pool_size = core_pool_size if max_pool_size is None else max_pool_size
        self.queue_capacity = sys.maxsize if queue_capacity is None else queue_capacity
        self.keep_alive_seconds = keep_alive_seconds
        self.thread_name_prefix = thread_name_prefix
        self._hub = get_hub() if hub is None else hub
        self._flusher = LoopFlusher.of(self._hub)
        self._tasks: deque[Task] = deque()
        self._idle: list[_Worker] = []
        self._size = 0
        self._made = 0
        self._active = 0
        self._completed = 0
        self._dispatching = False
        self._budget = 0
        self._rest_timer = self._hub.loop.timer(0.0)
        self._reaper: ScheduledCall | None = None
        self._shut_down = False
        self._waiters: list[Callable[[], object]] = []

    @property
    def pool_size(self) -> int:
        """Workers that exist, idle ones included."""
        return self._size

    @property
    def active_count(self) -> int:
        """Workers that are in a task."""
        return self._active

    @property
    def queue_size(self) -> int:
        """Tasks that wait for a worker."""
        return len(self._tasks)

    @property
    def completed_task_count(self) -> int:
        """Tasks that have ended, with an error or without."""
        return self._completed

    def execute(self, task: Task) -> None:
        """Have *task* run by a worker, at the earliest when the caller gives way to the loop.

        Raises TaskRejectedError when there is no room or the executor is shut down.
        """
        tasks = self._tasks
        if self._shut_down or len(tasks) >= self.queue_capacity + len(self._idle) + self.max_pool_size - self._size:
            raise TaskRejectedError(self._why_rejected(task))
        tasks.append(task)
        # _dispatch clears the flag before it looks at the tasks, so what is appended while it is set will be seen.
        if not self._dispatching:
            self._dispatching = True
            if self._flusher.on_loop_thread:
                self._hub.loop.run_callback(self._dispatch)
            else:
                self._hub.loop.run_callback_threadsafe(self._dispatch)

    def shutdown(self, *, wait_ms: int = 10_000) -> bool:
        """Take no more tasks and wait for those taken; False when some still ran after *wait_ms*.

        From any thread and any greenlet but the hub's own, where *wait_ms* must be 0. Calling it again waits again.
        """
        self._shut_down = True
        flusher = self._flusher
        if not flusher.on_loop_thread:
            done = allocate_lock()
            done.acquire()
            flusher.hand_over(self._when_empty, done.release)
            return done.acquire(timeout=max(0, wait_ms) / 1000.0)
        event = Event()
        self._when_empty(event.set)
        return bool(event.is_set() or (wait_ms > 0 and event.wait(wait_ms / 1000.0)))

    def _why_rejected(self, task: Task) -> str:
        name = self.thread_name_prefix
        if self._shut_down:
            return f"Executor {name} is shut down: did not take {task!r}"
        return f"Executor {name} is full ({self._size} workers, {len(self._tasks)} tasks wait): did not take {task!r}"

    def _dispatch(self) -> None:
        """In the hub: let workers run what waits. A worker comes back when it is idle again, or when it blocks."""
        self._dispatching = False
        self._budget = _TASKS_PER_TURN
        tasks = self._tasks
        while tasks and self._budget > 0:
            worker = self._idle.pop() if self._idle else self._new_worker()
            if worker is None:
                return  # All are busy: the first to finish its task goes on with these.
            worker.switch()
        if tasks and not self._dispatching:
            self._dispatching = True
            # A callback would run before the loop looks at its sockets; a timer that is due at once runs after.
            self._rest_timer.start(self._dispatch)

    def _new_worker(self) -> _Worker | None:
        size = self._size
        if size >= self.core_pool_size and (size >= self.max_pool_size or len(self._tasks) <= self.queue_capacity):
            return None
        self._size = size + 1
        self._made += 1
        return _Worker(self, f"{self.thread_name_prefix}{self._made}")

    def _work(self, worker: _Worker) -> None:
        """The life of a worker: tasks until there are none, then idle; ends when switched to without any."""
        tasks = self._tasks
        park = self._hub.switch
        while True:
            while tasks:
                task = tasks.popleft()
                self._active += 1
                try:
                    task()
                except BaseException as error:
                    self._log_error(task, error)
                self._active -= 1
                self._completed += 1
                self._budget -= 1
                if self._budget <= 0:
                    break
            task = _let_go  # An idle worker must not keep its last task alive.
            if self._shut_down and not tasks:
                return
            if tasks and not self._dispatching:
                # Out of turn, after having blocked: _dispatch goes on once the loop has looked at its sockets.
                self._dispatching = True
                self._rest_timer.start(self._dispatch)
            worker.idle_since = monotonic()
            self._idle.append(worker)
            if self._reaper is None:
                self._reaper = self._flusher.call_later(self._reap, self.keep_alive_seconds * 1000.0)
            park()
            if worker.retired:
                return

    def _log_error(self, task: Task, error: BaseException) -> None:
        """The border to the task: the worker survives whatever comes out of it."""
        if isinstance(error, GreenletExit):
            logger.debug("Task %r was killed", task)
        elif not isinstance(error, KeyboardInterrupt):
            logger.error("Error in task %r%s", task, remark_on(error), exc_info=error)
        else:  # It ends the program, not the worker.
            self._hub.loop.run_callback(self._hub.handle_system_error, type(error), error)

    def _gone(self, worker: _Worker) -> None:
        self._size -= 1
        if worker in self._idle:  # It was killed while idle.
            self._idle.remove(worker)
        if self._shut_down:
            self._tell_waiters()

    def _when_empty(self, tell: Callable[[], object]) -> None:
        for worker in self._idle:
            worker.retire()
        self._idle.clear()
        self._waiters.append(tell)
        self._tell_waiters()

    def _tell_waiters(self) -> None:
        if not self._tasks and not self._active:
            waiters, self._waiters = self._waiters, []
            for tell in waiters:
                tell()

    def _reap(self) -> None:
        """End the workers that were idle for long enough; the most recently used are at the end of the list."""
        self._reaper = None
        now, idle = monotonic(), self._idle
        stay = [worker for worker in idle if now - worker.idle_since < self.keep_alive_seconds]
        for worker in idle[: len(idle) - len(stay)]:
            worker.retire()
        idle[:] = stay
        if stay:
            rest = self.keep_alive_seconds - (now - stay[0].idle_since)
            self._reaper = self._flusher.call_later(self._reap, rest * 1000.0)


class _Worker(Greenlet):  # type: ignore[misc]  # gevent has no type information
    """A greenlet that runs tasks of one executor."""

    idle_since = 0.0
    retired = False

    def __init__(self, executor: GreenletExecutor, name: str) -> None:
        Greenlet.__init__(self)
        self.name = name
        self._executor = executor

    def retire(self) -> None:
        """End this worker, which is idle."""
        self.retired = True
        self.parent.loop.run_callback(self.switch)

    def _run(self) -> None:
        if is_module_patched("threading"):
            import threading

            threading.current_thread().name = self.name  # For the log.
        try:
            self._executor._work(self)
        finally:
            self._executor._gone(self)


def _let_go() -> None:
    return None


class _NativePrimitives:
    """The functions of module ``_thread`` as they were before gevent patched it."""

    def __init__(self) -> None:
        self.start_new_thread: Callable[..., object] = get_original("_thread", "start_new_thread")
        self.allocate_lock: Callable[[], Any] = get_original("_thread", "allocate_lock")


def native_primitives() -> ThreadPrimitives:
    """What makes native threads also when gevent has patched, for ``ThreadPoolTaskExecutor``."""
    return _NativePrimitives()


class NativeThreadExecutor(ThreadPoolTaskExecutor):
    """A ``PooledExecutor`` of native threads, also when gevent has patched: for drivers that block in C code.

    Options as of ``ThreadPoolTaskExecutor``. What a task calls must not expect gevent: each thread that uses something
    patched gets a hub of its own.
    """

    def __init__(self, **limits: Any) -> None:
        ThreadPoolTaskExecutor.__init__(self, primitives=native_primitives(), **limits)
