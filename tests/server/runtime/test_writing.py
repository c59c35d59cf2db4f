"""Sending over real sockets: order, threads, peers that do not read, and the limits that hold for them."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from kit.serving import (
    PING,
    TEXT,
    TIMEOUT,
    RawClient,
    RecordingHandler,
    RunningServer,
    frame,
    running_server,
    websocket_app,
)

from wellhead.server.close import CloseStatus, EndReason
from wellhead.server.exceptions import SessionLimitExceededError
from wellhead.server.framing import WEB_SOCKET_TEXTS
from wellhead.server.message import BinaryMessage, TextMessage
from wellhead.server.transport_options import TransportOptions

CHUNK = BinaryMessage(b"x" * 16_384)
FEW = TransportOptions(send_buffer_size_limit=64 * 1024, send_time_limit_ms=100)
Talk = Callable[[RunningServer, RecordingHandler], None]


def serve(
    talk: Talk, on_message: Callable[[Any, Any], None] | None = None, options: TransportOptions | None = None
) -> RecordingHandler:
    handler = RecordingHandler(on_message)
    with running_server(websocket_app(handler, options=options)) as running:
        talk(running, handler)
        running.stop()
        assert not running.runtime.connections
    assert len(handler.named("closed")) == len(handler.named("established"))
    return handler


def session_of(running: RunningServer, handler: RecordingHandler, **options: Any) -> tuple[RawClient, Any]:
    client = running.client(**options)
    handler.wait_for("established")
    return client, handler.sessions[0]


def fill(session: Any) -> None:
    """On the loop's thread: write until the peer's kernel and ours take nothing more."""
    while session.try_send([CHUNK], lambda: None):
        pass


@pytest.mark.spec("CDS-01")
def test_try_send_writes_messages_as_one() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        client, session = session_of(running, handler)
        messages = [TextMessage("a"), BinaryMessage(b"b"), TextMessage("c")]
        assert running.call(lambda: session.try_send(messages, lambda: None))
        assert [client.receive(), client.receive(), client.receive()] == ["a", b"b", "c"]
        client.close_socket()

    serve(talk)


@pytest.mark.spec("CDS-01")
def test_what_the_peer_does_not_take_waits_and_drained_tells_when_it_is_gone() -> None:
    drained = threading.Event()

    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        client, session = session_of(running, handler, receive_buffer=8 * 1024)

        def send() -> int:
            count = 1
            while session.try_send([CHUNK], drained.set):
                count += 1
            assert session.pending_bytes > 0
            for _ in range(5):
                assert not session.try_send([CHUNK], lambda: None)
                count += 1
            return count

        count = running.call(send)
        assert not drained.is_set()
        for _ in range(count):
            assert client.receive() == CHUNK.payload
        assert drained.wait(TIMEOUT)
        assert running.call(lambda: session.pending_bytes) == 0
        client.close_socket()

    serve(talk)


@pytest.mark.spec("CDS-01")
def test_a_dead_peer_costs_no_megabytes() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        client, session = session_of(running, handler, receive_buffer=8 * 1024)

        def send() -> int:
            taken = 0
            while session.try_send([CHUNK], lambda: None):
                taken += 16_384
            return taken

        assert running.call(send) < 512 * 1024
        client.close_socket()

    serve(talk)


@pytest.mark.spec("CDS-01")
def test_try_send_on_a_closed_session_sends_nothing() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        client, session = session_of(running, handler)
        session.close()
        client.receive_close()
        assert running.call(lambda: session.try_send([TextMessage("late")], lambda: None))
        client.send_close()
        assert client.at_end()
        client.close_socket()

    serve(talk)


@pytest.mark.spec("CDS-01")
def test_drained_is_called_when_the_connection_ends_before() -> None:
    drained = threading.Event()

    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        client, session = session_of(running, handler, receive_buffer=8 * 1024)

        def send() -> None:
            fill(session)
            assert not session.try_send([CHUNK], drained.set)

        running.call(send)
        client.reset()
        assert drained.wait(TIMEOUT)
        handler.wait_for("closed")

    serve(talk)


@pytest.mark.spec("WSA-01")
def test_messages_of_a_turn_keep_their_order_whoever_sends() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        client, session = session_of(running, handler)

        def send() -> None:
            session.send_message(TextMessage("1"))
            session.try_send([TextMessage("2")], lambda: None)
            session.send_message(TextMessage("3"))

        running.call(send)
        assert [client.receive(), client.receive(), client.receive()] == ["1", "2", "3"]
        client.close_socket()

    serve(talk)


@pytest.mark.spec("WSA-02")
def test_a_message_may_be_sent_in_parts() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        client, session = session_of(running, handler)
        for part in (TextMessage("a", False), TextMessage("b", False), TextMessage("c", True), TextMessage("d")):
            session.send_message(part)
        assert client.receive_bytes(12) == b"\x01\x01a\x00\x01b\x80\x01c\x81\x01d"
        client.close_socket()

    serve(talk)


@pytest.mark.spec("WSA-01")
def test_an_unknown_kind_of_message_is_refused() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        client, session = session_of(running, handler)
        with pytest.raises(RuntimeError, match="Unexpected WebSocketMessage type"):
            session.send_message("text")
        client.close_socket()

    serve(talk)


@pytest.mark.spec("WSA-01")
def test_native_threads_may_send_each_in_its_order() -> None:
    count, threads = 300, 3

    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        client, session = session_of(running, handler)

        def send(thread: int) -> None:
            for number in range(count):
                session.send_message(TextMessage(f"{thread} {number}"))

        pool = gevent.get_hub().threadpool
        results = [pool.spawn(send, thread) for thread in range(threads)]
        received = [client.receive().split() for _ in range(count * threads)]  # type: ignore[union-attr]  # text
        for result in results:
            result.get(timeout=TIMEOUT)
        for thread in range(threads):
            assert [int(number) for name, number in received if name == str(thread)] == list(range(count))  # type: ignore[misc]
        assert session.pending_bytes == 0
        client.close_socket()

    serve(talk)


@pytest.mark.spec("WSA-01")
def test_a_native_thread_may_send_and_close() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        client, session = session_of(running, handler)

        def work() -> None:
            session.send_message(TextMessage("last"))
            session.close(CloseStatus(4000))

        gevent.get_hub().threadpool.apply(work)
        assert client.receive() == "last"
        assert client.receive_close()[0] == 4000
        client.close_socket()

    serve(talk)


@pytest.mark.spec("CDS-02")
def test_a_sender_waits_for_a_slow_peer() -> None:
    def send_much(session: Any, message: Any) -> None:
        for _ in range(100):
            session.send_message(CHUNK)
            assert session.pending_bytes <= 64 * 1024 + CHUNK.payload_length + 16

    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with running.client(receive_buffer=8 * 1024) as client:
            client.send("go")
            for _ in range(100):
                assert client.receive() == CHUNK.payload

    serve(talk, send_much, TransportOptions(send_buffer_size_limit=64 * 1024))


@pytest.mark.spec("CDS-02")
def test_a_burst_within_one_turn_is_no_slow_peer() -> None:
    def send_much(session: Any, message: Any) -> None:
        for _ in range(2_000):
            session.send_message(TextMessage("x" * 100))

    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with running.client() as client:
            client.send("go")
            for _ in range(2_000):
                assert client.receive() == "x" * 100

    serve(talk, send_much, TransportOptions(send_buffer_size_limit=1_000, send_time_limit_ms=TIMEOUT * 1000))


@pytest.mark.spec("CDS-02")
def test_a_peer_that_never_reads_is_cut_after_the_time_limit() -> None:
    errors: list[SessionLimitExceededError] = []

    def send_for_ever(session: Any, message: Any) -> None:
        try:
            while True:
                session.send_message(CHUNK)
        except SessionLimitExceededError as error:
            errors.append(error)

    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        with running.client(receive_buffer=8 * 1024) as client:
            client.send("go")
            assert handler.wait_for("closed")[1:] == (4500, EndReason.SEND_TIME_LIMIT)

    serve(talk, send_for_ever, FEW)
    assert errors[0].status == CloseStatus.SESSION_NOT_RELIABLE
    assert errors[0].status.because is EndReason.SEND_TIME_LIMIT
    assert "exceeded the allowed limit 100" in str(errors[0])


@pytest.mark.spec("CDS-02")
def test_a_native_thread_waits_for_a_slow_peer_and_is_told_of_the_time_limit() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        client, session = session_of(running, handler, receive_buffer=8 * 1024)

        def send_for_ever() -> None:
            while True:
                session.send_message(CHUNK)

        with pytest.raises(SessionLimitExceededError, match="Send time"):
            gevent.get_hub().threadpool.apply(send_for_ever)
        assert handler.wait_for("closed")[1:] == (4500, EndReason.SEND_TIME_LIMIT)
        client.close_socket()

    serve(talk, options=FEW)


@pytest.mark.spec("CDS-02")
def test_a_native_thread_goes_on_when_the_peer_reads() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        client, session = session_of(running, handler, receive_buffer=8 * 1024)

        def send_much() -> None:
            for _ in range(100):
                session.send_message(CHUNK)

        sent = gevent.get_hub().threadpool.spawn(send_much)
        for _ in range(100):
            assert client.receive() == CHUNK.payload
        sent.get(timeout=TIMEOUT)
        client.close_socket()

    serve(talk, options=TransportOptions(send_buffer_size_limit=64 * 1024))


@pytest.mark.spec("CDS-02")
def test_the_hub_never_waits() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        client, session = session_of(running, handler, receive_buffer=8 * 1024)
        raised: list[SessionLimitExceededError] = []
        done = threading.Event()

        def send_for_ever() -> None:
            try:
                while True:
                    session.send_message(CHUNK)
            except SessionLimitExceededError as error:
                raised.append(error)
            done.set()

        running.runtime.flusher.hand_over(send_for_ever)
        assert done.wait(TIMEOUT)
        assert raised[0].status.because is EndReason.SEND_BUFFER_LIMIT
        assert session.is_open
        client.close_socket()

    serve(talk, options=FEW)


@pytest.mark.spec("WSA-01")
def test_a_sender_that_waits_goes_on_when_the_peer_vanishes() -> None:
    waiting, ended = threading.Event(), threading.Event()

    def send_much(session: Any, message: Any) -> None:
        while session.is_open:
            if session.pending_bytes > 64 * 1024:
                waiting.set()
            session.send_message(CHUNK)
        ended.set()

    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        client = running.client(receive_buffer=8 * 1024)
        client.send("go")
        assert waiting.wait(TIMEOUT)
        client.reset()
        assert ended.wait(TIMEOUT)
        handler.wait_for("closed")

    serve(talk, send_much, TransportOptions(send_buffer_size_limit=64 * 1024))


@pytest.mark.spec("WSA-03")
def test_closing_as_unreliable_does_not_wait_for_what_is_pending() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        client, session = session_of(running, handler, receive_buffer=8 * 1024)

        def fill_and_close() -> None:
            fill(session)
            session.close(CloseStatus.SESSION_NOT_RELIABLE.with_cause(EndReason.SEND_BUFFER_LIMIT))

        running.call(fill_and_close)
        assert handler.wait_for("closed")[1:] == (4500, EndReason.SEND_BUFFER_LIMIT)
        assert running.call(lambda: len(running.runtime.connections)) == 0
        client.close_socket()

    serve(talk)


@pytest.mark.spec("WSA-03")
def test_closing_as_unreliable_says_so_to_a_peer_that_reads() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        client, session = session_of(running, handler)
        session.close(CloseStatus.SESSION_NOT_RELIABLE)
        assert client.receive_close() == (4500, CloseStatus.SESSION_NOT_RELIABLE.reason)
        client.close_socket()

    serve(talk)


@pytest.mark.spec("WSA-02")
def test_a_peer_that_pings_and_does_not_read_is_not_read_any_more() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        client, session = session_of(running, handler, receive_buffer=8 * 1024)
        client.socket.settimeout(1)
        pings = frame(PING, b"x" * 125) * 500
        sent = 0
        try:
            while sent < 200:
                client.send_bytes(pings)
                sent += 1
        except TimeoutError:
            pass
        assert sent < 200, "it went on to read"
        assert running.call(lambda: session.pending_bytes) < 64 * 1024 + 2 * len(pings)
        client.close_socket()
        handler.wait_for("closed")

    serve(talk, options=TransportOptions(send_buffer_size_limit=64 * 1024))


@pytest.mark.spec("WSA-01")
def test_nothing_is_sent_after_the_close() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        client, session = session_of(running, handler)
        running.call(session.close)
        session.send_message(TextMessage("late"))
        client.send_frame(PING, b"late, too")
        client.send_close()
        assert client.receive_close()[0] == 1000
        assert client.at_end()
        client.close_socket()

    serve(talk)


# -- texts that were made for many sessions

FRAME = frame(TEXT, b"made before", mask=False)
BIG_FRAME = frame(TEXT, b"x" * 16_384, mask=False)


def write_much(session: Any) -> int:
    """On the loop's thread: write frames until some of it waits; how many."""
    count = 1
    while session.try_write(BIG_FRAME):
        count += 1
    return count


