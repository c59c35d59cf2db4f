"""A response that waits: the seam between SockJS sessions and the server that owns the socket.

Station: below the HTTP transports, above the socket. A server that can hold a response without a thread or greenlet
puts its ``HttpStreamHost`` into the environ; ``wsgi_stream`` serves the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ..close import CloseStatus
from ..flush import Flusher
from ..handshake.request import HandshakeResponse

STREAM_KEY = "wellhead.http_stream"
"""Environ key under which such a server puts its :class:`HttpStreamHost`."""


class StreamListener(Protocol):
    """Hears of a stream's fate. On the loop's thread if the host has a loop; must not block."""

    def stream_closed(self, error: Exception) -> None:
        """The client vanished before it had all of the response. Called once at most, and nothing after it.

        A call of ``write`` or ``finish`` may find that out, and then tells it before it returns.
        """
        ...

    def stream_drained(self) -> None:
        """All that waited is written. Not called when everything could be written at once."""
        ...

    def stream_stopping(self, status: CloseStatus) -> None:
        """The server stops: finish soon."""
        ...


class _Nobody:
    def stream_closed(self, error: Exception) -> None: ...
    def stream_drained(self) -> None: ...
    def stream_stopping(self, status: CloseStatus) -> None: ...


NOBODY = _Nobody()
"""Listens to responses that belong to no session."""


class HttpStream(Protocol):
    """One response of status 200. No call blocks or raises; all are harmless after the end, and from any thread."""

    @property
    def pending_bytes(self) -> int:
        """Bytes written that the client has not taken yet."""
        ...

    def start(self, headers: Sequence[tuple[str, str]], listener: StreamListener) -> None:
        """Set what goes out with the first write. Called once, before everything else."""
        ...

    def write(self, data: bytes) -> None:
        """Send a part of the body: at once, and as one chunk where there are chunks."""
        ...

    def finish(self, data: bytes = b"") -> None:
        """End the response, with *data* as the last part. When nothing was written before, *data* is the whole body."""
        ...

    def abort(self) -> None:
        """Cut the connection, what waits is given up; the listener hears of it no more."""
        ...


class HttpStreamHost(Protocol):
    """What a server offers for one request."""

    @property
    def flusher(self) -> Flusher | None:
        """The loop that the streams live on; None when each request has a thread."""
        ...

    @property
    def execute(self) -> Callable[[Callable[[], object]], None]:
        """Runs a task, which may block: in another greenlet where there is a loop, else here. Sessions keep it."""
        ...

    def give_way(self) -> None:
        """Let others run, where they have to wait for whoever calls this."""
        ...

    def end_connection(self) -> None:
        """Let the answer be the last one: the rest of the request is of no use to anybody."""
        ...

    def open(self) -> tuple[HttpStream, HandshakeResponse]:
        """The response to this request as a stream, and what to return to the server for it."""
        ...
