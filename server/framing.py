"""Headers of WebSocket frames (RFC 6455 5.2): for the codec, and for whoever makes frames that many sessions get."""

from __future__ import annotations

import struct
from typing import Final

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
