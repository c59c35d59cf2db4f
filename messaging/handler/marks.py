"""What decorators leave on functions and classes, and how it is found again at registration.

A decorator stores data on what it decorates and gives the same object back: no registry, no import side effect.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import Any

ATTRIBUTE = "__message_marks__"


class MappingKind(enum.Enum):
    """Which messages a mapped method is for."""

    MESSAGE = "MESSAGE"
    SUBSCRIBE = "SUBSCRIBE"

    __hash__ = object.__hash__  # members are singletons; the inherited hash is several times slower


class SendToUserMark:
    """The destinations of ``send_to_user``."""

    __slots__ = ("broadcast", "destinations")

    def __init__(self, destinations: tuple[str, ...], broadcast: bool) -> None:
        self.destinations = destinations
        self.broadcast = broadcast


class AdviceMark:
    """To which controllers an advice applies; all of the conditions empty means to all of them."""

    __slots__ = ("applies_to", "order", "packages", "types")

    def __init__(
        self,
        packages: tuple[str, ...],
        types: tuple[type, ...],
        applies_to: Callable[[Any], bool] | None,
        order: int | None,
    ) -> None:
        self.packages = packages
        self.types = types
        self.applies_to = applies_to
        self.order = order


class Marks:
    """All that the decorators said about one function or class."""

    __slots__ = ("advice", "exception_types", "mappings", "send_to", "send_to_user")

    def __init__(self) -> None:
        self.mappings: dict[MappingKind, tuple[str, ...]] = {}
        self.send_to: tuple[str, ...] | None = None
        self.send_to_user: SendToUserMark | None = None
        self.exception_types: tuple[type[BaseException], ...] | None = None
        self.advice: AdviceMark | None = None


NO_MARKS = Marks()
_SINGLE = ("advice", "exception_types", "send_to", "send_to_user")
"""The marks beside the mappings, each None where the decorator was not used."""


def marks_of(target: Any) -> Marks:
    """The marks of a function, or of a class and its bases. Never None."""
    if isinstance(target, type):
        return _merged(vars(each).get(ATTRIBUTE) for each in target.__mro__)
    found = getattr(target, ATTRIBUTE, None)
    return found if isinstance(found, Marks) else NO_MARKS


def method_marks(cls: type, name: str) -> Marks:
    """The marks of a method and of those that it overrides; none where a class says that *name* is None."""
    levels: list[Marks] = []
    for each in cls.__mro__:
        if name in vars(each):
            found = vars(each)[name]
            if found is None:
                break
            if not isinstance(found, type):
                levels.append(marks_of(_function(found)))
    return _merged(levels)


def _merged(levels: Iterable[Marks | None]) -> Marks:
    """Each mark from the first level that has it, as what an override does not say again still holds."""
    found = [each for each in levels if each is not None and each is not NO_MARKS]
    if len(found) < 2:
        return found[0] if found else NO_MARKS
    merged = Marks()
    for each in found:
        merged.mappings = {**each.mappings, **merged.mappings}
        for name in _SINGLE:
            if getattr(merged, name) is None:
                setattr(merged, name, getattr(each, name))
    return merged


def writable_marks(target: Any) -> Marks:
    """The marks of *target* itself, made if need be."""
    target = _function(target)
    own = vars(target).get(ATTRIBUTE) if hasattr(target, "__dict__") else None
    if not isinstance(own, Marks):
        own = Marks()
        setattr(target, ATTRIBUTE, own)
    return own


def _function(target: Any) -> Any:
    return target.__func__ if isinstance(target, staticmethod | classmethod) else target
