"""Server-sent events: ``GET .../eventsource`` (SJS-05, SJS-09)."""

from __future__ import annotations

from ..handshake.request import HandshakeRequest
from .transport import Framing


class _Events(Framing):
    __slots__ = ()

    prelude = b"\r\n"

    def wrap(self, frame: bytes) -> bytes:
        # Frames have no line breaks: JSON escapes them.
        return b"data: " + frame + b"\r\n\r\n"


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
