"""What a broker keeps of its clients' subscriptions, and who keeps it (REG-01): the contracts."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any, Protocol

from ..exceptions import MessagingError
from ..message import Message
from .selector import Selector

_NOTHING = (None, b"")

LONGEST_PREPARED = 1024
"""Bytes of ``Subscription.prepared``: a client chooses what is in it, and may have thousands of subscriptions."""


class Subscription:
    """One subscription of one session. Equal only to itself."""

    __slots__ = ("destination", "id", "owner", "prepared", "selector", "serial", "session_id", "target")

    def __init__(self, session_id: str, id: str, destination: str, selector: Selector | None = None) -> None:
        self.session_id = session_id
        self.id = id
        self.destination = destination
        self.selector = selector
        self.serial = 0
        """0 for a session's first subscription; tells further ones of the same session apart."""
        self.prepared: tuple[Any, bytes] = _NOTHING
        """What a protocol handler keeps of this subscription, so as not to make it again for each message: a head, and
        what stands before the part of a broadcast's text that all recipients share, made for that very head. One pair,
        since several threads change it; nothing longer than ``LONGEST_PREPARED``.
        """
        self.owner: Any = None
        """The broker's record of the session: looked up once, and not for each message."""
        self.target: Any = None
        """The endpoint's record of the session, likewise."""

    def __repr__(self) -> str:
        return f"Subscription(session={self.session_id!r}, id={self.id!r}, destination={self.destination!r})"


class SubscriptionRefusal(enum.Enum):
    """Why a subscription was not taken."""

    INVALID_PATTERN = "the destination is no pattern"
    TOO_MANY = "the session has too many subscriptions"
    TOO_LONG = "the id, the destination or the selector is too long"


class SubscriptionRefusedError(MessagingError):
    """A subscription was not taken, and its client has to be told; ``description`` is the text for it."""

    def __init__(
        self, reason: SubscriptionRefusal, description: str, failed_message: Message[Any] | None = None
    ) -> None:
        super().__init__(description, failed_message)
        self.reason = reason


class SubscriptionRegistry(Protocol):
    """Keeps subscriptions and finds those that match a message."""

    def register_subscription(self, message: Message[Any]) -> bool:
        """Take a SUBSCRIBE; False when it was ignored. Raises SubscriptionRefusedError when the client has to know."""
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
