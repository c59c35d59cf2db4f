"""The STOMP frame codec: bytes in, frames out, and back (STOMP-01, STOMP-02, STOMP-03).

The station between the bytes of a session and the decoder and encoder of messages. Pure: imports only the standard
library; no message, socket, thread or clock. One rule set serves STOMP 1.0, 1.1 and 1.2.

Parsing has two ways that give the same frames. *Plain*: whole frames in one piece of bytes, whose header blocks have no
CR, are cut with find, split and partition. Everything else goes *line by line* through ``FrameParser``, which remembers
how far it has looked, so that the work does not grow with the number of pieces the bytes came in. The plain way never
judges: what is not beyond doubt it leaves to the other.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain
from typing import Final, final

logger = logging.getLogger(__name__)

DEFAULT_BUFFER_LIMIT = 64 * 1024
"""Bytes that a parser holds before it gives up: the size limit of a message from a client."""

_WITH_BODY = frozenset({"SEND", "MESSAGE", "ERROR"})
_WITHOUT_BODY = frozenset(
    "STOMP CONNECT DISCONNECT SUBSCRIBE UNSUBSCRIBE ACK NACK BEGIN COMMIT ABORT CONNECTED RECEIPT".split()
)
_COMMANDS = _WITH_BODY | _WITHOUT_BODY
_UNESCAPED = frozenset({"CONNECT", "CONNECTED", "STOMP"})
"""Commands whose headers are taken literally: STOMP 1.2, Value Encoding."""

_CONTENT_LENGTH = "content-length"
_ESCAPES = str.maketrans({"\\": "\\\\", ":": "\\c", "\n": "\\n", "\r": "\\r"})
_UNESCAPES = {"\\\\": "\\", "\\c": ":", "\\n": "\n", "\\r": "\r"}
_MAX_ECHO = 80
_NO_LENGTH = -1


class StompFrameError(ValueError):
    """Bytes that are not STOMP, or more of them than allowed: the peer's fault. The text may be shown to the peer."""


