from __future__ import annotations

import gc
import logging
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from kit.brokers import application_message, frame

from wellhead.messaging.broker.client_patterns import Candidate
from wellhead.messaging.broker.contract import Subscription, SubscriptionRefusal, SubscriptionRefusedError
from wellhead.messaging.broker.destinations import DestinationCache
from wellhead.messaging.broker.subscriptions import DefaultSubscriptionRegistry
from wellhead.messaging.exceptions import MessagingError
from wellhead.messaging.matching import AntPathMatcher
from wellhead.messaging.message import Message
from wellhead.messaging.simp.accessor import DESTINATION, MESSAGE_TYPE, SESSION_ATTRIBUTES, SESSION_ID, SUBSCRIPTION_ID
from wellhead.messaging.simp.types import SimpMessageType
from wellhead.messaging.stomp.command import StompCommand

LOG = "wellhead.messaging.broker.subscriptions"


@pytest.fixture
def registry() -> DefaultSubscriptionRegistry:
    return DefaultSubscriptionRegistry()


def subscribe(
    registry: DefaultSubscriptionRegistry,
    session_id: str | None,
    id: str | None,
    destination: str | None,
    **native: str,
) -> bool:
    named = {"id": id, "destination": destination, **native}
    message = frame(
        StompCommand.SUBSCRIBE, session_id, {name: text for name, text in named.items() if text is not None}
    )
    return registry.register_subscription(message)


def unsubscribe(registry: DefaultSubscriptionRegistry, session_id: str | None, id: str | None) -> bool:
    return registry.unregister_subscription(
        frame(StompCommand.UNSUBSCRIBE, session_id, {} if id is None else {"id": id})
    )


def find(registry: DefaultSubscriptionRegistry, destination: str | None, **headers: Any) -> dict[str, list[str]]:
    return registry.find_subscriptions(application_message(destination, **headers))


# -- REG-01


@pytest.mark.spec("REG-01")
def test_subscriptions_are_found_by_session(registry):
    assert subscribe(registry, "s1", "a", "/topic/x")
    assert subscribe(registry, "s1", "b", "/topic/x")
    assert subscribe(registry, "s2", "a", "/topic/x")
    assert subscribe(registry, "s2", "b", "/topic/y")
    assert find(registry, "/topic/x") == {"s1": ["a", "b"], "s2": ["a"]}
    assert find(registry, "/topic/y") == {"s2": ["b"]}
    assert find(registry, "/topic/z") == {}
    assert registry.subscription_count == 4


@pytest.mark.spec("REG-01")
@pytest.mark.parametrize(
    ("subscribed", "destination", "expected"),
    [
        ("/topic/price.stock", "/topic/price.stock", True),
        ("/topic/price.*", "/topic/price.stock", True),
        ("/topic/price.*", "/topic/price", False),
        ("/topic/*", "/topic/a", True),
        ("/topic/*", "/topic/a/b", False),
        ("/topic/**", "/topic/a/b", True),
        ("/topic/**", "/queue/a", False),
        ("/topic/{name}/x", "/topic/a/x", True),
        ("/topic/?", "/topic/a", True),
        # no pattern: equal to the letter, where the matcher would be more generous
        ("/topic/a", "/topic//a", False),
        ("/topic/a", "/topic/a/", False),
        ("/topic/{a", "/topic/{a", True),
    ],
)
def test_destinations_that_a_subscription_matches(registry, subscribed, destination, expected):
    subscribe(registry, "s1", "a", subscribed)
    assert find(registry, destination) == ({"s1": ["a"]} if expected else {})


@pytest.mark.spec("REG-01", "DEST-04")
def test_the_matcher_may_have_another_separator():
    registry = DefaultSubscriptionRegistry(path_matcher=AntPathMatcher("."))
    subscribe(registry, "s1", "a", "/topic/red.*.green")
    assert find(registry, "/topic/red.blue.green") == {"s1": ["a"]}
    assert find(registry, "/topic/red.blue.blue.green") == {}


@pytest.mark.spec("REG-01")
@pytest.mark.parametrize("cached", [False, True])
def test_a_second_subscription_with_the_same_id_is_ignored(registry, cached):
    assert subscribe(registry, "s1", "a", "/topic/x")
    if cached:
        find(registry, "/topic/x"), find(registry, "/topic/y")
    assert not subscribe(registry, "s1", "a", "/topic/y")
    assert not subscribe(registry, "s1", "a", "/topic/*")
    assert find(registry, "/topic/x") == {"s1": ["a"]}
    assert find(registry, "/topic/y") == {}
    assert unsubscribe(registry, "s1", "a")
    assert find(registry, "/topic/x") == find(registry, "/topic/y") == {}


@pytest.mark.spec("REG-01")
def test_unsubscribing(registry):
    subscribe(registry, "s1", "a", "/topic/x")
    subscribe(registry, "s1", "b", "/topic/*")
    assert unsubscribe(registry, "s1", "a")
    assert find(registry, "/topic/x") == {"s1": ["b"]}
    assert not unsubscribe(registry, "s1", "a")
    assert not unsubscribe(registry, "s2", "b")
    assert unsubscribe(registry, "s1", "b")
    assert find(registry, "/topic/x") == {}
    assert registry.subscription_count == 0
    assert subscribe(registry, "s1", "a", "/topic/y")
    assert find(registry, "/topic/y") == {"s1": ["a"]}


