"""SockJS on a WSGI server that knows nothing of it: the standard library's, with a thread for each request."""

import socketserver
import threading
from contextlib import contextmanager
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import pytest
from kit.scheduling import ManualTaskScheduler
from kit.serving import RecordingHandler, echo
from kit.sockjs import Browser, SockJsClient
from kit.streams import Service

from wellhead.server.handshake.request import HandshakeRequest
from wellhead.server.sockjs.request_handler import SockJsHttpRequestHandler
from wellhead.server.sockjs.service import SockJsService
from wellhead.server.sockjs.wsgi_stream import WsgiHttpStream


class Listener:
    def __init__(self):
        self.calls = []

    def stream_closed(self, error):
        self.calls.append("closed")

    def stream_drained(self):
        self.calls.append("drained")

    def stream_stopping(self, status):
        self.calls.append("stopping")


class StartResponse:
    def __call__(self, status, headers, exc_info=None):
        self.status, self.headers = status, dict(headers)


@pytest.fixture
def stream():
    stream = WsgiHttpStream()
    stream.listener = Listener()
    stream.start([("X-Mine", "1")], stream.listener)
    return stream


@pytest.mark.spec("SJS-08")
def test_a_response_that_is_complete_has_a_length(stream):
    stream.finish(b"o\n")
    start = StartResponse()
    assert list(stream.response.to_wsgi(start)) == [b"o\n"]
    assert (start.status, start.headers) == ("200 OK", {"X-Mine": "1", "Content-Length": "2"})


@pytest.mark.spec("SJS-09")
def test_a_response_that_is_not_is_iterated_over(stream):
    start = StartResponse()
    stream.write(b"a")
    result = stream.response.to_wsgi(start)
    assert start.headers == {"X-Mine": "1"}
    parts = iter(result)
    assert next(parts) == b"a"
    stream.write(b"b")
    stream.write(b"c")
    assert stream.pending_bytes == 2
    assert stream.listener.calls == []
    assert next(parts) == b"b"
    assert next(parts) == b"c"
    stream.finish(b"d")
    stream.finish(b"e")
    stream.write(b"f")
    assert list(parts) == [b"d"]
    result.close()
    assert "closed" not in stream.listener.calls


@pytest.mark.spec("SJS-14")
def test_a_response_that_is_given_up_is_told(stream):
    stream.write(b"a")
    stream.close()
    stream.close()
    assert stream.listener.calls == ["closed"]


@pytest.mark.spec("SJS-14")
@pytest.mark.parametrize("is_whole", [True, False])
def test_a_last_part_that_could_not_be_sent_is_told(stream, is_whole):
    if is_whole:
        stream.finish(b"a")
    result = stream.response.to_wsgi(StartResponse())
    if not is_whole:
        stream.write(b"a")
    parts = iter(result)
    assert next(parts) == b"a"
    stream.finish()
    result.close()  # and not asked for more: sending it failed
    assert stream.listener.calls == ["closed"]


@pytest.mark.spec("SJS-14")
def test_an_aborted_response_ends_and_is_not_told(stream):
    stream.write(b"a")
    stream.abort()
    assert list(stream) == []
    stream.close()
    assert stream.listener.calls == []


class ThreadingServer(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True
    port = property(lambda self: self.server_port)


class QuietHandler(WSGIRequestHandler):
    def log_message(self, *arguments):
        pass


@contextmanager
def threading_server(handler):
    service = SockJsService(ManualTaskScheduler())
    request_handler = SockJsHttpRequestHandler("/echo", service, handler)

    def app(environ, start_response):
        return request_handler.handle(HandshakeRequest(environ)).to_wsgi(start_response)

    with ThreadingServer(("127.0.0.1", 0), QuietHandler) as server:
        server.set_app(app)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            service.close_sessions()
            server.shutdown()
            thread.join()


@pytest.mark.integration
@pytest.mark.spec("SJS-05", "SJS-08")
def test_a_session_on_another_server():
    with threading_server(RecordingHandler(echo)) as server:
        browser = Browser(server)
        client = SockJsClient(browser, "xhr")
        client.send("a", "b")
        assert client.receive(2) == ["a", "b"]
        browser.close()


@pytest.mark.integration
@pytest.mark.spec("SJS-09")
def test_a_stream_on_another_server():
    handler = RecordingHandler(echo)
    with threading_server(handler) as server:
        browser = Browser(server)
        connection = browser.connect()
        response = connection.request("POST", "/echo/000/s1/xhr_streaming")
        assert response.status == 200 and response["Content-Length"] is None
        connection.read(2049)
        assert connection.read(2) == b"o\n"
        assert browser.post("/echo/000/s1/xhr_send", '["x"]').status == 204
        assert connection.read(7) == b'a["x"]\n'
        handler.sessions[0].close()
        assert connection.read_all() == b'c[3000,"Go away!"]\n'
        browser.close()


@pytest.mark.spec("SJS-11")
@pytest.mark.parametrize("environ, status", [({"CONTENT_LENGTH": "x"}, 400), ({"CONTENT_LENGTH": "99"}, 500),
                                             ({"CONTENT_LENGTH": ""}, 500)])  # fmt: skip
def test_bodies_of_other_servers(environ, status):
    service = Service(RecordingHandler())
    service.poll()
    assert service.send(b'["a"]', environ=environ).status == status


@pytest.mark.integration
@pytest.mark.spec("SJS-11")
def test_a_body_that_is_too_long_is_refused_on_another_server():
    """Which lets no application say what becomes of the connection."""
    with threading_server(RecordingHandler(echo)) as server:
        browser = Browser(server)
        browser.post("/echo/0/k/xhr")
        assert browser.post("/echo/0/k/xhr_send", '["' + "x" * 1024 * 1024 + '"]').status == 413
        assert browser.post("/echo/0/k/xhr_send", '["a"]').status == 204
        browser.close()
