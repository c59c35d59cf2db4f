"""JSON: every kind of target, and errors that say which field and what was expected."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import uuid
from typing import Any, Generic, TypedDict, TypeVar

import msgspec
import pydantic
import pytest

from wellhead.messaging.converter.json import DECODER_LIMIT, JsonMessageConverter
from wellhead.messaging.exceptions import MessageConversionError
from wellhead.messaging.message import Message
from wellhead.messaging.mime import APPLICATION_JSON

T = TypeVar("T")


@dataclasses.dataclass
class Data:
    name: str
    age: int = 0


class Typed(TypedDict):
    name: str
    age: int


class Struct(msgspec.Struct):
    name: str
    age: int


class Model(pydantic.BaseModel):
    name: str
    age: int


@dataclasses.dataclass
class Holder:
    model: Model


@pydantic.dataclasses.dataclass
class Order:
    quantity: int = pydantic.Field(gt=0)


@dataclasses.dataclass
class Basket:
    orders: list[Order]


@dataclasses.dataclass
class LaterDefined:
    text: Missing  # type: ignore[name-defined]  # noqa: F821  # the mistake


@dataclasses.dataclass
class Box(Generic[T]):
    content: T


class Plain:
    pass


class Parameter:
    def __init__(self, annotation: Any) -> None:
        self.annotation = annotation


def read(body: Any, target: Any, **headers: Any) -> Any:
    return JsonMessageConverter().from_message(Message(body, headers), target)


JOE = b'{"name": "joe", "age": 5, "unknown": true}'


@pytest.mark.spec("CONV-03")
@pytest.mark.parametrize(
    ("body", "target", "expected"),
    [
        (JOE, Data, Data("joe", 5)),
        (JOE, Typed, {"name": "joe", "age": 5}),
        (JOE, Struct, Struct("joe", 5)),
        (JOE, Model, Model(name="joe", age=5)),
        (JOE, dict, {"name": "joe", "age": 5, "unknown": True}),
        (JOE, Any, {"name": "joe", "age": 5, "unknown": True}),
        (JOE, dict[str, Any], {"name": "joe", "age": 5, "unknown": True}),
        (b"[" + JOE + b"]", list[Data], [Data("joe", 5)]),
        (b"[" + JOE + b"]", list[Model], [Model(name="joe", age=5)]),
        (b'{"model": ' + JOE + b"}", Holder, Holder(Model(name="joe", age=5))),
        (b'{"content": ' + JOE + b"}", Box[Data], Box(Data("joe", 5))),
        (b'{"quantity": 2}', Order, Order(2)),
        (b'[{"quantity": 2}]', list[Order], [Order(2)]),
        (b'{"orders": [{"quantity": 2}]}', Basket, Basket([Order(2)])),
        (JOE, Data | None, Data("joe", 5)),
        (JOE, Model | None, Model(name="joe", age=5)),
        (JOE, Data | Model, Data("joe", 5)),
        (b"[1, 2]", list, [1, 2]),
        (b"[1, 2]", tuple[int, ...], (1, 2)),
        (b"5", int, 5),
        (b"5", int | str, 5),
        (b'"text"', str, "text"),
        (b"1.5", float, 1.5),
        (b"true", bool, True),
        (b'"00000000-0000-0000-0000-000000000001"', uuid.UUID, uuid.UUID(int=1)),
    ],
)
def test_targets(body: bytes, target: Any, expected: Any) -> None:
    assert read(body, target) == expected
    assert read(bytearray(body), target) == expected


@pytest.mark.spec("CONV-03")
@pytest.mark.parametrize(
    ("body", "target", "reason"),
    [
        (b'{"name": "joe", "age": "x"}', Data, "Expected `int`, got `str` - at `$.age`"),
        (b'{"name": "joe", "age": "x"}', Typed, "Expected `int`, got `str` - at `$.age`"),
        (b'{"name": "joe", "age": "x"}', Struct, "Expected `int`, got `str` - at `$.age`"),
        (b'{"name": "joe", "age": "x"}', Model, "Input should be a valid integer"),
        (b'{"name": "joe", "age": "x"}', Model, " - at `$.age`"),
        (b'{"quantity": 0}', Order, "Input should be greater than 0 - at `$.quantity`"),
        (b'{"quantity": 0}', Order | None, "Input should be greater than 0 - at `$.quantity`"),
        (b'[{"quantity": 0}]', list[Order], "Input should be greater than 0 - at `$[0].quantity`"),
        (b'{"orders": [{"quantity": 0}]}', Basket, "Input should be greater than 0 - at `$.orders[0].quantity`"),
        (b'{"content": {"quantity": 0}}', Box[Order], "Input should be greater than 0 - at `$.content.quantity`"),
        (b'{"model": {"name": "joe"}}', Holder, "Field required - at `$.age` - at `$.model`"),
        (b'[{"name": 1}]', list[Data], "Expected `str`, got `int` - at `$[0].name`"),
        (b'{"age": 5}', Data, "Object missing required field `name`"),
        (b"[]", Data, "Expected `object`, got `array`"),
        (b"[]", dict, "Expected `object`, got `array`"),
        (b"{", dict, "Input data was truncated"),
        (b'"text"', int, "Expected `int`, got `str`"),
        (b"{}", Plain, "cannot be read"),
        (b'"\xff"', str, "decode byte 0xff"),
        (b"[" * 100_000, list, "nested too deeply"),
    ],
)
def test_what_does_not_fit_names_the_field_and_what_was_expected(body: bytes, target: Any, reason: str) -> None:
    with pytest.raises(MessageConversionError) as caught:
        read(body, target)
    assert caught.value.description.startswith("Could not read JSON: ")
    assert reason in caught.value.description
    assert "\n" not in caught.value.description
    assert caught.value.failed_message is not None


@pytest.mark.spec("CONV-03")
def test_a_payload_that_is_an_instance_already_is_given_back() -> None:
    data = Data("joe", 5)
    assert read(data, Data) is data
    assert read("text", str) == "text"
    assert read(b"bytes", bytes) == b"bytes"
    assert read(b"bytes", object) == b"bytes"


@pytest.mark.spec("CONV-03")
def test_an_object_of_another_kind_is_converted() -> None:
    assert read({"name": "joe", "age": 5}, Data) == Data("joe", 5)
    with pytest.raises(MessageConversionError, match=r"Could not read JSON: Expected `str`, got `int` - at `\$.name`"):
        read({"name": 1}, Data)


@pytest.mark.spec("CONV-03")
def test_bytes_are_decoded_by_charset() -> None:
    body = '{"name": "é", "age": 1}'
    assert read(body.encode(), Data) == Data("é", 1)
    assert read(body, Data) == Data("é", 1)
    assert read(body.encode("utf-16"), Data, contentType="application/json;charset=utf-16") == Data("é", 1)


@pytest.mark.spec("CONV-03")
def test_a_hint_refines_a_generic_target() -> None:
    converter, message = JsonMessageConverter(), Message(b'[{"name": "joe"}]')
    assert converter.from_message(message, list) == [{"name": "joe"}]
    for hint in (
        list[Data],
        list[Data] | None,
        Message[list[Data]],
        Parameter(list[Data]),
        Parameter(Message[list[Data]]),
    ):
        assert converter.from_message(message, list, hint) == [Data("joe")]
    assert converter.from_message(message, list, dict[str, int]) == [{"name": "joe"}]


@pytest.mark.spec("CONV-03")
@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (Data("joe", 5), b'{"name":"joe","age":5}'),
        (Struct("joe", 5), b'{"name":"joe","age":5}'),
        (Model(name="joe", age=5), b'{"name":"joe","age":5}'),
        ([Model(name="joe", age=5)], b'[{"name":"joe","age":5}]'),
        ({"a": None}, b'{"a":null}'),
        ("é", '"é"'.encode()),
        (uuid.UUID(int=1), b'"00000000-0000-0000-0000-000000000001"'),
    ],
)
def test_payloads_are_written(payload: Any, expected: bytes) -> None:
    message = JsonMessageConverter().to_message(payload)
    assert message is not None
    assert (message.payload, message.headers["contentType"]) == (expected, APPLICATION_JSON)


@pytest.mark.spec("CONV-03")
def test_payloads_are_written_as_text_or_in_a_charset() -> None:
    message = JsonMessageConverter(serialized_payload_class=str).to_message(["é"])
    assert message is not None
    assert message.payload == '["é"]'
    message = JsonMessageConverter().to_message(["é"], {"contentType": "application/json;charset=iso-8859-1"})
    assert message is not None
    assert message.payload == b'["\xe9"]'


@pytest.mark.spec("CONV-03")
def test_what_cannot_be_written_is_an_error() -> None:
    with pytest.raises(
        MessageConversionError, match=r"Could not write JSON: objects of type .*Plain cannot be written"
    ):
        JsonMessageConverter().to_message({"a": Plain()})
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(MessageConversionError, match="Could not write JSON"):
        JsonMessageConverter().to_message(endless)


@pytest.mark.spec("CONV-03")
def test_other_json_types_fit_and_others_do_not() -> None:
    assert read(b"5", int, contentType="application/vnd.x+json") == 5
    assert read(b"5", int, contentType="text/plain") is None
    only_json = JsonMessageConverter(APPLICATION_JSON)
    assert only_json.from_message(Message(b"5", {"contentType": "application/vnd.x+json"}), int) is None


@pytest.mark.spec("CONV-03")
@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_decoders_are_kept_for_a_bounded_number_of_targets(extra: int) -> None:
    converter = JsonMessageConverter()
    for number in range(DECODER_LIMIT + extra):
        assert converter.from_message(Message(b"5"), msgspec_type(number)) == 5
    assert len(converter._decoders) == min(DECODER_LIMIT, DECODER_LIMIT + extra)


@pytest.mark.spec("CONV-03")
def test_a_target_that_is_written_anew_has_its_decoder_already() -> None:
    """Else reading by ``list[int]``, another object each time, would push the others out."""
    converter = JsonMessageConverter()
    targets = [list[int], *(msgspec_type(number) for number in range(DECODER_LIMIT - 1))]
    for each in targets:
        converter.prepare_target(each)
    known = dict(converter._decoders)
    kept = [list[int] for _ in range(2 * DECODER_LIMIT)]
    for each in kept:
        assert converter.from_message(Message(b"[5]"), each) == [5]
    assert converter._decoders == known
    assert len(converter._of_late) == DECODER_LIMIT


def msgspec_type(number: int) -> Any:
    from typing import Annotated

    return Annotated[int, msgspec.Meta(description=str(number))]


@pytest.mark.spec("CONV-03")
def test_pydantic_is_not_imported_for_those_who_do_not_use_it() -> None:
    code = (
        "import sys; from wellhead.messaging.converter.composite import default_converters as d;"
        "from wellhead.messaging.message import Message; assert d().from_message(Message(b'[1]'), list[int]) == [1];"
        "d().to_message([1]); assert 'pydantic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


@pytest.mark.spec("CONV-03")
def test_unions_in_another_order_are_other_targets() -> None:
    """Equal and of one hash as they are, pydantic reads them differently: what fits both becomes the first one."""
    converter = JsonMessageConverter()

    class A(pydantic.BaseModel):
        x: int

    class B(pydantic.BaseModel):
        x: int

    read = [converter.from_message(Message(b'{"x": 1}', {}), each) for each in (A | B, B | A, A | B)]
    assert [type(each) for each in read] == [A, B, A]


@pytest.mark.spec("CONV-03")
@pytest.mark.parametrize("target", [LaterDefined, list[LaterDefined], LaterDefined | None])
def test_a_target_that_nothing_can_be_read_as_is_told_when_it_is_prepared(target: Any) -> None:
    with pytest.raises(TypeError, match="name 'Missing' is not defined"):
        JsonMessageConverter().prepare_target(target)


@pytest.mark.spec("CONV-03")
def test_a_target_is_prepared_as_the_hint_refines_it() -> None:
    JsonMessageConverter().prepare_target(list, list[Data])
    with pytest.raises(TypeError, match="name 'Missing' is not defined"):
        JsonMessageConverter().prepare_target(list, list[LaterDefined])


@pytest.mark.spec("CONV-03")
def test_a_payload_that_is_an_object_already_is_validated_as_well() -> None:
    assert read({"quantity": 2}, Order) == Order(2)
    with pytest.raises(MessageConversionError, match=r"greater than 0 - at `\$.quantity`"):
        read({"quantity": 0}, Order)
