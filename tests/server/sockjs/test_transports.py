"""A handler that passes on WebSocket passes on every transport: the same tests, real sockets, the whole application."""

import pytest
from kit.serving import RawClient, RecordingHandler, echo, running_server
from kit.sockjs import Browser, SockJsClient, sockjs_app

from wellhead.server.close import CloseStatus, EndReason
from wellhead.server.decorators import PerConnectionWebSocketHandler
from wellhead.server.message import TextMessage

pytestmark = pytest.mark.integration

FRAMED = ["websocket", "xhr", "xhr_streaming", "eventsource", "htmlfile", "jsonp"]


class RawWebSocketClient:
    """The same client without SockJS, to show that the tests hold for it."""

    def __init__(self, browser, transport, base="/echo"):
        self.native = RawClient(browser.port, base + "/websocket")
        self.transport = transport

    def send(self, *messages):
        for message in messages:
            self.native.send(message)

    def receive(self, count):
        return [self.native.receive() for _ in range(count)]

    def receive_close(self):
        return self.native.receive_close()

    def vanish(self):
        self.native.close_socket()


@pytest.fixture(scope="module")
def running():
    handlers = []

    def register(registry):
        # What ends late belongs to the test that began it.
        handler = PerConnectionWebSocketHandler(lambda: handlers[-1])
        registration = registry.add_handler(handler, "/echo", allowed_origin_patterns=["*"])
        registration.with_sockjs(jsonp_enabled=True, stream_bytes_limit=4096, disconnect_delay_ms=60_000)

    with running_server(sockjs_app(register)) as server:
        yield server, handlers


@pytest.fixture
def handler(running):
    handler = RecordingHandler(echo)
    running[1].append(handler)
    return handler


@pytest.fixture(params=[*FRAMED, "raw"])
def client(request, running, handler):
    browser = Browser(running[0])
    kind = RawWebSocketClient if request.param == "raw" else SockJsClient
    client = kind(browser, request.param)
    handler.wait_for("established")
    yield client
    client.vanish()
    browser.close()


@pytest.mark.spec("SJS-05", "SJS-08", "SJS-09", "SJS-12")
def test_messages_come_back_in_order(client, handler):
    sent = [f"message {number}" for number in range(20)]
    for start in range(0, 20, 5):
        client.send(*sent[start : start + 5])
    assert client.receive(20) == sent
    assert handler.messages == sent


@pytest.mark.spec("SJS-06")
def test_any_text_comes_back(client, handler):
    texts = [
        "",
        " ",
        "a\n\r\t\x00b",
        '"quoted" \\ back/slash',
        "</script>",
        "grün 漢字 \u2028\u200d\ufeff\uffff",
        "\U0001f600",
    ]
    client.send(*texts)
    assert client.receive(len(texts)) == texts


@pytest.mark.spec("SJS-09")
def test_more_than_a_response_may_hold(client, handler):
    texts = [f"{number}:" + "x" * 1500 for number in range(12)]
    for text in texts:
        client.send(text)
    assert client.receive(12) == texts


def test_a_handler_may_send_whenever_it_likes(client, handler):
    for number in range(3):
        handler.sessions[0].send_message(TextMessage(f"news {number}"))
    assert client.receive(3) == ["news 0", "news 1", "news 2"]


@pytest.mark.spec("SJS-14")
def test_the_handler_closes(client, handler):
    handler.on_message = lambda session, message: session.close(CloseStatus(4001, "enough"))
    client.send("a", "b")
    assert client.receive_close() == (4001, "enough")
    assert handler.wait_for("closed") == ("closed", 4001, EndReason.SERVER_CLOSED)
    assert handler.messages == ["a"]


@pytest.mark.spec("SJS-14")
def test_what_was_sent_before_the_close_arrives_before_it(client, handler):
    def answer_and_close(session, message):
        session.send_message(TextMessage("last words"))
        session.close(CloseStatus(4001, "enough"))

    handler.on_message = answer_and_close
    client.send("a")
    assert client.receive(1) == ["last words"]
    assert client.receive_close() == (4001, "enough")


@pytest.mark.spec("SJS-11", "SJS-14")
def test_an_error_of_the_handler_closes_with_1011(client, handler):
    def fail(session, message):
        raise LookupError("broken")

    handler.on_message = fail
    client.send("a")
    assert client.receive_close()[0] == 1011
    assert handler.wait_for("closed") == ("closed", 1011, EndReason.HANDLER_ERROR)


@pytest.mark.spec("SJS-14")
def test_a_client_that_vanishes(client, handler, running):
    client.vanish()
    assert handler.wait_for("closed")[1:] == (1006, EndReason.CLIENT_VANISHED)
    errors = ["error"] if client.transport in ("websocket", "raw") else []  # HTTP has no other way to say good-bye.
    assert [event[0] for event in handler.events] == ["established", *errors, "closed"]


@pytest.mark.spec("SJS-07")
def test_what_the_handler_sees_of_the_session(client, handler):
    session = handler.sessions[0]
    assert session.is_open
    assert "/echo/" in session.uri
    assert session.handshake_headers["Host"].startswith("127.0.0.1:")
    assert session.remote_address[0] == "127.0.0.1"
    assert session.principal is None
    session.attributes["key"] = "value"
    assert session.attributes["key"] == "value"
    expected = {"raw": None}.get(client.transport, client.transport)
    assert getattr(session, "transport", None) == expected