@pytest.mark.spec("REG-01")
def test_a_session_is_forgotten_with_all_its_subscriptions(registry):
    subscribe(registry, "s1", "a", "/topic/x")
    subscribe(registry, "s1", "b", "/topic/*")
    subscribe(registry, "s2", "a", "/topic/x")
    find(registry, "/topic/x")
    registry.unregister_all_subscriptions("s1")
    assert find(registry, "/topic/x") == {"s2": ["a"]}
    registry.unregister_all_subscriptions("s1")
    registry.unregister_all_subscriptions("nobody")
    assert registry.subscriptions_of("s1") == ()
    assert [each.destination for each in registry.subscriptions_of("s2")] == ["/topic/x"]


@pytest.mark.spec("REG-01")
def test_nothing_is_kept_of_what_is_gone(registry):
    subscribe(registry, "s1", "a", "/topic/x")
    subscribe(registry, "s1", "b", "/topic/*")
    find(registry, "/topic/x")
    unsubscribe(registry, "s1", "a")
    unsubscribe(registry, "s1", "b")
    assert (registry._sessions, registry._exact, registry._patterns) == ({}, {}, {})
    assert registry._pattern_counts.counts == {}


@pytest.mark.spec("REG-01")
@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("register_subscription", SimpMessageType.SUBSCRIBE),
        ("unregister_subscription", SimpMessageType.UNSUBSCRIBE),
        ("matching_subscriptions", SimpMessageType.MESSAGE),
        ("find_subscriptions", SimpMessageType.MESSAGE),
    ],
)
@pytest.mark.parametrize("given", [*SimpMessageType, None])
def test_a_wrong_type_of_message_is_refused(registry, call, expected, given):
    message = Message(b"", {MESSAGE_TYPE: given} if given else {})
    if given is expected:
        getattr(registry, call)(message)
        return
    with pytest.raises(ValueError, match=f"Expected {expected.value}, got {given.value if given else None}"):
        getattr(registry, call)(message)


@pytest.mark.spec("REG-01")
@pytest.mark.parametrize(
    ("session_id", "id", "destination", "missing"),
    [
        (None, "a", "/topic/x", SESSION_ID),
        ("s1", None, "/topic/x", SUBSCRIPTION_ID),
        ("s1", "a", None, DESTINATION),
    ],
)
def test_a_subscription_that_lacks_something_is_logged_and_ignored(
    registry, caplog, session_id, id, destination, missing
):
    assert not subscribe(registry, session_id, id, destination)
    assert registry.subscription_count == 0
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("ERROR", f"No {missing} in a SUBSCRIBE of session {session_id}")
    ]


@pytest.mark.spec("REG-01")
@pytest.mark.parametrize(("session_id", "id", "missing"), [(None, "a", SESSION_ID), ("s1", None, SUBSCRIPTION_ID)])
def test_an_unsubscription_that_lacks_something_is_logged_and_ignored(registry, caplog, session_id, id, missing):
    subscribe(registry, "s1", "a", "/topic/x")
    assert not unsubscribe(registry, session_id, id)
    assert registry.subscription_count == 1
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert f"No {missing} in a UNSUBSCRIBE" in caplog.text


@pytest.mark.spec("REG-01")
def test_a_message_without_destination_is_logged_and_goes_nowhere(registry, caplog):
    subscribe(registry, "s1", "a", "/**")
    assert find(registry, None) == {}
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("ERROR", f"No {DESTINATION} in a MESSAGE of session None")
    ]


# -- patterns of clients


@pytest.mark.spec("REG-01")
@pytest.mark.parametrize("with_regex", [False, True])
@pytest.mark.parametrize("pattern", ["/topic/{a:[}", "/topic/{a:(}", "/topic/{a:b{9999}}", "/topic/{a:(?i)x}"])
def test_a_pattern_that_cannot_be_matched_is_refused(pattern, with_regex):
    registry = DefaultSubscriptionRegistry(regex_in_patterns=with_regex)
    find(registry, "/topic/x")
    with pytest.raises(SubscriptionRefusedError, match="^Cannot subscribe to this pattern: ") as caught:
        subscribe(registry, "s1", "a", pattern)
    assert caught.value.reason is SubscriptionRefusal.INVALID_PATTERN
    assert isinstance(caught.value, MessagingError)
    assert caught.value.failed_message is not None
    assert registry.subscription_count == 0
    assert find(registry, "/topic/x") == find(registry, "/topic/y") == {}


@pytest.mark.spec("REG-01", "LOG-01")
def test_the_text_about_a_refused_pattern_is_short_and_fits_one_line(registry):
    with pytest.raises(SubscriptionRefusedError) as caught:
        subscribe(registry, "s1", "a", "/topic/" + "\n" + "x" * 10_000 + "{a:[}")
    assert len(caught.value.description) < 500
    assert "\n" not in caught.value.description
    registry = DefaultSubscriptionRegistry(regex_in_patterns=True)
    with pytest.raises(SubscriptionRefusedError, match="Invalid regex") as caught:
        subscribe(registry, "s1", "a", "/topic/" + "\n" + "x" * 200 + "{a:[}")
    assert len(caught.value.description) < 500
    assert "\n" not in caught.value.description


TIRING = "/topic/{a:(?:x|xx)*y}"
LONG = "/topic/" + "x" * 400


