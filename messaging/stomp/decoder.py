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
from ..mutable_headers import MutableMessageHeaders, SharedNativeHeaders
from ..native_headers import NATIVE_HEADERS
from .command import COMMANDS
from .frame import FrameHead, Heartbeat, StompFrame, StompFrameError
from .frame_parser import DEFAULT_BUFFER_LIMIT, FrameParser, parse_frames
from .headers import StompHeaderAccessor, headers_of_frame, headers_of_heartbeat

# Differs from Spring: whatever is wrong with the peer's bytes, an unknown command or content type too, is one kind of
# error, since its answer is one, too.
_BROKEN = (StompFrameError, InvalidMimeTypeError)


_new = object.__new__
"""A call of the class with an ``__init__`` costs half as much again."""


def _learn_headers(head: FrameHead) -> MutableMessageHeaders:
    """The headers of a frame, left mutable. When a SEND's head comes a second time, it remembers what they are."""
    headers = headers_of_frame(COMMANDS[head.command], head.multimap())
    if head.command == "SEND" and head.headers:  # nobody can log in with it
        if head.came_before:
            values = headers._map
            head.decoded = values | {NATIVE_HEADERS: SharedNativeHeaders(values[NATIVE_HEADERS])}
        head.came_before = True
    return headers


class StompDecoder:
    """Turns frames into messages whose headers can still be changed."""

    def __init__(self, header_initializer: MessageHeaderInitializer | None = None) -> None:
        self.header_initializer = header_initializer

    def to_message(self, frame: StompFrame | Heartbeat) -> Message[bytes]:
        """The message of one frame; a heart-beat's payload is a line feed.

        Raises InvalidMimeTypeError for a ``content-type`` that is none.
        """
        if not isinstance(frame, Heartbeat):
            return self.message_of(frame.head, frame.body)
        headers = headers_of_heartbeat()
        if self.header_initializer is not None:
            self.header_initializer.init_headers(headers.accessor)
        return Message(frame.body, headers)

    def message_of(self, head: FrameHead, body: bytes) -> Message[bytes]:
        """``to_message`` of the frame with this head and this body."""
        remembered: dict[str, Any] | None = head.decoded
        if remembered is None:
            headers = _learn_headers(head)
        else:
            headers = _new(MutableMessageHeaders)
            headers._map = remembered.copy()
            headers._unmade = NATIVE_HEADERS  # they are shared: hardly anybody looks at them
            headers._accessor_type = StompHeaderAccessor
            headers._accessor = None
            headers._mutable = True
        if self.header_initializer is not None:
            self.header_initializer.init_headers(headers.accessor)
        message: Message[bytes] = _new(Message)
        message._payload = body
        message._headers = headers
        return message

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
        send = self._parser.take_known_send(data)
        try:
            if send is not None:
                head, body = send
                return (self._decoder.message_of(head, body),)
            # Differs from Spring: the frames before a broken one are handed out, not lost.
            frames = self._parser.receive_frames(data)
            if frames.__class__ is list and len(frames) == 1:
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
