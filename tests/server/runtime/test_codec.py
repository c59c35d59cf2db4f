"""The WebSocket codec: every frame, cut anywhere, each limit and error, held against the protocol of `websockets`."""

from __future__ import annotations

import codecs
import gc
import random
import struct
import tracemalloc
import zlib
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side

from wellhead.server.runtime.codec import (
    BINARY,
    CLOSE,
    FAILED,
    PING,
    PONG,
    TEXT,
    Event,
    WebSocketCodec,
    frame_header,
)
from wellhead.server.runtime.deflate import DeflateParameters

LIMIT = 70_000
MASK = b"\x01\x82\x43\xf4"


def codec(
    *, limit: int = LIMIT, partial: bool = False, deflate: DeflateParameters | None = None, client: bool = False
) -> WebSocketCodec:
    return WebSocketCodec(
        max_text_size=limit, max_binary_size=limit, partial_messages=partial, deflate=deflate, client_side=client
    )


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = MASK,
    announced: int | None = None,
) -> bytes:
    """A frame built by hand, so that it may be wrong."""
    length = len(payload) if announced is None else announced
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    bit = 0 if mask is None else 0x80
    if length < 126:
        head = struct.pack("!BB", first, bit | length)
    elif length < 65536:
        head = struct.pack("!BBH", first, bit | 126, length)
    else:
        head = struct.pack("!BBQ", first, bit | 127, length)
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def unmasked(wire: bytes) -> list[tuple[int, bytes]]:
    """(first byte, payload) of each unmasked frame on the wire."""
    found = []
    while wire:
        start = {126: 4, 127: 10}.get(wire[1], 2)
        length = int.from_bytes(wire[2:start], "big") if start > 2 else wire[1]
        found.append((wire[0], wire[start : start + length]))
        wire = wire[start + length :]
    return found


def feed(receiver: WebSocketCodec, chunks: Iterable[bytes]) -> list[Event]:
    return [event for chunk in chunks for event in receiver.receive_data(chunk)]


def payload_of(event: Event) -> bytes:
    assert isinstance(event[1], bytes)
    return event[1]


def close_frame(code: int, reason: bytes = b"") -> bytes:
    return frame(8, struct.pack("!H", code) + reason)


# Every kind of frame.

LENGTHS = [0, 1, 125, 126, 127, 300, 65535, 65536]


@pytest.mark.spec("WSA-02")
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("client", [False, True])
def test_a_whole_data_frame_is_one_event_with_the_payload_as_bytes(opcode: int, length: int, client: bool) -> None:
    payload = b"x" * length
    receiver = codec(client=client)
    assert receiver.receive_data(frame(opcode, payload, mask=None if client else MASK)) == [(opcode, payload, True)]
    assert not receiver.outgoing


@pytest.mark.spec("WSA-02")
@pytest.mark.spec("SB-04")
@pytest.mark.parametrize("before", [b"", frame(0x1, b"hi"), frame(0x1, b"hi", fin=False), frame(0x1, b"hi")[:-1]])
@pytest.mark.parametrize("limit", [0, 1])
def test_a_line_feed_is_told_without_decoding_where_decoding_would_give_just_that(before: bytes, limit: int) -> None:
    texts = [frame(opcode, payload) for opcode in range(16) for payload in (b"\n", b"\r", b"\0", b"\x8a")]
    others = [
        frame(0x1, b"\n", fin=False),
        frame(0x1, b"\n", rsv=4),
        frame(0x1, b"\n", mask=bytes(4)),
        frame(0x1) + b"\n",
    ]
    for wire in [*texts, *others, frame(0x1, b"12345", mask=None), frame(0x1, b"\x81\n\0\0\n", mask=None)]:
        receiver = codec(limit=2)
        receiver.receive_data(before)
        receiver.max_text_size = limit
        told = receiver.is_line_feed(wire)
        assert told is (receiver.receive_data(wire) == [(TEXT, b"\n", True)]), wire


def test_a_client_is_told_of_no_line_feed() -> None:
    assert not codec(client=True).is_line_feed(frame(0x1, b"\n"))


def test_several_frames_in_one_read_come_in_order() -> None:
    wire = frame(1, b"a") + frame(2, b"\x00") + frame(9, b"p") + frame(1, "ü€😀".encode()) + frame(10, b"q") + frame(1)
    assert codec().receive_data(wire) == [
        (TEXT, b"a", True),
        (BINARY, b"\x00", True),
        (PING, b"p"),
        (TEXT, "ü€😀".encode(), True),
        (PONG, b"q"),
        (TEXT, b"", True),
    ]


