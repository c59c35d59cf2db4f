"""An ordered channel that knows how much waits, for a sender that can slow down (CH-05)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..channel import INDEFINITE_TIMEOUT, MessageChannel
from ..message import Message
from ..native_headers import NATIVE_HEADERS
from .ordered import OrderedMessageChannelDecorator, _NextMessageTask

_USUAL_HEADERS = 16
_BYTES_OF_A_HEADER = 256
"""What each native header takes beyond those that a message usually has: a client may send thousands, and no payload.
"""
MAX_QUEUED_BYTES = 16 * 1024 * 1024
"""How much of one session may wait by default: it comes from a client, which may choose to send large messages."""


class MeasuredMessageChannelDecorator(OrderedMessageChannelDecorator):
    """As its base, with a limit of bytes, too, and with a mark far below both limits.

    When *crowded_from* (messages, bytes) wait, ``is_crowded`` becomes true, and when half of it is left, false. Each
    time *on_crowding* is called with this channel, by whoever sends or has handled a message: in any thread, and
    perhaps late, so that only ``is_crowded`` says what is now. It must not raise.

    Differs from Spring, where nothing slows a client down whose messages are handled by an executor.
    """

    def __init__(
        self,
        channel: MessageChannel,
        *,
        max_queued_bytes: int = MAX_QUEUED_BYTES,
        crowded_from: tuple[int, int] | None = None,
        on_crowding: Callable[[MeasuredMessageChannelDecorator], object] | None = None,
        **options: Any,
    ) -> None:
        """*max_queued_bytes*: with more, but for a single message, ``send`` raises. *options* are those of the base.

        Without *crowded_from* the channel is never crowded.
        """
        super().__init__(channel, **options)
        self.max_queued_bytes = max_queued_bytes
        self.is_crowded = False
        self._crowded_from = crowded_from
        self._on_crowding = on_crowding
        self._waiting_bytes = 0

    @property
    def queued_bytes(self) -> int:
        """Bytes of the payloads that wait, and some for native headers where there are many."""
        return self._waiting_bytes

    def send(self, message: Message[Any], timeout_ms: int = INDEFINITE_TIMEOUT) -> bool:
        size = _size_of(message)
        with self._lock:
            full = bool(self._waiting) and self._waiting_bytes + size > self.max_queued_bytes
            if not full:
                self._waiting_bytes += size
        if full:
            raise self._full(message, f"{self._waiting_bytes} bytes")
        sent = False
        try:
            sent = super().send(message, timeout_ms)
        finally:
            self._note(0 if sent else -size)
        return sent

    def cut_short(self) -> None:
        with self._lock:
            self._waiting_bytes = 0
        super().cut_short()

    def _hand_over(self, task: _NextMessageTask) -> bool:
        self._note(-_size_of(task.message))
        return super()._hand_over(task)

    def _note(self, bytes_more: int) -> None:
        """See whether this made it crowded, or no longer so."""
        with self._lock:
            self._waiting_bytes += bytes_more
            if self._crowded_from is None:
                return
            factor = 2 if self.is_crowded else 1
            messages, size = len(self._waiting) * factor, self._waiting_bytes * factor
            most_messages, most_bytes = self._crowded_from
            if self.is_crowded:
                changed = messages <= most_messages and size <= most_bytes
            else:
                changed = messages >= most_messages or size >= most_bytes
            self.is_crowded ^= changed
        if changed and self._on_crowding is not None:
            self._on_crowding(self)


def _size_of(message: Message[Any]) -> int:
    payload, native = message.payload, message.headers._map.get(NATIVE_HEADERS)
    size = len(payload) if isinstance(payload, (bytes, str)) else 0
    if native:
        headers = sum(map(len, native.values()))
        if headers > _USUAL_HEADERS:
            size += _BYTES_OF_A_HEADER * (headers - _USUAL_HEADERS)
    return size
