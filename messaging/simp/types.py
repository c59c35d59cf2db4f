"""The kinds of messages that simple messaging protocols have in common, and who sends them (MSG-06)."""

from __future__ import annotations

import enum
from typing import Protocol, runtime_checkable

from ..enums import plain_members


@plain_members
class SimpMessageType(enum.Enum):
    """What a message is for, whatever the protocol calls it."""

    CONNECT = "CONNECT"
    CONNECT_ACK = "CONNECT_ACK"
    MESSAGE = "MESSAGE"
    SUBSCRIBE = "SUBSCRIBE"
    UNSUBSCRIBE = "UNSUBSCRIBE"
    HEARTBEAT = "HEARTBEAT"
    DISCONNECT = "DISCONNECT"
    DISCONNECT_ACK = "DISCONNECT_ACK"
    OTHER = "OTHER"

    __hash__ = object.__hash__  # members are singletons; the inherited hash is several times slower


@runtime_checkable
class Principal(Protocol):
    """Somebody with a name."""

    @property
    def name(self) -> str: ...


@runtime_checkable
class DestinationUserNameProvider(Protocol):
    """A principal that is addressed by another name than its own."""

    @property
    def destination_user_name(self) -> str: ...


def destination_user_name(principal: Principal) -> str:
    """The name under which messages reach this principal."""
    name: str | None = getattr(principal, "destination_user_name", None)  # isinstance of a protocol costs 30 times this
    return principal.name if name is None else name