@pytest.mark.spec("WSA-02")
def test_a_ping_is_answered_with_its_payload_and_a_pong_is_not_answered() -> None:
    receiver = codec()
    assert receiver.receive_data(frame(9, b"life") + frame(10, b"sign")) == [(PING, b"life"), (PONG, b"sign")]
    assert receiver.outgoing == [b"\x8a\x04life"]
    assert receiver.data_to_send() == b"\x8a\x04life"
    assert receiver.data_to_send() == b""


@pytest.mark.spec("WSA-02")
def test_each_of_many_pings_is_answered_in_order_without_the_protocol_object() -> None:
    receiver = codec()
    payloads = [b"%d" % number for number in range(1_000)]
    events = receiver.receive_data(b"".join(frame(9, payload) for payload in payloads))
    assert events == [(PING, payload) for payload in payloads]
    assert receiver.outgoing == [b"\x8a" + bytes([len(payload)]) + payload for payload in payloads]
    assert receiver._protocol is None


@pytest.mark.spec("WSA-02")
def test_a_ping_after_our_close_frame_is_not_answered() -> None:
    receiver = codec()
    receiver.encode_close(1000)
    assert receiver.receive_data(frame(9, b"late") + frame(1, b"text")) == [(PING, b"late"), (TEXT, b"text", True)]
    assert receiver.data_to_send() == b""


@pytest.mark.spec("WSA-02")
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_fragments_become_one_message_and_control_frames_may_come_between(opcode: int) -> None:
    receiver = codec()
    wire = frame(opcode, b"one ", fin=False) + frame(9, b"?") + frame(0, b"", fin=False) + frame(0, b"two")
    assert receiver.receive_data(wire) == [(PING, b"?"), (opcode, b"one two", True)]
    assert receiver.receive_data(frame(opcode, b"next")) == [(opcode, b"next", True)]


def test_a_character_may_be_cut_between_fragments() -> None:
    payload = "€".encode()
    wire = frame(1, payload[:1], fin=False) + frame(0, payload[1:2], fin=False) + frame(0, payload[2:])
    assert codec().receive_data(wire) == [(TEXT, payload, True)]


@pytest.mark.spec("WSA-03")
@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 4500, 4999])
def test_a_close_frame_gives_code_and_reason_and_is_echoed(code: int) -> None:
    receiver = codec()
    assert receiver.receive_data(close_frame(code, "bye ü".encode())) == [(CLOSE, code, "bye ü")]
    assert unmasked(receiver.data_to_send()) == [(0x88, struct.pack("!H", code) + "bye ü".encode())]
    assert receiver.closed


@pytest.mark.spec("WSA-03")
def test_a_close_frame_without_a_code_is_1005_and_echoed_empty() -> None:
    receiver = codec()
    assert receiver.receive_data(frame(8)) == [(CLOSE, 1005, "")]
    assert receiver.data_to_send() == b"\x88\x00"


def test_a_close_frame_may_come_between_fragments() -> None:
    receiver = codec()
    assert receiver.receive_data(frame(1, b"part", fin=False) + close_frame(1000)) == [(CLOSE, 1000, "")]
    assert unmasked(receiver.data_to_send()) == [(0x88, b"\x03\xe8")]


def test_nothing_is_processed_after_a_close_frame() -> None:
    receiver = codec()
    assert receiver.receive_data(close_frame(1000) + frame(1, b"late") + frame(9, b"late")) == [(CLOSE, 1000, "")]
    receiver.data_to_send()
    assert receiver.receive_data(frame(9, b"later")) == []
    assert receiver.receive_eof() == []
    assert not receiver.outgoing


# Cut anywhere.

CUT_VECTORS = [
    frame(1, b"hello"),
    frame(2, bytes(range(200))),
    frame(1, b"first") + frame(1, "zweites ü".encode()) + frame(9, b"ping") + frame(2, b"third"),
    frame(1, "a€".encode()[:2], fin=False) + frame(10, b"pong") + frame(0, "a€".encode()[2:]) + close_frame(1001, b"x"),
    frame(1, b"a") + frame(0, b"unexpected"),
    frame(1, b"") + frame(2, b"") + frame(9) + frame(8),
    frame(1, b"\xff"),
]


@pytest.mark.parametrize("wire", CUT_VECTORS)
def test_frames_cut_at_every_byte_give_the_same_events(wire: bytes) -> None:
    whole = codec()
    expected = whole.receive_data(wire)
    for cut in range(len(wire) + 1):
        receiver = codec()
        assert feed(receiver, [wire[:cut], wire[cut:]]) == expected
        assert receiver.outgoing == whole.outgoing
    assert feed(codec(), (wire[i : i + 1] for i in range(len(wire)))) == expected


