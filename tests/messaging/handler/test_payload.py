"""Payloads as arguments: emptiness, conversion, validation; whole messages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, NewType, TypeVar

import pytest

from wellhead.messaging.converter.builtin import SimpleMessageConverter
from wellhead.messaging.converter.composite import default_converters
from wellhead.messaging.exceptions import (
    MessageConversionError,
    MethodArgumentNotValidError,
    MethodArgumentTypeMismatchError,
)
from wellhead.messaging.handler.annotations import Payload, Valid, Validated
from wellhead.messaging.handler.parameters import NO_DEFAULT, MethodParameter
from wellhead.messaging.handler.payload import MessageMethodArgumentResolver, PayloadMethodArgumentResolver
from wellhead.messaging.message import ErrorMessage, Message

T = TypeVar("T")


@dataclass
class Line:
    text: str


Raw = NewType("Raw", bytes)
Number = NewType("Number", int)


class ValidLine:
    """A marker of the application's own: its name begins with Valid."""


class Recorder:
    """A validator that finds fault with some texts and remembers the groups."""

    def __init__(self, *errors: str) -> None:
        self.errors = errors
        self.seen: list[Any] = []

    def validate(self, value: Any, groups: tuple[Any, ...]) -> Iterable[str] | None:
        self.seen.append((value, groups))
        return self.errors or None


def payload(
    annotation: Any, body: Any, validator: Any = None, default: Any = NO_DEFAULT, content_type: str | None = None
) -> Any:
    parameter = MethodParameter("line", annotation, index=1, method_name="Chat.say", default=default)
    resolver = PayloadMethodArgumentResolver(default_converters(), validator)
    assert resolver.supports_parameter(parameter)
    headers = {"contentType": content_type} if content_type else {}
    return resolver.bind(parameter)(Message(body, headers))


EMPTY = [b"", "", "  ", bytearray()]


@pytest.mark.spec("ANN-05")
@pytest.mark.parametrize("body", EMPTY)
@pytest.mark.parametrize("annotation", [Annotated[Line, Payload], Line, str, bytes, Any])
def test_an_empty_payload_that_is_required_is_not_valid(annotation: Any, body: Any) -> None:
    with pytest.raises(MethodArgumentNotValidError) as caught:
        payload(annotation, body)
    assert caught.value.errors == ("Payload value must not be empty",)
    assert "1 error(s): [Payload value must not be empty]" in caught.value.description


@pytest.mark.spec("ANN-05")
@pytest.mark.parametrize("body", EMPTY)
@pytest.mark.parametrize(
    "annotation", [Annotated[Line, Payload(required=False)], Annotated[Line | None, Payload], Line | None]
)
def test_an_empty_payload_that_is_not_required_is_none(annotation: Any, body: Any) -> None:
    assert payload(annotation, body) is None


@pytest.mark.spec("ANN-05")
def test_an_empty_payload_is_the_default_of_the_parameter() -> None:
    assert payload(Annotated[Line, Payload], b"", default=Line("d")) == Line("d")
    assert payload(Annotated[Line, Payload], b'{"text":"a"}', default=Line("d")) == Line("a")


@pytest.mark.spec("ANN-05")
def test_an_instance_is_not_converted() -> None:
    line = Line("a")
    assert payload(Line, line) is line
    assert payload(Any, b"raw") == b"raw"
    assert payload(object, b"raw") == b"raw"
    assert payload(bytes, b"raw", content_type="application/json") == b"raw"
    assert payload(int | str, "text") == "text"
    assert payload(bytes | Line, b'{"text":"a"}') == b'{"text":"a"}'
    assert payload(Raw, b'{"text":"a"}') == b'{"text":"a"}'


@pytest.mark.spec("ANN-05")
@pytest.mark.parametrize(
    ("annotation", "body", "expected"),
    [
        (Line, b'{"text":"a"}', Line("a")),
        (Line | None, b'{"text":"a"}', Line("a")),
        (list[Line], b'[{"text":"a"}]', [Line("a")]),
        (Line | int, b"5", 5),
        (Number, b"5", 5),
        (dict[str, str], b'{"text":"a"}', {"text": "a"}),
        (dict, b'{"text":"a"}', {"text": "a"}),
        (str, b"a", "a"),
        (int, b"5", 5),
    ],
)
def test_anything_else_is_converted(annotation: Any, body: bytes, expected: Any) -> None:
    assert payload(annotation, body) == expected


@pytest.mark.spec("ANN-05")
def test_what_no_converter_takes_is_an_error() -> None:
    with pytest.raises(MessageConversionError) as caught:
        payload(Line, b"{}", content_type="text/plain")
    conversion = f"Cannot convert from [bytes] to [{__name__}.Line] for parameter 'line' of Chat.say"
    expected = f"{conversion}, contentType='text/plain'"
    assert caught.value.description == expected
    parameter = MethodParameter("line", Line, method_name="Chat.say")
    with pytest.raises(MessageConversionError) as caught:
        PayloadMethodArgumentResolver(SimpleMessageConverter()).bind(parameter)(Message(b"{}"))
    assert caught.value.description == conversion


