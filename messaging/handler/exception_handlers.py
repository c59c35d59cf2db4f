"""Which method handles an exception of another handler method (ANN-08)."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from .marks import AdviceMark
from .method import HandlerMethod, InvocableHandlerMethod, classes_of
from .returns import ReplyFunction

LOWEST_ORDER = 2**31 - 1


class ExceptionHandlerMethod:
    """A method for exceptions, ready to be called."""

    __slots__ = ("invocable", "reply")

    def __init__(self, invocable: InvocableHandlerMethod, reply: ReplyFunction | None) -> None:
        self.invocable = invocable
        self.reply = reply
        """What to do with its return value; None where it is declared to return None."""


class ExceptionHandlerMethodResolver:
    """The exception handlers of one controller or advice."""

    __slots__ = ("_methods",)

    def __init__(self, methods: Iterable[ExceptionHandlerMethod]) -> None:
        """Raises RuntimeError for a method without exception types and for a type that two methods claim."""
        # Differs from Spring: both are told at registration, not when the first exception comes.
        self._methods: dict[type[BaseException], ExceptionHandlerMethod] = {}
        for method in methods:
            for exception_type in exception_types(method.invocable.method):
                other = self._methods.setdefault(exception_type, method)
                if other is not method:
                    raise RuntimeError(
                        f"Ambiguous @ExceptionHandler method mapped for [{exception_type.__qualname__}]: "
                        f"{{{other.invocable.method}, {method.invocable.method}}}"
                    )

    def resolve(self, error: BaseException) -> ExceptionHandlerMethod | None:
        """The method for the closest ancestor of the error's class; if there is none, for its direct cause."""
        if not self._methods:
            return None
        found = self._closest(type(error))
        if found is None and error.__cause__ is not None:
            found = self._closest(type(error.__cause__))
        return found

    def _closest(self, error_type: type[BaseException]) -> ExceptionHandlerMethod | None:
        return next((self._methods[each] for each in error_type.__mro__ if each in self._methods), None)


def exception_types(method: HandlerMethod) -> tuple[type[BaseException], ...]:
    """The types of the decorator, else those of the parameters. Raises RuntimeError when there are none."""
    listed = method.marks.exception_types
    if listed:
        return listed
    found = tuple(
        each
        for parameter in method.parameters
        for each in classes_of(parameter.annotation)
        if issubclass(each, BaseException)
    )
    if not found:
        raise RuntimeError(f"No exception types mapped to {method}")
    return found


class Advice:
    """Exception handlers that serve other controllers, too."""

    __slots__ = ("_mark", "resolver")

    def __init__(self, mark: AdviceMark | None, resolver: ExceptionHandlerMethodResolver) -> None:
        self._mark = mark
        self.resolver = resolver

    @property
    def order(self) -> int:
        """Lower ones are asked first."""
        return LOWEST_ORDER if self._mark is None or self._mark.order is None else self._mark.order

    def applies_to(self, controller: Any) -> bool:
        """Whether one of the conditions holds for *controller*, or there are none."""
        mark = self._mark
        if mark is None or not (mark.packages or mark.types or mark.applies_to):
            return True
        module = _module_of(controller)
        return (
            any(module == each or module.startswith(f"{each}.") for each in mark.packages)
            or isinstance(controller, mark.types)
            or (mark.applies_to is not None and mark.applies_to(controller))
        )


def _module_of(controller: Any) -> str:
    if inspect.ismodule(controller):
        return controller.__name__
    owner = controller if inspect.isroutine(controller) else type(controller)
    return owner.__module__ or ""
