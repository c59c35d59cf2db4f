"""The frame codec: vectors in both directions, cuts, limits, and what must never happen (STOMP-01 to STOMP-03)."""

from __future__ import annotations

import ast
import copy
import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wellhead.messaging.stomp import frame as frame_module
from wellhead.messaging.stomp import frame_parser, plain_frames
from wellhead.messaging.stomp.frame import (
    HEARTBEAT,
    Heartbeat,
    StompFrame,
    StompFrameError,
    encode_frame,
    encode_header,
    escape,
    split_frame,
    unescape,
)
from wellhead.messaging.stomp.frame_parser import FrameParser, parse_frames

COMMANDS = sorted(frame_module.COMMANDS)
WITH_BODY = ["SEND", "MESSAGE", "ERROR"]
WITHOUT_BODY = [command for command in COMMANDS if command not in WITH_BODY]
LITERAL = ["CONNECT", "CONNECTED", "STOMP"]

# Bytes and the frame they are; each is what the encoder writes, too.
BOTH_WAYS = {
    "connect": (
        b"CONNECT\naccept-version:1.1,1.2\nheart-beat:10000,10000\n\n\0",
        StompFrame("CONNECT", [("accept-version", "1.1,1.2"), ("heart-beat", "10000,10000")]),
    ),
    "send": (
        b"SEND\ndestination:/app/a\ncontent-length:5\n\nhello\0",
        StompFrame("SEND", [("destination", "/app/a"), ("content-length", "5")], b"hello"),
    ),
    "message": (
        b"MESSAGE\ndestination:/topic/a\ncontent-type:text/plain\nsubscription:sub0\nmessage-id:s1-0\ncontent-length:5\n\n"
        b"hello\0",
        StompFrame(
            "MESSAGE",
            [
                ("destination", "/topic/a"),
                ("content-type", "text/plain"),
                ("subscription", "sub0"),
                ("message-id", "s1-0"),
                ("content-length", "5"),
            ],
            b"hello",
        ),
    ),
    "escapes": (
        b"SEND\na\\c\\r\\n\\\\b:alpha\\cbravo\\r\\n\\\\\ncontent-length:0\n\n\0",
        StompFrame("SEND", [("a:\r\n\\b", "alpha:bravo\r\n\\"), ("content-length", "0")]),
    ),
    "no headers, no body": (b"DISCONNECT\n\n\0", StompFrame("DISCONNECT", [])),
    "no headers, a body": (b"SEND\n\nMessage body\0", StompFrame("SEND", [], b"Message body")),
    "nul in the body": (
        b"ERROR\nmessage:m\ncontent-length:3\n\n\0a\0\0",
        StompFrame("ERROR", [("message", "m"), ("content-length", "3")], b"\0a\0"),
    ),
    "body of empty lines": (
        b"SEND\na:b\ncontent-length:4\n\n\n\n\r\n\0",
        StompFrame("SEND", [("a", "b"), ("content-length", "4")], b"\n\n\r\n"),
    ),
    "repeated header": (
        b"SUBSCRIBE\nid:1\nid:2\nx:\nid:1\n\n\0",
        StompFrame("SUBSCRIBE", [("id", "1"), ("id", "2"), ("x", ""), ("id", "1")]),
    ),
    "blanks in a value": (b"ACK\nid:  1 \n\n\0", StompFrame("ACK", [("id", "  1 ")])),
    "unicode": (
        "MESSAGE\nnäme:€ \U0001f600\x85\u2028\ncontent-length:2\n\nß\0".encode(),
        StompFrame("MESSAGE", [("näme", "€ \U0001f600\x85\u2028"), ("content-length", "2")], "ß".encode()),
    ),
    "nothing is escaped in connected": (
        b"CONNECTED\nserver:a\\b:c\\n\n\n\0",
        StompFrame("CONNECTED", [("server", "a\\b:c\\n")]),
    ),
    "content-length of a command without body": (
        b"RECEIPT\ncontent-length:0\nreceipt-id:7\n\n\0",
        StompFrame("RECEIPT", [("content-length", "0"), ("receipt-id", "7")]),
    ),
}

# Bytes and the frame they are, which the encoder would write differently.
READ_ONLY = {
    "body without content-length": (
        b"SEND\na:alpha\n\nMessage body\0",
        StompFrame("SEND", [("a", "alpha")], b"Message body"),
    ),
    "cr lf": (
        b"\r\nSEND\r\na:alpha\r\ncontent-length:4\r\n\r\n\r\n\n\n\0\r\n",
        StompFrame("SEND", [("a", "alpha"), ("content-length", "4")], b"\r\n\n\n"),
    ),
    "mixed eols": (b"\n\r\n\nACK\r\nid:1\nx:2\r\n\n\0\n\n\r\n", StompFrame("ACK", [("id", "1"), ("x", "2")])),
    "colons in a value": (b"SEND\na:b:c:\n\n\0", StompFrame("SEND", [("a", "b:c:")])),
    "nul in a header": (b"SEND\na:b\0c\n\nx\0", StompFrame("SEND", [("a", "b\0c")], b"x")),
    "first content-length counts": (
        b"SEND\ncontent-length:1\ncontent-length:2\n\nx\0",
        StompFrame("SEND", [("content-length", "1"), ("content-length", "2")], b"x"),
    ),
    "first content-length counts, even when it is no number": (
        b"SEND\ncontent-length:x\ncontent-length:2\n\nx\0",
        StompFrame("SEND", [("content-length", "x"), ("content-length", "2")], b"x"),
    ),
    "content-length with a sign": (
        b"SEND\ncontent-length:+3\n\na\0b\0",
        StompFrame("SEND", [("content-length", "+3")], b"a\0b"),
    ),
    "content-length with zeros in front": (
        b"SEND\ncontent-length:00000000000000000003\n\na\0b\0",
        StompFrame("SEND", [("content-length", "00000000000000000003")], b"a\0b"),
    ),
    "escaped header and cr lf": (b"SEND\r\na:\\r\\n\r\n\r\n\0", StompFrame("SEND", [("a", "\r\n")])),
}
ALL = BOTH_WAYS | READ_ONLY


