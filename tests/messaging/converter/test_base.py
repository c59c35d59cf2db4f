"""The rules that all converters share: content types, strictness, headers."""

from __future__ import annotations

from typing import Any

import pytest

from wellhead.messaging.converter.base import AbstractMessageConverter
from wellhead.messaging.converter.content_type import DefaultContentTypeResolver
from wellhead.messaging.converter.contract import MessageConverter
from wellhead.messaging.header_accessor import MessageHeaderAccessor, MutableMessageHeaders
from wellhead.messaging.headers import CONTENT_TYPE, MessageHeaders
from wellhead.messaging.message import Message
from wellhead.messaging.mime import (
    APPLICATION_ANY_JSON,
    APPLICATION_JSON,
    TEXT_PLAIN,
    TEXT_PLAIN_UTF_8,
    MimeType,
    parse_mime_type,
)
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


class TestMessagesWithoutContentType:
    """What is asked once for all of them is asked again when a setting changes."""

    def sent(self, converter: Any, payload: Any = "x") -> Any:
        """The headers that a template's message gets, or None when the converter refuses."""
        message = converter.to_message(payload, MutableMessageHeaders({}, SimpMessageHeaderAccessor))
        return None if message is None else message.headers.get(CONTENT_TYPE)

    @pytest.mark.spec("CONV-02")
    def test_get_the_first_supported_type(self) -> None:
        assert self.sent(Upper(TEXT_PLAIN)) == TEXT_PLAIN
        bare = Upper().to_message("x", MutableMessageHeaders({}, SimpMessageHeaderAccessor))
        assert bare is not None and CONTENT_TYPE not in bare.headers

    @pytest.mark.spec("CONV-02")
    def test_a_type_in_the_headers_stays(self) -> None:
        headers = MutableMessageHeaders({CONTENT_TYPE: TEXT_PLAIN_UTF_8}, SimpMessageHeaderAccessor)
        message = Upper(TEXT_PLAIN).to_message("x", headers)
        assert message is not None and message.headers is headers
        assert headers[CONTENT_TYPE] == TEXT_PLAIN_UTF_8
        headers = MutableMessageHeaders({CONTENT_TYPE: APPLICATION_JSON}, SimpMessageHeaderAccessor)
        assert Upper(TEXT_PLAIN).to_message("x", headers) is None

    @pytest.mark.spec("CONV-02")
    def test_changed_settings_count_at_once(self) -> None:
        converter = Upper(TEXT_PLAIN)
        assert self.sent(converter) == TEXT_PLAIN
        converter.strict_content_type_match = True
        assert self.sent(converter) is None
        resolver = DefaultContentTypeResolver(TEXT_PLAIN)
        converter.content_type_resolver = resolver
        assert self.sent(converter) == TEXT_PLAIN
        resolver.default_mime_type = APPLICATION_JSON
        assert self.sent(converter) is None
        converter.add_supported_mime_types([APPLICATION_JSON])
        assert self.sent(converter) == TEXT_PLAIN

    @pytest.mark.spec("CONV-02")
    def test_a_subclass_has_the_last_word(self) -> None:
        class Own(Upper):
            def default_content_type(self, payload: Any) -> MimeType | None:
                return APPLICATION_JSON if payload == "j" else TEXT_PLAIN

        class Picky(Upper):
            refuses = False

            def supports_mime_type(self, mime_type: MimeType | None) -> bool:
                return not self.refuses

        assert [self.sent(Own(), "j"), self.sent(Own(), "t")] == [APPLICATION_JSON, TEXT_PLAIN]
        picky = Picky(TEXT_PLAIN)
        assert self.sent(picky) == TEXT_PLAIN
        picky.refuses = True
        assert self.sent(picky) is None


class TestContentTypesThatFit:
    """One that was found to fit is not asked about again, until a setting changes."""

    def read(self, converter: Any, content_type: Any) -> Any:
        headers = MutableMessageHeaders(
            {} if content_type is None else {CONTENT_TYPE: content_type}, MessageHeaderAccessor
        )
        return converter.from_message(Message("x", headers), str)

    @pytest.mark.spec("CONV-02")
    @pytest.mark.parametrize("times", [1, 2])
    def test_each_message_counts_for_itself(self, times: int) -> None:
        converter = Upper(TEXT_PLAIN)
        given = [TEXT_PLAIN_UTF_8, APPLICATION_JSON, None, "text/plain", "a/b", TEXT_PLAIN, APPLICATION_JSON]
        for _ in range(times):
            assert [self.read(converter, each) for each in given] == ["X", None, "X", "X", None, "X", None]

    @pytest.mark.spec("CONV-02")
    def test_changed_settings_count_at_once(self) -> None:
        class Never:
            def resolve(self, headers: Any) -> MimeType | None:
                return APPLICATION_JSON

        converter = Upper(TEXT_PLAIN)
        assert [self.read(converter, TEXT_PLAIN) for _ in range(2)] == ["X", "X"]
        assert self.read(converter, APPLICATION_JSON) is None
        converter.add_supported_mime_types([APPLICATION_JSON])
        assert [self.read(converter, APPLICATION_JSON) for _ in range(2)] == ["X", "X"]
        converter = Upper(TEXT_PLAIN)
        assert self.read(converter, TEXT_PLAIN) == "X"
        converter.content_type_resolver = Never()
        assert [self.read(converter, each) for each in (TEXT_PLAIN, None)] == [None, None]

    @pytest.mark.spec("CONV-02")
    def test_the_default_may_change(self) -> None:
        resolver = DefaultContentTypeResolver(TEXT_PLAIN)
        converter = Upper(TEXT_PLAIN, content_type_resolver=resolver, strict_content_type_match=True)
        assert self.read(converter, None) == "X"
        resolver.default_mime_type = APPLICATION_JSON
        assert self.read(converter, None) is None
        resolver.default_mime_type = None
        assert self.read(converter, None) is None

    @pytest.mark.spec("CONV-02")
    def test_a_subclass_has_the_last_word(self) -> None:
        class Picky(Upper):
            refuses = False

            def supports_mime_type(self, mime_type: MimeType | None) -> bool:
                return not self.refuses

        picky = Picky(TEXT_PLAIN)
        assert [self.read(picky, each) for each in (TEXT_PLAIN, None)] == ["X", "X"]
        picky.refuses = True
        assert [self.read(picky, each) for each in (TEXT_PLAIN, None)] == [None, None]
