import pytest

from wellhead.server.message import BinaryMessage, PingMessage, PongMessage, TextMessage, WebSocketMessage


@pytest.mark.spec("WSA-02")
@pytest.mark.parametrize("given", ["grüße", "grüße".encode(), bytearray("grüße".encode())])
def test_text_is_the_same_from_a_string_or_from_utf8(given: str | bytes) -> None:
    message = TextMessage(given)
    assert message.payload == "grüße"
    assert message.as_bytes() == "grüße".encode()
    assert message.payload_length == 7
    assert message.is_last


@pytest.mark.spec("WSA-02")
def test_text_keeps_what_it_was_given() -> None:
    data = b"some text"
    assert TextMessage(data).as_bytes() is data
    assert TextMessage("some text").payload == "some text"


@pytest.mark.spec("WSA-02")
def test_text_is_encoded_once() -> None:
    message = TextMessage("sömé text")
    assert message.as_bytes() is message.as_bytes()
    assert message.payload_length == len("sömé text".encode())


@pytest.mark.spec("WSA-02")
def test_text_that_is_not_utf8_fails_when_read_as_text() -> None:
    message = TextMessage(b"\xff")
    assert message.as_bytes() == b"\xff"
    assert message.payload_length == 1
    assert "byteCount=1" in str(message)
    with pytest.raises(UnicodeDecodeError):
        _ = message.payload


@pytest.mark.spec("WSA-02")
def test_parts_say_that_they_are_not_the_last() -> None:
    assert not TextMessage("a", False).is_last
    assert not TextMessage("a", last=False).is_last
    assert not BinaryMessage(b"a", last=False).is_last
    assert BinaryMessage(b"a").is_last


@pytest.mark.spec("WSA-02")
def test_binary_takes_a_section_of_a_buffer() -> None:
    assert BinaryMessage(b"0123456789").payload == b"0123456789"
    assert BinaryMessage(b"0123456789", offset=2).payload == b"23456789"
    assert BinaryMessage(b"0123456789", offset=2, length=3).payload == b"234"
    assert BinaryMessage(b"0123456789", length=3).payload == b"012"
    assert BinaryMessage(b"0123456789", offset=10, length=0).payload == b""
    assert BinaryMessage(memoryview(b"0123456789")[4:6]).payload == b"45"


@pytest.mark.spec("WSA-02")
@pytest.mark.parametrize(("offset", "length"), [(-1, None), (0, 11), (10, 1), (11, None), (0, -1), (-1, 2)])
def test_a_section_outside_of_the_buffer_is_refused(offset: int, length: int | None) -> None:
    with pytest.raises(ValueError, match="outside of 10 bytes"):
        BinaryMessage(b"0123456789", offset=offset, length=length)


@pytest.mark.spec("WSA-02")
@pytest.mark.parametrize("kind", [TextMessage, BinaryMessage, PingMessage, PongMessage])
def test_a_later_change_of_the_buffer_does_not_reach_the_message(kind: type[WebSocketMessage[bytes]]) -> None:
    buffer = bytearray(b"abc")
    message = kind(buffer)  # type: ignore[call-arg]  # All four take the payload.
    buffer[0] = 0
    assert message.as_bytes() == b"abc"
    assert type(message.as_bytes()) is bytes


@pytest.mark.spec("WSA-02")
def test_a_payload_can_be_read_any_number_of_times() -> None:
    message = BinaryMessage(memoryview(b"shared"))
    assert [bytes(message.payload) for _ in range(3)] == [b"shared"] * 3


@pytest.mark.spec("WSA-02")
@pytest.mark.parametrize("kind", [PingMessage, PongMessage])
def test_ping_and_pong_may_have_a_payload(kind: type[PingMessage] | type[PongMessage]) -> None:
    assert kind().payload == b""
    assert kind(b"x").payload == b"x"
    assert kind(b"x").payload_length == 1
    assert kind().is_last


@pytest.mark.spec("WSA-02")
@pytest.mark.parametrize(
    ("message", "text"),
    [
        (TextMessage("Hello"), "TextMessage payload=[Hello], byteCount=5, last=true"),
        (TextMessage("0123456789"), "TextMessage payload=[0123456789], byteCount=10, last=true"),
        (TextMessage("0123456789a"), "TextMessage payload=[0123456789..], byteCount=11, last=true"),
        (TextMessage(b"0123456789a", False), "TextMessage payload=[0123456789..], byteCount=11, last=false"),
        (TextMessage("ü" * 11), "TextMessage payload=[üüüüüüüüüü..], byteCount=22, last=true"),
        (TextMessage(("😀" * 10).encode()), "TextMessage payload=[😀😀😀😀😀😀😀😀😀😀], byteCount=40, last=true"),
        (TextMessage(("😀" * 11).encode()), "TextMessage payload=[😀😀😀😀😀😀😀😀😀😀..], byteCount=44, last=true"),
        (BinaryMessage(b"\x00\xff"), "BinaryMessage payload=[00ff], byteCount=2, last=true"),
        (PingMessage(), "PingMessage payload=[], byteCount=0, last=true"),
    ],
)
def test_text_form(message: WebSocketMessage[str], text: str) -> None:
    assert str(message) == text


@pytest.mark.spec("WSA-02")
def test_repr_stays_on_one_line() -> None:
    assert "\n" not in repr(TextMessage("a\nb"))


@pytest.mark.spec("WSA-02")
def test_messages_are_equal_by_kind_content_and_part() -> None:
    assert TextMessage("a") == TextMessage(b"a")
    assert hash(TextMessage("a")) == hash(TextMessage(b"a"))
    assert TextMessage("a") != TextMessage("a", False)
    assert TextMessage("a") != BinaryMessage(b"a")
    assert PingMessage() != PongMessage()
