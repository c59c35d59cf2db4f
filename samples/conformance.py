"""What test suites from outside run against: ``python -m wellhead.server samples.conformance:app --port N``.

``/raw`` echoes WebSocket messages as they came; ``/ws`` is a STOMP endpoint with a simple broker.
"""

from __future__ import annotations

from typing import Any

from wellhead.messaging import MessageBrokerRegistry, message_mapping, send_to
from wellhead.server import (
    AbstractWebSocketHandler,
    BinaryMessage,
    StompEndpointRegistry,
    TextMessage,
    WebSocketConfigurer,
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


class Controller:
    @message_mapping("/echo")
    @send_to("/topic/echo")
    def echo(self, payload: bytes) -> bytes:
        return payload


class Conformance(WebSocketConfigurer, WebSocketMessageBrokerConfigurer):
    def register_web_socket_handlers(self, registry: WebSocketHandlerRegistry) -> None:
        registry.add_handler(Echo(), "/raw", allowed_origins=["*"])

    def register_stomp_endpoints(self, registry: StompEndpointRegistry) -> None:
        registry.add_endpoint("/ws", allowed_origins=["*"])

    def configure_message_broker(self, registry: MessageBrokerRegistry) -> None:
        registry.enable_simple_broker("/topic", "/queue", heartbeat_ms=(10_000, 10_000))
        registry.set_application_destination_prefixes("/app")

    def configure_web_socket_transport(self, registration: WebSocketTransportRegistration) -> None:
        registration.set_web_socket_options(
            max_text_message_size=LARGEST_MESSAGE, max_binary_message_size=LARGEST_MESSAGE, deflate=True
        )


def not_found(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    body = b"wellhead conformance application: /raw, /ws\n"
    start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


app = WellheadApp(not_found, Conformance(), controllers=[Controller()])
