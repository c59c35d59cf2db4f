"""Waiting responses on the gevent server, over real sockets."""

import gc
import ssl

import pytest
from kit.certificate import certificate
from kit.serving import Deadline, RecordingHandler, echo, running_server
from kit.sockjs import Browser, fresh_url, sockjs_app

from wellhead.server.close import CloseStatus, EndReason
from wellhead.server.gathering import concurrent_session
from wellhead.server.message import TextMessage
from wellhead.server.runtime import http_stream, vanished
from wellhead.server.runtime.handler import WellheadHandler
from wellhead.server.runtime.http_stream import GeventHttpStream
from wellhead.server.runtime.server import server_context
from wellhead.server.sockjs.stream import STREAM_KEY

pytestmark = pytest.mark.integration

PRELUDE = b"h" * 2048 + b"\n"


def make_app(handler, **options):
    return sockjs_app(lambda registry: registry.add_handler(handler, "/echo").with_sockjs(**options))


@pytest.fixture
def handler():
    return RecordingHandler(echo)


@pytest.fixture
def server(handler):
    with running_server(make_app(handler)) as running:
        yield running


@pytest.fixture
def browser(server):
    browser = Browser(server)
    yield browser
    browser.close()


def wait_until(server, condition):
    import gevent

    def wait():
        with gevent.Timeout(10):
            while not condition():
                gevent.idle()

    server.call(wait)


def open_stream(connection, url=None):
    response = connection.request("POST", (url or fresh_url()) + "/xhr_streaming")
    assert [response.chunk(), response.chunk()] == [PRELUDE, b"o\n"]
    return response


@pytest.mark.spec("SJS-09")
def test_a_waiting_response_has_no_greenlet_and_is_written_to_at_once(server, browser, handler):
    responses = [open_stream(browser.connect()) for _ in range(20)]
    handler.wait_for("established", 20)
    wait_until(server, lambda: not server.server.handlers)
    assert len(server.runtime.connections) == 20
    for session, response in zip(handler.sessions, responses, strict=True):
        session.send_message(TextMessage(session.id))
        assert response.chunk().decode() == f'a["{session.id}"]\n'


@pytest.mark.spec("SJS-09")
def test_what_was_sent_within_one_turn_is_one_chunk(server, browser, handler):
    response = open_stream(browser.connect())
    handler.wait_for("established")
    session = handler.sessions[0]

    def send():
        for text in ("1", "2", "3"):
            session.send_message(TextMessage(text))

    server.call(send)
    assert response.chunk() == b'a["1"]\na["2"]\na["3"]\n'


@pytest.mark.spec("CDS-01", "SJS-10")
def test_a_slow_client_gets_all_in_the_end(server, browser, handler):
    connection = browser.connect(receive_buffer=4096)
    url = fresh_url()
    response = open_stream(connection, url)
    handler.wait_for("established")
    session = concurrent_session(handler.sessions[0], buffer_size_limit=64 * 1024 * 1024)
    text = "x" * 100_000

    def send():
        import gevent

        for _ in range(60):
            session.send_message(TextMessage(text))
            gevent.sleep(0)

    server.call(send)
    wait_until(server, lambda: session.delegate.pending_bytes > 0 or session.buffer_size > 0)
    count = 0
    while count < 60:
        chunk = response.chunk()
        if not chunk:  # The limit of a response; the next one goes on.
            response = connection.request("POST", url + "/xhr_streaming")
            assert response.chunk() == PRELUDE
            continue
        assert set(chunk.split(b"\n")) == {b"", b'a["' + b"x" * 100_000 + b'"]'}
        count += chunk.count(b"\n")
    assert count == 60
    wait_until(server, lambda: session.delegate.pending_bytes == 0)


@pytest.mark.spec("SJS-14")
def test_a_client_that_vanishes_with_bytes_pending(server, browser, handler):
    connection = browser.connect(receive_buffer=4096)
    open_stream(connection)
    handler.wait_for("established")
    session = concurrent_session(handler.sessions[0], buffer_size_limit=64 * 1024 * 1024)
    server.call(lambda: [session.send_message(TextMessage("x" * 1_000_000)) for _ in range(20)])
    wait_until(server, lambda: session.delegate.pending_bytes > 0 or not session.delegate.is_waiting)
    connection.reset()
    assert handler.wait_for("closed")[1:] == (1006, EndReason.CLIENT_VANISHED)
    wait_until(server, lambda: not server.runtime.connections)


@pytest.mark.spec("SJS-14", "LIFE-02")
def test_a_client_that_does_not_take_the_end_of_a_response_is_taken_for_gone(server, browser, handler, monkeypatch):
    monkeypatch.setattr(http_stream, "_TIME_LIMIT_MS", 50)
    open_stream(browser.connect(receive_buffer=4096))
    handler.wait_for("established")
    [session] = handler.sessions
    server.call(lambda: [session.send_message(TextMessage("x" * 1_000_000)) for _ in range(20)])
    server.call(lambda: session.close(CloseStatus.NORMAL))
    assert handler.wait_for("closed")[1:] == (1000, EndReason.SERVER_CLOSED)
    wait_until(server, lambda: not server.runtime.connections)


