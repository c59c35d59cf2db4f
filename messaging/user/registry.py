"""Who is connected to this server, with which sessions and subscriptions (USR-03)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from ..broker.subscriptions import MAX_SUBSCRIPTION_LENGTH, MAX_SUBSCRIPTIONS_PER_SESSION
from ..events import (
    ApplicationEvents,
    SessionConnectedEvent,
    SessionDisconnectEvent,
    SessionEvent,
    SessionSubscribeEvent,
    SessionUnsubscribeEvent,
)
from ..locks import allocate_reentrant_lock
from ..simp.accessor import CONNECT_MESSAGE, DESTINATION, SESSION_ATTRIBUTES, SESSION_ID, SUBSCRIPTION_ID
from ..simp.attributes import COMPLETED
from ..simp.types import Principal, destination_user_name

logger = logging.getLogger(__name__)

_ENDED = COMPLETED + ".users"
"""Reserved attribute of a session that the registry has forgotten: a CONNECTED that is told later comes too late."""


class SimpSubscription:
    """One subscription of a user's session."""

    __slots__ = ("destination", "id", "session")

    def __init__(self, id: str, session: SimpSession, destination: str) -> None:
        self.id = id
        self.session = session
        self.destination = destination

    def __repr__(self) -> str:
        return f"SimpSubscription(id={self.id}, session={self.session.id}, destination={self.destination})"


class SimpSession:
    """One session of a user."""

    __slots__ = ("_is_warned", "_subscriptions", "id", "user")

    def __init__(self, id: str, user: SimpUser) -> None:
        self.id = id
        self.user = user
        self._subscriptions: dict[str, SimpSubscription] = {}
        self._is_warned = False

    @property
    def subscriptions(self) -> frozenset[SimpSubscription]:
        """A snapshot. Never None, may be empty; the registry has a limit."""
        return frozenset(self._subscriptions.copy().values())

    def __repr__(self) -> str:
        return f"SimpSession(id={self.id}, user={self.user.name})"


class SimpUser:
    """A user with at least one session; gone with the last of them."""

    __slots__ = ("_sessions", "name", "principal")

    def __init__(self, name: str, principal: Principal | None) -> None:
        self.name = name
        self.principal = principal
        self._sessions: dict[str, SimpSession] = {}

    @property
    def has_sessions(self) -> bool:
        return bool(self._sessions)

    @property
    def sessions(self) -> frozenset[SimpSession]:
        """A snapshot. Never None, may be empty."""
        return frozenset(self._sessions.copy().values())

    def get_session(self, session_id: str) -> SimpSession | None:
        return self._sessions.get(session_id)

    def __repr__(self) -> str:
        return f"SimpUser(name={self.name}, sessions={list(self._sessions)})"


class SimpUserRegistry(Protocol):
    """Finds connected users."""

    def get_user(self, name: str) -> SimpUser | None: ...

    @property
    def users(self) -> frozenset[SimpUser]: ...

    @property
    def user_count(self) -> int: ...

    def find_subscriptions(self, matcher: Callable[[SimpSubscription], bool]) -> frozenset[SimpSubscription]: ...


class DefaultSimpUserRegistry:
    """Follows the session events, after all other listeners: these still see the registry as it was before.

    Sessions without a user are not in it.

    It hears of every SUBSCRIBE, also of those that no broker takes, and keeps *max_subscriptions_per_session* of a
    session, none that is longer than brokers take. What comes above that is not in it, even when others of the session
    go later; the log says so once for each session. Whether the client is refused is for the broker, which counts what
    it takes.
    """

    # Differs from Spring, which keeps as many as the client likes.

    def __init__(
        self, events: ApplicationEvents, *, max_subscriptions_per_session: int = MAX_SUBSCRIPTIONS_PER_SESSION
    ) -> None:
        self.max_subscriptions_per_session = max_subscriptions_per_session
        # Guards both dicts and those inside their values; held for a few look-ups.
        self._lock = allocate_reentrant_lock()
        self._users: dict[str, SimpUser] = {}
        self._sessions: dict[str, SimpSession] = {}
        events.connect(SessionConnectedEvent, self._connected, last=True)
        events.connect(SessionSubscribeEvent, self._subscribed, last=True)
        events.connect(SessionUnsubscribeEvent, self._unsubscribed, last=True)
        events.connect(SessionDisconnectEvent, self._disconnected, last=True)

    def get_user(self, name: str) -> SimpUser | None:
        return self._users.get(name)

    @property
    def users(self) -> frozenset[SimpUser]:
        """A snapshot. Never None, may be empty."""
        with self._lock:
            return frozenset(self._users.values())

    @property
    def user_count(self) -> int:
        return len(self._users)

    def find_subscriptions(self, matcher: Callable[[SimpSubscription], bool]) -> frozenset[SimpSubscription]:
        """The subscriptions of all users that *matcher* wants."""
        with self._lock:
            subscriptions = [each for session in self._sessions.values() for each in session._subscriptions.values()]
        return frozenset(filter(matcher, subscriptions))

    def _connected(self, event: SessionEvent) -> None:
        session_id, principal = event.message.headers.get(SESSION_ID), event.user
        if principal is None or session_id is None:
            return
        name = destination_user_name(principal)
        connect = event.message.headers.get(CONNECT_MESSAGE)
        attributes = connect.headers.get(SESSION_ATTRIBUTES) if connect is not None else None
        with self._lock:
            # We may have ended it while others heard of the beginning, which an executor may be telling them.
            if attributes is not None and _ENDED in attributes:
                return
            user = self._users.get(name)
            if user is None:
                user = self._users[name] = SimpUser(name, principal)
            user._sessions[session_id] = self._sessions[session_id] = SimpSession(session_id, user)

    def _subscribed(self, event: SessionEvent) -> None:
        headers = event.message.headers
        id, destination = headers.get(SUBSCRIPTION_ID), headers.get(DESTINATION)
        if id is None or destination is None:
            return
        with self._lock:
            session = self._sessions.get(headers.get(SESSION_ID))
            if session is None or id in session._subscriptions:
                return
            is_short = max(len(id), len(destination)) <= MAX_SUBSCRIPTION_LENGTH
            if is_short and len(session._subscriptions) < self.max_subscriptions_per_session:
                session._subscriptions[id] = SimpSubscription(id, session, destination)
                return
            is_warned, session._is_warned = session._is_warned, True
        if not is_warned:
            logger.warning(
                "Session %s has more than %d subscriptions, or too long ones: these are not registered",
                session.id,
                self.max_subscriptions_per_session,
            )

    def _unsubscribed(self, event: SessionEvent) -> None:
        headers = event.message.headers
        with self._lock:
            session = self._sessions.get(headers.get(SESSION_ID))
            if session is not None:
                session._subscriptions.pop(headers.get(SUBSCRIPTION_ID), None)

    def _disconnected(self, event: SessionDisconnectEvent) -> None:
        attributes = event.message.headers.get(SESSION_ATTRIBUTES)
        with self._lock:
            if attributes is not None:
                attributes[_ENDED] = True
            session = self._sessions.pop(event.session_id, None)
            if session is None:
                return
            user = session.user
            user._sessions.pop(session.id, None)
            if not user._sessions:
                self._users.pop(user.name, None)
