"""What a subscription registry has worked out about destinations (REG-02): the subscriptions that match, kept ready,
and which patterns a destination has to be held against at all.

Without a lock of its own: the registry changes it under its lock, and reads it without.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..matching import AntPathMatcher, PathMatcher
from ..pattern import CompiledPattern
from .contract import Subscription

CACHE_LIMIT = 1024
"""Destinations that are kept ready."""

MAX_REFERENCES = 1_000_000
"""Subscriptions and patterns that all destinations together hold ready: 8 MB of references, or some ten times that
where each is a pattern. The oldest destinations make room.
"""

MAX_START = 8
"""Segments at the beginning of a pattern by which it is found: with twice as many branches for each, few are enough."""

_WILD = re.compile(r"[*?{}]")


class PatternSubscriptions:
    """The subscriptions to one pattern. Equal only to itself."""

    __slots__ = ("compiled", "destinations", "is_warned", "number", "start", "subscriptions", "text")

    def __init__(
        self, text: str, number: int = 0, start: tuple[str, ...] = (), compiled: CompiledPattern | None = None
    ) -> None:
        self.text = text
        self.compiled = compiled
        """None with a matcher that is the user's own and compiles what it likes."""
        self.number = number
        """Greater than that of all patterns that were there before."""
        self.start = start
        """Its first segments, `*` for one with a wildcard, as far as they tell something about a destination."""
        self.subscriptions: dict[Subscription, None] = {}
        self.destinations: dict[CachedDestination, None] = {}
        """Those of the cache that were held against it, and that it matches."""
        self.is_warned = False

    def could_match(self, destination: str) -> bool:
        """A cheap look, which lets some pass."""
        return not self.start or self.start[-1] in destination


class PatternIndex:
    """A tree of the patterns by their segments: a destination meets few of them, however many there are.

    A segment with a wildcard is the branch `*`, which every destination takes, too; from `**` on nothing is told apart.
    Without a lock of its own. With a matcher other than an AntPathMatcher that compares to the letter, whose segments
    are not known, every destination has to meet every pattern.
    """

    def __init__(self, matcher: PathMatcher) -> None:
        self._separator: str | None = None
        # Not a subclass: it may match as it likes.
        if type(matcher) is AntPathMatcher and matcher._case_sensitive and not matcher._trim_tokens:
            self._separator = matcher.separator
        self._root = _Branch()

    def new(self, text: str, number: int, compiled: CompiledPattern | None = None) -> PatternSubscriptions:
        """A pattern that is found from now on."""
        pattern = PatternSubscriptions(text, number, self._start(text), compiled)
        branch = self._root
        for segment in pattern.start:
            branch = branch.branches.setdefault(segment, _Branch())
        branch.patterns[pattern] = None
        return pattern

    def discard(self, pattern: PatternSubscriptions) -> None:
        """It is found no more."""
        path = [self._root]
        for segment in pattern.start:
            path.append(path[-1].branches[segment])
        del path[-1].patterns[pattern]
        for segment in reversed(pattern.start):
            branch = path.pop()
            if branch.patterns or branch.branches:
                return
            del path[-1].branches[segment]

    def candidates(self, destination: str) -> list[PatternSubscriptions]:
        """The patterns that might match, the oldest first; the others do not."""
        here = [self._root]
        found = list(self._root.patterns)
        for segment in self._segments(destination):
            names = (segment, "*") if segment != "*" else ("*",)
            here = [branch.branches[name] for branch in here for name in names if name in branch.branches]
            for branch in here:
                found += branch.patterns
            if not here:
                break
        found.sort(key=_number)
        return found

    def _start(self, text: str) -> tuple[str, ...]:
        start: list[str] = []
        for segment in self._segments(text):
            if segment == "**":
                break
            start.append("*" if _WILD.search(segment) else segment)
        while start and start[-1] == "*":  # A last `*` matches nothing, too: `/a/*` takes `/a/`.
            start.pop()
        return tuple(start)

    def _segments(self, text: str) -> list[str]:
        """The first of them, without the empty ones, which count for nothing."""
        if self._separator is None:
            return []
        return list(filter(None, text.split(self._separator)))[:MAX_START]


