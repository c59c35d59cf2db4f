"""What the STOMP handler keeps of one session."""

from __future__ import annotations

from ...messaging.channel import MessageChannel
from ...messaging.simp.types import Principal
from ...messaging.stomp.decoder import BufferingStompDecoder
from ..session import WebSocketSession


class StompSession:
    """From the opening of a WebSocket to the end of its clean-up."""

    __slots__ = ("channel", "connect_seen", "decoder", "disconnected", "ended", "session", "user")

    def __init__(self, session: WebSocketSession, decoder: BufferingStompDecoder, channel: MessageChannel) -> None:
        self.session = session
        self.decoder = decoder
        self.channel = channel
        """Where the frames of this session go."""
        self.user: Principal | None = None
        """Whom an interceptor named on CONNECT; takes the place of the WebSocket's principal (SPH-03)."""
        self.connect_seen = False
        self.disconnected = False
        """The client sent DISCONNECT."""
        self.ended = False

    @property
    def principal(self) -> Principal | None:
        return self.user or self.session.principal
