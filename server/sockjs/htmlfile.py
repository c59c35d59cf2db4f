"""A page in a hidden iframe that never ends: ``GET .../htmlfile`` (SJS-05, SJS-09)."""

from __future__ import annotations

from ..handshake.request import HandshakeRequest
from .transport import Framing, ScriptFraming, callback_of

_HEAD = """<!doctype html>
<html><head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
</head><body><h2>Don't panic!</h2>
  <script>
    document.domain = document.domain;
    var c = parent.%s;
    c.start();
    function p(d) {c.message(d);};
    window.onload = function() {c.stop();};
  </script>"""
_AT_LEAST = 1024
"""Some browsers look at nothing shorter."""


class HtmlFileTransport:
    """A script for each frame; the query parameter ``c`` names the function of the surrounding page that is called."""

    name = "htmlfile"
    method = "GET"
    supports_cors = True
    kind = "http_streaming"
    headers = (("Content-Type", "text/html; charset=UTF-8"),)

    def framing(self, request: HandshakeRequest) -> Framing:
        prelude = (_HEAD % callback_of(request)).ljust(_AT_LEAST) + "\n"
        return ScriptFraming(b"<script>\np(", b");\n</script>\r\n", prelude.encode())
