"""Who subscribed to what (REG-01, REG-02): a data structure, without channels.

Theory of operation. Subscriptions are indexed by session, by exact destination and by pattern. A destination that was
asked for is cached with the patterns that match it and, until a subscription that it concerns comes or goes, with the
subscriptions themselves: so a pattern meets a destination once, and a change costs the same however many others there
are. Patterns are found by the segments that they begin with: a new destination meets only those that it might match.

Matching runs without the lock, since the matcher may be the user's. New patterns are caught up with by who asks for a
destination, in the cache or not: until nobody does they cost nothing, or a client could have a thousand destinations
held against one pattern after the other by some bytes for each.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..headers import MessageHeaders
from ..locks import allocate_reentrant_lock
from ..matching import AntPathMatcher, PathMatcher
from ..message import Message
from ..native_headers import first_native_header
from ..pattern import CompiledPattern
from ..simp.accessor import DESTINATION, MESSAGE_TYPE, SESSION_ATTRIBUTES, SESSION_ID, SUBSCRIPTION_ID
from ..simp.attributes import COMPLETED
from ..simp.types import SimpMessageType
from .client_patterns import MAX_PATTERNS_PER_SESSION, Candidate, PatternCounts, compile_client_pattern, steps_for
from .contract import Subscription as Subscription
from .contract import SubscriptionRefusal, SubscriptionRefusedError
from .contract import SubscriptionRegistry as SubscriptionRegistry
from .destinations import CACHE_LIMIT, CachedDestination, DestinationCache, PatternIndex, PatternSubscriptions
from .selector import Selector, SelectorSyntaxError, compile_selector

logger = logging.getLogger(__name__)

MAX_SUBSCRIPTIONS_PER_SESSION = 10_000
"""Far beyond what one client can look at, and some MiB at most for a client that does not stop."""
MAX_SUBSCRIPTION_LENGTH = 1_024
"""Characters of an id, and of a destination: else those subscriptions could hold hundreds of MiB."""
MAX_SELECTORS_LENGTH = 16 * 1_024
"""Characters of all selectors of a session: compiled they take 200 times as much memory, and each publish to their
destinations some milliseconds.
"""

_MESSAGE = SimpMessageType.MESSAGE
_INCOMPLETE = COMPLETED + ".incomplete"
"""Reserved attribute of a session that has sent a frame without a header that it needs."""
_FEW_PATTERNS = 64
"""So many new ones are looked through; among more the index finds those that a destination might match.
"""


class DefaultSubscriptionRegistry:
    """The registry of the simple broker.

    Any thread may use it; what was registered when ``register_subscription`` returns is found by every
    ``matching_subscriptions`` that is called afterwards. A second SUBSCRIBE with the same id in the same session is
    ignored: the first destination stays.
    """

    def __init__(
        self,
        *,
        path_matcher: PathMatcher | None = None,
        cache_limit: int = CACHE_LIMIT,
        selector_header_name: str | None = None,
        max_subscriptions_per_session: int = MAX_SUBSCRIPTIONS_PER_SESSION,
        max_patterns_per_session: int = MAX_PATTERNS_PER_SESSION,
        regex_in_patterns: bool = False,
    ) -> None:
        """*selector_header_name* None (the default) switches selectors off; else the native header that holds one
        (SB-05). With *regex_in_patterns* a subscription may have `{name:regex}` in its destination; without it is
        refused.
        """
        self.path_matcher: PathMatcher = path_matcher or AntPathMatcher()
        self.selector_header_name = selector_header_name
        self.max_subscriptions_per_session = max_subscriptions_per_session
        self.regex_in_patterns = regex_in_patterns
        self._lock = allocate_reentrant_lock()
        """Guards all below; held for a few instructions or for one pass over what matches, never while matching."""
        self._sessions: dict[str, dict[str, Subscription]] = {}
        self._serials = itertools.count(1)
        self._exact: dict[str, dict[Subscription, None]] = {}
        self._patterns: dict[str, PatternSubscriptions] = {}
        self._pattern_counts = PatternCounts(max_patterns_per_session)
        self._index = PatternIndex(self.path_matcher)
        self._new_patterns = 0
        """How many there have ever been: whoever asks for a destination sees by it whether it has to catch up."""
        self._cache = DestinationCache(cache_limit)
        self._selecting = 0
        self._selector_lengths: dict[str, int] = {}
        """Of the sessions that have selectors."""

    @property
    def cache_limit(self) -> int:
        """How many destinations are kept ready; lowering it evicts at once, the oldest first."""
        return self._cache.limit

    @cache_limit.setter
    def cache_limit(self, value: int) -> None:
        with self._lock:
            self._cache.limit = value

    @property
    def cached_destinations(self) -> tuple[str, ...]:
        """A snapshot, the oldest first."""
        with self._lock:
            return tuple(self._cache.entries)

    @property
    def subscription_count(self) -> int:
        with self._lock:
            return sum(map(len, self._sessions.values()))

    def subscriptions_of(self, session_id: str) -> tuple[Subscription, ...]:
        """A snapshot, the oldest first. Never None, may be empty."""
        with self._lock:
            return tuple(self._sessions.get(session_id, {}).values())

    # -- changing

    def register_subscription(self, message: Message[Any]) -> bool:
        """Take a SUBSCRIBE; False when it lacks a header or its session has a subscription with this id already.

        Raises ValueError for another type of message, SubscriptionRefusedError for a pattern that cannot be matched or
        has an expression, for what is too long, and when the session has *max_subscriptions_per_session* or
        *max_patterns_per_session* already.
        """
        headers = message.headers
        _expect(SimpMessageType.SUBSCRIBE, headers)
        if not _complete(headers, SESSION_ID, SUBSCRIPTION_ID, DESTINATION):
            return False
        subscription = Subscription(
            headers[SESSION_ID], headers[SUBSCRIPTION_ID], headers[DESTINATION], self._selector_of(headers)
        )
        try:
            return self.add(subscription)
        except SubscriptionRefusedError as error:
            error.failed_message = message
            raise

    def unregister_subscription(self, message: Message[Any]) -> bool:
        """Take an UNSUBSCRIBE; False when it lacks a header or there was no such subscription.

        Raises ValueError for another type of message.
        """
        headers = message.headers
        _expect(SimpMessageType.UNSUBSCRIBE, headers)
        return _complete(headers, SESSION_ID, SUBSCRIPTION_ID) and self.remove(
            headers[SESSION_ID], headers[SUBSCRIPTION_ID]
        )

    def unregister_all_subscriptions(self, session_id: str) -> None:
        """Forget a session. Twice does nothing."""
        with self._lock:
            for subscription in self._sessions.pop(session_id, {}).values():
                self._forget(subscription)

    def add(self, subscription: Subscription) -> bool:
        """Take a subscription; False when its session has one with this id already. Raises SubscriptionRefusedError."""
        if max(len(subscription.id), len(subscription.destination)) > MAX_SUBSCRIPTION_LENGTH:
            text = f"The id and the destination of a subscription can have {MAX_SUBSCRIPTION_LENGTH} characters each"
            raise SubscriptionRefusedError(SubscriptionRefusal.TOO_LONG, text)
        is_pattern = self.path_matcher.is_pattern(subscription.destination)
        compiled = self._compiled(subscription.destination) if is_pattern else None
        with self._lock:
            if not self._add_to_session(subscription, is_pattern):
                return False
            if len(self._sessions[subscription.session_id]) > 1:
                subscription.serial = next(self._serials)
            if is_pattern:
                self._add_to_pattern(subscription, compiled)
            else:
                self._exact.setdefault(subscription.destination, {})[subscription] = None
                self._stale(subscription.destination)
        return True

    def remove(self, session_id: str, id: str) -> bool:
        """Forget a subscription; False when there was no such one."""
        with self._lock:
            of_session = self._sessions.get(session_id)
            subscription = of_session.pop(id, None) if of_session else None
            if subscription is None:
                return False
            if not of_session:
                del self._sessions[session_id]
            self._forget(subscription)
        return True

    def _compiled(self, text: str) -> CompiledPattern | None:
        pattern = self._patterns.get(text)
        if pattern is not None:
            return pattern.compiled
        return compile_client_pattern(self.path_matcher, text, with_regex=self.regex_in_patterns)

    # -- with the lock held

    def _add_to_session(self, subscription: Subscription, is_pattern: bool) -> bool:
        of_session = self._sessions.get(subscription.session_id)
        if of_session is None:
            of_session = {}
        elif subscription.id in of_session:
            return False
        # Differs from Spring, which takes as many as the client likes, and expressions in their patterns.
        if len(of_session) >= self.max_subscriptions_per_session:
            text = f"A session can have {self.max_subscriptions_per_session} subscriptions and no more"
            raise SubscriptionRefusedError(SubscriptionRefusal.TOO_MANY, text)
        length = self._length_with(subscription)
        if is_pattern:
            self._pattern_counts.add(subscription.session_id)
        if length:
            self._selector_lengths[subscription.session_id] = length
            self._selecting += 1
        of_session[subscription.id] = subscription
        self._sessions[subscription.session_id] = of_session
        return True

    def _length_with(self, subscription: Subscription) -> int:
        """That of all selectors of its session, 0 if it has none. Raises SubscriptionRefusedError."""
        if subscription.selector is None:
            return 0
        length = self._selector_lengths.get(subscription.session_id, 0) + len(subscription.selector.text)
        if length > MAX_SELECTORS_LENGTH:
            text = f"The selectors of a session can have {MAX_SELECTORS_LENGTH} characters together"
            raise SubscriptionRefusedError(SubscriptionRefusal.TOO_LONG, text)
        return length

    def _add_to_pattern(self, subscription: Subscription, compiled: CompiledPattern | None) -> None:
        text = subscription.destination
        pattern = self._patterns.get(text)
        if pattern is None:
            if not self._patterns:  # The matcher may have been set since.
                self._index = PatternIndex(self.path_matcher)
            self._new_patterns += 1
            pattern = self._patterns[text] = self._index.new(text, self._new_patterns, compiled)
        pattern.subscriptions[subscription] = None
        for entry in [*pattern.destinations]:
            self._cache.stale(entry)

    def _forget(self, subscription: Subscription) -> None:
        destination = subscription.destination
        if subscription.selector is not None:
            self._selecting -= 1
            length = self._selector_lengths.pop(subscription.session_id) - len(subscription.selector.text)
            if length:
                self._selector_lengths[subscription.session_id] = length
        exact = self._exact.get(destination)
        if exact is not None and subscription in exact:
            del exact[subscription]
            if not exact:
                del self._exact[destination]
            self._stale(destination)
            return
        self._pattern_counts.remove(subscription.session_id)
        pattern = self._patterns[destination]
        del pattern.subscriptions[subscription]
        if pattern.subscriptions:
            for entry in [*pattern.destinations]:
                self._cache.stale(entry)
        else:
            del self._patterns[destination]
            self._index.discard(pattern)
            self._cache.unlink(pattern)

    def _stale(self, destination: str) -> None:
        entry = self._cache.entries.get(destination)
        if entry is not None:
            self._cache.stale(entry)

    # -- finding

    def matching_subscriptions(self, message: Message[Any]) -> Sequence[Subscription]:
        """The subscriptions that a MESSAGE goes to, those to its very destination first. Never None, may be empty.

        Raises ValueError for another type of message.
        """
        headers = message._headers
        values = (headers if headers is not None else message.headers)._map
        if values.get(MESSAGE_TYPE) is not _MESSAGE:
            _expect(_MESSAGE, values)
        destination = values.get(DESTINATION)
        if destination is None:
            _complete(values, DESTINATION)
            return ()
        entry = self._cache.entries.get(destination)
        ready = entry.ready if entry is not None and entry.met_until == self._new_patterns else None
        found, is_selecting = ready if ready is not None else self._find(destination)
        if is_selecting:
            lookup = _lookup(message.headers)
            return tuple(each for each in found if each.selector is None or each.selector.matches(lookup))
        return found

    def find_subscriptions(self, message: Message[Any]) -> dict[str, list[str]]:
        """Session ids with the subscription ids that match."""
        found: dict[str, list[str]] = {}
        for subscription in self.matching_subscriptions(message):
            found.setdefault(subscription.session_id, []).append(subscription.id)
        return found

    def _find(self, destination: str) -> tuple[tuple[Subscription, ...], bool]:
        met: dict[PatternSubscriptions, bool] = {}
        looked_since, looked_until = 0, 0  # at the patterns between these
        candidate: Candidate | None = None
        while True:
            with self._lock:
                entry = self._cache.entries.get(destination)
                since = 0 if entry is None else entry.met_until
                unmet: list[PatternSubscriptions] = []
                if since < self._new_patterns and not looked_since <= since < self._new_patterns == looked_until:
                    unmet = [each for each in self._newer_patterns(since, destination) if each not in met]
                    looked_since, looked_until = since, self._new_patterns
                if not unmet:
                    patterns = self._patterns
                    matching = [
                        each
                        for each, matches in met.items()
                        if matches and each.number > since and patterns.get(each.text) is each
                    ]
                    if entry is None:
                        entry = self._cache.add(destination, matching)
                    elif matching:
                        self._cache.link(entry, *matching)
                    entry.met_until = self._new_patterns
                    return self._put_together(entry)
            candidate = candidate or self._candidate(destination)
            for each in unmet:
                met[each] = self._matches(each, candidate)

    def _newer_patterns(self, since: int, destination: str) -> list[PatternSubscriptions]:
        """Those that came after the pattern of this number and might match, the oldest first. The lock is held."""
        if self._new_patterns - since > _FEW_PATTERNS:
            return [each for each in self._index.candidates(destination) if each.number > since]
        found: list[PatternSubscriptions] = []
        for each in reversed(self._patterns.values()):  # in the order of their numbers
            if each.number <= since:
                break
            if each.could_match(destination):
                found.append(each)
        found.reverse()
        return found

    def _put_together(self, entry: CachedDestination) -> tuple[tuple[Subscription, ...], bool]:
        """What is ready for a destination from now on. The lock is held."""
        if entry.ready is not None:
            return entry.ready
        found = list(self._exact.get(entry.destination, ()))
        for pattern in entry.patterns:
            found += pattern.subscriptions
        is_selecting = self._selecting > 0 and any(each.selector is not None for each in found)
        ready = (tuple(found), is_selecting)
        self._cache.keep(entry, ready)
        return ready

    def _candidate(self, destination: str) -> Candidate:
        matcher = self.path_matcher
        return Candidate(matcher, destination, steps_for(matcher, self._pattern_counts.limit))

    def _matches(self, pattern: PatternSubscriptions, candidate: Candidate) -> bool:
        """At the cost of a subscriber."""
        try:
            return candidate.matches_for_a_subscriber(pattern, self._lock)
        except Exception as error:
            # One client's pattern must not keep a message from the others: what cannot be told does not match.
            if not (pattern.is_warned or candidate.is_warned):
                pattern.is_warned = candidate.is_warned = True
                with self._lock:
                    first = next(iter(pattern.subscriptions), None)
                text = "%r does not match %.200r, which is beyond its matcher: %s"
                logger.warning(text, first, candidate.destination, error)
            return False

    def _selector_of(self, headers: Mapping[str, Any]) -> Selector | None:
        text = first_native_header(headers, self.selector_header_name) if self.selector_header_name else None
        if text is None:
            return None
        try:
            return compile_selector(text)
        except SelectorSyntaxError as error:
            # As in Spring, what cannot be parsed does not filter; but its author should get to know.
            session_id, id = headers.get(SESSION_ID), headers.get(SUBSCRIPTION_ID)
            logger.warning("Session %s, subscription %r: selector ignored. %s", session_id, id, error)
            return None


def _expect(message_type: SimpMessageType, headers: Mapping[str, Any]) -> None:
    found = headers.get(MESSAGE_TYPE)
    if found is not message_type:
        raise ValueError(f"Expected {message_type.value}, got {found.value if found else None}")


def _complete(headers: Mapping[str, Any], *names: str) -> bool:
    """Whether these headers are there; an error in the log if not, once for a session: it could go on so for ever."""
    for name in names:
        if headers.get(name) is None:
            message_type: SimpMessageType = headers[MESSAGE_TYPE]
            attributes = headers.get(SESSION_ATTRIBUTES)
            level = logging.ERROR
            if attributes is not None:
                level = logging.DEBUG if _INCOMPLETE in attributes else logging.ERROR
                attributes[_INCOMPLETE] = True
            logger.log(level, "No %s in a %s of session %s", name, message_type.value, headers.get(SESSION_ID))
            return False
    return True


def _lookup(headers: MessageHeaders) -> Callable[[str], object]:
    """How a selector reads ``headers.name``: the destination, else the first native header, else the header."""

    def read(name: str) -> object:
        if name.lower() == "destination":
            return headers.get(DESTINATION)
        native = first_native_header(headers._map, name)
        return native if native is not None else headers.get(name)

    return read
