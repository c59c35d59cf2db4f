"""``environ["wsgi.websocket"]``: for applications written for gevent-websocket.

Beside the strategy of the handshake, for WSGI applications that call ``receive()`` and ``send()`` in their own greenlet. The
upgrade happens at the first use, so that other applications do not notice that the object is there.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from gevent.event import Event  # type: ignore[import-untyped]  # no type information
from geventwebsocket.exceptions import WebSocketError  # type: ignore[import-untyped]  # no type information
from geventwebsocket.websocket import MSG_SOCKET_DEAD  # type: ignore[import-untyped]  # no type information

from ..close import CloseStatus
from ..exceptions import SessionLimitExceededError
from ..handlers import AbstractWebSocketHandler
from ..handshake.handler import DefaultHandshakeHandler
from ..handshake.request import HandshakeRequest, HandshakeResponse
from ..message import BinaryMessage, PingMessage, PongMessage, TextMessage, WebSocketMessage
from ..session import WebSocketSession
from .facts import HandshakeFacts

if TYPE_CHECKING:
    from .handler import WellheadHandler

logger = logging.getLogger(__name__)

WEBSOCKET_KEY = "wsgi.websocket"
