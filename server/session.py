"""The WebSocket session as handlers and stations above the runtime see it (WSA-01).

Station: the seam between what moves bytes (runtime, SockJS) and what handles messages. The adapters of the runtime
and of SockJS build on :class:`BaseWebSocketSession`.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from .close import CloseStatus
from .message import BinaryMessage, PingMessage, PongMessage, TextMessage, WebSocketMessage

if TYPE_CHECKING:
    from werkzeug.datastructures import Headers

    from .handshake.extension import WebSocketExtension

Address = tuple[str, int]
"""Host and port."""


class Principal(Protocol):
    """Whoever is authenticated: anything with a ``name``."""

    __slots__ = ()

    @property
    def name(self) -> str: ...


class UserPrincipal(Principal):
    """A principal that is nothing but its name; equal to another of the same name."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    def __eq__(self, other: object) -> bool:
        return self._name == other._name if isinstance(other, UserPrincipal) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._name)

    def __repr__(self) -> str:
        return f"UserPrincipal({self._name!r})"


class WebSocketSession(Protocol):
    """One connection. Native sessions are not safe for concurrent sends: wrap them in the concurrent decorator."""

    text_message_size_limit: int
    """Bytes of an incoming text message above which the session is closed with 1009."""
    binary_message_size_limit: int
    """Bytes of an incoming binary message above which the session is closed with 1009."""

    @property
    def id(self) -> str:
        """Unique and not to be guessed: it becomes a part of user destinations."""

    @property
    def uri(self) -> str:
        """The URI that the handshake asked for, query included."""

    @property
    def handshake_headers(self) -> Headers:
        """Headers of the handshake request; not to be changed."""

    @property
    def attributes(self) -> dict[str, Any]:
        """What the application keeps with the session; begins with what the handshake interceptors put there."""

    @property
    def principal(self) -> Principal | None:
        """The user of the handshake, ``None`` when anonymous."""

    @property
    def local_address(self) -> Address | None: ...

    @property
    def remote_address(self) -> Address | None: ...

    @property
    def accepted_protocol(self) -> str | None:
        """The negotiated sub-protocol, ``None`` when none was."""

    @property
    def extensions(self) -> Sequence[WebSocketExtension]:
        """The negotiated extensions; never ``None``, may be empty."""

    @property
    def is_open(self) -> bool: ...

    def send_message(self, message: WebSocketMessage[Any]) -> None:
        """Send a message, or the part of one that it says it is.

        Raises:
            RuntimeError: the session is not yet initialised, or the kind of message is unknown.
        """

    def send_text(self, head: bytes, tail: bytes) -> None:
        """Send a whole text message, given as two pieces of its UTF-8 bytes.

        As ``send_message(TextMessage(head + tail))``. The pieces may be cut anywhere; what many sessions get is best
        one object for all of them.
        """

    def close(self, status: CloseStatus = CloseStatus.NORMAL) -> None:
        """Close the session; does nothing when it is closed already."""


class BaseWebSocketSession(ABC):
    """What every session of ours shares: id, attributes, and the choice of the send by the kind of message.

    A subclass supplies the rest of :class:`WebSocketSession` and the hooks below. ``attributes`` are copied, entries
    with a ``None`` key or value dropped. Without ``session_id`` the id is the text of a random UUID, from the system's
    secure source.
    """

    __slots__ = ("_attributes", "_id")

    def __init__(self, attributes: Mapping[str, Any] | None = None, *, session_id: str | None = None) -> None:
        self._id = random_uuid() if session_id is None else session_id
        self._attributes: dict[str, Any] = {}
        for key, value in attributes.items() if attributes else ():
            if key is not None and value is not None:
                self._attributes[key] = value

    @property
    def id(self) -> str:
        return self._id

    @property
    def attributes(self) -> dict[str, Any]:
        return self._attributes

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """Whether messages can be sent; ``False`` as soon as a close began."""

    def send_message(self, message: WebSocketMessage[Any]) -> None:
        if isinstance(message, TextMessage):
            self._send_text(message)
        elif isinstance(message, BinaryMessage):
            self._send_binary(message)
        elif isinstance(message, PingMessage):
            self._send_ping(message)
        elif isinstance(message, PongMessage):
            self._send_pong(message)
        else:
            raise RuntimeError(f"Unexpected WebSocketMessage type: {message!r}")

    def send_text(self, head: bytes, tail: bytes) -> None:
        self.send_message(TextMessage(head + tail))

    def close(self, status: CloseStatus = CloseStatus.NORMAL) -> None:
        if self.is_open:
            self._close(status)

    @abstractmethod
    def _send_text(self, message: TextMessage) -> None: ...

    @abstractmethod
    def _send_binary(self, message: BinaryMessage) -> None: ...

    @abstractmethod
    def _send_ping(self, message: PingMessage) -> None: ...

    @abstractmethod
    def _send_pong(self, message: PongMessage) -> None: ...

    @abstractmethod
    def _close(self, status: CloseStatus) -> None:
        """Close; called only while the session is open."""

    def __repr__(self) -> str:
        return f"<{self.__class__.__name__} {self._id}>"


def random_uuid() -> str:
    """The text of a UUID of version 4 (RFC 9562 5.4); as of ``uuid``, whose objects cost as much again."""
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
