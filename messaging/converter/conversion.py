"""Converts single values, such as headers and variables of a destination, to the types of parameters (ANN-04)."""

from __future__ import annotations

from typing import Any, Protocol, get_origin

import msgspec

from .targets import bare, is_instance

_COLLECTIONS = (list, tuple, set, frozenset)


class ConversionService(Protocol):
    """Converts a value, mostly a string."""

    def convert(self, value: Any, target: Any) -> Any:
        """*value* as a *target*. Raises ValueError (or TypeError) with a text that says what was expected."""
        ...


class DefaultConversionService:
    """Strings to numbers, booleans, enums, dates, UUIDs and whatever else msgspec makes of a string.

    A string for a collection is cut at its commas, a list for a string is joined with commas.
    """

    def convert(self, value: Any, target: Any) -> Any:
        target = bare(target)
        kind = get_origin(target) or target
        if kind is str and isinstance(value, list):
            return ",".join(map(str, value))
        if kind in _COLLECTIONS and isinstance(value, str):
            value = [each.strip() for each in value.split(",")]
        elif is_instance(value, target) and kind is target:
            return value
        return msgspec.convert(value, target, strict=False)
