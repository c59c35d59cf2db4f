"""Connections over real sockets: what a peer may do, right and wrong, and what the handler hears of it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from kit.serving import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    TIMEOUT,
    Deadline,
    Gate,
    RawClient,
    RecordingHandler,
    RunningServer,
    echo,
    frame,
    running_server,
    websocket_app,
)

from wellhead.server.close import CloseStatus, EndReason
from wellhead.server.flush import NonBlockingWebSocketSession
from wellhead.server.message import BinaryMessage, PingMessage, PongMessage
from wellhead.server.runtime.state import NEXT_STATES, ConnectionState
from wellhead.server.transport_options import TransportOptions

Talk = Callable[[RunningServer, RecordingHandler], None]


def serve(
    talk: Talk, on_message: Callable[[Any, Any], None] | None = echo, options: TransportOptions | None = None
) -> RecordingHandler:
    """Run *talk* against a server, and look afterwards whether all is given back."""
    handler = RecordingHandler(on_message)
    with running_server(websocket_app(handler, options=options)) as running:
        talk(running, handler)
        running.stop()
        assert not running.runtime.connections
    assert len(handler.named("closed")) == len(handler.named("established"))
    return handler


# Messages


@pytest.mark.spec("WSA-01")
def test_text_and_binary_come_back_as_what_they_were() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with running.client() as client:
            for message in ("hello", b"\x00\xff", "grüße", "", b"", "x" * 125, "x" * 126, "x" * 65_535):
                client.send(message)
                assert client.receive() == message

    serve(talk)


@pytest.mark.spec("WSA-01")
def test_a_session_has_its_life_in_order_and_its_end_once() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with running.client() as client:
            client.send("a")
            client.send("b")
            client.send_close(1000, "bye")
            assert client.receive() == "a"
            assert client.receive() == "b"
            assert client.receive_close() == (1000, "bye")
            assert client.at_end()
        handler.wait_for("closed")

    handler = serve(talk)
    assert handler.events == [
        ("established",),
        ("message", "a"),
        ("message", "b"),
        ("closed", 1000, EndReason.CLIENT_CLOSED),
    ]


@pytest.mark.spec("WSA-01")
def test_pipelined_first_frames_are_not_lost() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        first = frame(TEXT, b"one") + frame(TEXT, b"two") + frame(BINARY, b"three")[:5]
        with RawClient(running.port, first_bytes=first) as client:
            assert [client.receive(), client.receive()] == ["one", "two"]

    serve(talk)


@pytest.mark.spec("WSA-01")
def test_frames_may_be_cut_at_every_byte() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        data = frame(TEXT, "grün".encode()) + frame(BINARY, b"x" * 130)
        with running.client() as client:
            for cut in range(1, len(data)):
                client.send_bytes(data[:cut])
                client.send_bytes(data[cut:])
                assert client.receive() == "grün"
                assert client.receive() == b"x" * 130

    serve(talk)


@pytest.mark.spec("WSA-02")
def test_fragments_are_put_together() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with running.client() as client:
            client.send_frame(TEXT, b"a", fin=False)
            client.send_frame(PING, b"between")
            client.send_frame(0, b"b", fin=False)
            client.send_frame(0, b"c")
            assert client.receive_frame() == (PONG, b"between")
            assert client.receive() == "abc"

    serve(talk)


@pytest.mark.spec("WSA-02")
def test_pings_are_answered_below_the_handler_and_pongs_reach_it() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with running.client() as client:
            client.send_frame(PING, b"p" * 125)
            assert client.receive_frame() == (PONG, b"p" * 125)
            client.send_frame(PONG, b"unasked")
            handler.wait_for("message")

    assert serve(talk, None).messages == [b"unasked"]


def ping_without_reading(client: RawClient, handler: RecordingHandler) -> Any:
    """The server's end, when pongs wait for the client."""
    handler.wait_for("established")
    [session] = handler.sessions
    data = frame(PING, b"x" * 125) * 500
    client.socket.settimeout(0.2)
    with suppress(TimeoutError):
        while not session.pending_bytes:
            client.send_bytes(data)
    return session


