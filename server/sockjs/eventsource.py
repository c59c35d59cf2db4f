"""Server-sent events: ``GET .../eventsource`` (SJS-05, SJS-09)."""

from __future__ import annotations

from ..handshake.request import HandshakeRequest
from .transport import Framing


class _Events(Framing):
    __slots__ = ()

    prelude = b"\r\n"

    def wrap(self, frame: bytes) -> bytes:
        # Differs from Spring: clients decode what they get as a part of a URL, with which a per cent sign or what
        # follows it was lost. Frames have no line breaks: JSON escapes them.
        return b"data: " + frame.replace(b"%", b"%25") + b"\r\n\r\n"


class EventSourceTransport:
    """An event for each frame. Browsers reconnect by themselves when the response ends."""

    name = "eventsource"
    method = "GET"
    supports_cors = False
    kind = "http_streaming"
    # Differs from Spring: no charset, as the SockJS protocol has it. Event streams are UTF-8 by definition.
    headers = (("Content-Type", "text/event-stream"),)

    def framing(self, request: HandshakeRequest) -> Framing:
        return _EVENTS


_EVENTS = _Events()
