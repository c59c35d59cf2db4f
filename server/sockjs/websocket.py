"""WebSocket: ``GET .../websocket`` with SockJS frames in text messages (SJS-12).

Station: a handler of native sessions on one side, a SockJS session for the application's handler on the other.
``/websocket`` without server and session is not here: it is a handshake like any other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, cast

from ..close import CloseStatus, EndReason
from ..decorators import WebSocketHandlerDecorator, WebSocketSessionDecorator
from ..flush import Flusher, NonBlockingWebSocketSession, Outgoing
from ..framing import TextFraming
from ..handlers import WebSocketHandler
from ..message import BinaryMessage, TextMessage, WebSocketMessage
from ..session import Principal, WebSocketSession
from .delivery import MESSAGES_AT_ONCE
from .frame import OPEN, FrameError
from .joined import WEB_SOCKET, has_joined_texts
from .options import SockJsOptions
from .session import SessionFacts, SessionState, SockJsSession, frame_of, texts_of
from .timers import SockJsTimers

logger = logging.getLogger(__name__)

_LOOP_TIMEOUT_MS = 10_000
"""How long a close from another thread waits for the loop; the session is closed later, if not by then."""


class WebSocketTransport:
    """Marks the transport; the service runs its handshake."""

    name = "websocket"
    method = "GET"
    supports_cors = False


class WebSocketSockJsSession(SockJsSession):
    """A session on one native WebSocket, as long-lived as that."""

    __slots__ = ("_last_received_ms", "_native")

    transport = "websocket"
    transport_kind = "web_socket"

    def __init__(
        self,
        facts: SessionFacts,
        handler: WebSocketHandler,
        options: SockJsOptions,
        timers: SockJsTimers,
        native: WebSocketSession,
    ) -> None:
        facts.principal = native.principal
        facts.attributes = native.attributes
        SockJsSession.__init__(self, facts, handler, options, timers, native.id)
        self._native = native
        self._last_received_ms = self._last_sent_ms

    @property
    def native_session(self) -> WebSocketSession:
        """The WebSocket underneath, whose messages are SockJS frames."""
        return self._native

    @property
    def is_open(self) -> bool:
        return self._state is SessionState.OPEN and self._native.is_open

    @property
    def principal(self) -> Principal | None:
        return self._native.principal

    @property
    def accepted_protocol(self) -> str | None:
        return self._native.accepted_protocol

    @property
    def text_message_size_limit(self) -> int:
        """Bytes of an incoming frame, which may hold several messages."""
        return self._native.text_message_size_limit

    @text_message_size_limit.setter
    def text_message_size_limit(self, limit: int) -> None:
        self._native.text_message_size_limit = limit

    @property
    def binary_message_size_limit(self) -> int:
        return self._native.binary_message_size_limit

    @binary_message_size_limit.setter
    def binary_message_size_limit(self, limit: int) -> None:
        self._native.binary_message_size_limit = limit

    def idle_ms(self) -> float:
        return self._timers.now_ms() - self._last_received_ms

    def _send_text(self, message: TextMessage) -> None:
        self._last_sent_ms = self._timers.now_ms()
        self._native.send_message(TextMessage(self._options.message_codec.encode(texts_of((message,)))))

    def _write_heartbeat(self, frame: bytes) -> None:
        self._native.send_message(TextMessage(frame))

    def _close(self, status: CloseStatus) -> None:
        """The close frame of SockJS, then that of WebSocket. The handler is told when the native session says so."""
        self._log_move(self._move(SessionState.CLOSED))
        self._close_status = status
        self._watch.cancel()
        native = self._native
        try:
            if native.is_open and not status.equals_code(CloseStatus.SESSION_NOT_RELIABLE):
                self._send_last(TextMessage(frame_of(status)))
        finally:
            native.close(status)

    def _send_last(self, frame: TextMessage) -> None:
        self._native.send_message(frame)

    # What the adapter calls.

    def opened(self) -> None:
        self._native.send_message(TextMessage(OPEN))
        self._log_move(self._move(SessionState.OPEN))
        self._watch.moved()

    def ended(self, status: CloseStatus) -> None:
        if self._state is not SessionState.CLOSED:
            self._log_move(self._move(SessionState.CLOSED))
            self._close_status = status
        self._watch.cancel()

    def received(self) -> None:
        self._last_received_ms = self._timers.now_ms()


class NonBlockingWebSocketSockJsSession(WebSocketSockJsSession):
    """The same on a native session whose writes never wait: implements ``NonBlockingWebSocketSession``."""

    __slots__ = ()

    _native: NonBlockingWebSocketSession

    @property
    def flusher(self) -> Flusher:
        return self._native.flusher

    @property
    def pending_bytes(self) -> int:
        return self._native.pending_bytes

    @property
    def last_read_ms(self) -> float:
        """When the client last sent something, in milliseconds of ``flusher.now_ms()``: a pong counts, too."""
        last_read_ms: float = getattr(self._native, "last_read_ms", self._last_received_ms)
        return last_read_ms

    def _write_heartbeat(self, frame: bytes) -> None:
        # Never waits for room. While the client takes nothing there are bytes on the way, as over HTTP.
        if not self._native.pending_bytes:
            self._native.send_message(TextMessage(frame))

    def _close(self, status: CloseStatus) -> None:
        # Never waits for room: whoever ends sessions, as the broker's heart-beats do, has others to look after.
        if not self.flusher.run_now(lambda: self._close_now(status), timeout_ms=_LOOP_TIMEOUT_MS):
            logger.debug("Session %s: the loop is busy, the close waits for it", self._id)

    def _close_now(self, status: CloseStatus) -> None:
        if self._state is not SessionState.CLOSED:
            WebSocketSockJsSession._close(self, status)

    def _send_last(self, frame: TextMessage) -> None:
        self._native.try_send((frame,), _nobody_waits)

    def try_send(self, messages: Sequence[Outgoing], drained: Callable[[], None]) -> bool:
        """Hand over messages, in order, as one SockJS frame. On the loop's thread only."""
        if self._state is not SessionState.OPEN:
            return True
        texts = texts_of(messages)
        self._last_sent_ms = self._timers.now_ms()
        return self._native.try_send((TextMessage(self._options.message_codec.encode(texts)),), drained)

    @property
    def text_framing(self) -> TextFraming | None:
        native = getattr(self._native, "text_framing", None)
        return WEB_SOCKET if native is not None and has_joined_texts(self._options.message_codec) else None

    def try_write(self, texts: bytes) -> bool | None:
        """As the native session's, of SockJS frames in WebSocket frames."""
        if self._state is not SessionState.OPEN:
            return None
        self._last_sent_ms = self._timers.now_ms()
        taken: bool | None = self._native.try_write(texts)  # type: ignore[attr-defined]  # as text_framing told
        return taken

    def when_drained(self, drained: Callable[[], None]) -> None:
        """As the native session's."""
        self._native.when_drained(drained)  # type: ignore[attr-defined]  # as text_framing told


