"""Which method is for a destination: patterns, the best match, ambiguity (ANN-02, ANN-03, DEST-04)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cmp_to_key
from typing import Any, Generic, TypeVar

from ..locks import allocate_reentrant_lock
from ..matching import PathMatcher
from .marks import MappingKind

H = TypeVar("H")
Placeholders = Mapping[str, str] | Callable[[str], str | None]

CACHE_LIMIT = 1024
"""How many destinations each kind of mapping remembers the answer for; beyond it the oldest goes."""
CACHED_LENGTH = 256
"""Longer destinations are not remembered: clients choose them."""

_PLACEHOLDER = re.compile(r"\$\{([^{}:]+)(?::([^{}]*))?\}")


class MappingInfo:
    """A kind of message and patterns for its destination; equal when both are, in any order."""

    __slots__ = ("kind", "patterns")

    def __init__(self, kind: MappingKind, patterns: Iterable[str]) -> None:
        self.kind = kind
        self.patterns = tuple(dict.fromkeys(patterns))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MappingInfo):
            return NotImplemented
        return self.kind is other.kind and set(self.patterns) == set(other.patterns)

    def __hash__(self) -> int:
        return hash((self.kind, frozenset(self.patterns)))

    def __repr__(self) -> str:
        return f"{{[{' || '.join(self.patterns)}], messageType=[{self.kind.value}]}}"


class MappingMatch(Generic[H]):
    """The method for a destination, and the variables of the pattern that won: not to be changed."""

    __slots__ = ("handler", "lookup_destination", "variables")

    def __init__(self, handler: H, lookup_destination: str, variables: dict[str, str]) -> None:
        self.handler = handler
        self.lookup_destination = lookup_destination
        self.variables = variables


class Mappings(Generic[H]):
    """All mappings of one moment, never changed: who reads them is not disturbed by who adds one."""

    __slots__ = ("_direct", "_matcher", "handlers")

    def __init__(self, matcher: PathMatcher, handlers: dict[MappingInfo, H]) -> None:
        """*handlers* are these mappings' own from now on."""
        self.handlers = handlers
        self._matcher = matcher
        self._direct: dict[str, list[MappingInfo]] = {}
        for info in handlers:
            for pattern in info.patterns:
                if not matcher.is_pattern(pattern):
                    self._direct.setdefault(pattern, []).append(info)

    def best(self, kind: MappingKind, destination: str) -> MappingMatch[H] | None:
        """Raises RuntimeError when the two best are equally good."""
        matches = self._matches(self._direct.get(destination, ()), kind, destination)
        if not matches:
            matches = self._matches(self.handlers, kind, destination)
        if not matches:
            return None
        compare = self._comparison(destination)
        matches.sort(key=cmp_to_key(compare))
        patterns, best = matches[0]
        if len(matches) > 1 and compare(matches[0], matches[1]) == 0:
            raise RuntimeError(
                f"Ambiguous handler methods mapped for destination '{destination}': {{{best}, {matches[1][1]}}}"
            )
        variables = self._matcher.extract_uri_template_variables(patterns[0], destination)
        return MappingMatch(best, destination, variables)

    def _matches(self, infos: Iterable[MappingInfo], kind: MappingKind, destination: str) -> list[tuple[list[str], H]]:
        """Each mapping that matches, with its matching patterns, the best one first."""
        key = self._matcher.sort_key(destination)
        matches = []
        for info in infos:
            if info.kind is kind:
                patterns = [each for each in info.patterns if self._matcher.match(each, destination)]
                if patterns:
                    matches.append((sorted(patterns, key=key), self.handlers[info]))
        return matches

    def _comparison(self, destination: str) -> Callable[[Any, Any], int]:
        compare_patterns = self._matcher.comparator(destination)

        def compare(one: tuple[list[str], H], two: tuple[list[str], H]) -> int:
            for left, right in zip(one[0], two[0], strict=False):
                result = compare_patterns(left, right)
                if result:
                    return result
            return len(two[0]) - len(one[0])

        return compare


