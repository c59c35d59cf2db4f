"""STOMP bytes to messages: the frame codec below, headers and limits here (STOMP-01, STOMP-03).

A CR LF cut between two pieces is incomplete, not broken, and one buffer may hold many frames: both are the business of
the frame parser.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..exceptions import StompConversionError
from ..header_accessor import MessageHeaderInitializer
from ..message import Message
from ..mime import InvalidMimeTypeError
from ..mutable_headers import MutableMessageHeaders
from ..native_headers import NATIVE_HEADERS
from .command import COMMANDS
from .frame import FrameHead, Heartbeat, StompFrame, StompFrameError
from .frame_parser import DEFAULT_BUFFER_LIMIT, FrameParser, parse_frames
from .headers import StompHeaderAccessor, headers_of_frame, headers_of_heartbeat

# Differs from Spring: whatever is wrong with the peer's bytes, an unknown command or content type too, is one kind of
# error, since its answer is one, too.
_BROKEN = (StompFrameError, InvalidMimeTypeError)


def _headers_of(head: FrameHead) -> MutableMessageHeaders:
    """The headers of a frame, left mutable. What they are besides the native ones is worked out once for each head."""
    remembered: dict[str, Any] | None = head.decoded
    if remembered is None:
        headers = headers_of_frame(COMMANDS[head.command], head.multimap())
        if head.command == "SEND":  # nobody can log in with it
            head.decoded = {name: value for name, value in headers._map.items() if name != NATIVE_HEADERS}
        return headers
    values = remembered.copy()
    if head.headers:
        values[NATIVE_HEADERS] = head.multimap()
    return MutableMessageHeaders(values, StompHeaderAccessor)


class StompDecoder:
    """Turns frames into messages whose headers can still be changed."""

    def __init__(self, header_initializer: MessageHeaderInitializer | None = None) -> None:
        self.header_initializer = header_initializer

    def to_message(self, frame: StompFrame | Heartbeat) -> Message[bytes]:
        """The message of one frame; a heart-beat's payload is a line feed.

        Raises InvalidMimeTypeError for a ``content-type`` that is none.
        """
        if isinstance(frame, Heartbeat):
            headers = headers_of_heartbeat()
        else:
            headers = _headers_of(frame.head)
        if self.header_initializer is not None:
            self.header_initializer.init_headers(headers.accessor)
        return Message(frame.body, headers)

    def decode(self, data: bytes) -> list[Message[bytes]]:
        """The messages of all complete frames of *data*, of any size; what is incomplete at its end is left out.

        Raises StompConversionError for bytes that are not STOMP.
        """
        try:
            return [self.to_message(frame) for frame in parse_frames(data)]
        except _BROKEN as error:
            raise StompConversionError(str(error)) from error


class BufferingStompDecoder:
    """Keeps what is incomplete for the next piece, up to *buffer_size_limit* bytes.

    One for each session, called by its one reader. After an error it is of no more use.
    """

    __slots__ = ("_decoder", "_parser")

    def __init__(self, decoder: StompDecoder, buffer_size_limit: int = DEFAULT_BUFFER_LIMIT) -> None:
        """Raises ValueError unless the limit is above 0."""
        self._decoder = decoder
        self._parser = FrameParser(max_buffered_bytes=buffer_size_limit)

    def decode(self, data: bytes) -> Iterable[Message[bytes]]:
        """The messages that are complete with *data*; iterate over all of them before the next call.

        Raises StompConversionError, at once or while iterating, for bytes that are not STOMP and for too many of them.
        """
        # Differs from Spring: the frames before a broken one are handed out, not lost.
        frames = self._parser.receive_frames(data)
        try:
            if isinstance(frames, list) and len(frames) == 1:  # as nearly every client sends them
                return (self._decoder.to_message(frames[0]),)
        except _BROKEN as error:
            raise StompConversionError(str(error)) from error
        return self._messages(frames)

    def _messages(self, frames: Iterable[StompFrame | Heartbeat]) -> Iterator[Message[bytes]]:
        to_message = self._decoder.to_message
        try:
            for frame in frames:
                yield to_message(frame)
        except _BROKEN as error:
            raise StompConversionError(str(error)) from error

    @property
    def buffer_size(self) -> int:
        """Bytes that were received and are not decoded."""
        return self._parser.buffered_bytes

    @property
    def expected_content_length(self) -> int | None:
        """The content-length of the frame that is incomplete; None when it has none, or there is no such frame."""
        return self._parser.expected_content_length
