"""From request to session: what is checked, negotiated and handed on."""

from __future__ import annotations

from typing import Any

import pytest
from kit.serving import RawClient, RecordingHandler, echo, handshake_request, running_server, websocket_app

from wellhead.server.handshake.extension import LONGEST_KNOWN
from wellhead.server.handshake.upgrade import UPGRADE_KEY, UpgradeStrategy, accept_key
from wellhead.server.session import UserPrincipal
from wellhead.server.transport_options import TransportOptions


@pytest.mark.spec("HS-02")
def test_the_key_is_answered() -> None:
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    with running_server(websocket_app(RecordingHandler())) as running:
        with RawClient(running.port, headers=(("Sec-WebSocket-Key", key),)) as client:
            assert client.header("Sec-WebSocket-Accept") == accept_key(key) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
            assert client.header("Upgrade") == "websocket"
            assert client.header("Connection") == "Upgrade"
            assert client.header("Sec-WebSocket-Protocol") is None
            assert client.header("Sec-WebSocket-Extensions") is None
            assert client.header("Content-Length") is None


@pytest.mark.spec("HS-02")
@pytest.mark.parametrize(
    "change, status",
    [
        (("Sec-WebSocket-Version", "8"), 426),
        (("Sec-WebSocket-Key", "c2hvcnQ="), 400),
        (("Sec-WebSocket-Key", "?"), 400),
        (("Sec-WebSocket-Key", ""), 400),
        (("Connection", "close"), 400),
    ],
)
def test_a_bad_handshake_is_answered_in_http(change: tuple[str, str], status: int) -> None:
    with running_server(websocket_app(RecordingHandler())) as running:
        with RawClient(running.port, handshake=False) as client:
            client.send_bytes(handshake_request(running.port, "/ws", (change,)))
            assert client.receive_head().startswith(b"HTTP/1.1 %d " % status)
        assert not running.runtime.connections


@pytest.mark.spec("HS-02")
def test_http_1_0_cannot_be_upgraded() -> None:
    with running_server(websocket_app(RecordingHandler())) as running:
        with RawClient(running.port, handshake=False) as client:
            client.send_bytes(handshake_request(running.port).replace(b"HTTP/1.1", b"HTTP/1.0"))
            assert client.receive_head().startswith(b"HTTP/1.1 500 ")


@pytest.mark.spec("HS-03")
def test_what_interceptors_and_application_decide_reaches_the_session() -> None:
    class Interceptor:
        def before_handshake(self, request: Any, response: Any, handler: Any, attributes: dict[str, Any]) -> bool:
            attributes["a"] = 1
            response.headers["X-Before"] = "1"
            request.environ["wellhead.principal"] = UserPrincipal("joe")
            return True

        def after_handshake(self, request: Any, response: Any, handler: Any, error: Any) -> None:
            response.headers["X-After"] = "2"
            response.headers["Connection"] = "nonsense"

    handler = RecordingHandler()
    handler.sub_protocols = ("v12.stomp",)  # type: ignore[attr-defined]  # makes it a SubProtocolCapable
    with running_server(websocket_app(handler, interceptors=[Interceptor()])) as running:
        with RawClient(running.port, headers=(("Sec-WebSocket-Protocol", "x, V12.stomp"),)) as client:
            assert client.header("X-Before") == "1"
            assert client.header("X-After") == "2"
            assert client.header("Connection") == "Upgrade"
            assert client.header("Sec-WebSocket-Protocol") == "V12.stomp"
            handler.wait_for("established")
            session = handler.sessions[0]
            assert session.attributes == {"a": 1}
            assert session.principal == UserPrincipal("joe")
            assert session.accepted_protocol == "V12.stomp"


@pytest.mark.spec("WSA-06")
@pytest.mark.parametrize("offered", [True, False])
@pytest.mark.parametrize("allowed", [True, False])
def test_compression_needs_the_offer_and_the_option(offered: bool, allowed: bool) -> None:
    handler = RecordingHandler(echo)
    headers = (("Sec-WebSocket-Extensions", "x-other, permessage-deflate; client_max_window_bits"),) if offered else ()
    with running_server(websocket_app(handler, options=TransportOptions(deflate=allowed))) as running:
        with RawClient(running.port, headers=headers) as client:
            agreed = client.header("Sec-WebSocket-Extensions")
            client.send("x" * 1000)
            first = client.receive_bytes(1)[0]
            handler.wait_for("message")
            names = [extension.name for extension in handler.sessions[0].extensions]
    if offered and allowed:
        assert agreed is not None and agreed.startswith("permessage-deflate")
        assert first == 0xC1
        assert names == ["permessage-deflate"]
    else:
        assert agreed is None
        assert first == 0x81
        assert names == []


@pytest.mark.spec("WSA-06")
def test_every_offer_is_answered_alike_known_or_not() -> None:
    offer = "permessage-deflate; server_max_window_bits=10; client_max_window_bits"
    unknown = f"x-{'x' * LONGEST_KNOWN}, {offer}"
    answers = []
    with running_server(websocket_app(RecordingHandler(echo), options=TransportOptions(deflate=True))) as running:
        for header in (offer, offer, unknown):
            with RawClient(running.port, headers=(("Sec-WebSocket-Extensions", header),)) as client:
                answers.append(client.header("Sec-WebSocket-Extensions"))
                client.send("x" * 1000)
                assert client.receive_bytes(1)[0] == 0xC1
    assert answers[0] is not None and "server_max_window_bits=10" in answers[0]
    assert answers == [answers[0]] * 3


@pytest.mark.spec("HS-01")
def test_an_application_that_fails_after_the_upgrade_answers_500() -> None:
    handler = RecordingHandler()
    upgrading = websocket_app(handler)

    def app(environ: Any, start_response: Any) -> Any:
        upgrading(environ, start_response)
        raise LookupError("afterwards")

    with running_server(app) as running:
        with RawClient(running.port, handshake=False) as client:
            client.send_bytes(handshake_request(running.port))
            assert client.receive_head().startswith(b"HTTP/1.1 500 ")
        assert not running.runtime.connections
    assert handler.events == []


@pytest.mark.spec("HS-01")
def test_what_the_application_returns_beside_the_upgrade_is_thrown_away() -> None:
    upgrading = websocket_app(RecordingHandler(echo))
    closed: list[bool] = []

    class Body:
        def __iter__(self) -> Any:
            raise AssertionError("iterated")

        def close(self) -> None:
            closed.append(True)

    def app(environ: Any, start_response: Any) -> Any:
        upgrading(environ, start_response)
        return Body()

    with running_server(app) as running, running.client() as client:
        client.send("x")
        assert client.receive() == "x"
        assert closed == [True]


@pytest.mark.spec("HS-01")
def test_a_request_is_upgraded_once() -> None:
    upgrading = websocket_app(RecordingHandler(echo))
    errors: list[Exception] = []

    def app(environ: Any, start_response: Any) -> Any:
        strategy: UpgradeStrategy = environ[UPGRADE_KEY]
        assert strategy.supported_versions == ("13",)
        upgrading(environ, start_response)
        try:
            upgrading(environ, start_response)
        except Exception as error:
            errors.append(error)
        return []

    with running_server(app) as running, running.client() as client:
        client.send("x")
        assert client.receive() == "x"
    assert "already" in str(errors[0])
