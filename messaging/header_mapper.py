"""Base class for mapping message headers to the headers of some transport and back (MSG-08).

Nothing here uses it: bridges to other systems do.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Generic, Protocol, TypeVar

from .headers import MessageHeaders

logger = logging.getLogger(__name__)

T = TypeVar("T")
V = TypeVar("V")
T_contra = TypeVar("T_contra", contravariant=True)


class HeaderMapper(Protocol[T_contra]):
    """Maps the headers of messages to those of a transport's own message, and back."""

    def from_headers(self, headers: MessageHeaders, target: T_contra) -> None:
        """Write message headers to the transport's message."""
        ...

    def to_headers(self, source: T_contra) -> MessageHeaders:
        """Read message headers from the transport's message."""
        ...


class AbstractHeaderMapper(ABC, Generic[T]):
    """Helps with names and types; a subclass does the mapping.

    *inbound_prefix* is added to names that come from the transport, *outbound_prefix* to names that go there;
    neither is added to a name that begins with it already. Both are empty by default.
    """

    def __init__(self, *, inbound_prefix: str = "", outbound_prefix: str = "") -> None:
        self.inbound_prefix = inbound_prefix
        self.outbound_prefix = outbound_prefix

    @abstractmethod
    def from_headers(self, headers: MessageHeaders, target: T) -> None: ...

    @abstractmethod
    def to_headers(self, source: T) -> MessageHeaders: ...

    def from_header_name(self, header_name: str) -> str:
        """The transport's name for a message header."""
        return _prefixed(self.outbound_prefix, header_name)

    def to_header_name(self, property_name: str) -> str:
        """The message header's name for one of the transport's."""
        return _prefixed(self.inbound_prefix, property_name)

    def header_if_available(self, headers: Mapping[str, Any], name: str, expected: type[V]) -> V | None:
        """The value, or None when it is absent or, with a debug line, of another type."""
        value = headers.get(name)
        if value is None:
            return None
        if not isinstance(value, expected):
            logger.debug(
                "Skipping header '%s': expected type [%s], but got [%s]", name, expected.__name__, type(value).__name__
            )
            return None
        return value


def _prefixed(prefix: str, name: str) -> str:
    return name if name.startswith(prefix) else prefix + name
