"""What decorators leave on functions and classes, and how it is found again at registration.

A decorator stores data on what it decorates and gives the same object back: no registry, no import side effect.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
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

    def copy(self) -> Marks:
        copied = Marks()
        for name in self.__slots__:
            setattr(copied, name, getattr(self, name))
        copied.mappings = dict(self.mappings)
        return copied


NO_MARKS = Marks()


def marks_of(target: Any) -> Marks:
    """The marks of a function or a class, inherited ones included. Never None."""
    found = getattr(target, ATTRIBUTE, None)
    return found if isinstance(found, Marks) else NO_MARKS


def method_marks(cls: type, name: str) -> Marks:
    """The marks of a method, or of the one that it overrides."""
    for each in cls.__mro__:
        if name in each.__dict__ and not isinstance(each.__dict__[name], type):
            found = marks_of(_function(each.__dict__[name]))
            if found is not NO_MARKS:
                return found
    return NO_MARKS


def writable_marks(target: Any) -> Marks:
    """The marks of *target* itself, made if need be: a subclass begins with a copy of what it inherits."""
    target = _function(target)
    own = vars(target).get(ATTRIBUTE) if hasattr(target, "__dict__") else None
    if not isinstance(own, Marks):
        own = marks_of(target).copy()
        setattr(target, ATTRIBUTE, own)
    return own


def _function(target: Any) -> Any:
    return target.__func__ if isinstance(target, staticmethod | classmethod) else target
