"""A channel that keeps messages until somebody takes them: the receiving side of the interceptors (CH-01).

No station of the flow needs it; templates that receive (TPL-02) and tests do.
"""

from __future__ import annotations

import logging
import queue
from typing import Any

from .channel import INDEFINITE_TIMEOUT, ChannelInterceptor
from .interceptable import AbstractMessageChannel
from .message import Message

logger = logging.getLogger(__name__)


class QueueChannel(AbstractMessageChannel):
    """A bounded queue of messages.

    When it is full, ``send`` waits for up to its timeout and then returns False; ``receive`` waits likewise and
    returns None. The default capacity is what a program that receives by hand can be expected to fall behind.
    """

    def __init__(self, capacity: int = 1_000, *, name: str | None = None) -> None:
        if capacity < 1:
            raise ValueError("The capacity must be positive")
        super().__init__(name)
        self._queue: queue.Queue[Message[Any]] = queue.Queue(capacity)

    @property
    def queue_size(self) -> int:
        return self._queue.qsize()

    def receive(self, timeout_ms: int = INDEFINITE_TIMEOUT) -> Message[Any] | None:
        """The next message, or None when none came in time or an interceptor aborted."""
        interceptors, passed = self._interceptors, 0
        message: Message[Any] | None = None
        try:
            for interceptor in interceptors:
                if not interceptor.pre_receive(self):
                    self._complete_receive(interceptors[:passed], None, None)
                    return None
                passed += 1
            message = self._take(timeout_ms)
            if message is not None:
                message = self._apply_post_receive(interceptors, message)
        except BaseException as error:
            self._complete_receive(interceptors[:passed], message, error)
            raise
        self._complete_receive(interceptors, message, None)
        return message

    def _apply_post_receive(
        self, interceptors: tuple[ChannelInterceptor, ...], message: Message[Any]
    ) -> Message[Any] | None:
        for interceptor in interceptors:
            changed = interceptor.post_receive(message, self)
            if changed is None:
                return None
            message = changed
        return message

    def _complete_receive(
        self, passed: tuple[ChannelInterceptor, ...], message: Message[Any] | None, error: BaseException | None
    ) -> None:
        for interceptor in reversed(passed):
            try:
                interceptor.after_receive_completion(message, self, error)
            except Exception:  # the message is taken: a failing hook must not say otherwise
                logger.exception("Exception from after_receive_completion of %s", interceptor)

    def _take(self, timeout_ms: int) -> Message[Any] | None:
        try:
            return self._queue.get(timeout_ms != 0, timeout_ms / 1000 if timeout_ms > 0 else None)
        except queue.Empty:
            return None

    def _send_internal(self, message: Message[Any], timeout_ms: int) -> bool:
        try:
            self._queue.put(message, timeout_ms != 0, timeout_ms / 1000 if timeout_ms > 0 else None)
        except queue.Full:
            return False
        return True