def parse_in_pieces(pieces: Iterable[bytes], limit: int = 64 * 1024) -> list[StompFrame | Heartbeat]:
    parser = FrameParser(max_buffered_bytes=limit)
    frames: list[StompFrame | Heartbeat] = []
    for piece in pieces:
        parser.receive_data(piece)
        frames.extend(parser.receive_frames(b""))
    assert parser.buffered_bytes == 0
    return frames


def without_heartbeats(frames: list[StompFrame | Heartbeat]) -> list[StompFrame]:
    return [frame for frame in frames if isinstance(frame, StompFrame)]


def vectors(table: dict[str, tuple[bytes, StompFrame]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("data, frame", table.values(), ids=table.keys())


# Vectors


@pytest.mark.spec("STOMP-01")
@vectors(ALL)
def test_vector_is_parsed(data: bytes, frame: StompFrame) -> None:
    assert parse_frames(data) == [frame]
    assert parse_in_pieces([data]) == [frame]


@pytest.mark.spec("STOMP-02")
@vectors(BOTH_WAYS)
def test_vector_is_encoded(data: bytes, frame: StompFrame) -> None:
    assert encode_frame(frame.command, frame.headers, frame.body) == data
    assert encode_frame(frame.command, iter(frame.headers), frame.body) == data


@pytest.mark.spec("STOMP-01", "STOMP-03")
@vectors(ALL)
def test_vector_cut_at_every_byte_gives_the_same_frame(data: bytes, frame: StompFrame) -> None:
    # EOLs around the frame that come in a piece of their own are heart-beats, and rightly so.
    for cut in range(1, len(data)):
        assert without_heartbeats(parse_in_pieces([data[:cut], data[cut:]])) == [frame]
    assert without_heartbeats(parse_in_pieces(data[i : i + 1] for i in range(len(data)))) == [frame]


@pytest.mark.spec("STOMP-01")
def test_all_vectors_in_one_buffer_are_a_list_of_frames_in_order() -> None:
    data = b"".join(data for data, _ in ALL.values())
    frames = [frame for _, frame in ALL.values()]
    assert parse_frames(data) == frames
    for size in (1, 7, 64, 1000, len(data)):
        pieces = [data[start : start + size] for start in range(0, len(data), size)]
        assert without_heartbeats(parse_in_pieces(pieces)) == frames


@pytest.mark.spec("STOMP-01")
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_known(command: str) -> None:
    assert parse_frames(f"{command}\n\n\0".encode()) == [StompFrame(command, [])]


@pytest.mark.spec("STOMP-01")
def test_first_value_of_a_repeated_header_counts_and_all_are_kept() -> None:
    (frame,) = parse_frames(b"SEND\na:1\nb:2\na:3\n\n\0")
    assert isinstance(frame, StompFrame)
    assert frame.headers == [("a", "1"), ("b", "2"), ("a", "3")]
    assert frame.multimap == {"a": ["1", "3"], "b": ["2"]}


# EOLs and heart-beats


@pytest.mark.spec("STOMP-01")
@pytest.mark.parametrize("data", [b"\n", b"\r\n", b"\n\n\n", b"\r\n\n\r\n"])
def test_buffer_of_only_eols_is_one_heartbeat(data: bytes) -> None:
    assert parse_frames(data) == [HEARTBEAT]
    assert parse_in_pieces([data]) == [HEARTBEAT]


@pytest.mark.spec("STOMP-01")
def test_each_buffer_of_eols_is_a_heartbeat() -> None:
    assert parse_in_pieces([b"\n", b"\n\n", b"DISCONNECT\n\n\0", b"\n"]) == [
        HEARTBEAT,
        HEARTBEAT,
        StompFrame("DISCONNECT", []),
        HEARTBEAT,
    ]


@pytest.mark.spec("STOMP-01")
@pytest.mark.parametrize("eols", [b"\n", b"\n\n", b"\r\n", b"\n\r\n\n"])
@pytest.mark.parametrize("data", [b"SEND\na:b\n\n1\0", b"SEND\r\na:b\r\n\r\n1\0"])
def test_eols_around_a_frame_are_swallowed(data: bytes, eols: bytes) -> None:
    frame = StompFrame("SEND", [("a", "b")], b"1")
    assert parse_in_pieces([eols + data + eols]) == [frame]
    assert parse_in_pieces([data + eols + data + eols]) == [frame, frame]


@pytest.mark.spec("STOMP-01")
def test_eols_after_a_frame_that_ends_in_a_later_piece_are_swallowed() -> None:
    frame = StompFrame("SEND", [], b"1")
    assert parse_in_pieces([b"SEND\n\n", b"1\0\n\r\n"]) == [frame]
    assert parse_in_pieces([b"SEND\n\n", b"1\0\nSEND\n\n1\0\n\n"]) == [frame, frame]


@pytest.mark.spec("STOMP-01")
def test_nothing_is_no_frame() -> None:
    parser = FrameParser()
    assert list(parser.receive_frames(b"")) == []
    parser.receive_data(b"")
    assert list(parser.receive_frames(b"")) == []
    assert parse_frames(b"") == []


@pytest.mark.spec("STOMP-01")
def test_cr_lf_cut_between_two_pieces_is_incomplete_not_broken() -> None:
    assert parse_in_pieces([b"\r", b"\n"]) == [HEARTBEAT]
    assert parse_in_pieces([b"\n\r", b"\n"]) == [HEARTBEAT]
    assert parse_in_pieces([b"ACK\r", b"\nid:1\r", b"\n\r", b"\n\0"]) == [StompFrame("ACK", [("id", "1")])]


@pytest.mark.spec("STOMP-01")
def test_heartbeat_is_a_singleton_written_as_one_lf() -> None:
    assert Heartbeat() is HEARTBEAT is copy.deepcopy(HEARTBEAT)
    assert HEARTBEAT.body == b"\n"
    assert repr(HEARTBEAT) == "HEARTBEAT"


# What is not STOMP


@pytest.mark.spec("STOMP-01")
@pytest.mark.parametrize(
    "data, text",
    [
        (b"FOO\n\n\0", "Unknown STOMP command: 'FOO'"),
        (b"send\n\n\0", "Unknown STOMP command: 'send'"),
        (b"SEND \n\n\0", "Unknown STOMP command: 'SEND '"),
        (b"\0\nSEND\n\n\0", "Unknown STOMP command: '\\u0000'"),
        (b"GET / HTTP/1.1\r\n", "Unknown STOMP command: 'GET / HTTP/1.1'"),
        (b"\rSEND\n\n\0", "'\\r' must be followed by '\\n'"),
        (b"SEND\ra:alpha\r\rMessage body\0", "'\\r' must be followed by '\\n'"),
        (b"SEND\r\na:al\rpha\r\n\r\n\0", "'\\r' must be followed by '\\n'"),
        (b"SEND\na:alpha\r\r\n\n\0", "'\\r' must be followed by '\\n'"),
        (b"SEND\nx\n\n\0", "Illegal header: 'x'. A header must be of the form <name>:[<value>]."),
        (b"SEND\n:x\n\n\0", "Illegal header: ':x'. A header must be of the form <name>:[<value>]."),
        (b"SEND\na:b\n:x:y\n\n\0", "Illegal header: ':x:y'. A header must be of the form <name>:[<value>]."),
        (b"SEND\na:al\\tpha\n\n\0", "Illegal escape sequence at index 2: al\\tpha"),
        (b"SEND\na\\:b\n\n\0", "Illegal escape sequence at index 1: a\\"),
        (b"SEND\na:b\\\n\n\0", "Illegal escape sequence at index 1: b\\"),
        (b"SEND\na:\\\\\\C\n\n\0", "Illegal escape sequence at index 2: \\\\\\C"),
        (b"SEND\ncontent-length:1\n\nab\0", "Frame must be terminated with a null octet"),
        (b"SEND\ncontent-length:0\n\na\0", "Frame must be terminated with a null octet"),
        (b"CONNECT\na:b\n\nhello\0", "CONNECT shouldn't have a payload: length=5, 'hello'"),
        (b"SUBSCRIBE\ncontent-length:2\n\n\0\n\0", "SUBSCRIBE shouldn't have a payload: length=2, '\\u0000\\u000a'"),
        (b"SEND\na:\xff\n\n\0", "Command or header is not valid UTF-8: 'a:\ufffd'"),
        (b"S\xc3ND\n\n\0", "Command or header is not valid UTF-8: 'S\ufffdND'"),
    ],
)
def test_broken_frame_is_refused_with_its_reason(data: bytes, text: str) -> None:
    good = b"SEND\n\n1\0"
    with pytest.raises(StompFrameError) as whole:
        parse_frames(good + data)
    assert str(whole.value) == text
    # Cut anywhere, the frame before it is given and the reason is the same.
    for cut in range(len(data)):
        parser = FrameParser()
        frames: list[StompFrame | Heartbeat] = []
        with pytest.raises(StompFrameError) as cut_error:
            for piece in (good + data[:cut], data[cut:] + b"x"):
                parser.receive_data(piece)
                for frame in parser.receive_frames(b""):
                    frames.append(frame)
        assert frames == [StompFrame("SEND", [], b"1")]
        assert str(cut_error.value) == text


@pytest.mark.spec("STOMP-01")
@pytest.mark.parametrize("command", WITHOUT_BODY)
def test_body_is_refused_where_the_command_allows_none(command: str) -> None:
    with pytest.raises(StompFrameError, match=f"^{command} shouldn't have a payload: "):
        parse_frames(f"{command}\na:b\n\n1\0".encode())


@pytest.mark.spec("STOMP-01")
@pytest.mark.parametrize("command", WITH_BODY)
def test_body_is_taken_where_the_command_allows_one(command: str) -> None:
    assert parse_frames(f"{command}\na:b\n\n1\0".encode()) == [StompFrame(command, [("a", "b")], b"1")]


@pytest.mark.spec("STOMP-01")
@pytest.mark.parametrize("line", [b"x\n", b":x\n", b"x\r\n"])
def test_header_line_without_colon_is_incomplete_while_the_buffer_ends_right_there(line: bytes) -> None:
    parser = FrameParser()
    parser.receive_data(b"SEND\na:b\n" + line)
    assert list(parser.receive_frames(b"")) == []
    assert list(parser.receive_frames(b"")) == []
    parser.receive_data(b"\n")
    with pytest.raises(StompFrameError, match="Illegal header"):
        list(parser.receive_frames(b""))


@pytest.mark.spec("STOMP-01")
@pytest.mark.parametrize(
    "data",
    [
        "X" * 500 + "\n\n\0",
        "SEND\n" + "\x1b[31m\u202e" * 100 + "\n\n\0",
        "SEND\na:\\x" + "\x00\x07" * 100 + "\n\n\0",
        "CONNECT\n\n" + "\x1b\n" * 100 + "\0",
        "CONNECT\n\n" + "€" * 1000 + "\0",
    ],
)
def test_error_echoes_a_bounded_part_without_control_characters(data: str) -> None:
    with pytest.raises(StompFrameError) as info:
        parse_frames(data.encode())
    text = str(info.value)
    assert text.isprintable()
    assert "..." in text
    assert len(text) < 80 * 6 + 100
    assert text.count("X") <= 80


@pytest.mark.spec("STOMP-01")
@pytest.mark.parametrize("value", ["-1", "-0", "abc", "", " 1", "1 ", "1_0", "1.0", "\u0661", "²"])
def test_content_length_that_is_negative_or_no_number_is_ignored_and_the_first_nul_ends_the_body(
    value: str, caplog: pytest.LogCaptureFixture
) -> None:
    data = f"SEND\ncontent-length:{value}\n\nab\0".encode()
    with caplog.at_level(logging.DEBUG, logger=frame_parser.logger.name):
        frames = parse_frames(data + data)
    assert frames == [StompFrame("SEND", [("content-length", value)], b"ab")] * 2
    assert [record.levelname for record in caplog.records] == ["DEBUG"] * 2


@pytest.mark.spec("STOMP-01")
@pytest.mark.parametrize("tail", [b"", b"ab", b"ab\0c"])
def test_frame_with_content_length_is_incomplete_before_its_nul_is_there(tail: bytes) -> None:
    assert parse_frames(b"SEND\n\n1\0SEND\ncontent-length:4\n\n" + tail) == [StompFrame("SEND", [], b"1")]


@pytest.mark.spec("STOMP-01")
def test_parser_stays_broken_and_keeps_nothing() -> None:
    parser = FrameParser(max_buffered_bytes=1000)
    parser.receive_data(b"SEND\n\n1\0FOO\n\n\0SEND\n\n2\0")
    frames = parser.receive_frames(b"")
    assert next(frames) == StompFrame("SEND", [], b"1")
    with pytest.raises(StompFrameError, match="FOO"):
        next(frames)
    assert parser.buffered_bytes == 0
    for _ in range(3):
        parser.receive_data(b"SEND\n\n3\0")
        with pytest.raises(StompFrameError, match="FOO"):
            list(parser.receive_frames(b""))
        assert parser.buffered_bytes == 0


# Escapes


@pytest.mark.spec("STOMP-01", "STOMP-02")
@pytest.mark.parametrize(
    "plain, escaped",
    [
        ("", ""),
        ("plain", "plain"),
        ("a:b", "a\\cb"),
        ("a\nb", "a\\nb"),
        ("a\rb", "a\\rb"),
        ("a\\b", "a\\\\b"),
        ("\r\n:\\", "\\r\\n\\c\\\\"),
        ("C:\\new\\r\\c", "C\\c\\\\new\\\\r\\\\c"),
        ("\\\n", "\\\\\\n"),
    ],
)
def test_escapes_are_made_and_undone_in_one_pass(plain: str, escaped: str) -> None:
    assert escape(plain) == escaped
    assert unescape(escaped) == plain


@pytest.mark.spec("STOMP-01")
@pytest.mark.parametrize("text, index", [("\\", 0), ("ab\\", 2), ("\\t", 0), ("\\\\\\", 2), ("\\N", 0), ("\\c\\:", 2)])
def test_unknown_or_dangling_escape_is_refused(text: str, index: int) -> None:
    with pytest.raises(StompFrameError) as info:
        unescape(text)
    assert str(info.value) == f"Illegal escape sequence at index {index}: {text}"


@pytest.mark.spec("STOMP-01", "STOMP-02")
@pytest.mark.parametrize("command", LITERAL)
def test_headers_of_connect_connected_and_stomp_are_literal(command: str) -> None:
    headers = [("login", "a:\\b\\x"), ("passcode", "\\")]
    data = f"{command}\nlogin:a:\\b\\x\npasscode:\\\n\n\0".encode()
    assert encode_frame(command, headers) == data
    assert parse_frames(data) == [StompFrame(command, headers)]
    assert parse_in_pieces([data.replace(b"\n", b"\r\n")]) == [StompFrame(command, headers)]


@pytest.mark.spec("STOMP-02")
@pytest.mark.parametrize("command", LITERAL)
@pytest.mark.parametrize("header", [("user-name", "a\nadmin:true"), ("user-name", "a\r"), ("a\nb", "")])
def test_line_break_cannot_smuggle_a_header_into_a_command_without_escapes(
    command: str, header: tuple[str, str]
) -> None:
    with pytest.raises(ValueError, match=f"A header of {command} cannot hold a line break") as info:
        encode_frame(command, [header])
    assert str(info.value).isprintable()


# Encoding


@pytest.mark.spec("STOMP-02")
@pytest.mark.parametrize("command", WITH_BODY)
def test_content_length_is_computed_last_and_the_callers_is_dropped(command: str) -> None:
    headers = [("content-length", "99"), ("a", "x:y"), ("content-length", "98")]
    assert encode_frame(command, headers, "ß".encode()) == f"{command}\na:x\\cy\ncontent-length:2\n\nß\0".encode()
    assert encode_frame(command, [("content-length", "99")]) == f"{command}\ncontent-length:0\n\n\0".encode()
    assert encode_frame(command, [("a", "b")]) == f"{command}\na:b\ncontent-length:0\n\n\0".encode()


@pytest.mark.spec("STOMP-02")
@pytest.mark.parametrize("command", WITHOUT_BODY)
def test_callers_content_length_passes_through_for_other_commands(command: str) -> None:
    assert encode_frame(command, [("content-length", "99"), ("a", "b")]) == (
        f"{command}\ncontent-length:99\na:b\n\n\0".encode()
    )


@pytest.mark.spec("STOMP-02")
@pytest.mark.parametrize("command", WITH_BODY)
def test_without_headers_there_is_no_header_line_unless_a_nul_would_cut_the_body(command: str) -> None:
    assert encode_frame(command, [], b"abc") == f"{command}\n\nabc\0".encode()
    assert encode_frame(command, [], b"a\0c") == f"{command}\ncontent-length:3\n\na\0c\0".encode()


@pytest.mark.spec("STOMP-02")
def test_repeated_values_give_repeated_lines() -> None:
    assert encode_frame("SUBSCRIBE", [("a", "1"), ("b", "2"), ("a", "1")]) == b"SUBSCRIBE\na:1\nb:2\na:1\n\n\0"


@pytest.mark.spec("STOMP-02")
@pytest.mark.parametrize("value", ["a:b", "a\nb", "a\rb", "a\\b", ":", "\n", "\r\n"])
def test_one_header_alone_that_needs_it_is_escaped(value: str) -> None:
    expected = [("x", "1"), ("y", value), (value, "2"), ("content-length", "0")]
    data = encode_frame("SEND", expected[:3])
    assert data == (
        b"SEND\n"
        + encode_header("x", "1")
        + encode_header("y", value)
        + encode_header(value, "2")
        + b"content-length:0\n\n\0"
    )
    assert parse_frames(data) == [StompFrame("SEND", expected)]


@pytest.mark.spec("STOMP-02")
def test_lone_surrogate_becomes_a_question_mark() -> None:
    assert encode_frame("ACK", [("a\ud800", "\udfff")]) == b"ACK\na?:?\n\n\0"
    assert encode_header("a\ud800", "\udfff") == b"a?:?\n"


@pytest.mark.spec("STOMP-02")
def test_escaped_names_are_cached_32_least_recently_used() -> None:
    cache = frame_module._escape_name
    cache.cache_clear()
    assert cache.cache_info().maxsize == 32
    for number in range(32):
        assert encode_header(f"a:{number}", "") == f"a\\c{number}:\n".encode()
    encode_header("a:0", "1")  # used again, so not the one to go
    encode_header("a:32", "1")
    before = cache.cache_info()
    assert (before.currsize, before.hits, before.misses) == (32, 1, 33)
    assert encode_header("a:0", "2") == b"a\\c0:2\n"
    assert cache.cache_info().hits == 2
    assert encode_header("a:1", "2") == b"a\\c1:2\n"
    assert cache.cache_info().misses == 34


# Buffering and limits


@pytest.mark.spec("STOMP-03")
@pytest.mark.parametrize("limit", [0, -1])
def test_limit_must_be_above_zero(limit: int) -> None:
    with pytest.raises(ValueError):
        FrameParser(max_buffered_bytes=limit)
    with pytest.raises(ValueError):
        split_frame(b"abc", limit)


@pytest.mark.spec("STOMP-03")
def test_incomplete_frame_waits_for_as_many_bytes_as_its_content_length_says() -> None:
    parser = FrameParser(max_buffered_bytes=128)
    seen: list[tuple[list[StompFrame | Heartbeat], int]] = []
    for piece in (
        b"SEND\na:alpha\n\nMessage body\0\nSEND\n",
        b"content-length:14",
        b"\n",
        b"\nmessage",
        b"-part",
        b"-2\0SE",
    ):
        parser.receive_data(piece)
        seen.append((list(parser.receive_frames(b"")), parser.buffered_bytes))
    assert seen == [
        ([StompFrame("SEND", [("a", "alpha")], b"Message body")], 5),
        ([], 22),
        ([], 23),
        ([], 31),
        ([], 36),
        ([StompFrame("SEND", [("content-length", "14")], b"message-part-2")], 2),
    ]


@pytest.mark.spec("STOMP-03")
def test_content_length_that_is_no_number_is_not_waited_for() -> None:
    parser = FrameParser()
    assert list(parser.receive_frames(b"SEND\ncontent-length:-1\n\n1")) == []
    assert list(parser.receive_frames(b"\0")) == [StompFrame("SEND", [("content-length", "-1")], b"1")]


@pytest.mark.spec("STOMP-03")
def test_leading_eols_of_an_incomplete_frame_are_not_kept() -> None:
    parser = FrameParser(max_buffered_bytes=10)
    for piece in (b"\n\n\n\r\n\nSEND", b"\n\n"):
        parser.receive_data(piece)
        assert list(parser.receive_frames(b"")) == []
    assert parser.buffered_bytes == 6


@pytest.mark.spec("STOMP-03")
def test_bytes_received_and_not_parsed_yet_count_as_buffered() -> None:
    parser = FrameParser(max_buffered_bytes=20)
    parser.receive_data(b"SEND\n\n1\0")
    assert parser.buffered_bytes == 8
    parser.receive_data(b"SEND\n\n2\0")
    assert parser.buffered_bytes == 16
    assert list(parser.receive_frames(b"")) == [StompFrame("SEND", [], b"1"), StompFrame("SEND", [], b"2")]
    assert parser.buffered_bytes == 0


ONE = b"SEND\na:b\ncontent-length:5\n\nhello\0"
THREE = b"SEND\n\n1\0\nACK\nid:1\n\n\0SEND\r\n\r\n2\0\n"


@pytest.mark.spec("STOMP-03")
@pytest.mark.parametrize(
    "data", [ONE, ONE.replace(b"\n", b"\r\n"), THREE, b"\n" * 20], ids=["one", "crlf", "three", "eols"]
)
@pytest.mark.parametrize("pieces", [1, 2])
def test_limit_covers_all_that_is_buffered_before_decoding(data: bytes, pieces: int) -> None:
    for limit in (len(data) - 1, len(data), len(data) + 1):
        parser = FrameParser(max_buffered_bytes=limit)
        cut = len(data) - 1 if pieces == 2 else 0
        parser.receive_data(data[:cut])
        parser.receive_data(data[cut:])
        if limit >= len(data):
            assert list(parser.receive_frames(b"")) == parse_frames(data)
            continue
        with pytest.raises(StompFrameError) as info:
            list(parser.receive_frames(b""))
        assert str(info.value) == f"The configured STOMP buffer size limit of {limit} bytes has been exceeded"


@pytest.mark.spec("STOMP-03")
def test_limit_covers_the_rest_and_the_new_piece_but_not_what_has_been_decoded() -> None:
    for size in (9, 10, 11):
        parser = FrameParser(max_buffered_bytes=10)
        for _ in range(50):
            parser.receive_data(b"SEND\n\n1\0")
            assert list(parser.receive_frames(b"")) == [StompFrame("SEND", [], b"1")]
        parser.receive_data(b"SEND\n\n")
        assert list(parser.receive_frames(b"")) == []
        body = b"x" * (size - 7)
        parser.receive_data(body + b"\0")
        if size <= 10:
            assert list(parser.receive_frames(b"")) == [StompFrame("SEND", [], body)]
            continue
        with pytest.raises(StompFrameError, match="limit of 10 bytes has been exceeded"):
            list(parser.receive_frames(b""))


@pytest.mark.spec("STOMP-03")
@pytest.mark.parametrize("length", [59, 60, 61, 10**30])
def test_known_content_length_is_held_against_the_limit_before_the_next_decoding(length: int) -> None:
    parser = FrameParser(max_buffered_bytes=60)
    parser.receive_data(f"SEND\ncontent-length:{length}\n".encode())
    assert list(parser.receive_frames(b"")) == []
    parser.receive_data(b"\n")
    if length <= 60:
        assert list(parser.receive_frames(b"")) == []
        return
    with pytest.raises(StompFrameError) as info:
        list(parser.receive_frames(b""))
    shown = min(length, sys.maxsize)
    assert str(info.value) == (f"STOMP 'content-length' header value {shown}  exceeds configured buffer size limit 60")


@pytest.mark.spec("STOMP-03")
def test_number_of_headers_is_bounded_by_the_limit_alone() -> None:
    lines = [(f"h{number}", "") for number in range(3000)]
    data = encode_frame("SUBSCRIBE", lines)
    assert parse_in_pieces([data], limit=len(data)) == [StompFrame("SUBSCRIBE", lines)]
    assert parse_in_pieces([data[:5], data[5:]], limit=len(data)) == [StompFrame("SUBSCRIBE", lines)]


class CountingBuffer(bytearray):
    """Counts the bytes that searches run over."""

    searched = 0

    def find(self, sub: bytes, start: int = 0, end: int | None = None) -> int:  # type: ignore[override]
        stop = len(self) if end is None else end
        found = super().find(sub, start, stop)
        CountingBuffer.searched += (stop if found < 0 else found + 1) - start
        return found


@pytest.mark.spec("STOMP-03")
@pytest.mark.parametrize(
    "data",
    [
        b"SEND\na:" + b"x" * 5000 + b"\n\n\0",
        b"SEND\n" + b"a:b\n" * 1250 + b"\n\0",
        b"SEND\n\n" + b"x" * 5000 + b"\0",
        b"SEND\ncontent-length:5000\n\n" + b"x" * 5000 + b"\0",
        b"\n" * 5000 + b"SEND\n\n\0",
    ],
    ids=["long line", "many lines", "body", "body with length", "eols"],
)
def test_work_does_not_grow_with_the_number_of_pieces(data: bytes) -> None:
    parser = FrameParser()
    CountingBuffer.searched = 0
    parser._buffer = CountingBuffer()
    frames: list[StompFrame | Heartbeat] = []
    for i in range(len(data)):
        parser.receive_data(data[i : i + 1])
        frames.extend(parser.receive_frames(b""))
    assert len(without_heartbeats(frames)) == 1
    assert CountingBuffer.searched <= 4 * len(data)


@pytest.mark.spec("STOMP-03")
@pytest.mark.parametrize("size", [9, 10, 11])
def test_split_frame_cuts_into_pieces_of_at_most_the_limit(size: int) -> None:
    data = bytes(range(size))
    assert split_frame(data, 10) == ([data] if size <= 10 else [data[:10], data[10:]])
    assert split_frame(data, 3) == [data[i : i + 3] for i in range(0, size, 3)]
    assert split_frame(data, 1) == [bytes([byte]) for byte in data]
    assert split_frame(b"", 1) == [b""]


# Heads that are remembered


@pytest.mark.spec("STOMP-01")
@pytest.mark.parametrize("size", [-1, 0, 1])
def test_short_heads_of_send_are_shared_by_their_frames(size: int) -> None:
    head = b"SEND\na:"
    head += b"x" * (plain_frames.REMEMBERED_LENGTH + size - len(head))
    first, second = parse_frames(head + b"\n\n1\0" + head + b"\n\n2\0")
    assert isinstance(first, StompFrame) and isinstance(second, StompFrame)
    assert (first.head is second.head) == (size <= 0)
    assert (first.body, second.body) == (b"1", b"2")
    assert first.headers == second.headers


@pytest.mark.spec("STOMP-01")
@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "SEND"])
def test_heads_of_other_commands_are_not_kept(command: str) -> None:
    data = f"{command}\nlogin:me\npasscode:secret\n\n\0".encode()
    first, second = parse_frames(data + data)
    assert isinstance(first, StompFrame) and isinstance(second, StompFrame)
    assert first.head is not second.head


