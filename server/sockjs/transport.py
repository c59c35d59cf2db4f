"""What a transport is: a file each, with its name in the URL, method, content type, prelude and framing (SJS-05).

Station: between the service, which finds the transport of a request, and the sessions.
"""

from __future__ import annotations

from typing import Protocol
from urllib.parse import parse_qs

from ..handshake.request import HandshakeRequest
from .frame import script_string

JAVASCRIPT = "application/javascript; charset=UTF-8"
PLAIN_TEXT = "text/plain; charset=UTF-8"

_CALLBACK_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


class RequestError(Exception):
    """A request that is answered with a status and a line of text."""

    def __init__(self, status: int, text: str = "") -> None:
        super().__init__(text)
        self.status = status


class Transport(Protocol):
    """What all transports have."""

    name: str
    """The last segment of the URL."""
    method: str
    supports_cors: bool
    """Whether preflights (OPTIONS) are answered."""


class Framing:
    """How one response wraps SockJS frames; this one as lines."""

    __slots__ = ()

    prelude = b""
    """Goes out before the first frame of each response; may be empty."""

    def wrap(self, frame: bytes) -> bytes:
        return frame + b"\n"


LINES = Framing()


class ReceivingTransport(Transport, Protocol):
    """Brings messages to the client: a response to a request that may wait."""

    kind: str
    """``http_streaming``: a response has many frames; ``http_polling``: one."""
    headers: tuple[tuple[str, str], ...]
    """Those of the response, the content type among them."""

    def framing(self, request: HandshakeRequest) -> Framing:
        """For the response to *request*. Raises RequestError when the request lacks something."""
        ...


class SendingTransport(Transport, Protocol):
    """Brings messages from the client."""

    success: tuple[int, bytes]
    """Status and body of the answer, once the messages are delivered."""

    def payload(self, content_type: str, body: bytes) -> bytes:
        """The JSON in a body of this content type (lower case, without parameters)."""
        ...


def callback_of(request: HandshakeRequest, most: int | None = None) -> str:
    """The parameter ``c``, or ``callback``: the JavaScript function to call. Raises RequestError."""
    query = parse_qs(request.environ.get("QUERY_STRING", ""))
    callback: str = (query.get("c") or query.get("callback") or [""])[0]
    if not callback:
        raise RequestError(500, '"callback" parameter required')
    if not _CALLBACK_CHARACTERS.issuperset(callback) or (most is not None and len(callback) > most):
        raise RequestError(500, 'invalid "callback" parameter')
    return callback


class ScriptFraming(Framing):
    """Wraps a frame as an argument of a JavaScript function."""

    __slots__ = ("_after", "_before", "prelude")

    def __init__(self, before: bytes, after: bytes, prelude: bytes = b"") -> None:
        self._before = before
        self._after = after
        self.prelude = prelude  # A slot in place of the base's constant.

    def wrap(self, frame: bytes) -> bytes:
        return self._before + script_string(frame) + self._after
