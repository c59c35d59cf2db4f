"""A WebSocket connection: a socket, a codec, a mailbox. No greenlet, timer or thread of its own while it is idle.

The station between the socket and the WebSocket handler. The hub's readiness callback reads, decodes and fills the
mailbox; a worker of the runtime runs the handler, for one session one call at a time, in order, the end last and once.
Everything but the handler's calls happens on the loop's thread, so that there is nothing to lock.
"""

from __future__ import annotations

import logging
from functools import partial
from time import monotonic
from typing import Any

from ..close import CloseStatus, EndReason
from ..decorators import logs_messages
from ..handlers import HeartbeatAudience, WebSocketHandler, heartbeat_audience
from ..message import BinaryMessage, PongMessage, TextMessage
from ..transport_options import TransportOptions
from .codec import LINE_FEED_BYTES, WebSocketCodec
from .ending import EndingSession
from .facts import HandshakeFacts
from .frames import BINARY, CLOSE, FAILED, PONG, TEXT, Event
from .services import Runtime
from .sockets import set_options
from .state import ConnectionState
from .timers import ScheduledCall

logger = logging.getLogger(__name__)

_READ = 1
_READ_SIZE = 64 * 1024
_COMPRESSED_READ_SIZE = 4 * 1024
"""What is read can become a thousand times as much, and all of it goes into the mailbox before its limit is judged."""

_OPEN = ConnectionState.OPEN
_PEER_CLOSED = ConnectionState.PEER_CLOSED
_CLOSE_SENT = ConnectionState.CLOSE_SENT
_CLOSING = ConnectionState.CLOSING
_LINGERING = ConnectionState.LINGERING
_CLOSED = ConnectionState.CLOSED


class WebSocketConnection(EndingSession):
    """A native session; implements ``NonBlockingWebSocketSession`` and, for the flusher, ``Flushable``."""

    __slots__ = ("_read_watcher", "_last_read", "_audience", "_pong_limit")

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
        EndingSession.__init__(self, runtime, socket, codec, handler, options, facts)
        self._read_watcher: Any = None
        self._last_read = monotonic()
        self._audience: HeartbeatAudience | None = None
        """Of this session's heart-beats, until its next message; None before the first of them."""
        self._pong_limit: ScheduledCall | None = None
        """While answers to control frames wait for the peer: it may never read, and nobody else keeps the time."""

    def start(self, first_bytes: bytes = b"", read_watcher: Any = None) -> None:
        """Begin to read, and have the handler told. *first_bytes* came with the handshake.

        *read_watcher*: a stopped one for the socket, if there is one already; it is taken over.
        """
        set_options(self._socket)
        self._runtime.connections.add(self)
        if read_watcher is None:
            read_watcher = self._runtime.loop.io(self._socket.fileno(), _READ)
        self._read_watcher = read_watcher
        self._read_on()
        self._submit()
        if self._runtime.closing_with is not None:
            self._close_now(self._runtime.closing_with)
        if first_bytes and self._state is not _CLOSED:
            self._receive(first_bytes)

    @property
    def last_read_ms(self) -> float:
        """When the peer last gave a sign of life, in milliseconds of ``flusher.now_ms()``."""
        return self._last_read * 1000.0

    def idle_ms(self) -> float:
        """For how many milliseconds the peer has given no sign of life."""
        return (monotonic() - self._last_read) * 1000.0

    # Reading: in the hub.

    def _read_on(self) -> None:
        if not self._reading:
            self._reading = True
            self._read_watcher.start(self._on_readable)

    def _read_no_more(self) -> None:
        if self._reading:
            self._reading = False
            self._read_watcher.stop()

    def _read_never_again(self) -> None:
        self._read_no_more()
        self._read_watcher.close()

    def _on_readable(self) -> None:
        try:
            data = self._socket.recv(_READ_SIZE if self._codec.is_plain else _COMPRESSED_READ_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self._found_gone(error)
            return
        if len(data) == LINE_FEED_BYTES and self._is_ignored_heartbeat(data):
            self._last_read = monotonic()
            return
        if not data:
            self._found_gone(EOFError("the connection ended without a close frame"))
            return
        if self._state is _LINGERING:
            return
        try:
            self._receive(data)
        except Exception:
            # The border of the read loop: our own mistake must cost one connection, not the hub.
            logger.exception("Error while reading in session %s", self._id)
            self._cut(CloseStatus.SERVER_ERROR.with_cause(EndReason.TRANSPORT_ERROR))

    def _receive(self, data: bytes) -> None:
        self._last_read = monotonic()
        self._audience = None
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
            if end is not None or codec.outgoing:
                self._answer(end)
            mailbox = self._mailbox
            if mailbox is not None:
                options = self._options
                if len(mailbox) >= options.mailbox_messages or self._mailbox_bytes >= options.mailbox_bytes:
                    self._read_no_more()
            if mailbox is not None or end is not None:
                self._submit()
        elif end is not None and self._state is _CLOSE_SENT:
            self._move(_CLOSING)
            self._read_no_more()
            if self._unsent is None:
                self._all_written()

    def _is_ignored_heartbeat(self, data: bytes) -> bool:
        """Whether this is but a sign of life, which need not wake a worker. Of idle sessions nearly everything is."""
        if self._running or self._mailbox or self._state is not _OPEN or not self._codec.is_line_feed(data):
            return False
        audience = self._audience
        if audience is None:
            audience = self._audience = heartbeat_audience(self._handler, self)
        return audience is not None and not audience.wants_heartbeats and not logs_messages()

    def _answer(self, end: Event | None) -> None:
        """After a read in state OPEN: answer control frames, notice the end."""
        codec = self._codec
        if end is not None:
            # The answer to a close comes last, and waits until what came before is handled and answered.
            if codec.outgoing:
                *codec.outgoing, self._farewell = codec.outgoing
            self._ended_by_peer(end)
        if codec.outgoing:
            self.flush()
            self._write(codec.data_to_send())
            if self._unsent is not None:
                self._limit_pongs()
            if self._unsent_bytes > self._options.send_buffer_size_limit:
                self._read_no_more()  # It pings and does not read: it goes on when the pongs are taken.

    def _limit_pongs(self) -> None:
        if self._pong_limit is None:
            look = partial(self._look_at_pongs, self._unsent)
            self._pong_limit = self._runtime.flusher.call_later(look, self._options.send_time_limit_ms)

    def _look_at_pongs(self, unsent: object) -> None:
        """A whole limit later: cut the connection if the peer has taken nothing, which would have made a new list."""
        self._pong_limit = None
        if self._unsent is None or self._state is not _OPEN:
            return
        if self._unsent is unsent:
            self._cut(CloseStatus.SESSION_NOT_RELIABLE.with_cause(EndReason.SEND_TIME_LIMIT))
        else:
            self._limit_pongs()

    def _ended_by_peer(self, end: Event) -> None:
        kind, code, reason = end  # type: ignore[misc]  # CLOSE and FAILED have three parts
        assert isinstance(code, int) and isinstance(reason, str)
        if kind == CLOSE:
            because = EndReason.CLIENT_CLOSED
        else:
            because = EndReason.MESSAGE_TOO_BIG if code == 1009 else EndReason.PROTOCOL_ERROR
            logger.warning("Session %s of %s is closed with %d: %r", self._id, self.remote_address, code, reason)
        self._end = CloseStatus(code, reason or None, because=because)
        self._read_no_more()
        self._move(_PEER_CLOSED)

    def _found_gone(self, error: Exception) -> None:
        self._read_no_more()
        self._runtime.vanished.add(self._broken, error)
