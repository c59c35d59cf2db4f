"""What the mapping finds for an endpoint with SockJS: the service, told what part of the path is its own (SJS-02)."""

from __future__ import annotations

from ..decorators import decorate
from ..handlers import WebSocketHandler
from ..handshake.request import HandshakeRequest, HandshakeResponse
from .service import SockJsService


class SockJsHttpRequestHandler:
    """Serves one handler, which it wraps as ``Exception(Logging(handler))``, at one path and all below it."""

    def __init__(self, path: str, service: SockJsService, handler: WebSocketHandler) -> None:
        """*path* is the endpoint's pattern, without ``/**``; it may have variables."""
        path = path.removesuffix("/")
        self._depth = path.count("/") + (not path.startswith("/") and bool(path))
        self._service = service
        self._handler = decorate(handler)

    @property
    def handler(self) -> WebSocketHandler:
        """The handler with its decorators."""
        return self._handler

    @property
    def service(self) -> SockJsService:
        return self._service

    def handle(self, request: HandshakeRequest) -> HandshakeResponse:
        """Answer any request to the path or below.

        Raises:
            HandshakeFailureError: a WebSocket handshake failed on our side.
        """
        parts = request.path.split("/", self._depth + 1)
        rest = "/" + parts[-1] if len(parts) > self._depth + 1 else ""
        return self._service.handle(request, rest, self._handler)
