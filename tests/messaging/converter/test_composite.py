"""Several converters as one, and the default list with its consequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import pytest

from wellhead.messaging.converter.builtin import (
    ByteArrayMessageConverter,
    SimpleMessageConverter,
    StringMessageConverter,
)
from wellhead.messaging.converter.composite import (
    REMEMBERED_CLASSES,
    CompositeMessageConverter,
    default_converters,
)
from wellhead.messaging.converter.json import JsonMessageConverter
from wellhead.messaging.message import Message


@dataclass
class Line:
    text: str


class Shout(StringMessageConverter):
    def _convert_to(self, payload: Any, mime_type: Any, hint: Any) -> Any:
        return payload.upper().encode()


def sent(payload: Any, **headers: Any) -> tuple[bytes, str]:
    message = default_converters().to_message(payload, headers)
    assert message is not None
    return message.payload, str(message.headers["contentType"])


@pytest.mark.spec("CONV-03")
def test_the_first_result_wins() -> None:
    composite = CompositeMessageConverter([StringMessageConverter(), JsonMessageConverter()])
    assert composite.from_message(Message(b"5"), str) == "5"
    assert composite.from_message(Message(b"5"), int) == 5
    assert CompositeMessageConverter([ByteArrayMessageConverter()]).from_message(Message(b"5"), int) is None
    assert CompositeMessageConverter([ByteArrayMessageConverter()]).to_message(5) is None


@pytest.mark.spec("CONV-03")
def test_converters_are_asked_only_for_classes_that_they_support() -> None:
    asked: list[str] = []

    class Texts(StringMessageConverter):
        def supports(self, target: Any) -> bool:
            asked.append("texts")
            return super().supports(target)

    class Anything:
        """Not of our base class, so that only it knows what it takes."""

        def to_message(self, payload: Any, headers: Any = None, hint: Any = None) -> Any:
            asked.append("anything")
            return None

        def from_message(self, message: Any, target: Any, hint: Any = None) -> Any:
            asked.append("anything")
            return None

    composite = CompositeMessageConverter([Texts(), Anything(), ByteArrayMessageConverter()])
    for _ in range(3):
        assert composite.from_message(Message(b"x"), bytes) == b"x"
    assert asked == ["texts", "anything", "anything", "anything"]
    asked.clear()
    assert composite.from_message(Message(b"x"), str) == "x"
    assert composite.from_message(Message(b"x"), int) is None
    asked.clear()
    for _ in range(3):
        message = composite.to_message(b"x")
        assert message is not None and message.payload == b"x"
    assert asked == ["texts", "anything", "anything", "anything"]
    message = composite.to_message("x")
    assert message is not None and str(message.headers["contentType"]) == "text/plain;charset=utf-8"
    assert composite.to_message(5) is None


@pytest.mark.spec("CONV-03")
def test_other_converters_count_at_once() -> None:
    composite = CompositeMessageConverter([StringMessageConverter()])
    assert composite.to_message(b"x") is None
    assert composite.from_message(Message(b"x"), bytes) is None
    composite.converters = (ByteArrayMessageConverter(),)
    message = composite.to_message(b"x")
    assert message is not None and message.payload == b"x"
    assert composite.from_message(Message(b"x"), bytes) == b"x"
    with pytest.raises(ValueError, match="Converters must not be empty"):
        composite.converters = ()


@pytest.mark.spec("CONV-03")
def test_a_target_that_cannot_be_hashed_is_read() -> None:
    target = Annotated[list[int], {"unhashable": True}]
    assert default_converters().from_message(Message(b"[1]"), target) == [1]


@pytest.mark.spec("CONV-03")
@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_a_bounded_number_of_classes_is_remembered(extra: int) -> None:
    composite = CompositeMessageConverter([StringMessageConverter()])
    for number in range(REMEMBERED_CLASSES + extra):
        other = type(f"C{number}", (), {})
        assert composite.to_message(other()) is None
        assert composite.from_message(Message(b"x"), other) is None
    kept = REMEMBERED_CLASSES + extra if extra <= 0 else 1
    assert (len(composite._writers), len(composite._readers)) == (kept, kept)
    assert composite.from_message(Message(b"x"), str) == "x"


class Unreadable:
    """Makes its target ready, or refuses it."""

    def __init__(self, refusal: str | None = None) -> None:
        self.refusal = refusal
        self.prepared: list[Any] = []

    def to_message(self, payload: Any, headers: Any = None, hint: Any = None) -> Any:
        return None

    def from_message(self, message: Any, target: Any, hint: Any = None) -> Any:
        return None

    def prepare_target(self, target: Any, hint: Any = None) -> None:
        self.prepared.append((target, hint))
        if self.refusal is not None:
            raise TypeError(self.refusal)


@pytest.mark.spec("CONV-03")
def test_a_target_is_prepared_by_the_first_that_can() -> None:
    refusing, preparing, last = Unreadable("no"), Unreadable(), Unreadable()
    CompositeMessageConverter([StringMessageConverter(), refusing, preparing, last]).prepare_target(Line, "hint")
    assert refusing.prepared == preparing.prepared == [(Line, "hint")]
    assert last.prepared == []


@pytest.mark.spec("CONV-03")
def test_a_target_that_all_refuse_is_refused_with_the_first_reason() -> None:
    with pytest.raises(TypeError, match="^first$"):
        CompositeMessageConverter([Unreadable("first"), Unreadable("second")]).prepare_target(Line)


@pytest.mark.spec("CONV-03")
def test_a_target_that_somebody_may_yet_read_is_not_refused() -> None:
    composite = CompositeMessageConverter([Unreadable("no"), ByteArrayMessageConverter()])
    composite.prepare_target(bytes)
    with pytest.raises(TypeError, match="^no$"):
        composite.prepare_target(Line)
    CompositeMessageConverter([ByteArrayMessageConverter()]).prepare_target(Line)
    CompositeMessageConverter([Unreadable("no"), SimpleMessageConverter()]).prepare_target(Line)


@pytest.mark.spec("CONV-03")
def test_there_must_be_one() -> None:
    with pytest.raises(ValueError, match="Converters must not be empty"):
        CompositeMessageConverter([])


@pytest.mark.spec("CONV-04")
def test_the_defaults_are_text_bytes_json_after_the_applications_own() -> None:
    own = Shout()
    kinds = [type(each) for each in default_converters([own]).converters]
    assert kinds == [Shout, StringMessageConverter, ByteArrayMessageConverter, JsonMessageConverter]
    message = default_converters([own]).to_message("a")
    assert message is not None
    assert message.payload == b"A"


@pytest.mark.spec("CONV-04")
def test_the_defaults_can_be_left_out() -> None:
    own = Shout()
    assert default_converters([own], register_defaults=False).converters == (own,)
    with pytest.raises(ValueError, match="must not be empty"):
        default_converters(register_defaults=False)


@pytest.mark.spec("CONV-04")
def test_target_str_without_content_type_is_raw_text() -> None:
    assert default_converters().from_message(Message(b'"text"'), str) == '"text"'


@pytest.mark.spec("CONV-04")
def test_target_str_with_json_is_a_json_string() -> None:
    message = Message(b'"text"', {"contentType": "application/json"})
    assert default_converters().from_message(message, str) == "text"


@pytest.mark.spec("CONV-04")
def test_an_object_without_content_type_is_read_as_json() -> None:
    assert default_converters().from_message(Message(b'{"text":"hi"}'), Line) == Line("hi")
    assert default_converters().from_message(Message(b'{"text":"hi"}', {"contentType": "text/plain"}), Line) is None


@pytest.mark.spec("CONV-04")
def test_what_is_sent_has_the_content_type_of_its_converter() -> None:
    assert sent("hi") == (b"hi", "text/plain;charset=utf-8")
    assert sent(b"hi") == (b"hi", "application/octet-stream")
    assert sent(Line("hi")) == (b'{"text":"hi"}', "application/json")
    assert sent({"a": 1}) == (b'{"a":1}', "application/json")
    assert sent("hi", contentType="application/json") == (b'"hi"', "application/json")
