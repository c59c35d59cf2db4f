"""A WebSocket connection: a socket, a codec, a mailbox. No greenlet, timer or thread of its own while it is idle.

The station between the socket and the WebSocket handler. The hub's readiness callback reads, decodes and fills the
mailbox; a worker of the runtime runs the handler, for one session one call at a time, in order, the end last and once.
Everything but the handler's calls happens on the loop's thread, so that there is nothing to lock.
"""

from __future__ import annotations

import logging
import socket as sockets
from time import monotonic
from typing import Any

from ..close import CloseStatus, EndReason
from ..handlers import WebSocketHandler
from ..message import BinaryMessage, PongMessage, TextMessage
from ..transport_options import TransportOptions
from .codec import WebSocketCodec
from .facts import HandshakeFacts
from .frames import BINARY, CLOSE, FAILED, PONG, TEXT, Event
from .handling import HandlingSession
from .services import Runtime
from .sockets import reset_on_close, set_options
from .state import NEXT_STATES, ConnectionState
from .timers import ScheduledCall

logger = logging.getLogger(__name__)

_READ = 1
_READ_SIZE = 64 * 1024
_LINGER_MS = 1_000
"""How long what still comes after the end is thrown away, at most."""

_OPEN = ConnectionState.OPEN
_PEER_CLOSED = ConnectionState.PEER_CLOSED
_CLOSE_SENT = ConnectionState.CLOSE_SENT
_CLOSING = ConnectionState.CLOSING
_LINGERING = ConnectionState.LINGERING
_CLOSED = ConnectionState.CLOSED


