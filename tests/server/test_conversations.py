"""Conversations with a chat, without sockets: what clients say and what they hear."""

from __future__ import annotations

import logging

import pytest
from kit.chat import Bystander, error_of, headers, make, say

from wellhead.messaging.events import SessionDisconnectEvent
from wellhead.messaging.stomp.frame import HEARTBEAT, StompFrame
from wellhead.server.close import CloseStatus, EndReason
from wellhead.server.session import UserPrincipal


@pytest.fixture
def server():
    with make() as server:
        yield server


# -- talking


@pytest.mark.spec("CFG-03", "SPH-02", "SPH-04", "CONV-04")
def test_a_chat(server):
    ann, joe = server.connected(), server.connected()
    joe.subscribe("/topic/room/7")
    say(ann)
    [message] = joe.received()
    assert (message.command, message.body) == ("MESSAGE", b'{"text":"hi","count":1}')
    found = headers(message)
    assert (found["destination"], found["subscription"]) == ("/topic/room/7", "0")
    assert found["content-type"].startswith("application/json")
    assert found["message-id"].startswith("s2-")
    assert ann.received() == []


@pytest.mark.spec("ANN-07", "CFG-03")
def test_an_answer_to_a_subscription_goes_to_the_subscriber_alone(server):
    ann, joe = server.connected(), server.connected()
    joe.subscribe("/app/greeting")
    ann.subscribe("/app/greeting", "7")
    for client, id in ((ann, "7"), (joe, "0")):
        [message] = client.received()
        assert (message.body, headers(message)["subscription"]) == (b"welcome", id)


@pytest.mark.spec("CFG-08", "TPL-03")
def test_the_template_reaches_subscribers(server):
    client = server.connected()
    client.subscribe("/topic/news")
    server.app.template.convert_and_send("/topic/news", {"hello": "world"})
    [message] = client.received()
    assert message.body == b'{"hello":"world"}'


@pytest.mark.spec("SCOPE-01")
def test_attributes_are_those_of_the_session(server):
    ann, joe = server.connected(), server.connected()
    joe.subscribe("/topic/color")
    for client, color in ((ann, b"red"), (joe, b"blue"), (ann, b"green")):
        client.send("SEND", color, destination="/app/color")
    assert [message.body for message in joe.received()] == [b"none", b"none", b"red"]


@pytest.mark.spec("REG-01")
def test_subscribing_twice_with_one_id_counts_once(server):
    client = server.connected()
    client.subscribe("/topic/room/7", "x")
    client.subscribe("/topic/room/8", "x")
    say(client)
    [message] = client.received()
    assert headers(message)["destination"] == "/topic/room/7"


@pytest.mark.spec("SB-03")
def test_after_unsubscribe_nothing_comes(server):
    client = server.connected()
    client.subscribe("/topic/room/7", "x")
    client.send("UNSUBSCRIBE", id="x")
    say(client)
    assert client.received() == []


# -- receipts


@pytest.mark.spec("SB-03")
@pytest.mark.parametrize(
    ("command", "fields"),
    [
        ("SEND", {"destination": "/topic/a"}),
        ("SUBSCRIBE", {"destination": "/topic/a", "id": "0"}),
        ("UNSUBSCRIBE", {"id": "0"}),
    ],
)
def test_every_frame_may_ask_for_a_receipt(server, command, fields):
    client = server.connected()
    client.send(command, receipt="r1", **fields)
    assert client.received() == [StompFrame("RECEIPT", [("receipt-id", "r1")])]
    assert client.closed_with is None


@pytest.mark.spec("SPH-06", "EVT-01")
def test_disconnect_with_a_receipt(server):
    bystander, ended = Bystander(server), []
    server.app.events.connect(SessionDisconnectEvent, ended.append)
    client = server.connected()
    client.send("DISCONNECT", receipt="bye")
    assert client.received() == [StompFrame("RECEIPT", [("receipt-id", "bye")])]
    assert client.closed_with is None
    client.leave(CloseStatus.NORMAL.with_cause(EndReason.CLIENT_CLOSED))
    assert [(event.session_id, event.reason) for event in ended] == [(client.id, EndReason.CLIENT_DISCONNECT)]
    assert bystander.is_well()


