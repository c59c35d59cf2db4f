"""One handshake from request to answer (HS-01).

Station: what the mapping finds for a WebSocket path: interceptors, handshake handler, interceptors again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial

from ..decorators import decorate
from ..handlers import WebSocketHandler
from .handler import DefaultHandshakeHandler, HandshakeHandler
from .interceptors import HandshakeInterceptor, HandshakeInterceptorChain
from .request import HandshakeRequest, HandshakeResponse

logger = logging.getLogger(__name__)


class WebSocketHttpRequestHandler:
    """Processes handshakes for one WebSocket handler, which it wraps as ``Exception(Logging(handler))``."""

    def __init__(
        self,
        handler: WebSocketHandler,
        handshake_handler: HandshakeHandler | None = None,
        interceptors: Iterable[HandshakeInterceptor] = (),
    ) -> None:
        self._handler = decorate(handler)
        self._handshake_handler = DefaultHandshakeHandler() if handshake_handler is None else handshake_handler
        self._interceptors = tuple(interceptors)

    @property
    def handler(self) -> WebSocketHandler:
        """The handler with its decorators."""
        return self._handler

    @property
    def interceptors(self) -> tuple[HandshakeInterceptor, ...]:
        return self._interceptors

    def handle(self, request: HandshakeRequest) -> HandshakeResponse:
        """Process one handshake; the answer may be an upgrade (``upgraded``) or plain HTTP.

        Raises:
            HandshakeFailureError: a failure on our side, after the interceptors heard of it; any other exception
                comes wrapped in one.
        """
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("%r", request)
        response = HandshakeResponse()
        chain = HandshakeInterceptorChain(self._interceptors, self._handler)
        chain.run(request, response, partial(self._handshake_handler.do_handshake, request, response, self._handler))
        return response
