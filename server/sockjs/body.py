"""The body of a request, with a limit (SJS-11)."""

from __future__ import annotations

from ..handshake.request import HandshakeRequest
from .transport import RequestError

UNREADABLE = "Failed to read message(s)"


def read_body(request: HandshakeRequest, limit: int) -> bytes:
    """The whole body, never more than *limit* bytes.

    Raises:
        RequestError: 413, it is or would be longer; 500, it ended before its announced length, or could not be read.
    """
    environ = request.environ
    announced = environ.get("CONTENT_LENGTH")
    if announced:
        # The server has checked that it is a number; another one may not have.
        if not (announced.isascii() and announced.isdecimal()):
            raise RequestError(400)
        length = int(announced)
        if length > limit:
            raise RequestError(413)
    elif environ.get("wsgi.input_terminated"):
        length = limit + 1
    else:
        return b""
    try:
        body = _read(environ["wsgi.input"], length)
    except OSError:
        raise RequestError(500, UNREADABLE) from None
    if announced and len(body) < length:
        raise RequestError(500, UNREADABLE)
    if len(body) > limit:
        raise RequestError(413)
    return body


def _read(source: object, length: int) -> bytes:
    parts, left = [], length
    while left:
        part: bytes = source.read(left)  # type: ignore[attr-defined]  # wsgi.input
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
