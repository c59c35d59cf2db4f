"""Script tags: ``GET .../jsonp`` (polling) and ``POST .../jsonp_send`` (SJS-05). Off unless ``jsonp_enabled``.

Differs from Spring, which has removed it: no origin can be checked, so that any page can connect with the cookies of
its visitor.
"""

from __future__ import annotations

from urllib.parse import parse_qs

from ..handshake.request import HandshakeRequest
from .transport import JAVASCRIPT, Framing, ScriptFraming, callback_of

_LONGEST_CALLBACK = 32
_FORM = "application/x-www-form-urlencoded"


class JsonpTransport:
    """One frame as the argument of the function that the query parameter ``c`` names."""

    name = "jsonp"
    method = "GET"
    supports_cors = False
    kind = "http_polling"
    headers = (("Content-Type", JAVASCRIPT), ("X-Content-Type-Options", "nosniff"))

    def framing(self, request: HandshakeRequest) -> Framing:
        callback = callback_of(request, _LONGEST_CALLBACK)
        # The comment keeps the response from being taken for something else than a script: the caller chose its first
        # bytes.
        return ScriptFraming(b"/**/" + callback.encode() + b"(", b");\r\n")


class JsonpSendTransport:
    """A form with the JSON array in the field ``d``, or the array itself."""

    name = "jsonp_send"
    method = "POST"
    supports_cors = False
    success = (200, b"ok")

    def payload(self, content_type: str, body: bytes) -> bytes:
        if content_type != _FORM:
            return body
        return parse_qs(body.decode("utf-8", "replace")).get("d", [""])[0].encode()
