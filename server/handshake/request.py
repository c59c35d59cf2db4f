"""The HTTP request and response of a handshake, as interceptors and the handshake handler see them.

Station: made by the WSGI application for each request to a WebSocket or SockJS path. Thin on purpose: a handshake
reads a handful of environ keys, so nothing is parsed before somebody asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from werkzeug.datastructures import EnvironHeaders, Headers
from werkzeug.http import parse_cookie

from ..session import Address, Principal, UserPrincipal

if TYPE_CHECKING:
    from werkzeug.wrappers import Request, Response

PRINCIPAL_KEY = "wellhead.principal"
"""Environ key under which a middleware puts the authenticated principal (an object with ``name``)."""
ATTRIBUTES_KEY = "wellhead.request_attributes"
"""Environ key of the request's attributes, for a middleware to put some there."""

# RFC 3986 3.3 and 3.4: what may stand unescaped, besides letters, digits and "-._~", which quote() never escapes.
# WSGI decodes the path, but not the query: there a "%" is an escape already.
_PATH_SAFE = "/!$&'()*+,;=:@"
_QUERY_SAFE = _PATH_SAFE + "?%"
_IS_PLAIN = re.compile(r"[A-Za-z0-9_.~/-]*", re.ASCII).fullmatch
"""Whether nothing in a path needs an escape: what nearly all paths of endpoints are."""


class HandshakeRequest:
    """A view over the WSGI environ."""

    __slots__ = ("_cookies", "_headers", "_uri", "_wsgi_request", "environ", "url_variables")

    def __init__(self, environ: dict[str, Any], url_variables: Mapping[str, str] | None = None) -> None:
        self.environ = environ
        self.url_variables: dict[str, str] = dict(url_variables) if url_variables else {}
        """Variables of the path pattern that matched, set by the mapping; never ``None``, may be empty."""
        self._uri: str | None = None
        self._headers: Headers | None = None
        self._cookies: Mapping[str, str] | None = None
        self._wsgi_request: Request | None = None

    @property
    def method(self) -> str:
        return str(self.environ["REQUEST_METHOD"])

    @property
    def path(self) -> str:
        """The decoded path below the mount point of the application."""
        return decoded_path(self.environ)

    @property
    def scheme(self) -> str:
        """``http`` or ``https``, also for a WebSocket handshake."""
        return str(self.environ["wsgi.url_scheme"])

    @property
    def host(self) -> str:
        """The ``Host`` header, else the server's name and port; with a port unless it is the scheme's default."""
        host = self.environ.get("HTTP_HOST")
        if host:
            return str(host)
        name, port = self.environ["SERVER_NAME"], str(self.environ["SERVER_PORT"])
        return str(name) if port == ("443" if self.scheme == "https" else "80") else f"{name}:{port}"

    @property
    def uri(self) -> str:
        """The whole URI as the client asked for it, percent-encoded, query included.

        Behind a proxy it is right when ``X-Forwarded-*`` were applied before (werkzeug's ``ProxyFix``).
        """
        uri = self._uri
        if uri is None:
            environ = self.environ
            path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
            if not _IS_PLAIN(path):
                path = quote(path, _PATH_SAFE, "latin-1")
            query = environ.get("QUERY_STRING")
            uri = f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST') or self.host}{path}"
            if query:
                uri = f"{uri}?{quote(query, _QUERY_SAFE, 'latin-1')}"
            self._uri = uri
        return uri

    @property
    def headers(self) -> Headers:
        """The request headers; read-only."""
        if self._headers is None:
            self._headers = EnvironHeaders(self.environ)
        return self._headers

    def header(self, name: str) -> str | None:
        """One header by name, in any case, without building :attr:`headers`; repeated headers come comma-joined."""
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = "HTTP_" + key
        value = self.environ.get(key)
        return None if value is None else str(value)

    @property
    def origin(self) -> str | None:
        """The ``Origin`` header, ``None`` when absent or empty."""
        return self.environ.get("HTTP_ORIGIN") or None

    @property
    def cookies(self) -> Mapping[str, str]:
        """Never ``None``, may be empty."""
        if self._cookies is None:
            self._cookies = parse_cookie(self.environ.get("HTTP_COOKIE"))
        return self._cookies

    @property
    def attributes(self) -> dict[str, Any]:
        """Attributes of this request, shared with the middlewares through the environ (``ATTRIBUTES_KEY``)."""
        attributes: dict[str, Any] = self.environ.setdefault(ATTRIBUTES_KEY, {})
        return attributes

    @property
    def principal(self) -> Principal | None:
        """The authenticated user: ``environ["wellhead.principal"]``, else ``REMOTE_USER``; ``None`` if anonymous."""
        principal: Principal | None = self.environ.get(PRINCIPAL_KEY)
        if principal is None and (name := self.environ.get("REMOTE_USER")):
            return UserPrincipal(name)
        return principal

    @property
    def remote_address(self) -> Address | None:
        """The peer's host and port (port 0 when the server does not tell); ``None`` when unknown."""
        return _address(self.environ.get("REMOTE_ADDR"), self.environ.get("REMOTE_PORT"))

    @property
    def local_address(self) -> Address | None:
        """The server's name and port, as the server states them."""
        return _address(self.environ.get("SERVER_NAME"), self.environ.get("SERVER_PORT"))

    @property
    def wsgi_request(self) -> Request:
        """The same request as a werkzeug ``Request``; made on demand, it costs as much as the whole handshake."""
        if self._wsgi_request is None:
            from werkzeug.wrappers import Request

            self._wsgi_request = Request(self.environ)
        return self._wsgi_request

    def __repr__(self) -> str:
        return f"<HandshakeRequest {self.method!r} {self.uri!r}>"