@pytest.mark.spec("STOMP-01")
def test_heads_are_kept_up_to_a_limit() -> None:
    limit = plain_frames.REMEMBERED_HEADS
    plain_frames.REMEMBERED.clear()
    for i in range(limit):
        parse_frames(f"SEND\na:{i}\n\n\0".encode())
    parse_frames(b"SEND\na:0\n\n\0")
    assert len(plain_frames.REMEMBERED) == limit
    parse_frames(f"SEND\na:{limit}\n\n\0".encode())
    assert len(plain_frames.REMEMBERED) == 1


SHORT_HEADS = (
    b"SEND",
    b"SEND\na:1",
    b"SEND\ncontent-length:2",
    b"SEND\ncontent-length:4\na:\\c",
    b"SEND\ncontent-length:21",  # where the body would end if there were no empty line
    b"ACK\nid:1",
    b"SEND\r\na:1",
)
SHORT_ENDS = (b"", b"\0", b"\n", b"\0\n", b"x", b"x\0", b"xy\0", b"x\0\0", b"ab\0d\0", b"\0SEND\na:1\n\nx\0")


@pytest.mark.spec("STOMP-01")
@pytest.mark.parametrize("empty_line", [b"\n\n", b"\n", b""])
@pytest.mark.parametrize("head", SHORT_HEADS)
@pytest.mark.parametrize("end", SHORT_ENDS)
def test_the_short_way_of_a_send_gives_the_same_or_nothing(head: bytes, empty_line: bytes, end: bytes) -> None:
    for known in SHORT_HEADS:
        plain_frames.parse_plain(known + b"\n\n" + bytes(30), [])
    data = head + empty_line + end
    parser = FrameParser()
    send = parser.take_known_send(data)
    assert parser.buffered_bytes == 0
    if send is not None:
        given, body = send
        assert FrameParser().receive_frames(data) == [StompFrame(given.command, given.headers, body)]


