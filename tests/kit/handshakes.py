"""Handshake requests without a server, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wellhead.server.handlers import WebSocketHandler
from wellhead.server.handshake.extension import WebSocketExtension
from wellhead.server.handshake.request import HandshakeRequest, HandshakeResponse
from wellhead.server.session import Principal

SAMPLE_KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 1.3

GOOD_HEADERS = {
    "Host": "localhost:8080",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": SAMPLE_KEY,
    "Sec-WebSocket-Version": "13",
}


def make_environ(
    path: str = "/ws",
    *,
    method: str = "GET",
    scheme: str = "http",
    headers: dict[str, str | None] | None = None,
    environ: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A good handshake; ``headers`` replace those of it, a value of ``None`` takes one away."""
    path, _, query = path.partition("?")
    made: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path.encode().decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": "server.local",
        "SERVER_PORT": "8080",
        "REMOTE_ADDR": "10.0.0.7",
        "REMOTE_PORT": "40000",
        "wsgi.url_scheme": scheme,
    }
    for name, value in {**GOOD_HEADERS, **(headers or {})}.items():
        if value is not None:
            made["HTTP_" + name.upper().replace("-", "_")] = value
    made.update(environ or {})
    return made


def make_request(path: str = "/ws", **options: Any) -> HandshakeRequest:
    return HandshakeRequest(make_environ(path, **options))


@dataclass
class Upgrade:
    handler: WebSocketHandler
    sub_protocol: str | None
    extensions: Sequence[WebSocketExtension]
    user: Principal | None
    attributes: dict[str, Any]


class FakeUpgradeStrategy:
    """Upgrades nothing, but records what it was asked to; raises ``error`` if one is set."""

    def __init__(self, *, versions: tuple[str, ...] = ("13",), extensions: Sequence[str] = ()) -> None:
        self.supported_versions = versions
        self.upgrades: list[Upgrade] = []
        self.error: Exception | None = None
        self._extensions = [WebSocketExtension(name) for name in extensions]

    def supported_extensions(self, request: HandshakeRequest) -> Sequence[WebSocketExtension]:
        return self._extensions

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
        if self.error is not None:
            raise self.error
        self.upgrades.append(Upgrade(handler, sub_protocol, extensions, user, attributes))
        response.upgraded = True