@pytest.mark.spec("ANN-05")
def test_a_payload_that_does_not_fit_names_the_field() -> None:
    with pytest.raises(MessageConversionError, match=r"Could not read JSON: Expected `str`, got `int` - at `\$.text`"):
        payload(Line, b'{"text":5}')


@pytest.mark.spec("ANN-05")
def test_expressions_are_refused() -> None:
    with pytest.raises(RuntimeError, match="expressions are not supported"):
        payload(Annotated[Line, Payload("payload.text")], b"{}")


@pytest.mark.spec("ANN-05")
def test_without_default_resolution_only_marked_parameters_are_payloads() -> None:
    resolver = PayloadMethodArgumentResolver(default_converters(), use_default_resolution=False)
    assert resolver.supports_parameter(MethodParameter("x", Annotated[int, Payload]))
    assert not resolver.supports_parameter(MethodParameter("x", int))


@pytest.mark.spec("ANN-05")
@pytest.mark.parametrize(
    ("annotation", "groups"),
    [
        (Annotated[Line, Valid], ()),
        (Annotated[Line, Valid()], ()),
        (Annotated[Line, Payload, Validated("a", "b")], ("a", "b")),
        (Annotated[Line, ValidLine], ()),
        (Annotated[Line, ValidLine()], ()),
        (Annotated[Line, Validated("first"), Validated("second")], ("first",)),
    ],
)
def test_marked_parameters_are_validated_after_conversion(annotation: Any, groups: tuple[Any, ...]) -> None:
    validator = Recorder()
    assert payload(annotation, b'{"text":"a"}', validator) == Line("a")
    assert validator.seen == [(Line("a"), groups)]


@pytest.mark.spec("ANN-05")
def test_other_parameters_are_not_validated() -> None:
    validator = Recorder("bad")
    assert payload(Annotated[Line, Payload, "Valid"], b'{"text":"a"}', validator) == Line("a")
    assert validator.seen == []


@pytest.mark.spec("ANN-05")
@pytest.mark.parametrize("marker", [Valid, Valid(), Validated("first"), ValidLine])
def test_a_marker_without_anything_to_validate_with_is_told_of_when_it_is_bound(caplog: Any, marker: Any) -> None:
    assert payload(Annotated[Line, marker], b'{"text":"a"}') == Line("a")
    name = marker.__name__ if isinstance(marker, type) else type(marker).__name__
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage() == (
        f"{name} on parameter 'line' of Chat.say has nothing to validate with: "
        "set a validator, or give the marker a check, Valid(check)"
    )


@pytest.mark.spec("ANN-05")
def test_errors_of_the_validator_are_told() -> None:
    with pytest.raises(MethodArgumentNotValidError) as caught:
        payload(Annotated[Line, Valid], b'{"text":"a"}', Recorder("too short", "too dull"))
    assert caught.value.errors == ("too short", "too dull")
    expected = "Could not resolve method parameter at index 1 in Chat.say: 2 error(s): [too short] [too dull]"
    assert caught.value.description == expected


@pytest.mark.spec("ANN-05")
def test_a_parameter_may_bring_its_own_check() -> None:
    def check(line: Line) -> list[str]:
        return ["too short"] if len(line.text) < 2 else []

    def insist(line: Line) -> None:
        if len(line.text) < 2:
            raise ValueError("too short")

    for each in (check, insist):
        assert payload(Annotated[Line, Valid(each)], b'{"text":"abc"}') == Line("abc")
        with pytest.raises(MethodArgumentNotValidError, match=r"1 error\(s\): \[too short\]"):
            payload(Annotated[Line, Valid(each)], b'{"text":"a"}')


@pytest.mark.spec("ANN-05")
def test_a_check_says_what_is_wrong_in_one_text_or_in_several() -> None:
    assert payload(Annotated[int, Valid(lambda number: "too low" if number < 0 else None)], b"5") == 5
    assert payload(Annotated[int, Valid(lambda number: "")], b"5") == 5
    with pytest.raises(MethodArgumentNotValidError) as caught:
        payload(Annotated[int, Valid(lambda number: "too low")], b"-5")
    assert caught.value.errors == ("too low",)


@pytest.mark.spec("ANN-05")
@pytest.mark.parametrize("answer", [True, False, 5])
def test_an_answer_that_says_nothing_is_a_mistake_of_the_check(answer: Any) -> None:
    with pytest.raises(TypeError) as caught:
        payload(Annotated[int, Valid(lambda number: answer)], b"5")
    assert str(caught.value) == (
        f"The validation of parameter 'line' of Chat.say returned {answer}, which is no answer: "
        "return None, or the texts of what is wrong"
    )


