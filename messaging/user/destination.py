"""Messages to users: ``/user/...`` destinations become those of single sessions (USR-01, USR-02).

A client that subscribes to ``/user/queue/x`` is subscribed to ``/queue/x-user<its session id>``. A message to
``/user/joe/queue/x`` goes to that destination of each of joe's sessions, by way of the broker, and arrives as one from
``/user/queue/x``.
"""

from __future__ import annotations

import logging
import re
from typing import Any

from ..channel import MessageChannel, SubscribableChannel
from ..exceptions import MessageHandlingError
from ..headers import ID, TIMESTAMP, MessageHeaders
from ..message import Message
from ..native_headers import NATIVE_HEADERS
from ..simp.accessor import (
    DESTINATION,
    MESSAGE_TYPE,
    ORIGINAL_DESTINATION,
    SESSION_ID,
    USER,
    simp_headers,
)
from ..simp.types import SimpMessageType, destination_user_name
from .registry import SimpUserRegistry

logger = logging.getLogger(__name__)

_WILDCARD = re.compile(r"[*?{}/#>]")
"""Of destinations, our own or another broker's."""
_SUBSCRIPTIONS = (SimpMessageType.SUBSCRIBE, SimpMessageType.UNSUBSCRIBE)


class UserDestinationResult:
    """Where a message to a user goes."""

    __slots__ = ("source_destination", "subscribe_destination", "target_destinations", "user")

    def __init__(
        self,
        source_destination: str,
        target_destinations: tuple[str, ...],
        subscribe_destination: str,
        user: str | None,
    ) -> None:
        self.source_destination = source_destination
        self.target_destinations = target_destinations
        """One for each session. Never None, empty when the user has no session here."""
        self.subscribe_destination = subscribe_destination
        """As the subscriber knows it: ``/user/queue/x``."""
        self.user = user


class DefaultUserDestinationResolver:
    """Knows the sessions of users from a registry. Override ``get_target_destination`` for another naming scheme."""

    def __init__(
        self, user_registry: SimpUserRegistry, *, prefix: str = "/user/", remove_leading_slash: bool = False
    ) -> None:
        self.user_registry = user_registry
        self.prefix = prefix if prefix.endswith("/") else f"{prefix}/"
        self.remove_leading_slash = remove_leading_slash

    def resolve_destination(self, message: Message[Any]) -> UserDestinationResult | None:
        """Where the message goes; None when its destination is not a user's.

        Raises ValueError for a message to a user without a destination behind the name and for a session id that
        ``get_target_destination`` refuses, MessageHandlingError for a user destination within a user destination, which
        its sender is told.
        """
        values = message.headers._map
        destination: str | None = values.get(DESTINATION)
        if destination is None or not destination.startswith(self.prefix):
            return None
        message_type = values.get(MESSAGE_TYPE)
        if message_type in _SUBSCRIPTIONS:
            return self._of_subscription(message, destination)
        if message_type is SimpMessageType.MESSAGE:
            return self._of_message(message, destination, values.get(SESSION_ID))
        return None

    def _of_subscription(self, message: Message[Any], destination: str) -> UserDestinationResult | None:
        values = message.headers._map
        session_id = values.get(SESSION_ID)
        if session_id is None:
            logger.error("No session id. Ignoring %s", message)
            return None
        principal = values.get(USER)
        user = destination_user_name(principal) if principal is not None else None
        if user is not None and "%2F" in user:
            raise ValueError(f'Invalid sequence "%2F" in user name: {user}')
        return self._result(message, destination, destination[len(self.prefix) - 1 :], (session_id,), user)

    def _of_message(self, message: Message[Any], destination: str, session_id: str | None) -> UserDestinationResult:
        start = len(self.prefix)
        encoded, slash, _ = destination[start:].partition("/")
        if not slash or not encoded:
            raise ValueError('Expected destination pattern "/user/{userId}/**"')
        actual = destination[start + len(encoded) :]
        name = encoded.replace("%2F", "/")
        if name == session_id:
            return self._result(message, destination, actual, (name,), None)
        user = self.user_registry.get_user(name)
        sessions = tuple(session.id for session in user.sessions) if user is not None else ()
        if session_id in sessions:
            sessions = (session_id,)
        return self._result(message, destination, actual, sessions, name)

    def _result(
        self, message: Message[Any], source: str, actual: str, sessions: tuple[str, ...], user: str | None
    ) -> UserDestinationResult:
        shown = actual
        if self.remove_leading_slash:
            actual = actual.removeprefix("/")
        # Differs from Spring, which resolves again what it sent on: a user's sessions would multiply with each level.
        if actual.startswith(self.prefix):
            raise MessageHandlingError(f"A user destination must not lead to another one: {self.prefix}...", message)
        targets = tuple(self.get_target_destination(source, actual, session_id, user) for session_id in sessions)
        return UserDestinationResult(source, targets, self.prefix[:-1] + shown, user)

    def get_target_destination(self, source: str, actual: str, session_id: str, user: str | None) -> str:
        """The broker's name for the destination *actual* of one session.

        Raises ValueError when the id would make a pattern of it, or more levels: whoever subscribes to that would get
        what is for others. An override has to see to it as well.
        """
        if _WILDCARD.search(session_id):  # Differs from Spring, which takes any id.
            raise ValueError(f"Invalid character in session id: {session_id!r}")
        return f"{actual}-user{session_id}"