def test_a_long_frame_cut_in_its_header_and_in_small_reads_arrives() -> None:
    payload = bytes(i & 0xFF for i in range(LIMIT))
    wire = frame(2, payload) + frame(1, b"next")
    for cut in range(15):
        rest = (wire[i : i + 999] for i in range(cut, len(wire), 999))
        assert feed(codec(), [wire[:cut], *rest]) == [(BINARY, payload, True), (TEXT, b"next", True)]


# What is refused.

REFUSED = [
    pytest.param(frame(1, b"x", mask=None), 1002, "incorrect masking", id="unmasked text"),
    pytest.param(frame(9, b"x", mask=None), 1002, "incorrect masking", id="unmasked ping"),
    *(pytest.param(frame(op, b"x"), 1002, "invalid opcode", id=f"opcode {op}") for op in (3, 4, 5, 6, 7)),
    *(pytest.param(frame(op, b"x"), 1002, "invalid opcode", id=f"opcode {op}") for op in (11, 12, 13, 14, 15)),
    *(pytest.param(frame(1, b"x", rsv=rsv), 1002, "reserved bits must be 0", id=f"rsv {rsv}") for rsv in range(1, 8)),
    pytest.param(frame(9, b"x", rsv=4), 1002, "reserved bits must be 0", id="rsv1 on ping"),
    pytest.param(frame(0, b"x"), 1002, "unexpected continuation frame", id="continuation of nothing"),
    pytest.param(frame(0, b"x", fin=False), 1002, "unexpected continuation frame", id="open continuation of nothing"),
    pytest.param(
        frame(1, b"a", fin=False) + frame(1, b"b"), 1002, "expected a continuation frame", id="text within a message"
    ),
    pytest.param(frame(9, b"x", fin=False), 1002, "fragmented control frame", id="fragmented ping"),
    *(pytest.param(frame(op, b"x" * 126), 1002, "control frame too long", id=f"long {op}") for op in (8, 9, 10)),
    pytest.param(frame(8, b"\x03"), 1002, "close frame too short", id="one byte of a close code"),
    *(
        pytest.param(close_frame(code), 1002, "invalid status code", id=f"close {code}")
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    ),
    pytest.param(close_frame(1000, b"\xff"), 1007, "invalid start byte at position 0", id="reason not UTF-8"),
    pytest.param(frame(1, b"ab\xff"), 1007, "invalid start byte at position 2", id="text not UTF-8"),
    pytest.param(frame(1, b"ab\xc3"), 1007, "unexpected end of data at position 2", id="text ends in a character"),
    pytest.param(frame(1, b"\xed\xa0\x80"), 1007, "invalid continuation byte at position 0", id="surrogate"),
    pytest.param(frame(1, b"a\xff", fin=False), 1007, "invalid start byte at position 1", id="open fragment not UTF-8"),
    pytest.param(
        frame(1, b"a\xc3", fin=False) + frame(0, b""), 1007, "unexpected end of data at position 0", id="cut character"
    ),
    pytest.param(
        frame(2, b"x" * (LIMIT + 1)), 1009, f"frame with {LIMIT + 1} bytes exceeds limit of {LIMIT} bytes", id="long"
    ),
]


@pytest.mark.spec("WSA-03")
@pytest.mark.parametrize(("wire", "code", "reason"), REFUSED)
def test_what_is_wrong_fails_once_with_a_close_frame_and_ends_reading(wire: bytes, code: int, reason: str) -> None:
    for chunks in ([wire, frame(1, b"more")], [wire + frame(1, b"more")], [wire[:1], wire[1:]]):
        receiver = codec()
        assert feed(receiver, chunks) == [(FAILED, code, reason)]
        assert unmasked(receiver.data_to_send()) == [(0x88, struct.pack("!H", code) + reason.encode())]
        assert receiver.closed
        assert receiver.receive_eof() == []


def test_messages_before_the_mistake_are_given() -> None:
    receiver = codec()
    assert receiver.receive_data(frame(1, b"good") + frame(3) + frame(1, b"lost")) == [
        (TEXT, b"good", True),
        (FAILED, 1002, "invalid opcode"),
    ]


def test_a_client_refuses_masked_frames_and_answers_masked() -> None:
    receiver = codec(client=True)
    assert receiver.receive_data(frame(1, b"x")) == [(FAILED, 1002, "incorrect masking")]
    assert receiver.data_to_send()[:2] == b"\x88\x93"