class SockJsWebSocketHandler:
    """Handles one native session: reads SockJS frames out of it for the application's handler."""

    supports_partial_messages = False

    def __init__(
        self,
        handler: WebSocketHandler,
        facts: SessionFacts,
        options: SockJsOptions,
        timers: SockJsTimers,
        *,
        opened: Callable[[], None],
        closed: Callable[[], None],
    ) -> None:
        """*opened* and *closed* are called at the begin and at the end of the session."""
        self._handler = handler
        self._facts = facts
        self._options = options
        self._timers = timers
        self._opened = opened
        self._closed = closed
        self._session: WebSocketSockJsSession | None = None

    @property
    def sub_protocols(self) -> Sequence[str]:
        """Those of the application's handler."""
        names: Sequence[str] = getattr(WebSocketHandlerDecorator.unwrap(self._handler), "sub_protocols", ())
        return names

    def after_connection_established(self, session: WebSocketSession) -> None:
        """Raises RuntimeError for a second native session: a handshake makes one."""
        if self._session is not None:
            raise RuntimeError("Unexpected connection")
        kind = WebSocketSockJsSession
        if hasattr(WebSocketSessionDecorator.unwrap(session), "try_send"):
            kind = NonBlockingWebSocketSockJsSession
        self._session = kind(self._facts, self._handler, self._options, self._timers, session)
        self._opened()
        self._session.opened()
        self._handler.after_connection_established(self._session)

    def handle_message(self, session: WebSocketSession, message: WebSocketMessage[Any]) -> None:
        own = self._own()
        own.received()
        if isinstance(message, TextMessage):
            self._handle_text(own, session, message.as_bytes())
        elif isinstance(message, BinaryMessage):
            # Differs from Spring only in that the SockJS frame comes first, as with every close.
            own.close(
                CloseStatus(CloseStatus.NOT_ACCEPTABLE.code, "Binary messages not supported", because=_PROTOCOL_ERROR)
            )

    def handle_transport_error(self, session: WebSocketSession, error: BaseException) -> None:
        self._handler.handle_transport_error(self._own(), error)

    def after_connection_closed(self, session: WebSocketSession, status: CloseStatus) -> None:
        own = self._own()
        own.ended(status)
        try:
            self._handler.after_connection_closed(own, status)
        finally:
            self._closed()

    def _handle_text(self, own: WebSocketSockJsSession, native: WebSocketSession, data: bytes) -> None:
        if not data:
            return
        try:
            messages = self._options.message_codec.decode(data)
        except FrameError as error:
            logger.error("Broken data received in session %s, which is closed: %s", own.id, error)
            native.close(CloseStatus.BAD_DATA.with_cause(_PROTOCOL_ERROR))
            return
        flusher = getattr(own, "flusher", None)
        for number, text in enumerate(messages):
            if number and not number % MESSAGES_AT_ONCE and flusher is not None:
                flusher.give_way()
            if not own.is_open:
                logger.debug("Session %s is closed: the rest of its messages is dropped", own.id)
                return
            self._handler.handle_message(own, TextMessage(text))

    def _own(self) -> WebSocketSockJsSession:
        return cast(WebSocketSockJsSession, self._session)


_PROTOCOL_ERROR = EndReason.PROTOCOL_ERROR


def _nobody_waits() -> None: ...
