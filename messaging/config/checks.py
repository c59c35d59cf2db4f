"""Mistakes in what an application configures: found when it is said, and told with the remedy (CFG-01, CFG-06)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, TypeVar

N = TypeVar("N", int, float)
T = TypeVar("T")


def at_least(least: int, value: N, name: str) -> N:
    """The number. Raises ValueError when it is smaller, TypeError when it is none."""
    if not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if value < least:
        raise ValueError(f"{name} must be {least} or more, not {value}")
    return value


def texts(values: tuple[str, ...], call: str) -> tuple[str, ...]:
    """The arguments of *call*, which takes texts one by one. Raises TypeError for a list of them and for no text."""
    for each in values:
        _refuse_several(each, call)
        if not isinstance(each, str):
            raise TypeError(f"{call} takes texts, not {each!r}")
    return values


def objects(values: Collection[T], call: str) -> Collection[T]:
    """The arguments of *call*, which takes objects one by one. Raises TypeError for a list of them and for a class."""
    for each in values:
        _refuse_several(each, call)
        if isinstance(each, type):
            raise TypeError(f"{each.__qualname__} is a class: {call} takes an instance of it, {each.__qualname__}()")
    return values


def one_or_more(values: str | Iterable[str]) -> tuple[str, ...]:
    """Several texts; a single one stands for itself, not for its letters."""
    return (values,) if isinstance(values, str) else tuple(values)


def _refuse_several(value: Any, call: str) -> None:
    if isinstance(value, list | tuple | set | frozenset):
        written = ", ".join(map(repr, value))
        raise TypeError(f"{call} takes its arguments one by one, not in a {type(value).__name__}: {call}({written})")
