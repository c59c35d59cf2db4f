"""What the endpoint keeps of a session."""

from __future__ import annotations

from ..concurrent import ConcurrentWebSocketSessionDecorator
from ..message import BinaryMessage
from .contract import SharedText, SubProtocolHandler


class SessionHolder:
    """A session, wrapped for sending, with its protocol handler."""

    __slots__ = ("endpoint", "handler", "heard", "kind", "opened_ms", "session", "takes_binary")

    def __init__(
        self,
        endpoint: object,
        session: ConcurrentWebSocketSessionDecorator,
        handler: SubProtocolHandler,
        kind: str,
        opened_ms: float,
        *,
        takes_binary: bool = True,
    ) -> None:
        self.endpoint: object = endpoint
        """Whose session this is; None once it has ended."""
        self.session = session
        self.handler = handler
        self.kind = kind
        self.opened_ms = opened_ms
        self.heard = False
        self.takes_binary = takes_binary
        """Whether its transport has binary messages."""

    def send_shared(self, shared: SharedText, own: bytes) -> None:
        """One recipient's message of a broadcast: *own*, then what all have."""
        if shared.is_text or not self.takes_binary:
            self.session.send_text(own, shared.tail)
        else:
            self.session.send_message(BinaryMessage(own + shared.tail))