@pytest.mark.spec("STOMP-01")
def test_a_send_goes_the_short_way_once_its_head_is_remembered() -> None:
    plain_frames.REMEMBERED.clear()
    parser, data = FrameParser(), b"SEND\na:1\n\nx\0"
    assert parser.take_known_send(data) is None
    [frame] = parser.receive_frames(data)
    assert isinstance(frame, StompFrame)
    assert parser.take_known_send(data) == (frame.head, b"x")


@pytest.mark.spec("STOMP-01", "STOMP-03")
def test_the_short_way_is_closed_while_something_waits_or_is_wrong() -> None:
    data = b"SEND\na:1\n\nx\0"
    parse_frames(data)
    waiting = FrameParser()
    list(waiting.receive_frames(b"SEND\nb:"))
    assert waiting.take_known_send(data) is None
    untouched = FrameParser()
    untouched.receive_data(b"SEND\nb:")
    assert untouched.take_known_send(data) is None
    broken = FrameParser()
    with pytest.raises(StompFrameError):
        list(broken.receive_frames(b"NONSENSE\n\n\0"))
    assert broken.take_known_send(data) is None


@pytest.mark.spec("STOMP-03")
@pytest.mark.parametrize(("room", "taken"), [(-1, False), (0, True), (1, True)])
def test_the_limit_holds_on_the_short_way(room: int, taken: bool) -> None:
    data = b"SEND\na:1\n\nx\0"
    parse_frames(data)
    assert (FrameParser(max_buffered_bytes=len(data) + room).take_known_send(data) is not None) is taken


