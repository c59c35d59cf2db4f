"""A handler method: a function with what is known about it, and the plan by which it is called (ANN-04)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, get_args

from ..converter.targets import is_union
from ..exceptions import MethodArgumentResolutionError
from ..message import Message
from .arguments import ArgumentGetter, HandlerMethodArgumentResolver, getter_of
from .marks import NO_MARKS, MappingKind, Marks, marks_of
from .parameters import MethodParameter, read_parameters


class HandlerMethod:
    """A function or bound method that handles messages, with its parameters and marks."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        owner: Any = None,
        marks: Marks | None = None,
        kind: MappingKind | None = None,
    ) -> None:
        """*owner* is the controller (None for a plain function); *kind* says which mapping this is for.

        Raises TypeError for a coroutine function, for a generator function, for annotations that cannot be resolved and
        for markers that are not inside ``Annotated``.
        """
        self.function = function
        self.owner = owner
        self.kind = kind
        self.marks = marks_of(function) if marks is None else marks
        self.class_marks = NO_MARKS if owner is None or inspect.ismodule(owner) else marks_of(type(owner))
        self.name = method_name(function, owner)
        """``Class.method``, or the name of the function."""
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{self.name} is a coroutine function: handler methods are called, not awaited")
        if inspect.isgeneratorfunction(function):
            raise TypeError(
                f"{self.name} is a generator function: calling it runs nothing of it. Return a list, or send each "
                "value with a template"
            )
        self.parameters, annotation = read_parameters(function, self.name)
        self.return_parameter = MethodParameter("return", annotation, method_name=self.name)
        """The return value, seen as a parameter: its ``annotation`` and ``metadata``."""
        self.is_void = annotation is None or annotation is type(None)
        """Declared to return None: whatever it returns is not looked at."""

    def __repr__(self) -> str:
        return self.name


def method_name(function: Any, owner: Any = None) -> str:
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    if owner is None or inspect.ismodule(owner):
        return name
    return f"{type(owner).__qualname__}.{getattr(function, '__name__', name)}"


class InvocableHandlerMethod:
    """A handler method with a way to each of its arguments, found once."""

    __slots__ = ("_function", "_getters", "_keyword_getters", "call", "method")

    def __init__(self, method: HandlerMethod, resolvers: Sequence[HandlerMethodArgumentResolver]) -> None:
        self.method = method
        self._function = method.function
        getters = [(each, self._find(each, resolvers)) for each in method.parameters]
        self._getters = tuple(getter for each, getter in getters if not each.is_keyword_only)
        self._keyword_getters = tuple((each.name, getter) for each, getter in getters if each.is_keyword_only)
        self.call = _caller(self._function, self._getters, self._keyword_getters)
        """``invoke`` without anything provided."""

    def invoke(self, message: Message[Any], provided: Iterable[Any] = ()) -> Any:
        """Call the method and return what it returns; *provided* values are given to parameters of their types first.

        Raises whatever a resolver or the method raises.
        """
        if provided:
            return self._invoke_with(message, tuple(provided))
        return self.call(message)

    def _invoke_with(self, message: Message[Any], provided: tuple[Any, ...]) -> Any:
        positional, keywords = [], {}
        getters = iter(self._getters)
        keyword_getters = dict(self._keyword_getters)
        for parameter in self.method.parameters:
            getter = keyword_getters[parameter.name] if parameter.is_keyword_only else next(getters)
            found = [value for value in provided if _fits(parameter, value)]
            value = found[0] if found else getter(message)
            if parameter.is_keyword_only:
                keywords[parameter.name] = value
            else:
                positional.append(value)
        return self._function(*positional, **keywords)

    def _find(self, parameter: MethodParameter, resolvers: Sequence[HandlerMethodArgumentResolver]) -> ArgumentGetter:
        for resolver in resolvers:
            if resolver.supports_parameter(parameter):
                return getter_of(resolver, parameter)

        def refuse(message: Message[Any]) -> Any:
            raise MethodArgumentResolutionError(
                f"Could not resolve method parameter at index {parameter.index} in {parameter.method_name}: "
                "No suitable resolver",
                message,
            )

        return refuse


def _caller(
    function: Callable[..., Any],
    getters: Sequence[ArgumentGetter],
    keyword_getters: Sequence[tuple[str, ArgumentGetter]],
) -> Callable[[Message[Any]], Any]:
    """What calls *function* with its arguments for a message. Most methods take few, which need no list."""
    if keyword_getters:
        return lambda message: function(
            *[getter(message) for getter in getters], **{name: getter(message) for name, getter in keyword_getters}
        )
    match getters:
        case []:
            return lambda message: function()
        case [first]:
            return lambda message: function(first(message))
        case [first, second]:
            return lambda message: function(first(message), second(message))
        case [first, second, third]:
            return lambda message: function(first(message), second(message), third(message))
    return lambda message: function(*[getter(message) for getter in getters])


def _fits(parameter: MethodParameter, value: Any) -> bool:
    """Whether a provided value is for this parameter; markers say that the parameter is for something else."""
    if parameter.is_marked:
        return False
    annotation = parameter.annotation
    if annotation is Any or annotation is object:
        return True
    return any(isinstance(value, each) for each in classes_of(annotation))


def classes_of(annotation: Any) -> tuple[type, ...]:
    """The classes that an annotation consists of, those of a union; no protocols, as too much fits them."""
    members = get_args(annotation) if is_union(annotation) else (annotation,)
    return tuple(each for each in members if isinstance(each, type) and not getattr(each, "_is_protocol", False))
