"""Requests of pages from other origins: who may, and the headers that tell the browser so (SJS-15).

Station: the first check of every SockJS request.
"""

from __future__ import annotations

import time
from email.utils import formatdate

from ..handshake.origin import OriginPolicy, is_same_origin
from ..handshake.request import HandshakeRequest, HandshakeResponse

YEAR_S = 31_536_000
_VARY = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
# Differs from Spring: no-transform, as the SockJS protocol has it. A proxy that compresses would hold frames back.
_NO_CACHE = "no-store, no-cache, no-transform, must-revalidate, max-age=0"


def check_origin(
    request: HandshakeRequest, response: HandshakeResponse, policy: OriginPolicy, *, suppress_headers: bool
) -> bool:
    """Add CORS headers for a page of another origin; False, and 403, when that origin is not allowed."""
    if is_same_origin(request):
        return True
    if not suppress_headers:
        response.headers["Vary"] = _VARY
    origin = request.origin
    if policy.check(origin) is None:
        response.refuse(403, "" if suppress_headers else "Invalid CORS request")
        return False
    if not suppress_headers and origin is not None:
        headers = response.headers
        headers["Access-Control-Allow-Origin"] = origin
        headers["Access-Control-Allow-Credentials"] = "true"
    return True


def answer_options(
    request: HandshakeRequest, response: HandshakeResponse, methods: str, *, suppress_headers: bool
) -> None:
    """Answer OPTIONS, a preflight or not: 204 and cacheable for a year. *methods* is a list for the header."""
    response.status = 204
    cache_for_a_year(response)
    if suppress_headers:
        return
    headers = response.headers
    headers["Access-Control-Allow-Methods"] = methods
    headers["Access-Control-Max-Age"] = str(YEAR_S)
    wanted = request.header("Access-Control-Request-Headers")
    if wanted:
        headers["Access-Control-Allow-Headers"] = wanted


def cache_for_a_year(response: HandshakeResponse) -> None:
    response.headers["Cache-Control"] = f"public, max-age={YEAR_S}"
    response.headers["Expires"] = formatdate(time.time() + YEAR_S, usegmt=True)


def do_not_cache(response: HandshakeResponse) -> None:
    response.headers["Cache-Control"] = _NO_CACHE


def refuse_method(response: HandshakeResponse, *allowed: str) -> None:
    """405 without a body."""
    response.refuse(405)
    response.headers["Allow"] = ", ".join(allowed)
