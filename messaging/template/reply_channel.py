"""The channel that a request's reply comes back through (TPL-02)."""

from __future__ import annotations

import logging
import threading
from typing import Any

from ..channel import INDEFINITE_TIMEOUT
from ..exceptions import MessageDeliveryError
from ..message import Message

logger = logging.getLogger(__name__)

_RECEIVED = "has already received a reply"
_TIMED_OUT = "has exited due to a timeout"
_SEND_FAILED = "has exited due to an exception while sending the request message"


class TemporaryReplyChannel:
    """Takes the one reply of one request.

    Whatever comes too late is logged, and raises where *throw_on_late_reply* says so.
    """

    def __init__(self, *, throw_on_late_reply: bool = False) -> None:
        self._throw_on_late_reply = throw_on_late_reply
        self._arrived = threading.Event()
        self._lock = threading.Lock()
        """Guards the two below."""
        self._reply: Message[Any] | None = None
        self._ended: str | None = None

    def send(self, message: Message[Any], timeout_ms: int = INDEFINITE_TIMEOUT) -> bool:
        """Take the reply. Raises MessageDeliveryError for one too many, if that is wanted."""
        with self._lock:
            ended = self._ended
            if ended is None:
                self._reply, self._ended = message, _RECEIVED
        if ended is None:
            self._arrived.set()
            return True
        description = f"Reply message received but the receiving thread {ended}"
        logger.warning("%s: %s", description, message)
        if self._throw_on_late_reply:
            raise MessageDeliveryError(description, message)
        return True

    def receive(self, timeout_ms: int = INDEFINITE_TIMEOUT) -> Message[Any] | None:
        """The reply, or None when it does not come in time."""
        self._arrived.wait(timeout_ms / 1000 if timeout_ms >= 0 else None)
        self._end(_TIMED_OUT)
        return self._reply

    def send_failed(self) -> None:
        """Nobody will wait for the reply: the request was not sent."""
        self._end(_SEND_FAILED)

    def _end(self, reason: str) -> None:
        with self._lock:
            if self._ended is None:
                self._ended = reason

    def __repr__(self) -> str:
        return f"{type(self).__name__}@{id(self):x}"
