"""The head of an HTTP/1.1 request: bytes in, method, target, version and headers out (RFC 9112).

The first codec of the server. Stricter than the standard library's parser, which is made for e-mail and several times
slower: nothing that two parsers could read differently is accepted. Imports the standard library alone.
"""

from __future__ import annotations

import re

END = b"\r\n\r\n"
MAX_REQUEST_LINE = 8 * 1024
MAX_HEADERS = 100
MAX_HEAD = 64 * 1024
"""Bytes of request line and headers together."""

_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}")
_REQUEST_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([!-~\x80-\xff]+) (HTTP/1\.[01])", re.ASCII)
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_CONTROLS = bytes((*range(9), *range(10, 32), 127))
"""All that must not stand in a line, and the two that end one."""

_environ_keys: dict[str, str | None] = {}
"""Header names as they were spelled, and their keys in a WSGI environ; None for names that are dropped."""
_MOST_KEYS = 1024


class BadRequestError(Exception):
    """What the client sent is no request that can be handled; answered with ``status``, then the connection ends."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class RequestHead:
    """A parsed head."""

    __slots__ = ("request_line", "method", "target", "version", "environ", "content_length", "chunked")

    def __init__(self, request_line: str, method: str, target: str, version: str) -> None:
        self.request_line = request_line
        self.method = method
        self.target = target
        self.version = version
        """``HTTP/1.0`` or ``HTTP/1.1``."""
        self.environ: dict[str, str] = {}
        """The headers under their WSGI keys; repeated ones joined."""
        self.content_length: int | None = None
        self.chunked = False

    @property
    def wants_websocket(self) -> bool:
        """Whether this is a GET that asks for an upgrade to WebSocket, right in every detail or not."""
        return self.method == "GET" and self.environ.get("HTTP_UPGRADE", "").lower() == "websocket"

    @property
    def keeps_alive(self) -> bool:
        """Whether the client will send another request on this connection."""
        connection = self.environ.get("HTTP_CONNECTION", "").lower()
        return "close" not in connection if self.version == "HTTP/1.1" else "keep-alive" in connection


def is_nothing_yet(data: bytes | bytearray) -> bool:
    """Whether of a request nothing has come, but for the empty line that may stand before it (RFC 9112 2.2)."""
    return data in (b"", b"\r", b"\r\n")


def check_beginning(data: bytes | bytearray) -> None:
    """Refuse what can no longer become a request, before its end has come. Raises BadRequestError."""
    if is_nothing_yet(data):
        return
    if data.startswith(b"\r\n"):
        data = data[2:]
    line_end = data.find(b"\n", 0, MAX_REQUEST_LINE + 2)
    if line_end < 0:
        method = _METHOD.match(data)
        if method is None or (len(data) > method.end() and data[method.end()] != 0x20):
            raise BadRequestError(400, f"no HTTP request: {bytes(data[:40])!r}")
        if len(data) > MAX_REQUEST_LINE:
            raise BadRequestError(414, "request line too long")
    elif not _REQUEST_LINE.fullmatch(data[: max(0, line_end - 1)].decode("latin-1")) or data[line_end - 1] != 0x0D:
        raise BadRequestError(400, f"no HTTP request: {bytes(data[:40])!r}")
    elif data.count(b"\n") > MAX_HEADERS + 2 or len(data) > MAX_HEAD:
        raise BadRequestError(431, f"more than {MAX_HEADERS} headers or {MAX_HEAD} bytes")


def parse_head(data: bytes) -> RequestHead:
    """Parse a head, *data* being everything before the empty line at its end. Raises BadRequestError."""
    if len(data) > MAX_HEAD:
        raise BadRequestError(431, f"more than {MAX_HEAD} bytes of headers")
    lines = data.decode("latin-1").split("\r\n")
    if not lines[0] and len(lines) > 1:
        return parse_head(data[2:])  # An empty line before the request is passed over (RFC 9112 2.2).
    if len(lines[0]) > MAX_REQUEST_LINE:
        raise BadRequestError(414, "request line too long")
    if len(lines) > MAX_HEADERS + 1:
        raise BadRequestError(431, f"more than {MAX_HEADERS} headers")
    match = _REQUEST_LINE.fullmatch(lines[0])
    if match is None:
        raise BadRequestError(400, f"no HTTP request: {lines[0][:40]!r}")
    head = RequestHead(lines[0], *match.groups())
    if len(data) - len(data.translate(None, _CONTROLS)) != 2 * (len(lines) - 1):
        malformed = next(line for line in lines[1:] if _CONTROL.search(line))
        raise BadRequestError(400, f"malformed header {malformed[:40]!r}")
    environ = head.environ
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        key = _environ_keys.get(name, "")
        if key == "":
            key = _environ_key(name)
        if not colon:
            raise BadRequestError(400, f"malformed header {line[:40]!r}")
        if key is None:
            continue
        value = value.strip(" \t")
        if key in environ:
            value = _joined(key, environ[key], value)
        environ[key] = value
    if "CONTENT_LENGTH" in environ or "HTTP_TRANSFER_ENCODING" in environ:
        _read_framing(head)
    return head


def _environ_key(name: str) -> str | None:
    if _NAME.fullmatch(name) is None:
        # Blanks before the colon and folded lines end here, too (RFC 9112 5.1, 5.2).
        raise BadRequestError(400, f"malformed header name {name[:40]!r}")
    key: str | None = name.upper().replace("-", "_")
    if "_" in name:
        key = None  # "X_User" would be taken for "X-User", which a proxy may have checked.
    elif key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        key = f"HTTP_{key}"
    if len(_environ_keys) < _MOST_KEYS:
        _environ_keys[name] = key
    return key


def _joined(key: str, first: str, second: str) -> str:
    if key == "CONTENT_LENGTH":
        if first != second:
            raise BadRequestError(400, "contradicting Content-Length headers")
        return first
    if key in ("HTTP_HOST", "CONTENT_TYPE", "HTTP_SEC_WEBSOCKET_KEY", "HTTP_SEC_WEBSOCKET_VERSION"):
        raise BadRequestError(400, f"repeated header {key.removeprefix('HTTP_')}")
    return f"{first}; {second}" if key == "HTTP_COOKIE" else f"{first}, {second}"


def _read_framing(head: RequestHead) -> None:
    """How long the body is (RFC 9112 6)."""
    environ = head.environ
    length, encoding = environ.get("CONTENT_LENGTH"), environ.get("HTTP_TRANSFER_ENCODING")
    if encoding is not None:
        if length is not None:
            raise BadRequestError(400, "both Content-Length and Transfer-Encoding")
        if encoding.lower() != "chunked" or head.version != "HTTP/1.1":
            raise BadRequestError(501, f"Transfer-Encoding {encoding[:40]!r} is not understood")
        head.chunked = True
    elif length is not None:
        if not (length.isascii() and length.isdecimal() and len(length) <= 18):
            raise BadRequestError(400, f"malformed Content-Length {length[:40]!r}")
        head.content_length = int(length)
    if (head.chunked or head.content_length) and head.wants_websocket:
        # Behind an upgrade its bytes would be frames, behind a refused one the next request: nobody reads a body there.
        raise BadRequestError(400, "a request for WebSocket with a body")
