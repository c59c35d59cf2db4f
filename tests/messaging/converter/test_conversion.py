"""Strings to the types of parameters."""

from __future__ import annotations

import enum
import uuid
from datetime import date
from typing import Any, Literal

import pytest

from wellhead.messaging.converter.conversion import DefaultConversionService


class Colour(enum.Enum):
    RED = "red"


@pytest.mark.spec("ANN-04")
@pytest.mark.parametrize(
    ("value", "target", "expected"),
    [
        ("5", int, 5),
        ("1.5", float, 1.5),
        ("true", bool, True),
        ("0", bool, False),
        ("red", Colour, Colour.RED),
        ("a", Literal["a", "b"], "a"),
        ("00000000-0000-0000-0000-000000000001", uuid.UUID, uuid.UUID(int=1)),
        ("2024-02-29", date, date(2024, 2, 29)),
        ("a", str, "a"),
        ("a", Any, "a"),
        ("1, 2", list[int], [1, 2]),
        ("a", list, ["a"]),
        (["1", "2"], list[int], [1, 2]),
        (["1", "2"], str, "1,2"),
        (5, int, 5),
    ],
)
def test_conversions(value: Any, target: Any, expected: Any) -> None:
    result = DefaultConversionService().convert(value, target)
    assert (result, type(result)) == (expected, type(expected))


@pytest.mark.spec("ANN-04")
def test_a_failure_says_what_was_expected() -> None:
    with pytest.raises(ValueError, match="Expected `int`, got `str`"):
        DefaultConversionService().convert("five", int)
