"""STOMP frames: what one is, and how it is written (STOMP-01, STOMP-02, STOMP-03).

The station between the encoder of messages and the bytes of a session; ``frame_parser`` is the way back. Pure: imports
only the standard library; no message, socket, thread or clock. One rule set serves STOMP 1.0, 1.1 and 1.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final, final

WITH_BODY = frozenset({"SEND", "MESSAGE", "ERROR"})
_WITHOUT_BODY = frozenset(
    "STOMP CONNECT DISCONNECT SUBSCRIBE UNSUBSCRIBE ACK NACK BEGIN COMMIT ABORT CONNECTED RECEIPT".split()
)
COMMANDS = WITH_BODY | _WITHOUT_BODY
UNESCAPED = frozenset({"CONNECT", "CONNECTED", "STOMP"})
"""Commands whose headers are taken literally: STOMP 1.2, Value Encoding."""

_ESCAPES = str.maketrans({"\\": "\\\\", ":": "\\c", "\n": "\\n", "\r": "\\r"})
_UNESCAPES = {"\\\\": "\\", "\\c": ":", "\\n": "\n", "\\r": "\r"}
MAX_ECHO = 80
"""Characters of the peer's that an error message repeats."""


class StompFrameError(ValueError):
    """Bytes that are not STOMP, or more of them than allowed: the peer's fault. The text may be shown to the peer."""


class FrameHead:
    """A frame's command and headers. Frames that begin with the same bytes may share one: never changed."""

    __slots__ = ("came_before", "command", "content_length", "decoded", "headers")

    def __init__(self, command: str, headers: Sequence[tuple[str, str]], content_length: int | None = None) -> None:
        self.command = command
        self.headers = headers
        """Names and values without escapes in the order of the wire, repeated ones kept."""
        self.content_length = content_length
        """How long a body has to be to go with this head, where the parser knows that."""
        self.came_before = False
        """Whether the decoder above has met it; the frame codec looks at neither of these two."""
        self.decoded: Any = None
        """What the decoder remembers of it; None: nothing."""

    def multimap(self) -> dict[str, list[str]]:
        """Each name once, with all its values in order: a new one, of the caller's own."""
        multimap = {name: [value] for name, value in self.headers}
        if len(multimap) < len(self.headers):
            multimap = {name: [] for name in multimap}
            for name, value in self.headers:
                multimap[name].append(value)
        return multimap


class StompFrame:
    """One frame. Treat it as read-only.

    ``command`` is one of the known commands; ``body`` is never None, may be empty.
    """

    __slots__ = ("body", "head")

    def __init__(self, command: str, headers: Sequence[tuple[str, str]], body: bytes = b"") -> None:
        self.head = FrameHead(command, headers)
        self.body = body

    @property
    def command(self) -> str:
        return self.head.command

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Names and values without escapes in the order of the wire, repeated ones kept."""
        return list(self.head.headers)

    @property
    def multimap(self) -> dict[str, list[str]]:
        """Each name once, with all its values in order."""
        return self.head.multimap()

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
            raise StompFrameError(f"Illegal escape sequence at index {index}: {shown(text)}")
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
    if command in WITH_BODY and (pairs or b"\0" in body):
        length = f"content-length:{len(body)}\n"
    lines = [f"{name}:{value}\n" for name, value in pairs if not length or name != "content-length"]
    head = "".join(lines)
    # Looked at as a whole, which is quicker: unless there is more than a colon and an LF for each line, all is said.
    if head.count(":") > len(lines) or head.count("\n") > len(lines) or "\\" in head or "\r" in head:
        lines = [_careful_line(command, name, value) for name, value in pairs if not length or name != "content-length"]
        head = "".join(lines)
    return b"%b%b\0" % (f"{command}\n{head}{length}\n".encode(errors="replace"), body)


def _careful_line(command: str, name: str, value: str) -> str:
    if command not in UNESCAPED:
        return f"{_escape_name(name)}:{escape(value)}\n"
    line = f"{name}:{value}"
    if "\n" in line or "\r" in line:
        # Differs from Spring: these commands have no escapes, so a line break would smuggle in another header.
        raise ValueError(f"A header of {command} cannot hold a line break: '{shown(line)}'")
    return line + "\n"


def split_frame(data: bytes, limit: int) -> list[bytes]:
    """*data* in pieces of at most *limit* bytes, at least one piece. Raises ValueError unless *limit* is above 0."""
    if limit <= 0:
        raise ValueError("Buffer size limit must be greater than 0")
    if len(data) <= limit:
        return [data]
    return [data[start : start + limit] for start in range(0, len(data), limit)]


def shown(text: str) -> str:
    """*text* for an error message: bounded, on one line, without control characters."""
    if len(text) > MAX_ECHO:
        text = text[: MAX_ECHO - 3] + "..."
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)