@dataclass
class LaterDefined:
    text: Missing  # type: ignore[name-defined]  # noqa: F821  # the mistake


@pytest.mark.spec("ANN-05", "CONV-03")
@pytest.mark.parametrize("annotation", [LaterDefined, list[LaterDefined]])
def test_a_type_that_no_payload_can_become_is_refused_when_it_is_bound(annotation: Any) -> None:
    parameter = MethodParameter("line", annotation, method_name="Chat.say")
    with pytest.raises(
        TypeError, match=r"^No payload can be read as .*LaterDefined.* for parameter 'line' of Chat.say: "
    ):
        PayloadMethodArgumentResolver(default_converters()).bind(parameter)
    message_parameter = MethodParameter("line", Message[annotation], method_name="Chat.say")
    with pytest.raises(TypeError, match=r"^No payload can be read as .*LaterDefined"):
        MessageMethodArgumentResolver(default_converters()).bind(message_parameter)


@pytest.mark.spec("ANN-05", "ANN-08")
def test_types_of_errors_need_no_converter() -> None:
    """They are provided to exception handlers, and this resolver is asked for them as well."""
    for annotation in (ValueError, ValueError | KeyError):
        parameter = MethodParameter("error", annotation, method_name="Chat.failed")
        assert PayloadMethodArgumentResolver(default_converters()).bind(parameter) is not None


@pytest.mark.spec("ANN-05", "CONV-03")
def test_a_converter_that_prepares_nothing_is_asked_when_the_message_is_there() -> None:
    parameter = MethodParameter("line", LaterDefined, method_name="Chat.say")
    get = PayloadMethodArgumentResolver(SimpleMessageConverter()).bind(parameter)
    with pytest.raises(MessageConversionError, match="LaterDefined"):
        get(Message(b"{}"))


@pytest.mark.spec("ANN-05", "CONV-03")
def test_the_converter_is_told_of_a_target_when_it_is_bound() -> None:
    prepared: list[Any] = []

    class Preparing(SimpleMessageConverter):
        def prepare_target(self, target: Any, hint: Any = None) -> None:
            prepared.append((target, hint))

    for annotation in (Line, list[Line], Any, bytes | str, Raw):
        parameter = MethodParameter("line", annotation, method_name="Chat.say")
        PayloadMethodArgumentResolver(Preparing()).bind(parameter)
        if annotation in (Line, list[Line]):
            assert prepared.pop() == (annotation, parameter)
    assert prepared == []
    parameter = MethodParameter("line", Message[Line], method_name="Chat.say")
    MessageMethodArgumentResolver(Preparing()).bind(parameter)
    assert prepared == [(Line, parameter)]
    MessageMethodArgumentResolver(None).bind(parameter)


def whole(annotation: Any, message: Message[Any]) -> Any:
    parameter = MethodParameter("message", annotation, method_name="Chat.say")
    resolver = MessageMethodArgumentResolver(default_converters())
    assert resolver.supports_parameter(parameter)
    return resolver.bind(parameter)(message)


@pytest.mark.spec("ANN-04")
def test_the_message_itself() -> None:
    message = Message(b'{"text":"a"}')
    for annotation in (Message, Message[Any], Message[bytes], Message[object], Message[T]):  # type: ignore[valid-type]  # any T
        assert whole(annotation, message) is message


@pytest.mark.spec("ANN-04")
def test_a_message_with_its_payload_converted() -> None:
    message = Message(b'{"text":"a"}', {"x": 1})
    converted = whole(Message[Line], message)
    assert converted.payload == Line("a")
    assert converted.headers is message.headers


@pytest.mark.spec("ANN-04")
def test_an_empty_payload_cannot_be_converted_for_a_message() -> None:
    with pytest.raises(MessageConversionError, match="when payload is empty"):
        whole(Message[Line], Message(b""))
    assert whole(Message[bytes], Message(b"")).payload == b""


@pytest.mark.spec("ANN-04")
def test_no_converter_for_a_message() -> None:
    with pytest.raises(MessageConversionError) as caught:
        whole(Message[Line], Message(b"{}", {"contentType": "text/plain"}))
    expected = f"actual payload type 'bytes' to expected payload type '{__name__}.Line', contentType='text/plain'"
    assert caught.value.description == f"No converter found from {expected}"


@pytest.mark.spec("ANN-04")
def test_another_class_of_message_is_a_mismatch() -> None:
    error = ErrorMessage(ValueError("x"))
    assert whole(ErrorMessage, error) is error
    assert whole(Message, error) is error
    with pytest.raises(MethodArgumentTypeMismatchError, match="Actual message type .*Message' does not match expected"):
        whole(ErrorMessage, Message("x"))
