"""``environ["wsgi.websocket"]``: for applications written for gevent-websocket.

Beside the strategy of the handshake, for WSGI applications that call ``receive()`` and ``send()`` in their own
greenlet. The upgrade happens at the first use, so that other applications do not notice that the object is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gevent.event import Event  # type: ignore[import-untyped]  # no type information
from geventwebsocket.exceptions import WebSocketError  # type: ignore[import-untyped]  # no type information
from geventwebsocket.websocket import MSG_SOCKET_DEAD  # type: ignore[import-untyped]  # no type information

from ..close import CloseStatus
from ..exceptions import SessionLimitExceededError
from ..handlers import AbstractWebSocketHandler
from ..handshake.handler import DefaultHandshakeHandler
from ..handshake.request import HandshakeRequest, HandshakeResponse
from ..message import BinaryMessage, PingMessage, PongMessage, TextMessage, WebSocketMessage
from .connection import WebSocketConnection
from .state import ConnectionState
from .upgrade import GeventUpgradeStrategy, Upgrade

if TYPE_CHECKING:
    from .handler import WellheadHandler

WEBSOCKET_KEY = "wsgi.websocket"
"""Environ key of the object, as gevent-websocket has it."""
MSG_ALREADY_CLOSED = "Connection is already closed"


class LegacyWebSocket:
    """In the environ of each request that asks for WebSocket. Used by one greenlet to receive, by any to send."""

    OPCODE_TEXT = 0x1
    OPCODE_BINARY = 0x2
    OPCODE_CLOSE = 0x8
    OPCODE_PING = 0x9
    OPCODE_PONG = 0xA

    __slots__ = ("environ", "handler", "_connection", "_closed")

    def __init__(self, handler: WellheadHandler, environ: dict[str, Any]) -> None:
        self.environ = environ
        self.handler = handler
        self._connection: ReceivingConnection | None = None
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether it was closed, from either side. False before the first use."""
        return self._closed or (self._connection is not None and not self._connection.is_open)

    @property
    def origin(self) -> str | None:
        return self.environ.get("HTTP_ORIGIN")

    @property
    def protocol(self) -> str | None:
        """What the client asked for; nothing is selected."""
        return self.environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL")

    @property
    def version(self) -> str | None:
        return self.environ.get("HTTP_SEC_WEBSOCKET_VERSION")

    @property
    def path(self) -> str | None:
        return self.environ.get("PATH_INFO")

    def receive(self) -> str | bytearray | None:
        """Wait for a message: text as ``str``, binary as ``bytearray``, None once when the connection ended.

        Raises WebSocketError when it had ended before, or the handshake is refused.
        """
        connection = self._upgraded()
        if self._closed:
            raise WebSocketError(MSG_ALREADY_CLOSED)
        message = connection.receive()
        if message is None:
            self._closed = True
            return None
        return message.payload if isinstance(message, TextMessage) else bytearray(message.as_bytes())

    def send(self, message: str | bytes | bytearray, binary: bool | None = None) -> None:
        """Send a message: ``str`` as text, anything else as binary unless *binary* says otherwise.

        Raises WebSocketError when the connection has ended or the peer does not read, or the handshake is refused.
        """
        if binary is None:
            binary = not isinstance(message, str)
        self.send_frame(message, self.OPCODE_BINARY if binary else self.OPCODE_TEXT)

    def send_frame(self, message: str | bytes | bytearray, opcode: int) -> None:
        """Send text, binary, ping or pong by its opcode; raises as `send`."""
        connection = self._upgraded()
        if self._closed or not connection.is_open:
            raise WebSocketError(MSG_SOCKET_DEAD)
        data = message.encode() if isinstance(message, str) else bytes(message)
        kinds: dict[int, type[WebSocketMessage[Any]]] = {
            self.OPCODE_TEXT: TextMessage,
            self.OPCODE_BINARY: BinaryMessage,
            self.OPCODE_PING: PingMessage,
            self.OPCODE_PONG: PongMessage,
        }
        try:
            connection.send_message(kinds[opcode](data))  # type: ignore[call-arg]  # each takes its payload
        except SessionLimitExceededError as error:
            raise WebSocketError(MSG_SOCKET_DEAD) from error

    def close(self, code: int = 1000, message: str | bytes = b"") -> None:
        """Close with *code* and a reason. Harmless twice, and before the first use."""
        self._closed = True
        if self._connection is not None:
            reason = message if isinstance(message, str) else bytes(message).decode(errors="replace")
            self._connection.close(CloseStatus(code, reason or None))

    def _upgraded(self) -> ReceivingConnection:
        connection = self._connection
        if connection is None:
            if self._closed or self.handler.upgrading:
                raise WebSocketError(MSG_ALREADY_CLOSED)
            connection = self._connection = self._upgrade()
        return connection

    def _upgrade(self) -> ReceivingConnection:
        handler = self.handler
        request, response = HandshakeRequest(self.environ), HandshakeResponse()
        strategy = _ImmediateUpgrade(handler)
        if not DefaultHandshakeHandler(strategy).do_handshake(request, response, _NO_HANDLER, {}):
            handler.legacy_refusal = response
            raise WebSocketError(f"The handshake was refused with {response.status}")
        assert strategy.connection is not None
        handler.legacy = self
        return strategy.connection


class ReceivingConnection(WebSocketConnection):
    """A connection whose messages wait for ``receive`` instead of being given to a handler."""

    __slots__ = ("_news",)

    def __init__(self, *arguments: Any) -> None:
        WebSocketConnection.__init__(self, *arguments)
        self._handler = None
        self._news = Event()

    def receive(self) -> WebSocketMessage[Any] | None:
        """Wait for a message, in a greenlet of the loop's thread; None when there will be none any more."""
        while True:
            mailbox = self._mailbox
            if mailbox and not self._deaf:
                message = mailbox.popleft()
                self._mailbox_bytes -= message.payload_length
                if not self._reading and self._state is ConnectionState.OPEN:
                    self._read_again(len(mailbox))
                if not isinstance(message, PongMessage):
                    return message
                continue
            self._mailbox = None
            if self._end is not None:
                self._say_farewell()
                return None
            self._news.clear()
            self._news.wait()

    def _submit(self) -> None:
        self._news.set()


class _ImmediateUpgrade(GeventUpgradeStrategy):
    """Upgrades at once, while the application is running."""

    __slots__ = ("connection",)

    def __init__(self, http_handler: WellheadHandler) -> None:
        GeventUpgradeStrategy.__init__(self, http_handler)
        self.connection: ReceivingConnection | None = None

    def _accept(self, upgrade: Upgrade) -> None:
        socket, watcher, rest = self._http_handler.answer_101(upgrade.response())
        self.connection = upgrade.make(ReceivingConnection, self._http_handler.server.runtime, socket)
        self.connection.start(rest, watcher)


_NO_HANDLER = AbstractWebSocketHandler()
