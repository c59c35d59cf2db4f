"""The part of sending that all templates share: the default destination and the conversion (TPL-01)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from ..converter.builtin import SimpleMessageConverter
from ..converter.contract import MessageConverter
from ..exceptions import MessageConversionError
from ..headers import CONTENT_TYPE
from ..message import Message
from ..mutable_headers import MutableMessageHeaders
from .contract import Headers, MessagePostProcessor

D = TypeVar("D")

CONVERSION_HINT_HEADER = "conversionHint"
"""Header whose value a converter gets as its hint."""

_NOT_GIVEN: Any = object()


class AbstractMessageSendingTemplate(ABC, Generic[D]):
    """Converts payloads and sends them to a destination of some kind; a subclass says how."""

    def __init__(
        self, *, message_converter: MessageConverter | None = None, default_destination: D | None = None
    ) -> None:
        """*message_converter* None means one that takes payloads as they are."""
        self.message_converter: MessageConverter = message_converter or SimpleMessageConverter()
        self.default_destination = default_destination
        """Where messages without destination go, or None: these raise RuntimeError then."""

    def send(self, destination: D | Message[Any], message: Message[Any] | None = None, /) -> None:
        """``send(destination, message)``, or ``send(message)`` to the default destination.

        Raises RuntimeError without a destination, MessagingError when sending failed.
        """
        if message is not None:
            self._do_send(destination, message)  # type: ignore[arg-type]  # with a second argument the first is no message
        elif isinstance(destination, Message):
            self._do_send(self._required_default_destination(), destination)
        else:
            raise ValueError("Message must not be null")

    def convert_and_send(
        self,
        destination: Any,
        payload: Any = _NOT_GIVEN,
        /,
        headers: Headers | None = None,
        post_processor: MessagePostProcessor | None = None,
    ) -> None:
        """``convert_and_send(destination, payload)``, or ``convert_and_send(payload)`` to the default destination.

        The header ``conversionHint`` is what the converter gets as its hint; *post_processor* returns the message
        to send. Raises MessageConversionError when the converter does not take the payload, RuntimeError without a
        destination.
        """
        if payload is _NOT_GIVEN:
            destination, payload = self._required_default_destination(), destination
        elif destination is None:
            destination = self._required_default_destination()
        self._do_send(destination, self._convert(payload, headers, post_processor))

    # -- hooks for subclasses

    @abstractmethod
    def _do_send(self, destination: D, message: Message[Any]) -> None:
        """Send, or raise MessagingError."""

    def _process_headers_to_send(self, headers: Headers | None) -> Headers | None:
        """The headers that the converter gets for the ones that the caller gave."""
        return headers

    # -- steps

    def _required_default_destination(self) -> D:
        destination = self.default_destination
        if destination is None:
            raise RuntimeError("No 'defaultDestination' configured")
        return destination

    def _convert(
        self, payload: Any, headers: Headers | None, post_processor: MessagePostProcessor | None
    ) -> Message[Any]:
        hint = None
        if headers.__class__ is MutableMessageHeaders:
            hint = headers._map.get(CONVERSION_HINT_HEADER)
        elif headers is not None:
            hint = headers.get(CONVERSION_HINT_HEADER)
        to_use = self._process_headers_to_send(headers)
        message = self.message_converter.to_message(payload, to_use, hint)
        if message is None:
            raise MessageConversionError(self._unable_to_convert(payload, to_use))
        return message if post_processor is None else post_processor(message)

    def _unable_to_convert(self, payload: Any, headers: Mapping[str, Any] | None) -> str:
        content_type = headers.get(CONTENT_TYPE) if headers else None
        return (
            f"Unable to convert payload with type='{type(payload).__name__}', contentType='{content_type}', "
            f"converter=[{self.message_converter}]"
        )
