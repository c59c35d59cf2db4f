"""Who subscribed to what (REG-01, REG-02): a data structure, without channels and without logging of its own decisions.

Subscriptions are indexed by session, by exact destination and by pattern. What matches a destination is kept ready as a tuple until a
subscription that touches it comes or goes, so adding and removing cost the same however many others there are.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ..matching import AntPathMatcher, PathMatcher
from ..message import Message
from ..native_headers import first_native_header
from ..simp.accessor import DESTINATION, MESSAGE_TYPE, SESSION_ID, SUBSCRIPTION_ID
from ..simp.types import SimpMessageType
from .selector import Selector, SelectorSyntaxError, compile_selector

logger = logging.getLogger(__name__)

CACHE_LIMIT = 1024
"""Destinations whose matching subscriptions are kept ready."""


class Subscription:
    """One subscription of one session. Equal only to itself."""

    __slots__ = ("destination", "encoding", "id", "selector", "session_id")

    def __init__(self, session_id: str, id: str, destination: str, selector: Selector | None = None) -> None:
        self.session_id = session_id
        self.id = id
        self.destination = destination
        self.selector = selector
        self.encoding: bytes | None = None
        """What a protocol handler keeps of this subscription, so as not to make it again for each message."""

    def __repr__(self) -> str:
        return f"Subscription(session={self.session_id}, id={self.id}, destination={self.destination})"


class SubscriptionRegistry(Protocol):
    """Keeps subscriptions and finds those that match a message."""

    def register_subscription(self, message: Message[Any]) -> bool:
        """Take a SUBSCRIBE; False when it was ignored."""
        ...

    def unregister_subscription(self, message: Message[Any]) -> bool:
        """Take an UNSUBSCRIBE; False when there was no such subscription."""
        ...

    def unregister_all_subscriptions(self, session_id: str) -> None:
        """Forget a session."""
        ...

    def matching_subscriptions(self, message: Message[Any]) -> Sequence[Subscription]:
        """The subscriptions that a MESSAGE goes to. Never None, may be empty, never changes afterwards."""
        ...


class DefaultSubscriptionRegistry:
    """The registry of the simple broker. Safe to use from any thread.

    A second SUBSCRIBE with the same id in the same session is ignored: the first destination stays.
    """

    def __init__(
        self,
        *,
        path_matcher: PathMatcher | None = None,
        cache_limit: int = CACHE_LIMIT,
        selector_header_name: str | None = None,
    ) -> None:
        """*selector_header_name* None (the default) switches selectors off; else the native header that holds one (SB-05)."""
        self.path_matcher: PathMatcher = path_matcher or AntPathMatcher()
        self.selector_header_name = selector_header_name
        # Guards all four dicts; held for a few look-ups, never while calling out.
        self._lock = threading.Lock()
        self._sessions: dict[str, dict[str, Subscription]] = {}
        self._exact: dict[str, dict[Subscription, None]] = {}
        self._patterns: dict[str, dict[Subscription, None]] = {}
        self._ready: dict[str, tuple[Subscription, ...]] = {}
        self._cache_limit = cache_limit
        self._selecting = 0

    @property
    def cache_limit(self) -> int:
        return self._cache_limit

    @cache_limit.setter
    def cache_limit(self, value: int) -> None:
        """Lowering the limit evicts at once, the oldest first."""
        with self._lock:
            self._cache_limit = value
            self._evict(value)

    @property
    def subscription_count(self) -> int:
        with self._lock:
            return sum(map(len, self._sessions.values()))

    # -- changing

    def register_subscription(self, message: Message[Any]) -> bool:
        headers = message.headers
        _expect(SimpMessageType.SUBSCRIBE, headers)
        session_id, id, destination = headers.get(SESSION_ID), headers.get(SUBSCRIPTION_ID), headers.get(DESTINATION)
        if session_id is None or id is None or destination is None:
            missing = "session id" if session_id is None else "subscription id" if id is None else "destination"
            logger.error("No %s in %s", missing, message)
            return False
        return self.add(Subscription(session_id, id, destination, self._selector_of(headers)))

    def unregister_subscription(self, message: Message[Any]) -> bool:
        headers = message.headers
        _expect(SimpMessageType.UNSUBSCRIBE, headers)
        session_id, id = headers.get(SESSION_ID), headers.get(SUBSCRIPTION_ID)
        if session_id is None or id is None:
            logger.error("No %s in %s", "session id" if session_id is None else "subscription id", message)
            return False
        with self._lock:
            of_session = self._sessions.get(session_id)
            subscription = of_session.pop(id, None) if of_session else None
            if subscription is None:
                return False
            if not of_session:
                del self._sessions[session_id]
            self._forget(subscription)
        return True

    def unregister_all_subscriptions(self, session_id: str) -> None:
        with self._lock:
            for subscription in self._sessions.pop(session_id, {}).values():
                self._forget(subscription)

    def add(self, subscription: Subscription) -> bool:
        """Take a subscription; False when its session has one with this id already."""
        destination = subscription.destination
        with self._lock:
            of_session = self._sessions.setdefault(subscription.session_id, {})
            if of_session.setdefault(subscription.id, subscription) is not subscription:
                return False
            index = self._patterns if self.path_matcher.is_pattern(destination) else self._exact
            index.setdefault(destination, {})[subscription] = None
            self._selecting += subscription.selector is not None
            self._stale(destination)
        return True

    def _forget(self, subscription: Subscription) -> None:
        """The lock is held."""
        destination = subscription.destination
        for index in (self._exact, self._patterns):
            those = index.get(destination)
            if those is not None and those.pop(subscription, self) is None and not those:
                del index[destination]
        self._selecting -= subscription.selector is not None
        self._stale(destination)

    def _stale(self, destination: str) -> None:
        """Drop what is kept ready for *destination*, or for all that it matches if it is a pattern. The lock is held."""
        self._ready.pop(destination, None)
        if self.path_matcher.is_pattern(destination):
            match = self.path_matcher.match
            for ready in [each for each in self._ready if match(destination, each)]:
                del self._ready[ready]

    def _evict(self, limit: int) -> None:
        while len(self._ready) > limit:
            del self._ready[next(iter(self._ready))]

    # -- finding

    def matching_subscriptions(self, message: Message[Any]) -> Sequence[Subscription]:
        headers = message.headers
        _expect(SimpMessageType.MESSAGE, headers)
        destination = headers.get(DESTINATION)
        if destination is None:
            logger.error("No destination in %s", message)
            return ()
        found = self._ready.get(destination)
        if found is None:
            found = self._find(destination)
        if self._selecting:
            lookup = _lookup(headers)
            found = tuple(each for each in found if each.selector is None or each.selector.matches(lookup))
        return found

    def find_subscriptions(self, message: Message[Any]) -> dict[str, list[str]]:
        """Session ids with the subscription ids that match."""
        found: dict[str, list[str]] = {}
        for subscription in self.matching_subscriptions(message):
            found.setdefault(subscription.session_id, []).append(subscription.id)
        return found

    def _find(self, destination: str) -> tuple[Subscription, ...]:
        match = self.path_matcher.match
        with self._lock:
            found = list(self._exact.get(destination, ()))
            for pattern, those in self._patterns.items():
                if match(pattern, destination):
                    found.extend(those)
            ready = tuple(found)
            if self._cache_limit > 0:
                self._evict(self._cache_limit - 1)
                self._ready[destination] = ready
        return ready

    def _selector_of(self, headers: Mapping[str, Any]) -> Selector | None:
        text = first_native_header(headers, self.selector_header_name) if self.selector_header_name else None
        if text is None:
            return None
        try:
            return compile_selector(text)
        except SelectorSyntaxError as error:
            # Spring: what cannot be parsed does not filter.
            logger.debug("Selector ignored: %s", error)
            return None


def _expect(message_type: SimpMessageType, headers: Mapping[str, Any]) -> None:
    found = headers.get(MESSAGE_TYPE)
    if found is not message_type:
        raise ValueError(f"Expected {message_type.value}, got {found.value if found else None}")


def _lookup(headers: Mapping[str, Any]) -> Callable[[str], object]:
    """How a selector reads ``headers.name``: the destination, else the first native header, else the header."""

    def read(name: str) -> object:
        if name.lower() == "destination":
            return headers.get(DESTINATION)
        native = first_native_header(headers, name)
        return native if native is not None else headers.get(name)

    return read
