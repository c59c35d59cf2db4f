from __future__ import annotations

import pytest

from wellhead.messaging.broker.contract import Subscription
from wellhead.messaging.broker.destinations import (
    CACHE_LIMIT,
    MAX_REFERENCES,
    CachedDestination,
    DestinationCache,
    PatternSubscriptions,
)

pytestmark = pytest.mark.spec("REG-02")

PATTERN = PatternSubscriptions("/topic/*")


def keep(cache: DestinationCache, destination: str, count: int) -> CachedDestination:
    entry = cache.add(destination, [])
    cache.keep(entry, (tuple(Subscription("s1", str(number), destination) for number in range(count)), False))
    return entry


def test_defaults():
    assert (CACHE_LIMIT, MAX_REFERENCES) == (1024, 1_000_000)
    assert DestinationCache().limit == CACHE_LIMIT


@pytest.mark.parametrize(("last", "kept"), [(3, ["a", "b", "c"]), (4, ["a", "b", "c"]), (5, ["b", "c"])])
def test_what_all_destinations_hold_is_bounded(last, kept):
    cache = DestinationCache(max_references=10)
    keep(cache, "a", 3)
    keep(cache, "b", 3)
    keep(cache, "c", last)
    assert list(cache.entries) == kept
    assert cache.references == sum(entry.references for entry in cache.entries.values()) <= 10


def test_patterns_count_as_subscriptions_do():
    cache = DestinationCache(max_references=2)
    one, two = PatternSubscriptions("/a/*"), PatternSubscriptions("/**")
    cache.add("/a/a", [one, two])
    assert list(cache.entries) == ["/a/a"]
    cache.add("/a/b", [one])
    assert list(cache.entries) == ["/a/b"]
    assert [entry.destination for entry in one.destinations] == ["/a/b"]
    assert not two.destinations


def test_a_pattern_that_comes_may_be_the_one_too_many():
    cache = DestinationCache(max_references=1)
    one, two = PatternSubscriptions("/a/*"), PatternSubscriptions("/**")
    entry = cache.add("/a/a", [])
    cache.link(entry, one)
    assert list(cache.entries) == ["/a/a"]
    cache.link(entry, two)
    assert (cache.entries, cache.references, one.destinations, two.destinations) == ({}, 0, {}, {})


def test_a_destination_that_holds_too_much_alone_is_not_kept():
    cache = DestinationCache(max_references=10)
    entry = keep(cache, "a", 11)
    assert cache.entries == {}
    assert cache.references == 0
    assert entry.ready is not None and len(entry.ready[0]) == 11


def test_what_went_stale_gives_its_room_back():
    cache = DestinationCache(max_references=10)
    entry = keep(cache, "a", 8)
    cache.stale(entry)
    assert (entry.ready, cache.references) == (None, 0)
    keep(cache, "b", 8)
    assert list(cache.entries) == ["a", "b"]


def test_an_entry_that_was_evicted_counts_no_more():
    cache = DestinationCache(limit=1)
    old = keep(cache, "a", 3)
    keep(cache, "b", 2)
    cache.stale(old)
    cache.keep(old, ((), False))
    assert list(cache.entries) == ["b"]
    assert cache.references == 2


def test_links_between_destinations_and_patterns():
    cache = DestinationCache()
    entry = keep(cache, "/topic/a", 1)
    cache.link(entry, PATTERN)
    assert entry.ready is None
    assert (list(entry.patterns), list(PATTERN.destinations), cache.references) == ([PATTERN], [entry], 1)
    cache.unlink(PATTERN)
    assert (entry.patterns, PATTERN.destinations, cache.references) == ({}, {}, 0)
