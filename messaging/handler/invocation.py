"""A message on its way through one handler method (ANN-01).

Its headers are those of the message from the channel and two more. Building them means copying all headers into an
accessor, which costs more than everything else on the way to a method, and most methods never look: they are built when
somebody does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..header_accessor import MessageHeaderAccessor
from ..headers import ID, NATIVE_HEADERS, MessageHeaders
from ..message import Message

LOOKUP_DESTINATION = "lookupDestination"
"""The destination without the application's prefix."""
TEMPLATE_VARIABLES = "DestinationVariableMethodArgumentResolver.templateVariables"
"""The variables of the mapping's pattern, a dict."""
NOT_OF_THE_PROTOCOL = frozenset((ID, NATIVE_HEADERS, LOOKUP_DESTINATION, TEMPLATE_VARIABLES))
"""Headers that are only made when somebody looks."""


class InvocationMessage(Message[Any]):
    """The message as handler methods see it, with an accessor that stays mutable until the handling ends."""

    __slots__ = ("lookup_destination", "original", "values", "variables")

    def __init__(self, original: Message[Any], lookup_destination: str, variables: dict[str, str]) -> None:
        """*variables* are read, and copied for those who may change them."""
        headers = original._headers
        self._payload = original._payload if original.__class__ is Message else original.payload
        self._headers = None  # type: ignore[assignment]  # made by the property when somebody looks
        self.original = original
        self.values = (headers if headers is not None else original.headers)._map
        """Of its own headers if there are any, else of the original's; to be read only."""
        self.lookup_destination = lookup_destination
        self.variables = variables

    @property
    def headers(self) -> MessageHeaders:
        headers: MessageHeaders | None = self._headers
        return headers if headers is not None else self._build()

    @property
    def readable(self) -> Message[Any]:
        """What a converter reads: this message, or the original while this has no headers of its own."""
        return self if self._headers is not None else self.original

    def freeze(self) -> None:
        """Make the headers immutable: the handling is over."""
        if self._headers is not None:
            accessor = MessageHeaderAccessor.get_accessor(self._headers)
            if accessor is not None:
                accessor.set_immutable()

    def _build(self) -> MessageHeaders:
        accessor = MessageHeaderAccessor.get_mutable_accessor(self.original)
        accessor.set_header(LOOKUP_DESTINATION, self.lookup_destination)
        accessor.set_header(TEMPLATE_VARIABLES, self.variables.copy())
        accessor.leave_mutable = True
        self._headers = accessor.message_headers
        self.values = self._headers._map
        return self._headers


def header_of(message: Message[Any], name: str) -> Any:
    """One header, without building the others; None when there is none."""
    if message.__class__ is InvocationMessage and message._headers is None:
        if name == LOOKUP_DESTINATION:
            return message.lookup_destination
        if name == TEMPLATE_VARIABLES:
            return message.variables.copy()
        message = message.original
    return message.headers.get(name)


def protocol_values(message: Message[Any]) -> Mapping[str, Any]:
    """For the headers of the protocol, such as the session's id: those that ``header_of`` would find, all at once.

    The headers of ``NOT_OF_THE_PROTOCOL`` may not be among them.
    """
    return message.values if message.__class__ is InvocationMessage else message.headers._map


def template_variables(message: Message[Any]) -> dict[str, str] | None:
    """The variables of the mapping's pattern, to be read only; None when the message came another way."""
    if message.__class__ is InvocationMessage:
        return message.variables
    variables: dict[str, str] | None = message.headers.get(TEMPLATE_VARIABLES)
    return variables


def lookup_destination(message: Message[Any]) -> str:
    """Raises RuntimeError for a message that no dispatcher has seen."""
    found = header_of(message, LOOKUP_DESTINATION)
    if found is None:
        raise RuntimeError(f"No lookup destination header in {message}")
    return str(found)
