"""One publish on its way to many: what the recipients share, and the light message that each of them gets (SB-03).

A subscriber's message is an object of its own that interceptors may read, change or veto. Its headers become a dict
only when somebody looks at them; untouched, the protocol handler sends the bytes that all recipients share, with the
recipient's own two headers between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..header_accessor import MutableMessageHeaders
from ..headers import ID, TIMESTAMP, MessageHeaders
from ..message import Message
from ..mutable_headers import SharedNativeHeaders
from ..native_headers import NATIVE_HEADERS
from ..simp.accessor import MESSAGE_TYPE, SESSION_ID, SUBSCRIPTION_ID, SimpMessageHeaderAccessor
from ..simp.ordered import NEXT_MESSAGE_TASK
from ..simp.types import SimpMessageType
from .contract import Subscription

CONTROL_HEADERS = frozenset(
    ("receipt", "content-length", "transaction", "ack", "login", "passcode", "authorization", "Authorization")
)
"""Native headers with which a sender speaks to the server; its subscribers do not get them."""

_OF_THE_BROKER = frozenset(("subscription", "message-id"))
"""Native headers that each recipient gets from the server: a sender's own must not stand before them."""

_new = object.__new__
"""A call of the class with an ``__init__`` costs half as much again."""

_MESSAGE = SimpMessageType.MESSAGE
_OF_THE_SOURCE = (ID, TIMESTAMP, SESSION_ID, SUBSCRIPTION_ID, NEXT_MESSAGE_TASK)


class Broadcast:
    """What all recipients of one publish share."""

    __slots__ = ("encoding", "headers", "payload")

    def __init__(self, message: Message[Any], dropped: frozenset[str] = CONTROL_HEADERS) -> None:
        """*dropped* are the sender's native headers that recipients do not get."""
        self.payload = message.payload
        headers = message._headers
        # Copied not by their methods: they would make an id that is not wanted.
        values = (headers if headers is not None else message.headers)._map.copy()
        for name in _OF_THE_SOURCE:
            if name in values:
                del values[name]
        values[MESSAGE_TYPE] = _MESSAGE
        native: Mapping[str, Iterable[str]] | None = values.get(NATIVE_HEADERS)
        if native.__class__ is SharedNativeHeaders:
            kept = native.for_recipients
            if kept is None or kept[0] is not dropped:
                kept = native.for_recipients = (dropped, _without(native, dropped))
            values[NATIVE_HEADERS] = kept[1]
        elif native and not (dropped.isdisjoint(native) and _OF_THE_BROKER.isdisjoint(native)):
            values[NATIVE_HEADERS] = _without(native, dropped)
        self.headers: dict[str, Any] = values
        """Never changed; read by many."""
        self.encoding: Any = None
        """What the protocol handler that sends this made of it; the broker never looks."""

    def message_for(self, subscription: Subscription) -> BroadcastMessage:
        """One recipient's message."""
        message = _new(BroadcastMessage)
        message.broadcast = self
        message.subscription = subscription
        message._headers = None  # type: ignore[assignment]  # made by the property when somebody looks
        return message


def _without(native: Mapping[str, Iterable[str]], dropped: frozenset[str]) -> dict[str, Iterable[str]]:
    """Differs from Spring: headers that were meant for the server do not ride on the broadcast."""
    return {name: texts for name, texts in native.items() if name not in dropped and name not in _OF_THE_BROKER}


class BroadcastMessage(Message[Any]):
    """The message of one subscription of one session."""

    __slots__ = ("broadcast", "subscription")

    def __init__(self, broadcast: Broadcast, subscription: Subscription) -> None:
        """``Broadcast.message_for`` does the same quicker."""
        self.broadcast = broadcast
        self.subscription = subscription
        self._headers = None  # type: ignore[assignment]  # made by the property when somebody looks

    @property
    def payload(self) -> Any:
        """Never None; the same object for all recipients."""
        return self.broadcast.payload

    @property
    def headers(self) -> MessageHeaders:
        """Made on the first look; they can be changed through their live accessor until they are frozen."""
        headers: MessageHeaders | None = self._headers
        if headers is None:
            headers = self._headers = self._make_headers()
        return headers

    def _make_headers(self) -> MessageHeaders:
        accessor = SimpMessageHeaderAccessor(self.broadcast.headers)
        accessor.session_id = self.subscription.session_id
        accessor.subscription_id = self.subscription.id
        accessor.is_modified = False
        accessor.leave_mutable = True
        return accessor.message_headers

    def live_headers(self) -> MessageHeaders | None:
        return self._headers

    @property
    def is_untouched(self) -> bool:
        """True while no interceptor changed a header."""
        headers = self._headers
        return headers is None or not (isinstance(headers, MutableMessageHeaders) and headers.accessor.is_modified)