@pytest.mark.spec("CDS-01")
def test_frames_that_somebody_made_are_written_as_they_are() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        client, session = session_of(running, handler)
        assert session.text_framing is WEB_SOCKET_TEXTS
        assert running.call(lambda: session.try_write(FRAME + FRAME)) is True
        assert client.receive_bytes(2 * len(FRAME)) == FRAME + FRAME
        client.close_socket()

    serve(talk)


@pytest.mark.spec("CDS-01")
def test_frames_that_the_peer_does_not_take_wait_as_messages_do() -> None:
    drained = threading.Event()

    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        client, session = session_of(running, handler, receive_buffer=8 * 1024)

        def send() -> int:
            count = write_much(session)
            assert 0 < session.pending_bytes <= len(BIG_FRAME)
            session.when_drained(drained.set)
            assert session.try_write(FRAME) is None
            assert not session.try_send([TextMessage("later")], lambda: None)
            assert session.try_write(FRAME) is None
            return count

        count = running.call(send)
        assert not drained.is_set()
        for _ in range(count):
            assert client.receive() == "x" * 16_384
        assert client.receive() == "later"
        assert drained.wait(TIMEOUT)
        assert running.call(lambda: session.pending_bytes) == 0
        assert running.call(lambda: session.try_write(FRAME)) is True
        assert client.receive() == "made before"
        client.close_socket()

    serve(talk)


