"""How text messages are written, where that can be made once for many sessions; headers of WebSocket frames.

Beside the codecs, pure. A text that many sessions get consists of a part of the recipient's own and of a tail that all
share. All that a session gets in one write then is one ``join``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Hashable
from functools import partial
from typing import Final, Protocol

TEXT: Final = 0x1
BINARY: Final = 0x2
FIN: Final = 0x80

_HEADER_7 = struct.Struct("!BB").pack
_HEADER_16 = struct.Struct("!BBH").pack
_HEADER_64 = struct.Struct("!BBQ").pack
_SHORT = 2048


def header(first: int, mask_bit: int, length: int) -> bytes:
    """*first* has the opcode with its flags, *mask_bit* is 0 or 0x80; the mask itself is not part of this."""
    if length < 126:
        return _HEADER_7(first, mask_bit | length)
    if length < 65536:
        return _HEADER_16(first, mask_bit | 126, length)
    return _HEADER_64(first, mask_bit | 127, length)


def frame_header(opcode: int, length: int) -> bytes:
    """The header of a whole, unmasked, uncompressed frame, for frames that many sessions share."""
    return header(FIN | opcode, 0, length)


_TEXT_HEADERS = [frame_header(TEXT, length) for length in range(_SHORT)]


def text_header(length: int) -> bytes:
    """The header of a server's whole text frame with a payload of *length* bytes: kept for nearly all lengths."""
    return _TEXT_HEADERS[length] if length < _SHORT else frame_header(TEXT, length)


class TextFraming(Hashable, Protocol):
    """How sessions of one kind write texts. ``own(before).join(pieces(...))`` is all that one of them gets."""

    binary: TextFraming
    """How they write what is binary: this one again, where the transport has nothing but texts."""

    def own(self, before: bytes) -> bytes:
        """What comes before a tail, which is a whole piece of UTF-8, as it is written."""
        ...

    def pieces(self, own_size: int, tails: list[bytes]) -> list[bytes]:
        """For one message for each tail, in order; *own_size* is the length of what ``own`` returned."""
        ...


def whole_text(framing: TextFraming, text: bytes) -> bytes:
    """*text*, which nothing follows, as sessions of this framing write it."""
    own = framing.own(text)
    return own.join(framing.pieces(len(own), [b""]))


class WebSocketFraming:
    """Implements ``TextFraming``: whole frames of a server (RFC 6455 5.2), not compressed."""

    def __init__(self, header_for: Callable[[int], bytes], binary: WebSocketFraming | None = None) -> None:
        """*header_for* is the header of a frame with so many bytes; *binary* None: it is for binary messages."""
        self._header_for = header_for
        self.binary: TextFraming = self if binary is None else binary

    def own(self, before: bytes) -> bytes:
        return before

    def pieces(self, own_size: int, tails: list[bytes]) -> list[bytes]:
        header_for, pieces = self._header_for, [b""]
        for tail in tails:
            pieces[-1] += header_for(own_size + len(tail))
            pieces.append(tail)
        return pieces


WEB_SOCKET_TEXTS = WebSocketFraming(text_header, WebSocketFraming(partial(frame_header, BINARY)))
