"""The broker's heart-beats: written at once where nobody wants to see them, and as messages where somebody does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from kit.chat import Chat, Config
from kit.stomp import StompClient, StompServer
from kit.stomp_socket import serving

from wellhead.messaging.channel import ChannelInterceptor
from wellhead.messaging.simp.accessor import MESSAGE_TYPE, SESSION_ID
from wellhead.messaging.simp.types import SimpMessageType
from wellhead.messaging.stomp.frame import HEARTBEAT
from wellhead.server.config.app import WellheadApp
from wellhead.server.subprotocol.stomp import StompSubProtocolHandler

pytestmark = pytest.mark.spec("SB-04", "SPH-06")


class Beating(Config):
    def configure_message_broker(self, registry: Any) -> None:
        registry.enable_simple_broker("/topic", "/queue").set_heartbeat_value([100, 0])
        registry.set_application_destination_prefixes("/app")


def app_of(config: Config | None = None) -> WellheadApp:
    return WellheadApp(None, config or Beating(), controllers=[Chat()])


def beaten(server: StompServer) -> StompClient:
    client = server.open()
    client.send("CONNECT", accept_version="1.2", host="localhost", heart_beat="0,100")
    assert [frame.command for frame in client.received()] == ["CONNECTED"]
    return client


def seen_by_an_interceptor(app: WellheadApp, seen: list[Any]) -> None:
    class Sees(ChannelInterceptor):
        def pre_send(self, message: Any, channel: Any) -> Any:
            seen.append(message)
            return message

    app.client_outbound_channel.add_interceptor(Sees())


def seen_by_a_subscriber(app: WellheadApp, seen: list[Any]) -> None:
    app.client_outbound_channel.subscribe(seen.append)


@pytest.mark.parametrize("watch", [None, seen_by_an_interceptor, seen_by_a_subscriber])
def test_whoever_wants_to_sees_each_and_the_client_gets_the_same(
    watch: Callable[[WellheadApp, list[Any]], None] | None,
) -> None:
    seen: list[Any] = []
    with StompServer(app_of()) as server:
        clients = [beaten(server), beaten(server)]
        if watch is not None:
            watch(server.app, seen)
        assert (server.app.client_outbound_channel.write_heartbeats is None) is (watch is not None)
        server.runtime.scheduler.advance(100)
        assert [client.received_with_heartbeats() for client in clients] == [[HEARTBEAT], [HEARTBEAT]]
        kinds = [(message.headers[MESSAGE_TYPE], message.headers[SESSION_ID]) for message in seen]
        assert kinds == [(SimpMessageType.HEARTBEAT, client.id) for client in clients if watch is not None]


class OtherHandler(StompSubProtocolHandler):
    supported_protocols = ("other",)  # type: ignore[assignment]  # a property there


def test_where_several_protocols_are_spoken_each_is_a_message_for_the_handler_of_its_session() -> None:
    with StompServer(app_of()) as server:
        client = beaten(server)
        endpoint = server.app.sub_protocol_web_socket_handler
        endpoint.add_protocol_handler(OtherHandler())
        assert endpoint.handle_heartbeats([client.id]) is False
        server.runtime.scheduler.advance(100)
        assert client.received_with_heartbeats() == [HEARTBEAT]


def test_it_comes_after_what_waits_already() -> None:
    with StompServer(app_of()) as server:
        client = beaten(server)
        client.subscribe("/topic/a")
        client.session.blocked = True
        server.app.template.convert_and_send("/topic/a", "first")
        server.flusher.turn()
        server.runtime.scheduler.advance(100)
        client.session.take()
        first, second = client.received_with_heartbeats()
        assert (first.body, second) == (b"first", HEARTBEAT)  # type: ignore[union-attr]  # a frame


def test_one_that_cannot_be_written_to_keeps_no_other_from_its_own() -> None:
    with StompServer(app_of()) as server:
        broken, whole = beaten(server), beaten(server)
        broken.session.send_error = OSError("gone")
        server.runtime.scheduler.advance(100)
        assert whole.received_with_heartbeats() == [HEARTBEAT]


def test_nothing_is_sent_to_a_session_that_the_endpoint_does_not_know() -> None:
    with StompServer(app_of()) as server:
        assert server.app.sub_protocol_web_socket_handler.handle_heartbeats(["nobody"])


def test_over_a_socket_they_come_one_by_one() -> None:
    with serving(app_of()) as served, served.connected("0,100") as client:
        assert [client.receive() for _ in range(3)] == ["\n", "\n", "\n"]