@pytest.mark.spec("STOMP-01")
def test_what_is_changed_in_a_multimap_is_changed_nowhere_else() -> None:
    [frame] = parse_frames(b"SEND\na:1\n\n\0")
    assert isinstance(frame, StompFrame)
    frame.multimap["a"].append("2")
    assert frame.multimap == {"a": ["1"]}


@pytest.mark.spec("STOMP-01")
@pytest.mark.parametrize("body", [b"", b"\0", b"a\0b\n\nSEND\n\n\0"])
def test_a_body_with_nuls_is_plain_where_its_length_is_told(body: bytes) -> None:
    data = b"SEND\ncontent-length:%d\n\n%b\0" % (len(body), body)
    frames: list[StompFrame | Heartbeat] = []
    assert plain_frames.parse_plain(data + data, frames) == 2 * len(data)
    assert frames == [StompFrame("SEND", [("content-length", str(len(body)))], body)] * 2


# Frames as values


@pytest.mark.spec("STOMP-01")
def test_frames_are_compared_by_value() -> None:
    frame = StompFrame("SEND", [("a", "b")], b"1")
    assert frame == StompFrame("SEND", [("a", "b")], b"1")
    assert frame != StompFrame("MESSAGE", [("a", "b")], b"1")
    assert frame != StompFrame("SEND", [("a", "c")], b"1")
    assert frame != StompFrame("SEND", [("a", "b")])
    assert frame != "SEND"
    assert repr(frame) == "StompFrame('SEND', [('a', 'b')], b'1')"
    with pytest.raises(TypeError):
        hash(frame)
    with pytest.raises(AttributeError):
        frame.other = 1  # type: ignore[attr-defined]


