"""Builds messages from other messages (MSG-03)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from .header_accessor import MessageHeaderAccessor
from .headers import MessageHeaders
from .message import ErrorMessage, Message

T = TypeVar("T")


class MessageBuilder(Generic[T]):
    """Collects changes and builds a message; without a change it gives back the very message that it began with.

    ``id`` and ``timestamp`` cannot be set (ValueError) and are left alone when copying or removing.
    """

    def __init__(self, payload: T, original: Message[T] | None = None) -> None:
        if payload is None:
            raise ValueError("Payload must not be null")
        self._payload = payload
        self._original = original
        self._accessor = MessageHeaderAccessor(original)

    @classmethod
    def with_payload(cls, payload: T) -> MessageBuilder[T]:
        return cls(payload)

    @classmethod
    def from_message(cls, message: Message[T]) -> MessageBuilder[T]:
        if message is None:
            raise ValueError("Message must not be null")
        return cls(message.payload, message)

    @staticmethod
    def create_message(payload: T, headers: MessageHeaders) -> Message[T]:
        """A message with exactly these headers: no copy, no new id."""
        if isinstance(payload, BaseException):
            return ErrorMessage(payload, headers)  # type: ignore[return-value]  # T is an exception here
        return Message(payload, headers)

    def set_header(self, name: str, value: Any) -> MessageBuilder[T]:
        """Set a header; None removes it. Raises ValueError for ``id`` and ``timestamp``."""
        self._accessor.set_header(name, value)
        return self

    def set_header_if_absent(self, name: str, value: Any) -> MessageBuilder[T]:
        if self._accessor.get_header(name) is None:
            self.set_header(name, value)
        return self

    def copy_headers(self, headers: Mapping[str, Any] | None) -> MessageBuilder[T]:
        self._accessor.copy_headers(headers)
        return self

    def copy_headers_if_absent(self, headers: Mapping[str, Any] | None) -> MessageBuilder[T]:
        self._accessor.copy_headers_if_absent(headers)
        return self

    def remove_header(self, name: str) -> MessageBuilder[T]:
        self._accessor.remove_header(name)
        return self

    def remove_headers(self, *patterns: str) -> MessageBuilder[T]:
        """Remove by name or by pattern, ``*`` standing for anything."""
        self._accessor.remove_headers(*patterns)
        return self

    def set_reply_channel(self, channel: Any) -> MessageBuilder[T]:
        return self.set_header("replyChannel", channel)

    def set_error_channel(self, channel: Any) -> MessageBuilder[T]:
        return self.set_header("errorChannel", channel)

    def build(self) -> Message[T]:
        if self._original is not None and not self._accessor.is_modified:
            return self._original
        headers = self._accessor.to_message_headers()
        if isinstance(self._payload, BaseException):
            original = self._original.original_message if isinstance(self._original, ErrorMessage) else None
            return ErrorMessage(self._payload, headers, original)  # type: ignore[return-value]  # as above
        return Message(self._payload, headers)
