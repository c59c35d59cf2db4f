"""What test suites from outside run against: ``python -m wellhead.server samples.conformance:app --port N``.

``/raw`` echoes WebSocket messages as they came; ``/ws`` is a STOMP endpoint with a simple broker, below it with SockJS.
What the SockJS protocol's own tests want is at ``/echo``, ``/disabled_websocket_echo``, ``/cookie_needed_echo`` and
``/close``.
"""

from __future__ import annotations

from typing import Any

from wellhead.messaging import MessageBrokerRegistry, message_mapping, send_to
from wellhead.server import (
    AbstractWebSocketHandler,
    BinaryMessage,
    CloseStatus,
    StompEndpointRegistry,
    TextMessage,
    WebSocketConfigurer,
    WebSocketHandler,
    WebSocketHandlerRegistry,
    WebSocketMessageBrokerConfigurer,
    WebSocketSession,
    WebSocketTransportRegistration,
    WellheadApp,
)

LARGEST_MESSAGE = 32 * 1024 * 1024


class Echo(AbstractWebSocketHandler):
    """Sends back what it gets."""

    def handle_text_message(self, session: WebSocketSession, message: TextMessage) -> None:
        session.send_message(message)

    def handle_binary_message(self, session: WebSocketSession, message: BinaryMessage) -> None:
        session.send_message(message)


class CloseAtOnce(AbstractWebSocketHandler):
    """Sends everybody away."""

    def after_connection_established(self, session: WebSocketSession) -> None:
        session.close(CloseStatus(3000, "Go away!"))


class Controller:
    @message_mapping("/echo")
    @send_to("/topic/echo")
    def echo(self, payload: bytes) -> bytes:
        return payload


class Conformance(WebSocketConfigurer, WebSocketMessageBrokerConfigurer):
    def register_web_socket_handlers(self, registry: WebSocketHandlerRegistry) -> None:
        def sockjs(handler: WebSocketHandler, path: str, **options: Any) -> None:
            endpoint = registry.add_handler(handler, path, allowed_origin_patterns=["*"])
            endpoint.with_sockjs(jsonp_enabled=True, **options)

        registry.add_handler(Echo(), "/raw", allowed_origins=["*"])
        sockjs(Echo(), "/echo", stream_bytes_limit=4096)
        sockjs(Echo(), "/disabled_websocket_echo", web_socket_enabled=False)
        sockjs(Echo(), "/cookie_needed_echo", session_cookie_needed=True)
        sockjs(CloseAtOnce(), "/close")

    def register_stomp_endpoints(self, registry: StompEndpointRegistry) -> None:
        registry.add_endpoint("/ws", allowed_origins=["*"])
        registry.add_endpoint("/ws", allowed_origin_patterns=["*"]).with_sockjs()

    def configure_message_broker(self, registry: MessageBrokerRegistry) -> None:
        registry.enable_simple_broker("/topic", "/queue", heartbeat_ms=(10_000, 10_000))
        registry.set_application_destination_prefixes("/app")

    def configure_web_socket_transport(self, registration: WebSocketTransportRegistration) -> None:
        registration.set_web_socket_options(
            max_text_message_size=LARGEST_MESSAGE, max_binary_message_size=LARGEST_MESSAGE, deflate=True
        )


def not_found(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    body = b"wellhead conformance application: /raw, /ws, /echo, /close\n"
    start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


app = WellheadApp(not_found, Conformance(), controllers=[Controller()])
