"""The seam where a checked handshake becomes a WebSocket connection.

Station: below the handshake handler, above the server that owns the socket. A server that can upgrade puts its
strategy into the environ; another can be given to the handshake handler.
"""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

from ..exceptions import HandshakeFailureError
from ..handlers import WebSocketHandler
from ..session import Principal
from .extension import WebSocketExtension
from .request import HandshakeRequest, HandshakeResponse

UPGRADE_KEY = "wellhead.upgrade"
"""Environ key under which a server that can upgrade puts its :class:`UpgradeStrategy`."""

# RFC 6455 1.3
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class UpgradeStrategy(Protocol):
    """How one kind of server turns a request into a WebSocket connection."""

    @property
    def supported_versions(self) -> tuple[str, ...]:
        """Values of ``Sec-WebSocket-Version`` that are understood; in practice ``("13",)``."""

    def supported_extensions(self, request: HandshakeRequest) -> Sequence[WebSocketExtension]:
        """The extensions that a connection of this request could use; never ``None``, may be empty."""

    def upgrade(
        self,
        request: HandshakeRequest,
        response: HandshakeResponse,
        *,
        handler: WebSocketHandler,
        sub_protocol: str | None,
        extensions: Sequence[WebSocketExtension],
        user: Principal | None,
        attributes: dict[str, Any],
    ) -> None:
        """Answer 101 with ``response.headers``, and run a session with ``handler`` on the connection.

        ``sub_protocol`` is echoed in the client's spelling, ``extensions`` are what the client asked for and this
        strategy supports. ``attributes`` become those of the session. Sets ``response.upgraded``.

        Raises:
            HandshakeFailureError: the connection cannot be upgraded.
        """


class EnvironUpgradeStrategy:
    """Uses the strategy that the server put into ``environ["wellhead.upgrade"]``.

    Raises:
        HandshakeFailureError: the server put none there.
    """

    __slots__ = ()

    supported_versions: tuple[str, ...] = ("13",)

    def supported_extensions(self, request: HandshakeRequest) -> Sequence[WebSocketExtension]:
        return _strategy_of(request).supported_extensions(request)

    def upgrade(
        self,
        request: HandshakeRequest,
        response: HandshakeResponse,
        *,
        handler: WebSocketHandler,
        sub_protocol: str | None,
        extensions: Sequence[WebSocketExtension],
        user: Principal | None,
        attributes: dict[str, Any],
    ) -> None:
        _strategy_of(request).upgrade(
            request,
            response,
            handler=handler,
            sub_protocol=sub_protocol,
            extensions=extensions,
            user=user,
            attributes=attributes,
        )


def _strategy_of(request: HandshakeRequest) -> UpgradeStrategy:
    strategy: UpgradeStrategy | None = request.environ.get(UPGRADE_KEY)
    if strategy is None:
        server = request.environ.get("SERVER_SOFTWARE", "unknown")
        raise HandshakeFailureError(
            f'This server ({server}) cannot upgrade to WebSocket: it put no "{UPGRADE_KEY}" into the WSGI environ. '
            "Servers that can: `python -m wellhead.server module:app` and wellhead.server.serve(app), both on "
            "gevent's pywsgi. For another one give DefaultHandshakeHandler an UpgradeStrategy of its own."
        )
    return strategy


def accept_key(key: str) -> str:
    """Compute ``Sec-WebSocket-Accept`` for a ``Sec-WebSocket-Key`` (RFC 6455 4.2.2)."""
    digest = hashlib.sha1(key.encode("latin-1") + _GUID, usedforsecurity=False).digest()
    return binascii.b2a_base64(digest, newline=False).decode("ascii")
