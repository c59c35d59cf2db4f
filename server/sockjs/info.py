"""``/info``: what a client asks before it chooses a transport (SJS-03)."""

from __future__ import annotations

import json
import random

from ..handshake.request import HandshakeRequest, HandshakeResponse
from .cors import answer_options, do_not_cache, refuse_method
from .options import SockJsOptions

_random = random.SystemRandom()


def answer_info(request: HandshakeRequest, response: HandshakeResponse, options: SockJsOptions) -> None:
    """Answer a request whose origin is checked."""
    if request.method == "OPTIONS":
        answer_options(request, response, "OPTIONS, GET", suppress_headers=options.suppress_cors)
        return
    if request.method != "GET":
        refuse_method(response, "GET", "OPTIONS")
        return
    do_not_cache(response)
    response.headers["Content-Type"] = "application/json; charset=UTF-8"
    response.body = json.dumps(
        {
            "entropy": _random.randint(-(2**31), 2**31 - 1),
            "origins": ["*:*"],
            "cookie_needed": options.session_cookie_needed is not False,
            "websocket": options.web_socket_enabled,
        },
        separators=(",", ":"),
    ).encode()