class Matches(dict[str, "MappingMatch[H] | None"], Generic[H]):
    """The methods for destinations of one kind: each is looked up when it is asked for, and remembered."""

    def __init__(self, registry: MappingRegistry[H], kind: MappingKind) -> None:
        self._registry = registry
        self._kind = kind

    def __missing__(self, destination: str) -> MappingMatch[H] | None:
        return self._registry._look_up(self._kind, destination)


class MappingRegistry(Generic[H]):
    """Finds the one method for a destination. Any thread may ask, also while one adds; answers are remembered."""

    def __init__(self, path_matcher: PathMatcher, lookup: Callable[[str], str | None] | None = None) -> None:
        """*lookup* gives the part of a destination that patterns are for, None for nobody's; by default the whole."""
        self._matcher = path_matcher
        self._lookup = lookup
        self._mappings: Mappings[H] = Mappings(path_matcher, {})
        self._lock = allocate_reentrant_lock()
        """Guards that what is remembered is of the mappings that there are, and no more than the limit."""
        self.matches = {kind: Matches[H](self, kind) for kind in MappingKind}
        """For each kind what ``find`` would find: ``matches[kind][destination]``."""

    @property
    def mappings(self) -> dict[MappingInfo, H]:
        """A snapshot of all mappings."""
        return dict(self._mappings.handlers)

    def add(self, info: MappingInfo, handler: H) -> None:
        """As ``add_all``, of one."""
        self.add_all([(info, handler)])

    def add_all(self, handlers: Iterable[tuple[MappingInfo, H]]) -> None:
        """One thread at a time may add. All are found from the end on; none when getting one of them raises.

        Raises RuntimeError when an equal mapping is there already.
        """
        all_handlers = self.mappings
        for info, handler in handlers:
            other = all_handlers.get(info)
            if other is not None:
                raise RuntimeError(
                    f"Ambiguous mapping found. Cannot map {handler} to {info}: There is already {other} mapped."
                )
            all_handlers[info] = handler
        self._replace(all_handlers)

    def find(self, kind: MappingKind, destination: str) -> MappingMatch[H] | None:
        """The best match, or None. Raises RuntimeError when the two best are equally good."""
        return self.matches[kind][destination]

    def _replace(self, handlers: dict[MappingInfo, H]) -> None:
        mappings = Mappings(self._matcher, handlers)
        with self._lock:
            self._mappings = mappings
            for remembered in self.matches.values():
                remembered.clear()

    def _look_up(self, kind: MappingKind, destination: str) -> MappingMatch[H] | None:
        mappings = self._mappings
        lookup_destination = destination if self._lookup is None else self._lookup(destination)
        found = None if lookup_destination is None else mappings.best(kind, lookup_destination)
        if len(destination) <= CACHED_LENGTH:
            with self._lock:
                if mappings is self._mappings:  # else others were added meanwhile, and the next answer may be another
                    remembered = self.matches[kind]
                    if len(remembered) >= CACHE_LIMIT:
                        del remembered[next(iter(remembered))]
                    remembered[destination] = found
        return found


def combine_patterns(
    class_destinations: Iterable[str], method_destinations: Iterable[str], matcher: PathMatcher
) -> list[str]:
    """Every prefix with every pattern; an empty list on one level leaves the other. Never None, may be empty."""
    prefixes = [_with_leading_slash(each, matcher) for each in class_destinations]
    patterns = [_with_leading_slash(each, matcher) for each in method_destinations]
    if not prefixes or not patterns:
        return prefixes or patterns
    return [matcher.combine(prefix, pattern) for prefix in prefixes for pattern in patterns]


def _with_leading_slash(pattern: str, matcher: PathMatcher) -> str:
    if pattern and not pattern.startswith("/") and matcher.slash_separator:
        return f"/{pattern}"
    return pattern


def resolve_placeholders(text: str, placeholders: Placeholders | None) -> str:
    """Replace each ``${name}`` (or ``${name:default}``). Raises ValueError for a name that is not known."""

    def value_of(found: re.Match[str]) -> str:
        name, default = found.group(1), found.group(2)
        value = None
        if placeholders is not None:
            value = placeholders(name) if callable(placeholders) else placeholders.get(name)
        value = default if value is None else value
        if value is None:
            raise ValueError(f"Could not resolve placeholder '{name}' in value \"{text}\"")
        return value

    return _PLACEHOLDER.sub(value_of, text) if "${" in text else text
