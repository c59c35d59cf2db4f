"""Messages: a payload and its headers, read-only values (MSG-01, MSG-02)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from .headers import MessageHeaders

T_co = TypeVar("T_co", covariant=True)


class Message(Generic[T_co]):
    """A payload, never None, with its headers.

    A plain mapping given as *headers* is copied and gets a fresh id and timestamp; a ``MessageHeaders`` is taken as
    it is. Raises ValueError for a payload or headers of None. Equality compares payload and headers.
    """

    __slots__ = ("_headers", "_payload")

    def __init__(self, payload: T_co, headers: Mapping[str, Any] | None = {}) -> None:  # noqa: B006 (never changed; None is refused)
        if payload is None:
            raise ValueError("Payload must not be null")
        if headers is None:
            raise ValueError("MessageHeaders must not be null")
        self._payload = payload
        self._headers = headers if isinstance(headers, MessageHeaders) else MessageHeaders(headers)

    @property
    def payload(self) -> T_co:
        """Never None."""
        return self._payload

    @property
    def headers(self) -> MessageHeaders:
        """Never None, may be empty."""
        return self._headers

    def live_headers(self) -> MessageHeaders | None:
        """The headers if they exist already; None where nobody has looked at them yet, so that nothing can have
        changed.
        """
        return self._headers

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Message):
            return NotImplemented
        return bool(self.payload == other.payload) and self.headers == other.headers

    def __hash__(self) -> int:
        return hash(self.headers)

    def __repr__(self) -> str:
        return f"{self._kind} [payload={readable(self.payload)}, headers={self.headers!r}]"

    _kind = "GenericMessage"


class ErrorMessage(Message[BaseException]):
    """A message whose payload is an exception; ``original_message`` is what was being handled when it was
    raised, or None.
    """

    __slots__ = ("original_message",)
    _kind = "ErrorMessage"

    def __init__(
        self,
        payload: BaseException,
        headers: Mapping[str, Any] | None = {},  # noqa: B006 (never changed; None is refused)
        original_message: Message[Any] | None = None,
    ) -> None:
        super().__init__(payload, headers)
        self.original_message = original_message

    def __repr__(self) -> str:
        text = super().__repr__()
        return text if self.original_message is None else f"{text} for original {self.original_message!r}"


def readable(payload: object) -> str:
    """A payload as a log line shows it: bytes by their number."""
    return f"byte[{len(payload)}]" if isinstance(payload, bytes | bytearray | memoryview) else str(payload)
