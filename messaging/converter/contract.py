"""What a message converter is: bytes to objects before a handler method, objects to bytes after it (CONV-01)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from ..message import Message


@runtime_checkable
class MessageConverter(Protocol):
    """Turns payloads into objects and back.

    None from either method means "this is not for me"; an error means that it is, and failed.
    """

    def from_message(self, message: Message[Any], target: Any, hint: Any = None) -> Any:
        """The payload as a *target* (a class or any other annotation), or None when this converter cannot do it.

        *hint* is a more precise annotation, or the parameter that the value is for. Raises MessageConversionError.
        """
        ...

    def to_message(
        self, payload: Any, headers: Mapping[str, Any] | None = None, hint: Any = None
    ) -> Message[Any] | None:
        """A message with *payload* serialized, or None when this converter cannot do it.

        Headers of an accessor that is still mutable are used in place, so that accessor and message share them; any
        other mapping is copied. Raises MessageConversionError.
        """
        ...


@runtime_checkable
class PreparingMessageConverter(Protocol):
    """A converter that does the thinking about a target once. It is told of those of handler methods when these are
    registered.
    """

    def prepare_target(self, target: Any, hint: Any = None) -> None:
        """*target* and *hint* are what ``from_message`` will get. Raises TypeError when it could only fail."""
        ...
