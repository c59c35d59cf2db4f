"""What the tests with real clients connect to: ``python -m wellhead.server app:app`` in this folder.

``/ws`` is STOMP with heart-beats of a second, below it by SockJS; ``/raw`` echoes, ``/clients/`` has the files of this
folder for browsers.
"""

from __future__ import annotations

import mimetypes
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

from wellhead.messaging import (
    ChannelRegistration,
    DestinationVariable,
    Message,
    MessageBrokerRegistry,
    MessageChannel,
    message_mapping,
    send_to,
    subscribe_mapping,
)
from wellhead.messaging.channel import ChannelInterceptor
from wellhead.messaging.simp.accessor import SimpMessageHeaderAccessor
from wellhead.messaging.simp.types import SimpMessageType
from wellhead.server import (
    AbstractWebSocketHandler,
    BinaryMessage,
    CloseStatus,
    StompEndpointRegistry,
    TextMessage,
    WebSocketConfigurer,
    WebSocketHandlerRegistry,
    WebSocketMessageBrokerConfigurer,
    WebSocketSession,
    WellheadApp,
)

FOLDER = Path(__file__).resolve().parent


class HeartbeatCounter(ChannelInterceptor):
    """Counts the heart-beats that came from each session."""

    def __init__(self) -> None:
        self.counts: Counter[str | None] = Counter()

    def pre_send(self, message: Message[Any], channel: MessageChannel) -> Message[Any]:
        accessor = SimpMessageHeaderAccessor.wrap(message)
        if accessor.message_type is SimpMessageType.HEARTBEAT:
            self.counts[accessor.session_id] += 1
        return message


heartbeats = HeartbeatCounter()


class Controller:
    @message_mapping("/echo/{name}")
    @send_to("/topic/echo/{name}")
    def echo(self, name: Annotated[str, DestinationVariable], text: str) -> str:
        return text

    @message_mapping("/bytes/{name}")
    @send_to("/topic/bytes/{name}")
    def send_bytes(self, name: Annotated[str, DestinationVariable], codes: list[int]) -> bytes:
        """The bytes of these codes."""
        return bytes(codes)

    @subscribe_mapping("/heartbeats")
    def count_heartbeats(self, accessor: SimpMessageHeaderAccessor) -> int:
        """How many heart-beats came from the client that asks."""
        return heartbeats.counts[accessor.session_id]

    @message_mapping("/drop-me")
    def drop(self, accessor: SimpMessageHeaderAccessor) -> None:
        app.disconnect(accessor.session_id, status=CloseStatus.SERVICE_RESTARTED)


class Echo(AbstractWebSocketHandler):
    """Sends back what it gets."""

    def handle_text_message(self, session: WebSocketSession, message: TextMessage) -> None:
        session.send_message(message)

    def handle_binary_message(self, session: WebSocketSession, message: BinaryMessage) -> None:
        session.send_message(message)


class Config(WebSocketConfigurer, WebSocketMessageBrokerConfigurer):
    def register_web_socket_handlers(self, registry: WebSocketHandlerRegistry) -> None:
        registry.add_handler(Echo(), "/raw")

    def register_stomp_endpoints(self, registry: StompEndpointRegistry) -> None:
        registry.add_endpoint("/ws")
        registry.add_endpoint("/ws").with_sockjs()

    def configure_message_broker(self, registry: MessageBrokerRegistry) -> None:
        registry.enable_simple_broker("/topic", "/queue", heartbeat_ms=(1_000, 1_000))
        registry.set_application_destination_prefixes("/app")

    def configure_client_inbound_channel(self, registration: ChannelRegistration) -> None:
        registration.interceptors(heartbeats)


def files(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """An empty page at ``/``, and the files of this folder."""
    path = environ["PATH_INFO"]
    if path == "/":
        return respond(start_response, "200 OK", "text/html; charset=utf-8", b"<!doctype html><title>clients</title>")
    file = (FOLDER / path.removeprefix("/clients/")).resolve()
    if not (path.startswith("/clients/") and file.is_relative_to(FOLDER) and file.is_file()):
        return respond(start_response, "404 Not Found", "text/plain", b"")
    kind = "text/javascript" if file.suffix in (".js", ".mjs") else mimetypes.guess_type(file.name)[0]
    return respond(start_response, "200 OK", kind or "application/octet-stream", file.read_bytes())


def respond(start_response: Callable[..., Any], status: str, content_type: str, body: bytes) -> list[bytes]:
    start_response(status, [("Content-Type", content_type), ("Content-Length", str(len(body)))])
    return [body]


app = WellheadApp(files, Config(), controllers=[Controller()])
