"""Spring's messaging over WebSocket for Python's WSGI world."""

from typing import Any

if __name__ != "wellhead.server":
    raise ImportError("import it as wellhead.server: the folder server/ is only the source of that package")

from .close import CloseStatus as CloseStatus
from .close import EndReason as EndReason
from .concurrent import ConcurrentWebSocketSessionDecorator as ConcurrentWebSocketSessionDecorator
from .concurrent import OverflowStrategy as OverflowStrategy
from .config.app import WellheadApp as WellheadApp
from .config.configurer import WebSocketConfigurer as WebSocketConfigurer
from .config.configurer import WebSocketMessageBrokerConfigurer as WebSocketMessageBrokerConfigurer
from .config.endpoints import StompEndpointRegistry as StompEndpointRegistry
from .config.endpoints import WebSocketHandlerRegistry as WebSocketHandlerRegistry
from .config.sockjs import SockJsServiceRegistration as SockJsServiceRegistration
from .config.stats import WebSocketMessageBrokerStats as WebSocketMessageBrokerStats
from .config.transport import WebSocketTransportRegistration as WebSocketTransportRegistration
from .decorators import PerConnectionWebSocketHandler as PerConnectionWebSocketHandler
from .decorators import WebSocketHandlerDecorator as WebSocketHandlerDecorator
from .decorators import WebSocketHandlerDecoratorFactory as WebSocketHandlerDecoratorFactory
from .decorators import WebSocketSessionDecorator as WebSocketSessionDecorator
from .exceptions import HandshakeFailureError as HandshakeFailureError
from .exceptions import SessionLimitExceededError as SessionLimitExceededError
from .exceptions import WebSocketError as WebSocketError
from .handlers import AbstractWebSocketHandler as AbstractWebSocketHandler
from .handlers import BinaryWebSocketHandler as BinaryWebSocketHandler
from .handlers import SubProtocolCapable as SubProtocolCapable
from .handlers import TextWebSocketHandler as TextWebSocketHandler
from .handlers import WebSocketHandler as WebSocketHandler
from .handshake.extension import WebSocketExtension as WebSocketExtension
from .handshake.extension import WebSocketHttpHeaders as WebSocketHttpHeaders
from .handshake.handler import DefaultHandshakeHandler as DefaultHandshakeHandler
from .handshake.handler import HandshakeHandler as HandshakeHandler
from .handshake.interceptors import HandshakeInterceptor as HandshakeInterceptor
from .handshake.interceptors import HttpSessionHandshakeInterceptor as HttpSessionHandshakeInterceptor
from .handshake.origin import OriginHandshakeInterceptor as OriginHandshakeInterceptor
from .handshake.origin import OriginPolicy as OriginPolicy
from .handshake.request import HandshakeRequest as HandshakeRequest
from .handshake.request import HandshakeResponse as HandshakeResponse
from .handshake.upgrade import UpgradeStrategy as UpgradeStrategy
from .message import BinaryMessage as BinaryMessage
from .message import PingMessage as PingMessage
from .message import PongMessage as PongMessage
from .message import TextMessage as TextMessage
from .message import WebSocketMessage as WebSocketMessage
from .session import Principal as Principal
from .session import UserPrincipal as UserPrincipal
from .session import WebSocketSession as WebSocketSession
from .sockjs.exceptions import SockJsMessageDeliveryError as SockJsMessageDeliveryError
from .sockjs.options import JsonSockJsMessageCodec as JsonSockJsMessageCodec
from .sockjs.options import SockJsMessageCodec as SockJsMessageCodec
from .sockjs.options import SockJsOptions as SockJsOptions
from .sockjs.service import SockJsService as SockJsService
from .subprotocol.endpoint import SubProtocolWebSocketHandler as SubProtocolWebSocketHandler
from .subprotocol.error_handler import StompSubProtocolErrorHandler as StompSubProtocolErrorHandler
from .subprotocol.stomp import StompSubProtocolHandler as StompSubProtocolHandler
from .transport_options import TransportOptions as TransportOptions


def serve(app: Any, host: str = "127.0.0.1", port: int = 8080, **options: Any) -> None:
    """Serve *app* until SIGTERM or SIGINT, as ``wellhead.server.runtime.server.serve`` says, which this imports.

    Does not patch the standard library, other than ``python -m wellhead.server``: what blocks in the application's code
    then blocks everybody, unless ``gevent.monkey.patch_all()`` was called before its imports.
    """
    from .runtime.server import serve as serve_with_gevent

    serve_with_gevent(app, host, port, **options)
