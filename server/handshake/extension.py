"""WebSocket extensions and typed access to the ``Sec-WebSocket-*`` headers (WSA-06).

Station: read by the handshake handler and by the upgrade; the client writes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType

from werkzeug.datastructures import Headers

KNOWN_HEADERS = 64
"""Texts of ``Sec-WebSocket-Extensions`` whose meaning is remembered: browsers of one kind all send the same."""
LONGEST_KNOWN = 256
"""Bytes of such a text; longer ones are nobody's custom, and not remembered."""


class WebSocketExtension:
    """An extension by name with its parameters; immutable.

    Parameter names compare without case and are held in lower case; extension names compare with case. A parameter
    without a value has the value ``None``.

    Raises:
        ValueError: the name is empty.
    """

    __slots__ = ("_name", "_parameters")

    def __init__(self, name: str, parameters: Mapping[str, str | None] | None = None) -> None:
        if not name:
            raise ValueError("Extension name must not be empty")
        self._name = name
        self._parameters = {key.lower(): value for key, value in (parameters or {}).items()}

    @property
    def name(self) -> str:
        return self._name

    @property
    def parameters(self) -> Mapping[str, str | None]:
        """Parameters in their order, names in lower case; read-only."""
        return MappingProxyType(self._parameters)

    def has_parameter(self, name: str) -> bool:
        """Whether there is such a parameter, with or without a value; ``name`` in any case."""
        return name.lower() in self._parameters

    def parameter(self, name: str) -> str | None:
        """The parameter's value, ``name`` in any case; ``None`` when it has no value or is absent."""
        return self._parameters.get(name.lower())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WebSocketExtension):
            return NotImplemented
        return self._name == other._name and self._parameters == other._parameters

    def __hash__(self) -> int:
        return hash((self._name, frozenset(self._parameters.items())))

    def __str__(self) -> str:
        """The form of the header."""
        parts = [key if value is None else f"{key}={value}" for key, value in self._parameters.items()]
        return "; ".join([self._name, *parts])

    def __repr__(self) -> str:
        return f"WebSocketExtension({str(self)!r})"


def parse_extensions(header: str | None) -> list[WebSocketExtension]:
    """Parse ``Sec-WebSocket-Extensions``; nothing to parse gives an empty list, empty elements are skipped."""
    if not header:
        return []
    return list(_parse(header) if len(header) > LONGEST_KNOWN else _parse_known(header))


def _parse(header: str) -> tuple[WebSocketExtension, ...]:
    return tuple([extension for part in header.split(",") if (extension := _parse_extension(part)) is not None])


_parse_known = lru_cache(KNOWN_HEADERS)(_parse)


def _parse_extension(text: str) -> WebSocketExtension | None:
    name, *rest = (part.strip() for part in text.split(";"))
    if not name:
        return None
    parameters: dict[str, str | None] = {}
    for part in rest:
        key, equals, value = part.partition("=")
        if key := key.rstrip():
            # RFC 6455 9.1: a value may be quoted, and unquoted it must still be a token.
            parameters[key] = value.strip().strip('"') if equals else None
    return WebSocketExtension(name, parameters)


def parse_tokens(header: str | None) -> list[str]:
    """Split a comma-separated header into its trimmed, non-empty elements."""
    if not header:
        return []
    return [token for part in header.split(",") if (token := part.strip())]


class WebSocketHttpHeaders(Headers):
    """HTTP headers with properties for those of the WebSocket handshake; setting ``None`` or nothing removes."""

    ACCEPT = "Sec-WebSocket-Accept"
    EXTENSIONS = "Sec-WebSocket-Extensions"
    KEY = "Sec-WebSocket-Key"
    PROTOCOL = "Sec-WebSocket-Protocol"
    VERSION = "Sec-WebSocket-Version"

    @property
    def sec_websocket_accept(self) -> str | None:
        return self.get(self.ACCEPT)

    @sec_websocket_accept.setter
    def sec_websocket_accept(self, value: str | None) -> None:
        self._put(self.ACCEPT, value)

    @property
    def sec_websocket_extensions(self) -> list[WebSocketExtension]:
        """All extensions of all lines of the header, in order."""
        return [extension for line in self.getlist(self.EXTENSIONS) for extension in parse_extensions(line)]

    @sec_websocket_extensions.setter
    def sec_websocket_extensions(self, value: Iterable[WebSocketExtension]) -> None:
        self._put(self.EXTENSIONS, ", ".join(map(str, value)))

    @property
    def sec_websocket_key(self) -> str | None:
        return self.get(self.KEY)

    @sec_websocket_key.setter
    def sec_websocket_key(self, value: str | None) -> None:
        self._put(self.KEY, value)

    @property
    def sec_websocket_protocol(self) -> list[str]:
        """All sub-protocols of all lines of the header, in order."""
        return [name for line in self.getlist(self.PROTOCOL) for name in parse_tokens(line)]

    @sec_websocket_protocol.setter
    def sec_websocket_protocol(self, value: Iterable[str]) -> None:
        self._put(self.PROTOCOL, ", ".join(value))

    @property
    def sec_websocket_version(self) -> str | None:
        return self.get(self.VERSION)

    @sec_websocket_version.setter
    def sec_websocket_version(self, value: str | None) -> None:
        self._put(self.VERSION, value)

    def _put(self, name: str, value: str | None) -> None:
        if value:
            self.set(name, value)
        else:
            self.remove(name)