@pytest.mark.spec("SPH-06", "EVT-01")
def test_disconnect_without_a_receipt(server, caplog):
    bystander, ended = Bystander(server), []
    server.app.events.connect(SessionDisconnectEvent, ended.append)
    client = server.connected()
    with caplog.at_level(logging.DEBUG):
        client.send("DISCONNECT")
        assert client.received() == []
        assert client.closed_with == CloseStatus.NORMAL
    assert [(event.session_id, event.reason) for event in ended] == [(client.id, EndReason.CLIENT_DISCONNECT)]
    assert f"Session {client.id} closed" in caplog.text
    assert bystander.is_well()


# -- connecting


@pytest.mark.spec("SPH-06")
@pytest.mark.parametrize(
    ("accepted", "version"), [("1.0", "1.0"), ("1.1", "1.1"), ("1.2", "1.2"), ("1.0,1.1,1.2", "1.2"), (None, "1.0")]
)
@pytest.mark.parametrize("command", ["CONNECT", "STOMP"])
def test_versions(server, command, accepted, version):
    client = server.open()
    client.send(command, **({} if accepted is None else {"accept_version": accepted}))
    [connected] = client.received()
    assert connected == StompFrame("CONNECTED", [("version", version), ("heart-beat", "10000,10000")])


@pytest.mark.spec("SPH-06", "LOG-01")
def test_no_common_version(server, caplog):
    bystander = Bystander(server)
    client = server.open("s9")
    with caplog.at_level(logging.INFO):
        client.send("CONNECT", accept_version="2.0")
    assert error_of(client) == {
        "message": "Unsupported STOMP version",
        "version": "1.0,1.1,1.2",
        "content-length": "0",
    }
    assert "s9" in caplog.text
    assert bystander.is_well()


@pytest.mark.spec("SPH-03", "SPH-06")
def test_connected_tells_who_the_user_is(server):
    client = server.open(principal=UserPrincipal("joe"))
    client.send("CONNECT", accept_version="1.2")
    [connected] = client.received()
    assert headers(connected)["user-name"] == "joe"


@pytest.mark.spec("SB-04", "SPH-06", "EVT-01", "LOG-01")
def test_a_heartbeat_timeout(server, caplog):
    bystander, ended = Bystander(server), []
    server.app.events.connect(SessionDisconnectEvent, ended.append)
    client = server.open("s9")
    client.send("CONNECT", accept_version="1.2", heart_beat="10000,0")
    client.received()
    with caplog.at_level(logging.INFO):
        server.runtime.scheduler.advance(50_000)
        assert error_of(client)["message"] == "Session closed."
    assert [(event.session_id, event.reason) for event in ended] == [("s9", EndReason.HEARTBEAT_TIMEOUT)]
    assert "s9" in caplog.text
    assert bystander.is_well()


@pytest.mark.spec("SB-04")
def test_the_server_writes_heartbeats(server):
    client = server.open()
    client.send("CONNECT", accept_version="1.2", heart_beat="0,10000")
    server.runtime.scheduler.advance(30_000)
    assert HEARTBEAT in client.received_with_heartbeats()


@pytest.mark.spec("SWS-03", "LOG-01")
def test_a_client_that_says_nothing(server, caplog):
    client = server.open("s9")
    with caplog.at_level(logging.INFO):
        server.runtime.scheduler.advance(100_000)
    assert client.closed_with == CloseStatus.SESSION_NOT_RELIABLE
    assert "Closing s9" in caplog.text


# -- ends


@pytest.mark.spec("EVT-01", "SPH-08", "SB-02")
def test_a_client_that_vanishes(server):
    ended = []
    server.app.events.connect(SessionDisconnectEvent, ended.append)
    client = server.connected("s9")
    client.subscribe("/topic/a")
    client.leave()
    assert [(event.session_id, event.reason) for event in ended] == [("s9", EndReason.CLIENT_VANISHED)]
    assert server.app.simple_broker_message_handler.session_count == 0


@pytest.mark.spec("LIFE-01", "SWS-05", "EVT-01")
def test_stop_closes_all_with_1001():
    ended = []
    with make() as server:
        server.app.events.connect(SessionDisconnectEvent, ended.append)
        clients = [server.connected(), server.connected()]
    assert [client.closed_with for client in clients] == [CloseStatus.GOING_AWAY] * 2
    assert [event.reason for event in ended] == [EndReason.SERVER_STOPPED] * 2