class StompFrame:
    """One frame. Treat it as read-only.

    ``command`` is one of the known commands; ``body`` is never None, may be empty.
    """

    __slots__ = ("_headers", "body", "command")

    def __init__(self, command: str, headers: list[tuple[str, str]] | dict[str, list[str]], body: bytes = b"") -> None:
        """*headers* are pairs, or a multimap in which no name has several values."""
        self.command = command
        self._headers = headers
        self.body = body

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Names and values without escapes in the order of the wire, repeated ones kept."""
        headers = self._headers
        return [(name, values[0]) for name, values in headers.items()] if isinstance(headers, dict) else headers

    @property
    def multimap(self) -> dict[str, list[str]]:
        """Each name once, with all its values in order."""
        headers = self._headers
        if isinstance(headers, dict):
            return headers
        multimap: dict[str, list[str]] = {}
        for name, value in headers:
            multimap.setdefault(name, []).append(value)
        return multimap

    def first(self, name: str) -> str | None:
        """The value that counts for *name*: the first one, None when there is none."""
        for key, value in self.headers:
            if key == name:
                return value
        return None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StompFrame):
            return NotImplemented
        return self.command == other.command and self.headers == other.headers and self.body == other.body

    __hash__ = None  # type: ignore[assignment]  # equal by value, and the headers are a list

    def __repr__(self) -> str:
        return f"StompFrame({self.command!r}, {self.headers!r}, {self.body!r})"


@final
class Heartbeat:
    """What EOLs between frames stand for. There is one instance, ``HEARTBEAT``."""

    __slots__ = ()

    body: Final = b"\n"
    """How it is written on the wire."""

    _instance: Heartbeat

    def __new__(cls) -> Heartbeat:
        return cls._instance

    def __repr__(self) -> str:
        return "HEARTBEAT"


Heartbeat._instance = object.__new__(Heartbeat)
HEARTBEAT: Final = Heartbeat()


class FrameParser:
    """Turns bytes that may have been cut anywhere into frames, and holds back what is not complete.

    Call ``frames()`` after every ``receive_data()`` and exhaust it. The limit covers all that is buffered and not
    decoded, headers included, and is judged before decoding: small frames that arrive together count together. After a
    ``StompFrameError`` the boundary between frames is lost, so the parser stays broken: every further ``frames()``
    raises the same error. Not thread safe: one per session, used by its one reader. Ids: STOMP-01, STOMP-03.
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

    @property
    def expected_content_length(self) -> int | None:
        """The content-length of the frame that is incomplete; None when it has none, or there is no such frame."""
        return None if self._length == _NO_LENGTH else self._length

    def receive_data(self, data: bytes) -> None:
        """Take the next bytes, cut anywhere. Nothing is judged before ``frames()``."""
        if not self._buffer:
            if not self._fresh:
                self._fresh = data
                return
            self._buffer += self._fresh
            self._fresh = b""
        self._buffer += data

    def receive_frames(self, data: bytes) -> Iterable[StompFrame | Heartbeat]:
        """``receive_data`` and ``frames`` in one."""
        if self._broken is None and not self._buffer and not self._fresh and len(data) <= self._limit:
            return self._frames_of(data)
        self.receive_data(data)
        return self.frames()

    def frames(self) -> Iterable[StompFrame | Heartbeat]:
        """Every frame that is complete, in order; frames before a broken one are given before it raises.

        A list when there is nothing to wait for and nothing wrong, which is the case for most pieces of bytes.
        EOLs alone are one heartbeat, EOLs after a frame are none. Iterating raises StompFrameError.
        """
        data = self._fresh
        if self._broken is not None or self._buffer or len(data) > self._limit:
            return self._judged()
        self._fresh = b""
        return self._frames_of(data)

    def _frames_of(self, data: bytes) -> Iterable[StompFrame | Heartbeat]:
        """The frames of a piece that starts at the boundary of a frame; what is incomplete goes into the buffer."""
        frames: list[StompFrame | Heartbeat] = []
        end = _parse_plain(data, frames)
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
                del buffer[: _after_eols(buffer, 0)]
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
                del buffer[: _parse_plain(rest, frames)]
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
        if body and command not in _WITH_BODY:
            raise StompFrameError(f"{command} shouldn't have a payload: length={len(body)}, '{_shown_bytes(body)}'")
        frame = StompFrame(command, self._headers, body)
        del self._buffer[: end + 1]
        self._start_frame()
        return frame

    def _read_command(self) -> bool:
        line = self._read_line()
        if line is None:
            return False
        if line not in _COMMANDS:
            raise StompFrameError(f"Unknown STOMP command: '{_shown(line)}'")
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
                    f"Illegal header: '{_shown(line)}'. A header must be of the form <name>:[<value>]."
                )
            if "\\" in line and self._command not in _UNESCAPED:
                name, value = unescape(name), unescape(value)
            self._headers.append((name, value))
            if self._length is None and name == _CONTENT_LENGTH:
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
    end = _parse_plain(data, frames)
    if end < len(data):
        parser = FrameParser(max_buffered_bytes=sys.maxsize)
        parser._buffer += data[end:]
        frames.extend(parser._line_by_line(plain_tried=True, after_frame=bool(frames)))
    return frames


def _parse_plain(data: bytes, frames: list[StompFrame | Heartbeat]) -> int:
    """Append the plain frames that *data* starts with; return where they end and something else starts."""
    start, size = 0, len(data)
    while start < size:
        body = data.find(b"\n\n", start)
        if body < 0:
            return start
        try:
            head = data[start:body].decode()
        except UnicodeDecodeError:
            return start
        if "\r" in head:
            return start
        command, *lines = head.split("\n")
        headers = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or not name:
                return start
            headers[name] = [value]
        body += 2
        end = data.find(b"\0", body)
        if end < 0 or command not in (_WITH_BODY if end > body else _COMMANDS):
            return start
        length = headers.get(_CONTENT_LENGTH)
        if length is not None and length[0] != f"{end - body}":
            return start
        if "\\" in head and command not in _UNESCAPED:
            try:
                headers = {unescape(name): [unescape(value)] for name, [value] in headers.items()}
            except StompFrameError:
                return start
        if len(headers) < len(lines):  # repeated ones
            return start
        frames.append(StompFrame(command, headers, data[body:end]))
        start = end + 1
        if start < size:
            start = _after_eols(data, start)
    return start


def _after_eols(data: bytes | bytearray, start: int) -> int:
    """Where the EOLs that *start* is at end. A CR without its LF is not skipped."""
    while True:
        if data.startswith(b"\n", start):
            start += 1
        elif data.startswith(b"\r\n", start):
            start += 2
        else:
            return start


