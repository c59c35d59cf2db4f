"""The upgrade on gevent's pywsgi: an ``UpgradeStrategy`` for one request (HS-02, HS-03).

The station between the handshake's checks and the connection. The application asks for the upgrade while it handles the
request; the answer 101 goes out and the session begins when the application has returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..exceptions import HandshakeFailureError
from ..handlers import WebSocketHandler
from ..handshake.extension import WebSocketExtension
from ..handshake.request import HandshakeRequest, HandshakeResponse
from ..handshake.upgrade import accept_key
from ..session import Principal
from ..transport_options import ENVIRON_KEY, TransportOptions
from .codec import WebSocketCodec
from .connection import WebSocketConnection
from .deflate import DeflateParameters, negotiate_deflate
from .facts import HandshakeFacts

if TYPE_CHECKING:
    from .handler import WellheadHandler

DEFAULT_OPTIONS = TransportOptions()
_DEFLATE = WebSocketExtension("permessage-deflate")
_NOT_KEPT = frozenset({"HTTP_SEC_WEBSOCKET_KEY", "HTTP_SEC_WEBSOCKET_VERSION", "HTTP_UPGRADE", "HTTP_CONNECTION"})


class GeventUpgradeStrategy:
    """Upgrades the request that one pywsgi handler is handling; found in the environ as ``wellhead.upgrade``."""

    __slots__ = ("_http_handler",)

    supported_versions: tuple[str, ...] = ("13",)

    def __init__(self, http_handler: WellheadHandler) -> None:
        self._http_handler = http_handler

    def supported_extensions(self, request: HandshakeRequest) -> Sequence[WebSocketExtension]:
        """permessage-deflate if the options of this path allow it."""
        return (_DEFLATE,) if options_of(request.environ).deflate else ()

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
        """Accept: once the application has returned, 101 is sent with ``response.headers`` and the session begins.

        Whatever body the application returns is thrown away; if it raises, the client gets a 500 instead.

        Raises:
            HandshakeFailureError: the request is being upgraded already, or the connection carries none.
        """
        environ = request.environ
        http_handler = self._http_handler
        if http_handler.upgrading:
            raise HandshakeFailureError("The connection is being upgraded already")
        key = environ.get("HTTP_SEC_WEBSOCKET_KEY")
        if not key or environ.get("SERVER_PROTOCOL") != "HTTP/1.1":
            raise HandshakeFailureError("Only an HTTP/1.1 request with Sec-WebSocket-Key can be upgraded")
        options = options_of(environ)
        deflate = _negotiate(extensions, options)
        facts = HandshakeFacts(
            request.uri,
            header_text=kept_headers(environ),
            principal=user,
            remote_address=request.remote_address,
            accepted_protocol=sub_protocol,
            extensions=extensions if deflate is not None else (),
            attributes=attributes,
        )

        runtime = http_handler.server.runtime

        def make_connection(socket: Any) -> WebSocketConnection:
            codec = WebSocketCodec(
                max_text_size=options.max_text_message_size,
                max_binary_size=options.max_binary_message_size,
                partial_messages=handler.supports_partial_messages,
                deflate=None if deflate is None else deflate[1],
            )
            return WebSocketConnection(runtime, socket, codec, handler, options, facts)

        http_handler.upgrade_when_done(
            make_connection, lambda: switching_protocols(key, sub_protocol, deflate and deflate[0], response.header_list)
        )
        response.status = 101
        response.upgraded = True


def options_of(environ: dict[str, Any]) -> TransportOptions:
    """The options that the application put into the environ, else the defaults."""
    options: TransportOptions = environ.get(ENVIRON_KEY, DEFAULT_OPTIONS)
    return options


def switching_protocols(
    key: str, sub_protocol: str | None, extensions: str | None, headers: Sequence[tuple[str, str]]
) -> bytes:
    """The whole 101 response (RFC 6455 4.2.2). Headers that the upgrade itself sets are not taken from *headers*."""
    lines = [
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
        accept_key(key),
    ]
    if sub_protocol is not None:
        lines += ("\r\nSec-WebSocket-Protocol: ", sub_protocol)
    if extensions is not None:
        lines += ("\r\nSec-WebSocket-Extensions: ", extensions)
    for name, value in headers:
        if name.lower() not in _OURS:
            lines += ("\r\n", name, ": ", value)
    lines.append("\r\n\r\n")
    return "".join(lines).encode("latin-1")


_OURS = frozenset(
    {
        "upgrade",
        "connection",
        "content-length",
        "content-type",
        "transfer-encoding",
        "sec-websocket-accept",
        "sec-websocket-protocol",
        "sec-websocket-extensions",
    }
)


def kept_headers(environ: dict[str, Any]) -> str:
    """The request's headers as a session keeps them: ``Name: value`` lines, without those of the handshake's mechanics."""
    return "\n".join(
        [
            f"{key[5:].title().replace('_', '-')}: {value}"
            for key, value in environ.items()
            if key[:5] == "HTTP_" and key not in _NOT_KEPT
        ]
    )


def _negotiate(
    extensions: Sequence[WebSocketExtension], options: TransportOptions
) -> tuple[str, DeflateParameters] | None:
    if not extensions or not options.deflate:
        return None
    return negotiate_deflate([(one.name, list(one.parameters.items())) for one in extensions])
