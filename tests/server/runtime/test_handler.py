"""HTTP over real sockets: requests good and bad, beside the WebSocket endpoint on the same port."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import flask
import pytest
from kit.serving import (
    TEXT,
    Patience,
    RawClient,
    RecordingHandler,
    RunningServer,
    echo,
    frame,
    handshake_request,
    running_server,
    websocket_app,
)


def body_echo(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", str(len(body))), ("X-Path", environ["PATH_INFO"])])
    return [body]


def serve(talk: Callable[[RunningServer], None], app: Any = body_echo, **options: Any) -> None:
    with running_server(websocket_app(RecordingHandler(echo), other=app), **options) as running:
        talk(running)


def ask(running: RunningServer, data: bytes, *, end: bool = False, patience: Patience | None = None) -> bytes:
    """Everything that comes back for *data*. With *end* nothing more will be sent; the *patience* ends when it came."""
    with RawClient(running.port, handshake=False) as client:
        client.send_bytes(data)
        if end:
            client.socket.shutdown(1)
        if patience is not None:
            patience.end(running, client, data)
        return client.receive_all()


CLOSE_IT = b"Host: a\r\nConnection: close\r\n"


@pytest.mark.spec("HS-02")
def test_a_plain_request_goes_to_the_application() -> None:
    def talk(running: RunningServer) -> None:
        answer = ask(running, b"GET /a%20b HTTP/1.1\r\n" + CLOSE_IT + b"\r\n")
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"X-Path: /a b\r\n" in answer

    serve(talk)


@pytest.mark.spec("HS-02")
def test_requests_on_one_connection_and_pipelined() -> None:
    def talk(running: RunningServer) -> None:
        one = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none"
        last = b"POST / HTTP/1.1\r\n" + CLOSE_IT + b"Transfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n"
        answer = ask(running, one + one + last)
        assert answer.count(b"HTTP/1.1 200 OK") == 3
        assert answer.count(b"\r\n\r\none") == 2
        assert answer.endswith(b"\r\n\r\ntwo")
        with RawClient(running.port, handshake=False) as client:
            for cut in range(1, len(one)):
                client.send_bytes(one[:cut])
                client.send_bytes(one[cut:])
                assert client.receive_head().startswith(b"HTTP/1.1 200")
                assert client.receive_bytes(3) == b"one"

    serve(talk)


@pytest.mark.spec("HS-02")
def test_a_websocket_may_follow_requests_on_the_same_connection() -> None:
    def talk(running: RunningServer) -> None:
        with RawClient(running.port, handshake=False) as client:
            client.send_bytes(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.receive_head().startswith(b"HTTP/1.1 200")
            client.send_bytes(handshake_request(running.port) + frame(TEXT, b"first"))
            assert client.receive_head().startswith(b"HTTP/1.1 101")
            assert client.receive() == "first"
            client.send("second")
            assert client.receive() == "second"

    serve(talk)


@pytest.mark.spec("HS-02")
@pytest.mark.parametrize("path", ["/page", "/ws"])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("at_once", [True, False])
def test_the_body_of_a_request_to_upgrade_is_no_request(path: str, first: bool, at_once: bool) -> None:
    paths: list[str] = []

    def other(environ: Any, start_response: Any) -> list[bytes]:
        paths.append(environ["PATH_INFO"])
        return body_echo(environ, start_response)

    def talk(running: RunningServer) -> None:
        with RawClient(running.port, handshake=False) as client:
            if not first:
                client.send_bytes(b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n")
                assert client.receive_head().startswith(b"HTTP/1.1 200")
            framing = f"Upgrade: websocket\r\nContent-Length: {len(SECRET)}\r\n\r\n"
            head = f"GET {path} HTTP/1.1\r\nHost: a\r\n{framing}".encode()
            client.send_bytes(head + SECRET if at_once else head)
            assert client.receive_head().startswith(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n")
            if not at_once:
                client.send_bytes(SECRET)
            assert b"HTTP/1.1" not in client.receive_all()
        assert paths == ([] if first else ["/first"])

    serve(talk, other)


@pytest.mark.spec("HS-02")
@pytest.mark.parametrize("path", ["/page", "/ws"])
def test_a_request_behind_one_whose_upgrade_is_refused(path: str) -> None:
    def talk(running: RunningServer) -> None:
        refused = f"GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n".encode()
        last = b"POST /last HTTP/1.1\r\n" + CLOSE_IT + b"Content-Length: 20000\r\n\r\n" + b"x" * 20_000
        answer = ask(running, refused + refused + last)
        assert answer.count(b"HTTP/1.1 ") == 3
        assert b"X-Path: /last\r\n" in answer
        assert answer.endswith(b"\r\n\r\n" + b"x" * 20_000)

    serve(talk)


@pytest.mark.spec("HS-02")
def test_everything_behind_an_upgrade_that_is_not_the_first_request_reaches_the_session() -> None:
    texts = [f"{number:04}" + "x" * 1_000 for number in range(30)]
    frames = b"".join(frame(TEXT, text.encode()) for text in texts)
    page = b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n"

    def talk(running: RunningServer) -> None:
        for size in (0, 7_000, 8_192, 9_000, 15_000, len(frames)):
            with RawClient(running.port, handshake=False) as client:
                client.send_bytes(page + handshake_request(running.port) + frames[:size])
                assert client.receive_head().startswith(b"HTTP/1.1 200")
                assert client.receive_head().startswith(b"HTTP/1.1 101")
                client.send_bytes(frames[size:])
                assert [client.receive() for _ in texts] == texts

    serve(talk)


@pytest.mark.spec("HS-02")
@pytest.mark.parametrize("first", [True, False])
def test_an_empty_line_before_a_request(first: bool) -> None:
    page = b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n"

    def talk(running: RunningServer) -> None:
        for beginning in (b"\r", b"\r\n", b"\r\nG"):
            with RawClient(running.port, handshake=False) as client:
                if not first:
                    client.send_bytes(page)
                    assert client.receive_head().startswith(b"HTTP/1.1 200")
                client.send_bytes(beginning)
                client.send_bytes((b"\r\n" + page)[len(beginning) :])
                assert client.receive_head().startswith(b"HTTP/1.1 200")

    serve(talk)


@pytest.mark.spec("HS-02")
@pytest.mark.parametrize("end", [True, False])
def test_an_empty_line_alone_is_nothing_to_answer(
    end: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "wellhead.server")
    patience = None if end else Patience(monkeypatch)

    def talk(running: RunningServer) -> None:
        assert ask(running, b"\r\n", end=end, patience=patience) == b""
        assert ask(running, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n", end=end).count(b"HTTP/1.1 ") == 1

    serve(talk, header_timeout_ms=60_000 if end else 50)
    assert "Bad request" not in caplog.text


@pytest.mark.spec("HS-02")
def test_a_client_that_waits_for_100_continue_gets_it() -> None:
    def talk(running: RunningServer) -> None:
        with RawClient(running.port, handshake=False) as client:
            client.send_bytes(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
            assert client.receive_head() == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.send_bytes(b"ok")
            assert client.receive_head().startswith(b"HTTP/1.1 200")
            assert client.receive_bytes(2) == b"ok"

    serve(talk)


@pytest.mark.spec("HS-02")
def test_flask_beside_a_websocket_endpoint() -> None:
    app = flask.Flask("beside")

    @app.post("/form/<name>")
    def form(name: str) -> str:
        return f"{name} {flask.request.form['a']} {flask.request.remote_addr}"

    def talk(running: RunningServer) -> None:
        form_lines = b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\r\na=b"
        assert ask(running, b"POST /form/x HTTP/1.1\r\n" + CLOSE_IT + form_lines).endswith(b"\r\n\r\nx b 127.0.0.1")
        assert b" 404 NOT FOUND" in ask(running, b"GET /nowhere HTTP/1.1\r\n" + CLOSE_IT + b"\r\n")
        with running.client() as client:
            client.send("hello")
            assert client.receive() == "hello"

    serve(talk, app)


SECRET = b"GET /secret HTTP/1.1\r\n" + CLOSE_IT + b"\r\n"
BAD: dict[str, tuple[bytes, int]] = {
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "garbage": (b"hello, is there anybody?\r\n\r\n", 400),
    "garbage without lines": (b"\x00" * 100, 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "10,000 headers": (b"GET / HTTP/1.1\r\n" + b"X-Header: value\r\n" * 10_000 + b"\r\n", 431),
    "10,000 headers without end": (b"GET / HTTP/1.1\r\n" + b"X-Header: value\r\n" * 10_000, 431),
    "a long header": (b"GET / HTTP/1.1\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", 431),
    "a long request line": (b"GET /" + b"y" * 10_000 + b" HTTP/1.1\r\n\r\n", 414),
    "a handshake with a body": (handshake_request(1, headers=(("Content-Length", "20"),)) + SECRET, 400),
    "a handshake with chunks": (handshake_request(1, headers=(("Transfer-Encoding", "chunked"),)) + SECRET, 400),
    "two empty lines": (b"\r\n\r\nGET / HTTP/1.1\r\n\r\n", 400),
    "two lengths": (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
    "an unknown encoding": (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
}


@pytest.mark.spec("HS-02")
@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("first", [True, False])
def test_bad_requests_get_a_status_and_a_log_line(
    name: str, first: bool, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    data, status = BAD[name]
    caplog.set_level(logging.INFO)

    def talk(running: RunningServer) -> None:
        with RawClient(running.port, handshake=False) as client:
            if not first:
                client.send_bytes(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                assert client.receive_head().startswith(b"HTTP/1.1 200")
            client.send_bytes(data)
            assert client.receive_head().startswith(b"HTTP/1.1 %d " % status)
            client.receive_all()
            address = "{}:{}".format(*client.socket.getsockname())
        lines = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert len(lines) == 1
        assert address in lines[0]
        assert str(status) in lines[0]

    serve(talk)
    assert "Traceback" not in capfd.readouterr().err + caplog.text


@pytest.mark.spec("HS-02")
@pytest.mark.parametrize("data", [b"GET", b"GET / HTTP/1.1\r\n", handshake_request(1)[:-1]])
def test_half_a_handshake(data: bytes) -> None:
    def talk(running: RunningServer) -> None:
        assert ask(running, data, end=True).startswith(b"HTTP/1.1 400 ")
        client = RawClient(running.port, handshake=False)
        client.send_bytes(data)
        client.reset()
        assert ask(running, b"", end=True) == b""

    serve(talk)


@pytest.mark.spec("HS-02")
def test_a_head_that_comes_too_slowly(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level(logging.INFO)
    patience = Patience(monkeypatch)

    def talk(running: RunningServer) -> None:
        assert ask(running, b"GET / HTTP/1.1\r\nHost:", patience=patience).startswith(b"HTTP/1.1 408 ")
        assert ask(running, b"", patience=patience) == b""
        with RawClient(running.port, handshake=False) as client:
            client.send_bytes(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.receive_head().startswith(b"HTTP/1.1 200")
            client.send_bytes(b"G")
            assert client.receive_all().startswith(b"HTTP/1.1 408 ")
        assert not running.server.waiting

    serve(talk, header_timeout_ms=50)
    assert sum("answered with 408" in record.getMessage() for record in caplog.records) == 2


@pytest.mark.spec("HS-02")
def test_a_connection_that_waits_too_long_for_its_next_request() -> None:
    def talk(running: RunningServer) -> None:
        with RawClient(running.port, handshake=False) as client:
            client.send_bytes(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.receive_head().startswith(b"HTTP/1.1 200")
            assert client.at_end()

    serve(talk, keep_alive_ms=50)


@pytest.mark.spec("HS-02")
def test_a_broken_body(caplog: pytest.LogCaptureFixture) -> None:
    def talk(running: RunningServer) -> None:
        answer = ask(running, b"POST / HTTP/1.1\r\n" + CLOSE_IT + b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n")
        assert answer.startswith(b"HTTP/1.1 400 ")

    serve(talk)
    assert "Traceback" not in caplog.text


@pytest.mark.spec("HS-01")
def test_an_error_of_the_application_is_500_and_logged_with_its_traceback(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(environ: Any, start_response: Any) -> Any:
        raise LookupError("nothing there")

    def talk(running: RunningServer) -> None:
        assert ask(running, b"GET /x HTTP/1.1\r\n" + CLOSE_IT + b"\r\n").startswith(b"HTTP/1.1 500 ")

    serve(talk, broken)
    assert "nothing there" in caplog.text
    assert "GET /x HTTP/1.1" in caplog.text
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.spec("HS-01")
def test_the_access_log_has_requests_and_upgrades(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "wellhead.server.access")

    def talk(running: RunningServer) -> None:
        ask(running, b"GET /x?y=z HTTP/1.1\r\n" + CLOSE_IT + b"\r\n")
        running.client().close_socket()
        ask(running, handshake_request(running.port, "/ws", (("Sec-WebSocket-Version", "12"), ("Connection", "close"))))

    serve(talk)
    lines = [record.getMessage() for record in caplog.records if record.name == "wellhead.server.access"]
    assert [line.split("ms")[0].rpartition(" ")[0] for line in lines] == [
        '127.0.0.1 "GET /x?y=z HTTP/1.1" 200 ' + lines[0].split()[5],
        '127.0.0.1 "GET /ws HTTP/1.1" 101 129',
        '127.0.0.1 "GET /ws HTTP/1.1" 400 ' + lines[2].split()[5],
    ]


@pytest.mark.spec("HS-01")
def test_a_client_that_falls_silent_within_a_body_keeps_no_greenlet(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "wellhead.server")
    Patience(monkeypatch)  # Its head comes in time.

    def talk(running: RunningServer) -> None:
        with RawClient(running.port, handshake=False) as client:
            client.send_bytes(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
            assert client.at_end()
        assert not running.server.handlers

    serve(talk, keep_alive_ms=50, header_timeout_ms=50)
    assert "Nothing came from ('127.0.0.1'" in caplog.text
