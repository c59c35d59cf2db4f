"""Applications written for gevent-websocket: environ["wsgi.websocket"]."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from geventwebsocket.exceptions import WebSocketError
from kit.serving import PING, Gate, RawClient, handshake_request, running_server

from wellhead.server.runtime.legacy import WEBSOCKET_KEY


def serve(use: Callable[[Any], None], talk: Callable[[RawClient], None]) -> None:
    gate = Gate()

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        try:
            use(environ[WEBSOCKET_KEY])
        finally:
            gate.open()
        return []

    with running_server(app) as running:
        with running.client() as client:
            talk(client)
        running.call(gate.wait)
        running.stop()
        assert not running.runtime.connections
        assert not running.server.handlers


@pytest.mark.spec("HS-01")
def test_messages_are_received_and_sent_with_their_kind() -> None:
    received: list[Any] = []

    def use(websocket: Any) -> None:
        while not websocket.closed:
            message = websocket.receive()
            received.append(message)
            if message is not None:
                websocket.send(message)

    def talk(client: RawClient) -> None:
        for message in ("text", "", b"binary"):
            client.send(message)
            assert client.receive() == message
        client.send_frame(PING, b"?")
        client.send_close(1001)
        assert client.receive_frame() == (10, b"?")
        assert client.receive_close()[0] == 1001
        assert client.at_end()

    serve(use, talk)
    assert received == ["text", "", bytearray(b"binary"), None]
    assert [type(one) for one in received[:3]] == [str, str, bytearray]


@pytest.mark.spec("HS-01")
def test_the_connection_is_closed_when_the_application_returns() -> None:
    def talk(client: RawClient) -> None:
        assert client.receive() == "bye"
        assert client.receive_close()[0] == 1000
        client.send_close()
        assert client.at_end()

    serve(lambda websocket: websocket.send("bye"), talk)


@pytest.mark.spec("HS-01")
def test_the_application_may_close() -> None:
    def use(websocket: Any) -> None:
        websocket.send(b"as text", binary=False)
        websocket.close(4000, b"enough")
        websocket.close()
        assert websocket.closed
        with pytest.raises(WebSocketError, match="dead"):
            websocket.send("more")
        with pytest.raises(WebSocketError, match="closed"):
            websocket.receive()

    def talk(client: RawClient) -> None:
        assert client.receive() == "as text"
        assert client.receive_close() == (4000, "enough")

    serve(use, talk)


@pytest.mark.spec("HS-01")
def test_after_the_end_the_application_gets_errors() -> None:
    ended = Gate()
    errors: list[str] = []

    def use(websocket: Any) -> None:
        websocket.send("go")
        assert websocket.receive() is None
        for call in (websocket.receive, lambda: websocket.send("x"), lambda: websocket.send_frame(b"", PING)):
            with pytest.raises(WebSocketError) as raised:
                call()
            errors.append(str(raised.value))
        ended.open()

    def talk(client: RawClient) -> None:
        assert client.receive() == "go"
        client.reset()

    serve(use, talk)
    assert errors == ["Connection is already closed", "Socket is dead", "Socket is dead"]


@pytest.mark.spec("HS-01")
def test_it_tells_of_its_request() -> None:
    def use(websocket: Any) -> None:
        assert websocket.origin is None
        assert websocket.path == "/ws"
        assert websocket.version == "13"
        assert websocket.protocol is None
        assert websocket.environ["REQUEST_METHOD"] == "GET"
        websocket.send_frame(b"ping", websocket.OPCODE_PING)

    serve(use, lambda client: None if client.receive_frame() == (PING, b"ping") else pytest.fail("no ping"))


@pytest.mark.spec("HS-01")
def test_back_pressure_holds_for_it_too() -> None:
    gate = Gate()

    def use(websocket: Any) -> None:
        websocket.send("go")
        gate.wait()
        for number in range(1_000):
            assert websocket.receive() == str(number)
        websocket.send("done")

    def talk(client: RawClient) -> None:
        assert client.receive() == "go"
        for number in range(1_000):
            client.send(str(number))
        gate.open()
        assert client.receive() == "done"

    serve(use, talk)


@pytest.mark.spec("HS-02")
@pytest.mark.parametrize("change, status", [(("Sec-WebSocket-Version", "8"), 426), (("Sec-WebSocket-Key", "x"), 400)])
def test_its_handshake_is_checked_as_any_other(change: tuple[str, str], status: int) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ[WEBSOCKET_KEY].receive()
        return []

    with running_server(app) as running, RawClient(running.port, handshake=False) as client:
        client.send_bytes(handshake_request(running.port, "/", (change,)))
        assert client.receive_head().startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.spec("HS-02")
def test_who_does_not_use_it_does_not_notice_it() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        assert (WEBSOCKET_KEY in environ) is ("HTTP_UPGRADE" in environ)
        start_response("403 Forbidden", [("Content-Length", "2")])
        return [b"no"]

    with running_server(app) as running, RawClient(running.port, handshake=False) as client:
        for request in (handshake_request(running.port, "/"), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"):
            client.send_bytes(request)
            assert client.receive_head().startswith(b"HTTP/1.1 403 ")
            assert client.receive_bytes(2) == b"no"


@pytest.mark.spec("HS-01")
def test_an_application_that_fails_ends_its_connection() -> None:
    def use(websocket: Any) -> None:
        websocket.send("go")
        raise LookupError("lost")

    def talk(client: RawClient) -> None:
        assert client.receive() == "go"
        assert client.receive_close()[0] == 1011

    serve(use, talk)