@pytest.mark.parametrize("cut", [2, 4, 6, 10])
def test_too_long_is_refused_at_the_header_without_its_payload(cut: int) -> None:
    head = frame(2, announced=1 << 40)[:10]
    receiver = codec()
    assert feed(receiver, [head[:cut], head[cut:]]) == [
        (FAILED, 1009, f"frame with {1 << 40} bytes exceeds limit of {LIMIT} bytes")
    ]


@pytest.mark.parametrize(
    "head", [frame(9, announced=126)[:2], frame(8, announced=70_000)[:2], frame(3, announced=9)[:2]]
)
def test_a_wrong_header_is_refused_when_its_two_bytes_are_there(head: bytes) -> None:
    assert codec().receive_data(head)[0][:2] == (FAILED, 1002)


@pytest.mark.spec("WSA-02")
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("limit", [1, 100, 125, 126, 1000, 65535, 65536])
def test_the_limit_is_the_largest_message_that_is_taken(opcode: int, limit: int) -> None:
    for size in (limit - 1, limit):
        assert codec(limit=limit).receive_data(frame(opcode, b"x" * size)) == [(opcode, b"x" * size, True)]
    assert codec(limit=limit).receive_data(frame(opcode, b"x" * (limit + 1)))[0][:2] == (FAILED, 1009)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("last", [39, 40, 41])
def test_the_limit_counts_all_fragments_but_no_control_frames(opcode: int, last: int) -> None:
    receiver = codec(limit=100)
    assert receiver.receive_data(frame(opcode, b"x" * 60, fin=False) + frame(10, b"p" * 125)) == [(PONG, b"p" * 125)]
    event = receiver.receive_data(frame(0, b"x" * last))[0]
    if last > 40:
        assert event[:2] == (FAILED, 1009)
    else:
        assert event == (opcode, b"x" * (60 + last), True)


def test_text_and_binary_have_limits_of_their_own_that_may_change() -> None:
    receiver = WebSocketCodec(max_text_size=10, max_binary_size=20)
    assert receiver.receive_data(frame(2, b"x" * 20)) == [(BINARY, b"x" * 20, True)]
    receiver.max_text_size = 30
    assert receiver.receive_data(frame(1, b"x" * 30)) == [(TEXT, b"x" * 30, True)]
    receiver.max_binary_size = 5
    assert receiver.receive_data(frame(2, b"x" * 6))[0][:2] == (FAILED, 1009)


def test_more_than_4096_fragments_are_one_message() -> None:
    wire = frame(1, b"0", fin=False) + frame(0, b"1", fin=False) * 5000 + frame(0, b"2")
    assert codec().receive_data(wire) == [(TEXT, b"0" + b"1" * 5000 + b"2", True)]


def test_a_flood_of_empty_fragments_holds_no_memory() -> None:
    receiver = codec()
    flood = frame(0, b"", fin=False) * 1000
    receiver.receive_data(frame(1, b"", fin=False) + flood)
    tracemalloc.start()
    try:
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(5):
            receiver.receive_data(flood)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 4096
    finally:
        tracemalloc.stop()
    assert receiver.receive_data(frame(0, b"end")) == [(TEXT, b"end", True)]


def test_the_end_of_the_stream_without_a_close_frame_is_1006_once() -> None:
    for wire in (b"", frame(1, b"x")[:4], frame(1, b"x", fin=False)):
        receiver = codec()
        receiver.receive_data(wire)
        assert receiver.receive_eof() == [(FAILED, 1006, "connection ended without a close frame")]
        assert receiver.receive_eof() == []
        assert receiver.receive_data(frame(1, b"x")) == []
        assert not receiver.outgoing


# Partial messages.


@pytest.mark.spec("WSA-02")
def test_partial_delivery_gives_each_fragment_with_text_cut_between_characters() -> None:
    receiver = codec(partial=True)
    payload = "ab€".encode()
    wire = frame(1, payload[:3], fin=False) + frame(0, payload[3:4], fin=False) + frame(0, payload[4:])
    assert receiver.receive_data(wire) == [(TEXT, b"ab", False), (TEXT, "€".encode(), True)]
    assert receiver.receive_data(frame(2, b"\x00", fin=False) + frame(0)) == [
        (BINARY, b"\x00", False),
        (BINARY, b"", True),
    ]
    assert receiver.receive_data(frame(1, b"whole")) == [(TEXT, b"whole", True)]


