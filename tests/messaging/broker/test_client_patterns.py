from __future__ import annotations

import threading
from typing import Any

import pytest

from wellhead.messaging.broker.client_patterns import (
    MAX_PATTERNS_PER_SESSION,
    STEPS_PER_PATTERN,
    Candidate,
    PatternCounts,
    compile_client_pattern,
    steps_for,
)
from wellhead.messaging.broker.contract import Subscription, SubscriptionRefusedError
from wellhead.messaging.broker.destinations import PatternSubscriptions
from wellhead.messaging.matching import AntPathMatcher

pytestmark = pytest.mark.spec("REG-01", "DEST-01")

MATCHER = AntPathMatcher()


class Own(AntPathMatcher):
    def match(self, pattern: str, path: str) -> bool:
        if pattern == "tired":
            raise RuntimeError
        return pattern == "*" + path


def pattern_of(text: str, *session_ids: str, matcher: AntPathMatcher = MATCHER) -> PatternSubscriptions:
    pattern = PatternSubscriptions(text, compiled=compile_client_pattern(matcher, text, with_regex=True))
    for session_id in session_ids:
        pattern.subscriptions[Subscription(session_id, text, text)] = None
    return pattern


def meet(candidate: Candidate, pattern: PatternSubscriptions) -> Any:
    try:
        return candidate.matches_for_a_subscriber(pattern, threading.Lock())
    except RuntimeError:
        return "too many"


def test_defaults():
    assert (MAX_PATTERNS_PER_SESSION, STEPS_PER_PATTERN) == (1_000, 10)
    assert steps_for(MATCHER, 1_000) == 10_000


@pytest.mark.parametrize(("patterns", "steps"), [(0, 10_000), (1_001, 10_010), (1_000_000, 1_000_000)])
def test_the_budget_grows_with_what_a_session_may_have_up_to_the_limit_of_the_matcher(patterns, steps):
    assert steps_for(MATCHER, patterns) == steps
    assert steps_for(AntPathMatcher(access_limit=7), patterns) == 7
    assert steps_for(Own(access_limit=7), 1_000) == 10_000


@pytest.mark.parametrize("last", [2, 3, 4])
def test_patterns_are_counted(last):
    counts = PatternCounts(3)
    for _ in range(min(last, 3)):
        counts.add("s1")
    if last == 4:
        with pytest.raises(SubscriptionRefusedError, match="3 subscriptions to patterns"):
            counts.add("s1")
    assert counts.counts == {"s1": min(last, 3)}
    for _ in range(min(last, 3)):
        counts.remove("s1")
    assert counts.counts == {}


def test_an_applications_own_matcher_matches_as_it_likes():
    matcher = Own()
    pattern = pattern_of("*x", "s1", matcher=matcher)
    assert pattern.compiled is None
    assert Candidate(matcher, "x", 0).matches(pattern, [0])
    assert not Candidate(matcher, "y", 0).matches(pattern, [0])
    assert pattern_of("tired", matcher=matcher).compiled is None, "taken, though it will match nothing"


def test_plain_segments_cost_nothing():
    assert meet(Candidate(MATCHER, "/topic/a/b", 0), pattern_of("/topic/*/**", "s1")) is True


def test_the_first_who_can_pays():
    candidate = Candidate(MATCHER, "/topic/aaaa", 12)
    costly = "/topic/{x:(?:a|b)*}"
    assert meet(candidate, pattern_of("/topic/a*", "s1", "s2")) is True
    assert meet(candidate, pattern_of(costly, "s1")) == "too many", "some of the budget is spent"
    assert meet(candidate, pattern_of("/topic/*a", "s1")) == "too many", "all of it is"
    assert meet(candidate, pattern_of("/topic/*a", "s1", "s2")) is True
    assert candidate._left["s2"][0] > 0


def test_what_is_beyond_a_whole_budget_is_not_tried_by_another():
    candidate = Candidate(MATCHER, "/topic/" + "a" * 50, 20)
    assert meet(candidate, pattern_of("/topic/{x:(?:a|b)*}", "s1", "s2")) == "too many"
    assert set(candidate._left) == {"s1"}


def test_a_pattern_that_all_have_left_is_nobodys():
    assert meet(Candidate(MATCHER, "/topic/a", 10), pattern_of("/topic/a*")) == "too many"
