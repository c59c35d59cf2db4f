"""The upgrade on gevent's pywsgi: an ``UpgradeStrategy`` for one request (HS-02, HS-03).

The station between the handshake's checks and the connection. The application asks for the upgrade while it handles the
request; the answer 101 goes out and the session begins when the application has returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from ..exceptions import HandshakeFailureError
from ..handlers import WebSocketHandler
from ..handshake.extension import KNOWN_HEADERS, LONGEST_KNOWN, WebSocketExtension
from ..handshake.request import HandshakeRequest, HandshakeResponse
from ..handshake.upgrade import accept_key
from ..session import Principal
from ..transport_options import ENVIRON_KEY, TransportOptions
from .codec import WebSocketCodec
from .connection import WebSocketConnection
from .deflate import DeflateParameters, negotiate_deflate
from .facts import HandshakeFacts, shared

if TYPE_CHECKING:
    from .handler import WellheadHandler

DEFAULT_OPTIONS = TransportOptions()
_DEFLATE = WebSocketExtension("permessage-deflate")
_NOT_KEPT = frozenset({"HTTP_SEC_WEBSOCKET_KEY", "HTTP_SEC_WEBSOCKET_VERSION", "HTTP_UPGRADE", "HTTP_CONNECTION"})
"""The handshake's mechanics."""
_NOT_SENT = frozenset(
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

C = TypeVar("C", bound=WebSocketConnection)


class Upgrade:
    """An upgrade that was decided on, between the application's wish and the 101."""

    __slots__ = (
        "request",
        "http_response",
        "handler",
        "sub_protocol",
        "extensions",
        "user",
        "attributes",
        "options",
        "deflate",
    )

    def __init__(
        self,
        request: HandshakeRequest,
        http_response: HandshakeResponse,
        handler: WebSocketHandler,
        sub_protocol: str | None,
        extensions: Sequence[WebSocketExtension],
        user: Principal | None,
        attributes: dict[str, Any],
    ) -> None:
        self.request = request
        self.http_response = http_response
        self.handler = handler
        self.sub_protocol = sub_protocol
        self.user = user
        self.attributes = attributes
        self.options: TransportOptions = request.environ.get(ENVIRON_KEY, DEFAULT_OPTIONS)
        """Those that the application put into the environ, else the defaults."""
        self.deflate = None
        if extensions and self.options.deflate:
            is_known = len(request.environ.get("HTTP_SEC_WEBSOCKET_EXTENSIONS", "")) <= LONGEST_KNOWN
            self.deflate = (_negotiate_known if is_known else _negotiate)(tuple(extensions))
        self.extensions = extensions if self.deflate is not None else ()

    def response(self) -> bytes:
        """The whole 101 response (RFC 6455 4.2.2), with what the application added to its headers until now."""
        lines = [
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
            accept_key(self.request.environ["HTTP_SEC_WEBSOCKET_KEY"]),
        ]
        if self.sub_protocol is not None:
            lines += ("\r\nSec-WebSocket-Protocol: ", self.sub_protocol)
        if self.deflate is not None:
            lines += ("\r\nSec-WebSocket-Extensions: ", self.deflate[0])
        for name, value in self.http_response.header_list:
            if name.lower() not in _NOT_SENT:
                lines += ("\r\n", name, ": ", value)
        lines.append("\r\n\r\n")
        return "".join(lines).encode("latin-1")

    def make(self, kind: type[C], runtime: Any, socket: Any) -> C:
        """The connection, not started yet."""
        request = self.request
        environ = request.environ
        options = self.options
        codec = WebSocketCodec(
            max_text_size=options.max_text_message_size,
            max_binary_size=options.max_binary_message_size,
            partial_messages=self.handler.supports_partial_messages,
            deflate=None if self.deflate is None else self.deflate[1],
        )
        uri, header_text = request.uri, _kept_headers(environ)
        has_secrets = "HTTP_COOKIE" in environ or "HTTP_AUTHORIZATION" in environ
        facts = HandshakeFacts(
            uri if environ.get("QUERY_STRING") else shared(uri),
            header_text=header_text if has_secrets else shared(header_text),
            principal=self.user,
            remote_address=request.remote_address,
            accepted_protocol=None if self.sub_protocol is None else shared(self.sub_protocol),
            extensions=self.extensions,
            attributes=self.attributes,
        )
        return kind(runtime, socket, codec, self.handler, options, facts)


class GeventUpgradeStrategy:
    """Upgrades the request that one pywsgi handler is handling; found in the environ as ``wellhead.upgrade``."""

    __slots__ = ("_http_handler",)

    supported_versions: tuple[str, ...] = ("13",)

    def __init__(self, http_handler: WellheadHandler) -> None:
        self._http_handler = http_handler

    def adopt(self, application: Any) -> bool:
        """Have an application started that the server does not know of; False when the server is stopping."""
        return self._http_handler.server.adopt(application)

    def supported_extensions(self, request: HandshakeRequest) -> Sequence[WebSocketExtension]:
        """permessage-deflate if the options of this path allow it."""
        return (_DEFLATE,) if request.environ.get(ENVIRON_KEY, DEFAULT_OPTIONS).deflate else ()

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
            HandshakeFailureError: the request is being upgraded already, or is not one that can be.
        """
        environ = request.environ
        if self._http_handler.upgrading:
            raise HandshakeFailureError("The connection is being upgraded already")
        if not environ.get("HTTP_SEC_WEBSOCKET_KEY") or environ.get("SERVER_PROTOCOL") != "HTTP/1.1":
            raise HandshakeFailureError("Only an HTTP/1.1 request with Sec-WebSocket-Key can be upgraded")
        self._accept(Upgrade(request, response, handler, sub_protocol, extensions, user, attributes))
        response.status = 101
        response.upgraded = True

    def _accept(self, upgrade: Upgrade) -> None:
        self._http_handler.upgrade_when_done(upgrade)


def _kept_headers(environ: dict[str, Any]) -> str:
    """The request's headers as a session keeps them: ``Name: value`` lines."""
    names = _header_names
    return "\n".join([f"{names[key]}: {environ[key]}" for key in filter(names.__getitem__, environ)])


class _HeaderNames(dict[str, str]):
    """Environ keys, and the names of the headers that are kept under them; empty for all other keys."""

    def __missing__(self, key: str) -> str:
        is_kept = key[:5] == "HTTP_" and key not in _NOT_KEPT
        name = key[5:].title().replace("_", "-") if is_kept else ""
        if len(self) < _MOST_NAMES:
            self[key] = name
        return name


_header_names = _HeaderNames()
_MOST_NAMES = 1024


def _negotiate(extensions: tuple[WebSocketExtension, ...]) -> tuple[str, DeflateParameters] | None:
    return negotiate_deflate([(one.name, list(one.parameters.items())) for one in extensions])


_negotiate_known = lru_cache(KNOWN_HEADERS)(_negotiate)
