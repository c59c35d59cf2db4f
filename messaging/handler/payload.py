"""The payload as an argument: emptiness, conversion, validation; and whole messages (ANN-04, ANN-05)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, Protocol, get_args, get_origin

from ..converter.contract import MessageConverter, PreparingMessageConverter
from ..converter.targets import ANYTHING, is_instance, is_union, type_name
from ..exceptions import MessageConversionError, MethodArgumentNotValidError, MethodArgumentTypeMismatchError
from ..headers import CONTENT_TYPE
from ..message import Message
from .annotations import Payload
from .arguments import ArgumentGetter, BindingResolver
from .invocation import InvocationMessage
from .parameters import MethodParameter

logger = logging.getLogger(__name__)


class Validator(Protocol):
    """Validates converted payloads."""

    def validate(self, value: Any, groups: tuple[Any, ...]) -> Iterable[str] | None:
        """The texts of what is wrong, or one text; none (or None) when nothing is. ValueError tells one problem, too.

        Anything else, such as True or False, refuses the payload with a TypeError: it does not say what is meant.
        """
        ...


class PayloadMethodArgumentResolver(BindingResolver):
    """Parameters marked with ``Payload`` and, unless switched off, all others: the last resolver of a list."""

    def __init__(
        self, converter: MessageConverter, validator: Validator | None = None, *, use_default_resolution: bool = True
    ) -> None:
        self._converter = converter
        self._validator = validator
        self._use_default_resolution = use_default_resolution

    def supports_parameter(self, parameter: MethodParameter) -> bool:
        return self._use_default_resolution or parameter.marker(Payload) is not None

    def bind(self, parameter: MethodParameter) -> ArgumentGetter:
        marker = parameter.marker(Payload)
        if marker is not None and marker.expression:
            raise RuntimeError(f"Payload expressions are not supported by this resolver: {parameter.describe()}")
        required = (marker is None or marker.required) and not parameter.is_optional and not parameter.has_default
        default = parameter.default if parameter.has_default else None
        target = parameter.annotation
        validate = _validation(parameter, self._validator)
        from_message = self._converter.from_message
        takes_anything = target in ANYTHING
        is_plain = isinstance(target, type) and get_origin(target) is None
        # Bytes are what nearly every payload is, so that is asked once; no plain class but their own is what they are.
        converts_bytes = is_plain or not is_instance(b"", target)
        if converts_bytes and not takes_anything:
            _prepare(self._converter, target, parameter)

        def get(message: Message[Any]) -> Any:
            value = message._payload if message.__class__ is InvocationMessage else message.payload
            if (not value or value.__class__ is not bytes) and is_empty(value):
                if required:
                    _refuse(parameter, message, ["Payload value must not be empty"])
                return default
            if value.__class__ is not target and not takes_anything:
                if converts_bytes if value.__class__ is bytes else not is_instance(value, target):
                    readable = message.readable if message.__class__ is InvocationMessage else message
                    converted = from_message(readable, target, parameter)
                    if converted is None:
                        raise MessageConversionError(
                            f"Cannot convert from [{type_name(type(value))}] to [{parameter.type_name}] "
                            f"for {parameter.describe()}{_content_type(readable)}",
                            message,
                        )
                    value = converted
            if validate is not None:
                validate(value, message)
            return value

        return get


class MessageMethodArgumentResolver(BindingResolver):
    """Parameters of the type ``Message``, ``Message[T]`` or a subclass."""

    def __init__(self, converter: MessageConverter | None) -> None:
        self._converter = converter

    def supports_parameter(self, parameter: MethodParameter) -> bool:
        kind = get_origin(parameter.annotation) or parameter.annotation
        return isinstance(kind, type) and issubclass(kind, Message)

    def bind(self, parameter: MethodParameter) -> ArgumentGetter:
        annotation = parameter.annotation
        message_type = get_origin(annotation) or annotation
        wanted = (get_args(annotation) or (Any,))[0]
        takes_anything = wanted in ANYTHING or getattr(wanted, "__bound__", wanted) is not wanted
        if self._converter is not None and not takes_anything:
            _prepare(self._converter, wanted, parameter)

        def get(message: Message[Any]) -> Message[Any]:
            source = message.original if isinstance(message, InvocationMessage) else message
            if not isinstance(source, message_type):
                raise MethodArgumentTypeMismatchError(
                    f"Could not resolve method parameter at index {parameter.index} in {parameter.method_name}: "
                    f"Actual message type '{type_name(type(source))}' "
                    f"does not match expected type '{type_name(message_type)}'",
                    message,
                )
            if takes_anything or is_instance(message.payload, wanted):
                return message
            return Message(self._convert(message, wanted, parameter), message.headers)

        return get

    def _convert(self, message: Message[Any], wanted: Any, parameter: MethodParameter) -> Any:
        names = (
            f"actual payload type '{type_name(type(message.payload))}' to expected payload type '{type_name(wanted)}'"
        )
        if is_empty(message.payload):
            raise MessageConversionError(f"Cannot convert from {names} when payload is empty", message)
        result = None
        if self._converter is not None:
            result = self._converter.from_message(message, wanted, parameter)
        if result is None:
            raise MessageConversionError(f"No converter found from {names}{_content_type(message)}", message)
        return result


def is_empty(payload: Any) -> bool:
    """None, no bytes, or nothing but white space."""
    if payload.__class__ is bytes:
        return not payload
    if payload is None:
        return True
    if isinstance(payload, str):
        return not payload or payload.isspace()
    return isinstance(payload, bytearray | memoryview) and len(payload) == 0


def _prepare(converter: MessageConverter, target: Any, parameter: MethodParameter) -> None:
    """Let the converter think about a type once. Raises TypeError for one that no payload can become."""
    members = get_args(target) if is_union(target) else (target,)
    if any(isinstance(each, type) and issubclass(each, BaseException) for each in members):
        return  # of an exception handler: no payload becomes that, it is provided
    if isinstance(converter, PreparingMessageConverter):
        try:
            converter.prepare_target(target, parameter)
        except TypeError as error:
            raise TypeError(
                f"No payload can be read as {type_name(target)} for {parameter.describe()}: {error}"
            ) from error


def _content_type(message: Message[Any]) -> str:
    """What an error about a conversion ends with: it is the content type that chooses the converters."""
    content_type = message.headers.get(CONTENT_TYPE)
    return "" if content_type is None else f", contentType='{content_type}'"


def _validation(parameter: MethodParameter, validator: Validator | None) -> Callable[[Any, Message[Any]], None] | None:
    """What validates this parameter: the first marker whose name begins with ``Valid`` decides; None for nothing."""
    marker = next((each for each in parameter.metadata if _class_of(each).__name__.startswith("Valid")), None)
    if marker is None:
        return None
    check = getattr(marker, "check", None) if not isinstance(marker, type) else None
    groups = tuple(getattr(marker, "groups", ())) if not isinstance(marker, type) else ()
    if check is None:
        if validator is None:
            logger.warning(
                "%s on %s has nothing to validate with: set a validator, or give the marker a check, Valid(check)",
                _class_of(marker).__name__,
                parameter.describe(),
            )
            return None
        used = validator

        def check(value: Any) -> Iterable[str] | None:
            return used.validate(value, groups)

    def validate(value: Any, message: Message[Any]) -> None:
        try:
            errors = _texts(check(value), parameter)
        except ValueError as error:
            _refuse(parameter, message, [str(error)], error)
        if errors:
            _refuse(parameter, message, errors)

    return validate


def _texts(found: Any, parameter: MethodParameter) -> list[str]:
    """What a validation says is wrong."""
    if found is None or isinstance(found, str):
        return [found] if found else []
    if not isinstance(found, Iterable):
        raise TypeError(
            f"The validation of {parameter.describe()} returned {found!r}, which is no answer: "
            "return None, or the texts of what is wrong"
        )
    return [str(each) for each in found]


def _class_of(marker: Any) -> type:
    return marker if isinstance(marker, type) else type(marker)


def _refuse(
    parameter: MethodParameter, message: Message[Any], errors: list[str], cause: BaseException | None = None
) -> NoReturn:
    shown = " ".join(f"[{each}]" for each in errors)
    raise MethodArgumentNotValidError(
        f"Could not resolve method parameter at index {parameter.index} in {parameter.method_name}: "
        f"{len(errors)} error(s): {shown}",
        message,
        errors=tuple(errors),
    ) from cause
