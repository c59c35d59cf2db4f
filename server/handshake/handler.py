"""The checks of a WebSocket handshake and what is negotiated in it (HS-02, HS-03).

Station: after the interceptors, before the upgrade. What is wrong with a request is answered as plain HTTP.
"""

from __future__ import annotations

import binascii
import logging
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from ..decorators import WebSocketHandlerDecorator
from ..handlers import WebSocketHandler
from ..session import Principal
from .extension import WebSocketExtension, parse_extensions, parse_tokens
from .request import HandshakeRequest, HandshakeResponse
from .upgrade import EnvironUpgradeStrategy, UpgradeStrategy

logger = logging.getLogger(__name__)


class HandshakeHandler(Protocol):
    """Decides on a handshake and, if it is good, has the connection upgraded."""

    def do_handshake(
        self,
        request: HandshakeRequest,
        response: HandshakeResponse,
        handler: WebSocketHandler,
        attributes: dict[str, Any],
    ) -> bool:
        """Return whether the connection was upgraded; if not, ``response`` says why.

        Raises:
            HandshakeFailureError: the handshake failed for a reason on our side.
        """


class DefaultHandshakeHandler:
    """Checks a handshake after RFC 6455 and negotiates sub-protocol, extensions and user.

    ``strategy``: who upgrades the connection; by default the server says so in the environ.
    ``supported_protocols``: sub-protocols besides those that the WebSocket handler itself names.
    """

    def __init__(self, strategy: UpgradeStrategy | None = None, *, supported_protocols: Iterable[str] = ()) -> None:
        self._strategy: UpgradeStrategy = EnvironUpgradeStrategy() if strategy is None else strategy
        self.supported_protocols = tuple(supported_protocols)

    @property
    def supported_protocols(self) -> tuple[str, ...]:
        """In lower case, however they were given; never ``None``, may be empty."""
        return self._supported_protocols

    @supported_protocols.setter
    def supported_protocols(self, names: Iterable[str]) -> None:
        self._supported_protocols = tuple(name.lower() for name in names)

    def do_handshake(
        self,
        request: HandshakeRequest,
        response: HandshakeResponse,
        handler: WebSocketHandler,
        attributes: dict[str, Any],
    ) -> bool:
        """Check in the order of HS-02; a failed check is a response, a debug line and ``False``.

        Raises:
            HandshakeFailureError: the server cannot upgrade, or the upgrade failed.
        """
        if not (self._check_method(request, response) and self._check_version(request, response)):
            return False
        if not self.is_valid_origin(request):
            return _refuse(request, response, 403, "", f"origin {request.origin!r} is not valid")
        environ = request.environ
        protocols = environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL")
        requested = environ.get("HTTP_SEC_WEBSOCKET_EXTENSIONS")
        self._strategy.upgrade(
            request,
            response,
            handler=handler,
            sub_protocol=self.select_protocol(parse_tokens(protocols), handler) if protocols else None,
            extensions=self._select_extensions(request, parse_extensions(requested)) if requested else [],
            user=self.determine_user(request, handler, attributes),
            attributes=attributes,
        )
        return True

    # Hooks

    def is_valid_origin(self, request: HandshakeRequest) -> bool:
        """Override to refuse an origin with 403; ``True`` by default, the origin interceptor has looked already."""
        return True

    def select_protocol(self, requested: Sequence[str], handler: WebSocketHandler) -> str | None:
        """Return the first requested name that the handler or this configuration offers, in the client's spelling.

        ``None`` when none matches: the handshake succeeds all the same, without sub-protocol.
        """
        offered: Sequence[str] = getattr(WebSocketHandlerDecorator.unwrap(handler), "sub_protocols", ())
        for name in requested:
            lower = name.lower()
            if lower in offered or lower in self._supported_protocols:
                return name
        return None

    def filter_requested_extensions(
        self,
        request: HandshakeRequest,
        requested: Sequence[WebSocketExtension],
        supported: Sequence[WebSocketExtension],
    ) -> list[WebSocketExtension]:
        """Return the requested extensions whose name is supported, in requested order."""
        names = {extension.name for extension in supported}
        return [extension for extension in requested if extension.name in names]

    def determine_user(
        self, request: HandshakeRequest, handler: WebSocketHandler, attributes: dict[str, Any]
    ) -> Principal | None:
        """Return the user of the session: that of the request, ``None`` if anonymous. Override to assign one."""
        return request.principal

    # Checks

    def _select_extensions(
        self, request: HandshakeRequest, requested: Sequence[WebSocketExtension]
    ) -> list[WebSocketExtension]:
        return self.filter_requested_extensions(request, requested, self._strategy.supported_extensions(request))

    def _check_method(self, request: HandshakeRequest, response: HandshakeResponse) -> bool:
        method = request.environ["REQUEST_METHOD"]
        if method == "GET":
            return _check_upgrade(request, response)
        if method == "CONNECT" and not request.environ.get("SERVER_PROTOCOL", "").startswith("HTTP/1"):
            return True  # RFC 8441: HTTP/2 has neither Upgrade and Connection nor a key.
        response.headers["Allow"] = "GET, CONNECT"
        return _refuse(request, response, 405, "", f"method {method!r} is not allowed")

    def _check_version(self, request: HandshakeRequest, response: HandshakeResponse) -> bool:
        version = request.environ.get("HTTP_SEC_WEBSOCKET_VERSION")
        supported = self._strategy.supported_versions
        if version in supported:
            return True
        response.headers["Sec-WebSocket-Version"] = ", ".join(supported)
        return _refuse(request, response, 426, "", f"version {version!r} is not among {', '.join(supported)}")


def _check_upgrade(request: HandshakeRequest, response: HandshakeResponse) -> bool:
    environ = request.environ
    upgrade = environ.get("HTTP_UPGRADE")
    if upgrade is None or upgrade.lower() != "websocket":  # Two values come joined and do not equal it either.
        return _refuse(request, response, 400, 'Can "Upgrade" only to "WebSocket".', f"Upgrade is {upgrade!r}")
    connection = environ.get("HTTP_CONNECTION", "").lower()
    # Differs from Spring: tokens compare without case altogether (RFC 6455 4.2.1), "UPGRADE" is fine.
    if connection != "upgrade" and "upgrade" not in parse_tokens(connection):
        return _refuse(request, response, 400, '"Connection" must be "upgrade".', f"Connection is {connection!r}")
    key = environ.get("HTTP_SEC_WEBSOCKET_KEY")
    if not key:
        return _refuse(request, response, 400, '"Sec-WebSocket-Key" is missing.', "there is no key")
    if not _is_key(key):
        return _refuse(request, response, 400, '"Sec-WebSocket-Key" must be the base64 of 16 bytes.', f"key is {key!r}")
    return True


def _is_key(key: str) -> bool:
    # Differs from Spring: the key's form is checked (RFC 6455 4.2.1), not only its presence.
    if len(key) != 24:
        return False
    try:
        return len(binascii.a2b_base64(key, strict_mode=True)) == 16
    except ValueError:
        return False


def _refuse(request: HandshakeRequest, response: HandshakeResponse, status: int, text: str, why: str) -> bool:
    response.refuse(status, text)
    # What the client sent is in `why` as repr: no line breaks of its own.
    logger.debug("Handshake of %s refused with %d: %s", request.remote_address, status, why)
    return False
