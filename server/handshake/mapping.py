"""From a path to the request handler that serves it (HS-07).

Station: the first of ours in the WSGI application; what is not found here goes on to the wrapped application.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.routing.exceptions import RoutingException

from .request import decoded_path

H = TypeVar("H")

_NO_VARIABLES: Mapping[str, str] = {}
_VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_WILD = "_wild"
_ANY_DEPTH = "/**"


class WebSocketHandlerMapping(Generic[H]):
    """Finds request handlers by path pattern.

    ``order``: among mappings, and here among patterns that match the same path, the smaller number goes first; 1 by
    default, before an application's ordinary routes.
    ``web_socket_upgrade_match``: match only GET requests with ``Upgrade: websocket``, so that the same path can serve
    other requests; off by default.

    Patterns: ``/chat`` matches itself; ``/chat/{room}`` one segment as a variable; ``/chat/*`` one segment;
    ``/echo/**`` the path ``/echo`` and everything below it. werkzeug's own ``/chat/<int:room>`` works, too. Within an
    order the more specific one wins: a literal path, then variables, then ``/**`` with the longest prefix.
    """

    def __init__(self, *, order: int = 1, web_socket_upgrade_match: bool = False) -> None:
        self.order = order
        self.web_socket_upgrade_match = web_socket_upgrade_match
        self._levels: list[_Level[H]] = []

    def register(self, path_pattern: str, request_handler: H, order: int | None = None) -> None:
        """Serve a pattern by a request handler; ``order`` is by default that of the mapping.

        Registering a pattern again for the same request handler does nothing.

        Raises:
            RuntimeError: the pattern is taken by another request handler in the same order.
            ValueError: the pattern cannot be understood.
        """
        if not path_pattern.startswith("/"):
            path_pattern = "/" + path_pattern
        self._level(self.order if order is None else order).register(path_pattern, request_handler)

    def match(self, environ: Mapping[str, Any]) -> tuple[H, Mapping[str, str]] | None:
        """Find the request handler for a request, with the variables of its path; ``None`` when there is none."""
        if self.web_socket_upgrade_match and not _asks_for_websocket(environ):
            return None
        path = decoded_path(environ)
        for level in self._levels:
            found = level.match(path)
            if found is not None:
                return found
        return None

    def _level(self, order: int) -> _Level[H]:
        for level in self._levels:
            if level.order == order:
                return level
        level = _Level(order)
        self._levels = sorted([*self._levels, level], key=lambda level: level.order)
        return level


class _Level(Generic[H]):
    """The patterns of one order. Literal paths and plain ``/**`` prefixes are looked up without werkzeug."""

    def __init__(self, order: int) -> None:
        self.order = order
        self._by_pattern: dict[str, H] = {}
        self._literals: dict[str, tuple[H, Mapping[str, str]]] = {}
        self._prefixes: dict[str, tuple[H, Mapping[str, str]]] = {}
        self._rules = _Rules[H]()
        self._deep_rules = _Rules[H]()

    def register(self, pattern: str, handler: H) -> None:
        taken = self._by_pattern.get(pattern)
        if taken is not None:
            if taken is handler:
                return
            raise RuntimeError(f"Cannot map {handler!r} to {pattern!r}: {taken!r} is mapped there already")
        stem = pattern.removesuffix(_ANY_DEPTH)
        plain = not any(mark in stem for mark in "{*<")
        if plain and stem == pattern:
            self._literals[pattern] = handler, _NO_VARIABLES
        elif plain:
            self._prefixes[stem] = handler, _NO_VARIABLES
        elif stem == pattern:
            self._rules.add(_to_rule(pattern), handler)
        else:
            self._deep_rules.add_deep(_to_rule(stem), handler)
        self._by_pattern[pattern] = handler

    def match(self, path: str) -> tuple[H, Mapping[str, str]] | None:
        return (
            self._literals.get(path)
            or self._rules.match(path)
            or (self._match_prefix(path) if self._prefixes else None)
            or self._deep_rules.match(path)
        )

    def _match_prefix(self, path: str) -> tuple[H, Mapping[str, str]] | None:
        end = len(path)
        while end >= 0:
            found = self._prefixes.get(path[:end])
            if found is not None:
                return found
            end = path.rfind("/", 0, end)
        return None


class _Rules(Generic[H]):
    """Patterns with variables, on werkzeug's routing."""

    def __init__(self) -> None:
        self._map = Map(strict_slashes=False, merge_slashes=False, redirect_defaults=False)
        self._adapter = self._map.bind("")
        self._empty = True

    def add(self, rule: str, handler: H) -> None:
        # A strict leaf: /chat/{room} does not match /chat/a/, as in Spring.
        self._map.add(Rule(rule, endpoint=handler, strict_slashes=True))
        self._empty = False

    def add_deep(self, stem: str, handler: H) -> None:
        self._map.add(Rule(f"{stem}/<path:{_WILD}>", endpoint=handler))
        self._map.add(Rule(f"{stem}/", endpoint=handler, strict_slashes=False))  # With and without the slash.
        self._empty = False

    def match(self, path: str) -> tuple[H, Mapping[str, str]] | None:
        if self._empty:
            return None
        try:
            handler, values = self._adapter.match(path, "GET")
        except (HTTPException, RoutingException):
            return None
        return handler, {name: str(value) for name, value in values.items() if not name.startswith(_WILD)}


def _to_rule(pattern: str) -> str:
    """Write Spring's ``{name}`` and ``*`` as werkzeug does."""
    if "<" in pattern:
        return pattern
    segments = [_to_rule_segment(segment, n, pattern) for n, segment in enumerate(pattern.split("/"))]
    return "/".join(segments)


def _to_rule_segment(segment: str, number: int, pattern: str) -> str:
    if segment == "*":
        return f"<{_WILD}{number}>"
    rule = _VARIABLE.sub(r"<\1>", segment)
    if any(mark in rule for mark in "{}*"):
        raise ValueError(
            f"Cannot map {pattern!r}: {segment!r} is neither literal, nor has {{name}}, nor is '*' or a final '**'"
        )
    return rule


def _asks_for_websocket(environ: Mapping[str, Any]) -> bool:
    return environ.get("REQUEST_METHOD") == "GET" and environ.get("HTTP_UPGRADE", "").lower() == "websocket"
