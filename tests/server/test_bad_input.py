"""What clients do wrong, over real sockets: a clear answer, a line in the log, and nobody else notices.

Each case has a bystander in the same room, who must go on hearing and being heard.
"""

from __future__ import annotations

import logging
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import pytest
from kit.chat import Chat, Config
from kit.serving import BINARY, CLOSE, PING, TEXT, Patience, RawClient, frame, handshake_request
from kit.stomp_socket import Served, SocketBystander, StompSocket, serving, stomp

from wellhead.messaging.channel import ChannelInterceptor
from wellhead.messaging.events import SessionDisconnectEvent
from wellhead.messaging.exceptions import MessagingError
from wellhead.messaging.stomp.command import StompCommand
from wellhead.messaging.stomp.headers import COMMAND
from wellhead.server.close import EndReason
from wellhead.server.config.app import WellheadApp

SAY = stomp("SEND", b'{"text":"hi"}', destination="/app/room/9", content_type="application/json")
CONNECT = stomp("CONNECT", accept_version="1.2", host="localhost")


@contextmanager
def chat(config: Config | None = None, **options: Any) -> Iterator[tuple[Served, SocketBystander]]:
    """A served chat; the bystander must be well at its end."""
    app = WellheadApp(None, config or Config(), controllers=[Chat()])
    with serving(app, **options) as served:
        bystander = SocketBystander(served)
        with bystander.client:
            assert bystander.is_well()
            yield served, bystander
            assert bystander.is_well()


# -- before there is a session


def request(**headers: str | None) -> bytes:
    """A good handshake but for *headers*; None takes one away."""
    lines = handshake_request(80, "/ws").decode().split("\r\n")
    for name, value in headers.items():
        name = name.replace("_", "-")
        lines = [line for line in lines if not line.lower().startswith(f"{name.lower()}:")]
        if value is not None:
            lines.insert(1, f"{name}: {value}")
    return "\r\n".join(lines).encode("latin-1")


