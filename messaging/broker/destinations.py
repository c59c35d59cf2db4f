"""What a subscription registry has worked out about destinations (REG-02): the subscriptions that match, kept ready.

Without a lock of its own: the registry changes it under its lock, and reads it without.
"""

from __future__ import annotations

from collections.abc import Iterable

from .contract import Subscription

CACHE_LIMIT = 1024
"""Destinations that are kept ready."""

MAX_REFERENCES = 1_000_000
"""Subscriptions and patterns that all destinations together hold ready: 8 MB of references, or some ten times that
where each is a pattern. The oldest destinations make room.
"""


class PatternSubscriptions:
    """The subscriptions to one pattern. Equal only to itself."""

    __slots__ = ("destinations", "is_settled", "is_warned", "subscriptions", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.subscriptions: dict[Subscription, None] = {}
        self.destinations: dict[CachedDestination, None] = {}
        """Those of the cache that it matches."""
        self.is_settled = False
        """Whether it was held against all of them."""
        self.is_warned = False


class CachedDestination:
    """What is known of one destination. Equal only to itself."""

    __slots__ = ("destination", "patterns", "ready", "references")

    def __init__(self, destination: str, patterns: Iterable[PatternSubscriptions]) -> None:
        self.destination = destination
        self.patterns: dict[PatternSubscriptions, None] = dict.fromkeys(patterns)
        self.ready: tuple[tuple[Subscription, ...], bool] | None = None
        """The matching subscriptions, and whether one of them selects; None while that must be put together anew."""
        self.references = 0


class DestinationCache:
    """The destinations that were asked for, the oldest first; bounded by their number and by what they hold."""

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
        entry = self.entries[destination] = CachedDestination(destination, patterns)
        for pattern in entry.patterns:
            pattern.destinations[entry] = None
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

    def link(self, entry: CachedDestination, pattern: PatternSubscriptions) -> None:
        """A pattern that matches the destination came."""
        entry.patterns[pattern] = None
        pattern.destinations[entry] = None
        self.stale(entry)
        self._evict()

    def unlink(self, pattern: PatternSubscriptions) -> None:
        """A pattern went."""
        for entry in pattern.destinations:
            del entry.patterns[pattern]
            self.stale(entry)
        pattern.destinations.clear()

    def _count(self, entry: CachedDestination) -> None:
        """Correct what is held in all by what *entry* holds now, if it is still here."""
        if self.entries.get(entry.destination) is entry:
            held = len(entry.patterns) + (len(entry.ready[0]) if entry.ready is not None else 0)
            self.references += held - entry.references
            entry.references = held

    def _evict(self) -> None:
        while len(self.entries) > self._limit or (self.references > self._max_references and self.entries):
            entry = self.entries.pop(next(iter(self.entries)))
            self.references -= entry.references
            for pattern in entry.patterns:
                del pattern.destinations[entry]
