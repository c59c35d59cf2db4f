"""The cookie that some load balancers stick by (SJS-05).

Differs from Spring, which sets none: the SockJS protocol lets a service opt in.
"""

from __future__ import annotations

import re

from ..handshake.request import HandshakeRequest, HandshakeResponse

_VALUE = re.compile(r"[!#-+\--:<-\[\]-~]{1,4096}")  # RFC 6265 4.1.1, cookie-octet


def set_session_cookie(request: HandshakeRequest, response: HandshakeResponse) -> None:
    """Answer with the client's own ``JSESSIONID``, or a dummy: the load balancer adds what it needs to either."""
    value = request.cookies.get("JSESSIONID", "")
    if not _VALUE.fullmatch(value):
        value = "dummy"
    response.headers.add("Set-Cookie", f"JSESSIONID={value}; path=/")
