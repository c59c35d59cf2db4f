"""A WebSocket session without a socket, for tests."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from werkzeug.datastructures import Headers

from wellhead.server.close import CloseStatus
from wellhead.server.handshake.extension import WebSocketExtension
from wellhead.server.message import BinaryMessage, PingMessage, PongMessage, TextMessage, WebSocketMessage
from wellhead.server.session import Address, BaseWebSocketSession, Principal

HOLD_LIMIT_S = 10.0


class FakeWebSocketSession(BaseWebSocketSession):
    """Records what is sent and how it was closed; can be told to hold up or to fail.

    ``send_error`` / ``close_error``: raised by the next sends / closes while set. ``hold_sends()`` makes senders wait
    until ``release_sends()``; ``sending`` is set while one waits, so that another thread can wait for that.
    """

    def __init__(
        self,
        session_id: str | None = None,
        *,
        attributes: Mapping[str, Any] | None = None,
        uri: str = "ws://localhost/ws",
        handshake_headers: Headers | None = None,
        principal: Principal | None = None,
        accepted_protocol: str | None = None,
        extensions: Sequence[WebSocketExtension] = (),
        local_address: Address | None = ("127.0.0.1", 8080),
        remote_address: Address | None = ("127.0.0.1", 54321),
    ) -> None:
        super().__init__(attributes, session_id=session_id)
        self.uri = uri
        self.handshake_headers = Headers() if handshake_headers is None else handshake_headers
        self.principal = principal
        self.accepted_protocol = accepted_protocol
        self.extensions = list(extensions)
        self.local_address = local_address
        self.remote_address = remote_address
        self.text_message_size_limit = 64 * 1024
        self.binary_message_size_limit = 64 * 1024
        self.sent: list[WebSocketMessage[Any]] = []
        self.closed_with: list[CloseStatus] = []
        self.send_error: Exception | None = None
        self.close_error: Exception | None = None
        self.sending = threading.Event()
        self._gate = threading.Event()
        self._gate.set()
        self._open = True

    @property
    def is_open(self) -> bool:
        return self._open

    @property
    def sent_payloads(self) -> list[str | bytes]:
        return [message.payload for message in self.sent]

    def hold_sends(self) -> None:
        self._gate.clear()

    def release_sends(self) -> None:
        self._gate.set()

    def vanish(self) -> None:
        """Be closed without anybody having called ``close``."""
        self._open = False

    def _record(self, message: WebSocketMessage[Any]) -> None:
        if not self._gate.is_set():
            self.sending.set()
            assert self._gate.wait(HOLD_LIMIT_S), "nobody released the sends"
            self.sending.clear()
        if self.send_error is not None:
            raise self.send_error
        self.sent.append(message)

    def _send_text(self, message: TextMessage) -> None:
        self._record(message)

    def _send_binary(self, message: BinaryMessage) -> None:
        self._record(message)

    def _send_ping(self, message: PingMessage) -> None:
        self._record(message)

    def _send_pong(self, message: PongMessage) -> None:
        self._record(message)

    def _close(self, status: CloseStatus) -> None:
        if self.close_error is not None:
            raise self.close_error
        self._open = False
        self.closed_with.append(status)