@pytest.mark.spec("REG-01")
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_pattern_beyond_the_limit_of_the_matcher_matches_nothing_and_harms_nobody(caplog, when):
    registry = DefaultSubscriptionRegistry(path_matcher=AntPathMatcher(access_limit=500), regex_in_patterns=True)
    subscribe(registry, "s2", "a", "/topic/*")
    subscribe(registry, "s2", "b", LONG)
    if when == "after":  # the destination is in the cache when the pattern comes
        find(registry, LONG), find(registry, LONG + "y")
    subscribe(registry, "s1", "a", TIRING)
    assert find(registry, LONG) == {"s2": ["b", "a"]}
    assert find(registry, LONG + "y") == {"s2": ["a"]}
    assert find(registry, "/topic/xy") == {"s2": ["a"], "s1": ["a"]}
    warnings = [record for record in caplog.records if record.name == LOG]
    assert [record.levelname for record in warnings] == ["WARNING"], "once for a subscription"
    assert "session='s1', id='a'" in warnings[0].getMessage()
    assert len(warnings[0].getMessage()) < 700
    unsubscribe(registry, "s1", "a")
    assert find(registry, LONG) == {"s2": ["b", "a"]}


@pytest.mark.spec("REG-01")
def test_a_pattern_that_tires_the_matcher_at_once_is_taken_and_matches_nothing(caplog):
    class Tired(AntPathMatcher):
        def match(self, pattern: str, path: str) -> bool:
            raise RuntimeError("too many accesses")

    caplog.set_level(logging.CRITICAL, LOG)
    registry = DefaultSubscriptionRegistry(path_matcher=Tired())
    assert subscribe(registry, "s1", "a", "/topic/*")
    subscribe(registry, "s1", "b", "/topic/x")
    assert find(registry, "/topic/x") == {"s1": ["b"]}


class HookedMatcher(AntPathMatcher):
    """Calls a function once, in the middle of matching a pattern against a destination."""

    hook: Callable[[], object] | None = None

    def match(self, pattern: str, path: str) -> bool:
        hook = self.hook
        if path and hook is not None:
            self.hook = None
            hook()
        return super().match(pattern, path)


@pytest.mark.spec("REG-02")
@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda registry: subscribe(registry, "s2", "a", "/*/x"), {"s1": ["a"], "s2": ["a"]}),
        (lambda registry: subscribe(registry, "s2", "a", "/topic/x"), {"s1": ["a"], "s2": ["a"]}),
        (lambda registry: subscribe(registry, "s2", "a", "/topic/*"), {"s1": ["a"], "s2": ["a"]}),
        (lambda registry: registry.unregister_all_subscriptions("s1"), {}),
        (lambda registry: find(registry, "/topic/x"), {"s1": ["a"]}),
        (lambda registry: setattr(registry, "cache_limit", 0), {"s1": ["a"]}),
        (
            lambda registry: (
                registry.unregister_all_subscriptions("s1"),
                find(registry, "/topic/x"),
                subscribe(registry, "s3", "a", "/topic/*"),
            ),
            {"s3": ["a"]},
        ),
    ],
)
def test_what_happens_while_the_matcher_runs_is_not_missed(change, expected, cached):
    """The matcher, which may be the user's, runs without the lock: or else this would wait for ever."""
    matcher = HookedMatcher()
    registry = DefaultSubscriptionRegistry(path_matcher=matcher)
    if cached:
        find(registry, "/topic/x")
    subscribe(registry, "s1", "a", "/topic/*")
    matcher.hook = lambda: change(registry)
    find(registry, "/topic/x")
    assert matcher.hook is None
    assert find(registry, "/topic/x") == expected
    registry.cache_limit = 0
    assert find(registry, "/topic/x") == expected


# -- what the patterns of a client may cost

COSTLY = "/topic/{v%d}*" + "a?" * 20 + "b*"
TIRED = "/topic/" + "a" * 4_000