class _Branch:
    """Where patterns with the same first segments end or go on."""

    __slots__ = ("branches", "patterns")

    def __init__(self) -> None:
        self.branches: dict[str, _Branch] = {}
        self.patterns: dict[PatternSubscriptions, None] = {}


def _number(pattern: PatternSubscriptions) -> int:
    return pattern.number


class CachedDestination:
    """What is known of one destination. Equal only to itself."""

    __slots__ = ("count", "destination", "is_kept", "met_until", "patterns", "ready", "references")

    def __init__(self, destination: str, patterns: Iterable[PatternSubscriptions]) -> None:
        self.destination = destination
        self.patterns: dict[PatternSubscriptions, None] = dict.fromkeys(patterns)
        self.met_until = 0
        """The number of the last pattern that it was held against."""
        self.ready: tuple[tuple[Subscription, ...], bool] | None = None
        """The matching subscriptions, and whether one of them selects; None while that must be put together anew."""
        self.is_kept = False
        """Whether it is in the cache."""
        self.references = 0
        self.count = 0
        """How often its references were counted."""


class DestinationCache:
    """The destinations that were asked for, the oldest first; bounded by their number and by what they hold.

    Garbage that is collected in between may ask for destinations, too. So nothing is called between a look at what is
    kept and the change that follows from it.
    """

    def __init__(self, limit: int = CACHE_LIMIT, max_references: int = MAX_REFERENCES) -> None:
        self._limit = limit
        self._max_references = max_references
        self.entries: dict[str, CachedDestination] = {}
        self.references = 0

    @property
    def limit(self) -> int:
        return self._limit

    @limit.setter
    def limit(self, value: int) -> None:
        """Lowering the limit evicts at once, the oldest first."""
        self._limit = value
        self._evict()

    def add(self, destination: str, patterns: Iterable[PatternSubscriptions]) -> CachedDestination:
        """A new entry, which is not kept if there is no room at all."""
        entry = CachedDestination(destination, patterns)
        for pattern in entry.patterns:
            pattern.destinations[entry] = None
        while destination in self.entries:  # garbage has asked for it meanwhile
            self._remove(destination)
        self.entries[destination] = entry
        entry.is_kept = True
        self._count(entry)
        self._evict()
        return entry

    def keep(self, entry: CachedDestination, ready: tuple[tuple[Subscription, ...], bool]) -> None:
        entry.ready = ready
        self._count(entry)
        self._evict()

    def stale(self, entry: CachedDestination) -> None:
        """A subscription that matches the destination came or went."""
        entry.ready = None
        self._count(entry)

    def link(self, entry: CachedDestination, *patterns: PatternSubscriptions) -> None:
        """Patterns that match the destination came."""
        for pattern in patterns:
            entry.patterns[pattern] = None
            if entry.is_kept:
                pattern.destinations[entry] = None
        self.stale(entry)
        self._evict()

    def unlink(self, pattern: PatternSubscriptions) -> None:
        """A pattern went."""
        for entry in [*pattern.destinations]:
            entry.patterns.pop(pattern, None)
            self.stale(entry)
        pattern.destinations.clear()

    def _count(self, entry: CachedDestination) -> None:
        """Correct what is held in all by what *entry* holds now, if it is still here."""
        entry.count = count = entry.count + 1
        held = len(entry.patterns) + (len(entry.ready[0]) if entry.ready is not None else 0)
        if entry.is_kept and entry.count == count:  # else it was counted again meanwhile
            self.references += held - entry.references
            entry.references = held

    def _evict(self) -> None:
        while len(self.entries) > self._limit or (self.references > self._max_references and self.entries):
            self._remove(next(iter(self.entries)))

    def _remove(self, destination: str) -> None:
        entry = self.entries.get(destination)
        if entry is None or not entry.is_kept:  # garbage has led to that already
            return
        del self.entries[destination]
        entry.is_kept = False
        self.references -= entry.references
        for pattern in entry.patterns:
            pattern.destinations.pop(entry, None)
