"""XMLHttpRequest: ``/xhr`` (polling), ``/xhr_streaming``, ``/xhr_send`` (SJS-05, SJS-08, SJS-09, SJS-11)."""

from __future__ import annotations

from ..handshake.request import HandshakeRequest
from .transport import JAVASCRIPT, LINES, Framing


class XhrTransport:
    """``POST .../xhr``: one frame, one line, ends the response."""

    name = "xhr"
    method = "POST"
    supports_cors = True
    kind = "http_polling"
    headers = (("Content-Type", JAVASCRIPT),)

    def framing(self, request: HandshakeRequest) -> Framing:
        return LINES


class _PreludedLines(Framing):
    __slots__ = ()

    prelude = b"h" * 2048 + b"\n"
    """Old browsers show nothing of a response before they have two kilobytes of it."""


class XhrStreamingTransport:
    """``POST .../xhr_streaming``: a line for each frame."""

    name = "xhr_streaming"
    method = "POST"
    supports_cors = True
    kind = "http_streaming"
    headers = (("Content-Type", JAVASCRIPT),)

    def framing(self, request: HandshakeRequest) -> Framing:
        return _STREAMING

    def __repr__(self) -> str:
        return "XhrStreamingTransport"


_STREAMING = _PreludedLines()


class XhrSendTransport:
    """``POST .../xhr_send``: a JSON array of strings, whatever the content type says."""

    name = "xhr_send"
    method = "POST"
    supports_cors = True
    success = (204, b"")

    def payload(self, content_type: str, body: bytes) -> bytes:
        return body
