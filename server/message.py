"""WebSocket messages: what a session sends and a handler receives (WSA-02).

Station: between the frames of the runtime and the handlers. Hot: one object per delivery, so the classes are slots
written by hand. Imports nothing of wellhead.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

P = TypeVar("P", str, bytes)

_SHOWN = 10
"""How much of a payload the text form shows."""


class WebSocketMessage(ABC, Generic[P]):
    """A WebSocket message, or a part of one; immutable, so it may be sent to any number of sessions."""

    __slots__ = ("_is_last", "payload_length")

    _is_last: bool
    payload_length: int
    """The length in bytes, also for text. Read for every delivery, so it is an attribute, not a property."""

    @property
    @abstractmethod
    def payload(self) -> P:
        """The content: ``str`` for text, ``bytes`` for the others; never ``None``, may be empty."""

    @property
    def is_last(self) -> bool:
        """Whether this ends a series of partial messages; ``True`` for a message sent whole."""
        return self._is_last

    @abstractmethod
    def as_bytes(self) -> bytes:
        """The content as it goes onto the wire."""

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__ or not isinstance(other, WebSocketMessage):
            return NotImplemented
        return bool(self.as_bytes() == other.as_bytes() and self._is_last == other._is_last)

    def __hash__(self) -> int:
        return hash((self.__class__, self.as_bytes()))

    def __str__(self) -> str:
        shown, cut = self._shown_payload()
        last = "true" if self._is_last else "false"
        return (
            f"{self.__class__.__name__} payload=[{shown}{'..' if cut else ''}], "
            f"byteCount={self.payload_length}, last={last}"
        )

    def __repr__(self) -> str:
        return f"<{str(self)!r}>"

    @abstractmethod
    def _shown_payload(self) -> tuple[str, bool]:
        """The beginning of the payload as text, and whether there is more."""


class TextMessage(WebSocketMessage[str]):
    """A text message, of a string or of its UTF-8 bytes.

    Bytes are decoded when :attr:`payload` is asked for; before, nobody checks that they are UTF-8. A ``bytearray`` or
    ``memoryview`` is copied.

    Raises:
        UnicodeEncodeError: the string has lone surrogates.
        UnicodeDecodeError: from :attr:`payload`, when made from bytes that are not UTF-8.
    """

    __slots__ = ("_data",)

    _data: bytes

    def __init__(self, payload: str | bytes | bytearray | memoryview, last: bool = True) -> None:
        if type(payload) is not bytes:  # Most are; a call of bytes() would cost as much as all the rest.
            payload = payload.encode() if isinstance(payload, str) else bytes(payload)
        self._data = payload
        self.payload_length = len(payload)
        self._is_last = last

    @property
    def payload(self) -> str:
        return self._data.decode()

    def as_bytes(self) -> bytes:
        return self._data

    def _shown_payload(self) -> tuple[str, bool]:
        # Ten characters are at most forty bytes; what is not UTF-8 must not break a log line.
        text = self._data[: 4 * _SHOWN + 4].decode(errors="replace")
        return text[:_SHOWN], len(text) > _SHOWN


class _BytesMessage(WebSocketMessage[bytes]):
    """What binary messages, pings and pongs share: an immutable copy of the bytes."""

    __slots__ = ("_data",)

    _data: bytes

    @property
    def payload(self) -> bytes:
        return self._data

    def as_bytes(self) -> bytes:
        return self._data

    def _shown_payload(self) -> tuple[str, bool]:
        return self._data[:_SHOWN].hex(), len(self._data) > _SHOWN


class BinaryMessage(_BytesMessage):
    """A binary message, optionally of a section of the buffer given.

    ``bytes`` are kept, a ``bytearray`` or ``memoryview`` is copied: no reader consumes the payload and no later
    change of the buffer reaches it.

    Raises:
        ValueError: the section does not lie within the buffer.
    """

    __slots__ = ()

    def __init__(
        self,
        payload: bytes | bytearray | memoryview,
        last: bool = True,
        *,
        offset: int = 0,
        length: int | None = None,
    ) -> None:
        if offset or length is not None:
            payload = _section(payload, offset, length)
        self._data = payload if type(payload) is bytes else bytes(payload)
        self.payload_length = len(self._data)
        self._is_last = last


def _section(payload: bytes | bytearray | memoryview, offset: int, length: int | None) -> bytes:
    view = memoryview(payload).cast("B")
    end = len(view) if length is None else offset + length
    if not 0 <= offset <= end <= len(view):
        raise ValueError(f"Section (offset {offset}, length {length}) lies outside of {len(view)} bytes")
    return bytes(view[offset:end])


class PingMessage(_BytesMessage):
    """A ping; the container answers those of the peer itself."""

    __slots__ = ()

    def __init__(self, payload: bytes | bytearray | memoryview = b"") -> None:
        self._data = bytes(payload)
        self.payload_length = len(self._data)
        self._is_last = True


class PongMessage(_BytesMessage):
    """A pong: the peer's answer to a ping, or a one-way heartbeat."""

    __slots__ = ()

    def __init__(self, payload: bytes | bytearray | memoryview = b"") -> None:
        self._data = bytes(payload)
        self.payload_length = len(self._data)
        self._is_last = True
