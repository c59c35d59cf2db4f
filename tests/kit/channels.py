"""A channel that remembers what was sent, and an executor that waits to be told."""

from __future__ import annotations

from collections import deque
from typing import Any

from wellhead.messaging.executor import Executor, Task
from wellhead.messaging.message import Message
from wellhead.messaging.subscribable import ExecutorSubscribableChannel


class RecordingChannel(ExecutorSubscribableChannel):
    """A real channel, with interceptors and subscribers, that also keeps each message in ``messages``.

    ``accept`` False makes ``send`` return False, as after a veto, and the message goes to ``refused``; an ``error``
    is raised by each send, and the message goes to ``failed``.
    """

    def __init__(self, executor: Executor | None = None, *, name: str | None = None) -> None:
        super().__init__(executor, name=name)
        self.messages: list[Message[Any]] = []
        self.timeouts: list[int] = []
        self.refused: list[Message[Any]] = []
        self.failed: list[Message[Any]] = []
        self.accept = True
        self.error: Exception | None = None

    def _send_internal(self, message: Message[Any], timeout_ms: int) -> bool:
        if self.error is not None:
            self.failed.append(message)
            raise self.error
        if not self.accept:
            self.refused.append(message)
            return False
        self.messages.append(message)
        self.timeouts.append(timeout_ms)
        return super()._send_internal(message, timeout_ms)

    @property
    def last(self) -> Message[Any]:
        """The latest message."""
        return self.messages[-1]

    def take(self) -> list[Message[Any]]:
        """All messages so far; the next call gives those that came later."""
        taken, self.messages = self.messages, []
        return taken


class HeldExecutor:
    """Keeps tasks until they are run by hand."""

    def __init__(self) -> None:
        self.tasks: deque[Task] = deque()

    def execute(self, task: Task) -> None:
        self.tasks.append(task)

    def run_next(self) -> None:
        self.tasks.popleft()()

    def run_all(self) -> None:
        """Run what waits, and what is added meanwhile."""
        while self.tasks:
            self.run_next()
