"""Which library reads a type: msgspec, or pydantic for what is its own."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, TypeVar

import msgspec
import pydantic
import pytest

from wellhead.messaging.converter.json_decoders import (
    PydanticDecoder,
    decode_other,
    in_order,
    is_model,
    make_decoder,
    reason,
)

T = TypeVar("T")


class Model(pydantic.BaseModel):
    x: int


@pydantic.dataclasses.dataclass
class Order:
    quantity: int = pydantic.Field(gt=0)


@dataclasses.dataclass
class SubOrder(Order):
    note: str = ""


@dataclasses.dataclass
class Basket:
    orders: list[Order]
    next: Basket | None = None


@dataclasses.dataclass
class Plain:
    model: Model
    next: Plain | None = None


@dataclasses.dataclass
class Box(Generic[T]):
    content: T


class Pair(NamedTuple):
    name: str
    order: Order


class Struct(msgspec.Struct):
    order: Order


class Custom:
    pass


@dataclasses.dataclass
class Held:
    order: Order
    custom: Custom


@dataclasses.dataclass
class LaterDefined:
    text: Missing  # type: ignore[name-defined]  # noqa: F821  # the mistake


Named = NewType("Named", Order)
ZERO = b'{"quantity":0}'


@pytest.mark.spec("CONV-03")
@pytest.mark.parametrize(
    ("target", "content"),
    [
        (Order, ZERO),
        (SubOrder, ZERO),
        (Named, ZERO),
        (Annotated[Order, "note"], ZERO),
        (Order | None, ZERO),
        (dict[str, list[Order]], b'{"a":[' + ZERO + b"]}"),
        (Box[Order], b'{"content":' + ZERO + b"}"),
        (Pair, b'["a",' + ZERO + b"]"),
        (Basket, b'{"orders":[],"next":{"orders":[' + ZERO + b"]}}"),
    ],
)
def test_a_dataclass_of_pydantic_is_validated_wherever_it_is(target: Any, content: bytes) -> None:
    decoder = make_decoder(target)
    assert isinstance(decoder, PydanticDecoder)
    with pytest.raises(ValueError, match="greater than 0"):
        decoder.decode(content)
    assert decoder.decode(content.replace(b"0", b"1")) is not None


@pytest.mark.spec("CONV-03")
@pytest.mark.parametrize("target", [Struct, list[Struct], Held])
def test_what_holds_one_and_is_not_for_pydantic_is_refused(target: Any) -> None:
    with pytest.raises(TypeError, match="^Unable to generate pydantic-core schema for .*(Struct|Custom)") as caught:
        make_decoder(target)
    assert "\n" not in str(caught.value)


@pytest.mark.spec("CONV-03")
@pytest.mark.parametrize("target", [Plain, list[Model], Box[int], int, dict[str, Any], Literal["Order"], Custom, Any])
def test_all_else_is_for_msgspec(target: Any) -> None:
    assert isinstance(make_decoder(target), msgspec.json.Decoder)


@pytest.mark.spec("CONV-03")
def test_what_msgspec_does_not_take_is_for_pydantic() -> None:
    decoder = make_decoder(Plain | Box[int])
    assert decoder.decode(b'{"content":5}') == Box(5)
    assert decoder.decode('{"content":5}') == decoder.decode(memoryview(b'{"content":5}')) == Box(5)


@pytest.mark.spec("CONV-03")
def test_without_pydantic_the_reason_is_that_of_msgspec() -> None:
    code = (
        "import dataclasses, sys; from wellhead.messaging.converter.json_decoders import make_decoder\n"
        "A, B = (dataclasses.make_dataclass(each, [('x', int)]) for each in 'AB')\n"
        "make_decoder(A)\n"
        "try: make_decoder(A | B)\n"
        "except TypeError as error: assert 'more than one dataclass' in str(error) and 'pydantic' not in sys.modules\n"
        "else: raise AssertionError"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


@pytest.mark.spec("CONV-03")
@pytest.mark.parametrize("target", [LaterDefined, list[LaterDefined], Custom | Plain])
def test_a_type_that_nothing_can_be_read_as_is_a_type_error(target: Any) -> None:
    with pytest.raises(TypeError, match=r"Missing|Unable to generate"):
        make_decoder(target)


@pytest.mark.spec("CONV-03")
@pytest.mark.parametrize(
    ("one", "two"),
    [
        (int | str, str | int),
        (list[int | str], list[str | int]),
        (dict[str, tuple[int | None, ...]], dict[str, tuple[None | int, ...]]),
    ],
)
def test_unions_are_told_apart_by_their_order(one: Any, two: Any) -> None:
    assert one == two
    assert in_order(one) != in_order(two)
    assert in_order(one) == in_order(one)


@pytest.mark.spec("CONV-03")
def test_equal_targets_of_one_order_have_equal_keys() -> None:
    assert in_order(list[int]) == in_order(list[int])
    assert in_order(Literal["a", "b"]) == Literal["a", "b"]
    assert in_order(Order) is Order


@pytest.mark.spec("CONV-03")
def test_models_are_known_by_their_base() -> None:
    assert is_model(Model)
    assert not any(map(is_model, (Order, Plain, list[Model], Model(x=1), None)))


@pytest.mark.spec("CONV-03")
def test_a_model_inside_of_another_type_is_read_from_what_msgspec_found() -> None:
    model = Model(x=1)
    assert decode_other(Model, model) is model
    assert decode_other(Model, {"x": 1}) == model
    with pytest.raises(ValueError, match=r"^Field required - at `\$.x`$"):
        decode_other(Model, {})
    with pytest.raises(ValueError, match="Custom.* cannot be read"):
        decode_other(Custom, {})


@pytest.mark.spec("CONV-03")
def test_reasons_are_one_line() -> None:
    with pytest.raises(ValueError) as caught:
        make_decoder(list[Order]).decode(b'[{"quantity":0},{"quantity":"a"}]')
    assert reason(caught.value) == (
        "Input should be greater than 0 - at `$[0].quantity`; "
        "Input should be a valid integer, unable to parse string as an integer - at `$[1].quantity`"
    )
    assert reason(RecursionError("maximum")) == "nested too deeply"
    assert reason(ValueError("text")) == "text"
