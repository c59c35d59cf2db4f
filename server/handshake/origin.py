"""Which web pages may connect (HS-06): this protects browsers, another client can send any origin.

Station: the last of the interceptors; SockJS asks the same policy for its CORS headers.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from ..handlers import WebSocketHandler
from .interceptors import HandshakeInterceptor
from .request import HandshakeRequest, HandshakeResponse

logger = logging.getLogger(__name__)

ALL = "*"
_DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_PORTS = re.compile(r"(.*):\[(\*|\d+(?:,\d+)*)\]")


class OriginPolicy:
    """The allowed origins and patterns of origins. By default nothing: same origin only.

    ``allowed_origins`` are compared whole and without case, a trailing slash aside; ``*`` allows any.
    ``allowed_origin_patterns`` take ``*`` for any characters, and ports at the end: ``https://*.domain1.com:[8080,8081]``
    for these two, ``https://*.domain1.com:[*]`` for any port or none.

    ``allow_credentials``: whether browsers send cookies along, as they always do with SockJS. ``*`` is then no
    answer that a browser would accept, and :meth:`check` says so.
    """

    __slots__ = ("_exact", "_patterns", "allow_credentials", "allowed_origin_patterns", "allowed_origins")

    def __init__(
        self,
        allowed_origins: Iterable[str] = (),
        allowed_origin_patterns: Iterable[str] = (),
        *,
        allow_credentials: bool = False,
    ) -> None:
        self.allowed_origins = tuple(_trim(origin) for origin in allowed_origins)
        self.allowed_origin_patterns = tuple(_trim(pattern) for pattern in allowed_origin_patterns)
        self.allow_credentials = allow_credentials
        self._exact = frozenset(origin.lower() for origin in self.allowed_origins)
        self._patterns = [_compile(pattern) for pattern in self.allowed_origin_patterns]

    def check(self, origin: str | None) -> str | None:
        """Return what ``Access-Control-Allow-Origin`` says to this origin, ``None`` when it is not allowed.

        That is ``*`` when every origin is allowed, else the origin as it was given.

        Raises:
            ValueError: ``*`` is among the allowed origins and credentials are on.
        """
        if not origin or not (trimmed := _trim(origin)):
            return None
        if ALL in self._exact:
            self._refuse_all_with_credentials()
            return ALL
        if trimmed.lower() in self._exact or any(pattern.fullmatch(trimmed) for pattern in self._patterns):
            return origin
        return None

    def _refuse_all_with_credentials(self) -> None:
        if self.allow_credentials:
            raise ValueError(
                'The allowed origin "*" cannot be used with credentials, which SockJS always has: browsers accept no '
                '"*" in "Access-Control-Allow-Origin" then. List the origins, or use allowed_origin_patterns: the '
                'pattern "*" allows any origin and answers with the one that asked.'
            )

    def __repr__(self) -> str:
        return f"OriginPolicy({self.allowed_origins!r}, {self.allowed_origin_patterns!r})"


class OriginHandshakeInterceptor:
    """Refuses a cross-origin handshake with 403 unless the policy allows its origin."""

    __slots__ = ("policy",)

    def __init__(self, policy: OriginPolicy | None = None) -> None:
        self.policy = OriginPolicy() if policy is None else policy

    def before_handshake(
        self,
        request: HandshakeRequest,
        response: HandshakeResponse,
        handler: WebSocketHandler,
        attributes: dict[str, Any],
    ) -> bool:
        """Let pass what has no origin, the same origin, or an allowed one.

        Raises:
            ValueError: see :meth:`OriginPolicy.check`.
        """
        if is_same_origin(request) or self.policy.check(request.origin) is not None:
            return True
        response.refuse(403)
        logger.warning(
            "Handshake of %s refused with 403: origin %r is not allowed for %s",
            request.remote_address,
            request.origin,
            request.uri,
        )
        return False

    def after_handshake(
        self,
        request: HandshakeRequest,
        response: HandshakeResponse,
        handler: WebSocketHandler,
        exception: Exception | None,
    ) -> None:
        """Nothing to do."""


def with_origin_check(interceptors: Iterable[HandshakeInterceptor], policy: OriginPolicy) -> list[HandshakeInterceptor]:
    """Return the interceptors in their order, followed by the check of the origin (HS-04)."""
    return [*interceptors, OriginHandshakeInterceptor(policy)]


def is_same_origin(request: HandshakeRequest) -> bool:
    """Whether the request has no ``Origin``, or one of the scheme, host and port that it was sent to.

    Default ports are filled in. Reads no ``X-Forwarded-*``: behind a proxy these must have been applied before
    (werkzeug's ``ProxyFix``). An origin that cannot be parsed is another origin.
    """
    origin = request.environ.get("HTTP_ORIGIN")
    if not origin:
        return True
    own = f"{request.scheme}://{request.host}"
    if origin == own:
        return True
    theirs = _split(origin)
    return theirs is not None and theirs == _split(own)


def _split(origin: str) -> tuple[str, str, int | None] | None:
    try:
        parts = urlsplit(origin)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if host is None:
        return None
    return parts.scheme, host, _DEFAULT_PORTS.get(parts.scheme) if port is None else port


def _trim(origin: str) -> str:
    origin = origin.strip()
    return origin[:-1] if origin.endswith("/") else origin


def _compile(pattern: str) -> re.Pattern[str]:
    ports = ""
    if match := _PORTS.fullmatch(pattern):
        pattern = match[1]
        ports = r"(?::\d+)?" if match[2] == ALL else f":(?:{match[2].replace(',', '|')})"
    return re.compile(".*".join(map(re.escape, pattern.split(ALL))) + ports, re.IGNORECASE)
