"""Messages to STOMP bytes (STOMP-02)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..message import Message
from ..native_headers import NATIVE_HEADERS
from ..simp.accessor import MESSAGE_TYPE
from ..simp.types import SimpMessageType
from .command import StompCommand
from .frame import encode_frame, split_frame
from .headers import COMMAND, CREDENTIALS, StompPasscode


class StompEncoder:
    """Encodes messages that have STOMP headers."""

    def encode(self, message: Message[bytes]) -> bytes:
        """One frame. A heart-beat is a line feed; the real passcode takes the place of ``PROTECTED``.

        Raises RuntimeError for a message without a command.
        """
        return self.encode_parts(message.headers, message.payload)

    def encode_parts(self, headers: Mapping[str, Any], payload: bytes) -> bytes:
        """As ``encode``, of headers and payload."""
        if headers.get(MESSAGE_TYPE) is SimpMessageType.HEARTBEAT:
            return b"\n"
        command: StompCommand | None = headers.get(COMMAND)
        if command is None:
            raise RuntimeError(f"Missing STOMP command: {headers}")
        return encode_frame(command.value, _lines(command, headers), payload)


class SplittingStompEncoder:
    """Cuts encoded frames into pieces of at most *buffer_size_limit* bytes (STOMP-03)."""

    def __init__(self, encoder: StompEncoder, buffer_size_limit: int) -> None:
        """Raises ValueError unless the limit is above 0."""
        if buffer_size_limit <= 0:
            raise ValueError("Buffer size limit must be greater than 0")
        self._encoder = encoder
        self._limit = buffer_size_limit

    def encode(self, message: Message[bytes]) -> list[bytes]:
        return split_frame(self._encoder.encode(message), self._limit)


def _lines(command: StompCommand, headers: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    credentials = headers.get(CREDENTIALS)
    for name, values in (headers.get(NATIVE_HEADERS) or {}).items():
        if name == "passcode" and isinstance(credentials, StompPasscode):
            if command is StompCommand.CONNECT or command is StompCommand.STOMP:
                yield name, credentials.passcode
                continue
        for value in values:
            yield name, value