@pytest.mark.spec("STOMP-01")
@pytest.mark.parametrize(
    "module", [frame_module, frame_parser, plain_frames], ids=["frame", "frame_parser", "plain_frames"]
)
def test_codec_imports_only_the_standard_library(module: ModuleType) -> None:
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            if module is not frame_module and node.level == 1 and node.module in ("frame", "plain_frames"):
                continue
            assert node.level == 0
            assert str(node.module).split(".")[0] in sys.stdlib_module_names
        elif isinstance(node, ast.Import):
            assert all(alias.name.split(".")[0] in sys.stdlib_module_names for alias in node.names)


# Properties

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.text(":\\\r\nac\0", max_size=8)
LITERAL_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n:"), max_size=12)


@st.composite
def frames_to_send(draw: st.DrawFn) -> StompFrame:
    command = draw(st.sampled_from(COMMANDS))
    text = LITERAL_TEXT if command in LITERAL else TEXT
    headers = draw(st.lists(st.tuples(text.filter(bool), text), max_size=5))
    headers = [header for header in headers if header[0] != "content-length"]
    body = (
        draw(st.binary(max_size=30) | st.text("\0\n\r:", max_size=5).map(str.encode)) if command in WITH_BODY else b""
    )
    return StompFrame(command, headers, body)


