"""The sending half of a connection: messages in, one non-blocking send per turn of the loop out.

The station below whoever sends, above the socket. Only the loop's thread touches the socket and the codec; other
threads hand over. What the peer does not take waits here, and a WRITE watcher exists for as long as something waits.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

from gevent import getcurrent  # type: ignore[import-untyped]  # no type information
from gevent.event import Event  # type: ignore[import-untyped]  # no type information

from ..close import CloseStatus, EndReason
from ..exceptions import SessionLimitExceededError
from ..flush import Outgoing, message_of
from ..framing import WEB_SOCKET_TEXTS, TextFraming, text_header
from ..message import BinaryMessage, PingMessage, PongMessage, TextMessage, WebSocketMessage
from ..transport_options import TransportOptions
from .codec import WebSocketCodec
from .facts import HandshakeFacts, HandshakenSession
from .flusher import LoopFlusher, allocate_lock
from .frames import BINARY, CONTINUATION, FIN, MAX_CONTROL_BYTES, TEXT, header
from .services import Runtime
from .state import ConnectionState

logger = logging.getLogger(__name__)

_WRITE = 2
_OPEN = ConnectionState.OPEN
_PEER_CLOSED = ConnectionState.PEER_CLOSED
_handed_lock = allocate_lock()
"""Guards ``_handed_bytes`` of all sessions: held for one addition, never over a switch."""


class WritingSession(HandshakenSession):
    """Implements ``try_send``, ``send_message`` and their limits; ``WebSocketConnection`` adds reading and ending."""

    __slots__ = (
        "_runtime",
        "_options",
        "_socket",
        "_codec",
        "_state",
        "_outbox",
        "_outbox_bytes",
        "_handed_bytes",
        "_unsent",
        "_unsent_bytes",
        "_write_watcher",
        "_drained",
        "_waiters",
        "_fragmenting",
        "_takes_frames",
        "_is_clear",
    )

    def __init__(
        self, runtime: Runtime, socket: Any, codec: WebSocketCodec, options: TransportOptions, facts: HandshakeFacts
    ) -> None:
        HandshakenSession.__init__(self, facts)
        self._runtime = runtime
        self._options = options
        self._socket = socket
        """A raw, non-blocking socket, or what looks like one."""
        self._codec = codec
        self._state = _OPEN
        self._outbox: list[WebSocketMessage[Any]] | None = None
        """Sent in this turn, not yet encoded."""
        self._outbox_bytes = 0
        self._handed_bytes = 0
        """Of messages that other threads have handed over and the loop has not taken."""
        self._unsent: list[bytes | memoryview] | None = None
        """What waits for the peer."""
        self._unsent_bytes = 0
        self._write_watcher: Any = None
        self._drained: list[Callable[[], None]] | None = None
        self._waiters: list[Callable[[], object]] | None = None
        """Senders that wait for room."""
        self._fragmenting = False
        """Whether a message sent in parts is under way."""
        self._takes_frames = codec.is_plain
        """Whether text frames that somebody else made may be written: nothing is compressed, no part is missing."""
        self._is_clear = codec.is_plain
        """Whether such frames may be written this very moment: open, and nothing is to go before them."""

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent. Still True when the peer has closed and what it sent is being handled."""
        return self._state is _OPEN or self._state is _PEER_CLOSED

    @property
    def flusher(self) -> LoopFlusher:
        return self._runtime.flusher

    @property
    def pending_bytes(self) -> int:
        """Bytes handed over that the peer's kernel or ours has not taken yet."""
        return self._unsent_bytes + self._outbox_bytes + self._handed_bytes

    def try_send(self, messages: Sequence[Outgoing], drained: Callable[[], None]) -> bool:
        """Hand over messages, in order, as one write. On the loop's thread only.

        True: the kernel took everything. False: some of it waits until the peer reads; *drained* is then called once,
        on the loop's thread, when nothing waits any more, also because the connection ended. Nothing is sent, and True
        returned, when the session is closed.
        """
        state = self._state
        if state is not _OPEN and state is not _PEER_CLOSED:
            return True
        if self._outbox is not None:
            self.flush()
        if self._write(self._encode_all(messages)):
            return True
        self.when_drained(drained)
        return False

    @property
    def text_framing(self) -> TextFraming | None:
        """None with compression, for which each session needs frames of its own."""
        return WEB_SOCKET_TEXTS if self._codec.is_plain else None

    def try_write(self, texts: bytes) -> bool | None:
        """Write whole text frames if nothing is to go before them. On the loop's thread only.

        True: the kernel took everything. False: some of it waits; have yourself told with `when_drained`. None: nothing
        was done, and the texts have to be handed over as messages.
        """
        if not self._is_clear:
            return None
        try:  # as _write
            if (sent := self._socket.send(texts)) == len(texts):
                return True
        except OSError as error:
            sent = self._not_sent(error)
        return self._keep(texts, sent)

    def _look_whether_clear(self) -> None:
        self._is_clear = self._takes_frames and self._state is _OPEN and self._unsent is None and self._outbox is None

    def when_drained(self, drained: Callable[[], None]) -> None:
        """Have *drained* called as `try_send` does. Only while something waits."""
        if self._drained is None:
            self._drained = [drained]
        else:
            self._drained.append(drained)

    def flush(self) -> None:
        """Write what `send_message` has gathered in this turn. On the loop's thread; called by the flusher."""
        outbox, self._outbox = self._outbox, None
        self._outbox_bytes = 0
        if outbox is not None and self.is_open:
            self._write(self._encode_all(outbox))
        self._look_whether_clear()

    # What BaseWebSocketSession.send_message calls, in any greenlet and any thread.

    def _send_text(self, message: TextMessage) -> None:
        self._send(message, message.payload_length)

    def _send_binary(self, message: BinaryMessage) -> None:
        self._send(message, message.payload_length)

    def _send_ping(self, message: PingMessage) -> None:
        self._send_control(message)

    def _send_pong(self, message: PongMessage) -> None:
        self._send_control(message)

    def _send_control(self, message: PingMessage | PongMessage) -> None:
        size = message.payload_length
        if size > MAX_CONTROL_BYTES:
            raise ValueError(f"pings and pongs carry at most {MAX_CONTROL_BYTES} bytes, not {size}")
        self._send(message, size)

    def _send(self, message: WebSocketMessage[Any], size: int) -> None:
        """Send in order, as one write per turn of the loop; waits while more than the limit is pending.

        Does nothing, with a debug line, when the session is closed or being closed.

        Raises:
            SessionLimitExceededError: the peer did not take enough within ``send_time_limit_ms``, the connection is
                cut; or the caller is the hub, which must not wait.
        """
        if not self._runtime.flusher.on_loop_thread:
            self._send_from_thread(message, size)
            return
        if self._unsent_bytes + self._outbox_bytes > self._options.send_buffer_size_limit:
            self._wait_for_room()
        self._take(message, size)

    def _send_from_thread(self, message: WebSocketMessage[Any], size: int) -> None:
        flusher = self._runtime.flusher
        if self.pending_bytes > self._options.send_buffer_size_limit:
            began = monotonic()
            done = allocate_lock()
            done.acquire()
            flusher.hand_over(self._add_waiter, done.release)
            if not done.acquire(timeout=self._options.send_time_limit_ms / 1000.0):
                raise self._time_limit_exceeded(began)
        with _handed_lock:
            self._handed_bytes += size
        flusher.hand_over(self._take_handed, message, size)

    def _take_handed(self, message: WebSocketMessage[Any], size: int) -> None:
        with _handed_lock:
            self._handed_bytes -= size
        self._take(message, size)

    def _take(self, message: WebSocketMessage[Any], size: int) -> None:
        if not self.is_open:
            logger.debug("Session %s is %s: %r is not sent", self._id, self._state.value, message)
            return
        self._outbox_bytes += size
        if self._outbox is None:
            self._outbox = [message]
            self._is_clear = False
            self._runtime.flusher.request(self)
        else:
            self._outbox.append(message)

    # Waiting for room.

    def _wait_for_room(self) -> None:
        self.flush()  # Before judging: a burst within one turn is no slow peer.
        limit = self._options.send_buffer_size_limit
        began = monotonic()
        while self._unsent_bytes > limit and self.is_open:
            if getcurrent() is self._runtime.hub:
                raise SessionLimitExceededError(
                    f"Buffer size {self._unsent_bytes} bytes for session '{self._id}' "
                    f"exceeds the allowed limit {limit}",
                    CloseStatus.SESSION_NOT_RELIABLE.with_cause(EndReason.SEND_BUFFER_LIMIT),
                )
            event = Event()
            self._add_waiter(event.set)
            rest = began + self._options.send_time_limit_ms / 1000.0 - monotonic()
            if not event.wait(max(0.0, rest)):
                raise self._time_limit_exceeded(began)

    def _time_limit_exceeded(self, began: float) -> SessionLimitExceededError:
        status = CloseStatus.SESSION_NOT_RELIABLE.with_cause(EndReason.SEND_TIME_LIMIT)
        self.abort(status)  # Now: what the caller does with the error must find it done.
        return SessionLimitExceededError(
            f"Send time {(monotonic() - began) * 1000:.0f} (ms) for session '{self._id}' "
            f"exceeded the allowed limit {self._options.send_time_limit_ms}",
            status,
        )

    def _add_waiter(self, wake: Callable[[], object]) -> None:
        if self._unsent_bytes <= self._options.send_buffer_size_limit or not self.is_open:
            wake()
        elif self._waiters is None:
            self._waiters = [wake]
        else:
            self._waiters.append(wake)

    def _wake_waiters(self) -> None:
        waiters, self._waiters = self._waiters, None
        for wake in waiters or ():
            wake()

    # The socket.

    def _encode_all(self, messages: Sequence[Outgoing]) -> bytes:
        """The frames of *messages* in one piece, with a short way for what nearly all are: whole texts."""
        pieces: list[bytes] = []
        for message in messages:
            if message.__class__ is tuple and self._takes_frames:
                head, tail = message
                pieces += (text_header(len(head) + len(tail)), head, tail)
            else:
                pieces.append(self._encode(message_of(message)))
        return b"".join(pieces)

    def _encode(self, message: WebSocketMessage[Any]) -> bytes:
        kind = message.__class__  # isinstance() of these costs a call of Python code
        if kind is TextMessage or (kind is not BinaryMessage and isinstance(message, TextMessage)):
            if message.is_last and not self._fragmenting:
                return self._codec.encode_text(message.as_bytes())
            return self._encode_part(TEXT, message)
        if kind is BinaryMessage or isinstance(message, BinaryMessage):
            if message.is_last and not self._fragmenting:
                return self._codec.encode_binary(message.as_bytes())
            return self._encode_part(BINARY, message)
        if isinstance(message, PingMessage):
            return self._codec.encode_ping(message.as_bytes())
        return self._codec.encode_pong(message.as_bytes())

    def _encode_part(self, opcode: int, message: WebSocketMessage[Any]) -> bytes:
        """A fragment (RFC 6455 5.4), never compressed; text may be cut within a character."""
        first = CONTINUATION if self._fragmenting else opcode
        self._fragmenting = not message.is_last
        self._takes_frames = self._codec.is_plain and message.is_last
        self._look_whether_clear()
        payload = message.as_bytes()
        return header(first | FIN if message.is_last else first, 0, len(payload)) + payload

    def _write(self, data: bytes) -> bool:
        """Whether nothing waits afterwards."""
        unsent = self._unsent
        if unsent is not None:
            unsent.append(data)
            self._unsent_bytes += len(data)
            return False
        try:
            if (sent := self._socket.send(data)) == len(data):
                return True
        except OSError as error:
            sent = self._not_sent(error)
        return self._keep(data, sent)

    def _not_sent(self, error: OSError) -> int:
        """How many bytes need not be kept: none, or all (-1) if the socket is of no more use."""
        if isinstance(error, BlockingIOError):
            return 0
        self._broken(error)
        return -1

    def _keep(self, data: bytes, sent: int) -> bool:
        """Let what was not sent wait for the peer. Whether nothing waits afterwards."""
        if sent < 0:
            return True
        self._unsent = [memoryview(data)[sent:]]
        self._unsent_bytes = len(data) - sent
        self._is_clear = False
        watcher = self._write_watcher = self._runtime.loop.io(self._socket.fileno(), _WRITE)
        watcher.start(self._on_writable)
        return False

    def _on_writable(self) -> None:
        unsent = self._unsent
        assert unsent is not None, "a write watcher without anything to write"
        data = unsent[0] if len(unsent) == 1 else memoryview(b"".join(unsent))
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._broken(error)
            return
        self._unsent_bytes -= sent
        if self._unsent_bytes:
            self._unsent = [data[sent:]]
        else:
            self._forget_unsent()
            self._all_written()
        if self._waiters is not None and self._unsent_bytes * 2 <= self._options.send_buffer_size_limit:
            self._wake_waiters()

    def _forget_unsent(self) -> None:
        """Nothing waits any more, be it written or given up."""
        self._unsent = None
        self._unsent_bytes = 0
        self._look_whether_clear()
        watcher, self._write_watcher = self._write_watcher, None
        if watcher is not None:
            watcher.stop()
            watcher.close()
        waiting, self._drained = self._drained, None
        for drained in waiting or ():
            drained()

    @abstractmethod
    def _all_written(self) -> None:
        """What had to wait is written."""

    @abstractmethod
    def _broken(self, error: OSError) -> None:
        """The socket is of no more use."""

    @abstractmethod
    def abort(self, status: CloseStatus) -> None:
        """Cut the connection without a close frame; the handler is told *status*. From any thread, harmless twice."""