def _content_length(value: str) -> int:
    """The number of bytes that *value* stands for; _NO_LENGTH, which means ignored, when negative or no number."""
    digits = value.removeprefix("+")
    if not (digits.isascii() and digits.isdigit()):
        logger.debug("Ignoring content-length '%s'", _shown(value))
        return _NO_LENGTH
    significant = digits.lstrip("0") or "0"
    return int(significant) if len(significant) <= 18 else sys.maxsize


def unescape(text: str) -> str:
    """Undo the escapes of a header's name or value, in one pass: STOMP 1.2, Value Encoding.

    Raises StompFrameError for an unknown escape and for a backslash at the end.
    """
    index = text.find("\\")
    if index < 0:
        return text
    parts = []
    start = 0
    while index >= 0:
        char = _UNESCAPES.get(text[index : index + 2])
        if char is None:
            raise StompFrameError(f"Illegal escape sequence at index {index}: {_shown(text)}")
        parts.append(text[start:index])
        parts.append(char)
        start = index + 2
        index = text.find("\\", start)
    parts.append(text[start:])
    return "".join(parts)


def escape(text: str) -> str:
    """A header's name or value with backslash, colon, LF and CR escaped."""
    if ":" in text or "\\" in text or "\n" in text or "\r" in text:
        return text.translate(_ESCAPES)
    return text


_escape_name = lru_cache(maxsize=32)(escape)
"""There are few header names and many values."""


def encode_header(name: str, value: str) -> bytes:
    """One header line, its LF included, escaped as for every command except CONNECT, CONNECTED and STOMP."""
    return f"{_escape_name(name)}:{escape(value)}\n".encode(errors="replace")


def encode_frame(command: str, headers: Iterable[tuple[str, str]], body: bytes = b"") -> bytes:
    """A frame as it goes over the wire. What UTF-8 cannot hold (lone surrogates) becomes a question mark.

    SEND, MESSAGE and ERROR get the ``content-length`` of *body* as their last header, and one in *headers* is dropped;
    without any headers they get none, unless the body holds a NUL. That the command is a known one and may have a body
    is not checked. Raises ValueError for a CR or LF in a header of CONNECT, CONNECTED or STOMP. Behaviour id: STOMP-02.
    """
    pairs = list(headers)
    length = ""
    # Differs from Spring: a body with a NUL has its length even without any headers; it would be cut short otherwise.
    if command in _WITH_BODY and (pairs or b"\0" in body):
        length = f"content-length:{len(body)}\n"
    lines = [f"{name}:{value}\n" for name, value in pairs if not length or name != "content-length"]
    head = "".join(lines)
    # Looked at as a whole, which is quicker: unless there is more than a colon and an LF for each line, all is said.
    if head.count(":") > len(lines) or head.count("\n") > len(lines) or "\\" in head or "\r" in head:
        lines = [_careful_line(command, name, value) for name, value in pairs if not length or name != "content-length"]
        head = "".join(lines)
    return b"%b%b\0" % (f"{command}\n{head}{length}\n".encode(errors="replace"), body)


def _careful_line(command: str, name: str, value: str) -> str:
    if command not in _UNESCAPED:
        return f"{_escape_name(name)}:{escape(value)}\n"
    line = f"{name}:{value}"
    if "\n" in line or "\r" in line:
        # Differs from Spring: these commands have no escapes, so a line break would smuggle in another header.
        raise ValueError(f"A header of {command} cannot hold a line break: '{_shown(line)}'")
    return line + "\n"


def split_frame(data: bytes, limit: int) -> list[bytes]:
    """*data* in pieces of at most *limit* bytes, at least one piece. Raises ValueError unless *limit* is above 0."""
    if limit <= 0:
        raise ValueError("Buffer size limit must be greater than 0")
    if len(data) <= limit:
        return [data]
    return [data[start : start + limit] for start in range(0, len(data), limit)]


def _shown(text: str) -> str:
    """*text* for an error message: bounded, on one line, without control characters."""
    if len(text) > _MAX_ECHO:
        text = text[: _MAX_ECHO - 3] + "..."
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)


def _shown_bytes(data: bytes | bytearray) -> str:
    return _shown(data[: 4 * _MAX_ECHO].decode(errors="replace"))