class UserDestinationMessageHandler:
    """Listens on the inbound and on the broker channel, and sends what it resolved to the broker channel."""

    ignores_heartbeats = True
    """They have no destination."""

    def __init__(
        self,
        inbound: SubscribableChannel,
        broker: SubscribableChannel,
        resolver: DefaultUserDestinationResolver,
        *,
        target: MessageChannel | None = None,
    ) -> None:
        self.client_inbound_channel = inbound
        self.broker_channel = broker
        self.resolver = resolver
        self._target = target or broker
        self._running = False

    @property
    def is_running(self) -> bool:
        return self._running

    def start(self) -> None:
        """Subscribe to both channels. Twice does nothing."""
        if not self._running:
            self._running = True
            self.client_inbound_channel.subscribe(self)
            self.broker_channel.subscribe(self)

    def stop(self) -> None:
        """Unsubscribe. Twice does nothing."""
        if self._running:
            self._running = False
            self.client_inbound_channel.unsubscribe(self)
            self.broker_channel.unsubscribe(self)

    def handle_message(self, message: Message[Any]) -> None:
        """Send one message on for each session that it is for; what is not for a user is ignored."""
        headers = message._headers
        destination = (headers if headers is not None else message.headers)._map.get(DESTINATION)
        if destination is None or not destination.startswith(self.resolver.prefix):
            return
        result = self.resolver.resolve_destination(message)
        if result is None:
            return
        if not result.target_destinations:
            logger.debug("No active sessions for user destination %s", result.source_destination)
            return
        for target in result.target_destinations:
            self._target.send(Message(message.payload, _headers_to(target, result.subscribe_destination, message)))

    def __str__(self) -> str:
        return f"UserDestinationMessageHandler[{self.resolver.prefix}]"


def _headers_to(target: str, subscribe_destination: str, message: Message[Any]) -> MessageHeaders:
    """Those of the message with another destination; they can still be changed."""
    values = message.headers._map.copy()
    values.pop(ID, None)
    values.pop(TIMESTAMP, None)
    native = {name: list(texts) for name, texts in (values.get(NATIVE_HEADERS) or {}).items()}
    native[ORIGINAL_DESTINATION] = [subscribe_destination]
    native.pop("receipt", None)  # the broker answers the frame that the client sent
    values[NATIVE_HEADERS] = native
    values[DESTINATION] = target
    return simp_headers(values)
