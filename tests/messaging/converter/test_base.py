"""The rules that all converters share: content types, strictness, headers."""

from __future__ import annotations

from typing import Any

import pytest

from wellhead.messaging.converter.base import AbstractMessageConverter
from wellhead.messaging.converter.contract import MessageConverter
from wellhead.messaging.header_accessor import MessageHeaderAccessor
from wellhead.messaging.headers import MessageHeaders
from wellhead.messaging.message import Message
from wellhead.messaging.mime import APPLICATION_ANY_JSON, APPLICATION_JSON, TEXT_PLAIN, MimeType, parse_mime_type
from wellhead.messaging.simp.accessor import SimpMessageHeaderAccessor


class Upper(AbstractMessageConverter):
    """Shouts strings."""

    def supports(self, target: Any) -> bool:
        return target is str

    def _convert_from(self, message: Message[Any], target: Any, mime_type: MimeType | None, hint: Any) -> Any:
        return message.payload.upper()

    def _convert_to(self, payload: Any, mime_type: MimeType | None, hint: Any) -> Any:
        return payload.upper()


@pytest.mark.spec("CONV-01")
def test_a_converter_is_what_has_both_methods() -> None:
    assert isinstance(Upper(), MessageConverter)


@pytest.mark.spec("CONV-01")
def test_none_means_that_the_class_is_not_supported() -> None:
    assert Upper().from_message(Message("a"), int) is None
    assert Upper().to_message(1) is None


@pytest.mark.spec("CONV-02")
@pytest.mark.parametrize(
    ("supported", "content_type", "fits"),
    [
        ((), "application/json", True),
        ((), None, True),
        ((TEXT_PLAIN,), None, True),
        ((TEXT_PLAIN,), "text/plain", True),
        ((TEXT_PLAIN,), "text/plain;charset=iso-8859-1", True),
        ((TEXT_PLAIN,), "text/html", False),
        ((TEXT_PLAIN,), "application/plain", False),
        ((parse_mime_type("text/*"),), "text/html", True),
        ((APPLICATION_ANY_JSON,), "application/vnd.x+json", True),
        ((APPLICATION_ANY_JSON,), "application/json", False),
        ((APPLICATION_JSON, TEXT_PLAIN), "text/plain", True),
    ],
)
def test_a_supported_type_must_include_the_content_type(
    supported: tuple[MimeType, ...], content_type: str | None, fits: bool
) -> None:
    headers = {"contentType": content_type} if content_type else {}
    converter = Upper(*supported)
    assert converter.from_message(Message("a", headers), str) == ("A" if fits else None)
    assert (converter.to_message("a", headers) is not None) is fits


@pytest.mark.spec("CONV-02")
def test_strict_refuses_what_has_no_content_type() -> None:
    converter = Upper(TEXT_PLAIN, strict_content_type_match=True)
    assert converter.from_message(Message("a"), str) is None
    assert converter.to_message("a") is None
    assert converter.from_message(Message("a", {"contentType": TEXT_PLAIN}), str) == "A"


@pytest.mark.spec("CONV-02")
def test_strict_needs_types() -> None:
    with pytest.raises(ValueError, match="requires non-empty list of supported mime types"):
        Upper(strict_content_type_match=True)


@pytest.mark.spec("CONV-02")
def test_strict_needs_a_resolver() -> None:
    converter = Upper(TEXT_PLAIN)
    converter.content_type_resolver = None  # type: ignore[assignment]  # what the message is about
    with pytest.raises(ValueError, match="requires ContentTypeResolver"):
        converter.strict_content_type_match = True


@pytest.mark.spec("CONV-02")
def test_the_serialized_payload_class_is_bytes_or_str() -> None:
    assert Upper().serialized_payload_class is bytes
    assert Upper(serialized_payload_class=str).serialized_payload_class is str
    with pytest.raises(ValueError, match="Payload class must be bytes or str"):
        Upper(serialized_payload_class=int)


@pytest.mark.spec("CONV-02")
def test_to_message_sets_the_first_supported_type() -> None:
    message = Upper(APPLICATION_JSON, TEXT_PLAIN).to_message("a", {"x": 1})
    assert message is not None
    assert (message.payload, message.headers["contentType"], message.headers["x"]) == ("A", APPLICATION_JSON, 1)


@pytest.mark.spec("CONV-02")
def test_to_message_leaves_a_content_type_alone() -> None:
    message = Upper(APPLICATION_JSON, TEXT_PLAIN).to_message("a", {"contentType": TEXT_PLAIN})
    assert message is not None
    assert message.headers["contentType"] == TEXT_PLAIN


@pytest.mark.spec("CONV-02")
def test_headers_of_a_mutable_accessor_are_used_in_place() -> None:
    accessor = SimpMessageHeaderAccessor()
    accessor.leave_mutable = True
    message = Upper(TEXT_PLAIN).to_message("a", accessor.message_headers)
    assert message is not None
    assert message.headers is accessor.message_headers
    assert accessor.content_type == TEXT_PLAIN
    accessor.set_header("later", 1)
    assert message.headers["later"] == 1


@pytest.mark.spec("CONV-02")
def test_other_headers_are_copied_with_a_new_id_and_timestamp() -> None:
    given = MessageHeaders({"x": 1})
    frozen = MessageHeaderAccessor()
    frozen.set_header("x", 1)
    for headers in (given, frozen.message_headers):
        message = Upper(TEXT_PLAIN).to_message("a", headers)
        assert message is not None
        assert message.headers["x"] == 1
        assert message.headers.id not in (None, headers.id)
        assert message.headers.timestamp is not None
        assert "contentType" not in headers