@pytest.mark.spec("SJS-14", "CDS-01")
def test_a_client_that_takes_something_of_the_end_of_a_response_is_not_taken_for_gone(
    server, browser, handler, monkeypatch
):
    deadline = Deadline(monkeypatch, http_stream._TIME_LIMIT_MS + 1)
    monkeypatch.setattr(http_stream, "_TIME_LIMIT_MS", http_stream._TIME_LIMIT_MS + 1)
    connection = browser.connect(receive_buffer=200_000)
    open_stream(connection)
    handler.wait_for("established")
    [session] = handler.sessions
    server.call(lambda: session.send_message(TextMessage("x" * 20_000_000)))
    wait_until(server, lambda: deadline.waiting)
    [stream] = server.runtime.connections
    for _ in range(3):
        before = stream.pending_bytes
        while stream.pending_bytes >= before:
            connection.socket.recv(100_000)
        deadline.comes(server)
        assert [stream] == [*server.runtime.connections]
    while deadline.waiting:  # until sockets take no more
        deadline.comes(server)
    assert not server.runtime.connections


@pytest.mark.spec("SJS-14")
def test_of_clients_that_vanish_at_once_each_is_noticed_in_its_turn(server, browser, handler, monkeypatch):
    monkeypatch.setattr(vanished, "SESSIONS_PER_TURN", 1)
    connections = [browser.connect() for _ in range(5)]
    for connection in connections:
        open_stream(connection)
    handler.wait_for("established", 5)
    for connection in connections:
        connection.reset()
    handler.wait_for("closed", 5)
    assert {event[1:] for event in handler.named("closed")} == {(1006, EndReason.CLIENT_VANISHED)}
    wait_until(server, lambda: not server.runtime.connections)


@pytest.mark.spec("SJS-14")
def test_an_unreliable_session_is_cut(server, browser, handler):
    connection = browser.connect()
    open_stream(connection)
    handler.wait_for("established")
    handler.sessions[0].close(CloseStatus.SESSION_NOT_RELIABLE)
    assert connection.is_ended()


@pytest.mark.spec("SJS-14", "LIFE-01")
def test_the_server_stops_while_responses_wait(server, browser, handler):
    connections = [browser.connect() for _ in range(3)]
    responses = [open_stream(connection) for connection in connections]
    poll = browser.connect()
    url = fresh_url()
    assert poll.request("POST", url + "/xhr").body == b"o\n"
    poll.send("POST", url + "/xhr")
    wait_until(server, lambda: len(server.runtime.connections) == 4)
    server.stop()
    for response, connection in zip(responses, connections, strict=True):
        assert [response.chunk(), response.chunk()] == [b'c[1001,""]\n', b""]
        assert connection.is_ended()
    assert poll.response().body == b'c[1001,""]\n'
    assert {event[1:] for event in handler.named("closed")} == {(1001, EndReason.SERVER_STOPPED)}
    assert len(handler.named("closed")) == 4


@pytest.mark.spec("SJS-08")
def test_a_connection_between_polls_is_ended_by_the_server_s_stop_and_by_keep_alive(handler):
    with running_server(make_app(handler), keep_alive_ms=50) as server:
        browser = Browser(server)
        url = fresh_url()
        connection = browser.connect()
        poll = f"POST {url}/xhr HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode()
        connection.socket.sendall(poll + poll)  # at once: it is not kept alive for long between them
        assert connection.response().body == b"o\n"
        wait_until(server, lambda: len(server.runtime.connections) == 1)
        handler.sessions[0].send_message(TextMessage("x"))
        assert connection.response().body == b'a["x"]\n'
        assert connection.is_ended()
        assert not server.server.waiting
        browser.close()


@pytest.mark.spec("SJS-08")
@pytest.mark.parametrize("cut", [1, 20, -2])
def test_the_next_request_on_a_connection_may_come_in_parts(server, browser, handler, cut):
    url = fresh_url()
    connection = browser.connect()
    assert connection.request("POST", url + "/xhr").body == b"o\n"
    connection.send("POST", url + "/xhr")
    wait_until(server, lambda: len(server.runtime.connections) == 1)
    handler.sessions[0].send_message(TextMessage("x"))
    assert connection.response().body == b'a["x"]\n'
    request = b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"
    connection.socket.sendall(request[:cut])
    wait_until(server, lambda: any(waiting._received for waiting in server.server.waiting))
    connection.socket.sendall(request[cut:])
    assert connection.response().body == b"Welcome to SockJS!\n"


