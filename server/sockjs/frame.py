"""SockJS frames and their escapes (SJS-06): text in, bytes out, and back. Pure: the standard library alone.

Station: between the messages of a SockJS session and its transports, which wrap these frames each in its own way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from json.encoder import encode_basestring
from typing import NamedTuple

OPEN = b"o"
HEARTBEAT = b"h"

# Browsers change or drop these on some transports. Lone surrogates are among them, and what lies beyond the BMP: it is
# two units for JavaScript.
_ESCAPED = re.compile(
    "[\x00-\x1f\u200c-\u200f\u2028-\u202f\u2060-\u206f\ufff0-\uffff\ud800-\udfff\U00010000-\U0010ffff]"
)


class FrameError(ValueError):
    """What the peer sent is no SockJS frame, or no array of messages. The text is what the protocol answers."""


class BrokenJsonError(FrameError):
    """No JSON at all, or not an array of strings."""

    def __init__(self) -> None:
        super().__init__("Broken JSON encoding.")


class NoPayloadError(FrameError):
    """Nothing was sent, or JSON that is no array."""

    def __init__(self) -> None:
        super().__init__("Payload expected.")


class Frame(NamedTuple):
    """A frame as a client reads it."""

    kind: str
    """``o``, ``h``, ``a`` or ``c``; ``m`` comes as ``a`` with one message."""
    messages: tuple[str, ...] = ()
    code: int = 0
    reason: str = ""


# -- to the client


def quote(text: str) -> str:
    """A JSON string with all that needs an escape in SockJS escaped; it can be encoded even with lone surrogates."""
    quoted: str = encode_basestring(text)
    if quoted.isascii():  # Control characters are escaped already.
        return quoted
    return _ESCAPED.sub(_escape, quoted)


def as_text(data: bytes) -> str:
    """What was sent, as SockJS can carry it: texts alone, so that U+FFFD stands for octets that are no UTF-8.

    Differs from Spring: one client's octets do not end the sessions of all that they are for.
    """
    return data.decode(errors="replace")


def messages_frame(messages: Sequence[str]) -> bytes:
    """``a["m1","m2"]``."""
    if len(messages) == 1:
        return f"a[{quote(messages[0])}]".encode()
    return f"a[{','.join(map(quote, messages))}]".encode()


def message_frame(message: str) -> bytes:
    """``m"x"``: clients understand it, servers do not use it."""
    return f"m{quote(message)}".encode()


def close_frame(code: int, reason: str | None) -> bytes:
    """``c[code,"reason"]``. Differs from Spring: the reason is escaped like any other text."""
    return f"c[{code},{quote(reason or '')}]".encode()


def script_string(frame: bytes) -> bytes:
    """The frame as a string of JavaScript that may stand within a ``<script>``."""
    text: str = encode_basestring(frame.decode())
    return text.replace("<", "\\u003C").replace(">", "\\u003E").encode()


def _escape(match: re.Match[str]) -> str:
    unit = ord(match[0])
    if unit < 0x10000:
        return f"\\u{unit:04x}"
    unit -= 0x10000
    return f"\\u{0xD800 + (unit >> 10):04x}\\u{0xDC00 + (unit & 0x3FF):04x}"


# -- from the client


def decode_array(data: bytes | str) -> list[str]:
    """The messages of ``["m1","m2"]``, never None, may be empty. Lone surrogates are replaced by U+FFFD.

    Raises:
        NoPayloadError: nothing but blanks, or JSON that is no array.
        BrokenJsonError: not JSON, or an array of something else than strings.
    """
    return _well_formed(_array(data))


def decode_messages(data: bytes | str) -> list[str]:
    """As ``decode_array``, and a single JSON string is one message: what a WebSocket may bring."""
    value = _load(data)
    if isinstance(value, str):
        return _well_formed([value])
    if not isinstance(value, list):
        raise BrokenJsonError
    return _well_formed(_strings(value))


def decode_frame(data: bytes) -> Frame:
    """A server's frame. Raises FrameError."""
    if data in (OPEN, HEARTBEAT):
        return Frame(data.decode())
    kind, rest = data[:1], data[1:]
    if kind == b"a":
        return Frame("a", tuple(_array(rest)))
    if kind == b"m":
        return Frame("a", tuple(decode_messages(rest)))
    value = _load(rest) if kind == b"c" else None
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], int) and isinstance(value[1], str):
        return Frame("c", (), value[0], value[1])
    raise BrokenJsonError


def _array(data: bytes | str) -> list[str]:
    value = _load(data)
    if not isinstance(value, list):
        raise NoPayloadError
    return _strings(value)


def _load(data: bytes | str) -> object:
    try:
        text = data.decode() if isinstance(data, bytes) else data
        if not text or text.isspace():
            raise NoPayloadError
        value: object = json.loads(text)
    except FrameError:
        raise
    except (ValueError, RecursionError):
        raise BrokenJsonError from None
    return value


def _strings(value: list[object]) -> list[str]:
    for item in value:
        if not isinstance(item, str):
            raise BrokenJsonError
    return value  # type: ignore[return-value]  # just looked


def _well_formed(messages: list[str]) -> list[str]:
    """Differs from Spring, which keeps lone surrogates: they are replaced, as browsers do on a WebSocket.

    JavaScript cuts strings between any two units, and UTF-8 has no place for half a character.
    """
    return [text if text.isascii() else _replace_surrogates(text) for text in messages]


def _replace_surrogates(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