@pytest.mark.spec("WSA-02")
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("limit", [1, 4, 7, 100])
def test_partial_delivery_takes_messages_over_the_limit_in_parts(opcode: int, limit: int) -> None:
    payload = "0123456789€".encode() * 20 + b"!"  # 261 bytes: the last part is a single byte where four are taken
    wire = frame(opcode, payload) + frame(opcode, payload, fin=False) + frame(9) + frame(0, payload) + frame(2, b"")
    for step in (1, 3, 50, len(wire)):
        events = feed(codec(limit=limit, partial=True), (wire[i : i + step] for i in range(0, len(wire), step)))
        assert events[-1] == (BINARY, b"", True)
        data = [(event[2:] == (True,), payload_of(event)) for event in events[:-1] if event[0] == opcode]
        assert len(events) - len(data) == 2
        assert all(len(part) <= max(limit, 4) + 3 for _, part in data)
        ends = [i for i, (fin, _) in enumerate(data) if fin]
        assert len(ends) == 2 and ends[1] == len(data) - 1
        joined = [b"".join(part for _, part in parts) for parts in (data[: ends[0] + 1], data[ends[0] + 1 :])]
        assert joined == [payload, payload * 2]


def test_partial_delivery_fails_fast_on_text_that_is_not_utf8() -> None:
    receiver = codec(limit=8, partial=True)
    events = receiver.receive_data(frame(1, b"12345678\xff" + b"x" * 100)[:22])
    assert events == [(TEXT, b"12345678", False), (FAILED, 1007, "invalid start byte at position 0")]


# Outgoing.


@pytest.mark.parametrize("length", LENGTHS)
def test_server_frames_are_unmasked_and_begin_with_the_shared_header(length: int) -> None:
    payload = b"y" * length
    sender = codec()
    for opcode, encoded in ((TEXT, sender.encode_text(payload)), (BINARY, sender.encode_binary(payload))):
        assert encoded == Frame(Opcode(opcode), payload).serialize(mask=False)
        assert encoded == frame_header(opcode, length) + payload
        assert codec(client=True).receive_data(encoded) == [(opcode, payload, True)]


@pytest.mark.parametrize("length", LENGTHS)
def test_client_frames_are_masked_anew_each_time(length: int) -> None:
    payload = b"z" * length
    sender, receiver = codec(client=True), codec()
    first, second = sender.encode_text(payload), sender.encode_text(payload)
    assert first[1] & 0x80 and first != second
    assert receiver.receive_data(first + second + sender.encode_binary(payload)) == [
        (TEXT, payload, True),
        (TEXT, payload, True),
        (BINARY, payload, True),
    ]


@pytest.mark.spec("WSA-02")
def test_ping_and_pong_payloads_are_optional_and_at_most_125_bytes() -> None:
    sender = codec()
    assert sender.encode_ping() == b"\x89\x00"
    assert sender.encode_pong(b"x" * 125) == b"\x8a\x7d" + b"x" * 125
    for encode in (sender.encode_ping, sender.encode_pong):
        with pytest.raises(ValueError, match="at most 125 bytes, not 126"):
            encode(b"x" * 126)


@pytest.mark.spec("WSA-03")
def test_close_is_encoded_once_with_code_and_reason() -> None:
    sender = codec()
    assert sender.encode_close(4500, "Failed to send") == b"\x88\x10\x11\x94Failed to send"
    assert sender.encode_close(1000) == b""
    assert codec().encode_close(1005) == b"\x88\x00"
    assert codec().encode_close(1000, "€" * 42)[2:] == b"\x03\xe8" + ("€" * 41).encode()


@pytest.mark.spec("WSA-03")
@pytest.mark.parametrize("code", [999, 1004, 1006, 1015, 2000, 5000])
def test_codes_that_must_not_be_sent_are_refused_and_leave_the_codec_open(code: int) -> None:
    sender = codec()
    with pytest.raises(ValueError, match=f"close code {code} must not be sent"):
        sender.encode_close(code)
    assert sender.encode_close(1000) == b"\x88\x02\x03\xe8"


def test_after_our_close_messages_still_come_in_but_nothing_is_answered() -> None:
    receiver = codec()
    receiver.encode_close(1000)
    wire = frame(1, b"crossed") + frame(9, b"ping") + close_frame(1000)
    assert receiver.receive_data(wire) == [(TEXT, b"crossed", True), (PING, b"ping"), (CLOSE, 1000, "")]
    assert not receiver.outgoing
    failing = codec()
    failing.encode_close(1001)
    assert failing.receive_data(frame(3)) == [(FAILED, 1002, "invalid opcode")]
    assert not failing.outgoing


def test_what_was_not_answered_on_one_connection_is_not_sent_on_another() -> None:
    closing = codec()
    closing.encode_close(1000)
    closing.receive_data(frame(9, b"secret"))
    other = codec()
    other.receive_data(frame(9, b"own"))
    assert other.data_to_send() == b"\x8a\x03own"


