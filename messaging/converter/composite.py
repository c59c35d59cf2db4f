"""Several converters as one, and the list that a broker configuration begins with (CONV-03, CONV-04)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..message import Message
from ..mime import APPLICATION_JSON
from .builtin import ByteArrayMessageConverter, StringMessageConverter
from .content_type import DefaultContentTypeResolver
from .contract import MessageConverter
from .json import JsonMessageConverter


class CompositeMessageConverter:
    """Asks its converters one after another; the first result that is not None wins."""

    def __init__(self, converters: Iterable[MessageConverter]) -> None:
        """Raises ValueError for no converter at all."""
        self.converters: tuple[MessageConverter, ...] = tuple(converters)
        """In the order in which they are asked. Never empty."""
        if not self.converters:
            raise ValueError("Converters must not be empty")

    def from_message(self, message: Message[Any], target: Any, hint: Any = None) -> Any:
        for converter in self.converters:
            result = converter.from_message(message, target, hint)
            if result is not None:
                return result
        return None

    def to_message(
        self, payload: Any, headers: Mapping[str, Any] | None = None, hint: Any = None
    ) -> Message[Any] | None:
        for converter in self.converters:
            result = converter.to_message(payload, headers, hint)
            if result is not None:
                return result
        return None

    def __repr__(self) -> str:
        return f"CompositeMessageConverter[converters={[type(each).__name__ for each in self.converters]}]"


def default_converters(
    custom: Iterable[MessageConverter] = (), *, register_defaults: bool = True
) -> CompositeMessageConverter:
    """The application's own converters, then text, bytes and JSON (CONV-04).

    Where the content type is missing, JSON is assumed; but ``str`` and ``bytes`` are served by the converters before.
    Raises ValueError when *register_defaults* is off and there is no custom one.
    """
    converters = list(custom)
    if register_defaults:
        converters.append(StringMessageConverter())
        converters.append(ByteArrayMessageConverter())
        converters.append(JsonMessageConverter(content_type_resolver=DefaultContentTypeResolver(APPLICATION_JSON)))
    return CompositeMessageConverter(converters)
