"""STOMP over SockJS: the whole application over real sockets."""

import pytest
from kit.serving import running_server
from kit.sockjs import Browser, SockJsClient

from wellhead.server.config.app import WellheadApp
from wellhead.server.config.configurer import WebSocketMessageBrokerConfigurer

pytestmark = pytest.mark.integration

TRANSPORTS = ["websocket", "xhr", "xhr_streaming", "eventsource", "htmlfile"]
KINDS = {"websocket": "web_socket", "xhr": "http_polling"}


class Configurer(WebSocketMessageBrokerConfigurer):
    def register_stomp_endpoints(self, registry):
        registry.add_endpoint("/ws").with_sockjs(disconnect_delay_ms=60_000)

    def configure_message_broker(self, registry):
        registry.enable_simple_broker("/topic", heartbeat_ms=(10_000, 10_000))


@pytest.fixture(scope="module")
def server():
    with running_server(WellheadApp(None, Configurer())) as running:
        yield running


@pytest.fixture(params=TRANSPORTS)
def client(request, server):
    browser = Browser(server)
    client = SockJsClient(browser, request.param, "/ws")
    yield client
    client.vanish()
    browser.close()


def connect(client, heartbeat="0,0"):
    client.send(f"CONNECT\naccept-version:1.2\nheart-beat:{heartbeat}\n\n\0")
    (frame,) = client.receive(1)
    assert frame.startswith("CONNECTED\nversion:1.2\n")


@pytest.mark.spec("SJS-05", "SPH-06")
def test_a_client_sends_and_receives(client):
    connect(client)
    client.send("SUBSCRIBE\nid:0\ndestination:/topic/a\nreceipt:1\n\n\0")
    assert client.receive(1)[0].startswith("RECEIPT\nreceipt-id:1\n")
    for number in range(120):
        client.send(f"SEND\ndestination:/topic/a\n\nbody {number}\0")
    frames = client.receive(120)
    assert [frame.rpartition("\n")[2] for frame in frames] == [f"body {number}\0" for number in range(120)]


@pytest.mark.spec("SPH-06", "SJS-13")
def test_the_broker_s_heartbeat_takes_the_place_of_ours(client, server):
    connect(client, "10000,10000")
    sessions = server.server.application.sub_protocol_web_socket_handler._sessions
    holder = list(sessions.values())[-1]  # the latest
    assert holder.session.delegate._heartbeat_ms == 0


@pytest.mark.spec("SWS-06")
def test_statistics_tell_the_transports_apart(client, server):
    connect(client)
    kind = KINDS.get(client.transport, "http_streaming")
    assert getattr(server.server.application.stats.web_socket_session_stats, kind) >= 1


@pytest.mark.spec("SPH-05", "SJS-14")
def test_an_error_frame_arrives_before_the_close(client):
    connect(client)
    client.send("NONSENSE\n\n\0")
    assert client.receive(1)[0].startswith("ERROR\n")
    assert client.receive_close()[0] == 1002


@pytest.mark.spec("SPH-06")
def test_disconnect_is_answered(client):
    connect(client)
    client.send("DISCONNECT\nreceipt:bye\n\n\0")
    assert client.receive(1)[0].startswith("RECEIPT\nreceipt-id:bye\n")


@pytest.mark.spec("SJS-07", "USR-01")
def test_the_id_of_a_session_is_not_the_client_s_to_choose(client, server):
    """With a pattern for an id it would read what others get, and with another session's id that one's messages."""
    other = SockJsClient(client.browser, client.transport, "/ws", session="*")
    for each in (client, other):
        connect(each)
        each.send("SUBSCRIBE\nid:0\ndestination:/user/topic/private\nreceipt:1\n\n\0")
        assert each.receive(1)[0].startswith("RECEIPT")
    application = server.server.application
    ids = list(application.sub_protocol_web_socket_handler._sessions)[-2:]
    assert not {each.url.rpartition("/")[2] for each in (client, other)} & set(ids)
    assert not any("*" in each for each in ids)
    application.template.send_to_session(ids[0], "/topic/private", "for the first")
    application.template.send_to_session(ids[1], "/topic/private", "for the second")
    assert [each.receive(1)[0].rpartition("\n")[2] for each in (client, other)] == [
        "for the first\0",
        "for the second\0",
    ]
    other.vanish()


@pytest.mark.spec("SJS-06", "SPH-04")
def test_octets_that_are_no_text_do_not_end_the_sessions_of_those_they_are_for(client, server):
    connect(client)
    client.send("SUBSCRIBE\nid:0\ndestination:/topic/octets\nreceipt:1\n\n\0")
    assert client.receive(1)[0].startswith("RECEIPT")
    template = server.server.application.template
    template.convert_and_send("/topic/octets", b"caf\xe9")
    template.convert_and_send("/topic/octets", "next")
    assert [frame.rpartition("\n")[2] for frame in client.receive(2)] == ["caf\ufffd\0", "next\0"]
