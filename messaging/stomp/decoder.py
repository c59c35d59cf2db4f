"""STOMP bytes to messages: the frame codec below, headers and limits here (STOMP-01, STOMP-03).

A CR LF cut between two pieces is incomplete, not broken, and one buffer may hold many frames: both are the frame parser's business.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..exceptions import StompConversionError
from ..header_accessor import MessageHeaderInitializer
from ..message import Message
from ..mime import InvalidMimeTypeError
from .command import COMMANDS
from .frame import DEFAULT_BUFFER_LIMIT, FrameParser, Heartbeat, StompFrame, StompFrameError
from .headers import StompHeaderAccessor


class StompDecoder:
    """Turns frames into messages whose headers can still be changed."""

    def __init__(self, header_initializer: MessageHeaderInitializer | None = None) -> None:
        self.header_initializer = header_initializer

    def to_message(self, frame: StompFrame | Heartbeat) -> Message[bytes]:
        """The message of one frame; a heart-beat's payload is a line feed.

        Raises InvalidMimeTypeError for a ``content-type`` that is none.
        """
        if isinstance(frame, Heartbeat):
            accessor = StompHeaderAccessor.create_for_heartbeat()
        else:
            native: dict[str, list[str]] = {}
            for name, value in frame.headers:
                if name in native:
                    native[name].append(value)
                else:
                    native[name] = [value]
            accessor = StompHeaderAccessor.of_frame(COMMANDS[frame.command], native)
        if self.header_initializer is not None:
            self.header_initializer.init_headers(accessor)
        accessor.leave_mutable = True
        return Message(frame.body, accessor.message_headers)

    def decode(self, data: bytes) -> list[Message[bytes]]:
        """The messages of all complete frames of *data*; what is incomplete at its end is left out.

        Raises StompConversionError for bytes that are not STOMP.
        """
        return list(BufferingStompDecoder(self, max(len(data), 1)).decode(data))


class BufferingStompDecoder:
    """Keeps what is incomplete for the next piece, up to *buffer_size_limit* bytes. One per session, called by its one reader."""

    __slots__ = ("_decoder", "_parser")

    def __init__(self, decoder: StompDecoder, buffer_size_limit: int = DEFAULT_BUFFER_LIMIT) -> None:
        """Raises ValueError unless the limit is above 0."""
        self._decoder = decoder
        self._parser = FrameParser(max_buffered_bytes=buffer_size_limit)

    def decode(self, data: bytes) -> Iterator[Message[bytes]]:
        """The messages that are complete with *data*, those before a broken frame first.

        Raises StompConversionError, at once or while iterating; then the session is of no more use.
        """
        parser, to_message = self._parser, self._decoder.to_message
        parser.receive_data(data)
        try:
            for frame in parser.frames():
                yield to_message(frame)
        except StompFrameError as error:
            raise StompConversionError(str(error)) from error
        except InvalidMimeTypeError as error:
            raise StompConversionError(f"Invalid content-type: {error}") from error

    @property
    def buffer_size(self) -> int:
        return self._parser.buffered_bytes

    @property
    def expected_content_length(self) -> int | None:
        return self._parser.expected_content_length
