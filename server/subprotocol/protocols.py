"""Which handler serves which sub-protocol: the endpoint's register of them (SWS-01, SWS-02)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from ...messaging.broker.broadcast import Broadcast
from ..session import WebSocketSession
from .contract import SharedText, SubProtocolHandler

logger = logging.getLogger(__name__)


class ProtocolHandlers:
    """The register; ``SubProtocolWebSocketHandler`` adds sessions and messages."""

    def __init__(self) -> None:
        self._by_protocol: dict[str, SubProtocolHandler] = {}
        self._handlers: list[SubProtocolHandler] = []
        self._default: SubProtocolHandler | None = None
        self._share: Callable[[Broadcast], SharedText | None] | None = None
        """Of the one handler, if there is but one and it can."""
        self._heartbeat: bytes | None = None
        """Likewise: the text that is one in its protocol."""

    def set_protocol_handlers(self, handlers: Sequence[SubProtocolHandler]) -> None:
        self._by_protocol.clear()
        self._handlers.clear()
        self._choose_share()
        for handler in handlers:
            self.add_protocol_handler(handler)

    def add_protocol_handler(self, handler: SubProtocolHandler) -> None:
        """Raises RuntimeError when another handler has one of its protocols already."""
        names = [name.lower() for name in handler.supported_protocols]
        if not names:
            logger.error("No sub-protocols for %s", handler)
            return
        for name in names:
            if self._by_protocol.get(name, handler) is not handler:
                raise RuntimeError(
                    f"Cannot map {handler} to protocol '{name}': already mapped to {self._by_protocol[name]}"
                )
        self._by_protocol.update(dict.fromkeys(names, handler))
        if handler not in self._handlers:
            self._handlers.append(handler)
            self._choose_share()

    @property
    def default_protocol_handler(self) -> SubProtocolHandler | None:
        """Serves sessions that negotiated nothing."""
        return self._default

    @default_protocol_handler.setter
    def default_protocol_handler(self, handler: SubProtocolHandler | None) -> None:
        self._default = handler
        self._choose_share()
        if handler is not None and not self._by_protocol:
            self.add_protocol_handler(handler)

    def _choose_share(self) -> None:
        """Broadcasts are shared, and heart-beats known, when there is but one handler."""
        handlers = [*self._handlers]
        if self._default is not None and self._default not in handlers:
            handlers.append(self._default)
        only = handlers[0] if len(handlers) == 1 else None
        self._share = getattr(only, "share", None)
        self._heartbeat = getattr(only, "heartbeat_text", None)

    @property
    def sub_protocols(self) -> list[str]:
        """What the handshake offers."""
        return list(self._by_protocol)

    def _find_handler(self, session: WebSocketSession) -> SubProtocolHandler:
        protocol = session.accepted_protocol
        if protocol:
            handler = self._by_protocol.get(protocol.lower())
            if handler is None:
                raise RuntimeError(f"No handler for '{protocol}' among {sorted(self._by_protocol)}")
            return handler
        if self._default is not None:
            return self._default
        if len(self._handlers) == 1:
            return self._handlers[0]
        raise RuntimeError(
            "Multiple protocol handlers configured and no protocol was negotiated. "
            "Consider configuring a default SubProtocolHandler."
        )
