"""One writer per session, bounded in bytes and in time (CDS-01 to CDS-04).

Station: between the protocol handlers, which send from many threads, and the session of the transport, which can write
one message at a time. ``gathering`` has the variant for sessions that never block.
"""

from __future__ import annotations

import enum
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from .close import CloseStatus, EndReason
from .decorators import WebSocketSessionDecorator
from .exceptions import SessionLimitExceededError
from .framing import TextFraming
from .message import WebSocketMessage
from .session import WebSocketSession

logger = logging.getLogger(__name__)

SEND_TIME_LIMIT_MS = 10_000
SEND_BUFFER_SIZE_LIMIT = 512 * 1024

MessageCallback = Callable[[WebSocketMessage[Any]], None]


class OverflowStrategy(enum.Enum):
    """What happens to a session whose buffer is over its limit."""

    TERMINATE = "terminate"
    """The session ends: raise SessionLimitExceededError."""
    DROP = "drop"
    """The oldest messages are discarded until the rest fits."""


class SendState(enum.Enum):
    """Where a concurrent session stands; it only ever moves down this list."""

    OPEN = "open"
    LIMIT_EXCEEDED = "limit exceeded"
    CLOSING = "closing"


class ConcurrentWebSocketSessionDecorator(WebSocketSessionDecorator):
    """Lets any number of threads send: one of them writes, the others leave their messages in its buffer and go on.

    Messages go out in the order in which they were appended. Sending is silently ignored once a limit was exceeded or
    closing began. The limits are looked at by a sender that finds another one writing, and by ``close``.
    """

    __slots__ = (
        "_buffer_size",
        "_callback",
        "_close_lock",
        "_flush_lock",
        "_limit_status",
        "_lock",
        "_now_ms",
        "_queue",
        "_send_started",
        "_state",
        "buffer_size_limit",
        "id",
        "overflow_strategy",
        "send_time_limit_ms",
    )

    def __init__(
        self,
        delegate: WebSocketSession,
        send_time_limit_ms: int = SEND_TIME_LIMIT_MS,
        buffer_size_limit: int = SEND_BUFFER_SIZE_LIMIT,
        overflow_strategy: OverflowStrategy = OverflowStrategy.TERMINATE,
        *,
        now_ms: Callable[[], float] | None = None,
    ) -> None:
        """*now_ms* is the clock of the time limit, by default the system's monotonic one."""
        super().__init__(delegate)
        self.id = delegate.id  # type: ignore[misc]  # a slot in place of the property: it is read for each frame
        self.send_time_limit_ms = send_time_limit_ms
        self.buffer_size_limit = buffer_size_limit
        self.overflow_strategy = overflow_strategy
        self._queue: deque[WebSocketMessage[Any]] = deque()
        self._buffer_size = 0
        self._now_ms = now_ms or _monotonic_ms
        self._send_started: float | None = None
        self._state = SendState.OPEN
        self._limit_status = CloseStatus.SESSION_NOT_RELIABLE
        self._callback: MessageCallback | None = None
        # Guards the queue with its size. The flush lock is taken without blocking, and alone is held while writing.
        self._lock = threading.Lock()
        self._flush_lock = threading.Lock()
        self._close_lock = threading.Lock()

    # -- what can be seen

    @property
    def buffer_size(self) -> int:
        """Bytes of the messages that wait for the one that is being written."""
        return self._buffer_size

    @property
    def time_since_send_started_ms(self) -> float:
        """How long the present write has been going on; 0 without one."""
        started = self._send_started
        return self._now_ms() - started if started is not None else 0

    @property
    def send_state(self) -> SendState:
        return self._state

    @property
    def message_callback(self) -> MessageCallback | None:
        """Called with each message after it was queued and before anything is written (CDS-04)."""
        return self._callback

    @message_callback.setter
    def message_callback(self, callback: MessageCallback | None) -> None:
        self._callback = callback

    # -- sending

    def send_message(self, message: WebSocketMessage[Any]) -> None:
        """Queue, and write all that is queued unless somebody does that already.

        Raises SessionLimitExceededError (status 4500) when the one who writes takes too long or too much waits for it.
        """
        if self._state is not SendState.OPEN:
            return
        size = message.payload_length
        with self._lock:
            self._queue.append(message)
            self._buffer_size += size
        if self._callback is not None:
            self._callback(message)
        while self._queue and self._state is SendState.OPEN:
            if not self._try_flush():
                self._check_limits()
                return

    def buffer_text(self, head: bytes, tail: bytes, judge: bool = True) -> None:
        """As ``send_text``, for a mailing: what this is part of."""
        self.send_text(head, tail)

    def buffer_message(self, message: WebSocketMessage[Any], judge: bool = True) -> None:
        """As ``send_message``, for a mailing, likewise."""
        self.send_message(message)

    text_framing: TextFraming | None = None
    """How texts may be written that were made once for many sessions; None: they cannot (``gathering`` can)."""

    def write_joined(self, texts: bytes) -> bool:
        """Write texts in this session's framing; False when they have to be sent as messages."""
        return False

    def _try_flush(self) -> bool:
        """Write what is queued; False when somebody else does."""
        if not self._flush_lock.acquire(blocking=False):
            return False
        try:
            while self._state is SendState.OPEN:
                with self._lock:
                    if not self._queue:
                        break
                    message = self._queue.popleft()
                    self._buffer_size -= message.payload_length
                self._send_started = self._now_ms()
                self.delegate.send_message(message)
                self._send_started = None
        finally:
            self._send_started = None
            self._flush_lock.release()
        return True

    def _check_limits(self) -> None:
        """Raise, or make room, if a limit is exceeded."""
        if self._state is not SendState.OPEN:
            return
        elapsed_ms = self.time_since_send_started_ms
        if elapsed_ms > self.send_time_limit_ms:
            raise self._time_exceeded(elapsed_ms)
        if self._buffer_size > self.buffer_size_limit:
            self._overflow()

    def _overflow(self) -> None:
        if self.overflow_strategy is OverflowStrategy.DROP:
            self._drop()
            return
        raise self._limit_exceeded(
            f"Buffer size {self._buffer_size} bytes for session '{self.id}' "
            f"exceeds the allowed limit {self.buffer_size_limit}",
            EndReason.SEND_BUFFER_LIMIT,
        )

    def _drop(self) -> None:
        dropped = 0
        with self._lock:
            while self._queue and self._buffer_size > self.buffer_size_limit:
                self._buffer_size -= self._queue.popleft().payload_length
                dropped += 1
        if dropped:
            logger.debug("Dropped %d messages of session %s, buffer size %d", dropped, self.id, self._buffer_size)

    def _time_exceeded(self, elapsed_ms: float) -> SessionLimitExceededError:
        return self._limit_exceeded(
            f"Send time {elapsed_ms:.0f} (ms) for session '{self.id}' "
            f"exceeded the allowed limit {self.send_time_limit_ms}",
            EndReason.SEND_TIME_LIMIT,
        )

    def _limit_exceeded(self, text: str, because: EndReason) -> SessionLimitExceededError:
        self._move(SendState.LIMIT_EXCEEDED)
        self._limit_status = CloseStatus.SESSION_NOT_RELIABLE.with_cause(because)
        return SessionLimitExceededError(text, self._limit_status)

    # -- closing

    def close(self, status: CloseStatus = CloseStatus.NORMAL) -> None:
        """Close once; a second close, or one at the same time, does nothing. What is still queued is not sent.

        The status becomes 4500 when a limit turns out to be exceeded.
        """
        if not self._close_lock.acquire(blocking=False):
            return
        try:
            if self._state is SendState.CLOSING:
                return
            if not status.equals_code(CloseStatus.SESSION_NOT_RELIABLE):
                status = self._status_by_limits(status)
            self._move(SendState.CLOSING)
            self.delegate.close(status)
        finally:
            self._close_lock.release()

    def _status_by_limits(self, status: CloseStatus) -> CloseStatus:
        if self._state is SendState.LIMIT_EXCEEDED:
            return self._limit_status
        try:
            self._check_limits()
        except SessionLimitExceededError as error:
            return error.status
        return status

    def _move(self, state: SendState) -> None:
        if self._state is not SendState.CLOSING:  # the last state: a limit that is noticed meanwhile changes nothing
            logger.debug("Session %s: sending %s -> %s", self.id, self._state.value, state.value)
            self._state = state


def _monotonic_ms() -> float:
    return time.monotonic() * 1000
