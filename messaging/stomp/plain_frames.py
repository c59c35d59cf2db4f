"""The quick way from bytes to frames: whole frames in one piece, whose header blocks have no CR (STOMP-01).

Beside ``frame_parser``, which does the same for everything, line by line, and is asked where this stops. Pure, like
``frame``.
"""

from __future__ import annotations

import re
from functools import lru_cache

from .frame import COMMANDS, UNESCAPED, WITH_BODY, FrameHead, Heartbeat, StompFrame, StompFrameError, unescape

CONTENT_LENGTH = "content-length"

REMEMBERED_HEADS = 1024
"""How many heads of late are kept with what was read from them: some MiB at most."""
REMEMBERED_LENGTH = 256
"""Longer heads are not kept: clients choose them."""

_PLAIN_LENGTH = re.compile(r"0|[1-9][0-9]{0,17}")


def parse_plain(data: bytes, frames: list[StompFrame | Heartbeat]) -> int:
    """Append the plain frames that *data* starts with; return where they end and something else starts."""
    start, size = 0, len(data)
    while start < size:
        body = data.find(b"\n\n", start)
        if body < 0:
            return start
        raw = data[start:body]
        remembered = len(raw) <= REMEMBERED_LENGTH and raw.startswith(b"SEND\n")
        head = _remembered_head(raw) if remembered else _plain_head(raw)
        if head is None:
            return start
        body += 2
        if head.content_length is None:
            end = data.find(b"\0", body)
            if end < 0:
                return start
        else:
            end = body + head.content_length
            if end >= size or data[end]:
                return start
        if end > body and head.command not in WITH_BODY:
            return start
        frames.append(StompFrame(head.command, head, data[body:end]))
        start = end + 1
        if start < size:
            start = after_eols(data, start)
    return start


def _plain_head(raw: bytes) -> FrameHead | None:
    """A command and its headers, from the bytes before the empty line; None for what is not plain."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return None
    command, *lines = text.split("\n")
    if command not in COMMANDS or "\r" in text:
        return None
    headers = [line.partition(":") for line in lines]
    if not all([name and colon for name, colon, _ in headers]):
        return None
    length = next((value for name, _, value in headers if name == CONTENT_LENGTH), None)
    if length is not None and not _PLAIN_LENGTH.fullmatch(length):
        return None
    pairs = tuple((name, value) for name, _, value in headers)
    if "\\" in text and command not in UNESCAPED:
        try:
            pairs = tuple((unescape(name), unescape(value)) for name, value in pairs)
        except StompFrameError:
            return None
    return FrameHead(command, pairs, None if length is None else int(length))


_remembered_head = lru_cache(maxsize=REMEMBERED_HEADS)(_plain_head)
"""For SEND: clients repeat themselves, and the heads of other commands may hold what nobody should keep."""


def after_eols(data: bytes | bytearray, start: int) -> int:
    """Where the EOLs that *start* is at end. A CR without its LF is not skipped."""
    while True:
        if data.startswith(b"\n", start):
            start += 1
        elif data.startswith(b"\r\n", start):
            start += 2
        else:
            return start