class HandshakeResponse:
    """What a handshake answers. Unless :attr:`upgraded`, it is sent as a plain HTTP response."""

    __slots__ = ("_headers", "body", "status", "upgraded")

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.body = b""
        self.upgraded = False
        """Set by the upgrade strategy: the connection is a WebSocket now, there is no response left to send."""
        self._headers: Headers | None = None

    @property
    def headers(self) -> Headers:
        """Response headers; an upgrade sends them along with its own."""
        if self._headers is None:
            self._headers = Headers()
        return self._headers

    @property
    def header_list(self) -> list[tuple[str, str]]:
        """The headers as pairs; empty when nobody asked for :attr:`headers`."""
        return [] if self._headers is None else self._headers.to_wsgi_list()

    def refuse(self, status: int, text: str = "") -> None:
        """Set an error status with a short text as the body."""
        self.status = status
        self.body = text.encode()
        if text:
            self.headers["Content-Type"] = "text/plain;charset=UTF-8"

    def answer_with(self, response: Response, environ: dict[str, Any]) -> None:
        """Take over status, headers and body of a response of werkzeug; other headers that were set stay."""
        self.status = response.status_code
        self.headers.update(response.get_wsgi_headers(environ))
        self.body = response.get_data()

    def to_wsgi(self, start_response: Callable[..., Any], *, is_head: bool = False) -> Iterable[bytes]:
        """Answer over WSGI; only for a response that did not upgrade. A HEAD has a body as long, which is not sent."""
        assert not self.upgraded, "an upgraded connection has no HTTP response"
        headers = [pair for pair in self.header_list if pair[0].lower() != "content-length"]
        if self.status >= 200 and self.status not in (204, 304):
            headers.append(("Content-Length", str(len(self.body))))
        start_response(f"{self.status} {_phrase(self.status)}", headers)
        return [self.body] if self.body and not is_head else []


def decoded_path(environ: Mapping[str, Any]) -> str:
    """``PATH_INFO`` as text; bytes that are not UTF-8 are replaced."""
    path = str(environ.get("PATH_INFO", ""))
    return path if path.isascii() else path.encode("latin-1").decode(errors="replace")


def _address(host: Any, port: Any) -> Address | None:
    if not host:
        return None
    text = str(port)
    return str(host), int(text) if text.isdecimal() else 0


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
