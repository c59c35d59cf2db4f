"""Where the arguments of a handler method come from: headers and variables; the payload has its own module (ANN-04).

A resolver is asked once for each parameter, at registration. One that has ``bind`` gives a function from message to
value, and an invocation does not meet the resolver again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol, get_origin

from ..converter.conversion import ConversionService
from ..converter.targets import bare
from ..exceptions import MessageConversionError, MessageHandlingError
from ..header_accessor import MessageHeaderAccessor
from ..headers import MessageHeaders
from ..message import Message
from ..native_headers import NATIVE_HEADERS
from .annotations import DestinationVariable, Header, Headers
from .invocation import NOT_OF_THE_PROTOCOL, InvocationMessage, header_of, protocol_values, template_variables
from .parameters import MethodParameter

ArgumentGetter = Callable[[Message[Any]], Any]

_NATIVE_PREFIX = f"{NATIVE_HEADERS}."


class HandlerMethodArgumentResolver(Protocol):
    """Gives values to parameters: the contract of what applications add (ANN-09)."""

    def supports_parameter(self, parameter: MethodParameter) -> bool:
        """Whether this resolver is for *parameter*; asked once, at registration."""
        ...

    def resolve_argument(self, parameter: MethodParameter, message: Message[Any]) -> Any:
        """The value of *parameter* for *message*; what it raises goes to the exception handlers."""
        ...


class BindingResolver(ABC):
    """A resolver that does the thinking once."""

    @abstractmethod
    def supports_parameter(self, parameter: MethodParameter) -> bool: ...

    @abstractmethod
    def bind(self, parameter: MethodParameter) -> ArgumentGetter:
        """The way to the value of *parameter*. Raises TypeError or RuntimeError when the parameter makes no sense."""

    def resolve_argument(self, parameter: MethodParameter, message: Message[Any]) -> Any:
        return self.bind(parameter)(message)


def getter_of(resolver: HandlerMethodArgumentResolver, parameter: MethodParameter) -> ArgumentGetter:
    if isinstance(resolver, BindingResolver):
        return resolver.bind(parameter)
    return partial(resolver.resolve_argument, parameter)


class HeaderMethodArgumentResolver(BindingResolver):
    """Parameters marked with ``Header``."""

    def __init__(self, conversion_service: ConversionService) -> None:
        self._conversion = conversion_service

    def supports_parameter(self, parameter: MethodParameter) -> bool:
        return parameter.marker(Header) is not None

    def bind(self, parameter: MethodParameter) -> ArgumentGetter:
        marker = parameter.marker(Header) or Header()
        name = marker.name or parameter.name
        default = marker.default
        if default is None and parameter.has_default:
            default = parameter.default
        required = marker.required and not parameter.is_optional and not parameter.has_default
        convert = _converter(self._conversion, parameter, f"header '{name}'")
        target = parameter.annotation
        of_the_protocol = name not in NOT_OF_THE_PROTOCOL
        native_only = name.startswith(_NATIVE_PREFIX)
        native_name = name.removeprefix(_NATIVE_PREFIX)

        def get(message: Message[Any]) -> Any:
            values = protocol_values(message)
            if native_only:
                value = None
            else:
                value = values.get(name) if of_the_protocol else header_of(message, name)
            if value is None:
                value = _native_value(values.get(NATIVE_HEADERS), native_name)
            if default is not None and (value is None or value == ""):
                value = default
            if value.__class__ is target:
                return value
            if value is None:
                if required:
                    raise MessageHandlingError(
                        f"Missing header '{name}' for method parameter type [{parameter.type_name}]", message
                    )
                return None
            return convert(value, message)

        return get


def _native_value(native: Mapping[str, list[str]] | None, name: str) -> Any:
    """A single value as it is, several as a list, None when there is none."""
    values = native.get(name) if native is not None else None
    if not values:
        return None
    return values[0] if len(values) == 1 else list(values)


class DestinationVariableMethodArgumentResolver(BindingResolver):
    """Parameters marked with ``DestinationVariable``."""

    def __init__(self, conversion_service: ConversionService) -> None:
        self._conversion = conversion_service

    def supports_parameter(self, parameter: MethodParameter) -> bool:
        return parameter.marker(DestinationVariable) is not None

    def bind(self, parameter: MethodParameter) -> ArgumentGetter:
        marker = parameter.marker(DestinationVariable) or DestinationVariable()
        name = marker.name or parameter.name
        convert = _converter(self._conversion, parameter, f"destination variable '{name}'")
        as_it_is = parameter.annotation is str or parameter.annotation is Any

        def get(message: Message[Any]) -> Any:
            variables = message.variables if message.__class__ is InvocationMessage else template_variables(message)
            if variables is None or name not in variables:
                raise MessageHandlingError(
                    f"Missing path template variable '{name}' for method parameter type [{parameter.type_name}]",
                    message,
                )
            value = variables[name]
            return value if as_it_is else convert(value, message)

        return get


def _converter(service: ConversionService, parameter: MethodParameter, what: str) -> Callable[[Any, Message[Any]], Any]:
    target = parameter.annotation
    description = f"Cannot convert {what} for {parameter.describe()}"

    def convert(value: Any, message: Message[Any]) -> Any:
        if value.__class__ is target or target is Any:
            return value
        try:
            return service.convert(value, target)
        except (ValueError, TypeError) as error:
            raise MessageConversionError(f"{description}: {error}", message) from error

    return convert


class HeadersMethodArgumentResolver(BindingResolver):
    """Mappings marked with ``Headers``, and parameters of the type of headers or of one of their accessors."""

    def supports_parameter(self, parameter: MethodParameter) -> bool:
        return parameter.marker(Headers) is not None or _is_headers_type(parameter.annotation)

    def bind(self, parameter: MethodParameter) -> ArgumentGetter:
        annotation = bare(parameter.annotation)
        kind = get_origin(annotation) or annotation
        if _is_headers_type(kind):
            return partial(_accessor, kind) if issubclass(kind, MessageHeaderAccessor) else _headers
        if kind is dict:
            return lambda message: dict(message.headers)
        if kind is Any or (isinstance(kind, type) and issubclass(MessageHeaders, kind)):
            return _headers
        raise TypeError(f"Headers on {parameter.describe()} needs a mapping, not {parameter.type_name}")


def _is_headers_type(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, MessageHeaders | MessageHeaderAccessor)


def _headers(message: Message[Any]) -> MessageHeaders:
    return message.headers


def _accessor(accessor_type: type[MessageHeaderAccessor], message: Message[Any]) -> MessageHeaderAccessor:
    """The live accessor of the message where it is of that type, else a new one on a copy."""
    return accessor_type.get_accessor(message) or accessor_type.wrap(message)
