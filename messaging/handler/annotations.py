"""What users write on controllers: markers for ``Annotated`` and decorators (ANN-02, ANN-04, ANN-07, ANN-08).

::

    class Chat:
        @message_mapping("/room/{room}")
        @send_to("/topic/room/{room}")
        def say(self, room: Annotated[str, DestinationVariable], line: Annotated[Line, Payload]) -> Line: ...

A marker without options may be written as a class. Everything here only marks: the functions stay what they were and
can be called in a test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from .marks import AdviceMark, MappingKind, SendToUserMark, writable_marks

T = TypeVar("T")


class Mark(Protocol):
    """What the decorators below return: it marks a function or a class and hands back the same, of the same type."""

    def __call__(self, target: T, /) -> T: ...


class ParameterMarker:
    """The base of all markers for parameters."""

    __slots__ = ()


class Payload(ParameterMarker):
    """The payload, converted to the type of the parameter. A parameter that nothing else claims is one, too.

    An empty payload is an error unless *required* is off, the type allows None or the parameter has a default.
    """

    __slots__ = ("expression", "required")

    def __init__(self, expression: str = "", *, required: bool = True) -> None:
        """*expression* is there for those who come from Spring: it is refused when the method is registered."""
        self.expression = expression
        self.required = required


class Header(ParameterMarker):
    """One header: the message's own, else the protocol's; ``nativeHeaders.x`` is always the protocol's.

    *name* defaults to that of the parameter. *default* is used where the header is missing or an empty string, as is
    the default of the parameter itself. Without either, a missing header is an error unless *required* is off or the
    type allows None.
    """

    __slots__ = ("default", "name", "required")

    def __init__(self, name: str | None = None, *, required: bool = True, default: Any = None) -> None:
        self.name = name
        self.required = required
        self.default = default


class Headers(ParameterMarker):
    """All headers as a mapping, those of the protocol nested under ``nativeHeaders``."""

    __slots__ = ()


class DestinationVariable(ParameterMarker):
    """A variable of the mapping's pattern; *name* defaults to that of the parameter. Always required."""

    __slots__ = ("name",)

    def __init__(self, name: str | None = None) -> None:
        self.name = name


class Valid(ParameterMarker):
    """Validate the payload after conversion: with *check* if given, else with the validator of the handler.

    *check* takes the value and returns nothing, or one text or several of what is wrong; or it raises ValueError. Any
    other answer, such as True or False, is a TypeError. With neither check nor validator nothing is validated, and the
    log warns of it at registration. Any marker whose class has a name that begins with ``Valid`` works in the same way.
    """

    __slots__ = ("check", "groups")

    def __init__(self, check: Callable[[Any], Iterable[str] | None] | None = None) -> None:
        self.check = check
        self.groups: tuple[Any, ...] = ()


class Validated(Valid):
    """Validate with the validator of the handler, which is told the *groups*."""

    __slots__ = ()

    def __init__(self, *groups: Any) -> None:
        super().__init__()
        self.groups = groups


def message_mapping(*destinations: str) -> Mark:
    """Handle messages sent to any of these patterns; on a class: prefixes for the patterns of its methods."""
    _check(message_mapping, destinations)

    def mark(target: T, /) -> T:
        writable_marks(target).mappings[MappingKind.MESSAGE] = destinations
        return target

    return mark


def subscribe_mapping(*destinations: str) -> Mark:
    """Handle subscriptions to any of these patterns; what the method returns goes straight to the subscriber, once."""
    _check(subscribe_mapping, destinations)

    def mark(target: T, /) -> T:
        if isinstance(target, type):
            raise TypeError(
                "subscribe_mapping is for methods; message_mapping on the class gives prefixes for both kinds"
            )
        writable_marks(target).mappings[MappingKind.SUBSCRIBE] = destinations
        return target

    return mark


def send_to(*destinations: str) -> Mark:
    """Send what the method returns to these destinations; ``{var}`` is a variable of the mapping.

    None given means ``/topic`` and the destination of the message. On a class: for all methods without their own.
    """
    _check(send_to, destinations)

    def mark(target: T, /) -> T:
        writable_marks(target).send_to = destinations
        return target

    return mark


def send_to_user(*destinations: str, broadcast: bool = True) -> Mark:
    """Send what the method returns to the user who sent the message.

    None given means ``/queue`` and the destination of the message. *broadcast* off: only to the session that the
    message came from, not to the user's other sessions.
    """
    _check(send_to_user, destinations)

    def mark(target: T, /) -> T:
        writable_marks(target).send_to_user = SendToUserMark(destinations, broadcast)
        return target

    return mark


def message_exception_handler(*exception_types: type[BaseException]) -> Mark:
    """Handle these exceptions of other methods; none given means those that its parameters are annotated with."""
    for each in exception_types:
        if not (isinstance(each, type) and issubclass(each, BaseException)):
            raise TypeError(
                "message_exception_handler takes types of exceptions and is written with parentheses: "
                "@message_exception_handler(ValueError), or @message_exception_handler() for those that its parameters "
                "are annotated with"
            )

    def mark(target: T, /) -> T:
        writable_marks(target).exception_types = exception_types
        return target

    return mark


def controller_advice(
    *packages: str,
    types: Iterable[type] = (),
    applies_to: Callable[[Any], bool] | None = None,
    order: int | None = None,
) -> Mark:
    """Let the exception handlers of a class serve other controllers: all of them, or those that fit one condition.

    *packages* are names of modules or packages, *types* classes that the controller must be an instance of,
    *applies_to* any question about the controller. A lower *order* is asked first, None last.
    """
    _check(controller_advice, packages)
    mark_data = AdviceMark(packages, tuple(types), applies_to, order)

    def mark(target: T, /) -> T:
        writable_marks(target).advice = mark_data
        return target

    return mark


def _check(decorator: Callable[..., Any], names: tuple[Any, ...]) -> None:
    for each in names:
        name = decorator.__name__
        if isinstance(each, list | tuple):
            written = ", ".join(map(repr, each))
            raise TypeError(f"{name} takes strings one by one, not in a {type(each).__name__}: @{name}({written})")
        if not isinstance(each, str):
            raise TypeError(f"{name} takes strings and is written with parentheses: @{name}(...), not @{name}")
