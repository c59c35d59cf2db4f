"""Headers that can still be changed (MSG-04): what an accessor hands out, and what the hot path makes without one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .headers import MessageHeaders

if TYPE_CHECKING:
    from .header_accessor import MessageHeaderAccessor


class MutableMessageHeaders(MessageHeaders):
    """Headers that their accessor may still change. Reading is as for any headers.

    Made without an accessor, they make one when somebody asks for it: most messages of clients pass all stations
    without one.
    """

    __slots__ = ("__weakref__", "_accessor", "_accessor_type", "_mutable")

    _id_pending = False  # an id is made when they are frozen, if one is wanted

    def __init__(
        self,
        values: dict[str, Any],
        accessor_type: type[MessageHeaderAccessor],
        accessor: MessageHeaderAccessor | None = None,
    ) -> None:
        """*values* are these headers' own from now on."""
        self._map = values
        self._accessor_type = accessor_type
        """Of the accessor that there is or will be."""
        self._accessor = accessor
        self._mutable = True
        """Counts while there is no accessor."""

    @property
    def accessor(self) -> MessageHeaderAccessor:
        accessor = self._accessor
        if accessor is None:
            accessor = self._accessor = self._accessor_type._of_headers(self)
        return accessor

    @property
    def mutable(self) -> bool:
        return self._mutable if self._accessor is None else self._accessor._mutable

    def freeze(self) -> None:
        """As the accessor's ``set_immutable``."""
        if self._accessor is not None:
            self._accessor.set_immutable()
        elif self._mutable:
            self._accessor_type._freeze(self._map)
            self._mutable = False


def bare_values_of(
    headers: Mapping[str, Any] | None, accessor_type: type[MessageHeaderAccessor] | None = None
) -> dict[str, Any] | None:
    """The values themselves of headers that can be changed and that nobody has asked for their accessor, which would
    be of exactly *accessor_type* if that is given; else None.

    For stations on the hot path, which put there what that accessor would.
    """
    if headers.__class__ is not MutableMessageHeaders or headers._accessor is not None or not headers._mutable:
        return None
    return headers._map if accessor_type is None or headers._accessor_type is accessor_type else None