@pytest.mark.spec("WSA-01", "LIFE-02")
def test_a_client_that_pings_and_never_reads_is_cut() -> None:
    handler = RecordingHandler()
    app = websocket_app(handler, options=TransportOptions(send_time_limit_ms=200))
    with running_server(app) as server, server.client(receive_buffer=4096) as client:
        ping_without_reading(client, handler)
        assert handler.wait_for("closed")[1:] == (4500, EndReason.SEND_TIME_LIMIT)


@pytest.mark.spec("WSA-01", "LIFE-02")
def test_a_client_that_pings_is_not_cut_while_it_takes_something(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = RecordingHandler()
    deadline = Deadline(monkeypatch, 12_345)
    options = TransportOptions(send_time_limit_ms=12_345, send_buffer_size_limit=100_000_000)
    app = websocket_app(handler, options=options)
    with running_server(app) as server, server.client(receive_buffer=200_000) as client:
        session = ping_without_reading(client, handler)
        server.call(lambda: session.send_message(BinaryMessage(b"x" * 20_000_000)))
        assert server.wait_until(lambda: session.pending_bytes > 20_000_000)
        client.socket.settimeout(TIMEOUT)
        for _ in range(3):
            before = session.pending_bytes
            while session.pending_bytes >= before:
                client.socket.recv(100_000)
            deadline.comes(server)
            assert session.is_open
        while deadline.waiting:  # until sockets take no more
            deadline.comes(server)
        assert handler.wait_for("closed")[1:] == (4500, EndReason.SEND_TIME_LIMIT)


@pytest.mark.spec("WSA-02")
def test_the_server_may_ping() -> None:
    def ping(session: Any, message: Any) -> None:
        session.send_message(PingMessage(b"?"))
        session.send_message(PongMessage(b"!"))
        with pytest.raises(ValueError, match="125"):
            session.send_message(PingMessage(b"x" * 126))

    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with running.client() as client:
            client.send("go")
            assert client.receive_frame() == (PING, b"?")
            assert client.receive_frame() == (PONG, b"!")
            client.send("again")
            assert client.receive_frame() == (PING, b"?")

    serve(talk, ping)


@pytest.mark.spec("WSA-02")
@pytest.mark.parametrize("kind", [str, bytes])
def test_the_size_limit_holds_to_the_byte(kind: type) -> None:
    limit = 64 * 1024

    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with running.client() as client:
            for size in (limit - 1, limit):
                message = "x" * size if kind is str else b"x" * size
                client.send(message)
                assert client.receive() == message
            client.send("x" * (limit + 1) if kind is str else b"x" * (limit + 1))
            assert client.receive_close()[0] == 1009
            assert client.at_end()
        assert handler.wait_for("closed")[1:] == (1009, EndReason.MESSAGE_TOO_BIG)

    serve(talk)


@pytest.mark.spec("WSA-01")
def test_a_sessions_size_limit_may_be_changed() -> None:
    def lift(session: Any, message: Any) -> None:
        assert session.text_message_size_limit == 10
        assert session.binary_message_size_limit == 20
        session.text_message_size_limit = 11
        session.binary_message_size_limit = 21
        session.send_message(message)

    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with running.client() as client:
            client.send("x")
            assert client.receive() == "x"
            handler.on_message = echo
            client.send("x" * 11)
            client.send(b"x" * 21)
            assert [client.receive(), client.receive()] == ["x" * 11, b"x" * 21]
            client.send("x" * 12)
            assert client.receive_close()[0] == 1009

    serve(talk, lift, TransportOptions(max_text_message_size=10, max_binary_message_size=20))


@pytest.mark.spec("WSA-02")
def test_a_handler_that_supports_it_gets_parts() -> None:
    parts: list[tuple[str, bool]] = []

    def note(session: Any, message: Any) -> None:
        parts.append((message.payload, message.is_last))
        session.send_message(message)

    handler = RecordingHandler(note)
    handler.supports_partial_messages = True
    with running_server(websocket_app(handler)) as running, running.client() as client:
        client.send_frame(TEXT, b"a", fin=False)
        client.send_frame(0, b"b")
        client.send("whole")
        assert client.receive_bytes(3 + 3 + 7) == b"\x01\x01a" + b"\x80\x01b" + b"\x81\x05whole"
    assert parts == [("a", False), ("b", True), ("whole", True)]


# Wrong frames

WRONG: dict[str, tuple[bytes, int]] = {
    "unmasked": (frame(TEXT, b"hello", mask=False), 1002),
    "reserved bit 1": (frame(TEXT, b"hello", rsv=4), 1002),
    "reserved bit 2": (frame(TEXT, b"hello", rsv=2), 1002),
    "reserved bit 3": (frame(BINARY, b"hello", rsv=1), 1002),
    "reserved opcode": (frame(3, b"hello"), 1002),
    "reserved control opcode": (frame(11, b"hello"), 1002),
    "continuation of nothing": (frame(0, b"hello"), 1002),
    "message within a message": (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
    "fragmented ping": (frame(PING, b"", fin=False), 1002),
    "long ping": (frame(PING, b"x" * 126), 1002),
    "close of one byte": (frame(CLOSE, b"x"), 1002),
    "close code that must not be sent": (frame(CLOSE, struct.pack("!H", 1006)), 1002),
    "close reason that is not UTF-8": (frame(CLOSE, struct.pack("!H", 1000) + b"\xff"), 1007),
    "text that is not UTF-8": (frame(TEXT, b"\xc3\x28"), 1007),
    "fragment that is not UTF-8": (frame(TEXT, b"a", fin=False) + frame(0, b"\xed\xa0\x80", fin=False), 1007),
    "2 GiB announced": (frame(BINARY, b"", length=1 << 31), 1009),
    "64 KiB + 1 announced": (frame(TEXT, b"", length=64 * 1024 + 1), 1009),
    "a length of 2**63": (frame(BINARY, b"", length=1 << 63), 1009),
    "fragments above the limit": (frame(TEXT, b"x" * 40_000, fin=False) + frame(0, b"x" * 40_000), 1009),
}


@pytest.mark.spec("WSA-03")
@pytest.mark.parametrize("name", WRONG)
def test_what_a_client_does_wrong_closes_its_session_with_a_code(name: str, caplog: pytest.LogCaptureFixture) -> None:
    data, code = WRONG[name]
    session_id = []

    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with running.client() as client, running.client() as other:
            client.send("before")
            assert client.receive() == "before"
            client.send_bytes(data + frame(TEXT, b"after"))
            assert client.receive_close()[0] == code
            assert client.at_end()
            handler.wait_for("closed")
            other.send("still there")
            assert other.receive() == "still there"
            session_id.extend(session.id for session in handler.sessions if not session.is_open)

    handler = serve(talk)
    because = EndReason.MESSAGE_TOO_BIG if code == 1009 else EndReason.PROTOCOL_ERROR
    assert handler.named("closed")[0] == ("closed", code, because)
    assert handler.messages == ["before", "still there"]
    assert any(session_id[0] in record.message and record.levelname == "WARNING" for record in caplog.records)
    assert not any(record.exc_info for record in caplog.records)


@pytest.mark.spec("WSA-03")
def test_what_came_before_the_mistake_is_still_answered() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with running.client() as client:
            client.send_bytes(frame(TEXT, b"good") + frame(TEXT, b"bad", rsv=2))
            assert client.receive() == "good"
            assert client.receive_close()[0] == 1002

    serve(talk)


# Ends


@pytest.mark.spec("WSA-03")
@pytest.mark.parametrize(
    "payload, answer, code",
    [
        (b"", b"", 1005),
        (struct.pack("!H", 1000), struct.pack("!H", 1000), 1000),
        (struct.pack("!H", 4999) + b"why", struct.pack("!H", 4999) + b"why", 4999),
    ],
)
def test_the_peers_close_is_answered(payload: bytes, answer: bytes, code: int) -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with running.client() as client:
            client.send_frame(CLOSE, payload)
            assert client.receive_frame() == (CLOSE, answer)
            assert client.at_end()
        assert handler.wait_for("closed")[1:] == (code, EndReason.CLIENT_CLOSED)

    serve(talk)


@pytest.mark.spec("WSA-01")
def test_the_server_closes_and_waits_for_the_answer() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with running.client() as client:
            client.send("go")
            opcode, payload = client.receive_frame()
            assert (opcode, payload) == (CLOSE, struct.pack("!H", 4001) + b"enough")
            handler.wait_for("closed")  # Told at once, not when the peer answers.
            session = handler.sessions[0]
            assert session.state is ConnectionState.CLOSE_SENT
            assert not session.is_open
            client.send("too late")
            client.send_close(4001)
            assert client.at_end()

    def close(session: Any, message: Any) -> None:
        session.close(CloseStatus(4001, "enough"))
        session.close(CloseStatus(4002))
        session.send_message(message)

    handler = serve(talk, close)
    assert handler.events == [("established",), ("message", "go"), ("closed", 4001, EndReason.SERVER_CLOSED)]


@pytest.mark.spec("WSA-01")
def test_close_keeps_the_cause_it_is_given() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with running.client() as client:
            client.send("go")
            assert client.receive_close()[0] == 1008

    status = CloseStatus.POLICY_VIOLATION.with_cause(EndReason.NO_FIRST_MESSAGE)
    handler = serve(talk, lambda session, message: session.close(status))
    assert handler.named("closed") == [("closed", 1008, EndReason.NO_FIRST_MESSAGE)]


@pytest.mark.spec("WSA-01")
def test_close_writes_what_was_sent_before() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with running.client() as client:
            client.send("go")
            assert client.receive() == "go"
            assert client.receive_close() == (1000, "")

    def reply_and_close(session: Any, message: Any) -> None:
        session.send_message(message)
        session.close()

    serve(talk, reply_and_close)


@pytest.mark.spec("WSA-03")
def test_a_code_that_is_never_sent_cuts_the_connection() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with running.client() as client:
            client.send("go")
            assert client.at_end()

    handler = serve(talk, lambda session, message: session.close(CloseStatus.NO_CLOSE_FRAME))
    assert handler.named("closed") == [("closed", 1006, EndReason.SERVER_CLOSED)]


@pytest.mark.spec("WSA-01")
def test_a_peer_that_does_not_answer_the_close_is_cut() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with running.client() as client:
            client.send("go")
            assert client.receive_frame()[0] == CLOSE
            assert client.at_end()

    serve(talk, lambda session, message: session.close(), TransportOptions(close_timeout_ms=50))


@pytest.mark.spec("WSA-01")
@pytest.mark.parametrize("who", ["client", "server"])
def test_the_server_ends_tcp_first_once_both_have_closed(who: str) -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with running.client() as client:
            if who == "server":
                client.send("go")
                client.receive_close()
            client.send_close()
            if who == "client":
                client.receive_close()
            assert client.at_end()
            session = handler.sessions[0]
            assert running.wait_until(lambda: session.state is ConnectionState.CLOSED)

    # Longer than the test waits: RFC 6455 7.1.1 does not let the server wait for the peer's end of TCP.
    serve(talk, lambda session, message: session.close(), TransportOptions(close_timeout_ms=60_000))


@pytest.mark.spec("WSA-03")
@pytest.mark.parametrize(
    "data", [frame(TEXT, b"x", rsv=1), frame(CLOSE, struct.pack("!H", 1000))], ids=["a mistake", "a close"]
)
def test_what_comes_after_the_end_does_not_become_a_reset(data: bytes) -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with running.client() as client:
            client.send("go")
            assert gate.reached.wait(TIMEOUT)
            client.send_bytes(data)
            session = handler.sessions[0]
            assert running.wait_until(lambda: session.state is ConnectionState.PEER_CLOSED)
            client.send_bytes(frame(TEXT, b"x" * 60_000))
            gate.open()
            assert client.receive_close()[0] in (1000, 1002)
            assert running.wait_until(lambda: session.state is ConnectionState.LINGERING)
            client.send_bytes(frame(TEXT, b"x" * 60_000))
            assert client.socket.recv(1) == b""  # A FIN, no RST.
            assert running.wait_until(lambda: session.state is ConnectionState.CLOSED)  # It was told to be patient.

    gate = Gate()
    serve(talk, lambda session, message: gate.wait(), TransportOptions(close_timeout_ms=60_000))


@pytest.mark.spec("WSA-03")
def test_the_end_of_the_stream_without_a_close_frame() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with running.client() as client:
            client.send("last words")
            assert client.receive() == "last words"
        handler.wait_for("closed")

    handler = serve(talk)
    assert handler.events[-2:] == [("error", EOFError), ("closed", 1006, EndReason.CLIENT_VANISHED)]


@pytest.mark.spec("WSA-03")
def test_a_reset() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        running.client().reset()
        handler.wait_for("closed")

    handler = serve(talk)
    assert handler.events[1:] == [
        ("error", ConnectionResetError),
        ("closed", 1006, EndReason.CLIENT_VANISHED),
    ]


@pytest.mark.spec("WSA-03")
def test_what_came_before_the_end_is_still_handled() -> None:
    gate = Gate()

    def hold(session: Any, message: Any) -> None:
        gate.wait()

    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with running.client() as client:
            for number in range(5):
                client.send(str(number))
            assert gate.reached.wait(TIMEOUT)
        assert running.wait_until(lambda: not handler.sessions[0].is_open)
        gate.open()
        handler.wait_for("closed")

    assert serve(talk, hold).messages == ["0", "1", "2", "3", "4"]


@pytest.mark.spec("WSA-05")
def test_an_error_in_the_handler_closes_with_1011(caplog: pytest.LogCaptureFixture) -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with running.client() as client:
            client.send("go")
            assert client.receive_close()[0] == 1011

    handler = serve(talk, lambda session, message: 1 / 0)  # type: ignore[arg-type, return-value]  # it raises
    assert handler.named("closed") == [("closed", 1011, EndReason.HANDLER_ERROR)]
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.spec("WSA-01")
def test_abort_cuts_without_a_close_frame() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with running.client() as client:
            client.send("go")
            handler.wait_for("message")
            handler.sessions[0].abort(CloseStatus.SESSION_NOT_RELIABLE.with_cause(EndReason.HEARTBEAT_TIMEOUT))
            assert client.at_end()

    handler = serve(talk, None)
    assert handler.named("closed") == [("closed", 4500, EndReason.HEARTBEAT_TIMEOUT)]


# The mailbox


@pytest.mark.spec("WSA-01")
def test_only_the_session_that_blocks_waits() -> None:
    gate = Gate()

    def hold(session: Any, message: Any) -> None:
        if message.payload == "wait":
            gate.wait()
        session.send_message(message)

    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with running.client() as slow, running.client() as fast:
            slow.send("wait")
            slow.send("after")
            assert gate.reached.wait(TIMEOUT)
            fast.send("hello")
            assert fast.receive() == "hello"
            assert "after" not in handler.messages
            gate.open()
            assert [slow.receive(), slow.receive()] == ["wait", "after"]

    serve(talk, hold)


@pytest.mark.spec("WSA-01")
@pytest.mark.parametrize("option", [{"mailbox_messages": 8}, {"mailbox_bytes": 8_000}])
def test_reading_stops_at_a_full_mailbox_and_goes_on_at_half(option: dict[str, int]) -> None:
    gate = Gate()

    def hold(session: Any, message: Any) -> None:
        if message.payload[0] == "0":
            gate.wait()
        session.send_message(message)

    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with running.client() as client:
            client.send("0")
            assert gate.reached.wait(TIMEOUT)
            session = handler.sessions[0]
            for number in range(1, 9):
                assert running.wait_until(lambda before=number: len(session._mailbox or ()) == before - 1)  # type: ignore[misc]
                assert session._reading
                client.send(str(number) + "x" * 1000)
            assert running.wait_until(lambda: not session._reading)
            assert len(session._mailbox) == 8
            for number in range(9, 50):
                client.send(str(number) + "x" * 1000)
            gate.open()
            assert client.receive() == "0"
            for number in range(1, 50):
                assert client.receive() == str(number) + "x" * 1000
            assert session._reading

    serve(talk, hold, TransportOptions(**option))


@pytest.mark.spec("WSA-01")
def test_what_one_read_expands_to_is_bounded_although_the_mailbox_is_judged_after_it() -> None:
    gate = Gate()

    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        deflate = (("Sec-WebSocket-Extensions", "permessage-deflate"),)
        with RawClient(running.port, "/ws", headers=deflate) as client:
            client.send("first")
            assert gate.reached.wait(TIMEOUT)
            session = handler.sessions[0]
            compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
            bomb = (compressor.compress(b"a" * 65_536) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
            client.send_bytes(frame(TEXT, bomb, rsv=4) * 600)
            assert running.wait_until(lambda: not session._reading)
            assert session._mailbox_bytes <= (1 << 20) + 4096 * 1032
            gate.open()

    serve(talk, lambda session, message: gate.wait(), TransportOptions(deflate=True))


@pytest.mark.spec("WSA-01")
def test_many_messages_keep_their_order() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with running.client() as client:
            for start in range(0, 2_000, 200):
                client.send_bytes(b"".join(frame(TEXT, b"%d" % n) for n in range(start, start + 200)))
                assert [client.receive() for _ in range(200)] == [str(n) for n in range(start, start + 200)]

    serve(talk)


# What a session tells


@pytest.mark.spec("WSA-01")
def test_a_session_knows_its_handshake() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        headers = (("X-Token", "a: b"), ("Cookie", "c=d"), ("Origin", "http://127.0.0.1"))
        with RawClient(running.port, "/ws/a%20b?c=d", headers=headers) as client:
            client.send("go")
            handler.wait_for("message")
            session = handler.sessions[0]
            contract: NonBlockingWebSocketSession = session
            assert isinstance(contract, NonBlockingWebSocketSession)
            assert session.uri == f"http://127.0.0.1:{running.port}/ws/a%20b?c=d"
            assert session.handshake_headers["x-token"] == "a: b"
            assert session.handshake_headers["COOKIE"] == "c=d"
            assert session.handshake_headers["Host"] == f"127.0.0.1:{running.port}"
            assert session.remote_address == client.socket.getsockname()
            assert session.local_address == ("127.0.0.1", running.port)
            assert session.attributes == {}
            assert session.principal is None
            assert session.accepted_protocol is None
            assert session.extensions == ()
            assert session.is_open
            assert session.close_status is None
            assert 0 <= session.flusher.now_ms() - session.last_read_ms < TIMEOUT * 1000
        handler.wait_for("closed")
        assert session.local_address is None
        assert session.remote_address[0] == "127.0.0.1"
        assert session.close_status == CloseStatus.NO_CLOSE_FRAME

    serve(talk)


@pytest.mark.spec("LIFE-02")
def test_bytes_count_as_life_when_they_are_read() -> None:
    gate = Gate()

    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with running.client() as client:
            client.send("wait")
            assert gate.reached.wait(TIMEOUT)
            session = handler.sessions[0]
            before = session.last_read_ms
            client.send("not handled yet")
            assert running.wait_until(lambda: session.last_read_ms > before)
            assert handler.messages == ["wait"]
            gate.open()

    serve(talk, lambda session, message: gate.wait())


@pytest.mark.spec("WSA-01")
def test_ids_are_unique() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        clients = [running.client() for _ in range(20)]
        handler.wait_for("established", 20)
        for client in clients:
            client.close_socket()

    handler = serve(talk)
    assert len({session.id for session in handler.sessions}) == 20


@pytest.mark.spec("WSA-01")
def test_the_states_end_in_closed() -> None:
    assert set(NEXT_STATES) == set(ConnectionState)
    assert not NEXT_STATES[ConnectionState.CLOSED]
    assert all(ConnectionState.CLOSED in ways for state, ways in NEXT_STATES.items() if ways)


@pytest.mark.spec("WSA-01")
def test_an_idle_session_has_neither_mailbox_nor_buffers() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with running.client() as client:
            client.send("x")
            assert client.receive() == "x"
            session = handler.sessions[0]
            assert running.wait_until(lambda: not session._running)
            for name in ("_mailbox", "_outbox", "_unsent", "_write_watcher", "_timer", "_drained", "_waiters"):
                assert getattr(session, name) is None, name
            assert not hasattr(session, "__dict__")

    serve(talk)
