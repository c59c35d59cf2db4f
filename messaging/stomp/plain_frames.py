"""The quick way from bytes to frames: whole frames in one piece, whose header blocks have no CR (STOMP-01).

Beside ``frame_parser``, which does the same for everything, line by line, and is asked where this stops. Pure, like
``frame``.
"""

from __future__ import annotations

import re

from .frame import COMMANDS, UNESCAPED, WITH_BODY, FrameHead, Heartbeat, StompFrame, StompFrameError, unescape

CONTENT_LENGTH = "content-length"

REMEMBERED_HEADS = 1024
"""How many heads are kept with what was read from them, some MiB at most; with one more they begin anew."""
REMEMBERED_LENGTH = 256
"""Longer heads are not kept: clients choose them."""

_new = object.__new__
"""A call of the class with an ``__init__`` costs half as much again."""

REMEMBERED: dict[bytes, FrameHead] = {}
"""Heads of SEND, by the bytes before the empty line."""

_EOLS = re.compile(rb"(?:\n++|\r\n)*+")
"""Without a way back: a message may be nothing but these, and compressed cost its client some bytes."""
_PLAIN_LENGTH = re.compile(r"0|[1-9][0-9]{0,17}")


def parse_plain(data: bytes, frames: list[StompFrame | Heartbeat]) -> int:
    """Append the plain frames that *data* starts with; return where they end and something else starts."""
    start, size = 0, len(data)
    while start < size:
        body = data.find(b"\n\n", start)
        if body < 0:
            return start
        raw = data[start:body]
        head = REMEMBERED.get(raw) or _learn_head(raw)
        if head is None:
            return start
        body += 2
        length = head.content_length
        if length is None:
            end = data.find(b"\0", body)
            if end < 0:
                return start
        else:
            end = body + length
            if end >= size or data[end]:
                return start
        if end > body and head.command not in WITH_BODY:
            return start
        frame = _new(StompFrame)
        frame.head = head
        frame.body = data[body:end]
        frames.append(frame)
        start = end + 1
        if start < size:
            start = after_eols(data, start)
    return start


def _learn_head(raw: bytes) -> FrameHead | None:
    """A head that is new. A SEND's is remembered: clients repeat themselves, and the heads of other commands may hold
    what nobody should keep.
    """
    head = _plain_head(raw)
    if head is not None and head.command == "SEND" and len(raw) <= REMEMBERED_LENGTH:
        if len(REMEMBERED) >= REMEMBERED_HEADS:
            REMEMBERED.clear()
        REMEMBERED[raw] = head
    return head


def _plain_head(raw: bytes) -> FrameHead | None:
    """A command and its headers, from the bytes before the empty line; None for what is not plain."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return None
    command, *lines = text.split("\n")
    if command not in COMMANDS or "\r" in text:
        return None
    pairs: list[tuple[str, str]] = []
    length: int | None = None
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name:
            return None
        if length is None and name == CONTENT_LENGTH:
            if not _PLAIN_LENGTH.fullmatch(value):
                return None
            length = int(value)
        pairs.append((name, value))
    if "\\" in text and command not in UNESCAPED:
        try:
            pairs = [(unescape(name), unescape(value)) for name, value in pairs]
        except StompFrameError:
            return None
    return FrameHead(command, tuple(pairs), length)


def after_eols(data: bytes | bytearray, start: int) -> int:
    """Where the EOLs that *start* is at end. A CR without its LF is not skipped."""
    return _EOLS.match(data, start).end()  # type: ignore[union-attr]  # it matches nothing, too
