"""The page that old browsers load from our origin into a hidden iframe, to reach us from another one (SJS-04)."""

from __future__ import annotations

import hashlib
import html
import re

from ..handshake.origin import OriginPolicy
from ..handshake.request import HandshakeRequest, HandshakeResponse
from .cors import cache_for_a_year, refuse_method

PATH = re.compile(r"iframe[0-9-.a-z_]*\.html")

_PAGE = """<!DOCTYPE html>
<html>
<head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
  <script src="%s"></script>
  <script>
    document.domain = document.domain;
    SockJS.bootstrap_iframe();
  </script>
</head>
<body>
  <h2>Don't panic!</h2>
  <p>This is a SockJS hidden iframe. It's used for cross domain magic.</p>
</body>
</html>
"""


class IframePage:
    """The page for one client library.

    Differs from Spring: cacheable for a year, as the SockJS protocol has it; the pattern ``*`` allows any origin, so
    that it is no restriction to protect by keeping the page back.
    """

    def __init__(self, client_library_url: str, policy: OriginPolicy) -> None:
        self.body = (_PAGE % html.escape(client_library_url)).encode()
        self.etag = f'"0{hashlib.md5(self.body, usedforsecurity=False).hexdigest()}"'
        origins, patterns = policy.allowed_origins, policy.allowed_origin_patterns
        self._same_origin_only = not origins and not patterns
        self._restricted = not self._same_origin_only and "*" not in origins and "*" not in patterns

    def answer(self, request: HandshakeRequest, response: HandshakeResponse) -> None:
        """404 where origins are restricted: the page, being of our origin, would get around that."""
        if self._restricted:
            response.refuse(404)
            return
        if self._same_origin_only:
            response.headers["X-Frame-Options"] = "SAMEORIGIN"
        if request.method != "GET":
            refuse_method(response, "GET")
            return
        response.headers["ETag"] = self.etag
        cache_for_a_year(response)
        if (request.header("If-None-Match") or "").partition(",")[0].strip() == self.etag:
            response.status = 304
            return
        response.headers["Content-Type"] = "text/html; charset=UTF-8"
        response.body = self.body