@pytest.mark.spec("CDS-01")
def test_who_waits_for_frames_is_told_when_the_connection_ends_before() -> None:
    drained = threading.Event()

    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        client, session = session_of(running, handler, receive_buffer=8 * 1024)

        def send() -> None:
            write_much(session)
            session.when_drained(drained.set)

        running.call(send)
        client.reset()
        assert drained.wait(TIMEOUT)
        handler.wait_for("closed")

    serve(talk)


@pytest.mark.spec("CDS-01")
def test_frames_do_not_overtake_what_was_sent_in_this_turn() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        client, session = session_of(running, handler)

        def send() -> None:
            assert session.try_write(FRAME) is True
            session.send_message(TextMessage("of this turn"))
            assert session.try_write(FRAME) is None
            session.flush()
            assert session.try_write(FRAME) is True

        running.call(send)
        assert [client.receive() for _ in range(3)] == ["made before", "of this turn", "made before"]
        client.close_socket()

    serve(talk)


@pytest.mark.spec("CDS-01", "WSA-02")
def test_frames_do_not_come_between_the_parts_of_a_message() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        client, session = session_of(running, handler)

        def send() -> None:
            session.try_send([TextMessage("a", False)], lambda: None)
            assert session.try_write(FRAME) is None
            session.try_send([BinaryMessage(b"b", False)], lambda: None)
            assert session.try_write(FRAME) is None
            session.try_send([TextMessage("c")], lambda: None)
            assert session.try_write(FRAME) is True

        running.call(send)
        assert client.receive_bytes(9) == b"\x01\x01a\x00\x01b\x80\x01c"
        assert client.receive() == "made before"
        client.close_socket()

    serve(talk)


