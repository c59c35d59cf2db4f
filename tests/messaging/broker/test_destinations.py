from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wellhead.messaging.broker.contract import Subscription
from wellhead.messaging.broker.destinations import (
    CACHE_LIMIT,
    MAX_REFERENCES,
    CachedDestination,
    DestinationCache,
    PatternIndex,
    PatternSubscriptions,
)
from wellhead.messaging.matching import AntPathMatcher, PathMatcher

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


def test_of_several_patterns_that_come_together_none_is_left_behind():
    cache = DestinationCache(max_references=1)
    patterns = [PatternSubscriptions(text) for text in ("/a/*", "/**", "/*/a")]
    entry = cache.add("/a/a", [])
    cache.link(entry, *patterns)
    assert (cache.entries, cache.references) == ({}, 0)
    assert list(entry.patterns) == patterns
    assert not any(pattern.destinations for pattern in patterns)


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


# -- the index of patterns


def candidates(index: PatternIndex, destination: str) -> list[str]:
    return [pattern.text for pattern in index.candidates(destination)]


def index_of(*texts: str, matcher: PathMatcher | None = None) -> PatternIndex:
    index = PatternIndex(matcher or AntPathMatcher())
    for number, text in enumerate(texts):
        index.new(text, number)
    return index


@pytest.mark.parametrize(
    ("destination", "expected"),
    [
        ("/topic/room/1/news", ["/topic/room/1/*", "/topic/**", "/topic/*/1/{name}", "/**", "/topic/r?om/**"]),
        ("/topic/room/2/news", ["/topic/room/2/**", "/topic/**", "/**", "/topic/r?om/**"]),
        ("/topic", ["/topic/**", "/**", "/topic/r?om/**"]),
        ("//topic//room/2", ["/topic/room/2/**", "/topic/**", "/**", "/topic/r?om/**"]),
        ("/queue/a", ["/**", "/queue/*"]),
        ("/queue/", ["/**", "/queue/*"]),
    ],
)
def test_a_destination_meets_the_patterns_that_it_might_match_the_oldest_first(destination, expected):
    patterns = ("/topic/room/1/*", "/topic/room/2/**", "/topic/**", "/topic/*/1/{name}", "/**", "/queue/*")
    assert candidates(index_of(*patterns, "/topic/r?om/**"), destination) == expected


def test_however_many_patterns_there_are_a_destination_meets_few():
    index = index_of(*(f"/topic/{number}/*" for number in range(1000)), *(f"/*/{number}/**" for number in range(1000)))
    assert candidates(index, "/topic/7/x") == ["/topic/7/*", "/*/7/**"]
    assert candidates(index, "/topic/nothing/x") == []


def test_a_destination_with_stars_meets_each_pattern_once():
    assert candidates(index_of("/*/*/a", "/*/b/*"), "/*/*/a/a") == ["/*/*/a"]


def test_the_first_eight_segments_count():
    index = index_of("/1/2/3/4/5/6/7/8/9/*", "/1/2/3/4/5/6/7/other/*")
    assert candidates(index, "/1/2/3/4/5/6/7/8/other/x") == ["/1/2/3/4/5/6/7/8/9/*"]


class Subclass(AntPathMatcher):
    __slots__ = ()


@pytest.mark.parametrize(
    "matcher",
    [Subclass(), AntPathMatcher(case_sensitive=False), AntPathMatcher(trim_tokens=True)],
    ids=["subclass", "any case", "trimmed"],
)
def test_with_a_matcher_that_compares_otherwise_a_destination_meets_all(matcher):
    index = index_of("/topic/a/*", "/queue/*", matcher=matcher)
    assert candidates(index, "/topic/b/c") == ["/topic/a/*", "/queue/*"]


def test_a_pattern_that_was_discarded_leaves_nothing():
    index = PatternIndex(AntPathMatcher())
    patterns = [index.new(text, number) for number, text in enumerate(("/a/b/*", "/a/b/c/*", "/**", "/a/*/c"))]
    for pattern in patterns:
        assert pattern in index.candidates("/a/b/c")
        index.discard(pattern)
        assert pattern not in index.candidates("/a/b/c")
    assert (index._root.branches, index._root.patterns) == ({}, {})


def test_a_new_pattern_has_to_be_held_against_few_of_the_destinations_that_are_kept():
    index, destinations = PatternIndex(AntPathMatcher()), [f"/topic/{number:03}" for number in range(100)]
    assert list(filter(index.new("/topic/007/**", 1).could_match, destinations)) == ["/topic/007"]
    assert list(filter(index.new("/*/**", 2).could_match, destinations)) == destinations


SEGMENTS = st.sampled_from(["a", "b", "ab", "", "{a", "b}", "\\", " a"])
WILD_SEGMENTS = st.sampled_from(["*", "**", "?", "a*", "{x}", "{x:a|b}", "{x:[ab]{1,2}}", "?b"])


@given(st.lists(SEGMENTS | WILD_SEGMENTS, max_size=11), st.lists(SEGMENTS, max_size=11), st.sampled_from("/."))
def test_a_destination_meets_all_patterns_that_it_matches(pattern_segments, segments, separator):
    matcher = AntPathMatcher(separator)
    text, destination = separator.join(pattern_segments), separator.join(segments)
    index = PatternIndex(matcher)
    pattern = index.new(text, 1)
    if matcher.match(text, destination):
        assert index.candidates(destination) == [pattern]
        assert pattern.could_match(destination)