def as_received(frame: StompFrame) -> StompFrame:
    if frame.command not in WITH_BODY or not (frame.headers or b"\0" in frame.body):
        return frame
    return StompFrame(frame.command, [*frame.headers, ("content-length", str(len(frame.body)))], frame.body)


@st.composite
def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@pytest.mark.spec("STOMP-01", "STOMP-02", "STOMP-03")
@given(st.data(), st.lists(frames_to_send(), max_size=5))
def test_what_is_encoded_is_parsed_however_it_is_cut(data: st.DataObject, sent: list[StompFrame]) -> None:
    wire = b"".join(encode_frame(frame.command, frame.headers, frame.body) for frame in sent)
    expected = [as_received(frame) for frame in sent]
    assert parse_frames(wire) == expected
    assert parse_in_pieces(data.draw(cut(wire))) == expected


GARBAGE = st.binary(max_size=60) | st.lists(
    st.sampled_from(
        [b"SEND", b"CONNECT", b"ACK", b"\n", b"\n\n", b"\r\n", b"\r", b"\0", b"a:b\n", b":", b"\\", b"\\c", b"\xff"]
        + [b"content-length:", b"content-length:2\n", b"x", b"SEND\n\n\0", b"SEND\na:b\n\n", b"SEND\r\na:\\n\r\n\r\n"]
    ),
    max_size=14,
).map(b"".join)


