"""What the endpoint keeps of a session."""

from __future__ import annotations

from ..concurrent import ConcurrentWebSocketSessionDecorator
from .contract import SubProtocolHandler


class SessionHolder:
    """A session, wrapped for sending, with its protocol handler."""

    __slots__ = ("endpoint", "handler", "heard", "kind", "opened_ms", "session")

    def __init__(
        self,
        endpoint: object,
        session: ConcurrentWebSocketSessionDecorator,
        handler: SubProtocolHandler,
        kind: str,
        opened_ms: float,
    ) -> None:
        self.endpoint: object = endpoint
        """Whose session this is; None once it has ended."""
        self.session = session
        self.handler = handler
        self.kind = kind
        self.opened_ms = opened_ms
        self.heard = False