# Compression.

KEPT = DeflateParameters(min_payload_bytes=1)
FORGOTTEN = DeflateParameters(server_no_context_takeover=True, client_no_context_takeover=True, min_payload_bytes=1)
SMALL = DeflateParameters(server_max_window_bits=9, client_max_window_bits=9, min_payload_bytes=1)


def deflated(payload: bytes, finish: int = zlib.Z_SYNC_FLUSH) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    data = compressor.compress(payload) + compressor.flush(finish)
    return data.removesuffix(b"\x00\x00\xff\xff")


@pytest.mark.spec("WSA-02")
@pytest.mark.parametrize("parameters", [KEPT, FORGOTTEN, SMALL])
@pytest.mark.parametrize("client", [False, True])
def test_compressed_messages_arrive_and_keep_their_context_as_agreed(
    parameters: DeflateParameters, client: bool
) -> None:
    sender, receiver = codec(deflate=parameters, client=client), codec(deflate=parameters, client=not client)
    payload = b'{"hello": "world"}' * 20
    sizes = []
    for _ in range(3):
        wire = sender.encode_text(payload)
        sizes.append(len(wire))
        assert wire[0] == 0xC1
        assert receiver.receive_data(wire) == [(TEXT, payload, True)]
    assert (sizes[1] < sizes[0]) is (parameters is not FORGOTTEN)
    assert receiver.receive_data(sender.encode_binary(payload)) == [(BINARY, payload, True)]


def test_compressed_fragments_with_a_ping_between_are_one_message() -> None:
    payload = b"fragmented " * 100
    data = deflated(payload)
    wire = frame(1, data[:5], fin=False, rsv=4) + frame(9) + frame(0, data[5:], fin=False) + frame(0, b"")
    assert codec(deflate=KEPT).receive_data(wire) == [(PING, b""), (TEXT, payload, True)]


def test_short_and_empty_messages_are_sent_as_they_are() -> None:
    sender = codec(deflate=DeflateParameters(min_payload_bytes=10))
    assert sender.encode_text(b"x" * 9) == b"\x81\x09" + b"x" * 9
    assert sender.encode_text(b"x" * 10)[0] == 0xC1
    assert codec(deflate=DeflateParameters(min_payload_bytes=0)).encode_text(b"") == b"\x81\x00"


def test_uncompressed_messages_are_taken_when_compression_is_agreed() -> None:
    receiver = codec(deflate=KEPT)
    wire = frame(1, b"plain") + frame(2, b"in ", fin=False) + frame(0, b"parts") + frame(1, deflated(b"packed"), rsv=4)
    assert receiver.receive_data(wire) == [(TEXT, b"plain", True), (BINARY, b"in parts", True), (TEXT, b"packed", True)]


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("parameters", [KEPT, FORGOTTEN])
def test_the_limit_is_that_of_the_expanded_message(opcode: int, parameters: DeflateParameters) -> None:
    for size in (999, 1000):
        wire = frame(opcode, deflated(b"x" * size), rsv=4)
        assert codec(limit=1000, deflate=parameters).receive_data(wire) == [(opcode, b"x" * size, True)]
    for size in (1001, 1002, 10_000, 5_000_000):
        wire = frame(opcode, deflated(b"x" * size), rsv=4)
        assert codec(limit=1000, deflate=parameters).receive_data(wire)[0][:2] == (FAILED, 1009)


def test_what_cannot_be_compressed_is_taken_up_to_the_limit() -> None:
    payload = random.Random(1).randbytes(5000)
    compressor = zlib.compressobj(level=0, wbits=-15)
    data = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
    wire = frame(2, data[:-4], rsv=4)
    assert codec(limit=5000, deflate=KEPT).receive_data(wire) == [(BINARY, payload, True)]
    assert codec(limit=4999, deflate=KEPT).receive_data(wire)[0][:2] == (FAILED, 1009)


