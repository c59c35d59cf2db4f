"""Broadcasts as SockJS frames: each text once for all its recipients (SJS-06). Implements ``TextFraming``.

Beside ``frame``, whose escapes these are. An escape knows no neighbours, so that the two pieces of a text can be
escaped apart: what is the recipient's own once for many broadcasts, the tail once for many recipients.
"""

from __future__ import annotations

from functools import lru_cache

from ..framing import TextFraming, text_header
from .frame import as_text, quote
from .options import JsonSockJsMessageCodec, SockJsMessageCodec


class StreamedTexts:
    """A frame for each text, in what a streaming transport puts around it."""

    def __init__(self, before: bytes, after: bytes, *, is_event: bool = False) -> None:
        """*is_event*: per cent signs are escaped, too."""
        self._before = before + b'a["'
        self._after = b'"]' + after
        self._is_event = is_event
        self.binary: TextFraming = self

    def own(self, before: bytes) -> bytes:
        escaped = _escaped(before)
        return escaped.replace(b"%", b"%25") if self._is_event else escaped

    def pieces(self, own_size: int, tails: list[bytes]) -> list[bytes]:
        pieces = [self._before]
        for tail in tails:
            pieces.append(self.own(tail) + self._after + self._before)
        pieces[-1] = pieces[-1][: -len(self._before)]
        return pieces


class WebSocketTexts:
    """All texts in one frame, which is one WebSocket message."""

    def __init__(self) -> None:
        self.binary: TextFraming = self

    def own(self, before: bytes) -> bytes:
        return _escaped(before)

    def pieces(self, own_size: int, tails: list[bytes]) -> list[bytes]:
        pieces = [b'a["', *[_escaped(tail) + b'","' for tail in tails]]
        pieces[-1] = pieces[-1][:-2] + b"]"
        size = len(tails) * own_size + sum(map(len, pieces))
        pieces[0] = text_header(size) + pieces[0]
        return pieces


_STREAMED = {
    "xhr_streaming": StreamedTexts(b"", b"\n"),
    "eventsource": StreamedTexts(b"data: ", b"\r\n\r\n", is_event=True),
}
WEB_SOCKET = WebSocketTexts()


def streamed_texts(transport: str, codec: SockJsMessageCodec) -> StreamedTexts | None:
    """For sessions of this transport; None where each needs frames of its own."""
    return _STREAMED.get(transport) if has_joined_texts(codec) else None


def has_joined_texts(codec: SockJsMessageCodec) -> bool:
    """Whether this codec writes what is written here."""
    return type(codec) is JsonSockJsMessageCodec


@lru_cache(maxsize=16)  # the recipients' own are kept by the subscriptions
def _escaped(text: bytes) -> bytes:
    """As part of a JSON string."""
    return quote(as_text(text))[1:-1].encode()
