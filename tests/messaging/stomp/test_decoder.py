"""Bytes to messages (STOMP-01, STOMP-03), and the headers that decoding maps (MSG-07). The frames are test_frame's."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wellhead.messaging.broker.broadcast import Broadcast
from wellhead.messaging.broker.subscriptions import Subscription
from wellhead.messaging.exceptions import StompConversionError
from wellhead.messaging.header_accessor import IdTimestampMessageHeaderInitializer, MessageHeaderAccessor
from wellhead.messaging.headers import CONTENT_TYPE, ID, TIMESTAMP, MessageHeaders
from wellhead.messaging.message import Message
from wellhead.messaging.mime import InvalidMimeTypeError, MimeType
from wellhead.messaging.native_headers import NATIVE_HEADERS, first_native_header
from wellhead.messaging.simp.accessor import DESTINATION, MESSAGE_TYPE, SUBSCRIPTION_ID
from wellhead.messaging.simp.types import SimpMessageType
from wellhead.messaging.stomp import plain_frames
from wellhead.messaging.stomp.command import StompCommand
from wellhead.messaging.stomp.decoder import BufferingStompDecoder, StompDecoder
from wellhead.messaging.stomp.encoder import StompEncoder
from wellhead.messaging.stomp.frame import StompFrameError
from wellhead.messaging.stomp.headers import COMMAND, CREDENTIALS, StompHeaderAccessor

DECODER = StompDecoder()


def decode(text: str) -> list[Message[bytes]]:
    """The messages of *text*, in which ``^@`` stands for the NUL octet."""
    return DECODER.decode(text.replace("^@", "\0").encode())


def accessor_of(message: Message[Any]) -> StompHeaderAccessor:
    accessor = StompHeaderAccessor.get_accessor(message)
    assert accessor is not None
    return accessor


# -- STOMP-01


@pytest.mark.spec("STOMP-01", "MSG-07")
def test_connect():
    [message] = decode("CONNECT\naccept-version:1.1,1.2\nheart-beat:10000,10000\n\n^@")
    accessor = accessor_of(message)
    assert accessor.command is StompCommand.CONNECT
    assert accessor.message_type is SimpMessageType.CONNECT
    assert accessor.accept_version == {"1.1", "1.2"}
    assert accessor.heartbeat == (10_000, 10_000)
    assert accessor.to_native_header_map() == {"accept-version": ["1.1,1.2"], "heart-beat": ["10000,10000"]}
    assert message.payload == b""


@pytest.mark.spec("STOMP-01", "MSG-07")
def test_send():
    [message] = decode("SEND\ndestination:/app/a\ncontent-length:5\n\nhello^@")
    assert message.payload == b"hello"
    assert message.headers[DESTINATION] == "/app/a"
    assert message.headers[MESSAGE_TYPE] is SimpMessageType.MESSAGE
    assert message.headers[COMMAND] is StompCommand.SEND
    assert accessor_of(message).content_length == 5


@pytest.mark.spec("STOMP-01", "MSG-04")
def test_messages_of_frames_that_begin_alike_have_nothing_in_common():
    data = b"SEND\ndestination:/app/a\ncontent-type:text/plain\nx:1\n\nhello\0"
    [first], [second] = DECODER.decode(data), DECODER.decode(data)
    accessor = accessor_of(first)
    accessor.destination = "/app/b"
    accessor.add_native_header("x", "2")
    accessor.set_native_header("y", "3")
    accessor.remove_native_header("content-type")
    accessor.session_id = "s1"
    [third] = DECODER.decode(data)
    native = {"destination": ["/app/a"], "content-type": ["text/plain"], "x": ["1"]}
    for message in (second, third):
        assert accessor_of(message).to_native_header_map() == native
        assert message.headers[DESTINATION] == "/app/a"
        assert str(message.headers[CONTENT_TYPE]) == "text/plain"
        assert "simpSessionId" not in message.headers


@pytest.mark.spec("MSG-07")
def test_a_passcode_is_protected_however_often_its_frame_is_read():
    for _ in range(2):
        [message] = DECODER.decode(b"CONNECT\nlogin:me\npasscode:secret\n\n\0")
        accessor = accessor_of(message)
        assert accessor.passcode == "secret"
        assert accessor.get_first_native_header("passcode") == "PROTECTED"


@pytest.mark.spec("STOMP-01", "MSG-07")
def test_message():
    [message] = decode(
        "MESSAGE\ndestination:/topic/a\ncontent-type:text/plain\nsubscription:sub0\nmessage-id:s1-0\n"
        "content-length:5\n\nhello^@"
    )
    assert message.headers[SUBSCRIPTION_ID] == "sub0"
    assert message.headers[CONTENT_TYPE] == MimeType("text", "plain")
    assert accessor_of(message).message_id == "s1-0"


@pytest.mark.spec("STOMP-01")
@pytest.mark.parametrize("eol", ["\n", "\r\n"])
def test_a_small_frame_with_either_end_of_line(eol):
    [message] = decode(eol.join(["SEND", "a:alpha", "", "Message body^@"]))
    assert message.payload == b"Message body"
    assert message.headers[NATIVE_HEADERS] == {"a": ["alpha"]}


@pytest.mark.spec("STOMP-01")
def test_escapes_in_names_and_values():
    [message] = decode("SEND\na\\c\\r\\n\\\\b:alpha\\cbravo\\r\\n\\\\\n\n^@")
    assert message.headers[NATIVE_HEADERS] == {"a:\r\n\\b": ["alpha:bravo\r\n\\"]}


@pytest.mark.spec("STOMP-01")
def test_repeated_headers_are_all_kept_and_the_first_counts():
    [message] = decode("SEND\ndestination:/topic/a\nx:1\ndestination:/topic/b\nx:\n\n^@")
    assert message.headers[NATIVE_HEADERS] == {"destination": ["/topic/a", "/topic/b"], "x": ["1", ""]}
    assert [*message.headers[NATIVE_HEADERS]] == ["destination", "x"]
    assert message.headers[DESTINATION] == "/topic/a"
    assert accessor_of(message).get_first_native_header("x") == "1"


@pytest.mark.spec("STOMP-01")
@pytest.mark.parametrize("data", ["\n", "\r\n", "\n\n\r\n"])
def test_nothing_but_ends_of_lines_is_one_heartbeat(data):
    [message] = decode(data)
    assert message.headers[MESSAGE_TYPE] is SimpMessageType.HEARTBEAT
    assert message.payload == b"\n"
    assert COMMAND not in message.headers
    assert accessor_of(message).is_heartbeat


@pytest.mark.spec("STOMP-01")
def test_several_frames_in_one_buffer():
    messages = decode("\n\nSEND\nn:1\n\nA^@\n\r\nSEND\nn:2\n\nB^@\n\nDISCONNECT\n\n^@\n")
    assert [message.payload for message in messages] == [b"A", b"B", b""]
    assert [accessor_of(message).command for message in messages] == [
        StompCommand.SEND,
        StompCommand.SEND,
        StompCommand.DISCONNECT,
    ]


@pytest.mark.spec("STOMP-01")
@pytest.mark.parametrize("rest", ["SEND", "SEND\na:b", "SEND\na:b\n\nbod", "SEND\ncontent-length:2\n\nA^@"])
def test_what_is_incomplete_is_left_out(rest):
    assert decode(rest) == []
    assert [message.payload for message in decode("SEND\na:b\n\nA^@" + rest)] == [b"A"]


@pytest.mark.spec("STOMP-01")
def test_a_whole_buffer_of_any_size_is_decoded():
    assert [len(message.payload) for message in decode("SEND\na:b\n\n" + "x" * 1_000_000 + "^@")] == [1_000_000]


@pytest.mark.spec("STOMP-01")
@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("send\n\n^@", "Unknown STOMP command: 'send'"),
        ("SEND\na\rb:c\n\n^@", "'\\r' must be followed by '\\n'"),
        ("SEND\nnocolon\n\n^@", "Illegal header: 'nocolon'. A header must be of the form <name>:[<value>]."),
        ("SEND\n:value\n\n^@", "Illegal header: ':value'. A header must be of the form <name>:[<value>]."),
        ("SEND\na:b\\t\n\n^@", "Illegal escape sequence at index 1: b\\t"),
        ("SEND\na:b\\\n\n^@", "Illegal escape sequence at index 1: b\\"),
        ("SEND\ncontent-length:2\n\nabc^@", "Frame must be terminated with a null octet"),
        ("SUBSCRIBE\nid:1\n\nbody^@", "SUBSCRIBE shouldn't have a payload: length=4, 'body'"),
        ("SEND\ncontent-type:text\n\n^@", "Invalid mime type \"text\": does not contain '/'"),
    ],
)
def test_bytes_that_are_not_stomp(data, text):
    with pytest.raises(StompConversionError) as caught:
        decode(data)
    assert str(caught.value) == text
    assert isinstance(caught.value.__cause__, StompFrameError | InvalidMimeTypeError)
    buffering = BufferingStompDecoder(DECODER)
    with pytest.raises(StompConversionError) as caught:
        list(buffering.decode(data.replace("^@", "\0").encode()))
    assert str(caught.value) == text


@pytest.mark.spec("STOMP-01", "MSG-04")
def test_decoded_headers_are_left_mutable_and_have_neither_id_nor_timestamp():
    for message in decode("SEND\na:b\n\n^@") + decode("\n"):
        accessor = accessor_of(message)
        assert accessor.is_mutable and accessor.leave_mutable and not accessor.is_modified
        accessor.set_header("foo", "bar")
        assert message.headers["foo"] == "bar"
        assert not {ID, TIMESTAMP} & set(message.headers)


@pytest.mark.spec("STOMP-01", "MSG-04")
@pytest.mark.parametrize("data", ["SEND\na:b\n\n^@", "\n"])
def test_the_header_initializer_prepares_every_message(data):
    class Marks:
        def init_headers(self, accessor: MessageHeaderAccessor) -> None:
            accessor.set_header("mark", True)

    [message] = StompDecoder(Marks()).decode(data.replace("^@", "\0").encode())
    assert message.headers["mark"] is True

    [message] = StompDecoder(IdTimestampMessageHeaderInitializer(enable_timestamp=True)).decode(b"\n")
    accessor_of(message).set_immutable()
    assert message.headers[TIMESTAMP] > 0


# -- MSG-05: frames with one head share their native headers until somebody looks

SHARED = b"SEND\ndestination:/a\nx:1\nx:2\n\nbody\0"
NATIVE_OF_SHARED = {"destination": ["/a"], "x": ["1", "2"]}


def decoded(data: bytes = SHARED) -> Message[bytes]:
    """A message whose head is remembered."""
    decoder = BufferingStompDecoder(DECODER)
    return [message for _ in range(3) for message in decoder.decode(data)][2]


@pytest.mark.spec("STOMP-01", "MSG-05")
def test_a_message_with_a_remembered_head_is_as_the_first_one():
    plain_frames.REMEMBERED.clear()
    decoder = BufferingStompDecoder(DECODER)
    first, *others = (message for _ in range(4) for message in decoder.decode(SHARED))
    for each in others:
        assert each == first
        assert repr(each) == repr(first)
        assert each.headers[NATIVE_HEADERS] == NATIVE_OF_SHARED


LOOKS = {
    "item": lambda message: message.headers[NATIVE_HEADERS],
    "get": lambda message: message.headers.get(NATIVE_HEADERS),
    "items": lambda message: dict(message.headers.items())[NATIVE_HEADERS],
    "values": lambda message: next(each for each in message.headers.values() if isinstance(each, Mapping)),
    "copied headers": lambda message: MessageHeaders(message.headers)[NATIVE_HEADERS],
    "accessor": lambda message: accessor_of(message).get_header(NATIVE_HEADERS),
    "another accessor": lambda message: MessageHeaderAccessor(message).get_header(NATIVE_HEADERS),
    "wrapped": lambda message: StompHeaderAccessor.wrap(message).get_header(NATIVE_HEADERS),
    "map of the accessor": lambda message: accessor_of(message).to_map()[NATIVE_HEADERS],
    "message headers of the accessor": lambda message: accessor_of(message).message_headers[NATIVE_HEADERS],
    "broadcast": lambda message: Broadcast(message).message_for(Subscription("s", "0", "/a")).headers[NATIVE_HEADERS],
}


@pytest.mark.spec("STOMP-01", "MSG-05")
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_whoever_looks_at_native_headers_sees_lists_of_this_message_alone(look, frozen):
    message = decoded()
    if frozen:
        message.headers.freeze()
    native = look(message)
    assert native == NATIVE_OF_SHARED
    assert all(isinstance(values, list) for values in native.values())
    with suppress(TypeError):  # of those that are frozen
        native["x"].append("3")
    assert decoded().headers[NATIVE_HEADERS] == NATIVE_OF_SHARED


@pytest.mark.spec("STOMP-01", "MSG-04", "MSG-05")
def test_native_headers_can_be_changed_until_they_are_frozen_and_not_longer():
    message = decoded()
    native = message.headers[NATIVE_HEADERS]
    native["y"] = ["9"]
    assert message.headers[NATIVE_HEADERS] is native
    accessor = accessor_of(message)
    accessor.add_native_header("x", "3")
    accessor.remove_native_header("destination")
    message.headers.freeze()
    assert message.headers[NATIVE_HEADERS] == {"x": ["1", "2", "3"], "y": ["9"]}
    assert isinstance(message.headers[NATIVE_HEADERS], MappingProxyType)
    assert decoded().headers[NATIVE_HEADERS] == NATIVE_OF_SHARED


@pytest.mark.spec("STOMP-01", "MSG-04", "MSG-05")
@pytest.mark.parametrize("looked", [False, True])
def test_frozen_native_headers_are_read_only_whenever_somebody_looked_first(looked):
    message = decoded()
    if looked:
        message.headers.get(NATIVE_HEADERS)
    message.headers.freeze()
    native = message.headers[NATIVE_HEADERS]
    assert isinstance(native, MappingProxyType) and native is message.headers[NATIVE_HEADERS]
    with pytest.raises(TypeError, match="cannot be changed"):
        native["x"].append("3")
    assert native == NATIVE_OF_SHARED
    with pytest.raises(RuntimeError, match="Already immutable"):
        accessor_of(message).set_native_header("x", "3")


@pytest.mark.spec("STOMP-01", "MSG-05")
def test_the_first_native_header_is_read_from_what_is_shared():
    message = decoded()
    assert first_native_header(message.headers._map, "x") == "1"
    assert message.headers._unmade == NATIVE_HEADERS


CHANGES = {
    "set": lambda native: native.__setitem__("y", ["1"]),
    "delete": lambda native: native.__delitem__("x"),
    "pop": lambda native: native.pop("x"),
    "popitem": lambda native: native.popitem(),
    "clear": lambda native: native.clear(),
    "setdefault": lambda native: native.setdefault("y", ["1"]),
    "update": lambda native: native.update({"y": ["1"]}),
    "merge": lambda native: native.__ior__({"y": ["1"]}),
    "append": lambda native: native["x"].append("3"),
}


@pytest.mark.spec("STOMP-01", "MSG-05")
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_is_shared_cannot_be_changed(change):
    shared = decoded().headers._map[NATIVE_HEADERS]
    assert shared is decoded().headers._map[NATIVE_HEADERS]
    with pytest.raises((TypeError, AttributeError)):
        change(shared)
    assert decoded().headers[NATIVE_HEADERS] == NATIVE_OF_SHARED


@pytest.mark.spec("STOMP-01")
def test_a_remembered_head_without_headers_has_no_native_ones():
    message = decoded(b"SEND\n\n\0")
    assert NATIVE_HEADERS not in message.headers
    assert accessor_of(message).to_native_header_map() == {}


# -- MSG-07, as far as decoding goes

TYPES = {
    "STOMP": SimpMessageType.CONNECT,
    "CONNECT": SimpMessageType.CONNECT,
    "DISCONNECT": SimpMessageType.DISCONNECT,
    "SUBSCRIBE": SimpMessageType.SUBSCRIBE,
    "UNSUBSCRIBE": SimpMessageType.UNSUBSCRIBE,
    "SEND": SimpMessageType.MESSAGE,
    "MESSAGE": SimpMessageType.MESSAGE,
    "ACK": SimpMessageType.OTHER,
    "NACK": SimpMessageType.OTHER,
    "BEGIN": SimpMessageType.OTHER,
    "COMMIT": SimpMessageType.OTHER,
    "ABORT": SimpMessageType.OTHER,
    "CONNECTED": SimpMessageType.OTHER,
    "RECEIPT": SimpMessageType.OTHER,
    "ERROR": SimpMessageType.OTHER,
}


@pytest.mark.spec("MSG-07")
@pytest.mark.parametrize("command", TYPES)
def test_native_headers_become_neutral_ones(command):
    [message] = decode(
        f"{command}\ndestination:/a\ncontent-type:application/json;charset=utf-8\nsubscription:sub0\nid:1\npasscode:x\n\n^@"
    )
    headers = message.headers
    assert headers[MESSAGE_TYPE] is TYPES[command]
    assert headers[DESTINATION] == "/a"
    assert str(headers[CONTENT_TYPE]) == "application/json;charset=utf-8"
    expected = {"MESSAGE": "sub0", "SUBSCRIBE": "1", "UNSUBSCRIBE": "1"}.get(command)
    assert headers.get(SUBSCRIPTION_ID) == expected
    is_connect = command in ("CONNECT", "STOMP")
    assert headers[NATIVE_HEADERS]["passcode"] == ["PROTECTED" if is_connect else "x"]
    assert (CREDENTIALS in headers) is is_connect


@pytest.mark.spec("MSG-07", "LOG-01")
@pytest.mark.parametrize("command", ["CONNECT", "STOMP"])
def test_a_passcode_is_protected_and_comes_back_on_the_wire(command):
    data = f"{command}\nlogin:joe\npasscode:secret:1\n\n\0".encode()
    [message] = DECODER.decode(data)
    assert accessor_of(message).passcode == "secret:1"
    assert "secret" not in repr(message) + accessor_of(message).detailed_log_message(b"")
    assert StompEncoder().encode(message) == data


# -- STOMP-03


@pytest.mark.spec("STOMP-03")
@pytest.mark.parametrize("limit", [0, -1])
def test_the_limit_must_be_above_zero(limit):
    with pytest.raises(ValueError, match="Buffer size limit must be greater than 0"):
        BufferingStompDecoder(DECODER, limit)


FRAMES = (
    b"\nCONNECT\naccept-version:1.2\n\n\0\nSEND\r\ndestination:/a\r\ncontent-length:3\r\n\r\na\0b\0\r\nDISCONNECT\n\n\0"
)


@pytest.mark.spec("STOMP-01", "STOMP-03")
@pytest.mark.parametrize("cut", range(len(FRAMES) + 1))
def test_frames_may_be_cut_anywhere(cut):
    decoder = BufferingStompDecoder(DECODER, 1_000)
    messages = [*decoder.decode(FRAMES[:cut]), *decoder.decode(FRAMES[cut:])]
    commands = [accessor_of(message).command for message in messages if not accessor_of(message).is_heartbeat]
    assert commands == [StompCommand.CONNECT, StompCommand.SEND, StompCommand.DISCONNECT]
    assert b"a\0b" in [message.payload for message in messages]
    assert decoder.buffer_size == 0


@pytest.mark.spec("STOMP-03")
def test_what_is_incomplete_waits():
    decoder = BufferingStompDecoder(DECODER, 128)
    head, body = b"SEND\na:alpha\ncontent-length:11\n\n", b"Message"
    assert list(decoder.decode(head + body)) == []
    assert decoder.buffer_size == len(head + body)
    [message] = decoder.decode(b" foo\0SEND\n\nB")
    assert message.payload == b"Message foo"
    assert decoder.buffer_size == len(b"SEND\n\nB")


@pytest.mark.spec("STOMP-03")
@pytest.mark.parametrize("size", [63, 64, 65])
def test_the_limit_covers_what_is_buffered(size):
    decoder = BufferingStompDecoder(DECODER, 64)
    frame = b"SEND\na:b\n\n"
    frame += b"x" * (size - len(frame) - 1) + b"\0"
    list(decoder.decode(frame[:-5]))
    rest = decoder.decode(frame[-5:])
    if size <= 64:
        assert len(list(rest)) == 1
        return
    with pytest.raises(StompConversionError) as caught:
        list(rest)
    assert str(caught.value) == "The configured STOMP buffer size limit of 64 bytes has been exceeded"


@pytest.mark.spec("STOMP-03")
@pytest.mark.parametrize("length", [63, 64, 65])
def test_a_content_length_is_held_against_the_limit(length):
    decoder = BufferingStompDecoder(DECODER, 64)
    list(decoder.decode(f"SEND\ncontent-length:{length}\n\n".encode()))
    if length <= 64:
        assert list(decoder.decode(b"x")) == []
        return
    with pytest.raises(StompConversionError) as caught:
        list(decoder.decode(b"x"))
    text = "STOMP 'content-length' header value 65  exceeds configured buffer size limit 64"
    assert str(caught.value) == text


@pytest.mark.spec("STOMP-03")
def test_frames_before_a_broken_one_are_handed_out_first():
    messages = BufferingStompDecoder(DECODER).decode(b"SEND\na:b\n\nA\0SEND\na:b\n\nB\0WRONG\n\n\0")
    assert [next(messages).payload, next(messages).payload] == [b"A", b"B"]
    with pytest.raises(StompConversionError):
        next(messages)


@pytest.mark.spec("STOMP-03")
def test_data_is_taken_whether_or_not_somebody_iterates():
    decoder = BufferingStompDecoder(DECODER)
    decoder.decode(b"SEND\na:b\n\n")
    assert [message.payload for message in decoder.decode(b"A\0")] == [b"A"]


@pytest.mark.spec("STOMP-03")
def test_after_an_error_it_is_of_no_more_use():
    decoder = BufferingStompDecoder(DECODER)
    for data in (b"WRONG\n\n\0", b"SEND\na:b\n\nA\0"):
        with pytest.raises(StompConversionError, match="Unknown STOMP command: 'WRONG'"):
            list(decoder.decode(data))


TEXT = st.text(max_size=8)


@pytest.mark.spec("STOMP-01", "STOMP-02")
@given(
    headers=st.dictionaries(
        TEXT.filter(lambda name: name and name not in ("content-length", "content-type")), TEXT, max_size=4
    ),
    body=st.binary(max_size=40),
)
def test_what_is_encoded_is_decoded(headers, body):
    accessor = StompHeaderAccessor.create(StompCommand.SEND, native_headers={name: [headers[name]] for name in headers})
    data = StompEncoder().encode(Message(body, accessor.message_headers))
    [message] = DECODER.decode(data)
    native = accessor_of(message).to_native_header_map()
    native.pop("content-length", None)
    assert message.payload == body
    assert native == {name: [text] for name, text in headers.items()}
