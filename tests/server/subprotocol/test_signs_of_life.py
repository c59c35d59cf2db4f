"""Heart-beats that nobody wants to see are not made into messages; whoever does see them gets all of them (SB-04)."""

from __future__ import annotations

from time import monotonic
from typing import Any

import pytest
from kit.chat import Chat, Config
from kit.stomp import StompClient, StompServer
from kit.stomp_socket import serving

from wellhead.messaging.channel import ChannelInterceptor
from wellhead.messaging.simp.accessor import MESSAGE_TYPE
from wellhead.messaging.simp.types import SimpMessageType
from wellhead.server.close import EndReason
from wellhead.server.config.app import WellheadApp
from wellhead.server.decorators import TRACE, WebSocketHandlerDecorator
from wellhead.server.handlers import heartbeat_audience

pytestmark = pytest.mark.spec("SB-04", "SPH-02")


def ignored(client: StompClient) -> bool:
    audience = heartbeat_audience(client.server.handler, client.session)
    return audience is not None and not audience.wants_heartbeats


def app_of(config: Config | None = None) -> WellheadApp:
    return WellheadApp(None, config or Config(), controllers=[Chat()])


def test_one_between_frames_is_a_sign_of_life() -> None:
    with StompServer(app_of()) as server:
        assert ignored(server.connected())


def test_one_within_a_frame_is_part_of_it() -> None:
    with StompServer(app_of()) as server:
        client = server.connected()
        client.send_bytes(b"SEND\ndestination:/app/room/7\n\n{")
        assert not ignored(client)
        client.send_bytes(b'"text":"hi"}\0')
        assert ignored(client)


def test_one_before_connect_is_handled() -> None:
    with StompServer(app_of()) as server:
        client = server.open()
        assert not ignored(client)
        client.send_bytes(b"\n")
        assert not ignored(client)


def test_an_interceptor_a_subscriber_and_an_executor_see_them_as_messages() -> None:
    class Sees(ChannelInterceptor):
        def pre_send(self, message: Any, channel: Any) -> Any:
            return message

    with StompServer(app_of()) as server:
        client = server.connected()
        channel = server.app.client_inbound_channel
        interceptor = Sees()
        channel.add_interceptor(interceptor)
        assert not ignored(client)
        channel.remove_interceptor(interceptor)
        assert ignored(client)
        seen: list[Any] = []
        channel.subscribe(seen.append)
        assert not ignored(client)
        client.send_bytes(b"\n")
        assert [message.headers[MESSAGE_TYPE] for message in seen] == [SimpMessageType.HEARTBEAT]
        channel.unsubscribe(seen.append)


def test_a_decorator_of_the_users_sees_every_message() -> None:
    with StompServer(app_of()) as server:
        client = server.connected()
        server.handler = WebSocketHandlerDecorator(server.handler)
        assert not ignored(client)


class Beating(Config):
    def configure_message_broker(self, registry: Any) -> None:
        registry.enable_simple_broker("/topic", "/queue").set_heartbeat_value([0, 300])
        registry.set_application_destination_prefixes("/app")


class Clock:
    """Of what is read and how long ago that was: a slow machine makes nobody silent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = monotonic()
        for module in ("connection", "flusher"):
            monkeypatch.setattr(f"wellhead.server.runtime.{module}.monotonic", lambda: self.now_s)


@pytest.mark.parametrize("is_seen", [False, True])
def test_over_a_socket_a_client_that_beats_lives_on(is_seen: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    app, seen = app_of(Beating()), []
    with serving(app) as served:
        if is_seen:
            app.client_inbound_channel.subscribe(seen.append)
        with served.connected("300,0") as client, served.connected("300,0") as silent:
            session, silent_one = served.session_of(client), served.session_of(silent)
            for _ in range(14):  # more than twice what it may be silent
                read_ms = session.last_read_ms
                clock.now_s += 0.15
                client.send("\n")
                assert served.wait_until(lambda: session.last_read_ms > read_ms)  # noqa: B023
            assert served.end_of(silent_one.id).reason is EndReason.HEARTBEAT_TIMEOUT  # So the broker has looked.
            assert session.is_open
            client.subscribe("/topic/room/8")
            client.send("SEND\ndestination:/topic/room/8\n\n{")
            client.send("\n")  # as a message of its own, but in the middle of a body
            client.send("}\0")
            assert client.next_frame().body == b"{\n}"
        assert bool([each for each in seen if each.headers[MESSAGE_TYPE] is SimpMessageType.HEARTBEAT]) is is_seen


def test_what_is_remembered_of_a_session_holds_until_its_next_message() -> None:
    with serving(app_of(Beating())) as served, served.connected("60000,0") as client:
        session = served.session_of(client)

        def send(text: str) -> None:
            read_ms = session.last_read_ms
            client.send(text)
            assert served.wait_until(lambda: session.last_read_ms > read_ms and not session._running)

        send("SUBSCRIBE\nid:0\ndestination:/topic/room/8\n\n\0")
        send("\n")
        send("SEND\ndestination:/topic/room/8\n\n{")
        send("\n")
        send("}\0")
        assert client.next_frame().body == b"{\n}"


@pytest.mark.spec("LOG-01")
def test_while_messages_are_logged_it_is_handled(caplog: pytest.LogCaptureFixture) -> None:
    with serving(app_of(Beating())) as served, served.connected("60000,0") as client:
        session = served.session_of(client)

        def beat() -> None:
            read_ms = session.last_read_ms
            client.send("\n")
            assert served.wait_until(lambda: session.last_read_ms > read_ms)

        beat()  # whether it is ignored is remembered from here on
        with caplog.at_level(TRACE, "wellhead.server.decorators"):
            beat()
            assert served.wait_until(lambda: "Handling" in caplog.text)
        caplog.clear()
        beat()
        client.subscribe("/topic/room/8")
        client.send("SEND\ndestination:/topic/room/8\n\nhi\0")
        assert client.next_frame().body == b"hi"
        assert "Handling" not in caplog.text
