"""What an application writes to handle raw WebSocket messages (WSA-01, WSA-04).

Station: the top of the raw WebSocket path; with STOMP the sub-protocol handler stands here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from .close import CloseStatus, EndReason
from .message import BinaryMessage, PongMessage, TextMessage, WebSocketMessage
from .session import WebSocketSession


class WebSocketHandler(Protocol):
    """Handles the messages and the life of WebSocket sessions. One instance serves all connections.

    The calls for one session come one after the other, those for different sessions side by side. An exception from
    any of them ends in the exception decorator: logged, and the session closed with 1011.
    """

    @property
    def supports_partial_messages(self) -> bool:
        """Whether parts of a message may be delivered as they come; otherwise only whole ones are."""

    def after_connection_established(self, session: WebSocketSession) -> None:
        """The session is open and ready for use. Called once, before everything else."""

    def handle_message(self, session: WebSocketSession, message: WebSocketMessage[Any]) -> None:
        """A message came in."""

    def handle_transport_error(self, session: WebSocketSession, error: BaseException) -> None:
        """The transport failed; the close follows."""

    def after_connection_closed(self, session: WebSocketSession, status: CloseStatus) -> None:
        """The session ended, from whichever side. Called once, after everything else; sending is of no use any more."""


class SubProtocolCapable(Protocol):
    """A handler that speaks sub-protocols. The handshake looks for this after unwrapping decorators."""

    @property
    def sub_protocols(self) -> Sequence[str]:
        """Names in lower case, the preferred first; never ``None``, may be empty."""


class HeartbeatAudience(Protocol):
    """Those who would get to see a heart-beat as a message."""

    @property
    def wants_heartbeats(self) -> bool:
        """Whether there are any at the moment. Looked at on the loop's thread, for each heart-beat."""
        ...


def heartbeat_audience(handler: WebSocketHandler | None, session: WebSocketSession) -> HeartbeatAudience | None:
    """For whom alone *handler* handles a text of one line feed, by its method ``heartbeat_audience``.

    None: the handler wants to see it itself, as decorators of users do. Asked on the loop's thread, when no message
    waits and none is being handled; the answer holds until the next message of the session. Must not block.
    """
    find: Callable[[WebSocketSession], HeartbeatAudience | None] | None = getattr(handler, "heartbeat_audience", None)
    return find(session) if find is not None else None


class AbstractWebSocketHandler:
    """A handler with a method per kind of message, each doing nothing until overridden (WSA-04)."""

    supports_partial_messages: bool = False

    def after_connection_established(self, session: WebSocketSession) -> None:
        """Override to act on a new session."""

    def handle_message(self, session: WebSocketSession, message: WebSocketMessage[Any]) -> None:
        """Hand the message to the method of its kind.

        Raises:
            RuntimeError: the message is neither text, binary nor pong; pings are answered below.
        """
        if isinstance(message, TextMessage):
            self.handle_text_message(session, message)
        elif isinstance(message, BinaryMessage):
            self.handle_binary_message(session, message)
        elif isinstance(message, PongMessage):
            self.handle_pong_message(session, message)
        else:
            raise RuntimeError(f"Unexpected WebSocket message type: {message!r}")

    def handle_transport_error(self, session: WebSocketSession, error: BaseException) -> None:
        """Override to act on a failure of the transport."""

    def after_connection_closed(self, session: WebSocketSession, status: CloseStatus) -> None:
        """Override to act on the end of a session."""

    def handle_text_message(self, session: WebSocketSession, message: TextMessage) -> None:
        """Override to act on text."""

    def handle_binary_message(self, session: WebSocketSession, message: BinaryMessage) -> None:
        """Override to act on binary content."""

    def handle_pong_message(self, session: WebSocketSession, message: PongMessage) -> None:
        """Override to act on the answer to a ping."""


class TextWebSocketHandler(AbstractWebSocketHandler):
    """Handles text; a binary message closes the session with 1003, ``Binary messages not supported``."""

    def handle_binary_message(self, session: WebSocketSession, message: BinaryMessage) -> None:
        _refuse(session, "Binary messages not supported")


class BinaryWebSocketHandler(AbstractWebSocketHandler):
    """Handles binary messages; a text message closes the session with 1003, ``Text messages not supported``."""

    def handle_text_message(self, session: WebSocketSession, message: TextMessage) -> None:
        _refuse(session, "Text messages not supported")


def _refuse(session: WebSocketSession, reason: str) -> None:
    session.close(CloseStatus(CloseStatus.NOT_ACCEPTABLE.code, reason, because=EndReason.PROTOCOL_ERROR))
