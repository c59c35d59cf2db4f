"""What a sub-protocol handler does for the endpoint (SWS-01)."""

from __future__ import annotations

from typing import Any, Protocol

from ...messaging.broker.broadcast import Broadcast
from ...messaging.broker.contract import Subscription
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


class SharedText(Protocol):
    """A broadcast as a sub-protocol writes it: a text for each recipient, that ends with what all of them share."""

    @property
    def is_text(self) -> bool:
        """False: it is a binary message for those whose transport has such."""
        ...

    @property
    def head(self) -> bytes:
        """What ``Subscription.prepared`` has to be made for, to be used again."""
        ...

    @property
    def tail(self) -> bytes: ...

    def before_tail(self, subscription: Subscription) -> bytes:
        """What comes before the tail in one recipient's text."""
        ...


class SharingProtocolHandler(SubProtocolHandler, Protocol):
    """One whose messages of a broadcast differ only in what stands before a common tail."""

    def share(self, broadcast: Broadcast) -> SharedText | None:
        """None: each recipient's message has to be handled by itself. Called for each publish."""
        ...

    def send_failed(self, session: WebSocketSession, error: Exception) -> None:
        """A text of a broadcast could not be sent."""
        ...
