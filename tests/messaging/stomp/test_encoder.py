"""Messages to bytes (STOMP-02). The frames themselves are test_frame's."""

from __future__ import annotations

from typing import Any

import pytest

from wellhead.messaging.message import Message
from wellhead.messaging.simp.accessor import SimpMessageHeaderAccessor
from wellhead.messaging.simp.types import SimpMessageType
from wellhead.messaging.stomp.command import StompCommand
from wellhead.messaging.stomp.encoder import SplittingStompEncoder, StompEncoder
from wellhead.messaging.stomp.headers import StompHeaderAccessor

pytestmark = pytest.mark.spec("STOMP-02")

WITH_BODY = (StompCommand.SEND, StompCommand.MESSAGE, StompCommand.ERROR)
LITERAL = (StompCommand.CONNECT, StompCommand.CONNECTED, StompCommand.STOMP)


def message(command: StompCommand, native: dict[str, Any] | None = None, payload: bytes = b"") -> Message[bytes]:
    values = {name: [each] if isinstance(each, str) else each for name, each in (native or {}).items()}
    return Message(payload, StompHeaderAccessor.create(command, native_headers=values).message_headers)


def encode(*arguments: Any) -> bytes:
    return StompEncoder().encode(message(*arguments))


@pytest.mark.parametrize(
    ("command", "native", "payload", "expected"),
    [
        (
            StompCommand.CONNECT,
            {"accept-version": "1.1,1.2", "heart-beat": "10000,10000"},
            b"",
            b"CONNECT\naccept-version:1.1,1.2\nheart-beat:10000,10000\n\n\0",
        ),
        (
            StompCommand.SEND,
            {"destination": "/app/a"},
            b"hello",
            b"SEND\ndestination:/app/a\ncontent-length:5\n\nhello\0",
        ),
        (
            StompCommand.MESSAGE,
            {
                "destination": "/topic/a",
                "content-type": "text/plain",
                "subscription": "sub0",
                "message-id": "s1-0",
            },
            b"hello",
            b"MESSAGE\ndestination:/topic/a\ncontent-type:text/plain\nsubscription:sub0\nmessage-id:s1-0\n"
            b"content-length:5\n\nhello\0",
        ),
        (
            StompCommand.ERROR,
            {"message": "Access Denied"},
            b"",
            b"ERROR\nmessage:Access Denied\ncontent-length:0\n\n\0",
        ),
        (StompCommand.RECEIPT, {"receipt-id": "message-123"}, b"", b"RECEIPT\nreceipt-id:message-123\n\n\0"),
        (StompCommand.DISCONNECT, None, b"", b"DISCONNECT\n\n\0"),
        (
            StompCommand.SEND,
            {"a:\r\n\\b": "alpha:bravo\r\n\\"},
            b"",
            b"SEND\na\\c\\r\\n\\\\b:alpha\\cbravo\\r\\n\\\\\ncontent-length:0\n\n\0",
        ),
        (StompCommand.SEND, {"a": ["1", "", "2"]}, b"", b"SEND\na:1\na:\na:2\ncontent-length:0\n\n\0"),
        (StompCommand.SEND, {"é": "ü"}, "ö".encode(), "SEND\né:ü\ncontent-length:2\n\nö\0".encode()),
    ],
)
def test_literal_frames(command, native, payload, expected):
    assert encode(command, native, payload) == expected


def test_a_heartbeat_is_a_line_feed():
    accessor = StompHeaderAccessor.create_for_heartbeat()
    accessor.session_id = "s1"
    assert StompEncoder().encode(Message(b"\n", accessor.message_headers)) == b"\n"
    accessor = SimpMessageHeaderAccessor(SimpMessageType.HEARTBEAT)
    assert StompEncoder().encode(Message(b"", accessor.message_headers)) == b"\n"


def test_a_message_without_command_is_refused():
    accessor = SimpMessageHeaderAccessor(SimpMessageType.MESSAGE)
    with pytest.raises(RuntimeError, match="^Missing STOMP command: {'simpMessageType'"):
        StompEncoder().encode(Message(b"", accessor.message_headers))


@pytest.mark.parametrize("command", StompCommand)
def test_content_length_is_computed_where_a_body_is_allowed_and_passed_on_elsewhere(command):
    payload = b"abc" if command in WITH_BODY else b""
    encoded = encode(command, {"content-length": "99", "a": "b"}, payload)
    head = b"a:b\ncontent-length:3\n" if command in WITH_BODY else b"content-length:99\na:b\n"
    assert encoded == b"%b\n%b\n%b\0" % (command.value.encode(), head, payload)


@pytest.mark.parametrize("command", StompCommand)
def test_without_native_headers_there_are_no_header_lines(command):
    payload = b"body" if command in WITH_BODY else b""
    assert encode(command, None, payload) == b"%b\n\n%b\0" % (command.value.encode(), payload)


@pytest.mark.parametrize("command", StompCommand)
def test_escapes_depend_on_the_command(command):
    line = b"a:b\\:c\n" if command in LITERAL else b"a:b\\\\\\cc\n"
    assert line in encode(command, {"a": "b\\:c"})


@pytest.mark.spec("STOMP-02", "MSG-07")
@pytest.mark.parametrize("command", [StompCommand.CONNECT, StompCommand.STOMP])
def test_the_real_passcode_takes_the_place_of_protected(command):
    accessor = StompHeaderAccessor.create(command)
    accessor.login, accessor.passcode = "joe", "secret"
    assert accessor.get_first_native_header("passcode") == "PROTECTED"
    encoded = StompEncoder().encode(Message(b"", accessor.message_headers))
    assert encoded == b"%b\nlogin:joe\npasscode:secret\n\n\0" % command.value.encode()


def test_headers_and_payload_can_be_encoded_by_themselves():
    accessor = StompHeaderAccessor.create(StompCommand.SEND)
    accessor.destination = "/app/a"
    assert StompEncoder().encode_parts(accessor.to_map(), b"x") == b"SEND\ndestination:/app/a\ncontent-length:1\n\nx\0"


@pytest.mark.spec("STOMP-03")
@pytest.mark.parametrize("limit", [0, -1])
def test_the_limit_of_pieces_must_be_above_zero(limit):
    with pytest.raises(ValueError, match="Buffer size limit must be greater than 0"):
        SplittingStompEncoder(StompEncoder(), limit)


@pytest.mark.spec("STOMP-03")
def test_frames_are_cut_into_pieces():
    whole = b"SEND\na:alpha\ncontent-length:12\n\nMessage body\0"
    source = message(StompCommand.SEND, {"a": "alpha"}, b"Message body")
    for limit in (1, 7, len(whole) - 1, len(whole), len(whole) + 1):
        pieces = SplittingStompEncoder(StompEncoder(), limit).encode(source)
        assert b"".join(pieces) == whole
        assert all(len(piece) == limit for piece in pieces[:-1]) and 0 < len(pieces[-1]) <= limit
    assert len(SplittingStompEncoder(StompEncoder(), len(whole) - 1).encode(source)) == 2
    assert SplittingStompEncoder(StompEncoder(), len(whole)).encode(source) == [whole]
