"""Headers that can still be changed (MSG-04): what an accessor hands out, and what the hot path makes without one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

from .headers import NATIVE_HEADERS, MessageHeaders

if TYPE_CHECKING:
    from .header_accessor import MessageHeaderAccessor


class FrozenValues(list[str]):
    """The values of a native header that cannot be changed any more: equal to a list, as whoever reads them expects.

    Copies and pickles are plain lists. Differs from Spring, which makes the map read-only and not its lists.
    """

    __slots__ = ()

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("These native headers cannot be changed")

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse

    def __reduce_ex__(self, _: Any) -> tuple[Any, ...]:
        return list, (tuple(self),)


def frozen_values(native: Mapping[str, Iterable[str]]) -> dict[str, FrozenValues]:
    """A copy whose values cannot be changed."""
    return {
        name: values if values.__class__ is FrozenValues else FrozenValues(values) for name, values in native.items()
    }


class SharedNativeHeaders(dict[str, FrozenValues]):
    """Native headers that messages share until somebody looks at them, then each gets its own. Never changed."""

    __slots__ = ("for_recipients",)

    def __init__(self, native: Mapping[str, Iterable[str]]) -> None:
        super().__init__(frozen_values(native))
        self.for_recipients: Any = None
        """What the broker keeps here of its work; nobody else looks."""

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("These native headers are shared: they cannot be changed")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse


class MutableMessageHeaders(MessageHeaders):
    """Headers that their accessor may still change. Reading is as for any headers.

    Made without an accessor, they make one when somebody asks for it: most messages of clients pass all stations
    without one. What may be unmade are native headers of their own, in place of those that they share.
    """

    __slots__ = ("__weakref__", "_accessor", "_accessor_type", "_mutable")

    def __init__(
        self,
        values: dict[str, Any],
        accessor_type: type[MessageHeaderAccessor],
        accessor: MessageHeaderAccessor | None = None,
    ) -> None:
        """*values* are these headers' own from now on."""
        self._map = values
        self._unmade = None  # an id is made when they are frozen, if one is wanted
        self._accessor_type = accessor_type
        """Of the accessor that there is or will be."""
        self._accessor = accessor
        self._mutable = True
        """Counts while there is no accessor."""

    @property
    def accessor(self) -> MessageHeaderAccessor:
        accessor = self._accessor
        if accessor is None:
            self._complete()
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
            if self._unmade is None:
                self._accessor_type._freeze(self._map)
            self._mutable = False

    def _complete(self) -> dict[str, Any]:
        """All values, with native headers of this message's own."""
        if self._unmade is not None:
            shared = self._map[NATIVE_HEADERS]
            own = {name: [*values] for name, values in shared.items()} if self._mutable else MappingProxyType(shared)
            self._map[NATIVE_HEADERS] = own
            self._unmade = None
        return self._map

    def _copy(self) -> dict[str, Any]:
        return self._complete().copy()


def bare_values_of(headers: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The values themselves of headers that can be changed and that nobody has asked for their accessor; else None.

    For stations on the hot path, which put there what that accessor would.
    """
    if headers.__class__ is not MutableMessageHeaders or headers._accessor is not None or not headers._mutable:
        return None
    return headers._map