@pytest.mark.spec("SJS-08", "SJS-09")
def test_polls_and_streams_over_tls(handler):
    context = ssl.create_default_context(cafile=certificate())
    with running_server(make_app(handler), ssl_context=server_context(certificate())) as server:
        browser = Browser(server)
        url = fresh_url()
        connection, sender = browser.connect(tls_context=context), browser.connect(tls_context=context)
        assert connection.request("POST", url + "/xhr").body == b"o\n"
        for text in ("a", "b"):
            connection.send("POST", url + "/xhr")
            wait_until(server, lambda: len(server.runtime.connections) == 1)
            assert sender.request("POST", url + "/xhr_send", f'["{text}"]').status == 204
            assert connection.response().body == f'a["{text}"]\n'.encode()
        response = open_stream(connection)
        handler.wait_for("established", 2)
        handler.sessions[1].close()
        assert response.body == b'c[3000,"Go away!"]\n'
        connection.send("POST", url + "/xhr")
        wait_until(server, lambda: handler.sessions[0].is_waiting)
        connection.close()
        assert handler.wait_for("closed", 2)[1] == 1006
        browser.close()


@pytest.mark.spec("SJS-14")
def test_an_application_that_fails_after_it_opened_a_stream(handler):
    app = make_app(handler)

    def failing(environ, start_response):
        app(environ, start_response)
        raise LookupError("broken")

    failing.start, failing.stop = app.start, app.stop
    with running_server(failing) as server:
        browser = Browser(server)
        assert browser.post(fresh_url() + "/xhr_streaming").status == 500
        assert handler.wait_for("closed")[1] == 1006
        browser.close()


@pytest.mark.spec("SJS-09")
def test_a_stream_may_be_written_from_another_thread():
    streams = []

    class Listener:
        def stream_closed(self, error): ...
        def stream_drained(self): ...
        def stream_stopping(self, status): ...

    def app(environ, start_response):
        stream, _ = environ[STREAM_KEY].open()
        stream.start([("Content-Type", "text/plain")], Listener())
        streams.append(stream)
        return ()

    with running_server(app) as server:
        browser = Browser(server)
        connection = browser.connect()
        connection.send("GET", "/")
        wait_until(server, lambda: len(server.runtime.connections) == 1)
        streams[0].write(b"a")
        streams[0].write(b"b")
        streams[0].finish()
        streams[0].finish(b"c")
        streams[0].write(b"d")
        response = connection.response()
        assert response["Content-Type"] == "text/plain" and response["Date"]
        assert response.body == b"ab"
        connection.send("GET", "/")
        wait_until(server, lambda: len(server.runtime.connections) == 1)
        streams[1].abort()
        assert connection.is_ended()
        browser.close()


@pytest.mark.spec("SJS-14")
def test_nothing_is_left_of_sessions_that_ended(server, browser, handler):
    for _ in range(5):
        connection = browser.connect()
        open_stream(connection)
        connection.close()
    handler.wait_for("closed", 5)
    handler.sessions.clear()
    wait_until(server, lambda: not server.runtime.connections)

    def left():
        gc.collect()
        objects = gc.get_objects()
        streams = [each for each in objects if isinstance(each, GeventHttpStream) and each._server is server.server]
        return streams + [
            each for each in objects if isinstance(each, WellheadHandler) and each.server is server.server
        ]

    wait_until(server, lambda: not server.server.handlers)
    assert server.call(left) == []


@pytest.mark.spec("SJS-08")
def test_everything_behind_a_poll_that_is_not_the_first_request_is_answered(server, browser, handler):
    url = fresh_url()
    connection = browser.connect()
    page = b"GET /echo HTTP/1.1\r\nHost: x\r\nX-Long: " + b"y" * 3_000 + b"\r\n\r\n"
    poll = f"POST {url}/xhr HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode()
    connection.socket.sendall(poll + poll + page * 8)
    assert connection.response().body == b"o\n"
    handler.wait_for("established")
    wait_until(server, lambda: len(server.runtime.connections) == 1)
    handler.sessions[0].send_message(TextMessage("x"))
    assert connection.response().body == b'a["x"]\n'
    for _ in range(8):
        assert connection.response().body == b"Welcome to SockJS!\n"


@pytest.mark.spec("SJS-09")
def test_a_stream_for_a_request_that_could_be_upgraded(server, browser, handler):
    connection = browser.connect()
    connection.send("GET", fresh_url() + "/eventsource", headers={"Upgrade": "websocket"})
    response = connection.response()
    assert response.status == 200
    assert response.chunk() == b"\r\n"
    handler.wait_for("established")
    handler.sessions[0].send_message(TextMessage("x"))
    assert response.chunk() == b"data: o\r\n\r\n"


@pytest.mark.spec("SJS-14", "LIFE-01")
def test_a_poll_that_the_stop_ends_is_the_last_response_of_its_connection(server, browser, handler):
    connection = browser.connect()
    url = fresh_url()
    response = connection.request("POST", url + "/xhr")
    assert response.body == b"o\n" and response["Connection"] is None
    connection.send("POST", url + "/xhr")
    wait_until(server, lambda: len(server.runtime.connections) == 1)
    server.stop()
    response = connection.response()
    assert response.all("Connection") == ["close"]
    assert response.body == b'c[1001,""]\n'
    assert connection.is_ended()
