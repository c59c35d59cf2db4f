"""What a sub-protocol handler does for the endpoint (SWS-01)."""

from __future__ import annotations

from typing import Any, Protocol

from ...messaging.channel import MessageChannel
from ...messaging.message import Message
from ..close import CloseStatus
from ..message import WebSocketMessage
from ..session import WebSocketSession


class SubProtocolHandler(Protocol):
    """Turns WebSocket messages of one or more sub-protocols into messages, and back."""

    @property
    def supported_protocols(self) -> list[str]:
        """The names of the sub-protocols."""
        ...

    def handle_message_from_client(
        self, session: WebSocketSession, message: WebSocketMessage[Any], channel: MessageChannel
    ) -> None:
        """Decode and send to *channel*. Errors of the client are answered, not raised."""
        ...

    def handle_message_to_client(self, session: WebSocketSession, message: Message[Any]) -> None:
        """Encode and send to the client. Raises SessionLimitExceededError when the client is too slow."""
        ...

    def resolve_session_id(self, message: Message[Any]) -> str | None:
        """The session that a message is for."""
        ...

    def after_session_started(self, session: WebSocketSession, channel: MessageChannel) -> None: ...

    def after_session_ended(self, session: WebSocketSession, status: CloseStatus, channel: MessageChannel) -> None: ...
