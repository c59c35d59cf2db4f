import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wellhead.server.sockjs.frame import (
    HEARTBEAT,
    OPEN,
    BrokenJsonError,
    Frame,
    FrameError,
    NoPayloadError,
    close_frame,
    decode_array,
    decode_frame,
    decode_messages,
    message_frame,
    messages_frame,
    quote,
    script_string,
)

FRAMES = [
    (OPEN, Frame("o"), b"o"),
    (HEARTBEAT, Frame("h"), b"h"),
    (messages_frame([]), Frame("a"), b"a[]"),
    (messages_frame(["m1", "m2"]), Frame("a", ("m1", "m2")), b'a["m1","m2"]'),
    (message_frame("x"), Frame("a", ("x",)), b'm"x"'),
    (close_frame(3000, "Go away!"), Frame("c", (), 3000, "Go away!"), b'c[3000,"Go away!"]'),
    (close_frame(1011, None), Frame("c", (), 1011), b'c[1011,""]'),
    (close_frame(2010, "Another connection still open"), Frame("c", (), 2010, "Another connection still open"),
     b'c[2010,"Another connection still open"]'),
    (close_frame(4000, 'a "quoted" one'), Frame("c", (), 4000, 'a "quoted" one'), b'c[4000,"a \\"quoted\\" one"]'),
]  # fmt: skip

QUOTED = [
    ("", '""'),
    ("hi", '"hi"'),
    ('"\\/', '"\\"\\\\/"'),
    ("  \x00\n\r ", '"  \\u0000\\n\\r "'),
    ("\x1f\x20\x7f", '"\\u001f \x7f"'),
    ("grün, 漢字", '"grün, 漢字"'),
    ("\u200b\u200c\u200f\u2010", '"\u200b\\u200c\\u200f\u2010"'),
    ("\u2027\u2028\u202f\u2030", '"\u2027\\u2028\\u202f\u2030"'),
    ("\u205f\u2060\u206f\u2070", '"\u205f\\u2060\\u206f\u2070"'),
    ("\uffef\ufff0\uffff", '"\uffef\\ufff0\\uffff"'),
    ("\ud7ff\ud800\udbff\udc00\udfff\ue000", '"\ud7ff\\ud800\\udbff\\udc00\\udfff\ue000"'),
    ("\U00010000\U0001f600\U0010ffff", '"\\ud800\\udc00\\ud83d\\ude00\\udbff\\udfff"'),
]


@pytest.mark.spec("SJS-06")
@pytest.mark.parametrize("made, frame, wire", FRAMES)
def test_frames_are_written_and_read(made, frame, wire):
    assert made == wire
    assert decode_frame(wire) == frame


@pytest.mark.spec("SJS-06")
@pytest.mark.parametrize("text, quoted", QUOTED)
def test_what_browsers_mangle_is_escaped(text, quoted):
    assert quote(text) == quoted
    decoded = decode_frame(f"a[{quoted}]".encode()).messages[0]
    assert decoded.encode("utf-16", "surrogatepass") == text.encode("utf-16", "surrogatepass")


@pytest.mark.spec("SJS-06")
def test_exactly_the_escape_set_is_escaped():
    escaped = {code for code in range(0x80, 0x10000) if "\\u" in quote(chr(code))}
    ranges = [(0x200C, 0x200F), (0x2028, 0x202F), (0x2060, 0x206F), (0xFFF0, 0xFFFF), (0xD800, 0xDFFF)]
    assert escaped == {code for first, last in ranges for code in range(first, last + 1)}


@given(st.lists(st.text(st.characters(codec=None))))
def test_any_text_comes_back(messages):
    frame = decode_frame(messages_frame(messages))
    assert [text.encode("utf-16", "surrogatepass") for text in frame.messages] == [
        text.encode("utf-16", "surrogatepass") for text in messages
    ]


@pytest.mark.spec("SJS-06", "SJS-12")
def test_messages_are_decoded_from_an_array_and_from_a_single_string():
    assert decode_array(b'["a","b"]') == ["a", "b"]
    assert decode_array(b"[]") == []
    assert decode_messages(b'["a","b"]') == ["a", "b"]
    assert decode_messages('"a"') == ["a"]


@pytest.mark.spec("SJS-06", "SJS-11", "SJS-12")
@pytest.mark.parametrize(
    "sent, text",
    [
        (r"\ud800", "\ufffd"),
        (r"\udfff\ud800x", "\ufffd\ufffdx"),
        (r"é \ud83d\ude00\ude00", "é \U0001f600\ufffd"),
        (r"\ufeff\uffff", "\ufeff\uffff"),
    ],
)
def test_lone_surrogates_of_a_client_are_replaced(sent, text):
    assert decode_array(f'["{sent}","x"]') == [text, "x"]
    assert decode_messages(f'["{sent}"]') == decode_messages(f'"{sent}"') == [text]


@pytest.mark.spec("SJS-11")
@pytest.mark.parametrize("data", [b"", b"  \n", b'"a"', b"{}", b"null", b"7"])
def test_what_is_no_array_is_no_payload(data):
    with pytest.raises(NoPayloadError, match=r"Payload expected\."):
        decode_array(data)


@pytest.mark.spec("SJS-11")
@pytest.mark.parametrize(
    "data",
    [b'["x', b"[1]", b'["a",null]', b'[["a"]]', b"\xff", b'["\xff"]', b"[" * 100_000, b"\xef\xbb\xbf[]",
     b"[" + b"1" * 9000 + b"]"],
)  # fmt: skip
def test_what_is_no_json_or_no_strings_is_broken(data):
    with pytest.raises(BrokenJsonError, match=r"Broken JSON encoding\."):
        decode_array(data)


@pytest.mark.parametrize("data", [b"", b"x", b"a", b"a{}", b"c", b"c[1]", b'c["1","x"]', b"m1", b"oo"])
def test_a_broken_frame_is_an_error(data):
    with pytest.raises(FrameError):
        decode_frame(data)


@pytest.mark.spec("SJS-05")
def test_a_frame_within_a_script_cannot_end_the_script():
    frame = messages_frame(["</script><b>"])
    string = script_string(frame)
    assert b"<" not in string and b">" not in string
    assert json.loads(string) == frame.decode()
