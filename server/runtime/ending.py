"""The ending half of a connection: closes from either side, cuts, and the last bytes (RFC 6455 7).

The station below the handler's calls, above the socket. Both sides say that they close, the server ends TCP, and every
way there has a limit in time. Everything but `abort` and `close` happens on the loop's thread.
"""

from __future__ import annotations

import logging
import socket as sockets
from abc import abstractmethod
from typing import Any

from ..close import CloseStatus, EndReason
from ..handlers import WebSocketHandler
from ..transport_options import TransportOptions
from .codec import WebSocketCodec
from .facts import HandshakeFacts
from .handling import HandlingSession
from .services import Runtime
from .sockets import reset_on_close
from .state import NEXT_STATES, ConnectionState
from .timers import ScheduledCall

logger = logging.getLogger(__name__)

_READ_SIZE = 64 * 1024
_LINGER_MS = 1_000
"""How long what still comes after the end is thrown away, at most."""

_OPEN = ConnectionState.OPEN
_PEER_CLOSED = ConnectionState.PEER_CLOSED
_CLOSE_SENT = ConnectionState.CLOSE_SENT
_CLOSING = ConnectionState.CLOSING
_LINGERING = ConnectionState.LINGERING
_CLOSED = ConnectionState.CLOSED


class EndingSession(HandlingSession):
    """Ends, and moves between the states; ``WebSocketConnection`` adds reading."""

    __slots__ = ("_farewell", "_peer_is_done", "_timer")

    def __init__(
        self,
        runtime: Runtime,
        socket: Any,
        codec: WebSocketCodec,
        handler: WebSocketHandler,
        options: TransportOptions,
        facts: HandshakeFacts,
    ) -> None:
        HandlingSession.__init__(self, runtime, socket, codec, handler, options, facts)
        self._farewell = b""
        """Our close frame while it waits for the handler."""
        self._peer_is_done = False
        """Whether its close frame has come: it sends nothing any more."""
        self._timer: ScheduledCall | None = None

    @property
    def state(self) -> ConnectionState:
        return self._state

    def abort(self, status: CloseStatus) -> None:
        """Cut the connection without a close frame; the handler is told *status*. From any thread, harmless twice."""
        if self._runtime.flusher.on_loop_thread:
            self._cut(status)
        else:
            self._runtime.flusher.hand_over(self._cut, status)

    def _close(self, status: CloseStatus) -> None:
        if self._runtime.flusher.on_loop_thread:
            self._close_now(status)
        else:
            self._runtime.flusher.hand_over(self._close_now, status)

    def _close_now(self, status: CloseStatus) -> None:
        """End the session for the handler at once; on the wire after what is pending and the peer's answer."""
        if self._state is _PEER_CLOSED:
            self._go_deaf()
            self._say_farewell()
        if self._state is not _OPEN:
            return
        self.flush()
        unreliable = self._unsent is not None and status.equals_code(CloseStatus.SESSION_NOT_RELIABLE)
        try:
            frame = b"" if unreliable else self._codec.encode_close(status.code, status.reason or "")
        except ValueError:
            frame = b""  # A code that is never sent, as 1006.
        if not frame or self._state is not _OPEN:
            self._cut(status)
            return
        self._end = status if status.because else status.with_cause(EndReason.SERVER_CLOSED)
        self._go_deaf()
        self._move(_CLOSE_SENT)
        self._write(frame)
        if self._state is _CLOSE_SENT:
            self._read_on()
            self._limit_the_end()
        self._submit()

    def _say_farewell(self) -> None:
        """Answer the peer's close, once its messages are handled."""
        if self._state is not _PEER_CLOSED:
            return
        if self._outbox is not None:
            self.flush()
        if self._state is _PEER_CLOSED and self._farewell:
            self._write(self._farewell)
        if self._state is _PEER_CLOSED:
            self._move(_CLOSING)
            if self._unsent is None:
                self._end_stream()
            else:
                self._limit_the_end()

    def _all_written(self) -> None:
        if self._state is _CLOSING:
            self._end_stream()
        elif self._state is _OPEN and not self._reading:
            self._read_again(len(self._mailbox or ()))

    def _end_stream(self) -> None:
        """Both have closed and all is written: the server ends TCP first (RFC 6455 7.1.1).

        Unread bytes would turn this into a reset, which may overtake our close frame: they are thrown away for a while.
        """
        try:
            self._socket.shutdown(sockets.SHUT_WR)
            over = self._peer_is_done and not self._has_unread()
        except OSError:
            over = True  # It is gone already.
        if over:
            self._shut()
            return
        self._move(_LINGERING)
        self._read_on()
        if self._timer is not None:
            self._timer.cancel()
        linger_ms = min(_LINGER_MS, self._options.close_timeout_ms)
        self._timer = self._runtime.flusher.call_later(self._shut, linger_ms)

    def _has_unread(self) -> bool:
        try:
            return bool(self._socket.recv(_READ_SIZE))
        except BlockingIOError:
            return False

    def _limit_the_end(self) -> None:
        if self._timer is None:
            self._timer = self._runtime.flusher.call_later(self._shut, self._options.close_timeout_ms)

    def _broken(self, error: Exception) -> None:
        """The peer is gone. Harmless twice."""
        if self._state is _OPEN:
            self._lost(error)
        else:
            self._shut()

    def _lost(self, error: Exception) -> None:
        self._error = error
        self._end = CloseStatus.NO_CLOSE_FRAME.with_cause(EndReason.CLIENT_VANISHED)
        self._shut()
        self._submit()

    def _cut(self, status: CloseStatus) -> None:
        if self._state is _CLOSED:
            return
        if self._end is None:
            self._end = status if status.because else status.with_cause(EndReason.SERVER_CLOSED)
            logger.info("Session %s is cut: %r (%s)", self._id, status, self._end.because)
        self._go_deaf()
        self._shut()
        self._submit()

    def _shut(self) -> None:
        """Close the socket. What is unsent is given up, and the peer is then told with a reset."""
        if self._state is _CLOSED:
            return
        socket = self._socket
        self._read_never_again()
        unsent = self._unsent is not None
        if unsent:
            reset_on_close(socket)
        self._move(_CLOSED)
        self._outbox = None
        self._outbox_bytes = 0
        if unsent:
            self._forget_unsent()
        socket.close()
        if self._waiters is not None:
            self._wake_waiters()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._handler is None:
            self._runtime.forget(self)

    def _move(self, state: ConnectionState) -> None:
        assert state in NEXT_STATES[self._state], f"{self._state} cannot become {state}"
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("Session %s: %s -> %s", self._id, self._state.value, state.value)
        self._state = state
        self._is_clear = False  # No way leads back to OPEN.

    @abstractmethod
    def _read_never_again(self) -> None:
        """The socket is about to be closed."""
