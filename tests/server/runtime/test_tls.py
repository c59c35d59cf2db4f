"""The same over TLS."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from typing import Any

import pytest
from kit.certificate import certificate
from kit.serving import RawClient, RecordingHandler, RunningServer, echo, running_server, websocket_app

from wellhead.server.close import EndReason
from wellhead.server.message import BinaryMessage
from wellhead.server.runtime.server import server_context
from wellhead.server.transport_options import TransportOptions


def client_context() -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certificate())
    return context


def serve(
    talk: Callable[[RunningServer, RecordingHandler], None],
    on_message: Any = echo,
    options: TransportOptions | None = None,
    **server_options: Any,
) -> RecordingHandler:
    handler = RecordingHandler(on_message)
    app = websocket_app(handler, options=options)
    with running_server(app, ssl_context=server_context(certificate()), **server_options) as running:
        talk(running, handler)
        running.stop()
        assert not running.runtime.connections
    assert len(handler.named("closed")) == len(handler.named("established"))
    return handler


@pytest.mark.spec("WSA-01")
def test_messages_of_all_sizes_and_a_clean_end() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with running.client(tls_context=client_context()) as client:
            for size in (0, 1, 125, 16_383, 16_384, 16_385, 65_536):
                client.send(b"x" * size)
                assert client.receive() == b"x" * size
            client.send_close(1000)
            assert client.receive_close()[0] == 1000
            assert client.at_end()

    handler = serve(talk)
    assert handler.named("closed") == [("closed", 1000, EndReason.CLIENT_CLOSED)]


@pytest.mark.spec("WSA-01")
def test_pipelined_first_frames_of_more_than_a_buffer() -> None:
    from kit.serving import BINARY, frame

    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        first = b"".join(frame(BINARY, bytes([number]) * 3_000) for number in range(20))
        with RawClient(running.port, first_bytes=first, tls_context=client_context()) as client:
            for number in range(20):
                assert client.receive() == bytes([number]) * 3_000

    serve(talk)


@pytest.mark.spec("CDS-01")
def test_a_peer_that_reads_slowly_gets_everything() -> None:
    def send_much(session: Any, message: Any) -> None:
        for number in range(100):
            session.send_message(BinaryMessage(bytes([number]) * 20_000))

    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with running.client(tls_context=client_context(), receive_buffer=8 * 1024) as client:
            client.send("go")
            for number in range(100):
                assert client.receive() == bytes([number]) * 20_000

    serve(talk, send_much, TransportOptions(send_buffer_size_limit=64 * 1024))


@pytest.mark.spec("CDS-02")
def test_a_peer_that_never_reads_is_cut() -> None:
    def send_for_ever(session: Any, message: Any) -> None:
        while session.is_open:
            session.send_message(BinaryMessage(b"x" * 20_000))

    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with running.client(tls_context=client_context(), receive_buffer=8 * 1024) as client:
            client.send("go")
            assert handler.wait_for("closed")[1:] == (4500, EndReason.SEND_TIME_LIMIT)

    serve(talk, send_for_ever, TransportOptions(send_buffer_size_limit=64 * 1024, send_time_limit_ms=100))


@pytest.mark.spec("WSA-03")
def test_peers_that_vanish() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        running.client(tls_context=client_context()).close_socket()
        running.client(tls_context=client_context()).reset()
        handler.wait_for("closed", 2)

    handler = serve(talk)
    assert handler.named("closed") == [("closed", 1006, EndReason.CLIENT_VANISHED)] * 2


@pytest.mark.spec("WSA-01")
def test_the_server_closes() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with running.client(tls_context=client_context()) as client:
            client.send("go")
            assert client.receive_close()[0] == 1000
            client.send_close()
            assert client.at_end()

    serve(talk, lambda session, message: session.close())


@pytest.mark.spec("HS-02")
def test_plain_http_on_the_tls_port_is_a_log_line(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)

    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with RawClient(running.port, handshake=False) as client:
            client.send_bytes(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            client.receive_all()
        with RawClient(running.port, handshake=False) as client:
            assert client.at_end()  # Says nothing: cut when its time is over.

    serve(talk, header_timeout_ms=100)
    assert caplog.text.count("TLS handshake with") == 2
    assert "Traceback" not in capfd.readouterr().err + caplog.text


@pytest.mark.spec("HS-02")
def test_http_over_tls() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with RawClient(running.port, handshake=False, tls_context=client_context()) as client:
            for _ in range(2):
                client.send_bytes(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                assert client.receive_head().startswith(b"HTTP/1.1 404")
            client.send_bytes(b"nonsense\r\n\r\n")
            assert client.receive_all().startswith(b"HTTP/1.1 400 ")

    serve(talk)


@pytest.mark.spec("WSA-01")
def test_a_tls_session_knows_its_addresses() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with running.client(tls_context=client_context()) as client:
            handler.wait_for("established")
            session = handler.sessions[0]
            assert session.remote_address == client.socket.getsockname()
            assert session.local_address == ("127.0.0.1", running.port)
            assert session.uri.startswith("https://")

    serve(talk)


@pytest.mark.spec("HS-01")
def test_a_client_that_is_silent_after_its_tls_handshake_has_the_time_of_a_head() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        server = running.server
        make = server.handler_class

        def make_after_handshake(*arguments: Any, **options: Any) -> Any:
            server.header_timeout_ms = 100  # Not before: a handshake takes what it takes.
            return make(*arguments, **options)

        server.handler_class = make_after_handshake
        with RawClient(running.port, handshake=False, tls_context=client_context()) as client:
            assert client.at_end()
        assert not server.handlers

    serve(talk, header_timeout_ms=60_000, keep_alive_ms=60_000)


@pytest.mark.spec("HS-01")
def test_a_tls_connection_waits_for_its_next_request_as_long_as_it_is_kept_alive() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with RawClient(running.port, handshake=False, tls_context=client_context()) as client:
            client.send_bytes(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.receive_head().startswith(b"HTTP/1.1 404")
            assert client.at_end()

    serve(talk, header_timeout_ms=60_000, keep_alive_ms=50)


@pytest.mark.spec("LIFE-01")
def test_a_client_that_is_silent_in_its_tls_handshake_does_not_hold_up_the_stop() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with RawClient(running.port, handshake=False) as client:
            # The second client's handshake says that the first one's has begun.
            running.client(tls_context=client_context()).close_socket()
            assert running.call(lambda: len(running.server.handshaking)) == 1
            running.stop(timeout_ms=60_000)
            assert client.at_end()

    serve(talk, header_timeout_ms=60_000)
