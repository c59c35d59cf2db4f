"""Bytes into STOMP frames (STOMP-01, STOMP-03).

The station between the bytes of a session and the decoder of messages. Pure, like ``frame``: no message, socket, thread
or clock.

There are two ways that give the same frames. *Plain*, in ``plain_frames``: whole frames in one piece of bytes. All else
goes *line by line* through ``FrameParser``, which remembers how far it has looked, so that the work does not grow with
the number of pieces the bytes came in. The plain way never judges: what is not beyond doubt it leaves to the other.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator
from itertools import chain

from .frame import (
    COMMANDS,
    HEARTBEAT,
    MAX_ECHO,
    UNESCAPED,
    WITH_BODY,
    FrameHead,
    Heartbeat,
    StompFrame,
    StompFrameError,
    shown,
    unescape,
)
from .plain_frames import CONTENT_LENGTH, REMEMBERED, after_eols, parse_plain

logger = logging.getLogger(__name__)

DEFAULT_BUFFER_LIMIT = 64 * 1024
"""Bytes that a parser holds before it gives up: the size limit of a message from a client."""

_NO_LENGTH = -1


class FrameParser:
    """Turns bytes that may have been cut anywhere into frames, and holds back what is not complete.

    Exhaust what ``receive_frames()`` gives before the next call. The limit covers all that is buffered and not decoded,
    headers included, and is judged before decoding: small frames that arrive together count together. After a
    ``StompFrameError`` the boundary between frames is lost, so the parser stays broken: every further call raises the
    same error. Not thread safe: one per session, used by its one reader. Ids: STOMP-01, STOMP-03.
    """

    __slots__ = (
        "_broken",
        "_buffer",
        "_command",
        "_fresh",
        "_headers",
        "_in_body",
        "_length",
        "_limit",
        "_pos",
        "_seen",
    )

    def __init__(self, *, max_buffered_bytes: int = DEFAULT_BUFFER_LIMIT) -> None:
        """Raises ValueError unless *max_buffered_bytes* is above 0."""
        if max_buffered_bytes <= 0:
            raise ValueError("Buffer size limit must be greater than 0")
        self._limit = max_buffered_bytes
        self._broken: str | None = None
        self._fresh = b""
        """A piece that starts at the boundary of a frame and is not looked at yet; only while the buffer is empty."""
        self._buffer = bytearray()
        """Starts at the boundary of a frame: the one that the fields below know in part."""
        self._start_frame()

    def _start_frame(self) -> None:
        self._command = ""
        self._headers: list[tuple[str, str]] = []
        self._length: int | None = None
        """The first content-length: None before there is one, _NO_LENGTH when it is none to use."""
        self._in_body = False
        self._pos = 0
        """Where the line that is being read, or the body, starts in the buffer."""
        self._seen = 0
        """Up to here the buffer has been searched for what ends that line or body."""

    @property
    def buffered_bytes(self) -> int:
        """How many bytes have been received and not decoded."""
        return len(self._fresh) + len(self._buffer)

    def receive_data(self, data: bytes) -> None:
        """Take the next bytes, cut anywhere. Nothing is judged before the next ``receive_frames()``."""
        if not self._buffer:
            if not self._fresh:
                self._fresh = data
                return
            self._buffer += self._fresh
            self._fresh = b""
        self._buffer += data

    def take_known_send(self, data: bytes) -> tuple[FrameHead, bytes] | None:
        """The head and the body, if *data* is one whole SEND with a head that is remembered, and nothing else waits.

        For what clients mostly write: the same as ``receive_frames`` would give, in fewer steps. Else None, and *data*
        is not taken.
        """
        size = len(data)
        if self._buffer or self._fresh or self._broken is not None or size > self._limit:
            return None
        end = data.find(b"\n\n")
        head = REMEMBERED.get(data[:end])
        if head is None or end < 0:
            return None
        start, last = end + 2, size - 1
        length = head.content_length
        if (data.find(b"\0", start) if length is None else start + length) != last or data[last]:
            return None
        return head, data[start:last]

    def receive_frames(self, data: bytes) -> Iterable[StompFrame | Heartbeat]:
        """Take the next bytes, cut anywhere, and give every frame that is complete with them, in order.

        Frames before a broken one are given before it raises: iterating raises StompFrameError. A list when there is
        nothing to wait for and nothing wrong, which is the case for most pieces of bytes. EOLs alone are one heartbeat,
        EOLs after a frame are none.
        """
        if self._buffer or self._fresh:
            if data:
                self.receive_data(data)
            data, self._fresh = self._fresh, b""
        if self._broken is not None or self._buffer or len(data) > self._limit:
            self._fresh = data
            return self._judged()
        frames: list[StompFrame | Heartbeat] = []
        end = parse_plain(data, frames)
        if end == len(data):
            return frames
        if not frames and data == b"\n":
            return [HEARTBEAT]
        self._buffer += data[end:]
        return chain(frames, self._line_by_line(plain_tried=True, after_frame=bool(frames)))

    def _judged(self) -> Iterator[StompFrame | Heartbeat]:
        self._check()
        yield from self._line_by_line(plain_tried=False, after_frame=False)

    def _check(self) -> None:
        """Judge what is buffered before it is decoded (STOMP-03)."""
        if self._broken is None:
            limit = self._limit
            if self._length is not None and self._length > limit:
                # The two blanks are Spring's.
                self._broken = (
                    f"STOMP 'content-length' header value {self._length}  exceeds configured buffer size limit {limit}"
                )
            elif self.buffered_bytes > limit:
                self._broken = f"The configured STOMP buffer size limit of {limit} bytes has been exceeded"
        if self._broken is not None:
            self._fresh = b""
            self._buffer.clear()
            self._start_frame()
            raise StompFrameError(self._broken)

    def _line_by_line(self, *, plain_tried: bool, after_frame: bool) -> Iterator[StompFrame | Heartbeat]:
        buffer = self._buffer
        while buffer:
            if not self._command:
                del buffer[: after_eols(buffer, 0)]
                if not buffer:
                    if not after_frame:
                        yield HEARTBEAT
                    return
            try:
                frame = self._read_frame()
            except StompFrameError as error:
                self._broken = str(error)
                buffer.clear()
                self._start_frame()
                raise
            if frame is None:
                return
            after_frame = True
            yield frame
            if buffer and not plain_tried:
                # Once per piece: or a hostile peer could make each frame cost a search through the whole rest.
                plain_tried = True
                rest = bytes(buffer)
                frames: list[StompFrame | Heartbeat] = []
                del buffer[: parse_plain(rest, frames)]
                yield from frames

    def _read_frame(self) -> StompFrame | None:
        """Go on with the frame that the buffer starts with; None when it is not complete."""
        if not self._command and not self._read_command():
            return None
        if not self._in_body and not self._read_headers():
            return None
        end = self._find_end()
        if end is None:
            return None
        command, body = self._command, bytes(self._buffer[self._pos : end])
        if body and command not in WITH_BODY:
            raise StompFrameError(f"{command} shouldn't have a payload: length={len(body)}, '{_shown_bytes(body)}'")
        frame = StompFrame(command, self._headers, body)
        del self._buffer[: end + 1]
        self._start_frame()
        return frame

    def _read_command(self) -> bool:
        line = self._read_line()
        if line is None:
            return False
        if line not in COMMANDS:
            raise StompFrameError(f"Unknown STOMP command: '{shown(line)}'")
        self._command = line
        return True

    def _read_headers(self) -> bool:
        """True when the empty line after the headers has been read."""
        start = self._pos
        while (line := self._read_line()) is not None:
            if not line:
                self._in_body = True
                return True
            name, colon, value = line.partition(":")
            if not colon or not name:
                if self._pos == len(self._buffer):
                    self._pos = self._seen = start  # As in Spring: not judged before there is more.
                    return False
                raise StompFrameError(
                    f"Illegal header: '{shown(line)}'. A header must be of the form <name>:[<value>]."
                )
            if "\\" in line and self._command not in UNESCAPED:
                name, value = unescape(name), unescape(value)
            self._headers.append((name, value))
            if self._length is None and name == CONTENT_LENGTH:
                self._length = _content_length(value)
            start = self._pos
        return False

    def _read_line(self) -> str | None:
        """The next line without its EOL; None when its end is not there."""
        buffer = self._buffer
        end = buffer.find(b"\n", self._seen)
        cr = buffer.find(b"\r", self._seen, len(buffer) if end < 0 else end)
        if end < 0 and (cr < 0 or cr == len(buffer) - 1):
            # Differs from Spring: a CR at the very end is incomplete, not broken; its LF may come with the next piece.
            self._seen = len(buffer) if cr < 0 else cr
            return None
        if cr >= 0 and cr != end - 1:
            raise StompFrameError("'\\r' must be followed by '\\n'")
        raw = buffer[self._pos : end if cr < 0 else cr]
        self._pos = self._seen = end + 1
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise StompFrameError(f"Command or header is not valid UTF-8: '{_shown_bytes(raw)}'") from error

    def _find_end(self) -> int | None:
        """Where the NUL is that ends the body; None when it is not there."""
        buffer, length = self._buffer, self._length
        if length is None or length == _NO_LENGTH:
            end = buffer.find(b"\0", self._seen)
            self._seen = len(buffer)
            return None if end < 0 else end
        end = self._pos + length
        if end >= len(buffer):
            return None
        if buffer[end]:
            raise StompFrameError("Frame must be terminated with a null octet")
        return end


def parse_frames(data: bytes) -> list[StompFrame | Heartbeat]:
    """All frames of a whole buffer, without a size limit; an incomplete frame at its end is left out.

    Raises StompFrameError; then no frame of the buffer is given.
    """
    frames: list[StompFrame | Heartbeat] = []
    end = parse_plain(data, frames)
    if end < len(data):
        parser = FrameParser(max_buffered_bytes=sys.maxsize)
        parser._buffer += data[end:]
        frames.extend(parser._line_by_line(plain_tried=True, after_frame=bool(frames)))
    return frames


def _content_length(value: str) -> int:
    """The number of bytes that *value* stands for; _NO_LENGTH, which means ignored, when negative or no number."""
    digits = value.removeprefix("+")
    if not (digits.isascii() and digits.isdigit()):
        logger.debug("Ignoring content-length '%s'", shown(value))
        return _NO_LENGTH
    significant = digits.lstrip("0") or "0"
    return int(significant) if len(significant) <= 18 else sys.maxsize


def _shown_bytes(data: bytes | bytearray) -> str:
    return shown(data[: 4 * MAX_ECHO].decode(errors="replace"))
