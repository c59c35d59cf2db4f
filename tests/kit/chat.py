"""A chat to talk to: its configuration, its controller, and a session that must not notice anything."""

from __future__ import annotations

import msgspec

from kit.stomp import StompClient, StompServer
from wellhead.messaging.channel import ChannelInterceptor
from wellhead.messaging.handler.annotations import (
    message_exception_handler,
    message_mapping,
    send_to,
    subscribe_mapping,
)
from wellhead.messaging.simp.attributes import current_attributes
from wellhead.messaging.stomp.command import StompCommand
from wellhead.messaging.stomp.frame import StompFrame
from wellhead.server.close import CloseStatus
from wellhead.server.config.app import WellheadApp
from wellhead.server.config.configurer import WebSocketMessageBrokerConfigurer


class Line(msgspec.Struct):
    text: str
    count: int = 1


class Chat:
    @message_mapping("/room/{room}")
    @send_to("/topic/room/{room}")
    def say(self, line: Line) -> Line:
        return Line(line.text * line.count)

    @subscribe_mapping("/greeting")
    def greet(self) -> str:
        return "welcome"

    @message_mapping("/fail")
    def fail(self) -> None:
        raise ZeroDivisionError("by zero")

    @message_mapping("/handled")
    def fail_with_a_handler(self) -> None:
        raise KeyError("handled")

    @message_exception_handler(KeyError)
    @send_to("/topic/errors")
    def handle(self, error: KeyError) -> str:
        return f"handled {error.args[0]}"

    @message_mapping("/color")
    @send_to("/topic/color")
    def color(self, color: str) -> str:
        before = current_attributes().get_attribute("color", "none")
        current_attributes().set_attribute("color", color)
        return before


class Config(WebSocketMessageBrokerConfigurer):
    def __init__(self, *interceptors: ChannelInterceptor) -> None:
        self.interceptors = interceptors

    def register_stomp_endpoints(self, registry) -> None:
        registry.add_endpoint("/ws")

    def configure_message_broker(self, registry) -> None:
        registry.enable_simple_broker("/topic", "/queue")
        registry.set_application_destination_prefixes("/app")

    def configure_client_inbound_channel(self, registration) -> None:
        registration.interceptors(*self.interceptors)


def make(*interceptors: ChannelInterceptor, config: type[Config] = Config) -> StompServer:
    return StompServer(WellheadApp(None, config(*interceptors), controllers=[Chat()]))


class Bystander:
    """Another session, which must not notice anything."""

    def __init__(self, server: StompServer) -> None:
        self.client = server.connected("bystander")
        self.client.subscribe("/topic/room/7", "b")

    def is_well(self) -> bool:
        """Whether it still can talk and hear, and heard nothing strange until now."""
        self.client.send("SEND", b'{"text":"ok"}', destination="/app/room/7", content_type="application/json")
        frames = self.client.received()
        return [frame.body for frame in frames] == [b'{"text":"ok","count":1}'] and self.client.closed_with is None


def say(client: StompClient, text: str = "hi", **headers: str) -> None:
    body = msgspec.json.encode({"text": text})
    client.send("SEND", body, destination="/app/room/7", content_type="application/json", **headers)


def headers(frame: StompFrame) -> dict[str, str]:
    return dict(frame.headers)


def error_of(client: StompClient) -> dict[str, str]:
    """The headers of the ERROR, which was the last thing that came before the close with 1002."""
    *_, error = client.received()
    assert error.command == "ERROR"
    assert client.closed_with == CloseStatus.PROTOCOL_ERROR
    return headers(error)


FRAMES = {
    StompCommand.CONNECT: b"CONNECT\naccept-version:1.2\n\n\0",
    StompCommand.SUBSCRIBE: b"SUBSCRIBE\nid:0\ndestination:/topic/room/7\n\n\0",
    StompCommand.SEND: b"SEND\ndestination:/topic/room/7\n\nx\0",
}


class WithExecutor(Config):
    def configure_client_inbound_channel(self, registration) -> None:
        super().configure_client_inbound_channel(registration)
        registration.task_executor().core_pool_size(2)
