"""What the patterns of clients may be and what they may cost (DEST-01, REG-01).

Beside the subscription registry, which holds destinations against patterns that anybody may have sent. A session has so
many patterns at most, and those of them that are more than plain segments have a budget together: so many steps for a
destination that is not in the cache. A pattern is held against it at the cost of the first of its subscribers who has
steps left, so that nobody loses a message by what others ask for.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from ..header_accessor import neutralized
from ..matching import AntPathMatcher, CutPath, PathMatcher
from ..pattern import CompiledPattern
from .contract import Subscription, SubscriptionRefusal, SubscriptionRefusedError
from .destinations import PatternSubscriptions

MAX_PATTERNS_PER_SESSION = 1_000
"""Some milliseconds for each new destination, if it has to be held against all of them."""

STEPS_PER_PATTERN = 10
"""Steps for each pattern that a session may have, as its budget for one destination: a few times what wildcards
usually take. All of them together are 2 to 6 ms.
"""

_MAX_ECHO = 300


# Differs from Spring: what clients subscribe to is matched there without a limit but that for a single segment.
def compile_client_pattern(matcher: PathMatcher, pattern: str, *, with_regex: bool) -> CompiledPattern | None:
    """None when the matcher is not exactly an AntPathMatcher: it is the application's and has to guard itself.

    Raises SubscriptionRefusedError.
    """
    try:
        if type(matcher) is AntPathMatcher:
            return matcher.compile_for_client(pattern, with_regex=with_regex)
        matcher.match(pattern, "")
    except ValueError as error:
        text = f"Cannot subscribe to this pattern: {neutralized(str(error)[:_MAX_ECHO])}"
        raise SubscriptionRefusedError(SubscriptionRefusal.INVALID_PATTERN, text) from error
    except RuntimeError:  # too complex even for the empty path: it will be for all, and match nothing
        return None
    return None


def steps_for(matcher: PathMatcher, max_patterns: int) -> int:
    """The budget of a session that may have so many patterns; never beyond the limit of the matcher itself."""
    steps = STEPS_PER_PATTERN * max(max_patterns, MAX_PATTERNS_PER_SESSION)
    return min(steps, matcher._access_limit) if type(matcher) is AntPathMatcher else steps


class PatternCounts:
    """How many subscriptions of each session are to patterns. Without a lock of its own."""

    __slots__ = ("counts", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.counts: dict[str, int] = {}

    def add(self, session_id: str) -> None:
        """One more. Raises SubscriptionRefusedError when there are as many as there may be."""
        count = self.counts.get(session_id, 0)
        if count >= self.limit:
            text = f"A session can have {self.limit} subscriptions to patterns and no more"
            raise SubscriptionRefusedError(SubscriptionRefusal.TOO_MANY, text)
        self.counts[session_id] = count + 1

    def remove(self, session_id: str) -> None:
        count = self.counts.pop(session_id)
        if count > 1:
            self.counts[session_id] = count - 1


class Candidate:
    """A destination while it is held against patterns. For one thread."""

    __slots__ = ("_left", "_matcher", "_path", "_unused", "destination", "is_warned", "steps")

    def __init__(self, matcher: PathMatcher, destination: str, steps: int) -> None:
        """*steps* are the budget of each session."""
        self.destination = destination
        self.steps = steps
        self.is_warned = False
        self._matcher = matcher
        self._path = CutPath(matcher, destination) if type(matcher) is AntPathMatcher else None
        self._left: dict[str, list[int]] = {}
        self._unused = [0]

    def matches(self, pattern: PatternSubscriptions, budget: list[int]) -> bool:
        """Raises RuntimeError when *budget* is not enough, and whatever the matcher of an application may raise."""
        compiled, path = pattern.compiled, self._path
        if compiled is None or path is None:
            return self._matcher.match(pattern.text, self.destination)
        return path.matcher.match_for_client(compiled, path, budget)

    def matches_for_a_subscriber(self, pattern: PatternSubscriptions, lock: AbstractContextManager[Any]) -> bool:
        """At the cost of one of those who subscribed, which are read with the *lock* held; raises as `matches` does."""
        if pattern.compiled is None or not pattern.compiled.cost:
            return self.matches(pattern, self._unused)
        while True:
            with lock:
                payer = next((each.session_id for each in pattern.subscriptions if self._can_pay(each)), None)
            if payer is None:
                raise RuntimeError("The patterns of a session take too many steps together")
            budget = self._left.setdefault(payer, [self.steps])
            is_whole = budget[0] == self.steps
            try:
                return self.matches(pattern, budget)
            except RuntimeError:
                budget[0] = -1
                if is_whole:  # nobody else has more
                    raise

    def _can_pay(self, subscription: Subscription) -> bool:
        left = self._left.get(subscription.session_id)
        return left is None or left[0] > 0