def outcome(pieces: list[bytes], limit: int) -> tuple[list[StompFrame], str | None]:
    parser = FrameParser(max_buffered_bytes=limit)
    frames: list[StompFrame] = []
    try:
        for piece in pieces:
            parser.receive_data(piece)
            for frame in parser.receive_frames(b""):
                if isinstance(frame, StompFrame):
                    frames.append(frame)
            assert parser.buffered_bytes <= limit
    except StompFrameError as error:
        return frames, str(error)
    return frames, None


@pytest.mark.spec("STOMP-01", "STOMP-03")
@given(st.data(), GARBAGE)
def test_garbage_gives_the_same_frames_and_the_same_error_however_it_is_cut(
    data: st.DataObject, garbage: bytes
) -> None:
    whole = outcome([garbage], 1 << 16)
    assert outcome(data.draw(cut(garbage)), 1 << 16) == whole
    # Byte by byte no frame is ever plain.
    assert outcome([garbage[i : i + 1] for i in range(len(garbage))], 1 << 16) == whole


@pytest.mark.spec("STOMP-03")
@given(st.data(), GARBAGE, st.integers(1, 70))
def test_garbage_under_a_limit_raises_nothing_else_and_is_never_kept_beyond_it(
    data: st.DataObject, garbage: bytes, limit: int
) -> None:
    outcome(data.draw(cut(garbage)), limit)
