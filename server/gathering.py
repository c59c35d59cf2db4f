"""The concurrent decorator for sessions that never block: messages are gathered and written once per turn of the loop.

Station: as ``concurrent``, on a runtime with an event loop. Sending appends and asks the flusher once; the flusher
calls back on the loop's thread, and everything that came together goes out in one write. So order is that of
appending, nobody ever waits, and under load a delivery costs less than a system call.

Why there is no lock: all writing and dropping happens on the loop's thread. From other threads only an append to the
queue and one addition happen. CPython does the append without interruption (threads change at calls of Python code, at
jumps back, and where making an object collects garbage), so a message is either in the list that a flush takes or in
the new one; and the buffer's size is set anew by every flush and before it ends a session, so that an error could
neither last nor matter.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, cast

from .close import CloseStatus, EndReason
from .concurrent import (
    SEND_BUFFER_SIZE_LIMIT,
    SEND_TIME_LIMIT_MS,
    ConcurrentWebSocketSessionDecorator,
    MessageCallback,
    OverflowStrategy,
    SendState,
)
from .exceptions import SessionLimitExceededError
from .flush import Flusher, NonBlockingWebSocketSession, Outgoing, size_of
from .message import TextMessage, WebSocketMessage
from .session import WebSocketSession

logger = logging.getLogger(__name__)

_OPEN = SendState.OPEN  # a name of the module costs a third of the member of an enum

LimitCallback = Callable[[ConcurrentWebSocketSessionDecorator, SessionLimitExceededError], None]


class GatheringWebSocketSessionDecorator(ConcurrentWebSocketSessionDecorator):
    """Gathers messages for a ``NonBlockingWebSocketSession``.

    Differs from Spring: the send time limit is kept by a timer, and counts while the peer takes nothing at all; the
    buffer limit is judged after a flush, so that a burst within one turn does not end a healthy session; what is
    queued when the session is closed still goes out before the close, unless the session is not reliable.

    What the session has taken over in a flush counts as being written, and not for the buffer limit.
    """

    __slots__ = ("_asked", "_flusher", "_limit_callback", "_stalled", "_timer", "_waiting_since", "text_framing")

    delegate: NonBlockingWebSocketSession

    def __init__(
        self,
        delegate: NonBlockingWebSocketSession,
        send_time_limit_ms: int = SEND_TIME_LIMIT_MS,
        buffer_size_limit: int = SEND_BUFFER_SIZE_LIMIT,
        overflow_strategy: OverflowStrategy = OverflowStrategy.TERMINATE,
        limit_callback: LimitCallback | None = None,
    ) -> None:
        """*limit_callback* hears of a limit that no sender noticed; by default the session is closed with 4500."""
        self.delegate = delegate
        self.id = delegate.id  # type: ignore[misc]  # a slot, as in the base
        self.send_time_limit_ms = send_time_limit_ms
        self.buffer_size_limit = buffer_size_limit
        self.overflow_strategy = overflow_strategy
        self._queue: list[Outgoing] = []  # type: ignore[assignment]  # taken as a whole, nothing is popped
        self._buffer_size = 0
        self._state = _OPEN
        self._limit_status = CloseStatus.SESSION_NOT_RELIABLE
        self._callback = None
        self._flusher: Flusher = delegate.flusher
        self.text_framing = getattr(delegate, "text_framing", None)
        self._limit_callback = limit_callback
        self._asked = False
        """Whether a flush was asked for, or need not be: as soon as something is queued, while the peer takes nothing,
        and once the session is not open any more.
        """
        self._waiting_since: float | None = None
        self._stalled = 0
        self._timer: Any = None

    @property
    def message_callback(self) -> MessageCallback | None:
        """Called with each message after it was queued and before anything is written (CDS-04)."""
        return self._callback

    @message_callback.setter
    def message_callback(self, callback: MessageCallback | None) -> None:
        self._callback = callback
        self.text_framing = None  # the callback wants to see messages

    @property
    def time_since_send_started_ms(self) -> float:
        since = self._waiting_since
        return self._flusher.now_ms() - since if since is not None else 0

    def send_message(self, message: WebSocketMessage[Any]) -> None:
        """Queue, and have the queue written at the end of this turn. Never blocks.

        Raises SessionLimitExceededError (status 4500) when the peer has not taken the earlier messages and too much
        waits.
        """
        if self._flusher.mailing is not None:
            self._flusher.settle()
        self.buffer_message(message)

    def buffer_message(self, message: WebSocketMessage[Any], judge: bool = True) -> None:
        """As ``send_message``, for a mailing, see ``buffer_text``."""
        if self._state is not _OPEN:
            return
        size = message.payload_length
        self._queue.append(message)
        self._buffer_size += size
        if self._callback is not None:
            self._callback(message)
        if not self._asked:
            self._asked = True
            self._flusher.request(self)
        if self._buffer_size > self.buffer_size_limit:
            self._judge() if judge else self._flusher.call_later(self._judge_later, 0)

    def send_text(self, head: bytes, tail: bytes) -> None:
        """As ``send_message`` of a text message, of which there is never an object: the way of broadcasts."""
        if self._flusher.mailing is not None:
            self._flusher.settle()
        self.buffer_text(head, tail)

    def buffer_text(self, head: bytes, tail: bytes, judge: bool = True) -> None:
        """As ``send_text``, for a mailing: what this is part of. Without *judge* the limit is looked at by the loop,
        which is not waited for.
        """
        if self._state is not _OPEN:
            return
        text = head, tail  # made first: with it a collection of garbage can begin, and other threads come in between
        self._queue.append(text)
        self._buffer_size += len(head) + len(tail)
        if self._callback is not None:
            self._callback(TextMessage(head + tail))
        if not self._asked:
            self._asked = True
            self._flusher.request(self)
        if self._buffer_size > self.buffer_size_limit:
            self._judge() if judge else self._flusher.call_later(self._judge_later, 0)

    def _judge(self) -> None:
        """The buffer looks too full: flush if the peer still takes something, and look again."""
        if self._waiting_since is None:
            self._flusher.run_now(self.flush, timeout_ms=self.send_time_limit_ms)
        self._buffer_size = self._queued_bytes()
        if self._buffer_size > self.buffer_size_limit and self._state is _OPEN:
            self._overflow()

    def _judge_later(self) -> None:
        """On the loop's thread, for a sender that could not wait for it."""
        if self._state is _OPEN and self._buffer_size > self.buffer_size_limit:
            try:
                self._judge()
            except SessionLimitExceededError as error:
                self._end(error)

    def _end(self, error: SessionLimitExceededError) -> None:
        """Over a limit that no sender noticed."""
        if self._limit_callback is not None:
            self._limit_callback(self, error)
        else:
            logger.warning("Terminating session %s: %s", self.id, error)
            self.close(error.status)

    def flush(self) -> None:
        """Write all that has come together. On the loop's thread; called by the flusher."""
        if self._waiting_since is not None or self._state is not _OPEN:
            return
        self._asked = False  # before the queue is taken: whoever appends from now on asks again
        batch = self._queue
        if not batch:
            return
        self._queue = []
        self._buffer_size = 0
        try:
            if self.delegate.try_send(batch, self.drained):
                return
        except Exception as error:  # a message that cannot be encoded: what was written with it is lost
            self._failed(error)
            return
        self._begin_to_wait()

    def write_joined(self, texts: bytes) -> bool:
        """Write texts in this session's framing now, if nothing is to go before them; False when they have to be sent
        as messages.

        On the loop's thread: the way of a mailing.
        """
        if self._asked:  # something is to go before, or nothing may go any more
            return False
        taken = self.delegate.try_write(texts)  # type: ignore[attr-defined]  # of a JoinedWritingSession
        if taken is False:
            self.delegate.when_drained(self.drained)  # type: ignore[attr-defined]
            self._begin_to_wait()
        return taken is not None

    def _move(self, state: SendState) -> None:
        super()._move(state)
        self._asked = True

    def _begin_to_wait(self) -> None:
        self._asked = True  # nobody needs to ask: drained() flushes
        self._waiting_since = self._flusher.now_ms()
        self._stalled = self.delegate.pending_bytes
        self._watch_time()

    def _failed(self, error: Exception) -> None:
        logger.debug("Failed to send to session %s", self.id, exc_info=error)
        self._close_now(CloseStatus.PROTOCOL_ERROR.with_cause(EndReason.TRANSPORT_ERROR))

    def _queued_bytes(self) -> int:
        return sum([size_of(each) for each in self._queue[:]])

    # -- a peer that does not read

    def drained(self) -> None:
        """The peer has taken everything. Called by the session."""
        self._waiting_since = None
        self._stop_watching()
        self.flush()

    def _watch_time(self) -> None:
        # One more: the limit may be reached, it is exceeded after it.
        self._timer = self._flusher.call_later(self._look_at_time, self.send_time_limit_ms + 1)

    def _stop_watching(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_at_time(self) -> None:
        """A whole limit after the peer stopped taking: end the session unless something went out meanwhile."""
        self._timer = None
        if self._waiting_since is None or self._state is not _OPEN:
            return
        pending = self.delegate.pending_bytes
        if pending < self._stalled:
            self._stalled = pending
            self._waiting_since = self._flusher.now_ms()
            self._watch_time()
            return
        self._end(self._time_exceeded(self.time_since_send_started_ms))

    def _check_limits(self) -> None:
        if self._waiting_since is not None:
            super()._check_limits()

    def _drop(self) -> None:
        self._flusher.run_now(self._drop_oldest, timeout_ms=self.send_time_limit_ms)

    def _drop_oldest(self) -> None:
        queue, size, dropped = self._queue, self._queued_bytes(), 0
        while dropped < len(queue) and size > self.buffer_size_limit:
            size -= size_of(queue[dropped])
            dropped += 1
        del queue[:dropped]
        self._buffer_size = size
        if dropped:
            logger.debug("Dropped %d messages of session %s, buffer size %d", dropped, self.id, size)

    # -- closing

    def close(self, status: CloseStatus = CloseStatus.NORMAL) -> None:
        """Close once; a second close does nothing. What is queued goes out before, unless the status is or becomes
        4500.
        """
        if self._state is SendState.CLOSING:
            return
        if self._flusher.mailing is not None and not status.equals_code(CloseStatus.SESSION_NOT_RELIABLE):
            self._flusher.settle()  # else nothing of it goes out here, and the others can have it as it is
        if not self._flusher.run_now(lambda: self._close_now(status), timeout_ms=self.send_time_limit_ms):
            logger.debug("Session %s: the loop is busy, the close waits for it", self.id)

    def _close_now(self, status: CloseStatus) -> None:
        if self._state is SendState.CLOSING:
            return
        if not status.equals_code(CloseStatus.SESSION_NOT_RELIABLE):
            status = self._status_by_limits(status)
        reliable = self._state is _OPEN and not status.equals_code(CloseStatus.SESSION_NOT_RELIABLE)
        self._move(SendState.CLOSING)
        self._stop_watching()
        batch, self._queue = self._queue, []
        self._buffer_size = 0
        if batch and reliable:
            try:
                self.delegate.try_send(batch, self.drained)
            except Exception as error:
                logger.debug("Failed to send to session %s before its close", self.id, exc_info=error)
        self.delegate.close(status)


def concurrent_session(
    session: WebSocketSession,
    *,
    send_time_limit_ms: int = SEND_TIME_LIMIT_MS,
    buffer_size_limit: int = SEND_BUFFER_SIZE_LIMIT,
    overflow_strategy: OverflowStrategy = OverflowStrategy.TERMINATE,
    limit_callback: LimitCallback | None = None,
) -> ConcurrentWebSocketSessionDecorator:
    """The decorator that fits *session*."""
    if hasattr(session, "try_send"):  # isinstance() of a protocol with so many members costs more than a handshake
        return GatheringWebSocketSessionDecorator(
            cast(NonBlockingWebSocketSession, session),
            send_time_limit_ms,
            buffer_size_limit,
            overflow_strategy,
            limit_callback,
        )
    return ConcurrentWebSocketSessionDecorator(session, send_time_limit_ms, buffer_size_limit, overflow_strategy)