class WebSocketConnection(HandlingSession):
    """A native session; implements ``NonBlockingWebSocketSession`` and, for the flusher, ``Flushable``."""

    __slots__ = (
        "_read_watcher",
        "_last_read",
        "_farewell",
        "_peer_is_done",
        "_timer",
    )

    def __init__(
        self,
        runtime: Runtime,
        socket: Any,
        codec: WebSocketCodec,
        handler: WebSocketHandler,
        options: TransportOptions,
        facts: HandshakeFacts,
    ) -> None:
        """Takes the socket over; nothing happens before `start`."""
        HandlingSession.__init__(self, runtime, socket, codec, handler, options, facts)
        self._read_watcher: Any = None
        self._last_read = monotonic()
        self._farewell = b""
        """Our close frame while it waits for the handler."""
        self._peer_is_done = False
        """Whether its close frame has come: it sends nothing any more."""
        self._timer: ScheduledCall | None = None

    def start(self, first_bytes: bytes = b"") -> None:
        """Begin to read, and have the handler told. *first_bytes* came with the handshake."""
        set_options(self._socket)
        self._runtime.connections.add(self)
        self._read_watcher = self._runtime.loop.io(self._socket.fileno(), _READ)
        self._read_on()
        self._submit()
        if self._runtime.closing_with is not None:
            self._close_now(self._runtime.closing_with)
        if first_bytes and self._state is not _CLOSED:
            self._receive(first_bytes)

    @property
    def state(self) -> ConnectionState:
        return self._state

    @property
    def last_read_ms(self) -> float:
        """When the peer last gave a sign of life, in milliseconds of ``flusher.now_ms()``."""
        return self._last_read * 1000.0

    def abort(self, status: CloseStatus) -> None:
        """Cut the connection without a close frame; the handler is told *status*. From any thread, harmless twice."""
        if self._runtime.flusher.on_loop_thread:
            self._cut(status)
        else:
            self._runtime.flusher.hand_over(self._cut, status)

    # Reading: in the hub.

    def _read_on(self) -> None:
        if not self._reading:
            self._reading = True
            self._read_watcher.start(self._on_readable)

    def _read_no_more(self) -> None:
        if self._reading:
            self._reading = False
            self._read_watcher.stop()

    def _on_readable(self) -> None:
        try:
            data = self._socket.recv(_READ_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self._broken(error)
            return
        if self._state is _LINGERING:
            if not data:
                self._shut()
            return
        try:
            if data:
                self._receive(data)
            else:
                self._end_of_stream()
        except Exception:
            # The border of the read loop: our own mistake must cost one connection, not the hub.
            logger.exception("Error while reading in session %s", self._id)
            self._cut(CloseStatus.SERVER_ERROR.with_cause(EndReason.TRANSPORT_ERROR))

    def _receive(self, data: bytes) -> None:
        self._last_read = monotonic()
        codec = self._codec
        end: Event | None = None
        for event in codec.receive_data(data):
            kind = event[0]
            if kind == TEXT:
                self._put(TextMessage(event[1], event[2]), len(event[1]))  # type: ignore[arg-type, misc]  # by kind
            elif kind == BINARY:
                self._put(BinaryMessage(event[1], event[2]), len(event[1]))  # type: ignore[arg-type, misc]  # by kind
            elif kind == PONG:
                self._put(PongMessage(event[1]), len(event[1]))  # type: ignore[arg-type]  # by kind
            elif kind == CLOSE or kind == FAILED:
                end = event
        if end is not None:
            self._peer_is_done = end[0] == CLOSE
        if self._state is _OPEN:
            self._react(end)
        elif end is not None and self._state is _CLOSE_SENT:
            self._move(_CLOSING)
            self._read_no_more()
            if self._unsent is None:
                self._all_written()

    def _react(self, end: Event | None) -> None:
        """After a read in state OPEN: answer control frames, have messages handled, notice the end."""
        outgoing = self._codec.outgoing
        if end is not None:
            # The answer to a close comes last, and waits until what came before is handled and answered.
            self._farewell = outgoing.pop() if outgoing else b""
            self._ended_by_peer(end)
        if outgoing:
            self.flush()
            self._write(self._codec.data_to_send())
            if self._unsent_bytes > self._options.send_buffer_size_limit:
                self._read_no_more()  # It pings and does not read: it goes on when the pongs are taken.
        mailbox = self._mailbox
        if mailbox is not None:
            options = self._options
            if len(mailbox) >= options.mailbox_messages or self._mailbox_bytes >= options.mailbox_bytes:
                self._read_no_more()
            self._submit()
        elif end is not None:
            self._submit()

    def _ended_by_peer(self, end: Event) -> None:
        kind, code, reason = end  # type: ignore[misc]  # CLOSE and FAILED have three parts
        assert isinstance(code, int) and isinstance(reason, str)
        if kind == CLOSE:
            because = EndReason.CLIENT_CLOSED
        else:
            because = EndReason.MESSAGE_TOO_BIG if code == 1009 else EndReason.PROTOCOL_ERROR
            logger.warning("Session %s of %s is closed with %d: %r", self._id, self._remote_address, code, reason)
        self._end = CloseStatus(code, reason or None, because=because)
        self._read_no_more()
        self._move(_PEER_CLOSED)

    def _end_of_stream(self) -> None:
        if self._state is _OPEN:
            self._lost(EOFError("the connection ended without a close frame"))
        else:
            self._shut()

    # Ending: on the loop's thread.

    def _close(self, status: CloseStatus) -> None:
        if self._runtime.flusher.on_loop_thread:
            self._close_now(status)
        else:
            self._runtime.flusher.hand_over(self._close_now, status)

    def _close_now(self, status: CloseStatus) -> None:
        """End the session for the handler at once; on the wire after what is pending and the peer's answer."""
        if self._state is _PEER_CLOSED:
            self._deaf = True
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
        self._deaf = True
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
        self.flush()
        if self._state is _PEER_CLOSED and self._farewell:
            self._write(self._farewell)
        if self._state is _PEER_CLOSED:
            self._move(_CLOSING)
            self._limit_the_end()
            if self._unsent is None:
                self._all_written()

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

    def _broken(self, error: OSError) -> None:
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
        self._deaf = True
        self._shut()
        self._submit()

    def _shut(self) -> None:
        """Close the socket. What is unsent is given up, and the peer is then told with a reset."""
        if self._state is _CLOSED:
            return
        socket = self._socket
        self._read_no_more()
        self._read_watcher.close()
        if self._unsent is not None:
            reset_on_close(socket)
        self._move(_CLOSED)
        self._outbox = None
        self._outbox_bytes = 0
        self._forget_unsent()
        socket.close()
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
