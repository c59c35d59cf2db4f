"""Converters for text, bytes and payloads as they are."""

from __future__ import annotations

import enum
from typing import Any

import pytest

from wellhead.messaging.converter.builtin import (
    ByteArrayMessageConverter,
    GenericMessageConverter,
    SimpleMessageConverter,
    StringMessageConverter,
)
from wellhead.messaging.exceptions import MessageConversionError
from wellhead.messaging.message import Message
from wellhead.messaging.mime import APPLICATION_OCTET_STREAM
from wellhead.messaging.simp.accessor import SimpMessageHeaderAccessor


class Colour(enum.StrEnum):
    RED = "red"


@pytest.mark.spec("CONV-03")
def test_text_is_for_exactly_str() -> None:
    converter = StringMessageConverter()
    assert converter.from_message(Message("é".encode()), str) == "é"
    assert converter.from_message(Message("é"), str) == "é"
    assert converter.from_message(Message(b"red"), Colour) is None
    assert converter.from_message(Message({"a": 1}), str) is None
    assert converter.to_message(Colour.RED) is None


@pytest.mark.spec("CONV-03")
def test_text_becomes_bytes_of_text_plain() -> None:
    message = StringMessageConverter().to_message("é")
    assert message is not None
    assert message.payload == "é".encode()
    assert str(message.headers["contentType"]) == "text/plain;charset=utf-8"


@pytest.mark.spec("CONV-03")
def test_the_charset_is_that_of_the_content_type() -> None:
    converter, headers = StringMessageConverter(), {"contentType": "text/plain;charset=iso-8859-1"}
    assert converter.from_message(Message(b"\xe9", headers), str) == "é"
    message = converter.to_message("é", headers)
    assert message is not None
    assert message.payload == b"\xe9"


@pytest.mark.spec("CONV-03")
def test_the_default_charset_can_be_chosen() -> None:
    converter = StringMessageConverter(default_charset="iso-8859-1")
    assert converter.from_message(Message(b"\xe9"), str) == "é"
    message = converter.to_message("é")
    assert message is not None
    assert message.payload == b"\xe9"


@pytest.mark.spec("CONV-03")
def test_text_stays_text_where_the_serialized_payload_class_is_str() -> None:
    message = StringMessageConverter(serialized_payload_class=str).to_message("é")
    assert message is not None
    assert message.payload == "é"


@pytest.mark.spec("CONV-03", "CONV-01")
def test_bytes_that_are_no_text_fail() -> None:
    with pytest.raises(MessageConversionError, match="Could not read text"):
        StringMessageConverter().from_message(Message(b"\xff"), str)
    with pytest.raises(MessageConversionError, match="Could not write text"):
        StringMessageConverter(default_charset="us-ascii").to_message("é")


@pytest.mark.spec("CONV-03")
def test_bytes_pass_through() -> None:
    converter = ByteArrayMessageConverter()
    message = converter.to_message(b"\x00\xff")
    assert message is not None
    assert (message.payload, message.headers["contentType"]) == (b"\x00\xff", APPLICATION_OCTET_STREAM)
    assert converter.from_message(message, bytes) == b"\x00\xff"
    assert converter.from_message(message, bytearray) is None
    assert converter.to_message("text") is None


@pytest.mark.spec("CONV-03")
@pytest.mark.parametrize(
    ("payload", "target", "fits"),
    [("a", str, True), ("a", int, False), ("a", Any, True), ([1], list[int], True), (1, int | str, True)],
)
def test_simple_gives_what_is_an_instance_already(payload: Any, target: Any, fits: bool) -> None:
    assert SimpleMessageConverter().from_message(Message(payload), target) == (payload if fits else None)


@pytest.mark.spec("CONV-03")
def test_simple_wraps_any_payload_without_a_content_type() -> None:
    payload = object()
    accessor = SimpMessageHeaderAccessor()
    accessor.leave_mutable = True
    for headers in (None, {"x": 1}, accessor.message_headers):
        message = SimpleMessageConverter().to_message(payload, headers)
        assert message is not None
        assert message.payload is payload
        assert "contentType" not in message.headers
    assert message.headers is accessor.message_headers
    assert SimpleMessageConverter().to_message(None) is None


@pytest.mark.spec("CONV-03")
def test_generic_converts_what_the_conversion_service_can() -> None:
    assert GenericMessageConverter().from_message(Message("5"), int) == 5
    assert GenericMessageConverter().from_message(Message(5), int) == 5
    with pytest.raises(MessageConversionError, match="Failed to convert message payload to 'int'.*Expected `int`"):
        GenericMessageConverter().from_message(Message("five"), int)