def test_a_bomb_in_the_last_fragment_of_a_full_message_is_refused_without_expanding_it() -> None:
    bomb = zlib.compressobj(wbits=-15)
    first = bomb.compress(b"x" * 1000) + bomb.flush(zlib.Z_SYNC_FLUSH)
    second = bomb.compress(b"x" * 5_000_000) + bomb.flush(zlib.Z_SYNC_FLUSH)
    receiver = codec(limit=1000, deflate=KEPT)
    assert receiver.receive_data(frame(2, first, fin=False, rsv=4)) == []
    part = frame(0, second[:200], fin=False)
    tracemalloc.start()
    try:
        assert receiver.receive_data(part)[0][:2] == (FAILED, 1009)
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("parameters", [KEPT, FORGOTTEN])
@pytest.mark.parametrize("padding", [b"\x00", b""])
def test_messages_that_end_their_stream_are_taken_one_after_another(
    parameters: DeflateParameters, padding: bytes
) -> None:
    receiver = codec(deflate=parameters)
    wire = frame(1, deflated(b"final block " * 9, zlib.Z_FINISH) + padding, rsv=4)
    for _ in range(3):
        assert receiver.receive_data(wire) == [(TEXT, b"final block " * 9, True)]


COMPRESSION_REFUSED = [
    pytest.param(frame(1, b"\xff\xff\xff", rsv=4), 1002, "decompression failed", id="not deflate"),
    pytest.param(frame(1, b"\x03\x00" * 50, rsv=4), 1002, "decompression failed", id="many final blocks"),
    pytest.param(frame(1, deflated(b"\xff"), rsv=4), 1007, "invalid start byte at position 0", id="not UTF-8"),
    pytest.param(frame(1, b"x", rsv=2), 1002, "reserved bits must be 0", id="rsv2"),
    pytest.param(frame(9, b"x", rsv=4), 1002, "reserved bits must be 0", id="compressed ping"),
    pytest.param(
        frame(1, deflated(b"x"), fin=False, rsv=4) + frame(0, b"", rsv=4),
        1002,
        "reserved bits must be 0",
        id="rsv1 on a continuation",
    ),
]


@pytest.mark.parametrize(("wire", "code", "reason"), COMPRESSION_REFUSED)
def test_wrong_compression_fails(wire: bytes, code: int, reason: str) -> None:
    assert codec(deflate=KEPT).receive_data(wire) == [(FAILED, code, reason)]


def test_partial_delivery_expands_long_frames_in_parts() -> None:
    payload = random.Random(1).randbytes(5000)
    receiver = codec(limit=1000, partial=True, deflate=KEPT)
    events = receiver.receive_data(frame(2, deflated(payload), rsv=4) + frame(1, b"next"))
    assert b"".join(map(payload_of, events[:-1])) == payload
    assert [event[2:] for event in events[:-1]] == [(False,)] * (len(events) - 2) + [(True,)]
    assert events[-1] == (TEXT, b"next", True)


# Memory.


@pytest.mark.parametrize(("parameters", "most"), [(None, 260), (FORGOTTEN, 520)])
def test_an_idle_codec_is_small_and_stays_so(parameters: DeflateParameters | None, most: int) -> None:
    work = frame(1, b"x") + frame(9) + frame(1, b"a", fin=False) + frame(0, b"b") + frame(2, b"y" * 300)[:200]
    rest = frame(2, b"y" * 300)[200:]
    for receiver in [codec(deflate=parameters) for _ in range(9)]:
        feed(receiver, [work, rest])
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        held = [codec(deflate=parameters) for _ in range(100)]
        for receiver in held:
            feed(receiver, [work, rest])
            receiver.data_to_send()
        assert (tracemalloc.get_traced_memory()[0] - before) / len(held) < most
    finally:
        tracemalloc.stop()


def test_a_finished_codec_leaves_no_protocol_object_to_the_collector() -> None:
    def use(wire: bytes) -> None:
        codec().receive_data(wire)

    def alive() -> int:
        return sum(type(thing) is Protocol for thing in gc.get_objects())

    wires = [frame(1, b"a", fin=False) + frame(0), frame(9), frame(8), frame(3), frame(1, b"a", fin=False) + frame(1)]
    for wire in wires:
        use(wire)
    gc.collect()
    gc.disable()
    try:
        before = alive()
        for wire in wires:
            use(wire)
        assert alive() <= before
    finally:
        gc.enable()


# Held against the protocol of `websockets`.


