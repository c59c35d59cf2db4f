"""An executor on the inbound channel: the end of a session keeps its place, and a quick client is slowed down."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from kit.chat import Config
from kit.serving import TEXT, TIMEOUT, Gate, frame
from kit.stomp_socket import StompSocket, serving, stomp

from wellhead.messaging.events import (
    SessionDisconnectEvent,
    SessionEvent,
    SessionSubscribedEvent,
    SessionSubscribeEvent,
)
from wellhead.messaging.handler.annotations import DestinationVariable, message_mapping
from wellhead.server.close import EndReason
from wellhead.server.config.app import WellheadApp

BODY = b"x" * 50_000


class Greenlets(Config):
    def configure_client_inbound_channel(self, registration: Any) -> None:
        registration.task_executor().core_pool_size(8)


class Threads(Config):
    def configure_client_inbound_channel(self, registration: Any) -> None:
        registration.task_executor().core_pool_size(4).use_native_threads()


class Slow:
    """Notes the numbers of the messages; the first one waits for the gate."""

    def __init__(self, gate: Gate | None = None) -> None:
        self.gate = gate
        self.got: list[int] = []

    @message_mapping("/slow/{number}")
    def take(self, number: Annotated[int, DestinationVariable]) -> None:
        self.got.append(number)
        if number == 0 and self.gate is not None:
            self.gate.wait()


def say(client: StompSocket, number: int, body: bytes = b"") -> None:
    client.send(stomp("SEND", body, destination=f"/app/slow/{number}").decode())


@pytest.mark.spec("SPH-08", "SPH-07", "CH-05", "EVT-01")
def test_the_end_comes_after_what_a_client_sent_before_it_went() -> None:
    slow = Slow(Gate())
    app = WellheadApp(None, Greenlets(), controllers=[slow])
    heard: list[type[SessionEvent]] = []
    with serving(app) as served:
        client = served.connected()
        app.events.connect(SessionEvent, lambda event: heard.append(type(event)))
        say(client, 0)
        client.send_frame_of("SUBSCRIBE", id="0", destination="/topic/left")
        say(client, 1)
        assert slow.gate.reached.wait(TIMEOUT)
        client.reset()
        assert served.wait_until(lambda: not app.sub_protocol_web_socket_handler.stats.current)
        assert heard == []
        slow.gate.open()
        assert served.wait_until(lambda: served.ended)
        assert heard == [SessionSubscribeEvent, SessionSubscribedEvent, SessionDisconnectEvent]
        assert slow.got == [0, 1]
        assert served.wait_until(lambda: not app.simple_broker_message_handler.session_count)
        assert app.simple_broker_message_handler.subscription_registry.subscription_count == 0


def fill(client: StompSocket, is_full: Callable[[], bool], body: bytes = BODY, most: int = 2_000) -> int:
    """Send until the server *is_full* and nothing goes out; how many messages did, the last one in part."""
    client.socket.settimeout(0.1)
    data = b"".join(frame(TEXT, stomp("SEND", body, destination=f"/app/slow/{number}")) for number in range(most))
    sent = 0
    while sent < len(data):
        try:
            sent += client.socket.send(data[sent : sent + 65_536])
        except TimeoutError:
            if is_full():
                break
    client.socket.settimeout(TIMEOUT)
    client.rest = data[sent:]  # type: ignore[attr-defined]
    return most - len(client.rest) // (len(data) // most)


@pytest.mark.spec("SPH-07", "CH-05")
def test_a_client_that_is_quicker_than_its_handler_is_slowed_down() -> None:
    slow = Slow(Gate())
    app = WellheadApp(None, Greenlets(), controllers=[slow])
    with serving(app) as served, served.connected() as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        session = served.session_of(client)
        [state] = app.stomp_sub_protocol_handler._sessions.values()

        def is_full() -> bool:
            return bool(served.running.call(lambda: state.inbound.is_crowded and not session._reading))

        assert fill(client, is_full) < 1_000
        assert state.inbound.is_crowded
        assert state.inbound.queued_bytes < (1 << 20) + 100_000
        assert session._mailbox_bytes < (1 << 20) + 200_000
        assert not session._reading
        slow.gate.open()
        client.socket.sendall(client.rest)
        assert served.wait_until(lambda: len(slow.got) == 2_000)
        assert slow.got == list(range(2_000))
        assert served.wait_until(lambda: session._reading)
        assert served.ended == []


@pytest.mark.spec("SPH-07", "CH-05", "SPH-08")
@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("vanishes", EndReason.CLIENT_VANISHED),
        ("is closed", EndReason.SERVER_CLOSED),
        ("server stops", EndReason.SERVER_STOPPED),
    ],
)
def test_a_session_that_is_held_ends_as_any_other(how: str, reason: EndReason) -> None:
    slow = Slow(Gate())
    app = WellheadApp(None, Greenlets(), controllers=[slow])
    with serving(app) as served:
        client = served.connected()
        for number in range(300):
            say(client, number)
        session = served.session_of(client)
        assert served.wait_until(lambda: session._held and len(session._mailbox) == 300 - 257)
        if how == "vanishes":
            client.reset()
            slow.gate.open()
            assert served.end_of(session.id).reason is reason
            assert slow.got == list(range(300))
            return
        if how == "is closed":
            served.running.call(lambda: app.disconnect(session.id))
        else:
            served.running.call(app.sub_protocol_web_socket_handler.stop)
        assert served.end_of(session.id).reason is reason  # while the first message is still being handled
        slow.gate.open()
        client.close_socket()
    assert slow.got == [0]


@pytest.mark.spec("SPH-07", "CH-05", "CH-06")
def test_in_native_threads_nothing_is_lost_or_overtaken_while_sessions_are_held() -> None:
    slow = Slow()
    app = WellheadApp(None, Threads(), controllers=[slow])
    with serving(app) as served, served.connected() as client:
        client.subscribe("/topic/done")
        session = served.session_of(client)
        for start in range(1, 5_000, 1_000):
            numbers = range(start, start + 1_000)
            frames = [frame(TEXT, stomp("SEND", destination=f"/app/slow/{number}")) for number in numbers]
            client.send_bytes(b"".join([*frames, frame(TEXT, stomp("SEND", destination="/topic/done"))]))
            assert client.next_frame().command == "MESSAGE"
            assert slow.got == list(range(1, start + 1_000))
        assert served.wait_until(lambda: not session._held and session._reading)