def count_steps(registry: DefaultSubscriptionRegistry, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One number: the steps that all matching has taken."""
    taken = [0]
    matches = Candidate.matches

    def counted(self: Candidate, pattern: Any, budget: list[int]) -> bool:
        before = budget[0]
        try:
            return matches(self, pattern, budget)
        finally:
            taken[0] += before - budget[0]

    monkeypatch.setattr(Candidate, "matches", counted)
    return taken


@pytest.mark.spec("REG-01", "DEST-01")
@pytest.mark.parametrize(
    ("template", "destination"),
    [
        ("/topic/{v%d:(?:(?:a|b)*(?:a|c)*){9}z}", "/topic/" + "a" * 2_000),
        ("/topic/{v%d}*" + "*a*?" * 20 + "b*", TIRED),
        ("/topic/{v%d}" + "/**/a" * 30 + "/**/b/**", "/topic" + "/a" * 4_000),
        ("/topic/{v%d}/**" + "/*" * 60 + "/b/**", "/topic" + "/a" * 4_000),
        ("/topic/{v%d}" + "/*" * 60 + "/b", "/topic" + "/a" * 61 + "/c"),
    ],
)
def test_all_patterns_of_a_session_share_one_budget_for_a_destination(monkeypatch, template, destination):
    registry = DefaultSubscriptionRegistry(regex_in_patterns=True)
    for number in range(1_000):
        subscribe(registry, "s1", str(number), template % number)
    subscribe(registry, "s2", "a", "/topic/**")
    taken = count_steps(registry, monkeypatch)
    assert find(registry, destination).get("s2") == ["a"]
    assert 5_000 < taken[0] < 12_000


@pytest.mark.spec("REG-01", "DEST-01")
def test_what_a_session_has_spent_does_not_keep_others_from_the_same_patterns():
    registry = DefaultSubscriptionRegistry()
    for number in range(100):
        subscribe(registry, "s1", str(number), COSTLY % number)
    subscribe(registry, "s1", "shared", "/topic/*a*")
    assert find(registry, TIRED) == {}, "spent on the others, which are older"
    subscribe(registry, "s2", "a", "/topic/*a*")
    registry.cache_limit = 0
    assert find(registry, TIRED) == {"s1": ["shared"], "s2": ["a"]}
    assert find(registry, "/topic/a") == {"s1": ["shared"], "s2": ["a"]}


@pytest.mark.spec("REG-01", "LOG-01")
def test_a_destination_is_warned_of_once(caplog):
    registry = DefaultSubscriptionRegistry()
    for number in range(100):
        subscribe(registry, "s1", str(number), COSTLY % number)
    find(registry, TIRED)
    [record] = [record for record in caplog.records if record.name == LOG]
    assert "session='s1'" in record.getMessage()


@pytest.mark.spec("REG-02", "DEST-01")
def test_a_new_pattern_costs_nothing_until_a_destination_is_asked_for(monkeypatch):
    registry = DefaultSubscriptionRegistry()
    destinations = [f"/topic/{'a' * 40}{number}" for number in range(300)]
    for destination in destinations:
        find(registry, destination)
    met: list[str] = []
    matches = Candidate.matches
    monkeypatch.setattr(
        Candidate, "matches", lambda self, pattern, budget: met.append(pattern.text) or matches(self, pattern, budget)
    )
    for number in range(100):
        subscribe(registry, "s1", "a", f"/topic/*{number}")
        unsubscribe(registry, "s1", "a")
    subscribe(registry, "s1", "b", "/topic/*a*")
    assert met == []
    assert all(find(registry, destination) == {"s1": ["b"]} for destination in destinations)
    assert met == ["/topic/*a*"] * 300
    check_cache(registry)


@pytest.mark.spec("REG-02")
@pytest.mark.parametrize("new", [1, 63, 64, 65, 200])
def test_a_cached_destination_meets_the_new_patterns_alone(new, monkeypatch):
    registry = DefaultSubscriptionRegistry()
    subscribe(registry, "s1", "old", "/topic/*")
    find(registry, "/topic/x")
    for number in range(new):
        subscribe(registry, "s1", str(number), "/*/x" if number == 0 else f"/queue/{number}/*")
    met: list[str] = []
    matches = Candidate.matches
    monkeypatch.setattr(
        Candidate, "matches", lambda self, pattern, budget: met.append(pattern.text) or matches(self, pattern, budget)
    )
    assert find(registry, "/topic/x") == {"s1": ["old", "0"]}
    assert met == ["/*/x"]
    check_cache(registry)


@pytest.mark.spec("REG-02")
def test_a_destination_that_leaves_the_cache_while_it_meets_new_patterns_loses_none():
    matcher = HookedMatcher()
    registry = DefaultSubscriptionRegistry(path_matcher=matcher)
    subscribe(registry, "s1", "a", "/topic/*")
    find(registry, "/topic/x")
    subscribe(registry, "s1", "b", "/*/x")
    matcher.hook = lambda: setattr(registry, "cache_limit", 0)
    assert sorted(find(registry, "/topic/x")["s1"]) == ["a", "b"]


@pytest.mark.spec("REG-02")
@pytest.mark.parametrize("pattern", ["/topic/*", "/topic/**", "/topic/{name}", "/topic/?oom*", "/topic/room-*"])
def test_a_new_pattern_of_an_ordinary_kind_leaves_a_full_cache_as_it_is(pattern):
    registry = DefaultSubscriptionRegistry()
    for number in range(1_024):
        find(registry, f"/topic/room-{number}")
    subscribe(registry, "s1", "a", pattern)
    assert len(registry.cached_destinations) == 1_024
    assert find(registry, "/topic/room-7") == {"s1": ["a"]}


@pytest.mark.spec("REG-01", "DEST-01")
@pytest.mark.parametrize(
    ("template", "destination"),
    [
        ("/topic/{v%d}", "/topic/a"),
        ("/topic/{v%d}/**", "/topic/a" + "/b" * 30),
        ("/topic/pri{v%d}.*", "/topic/price.stock"),
        ("/topic/{v%d}*a-name-of-some-length*", "/topic/" + "a-name-of-some-length" * 3),
        ("/topic/{v%d}/**/end", "/topic/a/b/c/d/end"),
    ],
)
def test_ordinary_patterns_of_a_session_all_match_as_many_as_it_may_have(template, destination):
    registry = DefaultSubscriptionRegistry()
    for number in range(1_000):
        subscribe(registry, "s1", str(number), template % number)
    assert len(find(registry, destination)["s1"]) == 1_000


@pytest.mark.spec("REG-01", "DEST-01")
def test_a_pattern_of_a_client_is_compiled_as_long_as_somebody_subscribes_to_it():
    matcher = AntPathMatcher()
    registry = DefaultSubscriptionRegistry(path_matcher=matcher, regex_in_patterns=True)
    for session_id in ("s1", "s2"):
        subscribe(registry, session_id, "a", "/topic/{x:a{100}}")
    compiled = registry._patterns["/topic/{x:a{100}}"].compiled
    assert find(registry, "/topic/" + "a" * 100) == {"s1": ["a"], "s2": ["a"]}
    unsubscribe(registry, "s1", "a")
    assert registry._patterns["/topic/{x:a{100}}"].compiled is compiled
    registry.unregister_all_subscriptions("s2")
    gc.collect()
    assert sys.getrefcount(compiled) <= 2, "nobody but this test has it"
    assert matcher._patterns == {}, "the application's are there"


# -- limits


@pytest.mark.spec("REG-01", "DEST-01")
def test_expressions_in_patterns_are_refused_unless_switched_on(registry):
    with pytest.raises(SubscriptionRefusedError, match=r"expressions as in \{name:regex\} are switched off") as caught:
        subscribe(registry, "s1", "a", "/topic/{name:[a-z]+}")
    assert caught.value.reason is SubscriptionRefusal.INVALID_PATTERN
    assert registry.subscription_count == 0
    registry = DefaultSubscriptionRegistry(regex_in_patterns=True)
    assert subscribe(registry, "s1", "a", "/topic/{name:[a-z]+}")
    assert find(registry, "/topic/abc") == {"s1": ["a"]}
    assert find(registry, "/topic/123") == {}


@pytest.mark.spec("REG-01")
def test_the_number_of_patterns_of_a_session_is_limited():
    registry = DefaultSubscriptionRegistry(max_patterns_per_session=3)
    for id in "abc":
        assert subscribe(registry, "s1", id, "/topic/*")
    text = "^A session can have 3 subscriptions to patterns and no more"
    with pytest.raises(SubscriptionRefusedError, match=text) as caught:
        subscribe(registry, "s1", "d", "/topic/**")
    assert caught.value.reason is SubscriptionRefusal.TOO_MANY
    assert find(registry, "/topic/x/y") == {}
    assert subscribe(registry, "s1", "d", "/topic/x"), "no pattern"
    assert subscribe(registry, "s2", "d", "/topic/*"), "other sessions have their own"
    unsubscribe(registry, "s1", "b")
    assert subscribe(registry, "s1", "e", "/topic/**")


@pytest.mark.spec("REG-01")
def test_the_number_of_subscriptions_of_a_session_is_limited():
    registry = DefaultSubscriptionRegistry(max_subscriptions_per_session=3)
    for id in "abc":
        assert subscribe(registry, "s1", id, "/topic/x")
    with pytest.raises(SubscriptionRefusedError, match="^A session can have 3 subscriptions and no more") as caught:
        subscribe(registry, "s1", "d", "/topic/x")
    assert caught.value.reason is SubscriptionRefusal.TOO_MANY
    assert find(registry, "/topic/x") == {"s1": ["a", "b", "c"]}
    assert not subscribe(registry, "s1", "a", "/topic/y"), "the same id is ignored, not refused"
    assert subscribe(registry, "s2", "d", "/topic/x"), "other sessions have their own"
    unsubscribe(registry, "s1", "b")
    assert subscribe(registry, "s1", "d", "/topic/x")


@pytest.mark.spec("REG-01")
@pytest.mark.parametrize(("id", "destination"), [("a" * 1_025, "/topic/x"), ("a", "/topic/" + "x" * 1_018)])
def test_ids_and_destinations_have_a_limit(registry, id, destination):
    with pytest.raises(SubscriptionRefusedError, match="can have 1024 characters each") as caught:
        subscribe(registry, "s1", id, destination)
    assert caught.value.reason is SubscriptionRefusal.TOO_LONG
    assert subscribe(registry, "s1", id[:1_024], destination[:1_024])


@pytest.mark.spec("REG-01")
def test_the_default_limit_is_ten_thousand():
    registry = DefaultSubscriptionRegistry()
    for number in range(10_000):
        registry.add(Subscription("s1", str(number), "/topic/x"))
    with pytest.raises(SubscriptionRefusedError):
        registry.add(Subscription("s1", "one more", "/topic/x"))


@pytest.mark.spec("REG-02")
def test_the_cache_holds_1024_destinations_by_default(registry):
    assert registry.cache_limit == 1024
    for number in range(1025):
        find(registry, f"/topic/{number}")
        if number == 1023:
            assert len(registry.cached_destinations) == 1024
    assert registry.cached_destinations == tuple(f"/topic/{number}" for number in range(1, 1025))


@pytest.mark.spec("REG-02")
@pytest.mark.parametrize("asked", [2, 3, 4])
def test_destinations_are_evicted_first_in_first_out(asked):
    registry = DefaultSubscriptionRegistry(cache_limit=3)
    for number in range(asked):
        find(registry, f"/topic/{number}")
        find(registry, "/topic/0") if number < 3 else None  # looking again does not make younger
    assert registry.cached_destinations == tuple(f"/topic/{number}" for number in range(asked))[-3:]


@pytest.mark.spec("REG-02")
def test_lowering_the_limit_evicts_at_once(registry):
    subscribe(registry, "s1", "a", "/topic/*")
    for number in range(5):
        find(registry, f"/topic/{number}")
    registry.cache_limit = 2
    assert registry.cached_destinations == ("/topic/3", "/topic/4")
    registry.cache_limit = 0
    assert registry.cached_destinations == ()
    assert find(registry, "/topic/0") == {"s1": ["a"]}
    assert registry.cached_destinations == ()


@pytest.mark.spec("REG-02")
def test_a_destination_meets_a_pattern_once():
    met: list[tuple[str, str]] = []

    class Counting(AntPathMatcher):
        def match(self, pattern: str, path: str) -> bool:
            if path:
                met.append((pattern, path))
            return super().match(pattern, path)

    registry = DefaultSubscriptionRegistry(path_matcher=Counting())
    subscribe(registry, "s1", "a", "/topic/*")
    for number in range(3):
        find(registry, "/topic/x")
        subscribe(registry, "s2", str(number), "/topic/x")
        subscribe(registry, "s3", str(number), "/topic/*")
    assert find(registry, "/topic/x") == {"s1": ["a"], "s2": ["0", "1", "2"], "s3": ["0", "1", "2"]}
    assert met == [("/topic/*", "/topic/x")]


@pytest.mark.spec("REG-02")
@pytest.mark.parametrize("cached", [False, True])
def test_patterns_are_told_apart_before_they_are_matched(cached, monkeypatch):
    met: list[str] = []
    matches = Candidate.matches
    monkeypatch.setattr(
        Candidate, "matches", lambda self, pattern, budget: met.append(pattern.text) or matches(self, pattern, budget)
    )
    registry = DefaultSubscriptionRegistry()
    if cached:
        find(registry, "/topic/7/x")
    for number in range(100):
        subscribe(registry, "s1", str(number), f"/topic/{number}/*")
    met.clear()
    assert find(registry, "/topic/7/x") == {"s1": ["7"]}
    assert met == ["/topic/7/*"]


@pytest.mark.spec("REG-02", "DEST-04")
def test_the_matcher_may_be_set_later(registry):
    registry.path_matcher = AntPathMatcher(case_sensitive=False)
    subscribe(registry, "s1", "a", "/TOPIC/*")
    assert find(registry, "/topic/x") == {"s1": ["a"]}


@pytest.mark.spec("REG-02")
def test_a_result_never_changes(registry):
    subscribe(registry, "s1", "a", "/topic/x")
    found = registry.matching_subscriptions(application_message("/topic/x"))
    subscribe(registry, "s2", "a", "/topic/x")
    registry.unregister_all_subscriptions("s1")
    assert [each.session_id for each in found] == ["s1"]
    assert find(registry, "/topic/x") == {"s2": ["a"]}


@pytest.mark.spec("REG-02")
def test_an_unchanged_result_is_not_put_together_again(registry):
    subscribe(registry, "s1", "a", "/topic/x")
    message = application_message("/topic/x")
    found = registry.matching_subscriptions(message)
    subscribe(registry, "s2", "a", "/topic/y")
    assert registry.matching_subscriptions(message) is found


# -- SB-05


@pytest.fixture
def selecting() -> DefaultSubscriptionRegistry:
    return DefaultSubscriptionRegistry(selector_header_name="selector")


@pytest.mark.spec("SB-05")
def test_a_selector_filters(selecting):
    subscribe(selecting, "s1", "a", "/topic/x", selector="headers.foo == 'bar'")
    subscribe(selecting, "s2", "a", "/topic/*")
    assert find(selecting, "/topic/x", nativeHeaders={"foo": ["bar"]}) == {"s1": ["a"], "s2": ["a"]}
    assert find(selecting, "/topic/x", nativeHeaders={"foo": ["baz"]}) == {"s2": ["a"]}
    assert find(selecting, "/topic/x") == {"s2": ["a"]}
    unsubscribe(selecting, "s1", "a")
    assert find(selecting, "/topic/x") == {"s2": ["a"]}
    assert selecting._selecting == 0


@pytest.mark.spec("SB-05")
def test_the_selectors_of_a_session_have_a_limit_together(selecting):
    selector = "'" + "x" * 4_094 + "'"
    for id in "abcd":
        subscribe(selecting, "s1", id, "/topic/x", selector=selector)
    subscribe(selecting, "s1", "e", "/topic/x")
    for to in ("/topic/x", "/topic/*"):
        with pytest.raises(SubscriptionRefusedError, match="can have 16384 characters together") as caught:
            subscribe(selecting, "s1", "f", to, selector="true")
        assert caught.value.reason is SubscriptionRefusal.TOO_LONG
    assert subscribe(selecting, "s2", "f", "/topic/x", selector="true")
    unsubscribe(selecting, "s1", "b")
    assert subscribe(selecting, "s1", "f", "/topic/*", selector="true")
    assert (selecting._selecting, selecting._selector_lengths) == (5, {"s1": 3 * 4_096 + 4, "s2": 4})
    selecting.unregister_all_subscriptions("s1")
    assert (selecting._selecting, selecting._selector_lengths) == (1, {"s2": 4})


@pytest.mark.spec("SB-05")
def test_selectors_are_off_by_default(registry):
    subscribe(registry, "s1", "a", "/topic/x", selector="headers.foo == 'bar'")
    assert find(registry, "/topic/x") == {"s1": ["a"]}


@pytest.mark.spec("SB-05")
def test_the_header_has_the_configured_name():
    registry = DefaultSubscriptionRegistry(selector_header_name="filter")
    subscribe(registry, "s1", "a", "/topic/x", filter="false")
    subscribe(registry, "s1", "b", "/topic/x", selector="false")
    assert find(registry, "/topic/x") == {"s1": ["b"]}


@pytest.mark.spec("SB-05")
@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        # the destination, in any case
        ("headers.destination == '/topic/x'", True),
        ("headers.Destination == '/topic/x'", True),
        ("headers['DESTINATION'] == '/topic/y'", False),
        # the first native header, before a header of the message
        ("headers.foo == 'native'", True),
        ("headers.foo == 'second'", False),
        ("headers.top == 7", True),
        ("headers.absent == null", True),
        # what is not true does not match
        ("headers.foo", False),
        ("headers.absent", False),
        ("headers.top < 'a'", False),
        ("false", False),
        ("true", True),
    ],
)
def test_what_a_selector_reads(selecting, selector, expected):
    subscribe(selecting, "s1", "a", "/topic/x", selector=selector)
    headers = {"nativeHeaders": {"foo": ["native", "second"], "destination": ["/forged"]}, "foo": "header", "top": 7}
    assert find(selecting, "/topic/x", **headers) == ({"s1": ["a"]} if expected else {})


@pytest.mark.spec("SB-05")
@pytest.mark.parametrize("selector", ["headers.foo matches 'b.*'", "T(java.lang.Runtime)", "foo ==", "", "1 + 1 == 2"])
def test_a_selector_that_cannot_be_parsed_does_not_filter_and_is_logged(selecting, caplog, selector):
    subscribe(selecting, "s1", "a\n", "/topic/x", selector=selector)
    assert find(selecting, "/topic/x") == {"s1": ["a\n"]}
    [record] = [record for record in caplog.records if record.name == LOG]
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("Session s1, subscription 'a\\n': selector ignored. ")


# -- against a naive list

SESSIONS, IDS = ("s1", "s2", "s3"), ("a", "b", "c")
DESTINATIONS = ("/topic/x", "/topic/y", "/topic/x/y", "/queue/x")
PATTERNS = ("/topic/*", "/topic/**", "/**", "/*/x", "/topic/{name}", "/queue/?", "/nothing/*")
MATCHER = AntPathMatcher()


class NaiveRegistry:
    """A list, gone through each time."""

    def __init__(self) -> None:
        self.all: list[tuple[str, str, str]] = []

    def add(self, session_id: str, id: str, destination: str) -> bool:
        if any((session_id, id) == each[:2] for each in self.all):
            return False
        self.all.append((session_id, id, destination))
        return True

    def remove(self, session_id: str, id: str) -> bool:
        before = len(self.all)
        self.all = [each for each in self.all if each[:2] != (session_id, id)]
        return len(self.all) < before

    def drop(self, session_id: str) -> None:
        self.all = [each for each in self.all if each[0] != session_id]

    def find(self, destination: str) -> list[tuple[str, str]]:
        def matches(subscribed: str) -> bool:
            if MATCHER.is_pattern(subscribed):
                return MATCHER.match(subscribed, destination)
            return subscribed == destination

        return sorted(each[:2] for each in self.all if matches(each[2]))


def found(registry: DefaultSubscriptionRegistry, destination: str) -> list[tuple[str, str]]:
    matching = registry.matching_subscriptions(application_message(destination))
    return sorted((each.session_id, each.id) for each in matching)


def check_cache(registry: DefaultSubscriptionRegistry) -> None:
    """What the cache has counted and linked is what there is."""
    cache = registry._cache
    assert len(cache.entries) <= cache.limit
    held = 0
    for destination, entry in cache.entries.items():
        assert entry.destination == destination
        assert all(entry in pattern.destinations for pattern in entry.patterns)
        held += len(entry.patterns) + (len(entry.ready[0]) if entry.ready else 0)
    assert cache.references == held <= cache._max_references
    alive = set(cache.entries.values())
    for text, pattern in registry._patterns.items():
        assert pattern.text == text and pattern.subscriptions
        assert set(pattern.destinations) <= alive
        assert all(pattern in entry.patterns for entry in pattern.destinations)
        assert all(pattern in registry._index.candidates(entry.destination) for entry in pattern.destinations)


class RegistryMachine(RuleBasedStateMachine):
    @initialize(limit=st.integers(0, 4), references=st.sampled_from([0, 1, 3, 5, 1_000]))
    def start(self, limit: int, references: int) -> None:
        self.registry = DefaultSubscriptionRegistry()
        self.registry._cache = DestinationCache(limit, references)
        self.naive = NaiveRegistry()

    @rule(session_id=st.sampled_from(SESSIONS), id=st.sampled_from(IDS), to=st.sampled_from(DESTINATIONS + PATTERNS))
    def subscribe(self, session_id: str, id: str, to: str) -> None:
        assert subscribe(self.registry, session_id, id, to) is self.naive.add(session_id, id, to)

    @rule(session_id=st.sampled_from(SESSIONS), id=st.sampled_from(IDS))
    def unsubscribe(self, session_id: str, id: str) -> None:
        assert unsubscribe(self.registry, session_id, id) is self.naive.remove(session_id, id)

    @rule(session_id=st.sampled_from(SESSIONS))
    def drop_session(self, session_id: str) -> None:
        self.registry.unregister_all_subscriptions(session_id)
        self.naive.drop(session_id)

    @rule(destination=st.sampled_from(DESTINATIONS))
    def find(self, destination: str) -> None:
        assert found(self.registry, destination) == self.naive.find(destination)

    @rule(limit=st.integers(0, 4))
    def limit_cache(self, limit: int) -> None:
        self.registry.cache_limit = limit

    @invariant()
    def consistent(self) -> None:
        check_cache(self.registry)
        assert self.registry.subscription_count == len(self.naive.all)
        to_patterns = Counter(each[0] for each in self.naive.all if MATCHER.is_pattern(each[2]))
        assert self.registry._pattern_counts.counts == to_patterns


RegistryMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@pytest.mark.spec("REG-01", "REG-02")
class TestAgainstANaiveList(RegistryMachine.TestCase):  # type: ignore[name-defined,misc]  # made by hypothesis
    pass


# -- from many threads


@pytest.fixture
def fast_switching() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def in_threads(*targets: Callable[[], object]) -> None:
    errors: list[BaseException] = []

    def run(target: Callable[[], object]) -> None:
        try:
            target()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@pytest.mark.spec("REG-02")
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("cache_limit", [0, 2, 1024])
def test_threads_that_share_a_session_lose_nothing_and_leave_nothing(fast_switching, seed, cache_limit):
    """Each thread owns some ids of one session, so that it knows what must and what must not be found of them."""
    registry = DefaultSubscriptionRegistry(cache_limit=cache_limit)
    models: list[dict[str, str]] = [{} for _ in range(4)]

    def work(number: int) -> None:
        rng, mine = random.Random(seed * 10 + number), models[number]
        for _ in range(250):
            id = f"{number}-{rng.randrange(6)}"
            destination = rng.choice(DESTINATIONS)
            if id in mine:
                assert registry.remove("shared", id)
                del mine[id]
            else:
                mine[id] = rng.choice((destination, *PATTERNS))
                assert registry.add(Subscription("shared", id, mine[id]))
            expected = {
                each
                for each, to in mine.items()
                if to == destination or MATCHER.is_pattern(to) and MATCHER.match(to, destination)
            }
            ids = [each for _, each in found(registry, destination) if each.startswith(f"{number}-")]
            assert sorted(ids) == sorted(expected)

    in_threads(*[lambda number=number: work(number) for number in range(4)])
    naive = NaiveRegistry()
    for model in models:
        for id, destination in model.items():
            naive.add("shared", id, destination)
    for destination in DESTINATIONS:
        assert found(registry, destination) == naive.find(destination)
    assert registry.subscription_count == len(naive.all)
    check_cache(registry)


@pytest.mark.spec("REG-02")
def test_a_session_that_is_dropped_again_and_again_while_it_subscribes_leaves_nothing(fast_switching):
    registry = DefaultSubscriptionRegistry(cache_limit=3)

    def join(number: int) -> None:
        for round in range(200):
            registry.add(Subscription("s1", f"{number}-{round}", (DESTINATIONS + PATTERNS)[round % 11]))
            registry.remove("s1", f"{number}-{round - 3}")

    def leave() -> None:
        for _ in range(200):
            registry.unregister_all_subscriptions("s1")
            for destination in DESTINATIONS:
                found(registry, destination)

    in_threads(lambda: join(1), lambda: join(2), leave)
    registry.unregister_all_subscriptions("s1")
    for destination in DESTINATIONS:
        assert found(registry, destination) == []
    assert (registry._sessions, registry._exact, registry._patterns) == ({}, {}, {})
    check_cache(registry)


@pytest.mark.spec("REG-02")
def test_of_threads_that_subscribe_with_the_same_id_one_wins(fast_switching):
    registry = DefaultSubscriptionRegistry()
    for round in range(100):
        taken: list[str] = []

        def subscribe_to(destination: str, id: str = str(round), taken: list[str] = taken) -> None:
            if registry.add(Subscription("s1", id, destination)):
                taken.append(destination)

        in_threads(*[lambda each=each: subscribe_to(each) for each in ("/topic/x", "/topic/*", "/topic/y")])
        [winner] = taken
        assert registry.subscriptions_of("s1")[-1].destination == winner


@pytest.mark.spec("REG-01", "LOG-01")
def test_a_session_that_goes_on_to_leave_out_headers_is_told_of_once(registry, caplog):
    for session in ("s1", "s2"):
        attributes: dict[str, Any] = {}
        for command in (StompCommand.SUBSCRIBE, StompCommand.UNSUBSCRIBE, StompCommand.SUBSCRIBE):
            message = frame(command, session, {}, **{SESSION_ATTRIBUTES: attributes})
            if command is StompCommand.SUBSCRIBE:
                assert registry.register_subscription(message) is False
            else:
                assert registry.unregister_subscription(message) is False
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert [error.rpartition(" ")[2] for error in errors] == ["s1", "s2"]


@pytest.mark.spec("REG-02")
def test_garbage_that_publishes_is_collected_at_any_moment():
    """Where an object is made its collection may begin, also under the lock."""

    class Left:
        def __init__(self) -> None:
            self.cycle = self

        def __del__(self) -> None:
            nonlocal left
            left += 1
            find(registry, f"/topic/left/{left}")
            find(registry, f"/topic/{number}")

    registry, left, threshold = DefaultSubscriptionRegistry(cache_limit=8), 0, gc.get_threshold()
    gc.freeze()  # what the other tests left need not be looked at two hundred times
    try:
        for number in range(1, 200):
            gc.set_threshold(0)
            gc.collect()
            Left()
            gc.set_threshold(number)  # so many objects later
            for each in range(3):
                subscribe(registry, "s1", f"{each}", f"/topic/*/{each}" if number % 2 else f"/topic/{number}")
                find(registry, f"/topic/{number}")
            found = find(registry, f"/topic/{number}")
            gc.set_threshold(0)
            assert found == ({} if number % 2 else {"s1": ["0", "1", "2"]})
            registry.unregister_all_subscriptions("s1")
    finally:
        gc.set_threshold(*threshold)
        gc.unfreeze()
    assert left > 100
    check_cache(registry)