@pytest.mark.spec("CDS-01")
def test_a_session_that_compresses_takes_no_frames() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        client, session = session_of(running, handler, headers=(("Sec-WebSocket-Extensions", "permessage-deflate"),))
        assert client.header("Sec-WebSocket-Extensions") is not None
        assert session.text_framing is None
        assert running.call(lambda: session.try_write(FRAME)) is None
        client.close_socket()

    serve(talk, options=TransportOptions(deflate=True))


@pytest.mark.spec("CDS-01")
def test_pieces_of_a_text_are_compressed_where_all_is() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        client, session = session_of(running, handler, headers=(("Sec-WebSocket-Extensions", "permessage-deflate"),))
        running.call(lambda: session.try_send([(b"before " * 50, b"after " * 50)], lambda: None))
        opcode, payload = client.receive_frame()
        assert opcode == TEXT
        assert len(payload) < 100
        assert zlib.decompressobj(-15).decompress(payload + b"\0\0\xff\xff") == b"before " * 50 + b"after " * 50
        client.close_socket()

    serve(talk, options=TransportOptions(deflate=True))


@pytest.mark.spec("CDS-01", "WSA-03")
def test_a_session_that_is_closed_takes_no_frames() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        client, session = session_of(running, handler)

        def send() -> None:
            session.close(CloseStatus(4000))
            assert session.try_write(FRAME) is None

        running.call(send)
        assert client.receive_close()[0] == 4000
        client.send_close()
        assert client.at_end()
        client.close_socket()

    serve(talk)


@pytest.mark.spec("CDS-01", "WSA-03")
def test_frames_for_a_peer_that_has_vanished_end_the_session() -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        client, session = session_of(running, handler)

        def send() -> None:
            client.reset()  # here, so that the loop cannot notice it before
            while session.is_open:  # The kernel takes what comes before it has heard of the reset.
                assert session.try_write(FRAME) is True
            assert session.try_write(FRAME) is None
            assert session.pending_bytes == 0

        running.call(send)
        assert handler.wait_for("closed")[1:] == (1006, EndReason.CLIENT_VANISHED)

    serve(talk)


@pytest.mark.spec("CDS-01")
@pytest.mark.parametrize("size", [125, 126, 2_047, 2_048, 65_535, 65_536])
def test_pieces_of_a_text_are_a_frame_of_their_length(size: int) -> None:
    def talk(running: RunningServer, handler: RecordingHandler) -> None:
        client, session = session_of(running, handler)
        pieces = (b"a" * 100, b"b" * (size - 100))
        running.call(lambda: session.try_send([pieces, TextMessage("c"), pieces], lambda: None))
        text = "a" * 100 + "b" * (size - 100)
        assert [client.receive() for _ in range(3)] == [text, "c", text]
        client.close_socket()

    serve(talk)