def reference_events(wire: bytes, limit: int) -> tuple[list[Event], list[bytes]]:
    """What the protocol object alone makes of ``wire``, with its frames joined to messages, text checked on the way."""
    protocol = Protocol(Side.SERVER, max_size=limit)
    protocol.receive_data(wire)
    answers = [data for data in protocol.data_to_send() if data]
    events: list[Event] = []
    message, decode = b"", None
    for got in protocol.events_received():
        assert isinstance(got, Frame)
        payload = bytes(got.data)
        if got.opcode is Opcode.PING:
            events.append((PING, payload))
        elif got.opcode is Opcode.PONG:
            events.append((PONG, payload))
        elif got.opcode is Opcode.CLOSE:
            assert protocol.close_rcvd is not None
            events.append((CLOSE, protocol.close_rcvd.code, protocol.close_rcvd.reason))
        else:
            if got.opcode is not Opcode.CONT:
                message, decode = (
                    b"",
                    codecs.getincrementaldecoder("utf-8")().decode if got.opcode is Opcode.TEXT else None,
                )
            try:
                if decode is not None:
                    decode(payload, got.fin)
            except UnicodeDecodeError as exc:
                return [*events, (FAILED, 1007, f"{exc.reason} at position {exc.start}")], answers
            message += payload
            if got.fin:
                events.append((BINARY if decode is None else TEXT, message, True))
    if protocol.parser_exc is not None:
        assert protocol.close_sent is not None
        events.append((FAILED, protocol.close_sent.code, protocol.close_sent.reason))
    return events, answers


texts = st.text(max_size=40).map(str.encode)
payloads = st.one_of(st.just(b""), texts, st.binary(max_size=40), st.integers(120, 300).map(lambda n: b"x" * n))
masks = st.binary(min_size=4, max_size=4)
good_frames = st.one_of(
    st.builds(frame, st.just(1), st.one_of(texts, st.integers(120, 300).map(lambda n: b"x" * n)), mask=masks),
    st.builds(frame, st.just(2), payloads, mask=masks),
    st.builds(frame, st.sampled_from([9, 10]), st.binary(max_size=125), mask=masks),
    st.builds(
        lambda payload, cuts, mask: b"".join(
            frame(2 if i == 0 else 0, payload[a:b], fin=b == len(payload), mask=mask)
            for i, (a, b) in enumerate(zip([0, *cuts], [*cuts, len(payload)], strict=True))
        ),
        st.binary(min_size=41, max_size=80),
        st.lists(st.integers(0, 40), max_size=4).map(sorted),
        masks,
    ),
)
any_frames = st.builds(
    frame,
    st.sampled_from([0, 1, 2, 2, 2, 3, 8, 9, 10, 15]),
    payloads,
    fin=st.sampled_from([True, True, True, False]),
    rsv=st.sampled_from([0] * 12 + [1, 2, 4]),
    mask=st.one_of(masks, masks, masks, masks, masks, masks, st.none()),
)
wires = st.one_of(
    st.lists(good_frames, max_size=8).map(b"".join),
    st.builds(lambda good, bad: b"".join(good + bad), st.lists(good_frames, max_size=4), st.lists(any_frames)),
    st.binary(max_size=60),
)


@pytest.mark.spec("WSA-02", "WSA-03")
@settings(max_examples=400, deadline=None)
@given(wires, st.lists(st.integers(0, 2000), max_size=12))
def test_any_frames_cut_anywhere_agree_with_the_protocol_of_websockets(wire: bytes, cuts: list[int]) -> None:
    receiver = codec()
    edges = [0, *sorted(cut for cut in cuts if cut < len(wire)), len(wire)]
    events = feed(receiver, (wire[a:b] for a, b in zip(edges, edges[1:], strict=False)))
    expected, answers = reference_events(wire, LIMIT)
    if expected[-1:] == [(FAILED, 1002, "incomplete fragmented message")]:
        assert events[-1][0] == CLOSE  # between fragments: RFC 6455 5.4 allows it
        assert events[:-1] == expected[:-1]
    elif len(events) > len(expected):
        assert events[:-1] == expected  # a wrong header is refused before its payload has come
        assert events[-1][:2] in [(FAILED, 1002), (FAILED, 1009)]
    else:
        assert events == expected
        if events[-1:] and events[-1][:2] == (FAILED, 1007):
            assert list(receiver.outgoing[:-1]) == answers[: len(receiver.outgoing) - 1]
        else:
            assert list(receiver.outgoing) == answers


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([TEXT, BINARY]), texts), max_size=6),
    st.sampled_from([KEPT, FORGOTTEN, SMALL, None]),
    st.booleans(),
    st.integers(1, 50),
)
def test_two_codecs_understand_each_other(
    messages: list[tuple[int, bytes]], deflate: DeflateParameters | None, client: bool, step: int
) -> None:
    sender, receiver = codec(client=client, deflate=deflate), codec(client=not client, deflate=deflate)
    wire = b"".join(
        sender.encode_text(payload) if opcode == TEXT else sender.encode_binary(payload) for opcode, payload in messages
    )
    wire += sender.encode_close(1000, "done")
    assert feed(receiver, (wire[i : i + step] for i in range(0, len(wire), step))) == [
        *((opcode, payload, True) for opcode, payload in messages),
        (CLOSE, 1000, "done"),
    ]
