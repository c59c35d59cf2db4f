"""Parts of WebSocket frames (RFC 6455 5.2): what they become, and messages that come in pieces.

What the codec's fast path and the rarer way beside it share. Imports the standard library, `websockets` and `framing`.
"""

from __future__ import annotations

import codecs
from typing import Final, Literal

from ..framing import BINARY as BINARY
from ..framing import FIN as FIN
from ..framing import TEXT as TEXT
from ..framing import frame_header as frame_header
from ..framing import header as header

try:
    from websockets.speedups import apply_mask as apply_mask
except ImportError:  # a build of websockets without its C part
    from websockets.utils import apply_mask as apply_mask

CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA
FAILED: Final = -1

DataEvent = tuple[Literal[1, 2], bytes, bool]
ControlEvent = tuple[Literal[9, 10], bytes]
EndEvent = tuple[Literal[8, -1], int, str]
Event = DataEvent | ControlEvent | EndEvent
"""(TEXT, payload, fin), (BINARY, payload, fin), (PING, payload), (PONG, payload), (CLOSE, code, reason) or
(FAILED, code, reason)."""

RSV1 = 0x40
CONTINUATION = 0x0
MAX_CONTROL_BYTES = 125
CLOSED = -1
_Utf8Decoder = codecs.getincrementaldecoder("utf-8")


class FragmentedMessage:
    """A message of which the last fragment has not come. One buffer: a flood of empty fragments adds nothing to it."""

    __slots__ = ("opcode", "payload", "decoder")

    def __init__(self, opcode: Literal[1, 2]) -> None:
        self.opcode = opcode
        self.payload = bytearray()
        self.decoder = _Utf8Decoder() if opcode == TEXT else None
        """Refuses text at the first wrong byte, not at the end of the message."""


class RestOfFrame:
    """A frame longer than what may be held at once; made into fragments as it arrives."""

    __slots__ = ("first", "mask", "length", "most")

    def __init__(self, first: int, mask: bytes, length: int, most: int) -> None:
        self.first = first
        self.mask = mask
        self.length = length
        self.most = most & ~3
        """Bytes of a part: a multiple of four, so that the mask begins anew with each."""

    @property
    def part_size(self) -> int:
        return min(self.length, self.most)

    def next_fragment(self, payload: bytes) -> tuple[bytes, int]:
        """The next ``part_size`` bytes as a frame, and its opcode."""
        self.length -= len(payload)
        first = self.first & ~FIN if self.length else self.first
        self.first &= FIN  # what follows is a continuation
        return header(first, 0x80 if self.mask else 0, len(payload)) + self.mask + payload, first & 0x0F


def _length_size(second: int) -> int:
    """Bytes of the extended length (RFC 6455 5.2)."""
    length = second & 0x7F
    return 2 if length == 126 else 8 if length == 127 else 0


def read_header(buffer: bytes | bytearray, position: int, size: int) -> tuple[int, int] | None:
    """Payload length and where the payload starts; None when the length is incomplete, the mask may be."""
    second = buffer[position + 1]
    start = position + 2 + _length_size(second)
    if start > size:
        return None
    length = int.from_bytes(buffer[position + 2 : start], "big") if second & 0x7F > 125 else second & 0x7F
    return length, start + 4 if second & 0x80 else start


def wanted_stop(buffer: bytes | bytearray, position: int, size: int) -> int:
    """How far to read before looking at the frame at ``position`` again."""
    if size - position < 2:
        return position + 2
    header = read_header(buffer, position, size)
    if header is None:
        return position + 2 + _length_size(buffer[position + 1])
    length, start = header
    return start if start > size else start + length


def utf8_reason(exc: UnicodeDecodeError) -> str:
    return f"{exc.reason} at position {exc.start}"
