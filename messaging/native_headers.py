"""Native headers: the protocol's own, an ordered multimap under one header (MSG-05)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Self

from .header_accessor import MessageHeaderAccessor
from .headers import NATIVE_HEADERS as NATIVE_HEADERS
from .message import Message
from .mutable_headers import MutableMessageHeaders, frozen_values


def first_native_header(headers: Mapping[str, Any], name: str) -> str | None:
    """The first value of a native header, without building an accessor."""
    native = headers.get(NATIVE_HEADERS)
    values = native.get(name) if native else None
    return values[0] if values else None


class NativeMessageHeaderAccessor(MessageHeaderAccessor):
    """Adds native headers: name to list of strings, in the order in which they came."""

    __slots__ = ("_native",)

    def __init__(
        self,
        source: Message[Any] | Mapping[str, Any] | None = None,
        *,
        native_headers: Mapping[str, Iterable[str]] | None = None,
    ) -> None:
        super().__init__(source)
        self._begin_native(native_headers or self._map.get(NATIVE_HEADERS))

    def _begin_native(self, given: Mapping[str, Iterable[str]] | None) -> None:
        """Start with a copy of *given*, or with no native headers."""
        self._native: dict[str, list[str]] | None = None
        if given is not None:
            self._native = {name: list(values) for name, values in given.items()}
            self._map[NATIVE_HEADERS] = self._native

    @classmethod
    def _of_headers(cls, headers: MutableMessageHeaders) -> Self:
        self = super()._of_headers(headers)
        native = headers._map.get(NATIVE_HEADERS)
        self._native = native if native is None or headers.mutable else dict(native)
        return self

    @staticmethod
    def _freeze(values: dict[str, Any]) -> None:
        native = values.get(NATIVE_HEADERS)
        if native is not None:
            values[NATIVE_HEADERS] = MappingProxyType(frozen_values(native))

    def set_immutable(self) -> None:
        if self._mutable:
            self._freeze(self._map)
            if self._native is not None:
                self._native = dict(self._map[NATIVE_HEADERS])
            super().set_immutable()

    def to_map(self) -> dict[str, Any]:
        values = super().to_map()
        if self._native is not None:
            values[NATIVE_HEADERS] = self.to_native_header_map()
        return values

    def to_native_header_map(self) -> dict[str, list[str]]:
        """A detached copy. Never None, may be empty."""
        return {name: values.copy() for name, values in self._native.items()} if self._native else {}

    _checked = MessageHeaderAccessor._checked | {NATIVE_HEADERS}

    def _check(self, name: str, value: Any) -> Any:
        """Native headers are copied, so that they can be changed here alone."""
        if name != NATIVE_HEADERS:
            return super()._check(name, value)
        copied = {key: list(values) for key, values in value.items()} if value is not None else None
        if copied is None or copied != self._native:
            self._native = copied
        return self._native

    # -- one native header

    def contains_native_header(self, name: str) -> bool:
        return self._native is not None and name in self._native

    def get_native_header(self, name: str) -> list[str] | None:
        """All values in the order in which they came, or None. Not a copy: do not change it."""
        return self._native.get(name) if self._native is not None else None

    def get_first_native_header(self, name: str) -> str | None:
        """The first value, or None."""
        values = self._native.get(name) if self._native is not None else None
        return values[0] if values else None

    def set_native_header(self, name: str, value: str | None) -> None:
        """Replace all values by one; None removes the header."""
        self._check_mutable()
        if value is None:
            self.remove_native_header(name)
        elif self.get_native_header(name) != [value]:
            self._writable_native()[name] = [value]
            self._modified = True

    def set_native_header_values(self, name: str, values: Iterable[str] | None) -> None:
        """Replace all values; None removes the header."""
        self._check_mutable()
        if values is None:
            self.remove_native_header(name)
        else:
            self._writable_native()[name] = list(values)
            self._modified = True

    def add_native_header(self, name: str, value: str | None) -> None:
        """Append a value; None is ignored."""
        self._check_mutable()
        if value is not None:
            self._writable_native().setdefault(name, []).append(value)
            self._modified = True

    def add_native_headers(self, headers: Mapping[str, Iterable[str]] | None) -> None:
        """Append all values of all names."""
        self._check_mutable()
        for name, values in (headers or {}).items():
            for value in values:
                self.add_native_header(name, value)

    def remove_native_header(self, name: str) -> list[str] | None:
        """Remove a header and return its values, or None."""
        self._check_mutable()
        removed = self._native.pop(name, None) if self._native is not None else None
        self._modified = self._modified or removed is not None
        return removed

    def _writable_native(self) -> dict[str, list[str]]:
        if self._native is None:
            self._native = self._map[NATIVE_HEADERS] = {}
        return self._native

    def copy_headers(self, headers: Mapping[str, Any] | None) -> None:
        """As for all headers; native ones are merged name by name."""
        for name, values in (_native_part(headers) or {}).items():
            self.set_native_header_values(name, values)
        super().copy_headers(_without_native(headers))

    def copy_headers_if_absent(self, headers: Mapping[str, Any] | None) -> None:
        """As for all headers; native ones are taken over only where there are none at all."""
        native = _native_part(headers)
        if native and not self._native:
            self.set_header(NATIVE_HEADERS, native)
        super().copy_headers_if_absent(_without_native(headers))


def _native_part(headers: Mapping[str, Any] | None) -> Mapping[str, Iterable[str]] | None:
    return headers.get(NATIVE_HEADERS) if headers else None


def _without_native(headers: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (headers or {}).items() if name != NATIVE_HEADERS}