HEAD = request()
REFUSED = {
    "garbage": (b"\x16\x03\x01\x02\x00\x01\x00\xff\r\n\r\n", 400),
    "garbage without an end": (b"\x00" * 100, 400),
    "no version of HTTP": (HEAD.replace(b" HTTP/1.1", b""), 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "a long request line": (HEAD.replace(b"/ws", b"/" + b"a" * 8_192), 414),
    "a wrong version": (request(Sec_WebSocket_Version="8"), 426),
    "no version": (request(Sec_WebSocket_Version=None), 426),
    "a bad key": (request(Sec_WebSocket_Key="bm90IHNpeHRlZW4="), 400),
    "no key": (request(Sec_WebSocket_Key=None), 400),
    "two keys": (HEAD.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"), 400),
    "a foreign origin": (request(Origin="http://elsewhere.example"), 403),
    "two values of Upgrade": (request(Upgrade="websocket, h2c"), 400),
    "two headers Upgrade": (HEAD.replace(b"\r\n\r\n", b"\r\nUpgrade: websocket\r\n\r\n"), 400),
    "no Connection": (request(Connection="keep-alive"), 400),
    "another method": (HEAD.replace(b"GET", b"POST"), 405),
    "the method of HTTP/2": (HEAD.replace(b"GET", b"CONNECT"), 405),
    "10,000 headers": (HEAD[:-2] + b"".join(b"X-%d: 1\r\n" % n for n in range(10_000)) + b"\r\n", 431),
    "64 KiB + 1 byte of headers": (HEAD[:-2] + b"X: " + b"x" * (65_537 - len(HEAD) - 1) + b"\r\n\r\n", 431),
    "a control character": (request(Origin="http://a\x00b"), 400),
}


@pytest.mark.spec("HS-02", "HS-06", "LOG-01")
@pytest.mark.parametrize(("data", "status"), REFUSED.values(), ids=REFUSED)
def test_a_bad_handshake_gets_a_status_and_a_log_line(data: bytes, status: int, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    with chat() as (served, _), RawClient(served.port, handshake=False) as client:
        client.send_bytes(data)
        client.response = client.receive_head()
        assert client.status == status
        assert status != 426 or client.header("Sec-WebSocket-Version") == "13"
        assert served.says(caplog, f"{client.socket.getsockname()[1]}", f"{status}")
    assert len(served.ended) == 1  # The bystander: nobody else ever had a session.


@pytest.mark.spec("HS-02", "LOG-01")
def test_half_a_handshake_and_then_the_end(caplog: Any) -> None:
    with chat() as (served, _), RawClient(served.port, handshake=False) as client:
        client.send_bytes(HEAD[: len(HEAD) // 2])
        client.socket.shutdown(socket.SHUT_WR)
        client.response = client.receive_head()
        assert client.status == 400
        assert served.says(caplog, f"{client.socket.getsockname()[1]}", "ended within the head", level=logging.WARNING)


@pytest.mark.spec("HS-02", "LOG-01")
def test_half_a_handshake_and_then_silence(caplog: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level(logging.INFO)
    patience = Patience(monkeypatch)
    with chat(header_timeout_ms=50) as (served, _), RawClient(served.port, handshake=False) as client:
        client.send_bytes(HEAD[: len(HEAD) // 2])
        patience.end(served.running, client, HEAD[: len(HEAD) // 2])
        client.response = client.receive_head()
        assert client.status == 408
        client.receive_all()
        assert served.says(caplog, f"{client.socket.getsockname()[1]}", "did not come in time", level=logging.INFO)


# -- WebSocket

OPENING = frame(TEXT, b"x" * 10, fin=False)
BROKEN = {
    "unmasked": (frame(TEXT, SAY, mask=False), 1002),
    "reserved bit 1": (frame(TEXT, SAY, rsv=4), 1002),
    "reserved bit 2": (frame(TEXT, SAY, rsv=2), 1002),
    "reserved bit 3": (frame(BINARY, SAY, rsv=1), 1002),
    "an unknown opcode": (frame(3, SAY), 1002),
    "an unknown control opcode": (frame(11, b""), 1002),
    "2 GiB announced": (frame(TEXT, b"", length=2 << 30), 1009),
    "2 GiB of binary announced": (frame(BINARY, b"", length=2 << 30), 1009),
    "2^63 bytes announced": (frame(TEXT, b"", length=1 << 63), 1009),
    "64 KiB + 1 byte": (frame(TEXT, b"x" * 65_537), 1009),
    "64 KiB + 1 byte in fragments": (OPENING + frame(0, b"x" * 65_527), 1009),
    "invalid UTF-8": (frame(TEXT, b"SEND\n\xc3\x28"), 1007),
    "a character cut at the end": (frame(TEXT, b"SEND\n\xe2\x82"), 1007),
    "a fragmented ping": (frame(PING, b"", fin=False), 1002),
    "a ping that is too long": (frame(PING, b"x" * 126), 1002),
    "a continuation of nothing": (frame(0, SAY), 1002),
    "a message within a message": (OPENING + frame(TEXT, SAY), 1002),
    "half a close code": (frame(CLOSE, b"\x03"), 1002),
    "a close code that is never sent": (frame(CLOSE, struct.pack("!H", 1006)), 1002),
    "garbage": (b"\xff" * 64, 1002),
}


@pytest.mark.spec("WSA-02", "WSA-03", "LOG-01")
@pytest.mark.parametrize(("data", "code"), BROKEN.values(), ids=BROKEN)
def test_a_broken_frame_closes_with_a_code_and_a_log_line(data: bytes, code: int, caplog: Any) -> None:
    with chat() as (served, _), served.connected() as client:
        session = served.session_of(client)
        client.send_bytes(data)
        assert client.receive_close()[0] == code
        assert client.at_end()
        event = served.end_of(session.id)
        assert event.reason is (EndReason.MESSAGE_TOO_BIG if code == 1009 else EndReason.PROTOCOL_ERROR)
        assert served.says(caplog, session.id, str(code), level=logging.WARNING)


# -- STOMP

MISTAKES = {
    "an unknown command": (b"NONSENSE\n\n\0", "Unknown STOMP command: 'NONSENSE'"),
    "an escape that there is not": (b"SEND\ndestination:/app/a\\q\n\n\0", "Illegal escape sequence"),
    "an escape that is cut": (b"SEND\ndestination:/app/a\\\n\n\0", "Illegal escape sequence"),
    "a header without a colon": (b"SEND\nnonsense\n\n\0", "Illegal header"),
    "a wrong length": (b"SEND\ndestination:/app/a\ncontent-length:1\n\nabc\0", "null octet"),
    "a second CONNECT": (CONNECT, "Session already exists"),
    "an acknowledgement": (b"ACK\nid:1\n\n\0", "ACK is not supported"),
    "headers for 64 KiB + 1 byte": (b"SEND\n" + b"a:bcd\n" * 11_000 + b"\n\0", "buffer size limit of 65536 bytes"),
    "64 KiB + 1 byte in two messages": (b"SEND\ndestination:/app/a\n\n" + b"x" * 65_512 + b"\0", "buffer size limit"),
}


def send_in_pieces(client: StompSocket, data: bytes, most: int = 40_000) -> None:
    """Several WebSocket messages: none of them is too large itself."""
    for start in range(0, len(data), most):
        client.send(data[start : start + most].decode())


@pytest.mark.spec("SPH-02", "SPH-05", "STOMP-01", "LOG-01")
@pytest.mark.parametrize(("data", "text"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_stomp_gets_an_error_that_says_so(data: bytes, text: str, caplog: Any) -> None:
    caplog.set_level(logging.INFO)
    with chat() as (served, _), served.connected() as client:
        session = served.session_of(client)
        send_in_pieces(client, data)
        assert_error(served, client, session.id, text, caplog)


@pytest.mark.spec("SPH-02", "SPH-05", "LOG-01")
@pytest.mark.parametrize("data", [SAY, b"\n", stomp("SUBSCRIBE", id="0", destination="/topic/a"), b"DISCONNECT\n\n\0"])
def test_nothing_may_come_before_connect(data: bytes, caplog: Any) -> None:
    caplog.set_level(logging.INFO)
    with chat() as (served, _), served.open() as client:
        session = served.session_of(client)
        client.send(data.decode())
        assert_error(served, client, session.id, f"Unknown session: {session.id}", caplog)


def assert_error(served: Served, client: StompSocket, session_id: str, text: str, caplog: Any) -> None:
    """It gets an ERROR and is closed; log and event name it."""
    error = client.next_frame()
    assert error.command == "ERROR"
    assert text in dict(error.headers)["message"]
    assert client.receive_close()[0] == 1002
    client.send_close(1002)
    assert client.at_end()
    assert served.end_of(session_id).reason is EndReason.STOMP_ERROR
    assert served.says(caplog, session_id, level=logging.INFO)


@pytest.mark.spec("STOMP-01", "SPH-02")
def test_10_000_headers_are_a_frame_like_any_other() -> None:
    with chat() as (served, _), served.connected() as client:
        client.subscribe("/topic/many")
        client.send((b"SEND\ndestination:/topic/many\n" + b"a:b\n" * 10_000 + b"\nhi\0").decode())
        message = client.next_frame()
        assert (message.command, message.body) == ("MESSAGE", b"hi")
        assert message.headers.count(("a", "b")) == 10_000


@pytest.mark.spec("STOMP-03", "SPH-02")
def test_stomp_frames_cut_at_every_byte_are_whole_again() -> None:
    with chat() as (served, _), served.connected() as client:
        client.subscribe("/topic/room/9")
        for cut in range(1, len(SAY)):
            client.send(SAY[:cut].decode())
            client.send(SAY[cut:].decode())
            assert client.next_frame().body == b'{"text":"hi","count":1}'


@pytest.mark.spec("WSA-02", "STOMP-03", "HS-01")
def test_a_conversation_that_comes_byte_by_byte() -> None:
    subscribe = stomp("SUBSCRIBE", id="0", destination="/topic/room/9")
    with chat() as (served, _), served.open(handshake=False) as client:
        data = handshake_request(served.port) + b"".join(frame(TEXT, each) for each in (CONNECT, subscribe, SAY))
        for position in range(len(data)):
            client.send_bytes(data[position : position + 1])
            served.running.call(lambda: None)  # The loop has turned in between.
        client.response = client.receive_head()
        assert client.status == 101
        assert [client.next_frame().command for _ in range(2)] == ["CONNECTED", "MESSAGE"]


@pytest.mark.spec("REG-01", "LOG-01")
def test_a_second_subscription_with_one_id_is_not_made(caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    with chat() as (served, _), served.connected() as client:
        client.subscribe("/topic/first")
        client.subscribe("/topic/second")
        for destination in ("/topic/second", "/topic/first"):
            served.app.template.convert_and_send(destination, destination)
        message = client.next_frame()
        assert message.body == b"/topic/first"
        assert served.says(caplog, served.session_of(client).id, "already")


# -- what goes wrong inside

FAILING = {
    "no JSON": ("/app/room/7", b"{nonsense"),
    "JSON of another type": ("/app/room/7", b'{"count":"many"}'),
    "a method that raises": ("/app/fail", b""),
}


@pytest.mark.spec("ANN-05", "ANN-08", "LOG-01")
@pytest.mark.parametrize(("destination", "body"), FAILING.values(), ids=FAILING)
@pytest.mark.parametrize("told", [False, True])
def test_an_error_in_a_controller_is_logged_and_the_session_goes_on(
    destination: str, body: bytes, told: bool, caplog: Any
) -> None:
    class Telling(Config):
        def configure_message_broker(self, registry: Any) -> None:
            super().configure_message_broker(registry)
            registry.set_report_unhandled_errors(told)

    with chat(Telling()) as (served, _), served.connected() as client:
        session = served.session_of(client)
        client.subscribe("/topic/room/9", "0")
        client.subscribe("/user/queue/errors", "1")
        client.send_frame_of("SEND", body, destination=destination, content_type="application/json")
        client.send(SAY.decode())
        frames = [client.next_frame() for _ in range(1 + told)]
        assert [dict(each.headers)["subscription"] for each in frames] == (["1", "0"] if told else ["0"])
        assert served.says(caplog, session.id, destination, level=logging.ERROR)
        assert session.is_open


class Hook(ChannelInterceptor):
    """Lets *act* have a say on the frames of *command* whose destination is not the bystander's."""

    def __init__(self, command: StompCommand, act: Callable[[Any], Any]) -> None:
        self.command = command
        self.act = act

    def pre_send(self, message: Any, channel: Any) -> Any:
        ours = message.headers.get(COMMAND) is self.command and message.headers.get("simpDestination") == "/app/room/9"
        return self.act(message) if ours else message


def refuse(message: Any) -> Any:
    raise MessagingError("Access Denied")


def fail(message: Any) -> Any:
    raise ZeroDivisionError("by zero")


@pytest.mark.spec("CH-01", "SPH-02", "SPH-05", "LOG-01")
@pytest.mark.parametrize(("act", "text"), [(refuse, "Access Denied"), (fail, "Failed to send message")])
def test_an_interceptor_that_raises_ends_the_session_with_an_error(
    act: Callable[[Any], Any], text: str, caplog: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    with chat(Config(Hook(StompCommand.SEND, act))) as (served, _), served.connected() as client:
        session = served.session_of(client)
        client.send(SAY.decode())
        assert_error(served, client, session.id, text, caplog)


@pytest.mark.spec("CH-01", "SPH-02", "LOG-01")
def test_an_interceptor_that_vetoes_is_silent_and_the_session_goes_on(caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    with chat(Config(Hook(StompCommand.SEND, lambda message: None))) as (served, _), served.connected() as client:
        session = served.session_of(client)
        client.subscribe("/topic/room/9")
        client.send(SAY.decode())
        client.send(SAY.replace(b"/app/", b"/topic/").decode())
        assert client.next_frame().body == b'{"text":"hi"}'  # What was not vetoed.
        assert served.says(caplog, f"vetoed SEND of session {session.id}")


# -- clients that do not read, or are not there any more


class Slow(Config):
    """Small limits for what waits."""

    def __init__(self, **limits: int) -> None:
        super().__init__()
        self.limits = limits

    def configure_web_socket_transport(self, registry: Any) -> None:
        registry.set_send_buffer_size_limit(self.limits.get("buffer", 100_000_000))
        registry.set_send_time_limit(self.limits.get("time_ms", 60_000))


BIG = b"x" * 32_768


@pytest.mark.spec("CDS-02", "SWS-04", "EVT-01", "LOG-01")
@pytest.mark.parametrize(
    ("config", "reason"),
    [(Slow(buffer=200_000), EndReason.SEND_BUFFER_LIMIT), (Slow(time_ms=100), EndReason.SEND_TIME_LIMIT)],
    ids=["bytes", "time"],
)
def test_a_client_that_never_reads_is_ended_by_its_limit(config: Slow, reason: EndReason, caplog: Any) -> None:
    with chat(config) as (served, bystander), served.connected(receive_buffer=4096) as client:
        blocked: list[str] = []

        @served.app.events.on(SessionDisconnectEvent)
        def blocks(event: SessionDisconnectEvent) -> None:
            gevent.sleep(0)  # as a database would; nowhere near the loop itself
            blocked.append(event.session_id)

        session = served.session_of(client)
        client.subscribe("/topic/big")
        bystander.client.subscribe("/topic/big", "1")
        published = 0
        while session.is_open and (reason is EndReason.SEND_BUFFER_LIMIT or not session.pending_bytes):
            served.app.template.convert_and_send("/topic/big", BIG)
            assert bystander.client.next_frame().body == BIG
            published += 1
            assert published < 1_000, "nothing waits"
        event = served.end_of(session.id)
        assert (event.reason, event.close_status.code) == (reason, 4500)
        assert served.says(caplog, "Terminating", session.id, level=logging.WARNING)
        assert served.wait_until(lambda: session not in served.running.runtime.connections)
        assert served.wait_until(lambda: blocked == [session.id])


@pytest.mark.spec("EVT-01", "SPH-08", "LOG-01")
def test_a_client_that_vanishes_with_a_reset(caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    with chat() as (served, _), served.connected() as client:
        session = served.session_of(client)
        client.reset()
        event = served.end_of(session.id)
        assert (event.reason, event.close_status.code) == (EndReason.CLIENT_VANISHED, 1006)
        assert served.says(caplog, session.id, "ransport error")


class Beating(Config):
    def configure_message_broker(self, registry: Any) -> None:
        registry.enable_simple_broker("/topic", "/queue").set_heartbeat_value([100, 100])
        registry.set_application_destination_prefixes("/app")


@pytest.mark.spec("SB-04", "EVT-01", "LOG-01")
def test_a_client_that_falls_silent_misses_its_heart_beat(caplog: Any) -> None:
    caplog.set_level(logging.INFO)
    with chat(Beating()) as (served, _), served.connected("100,100") as client:
        session = served.session_of(client)
        assert served.end_of(session.id).reason is EndReason.HEARTBEAT_TIMEOUT
        assert served.says(caplog, "No messages received in session", session.id)
        assert served.wait_until(lambda: not session.is_open)
