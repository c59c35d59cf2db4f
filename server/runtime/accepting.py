"""A connection that waits for the head of a request: no greenlet waits for a client that does not send.

The station between the listener and the HTTP handler.
"""

from __future__ import annotations

import logging
import socket as sockets
from collections.abc import Iterator
from itertools import chain
from time import monotonic
from typing import TYPE_CHECKING, Any

from .flusher import LoopFlusher
from .request_head import END, BadRequestError, check_beginning, is_nothing_yet, parse_head
from .timers import ScheduledCall

if TYPE_CHECKING:
    from .server import WellheadServer

logger = logging.getLogger("wellhead.server")

_READ = 1
_READ_SIZE = 16 * 1024
LINGER_MS = 1_000
"""How long what comes after a refusal is thrown away."""


class FirstRequest:
    """Reads the first head of a plain connection in the hub, within the server's header timeout."""

    __slots__ = ("since", "_server", "_socket", "_address", "_watcher", "_received", "_deadline")

    def __init__(self, server: WellheadServer, socket: Any, address: Any) -> None:
        self.since = monotonic()
        self._server = server
        self._socket = socket
        self._address = address
        self._received = b""
        self._watcher = server.loop.io(socket.fileno(), _READ)
        self._watcher.start(self._on_readable)
        self._deadline: ScheduledCall | None = None
        """Of its own; None while it has that of all who wait for their first head."""
        server.waiting.add(self)

    def close(self) -> None:
        """Give the connection up. Harmless twice."""
        watcher = self._let_go()
        if watcher is not None:
            watcher.close()
            self._socket.close()

    def too_late(self) -> None:
        """The head did not come in time."""
        if is_nothing_yet(self._received):
            self.close()  # It never said anything: a browser's spare connection.
        else:
            self._refuse(BadRequestError(408, "the head of the request did not come in time"))

    def _let_go(self) -> Any:
        """Take the socket out of the loop's hands; what watched it, stopped, or None when that happened before."""
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.stop()
            self._server.waiting.discard(self)
            if self._deadline is not None:
                self._deadline.cancel()
        return watcher

    def _limit(self, delay_ms: int) -> None:
        """From now on it has a deadline of its own."""
        if self._deadline is None:
            self._server.waiting.set_apart(self)
        else:
            self._deadline.cancel()
        self._deadline = self._server.runtime.flusher.call_later(self.too_late, delay_ms)

    def _on_readable(self) -> None:
        try:
            data = self._socket.recv(_READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            self.close()  # A reset before any request concerns nobody.
            return
        received = self._received + data if self._received else data
        try:
            if not data:
                if not is_nothing_yet(received):
                    raise BadRequestError(400, "the connection ended within the head of a request")
                self.close()
                return
            end = received.find(END)
            if end < 0:
                check_beginning(received)
                self._received = received
                return
            head = parse_head(received[:end])
        except BadRequestError as error:
            self._refuse(error)
            return
        watcher = self._let_go()
        if watcher is not None:
            self._server.handle_first(self._socket, watcher, self._address, head, received[end + len(END) :])

    def _refuse(self, error: BadRequestError) -> None:
        """Answer, and throw away what still comes: closing at once would be a reset, which may overtake the answer."""
        log_refusal(self._address, error)
        self._received = b""  # Nothing to answer any more when its time is over.
        try:
            self._socket.send(refusal(error.status))
            self._socket.shutdown(sockets.SHUT_WR)
        except OSError:
            self.close()  # It is gone, or takes nothing.
            return
        self._watcher.stop()
        self._watcher.start(self._discard)
        self._limit(LINGER_MS)

    def _discard(self) -> None:
        try:
            if self._socket.recv(_READ_SIZE):
                return
        except BlockingIOError:
            return
        except OSError:
            pass  # A reset ends it as well as the peer's FIN.
        self.close()


class NextRequest(FirstRequest):
    """Waits for another request on a connection: as long as keep-alive allows until something comes."""

    __slots__ = ("_began",)

    def __init__(self, server: WellheadServer, socket: Any, address: Any) -> None:
        FirstRequest.__init__(self, server, socket, address)
        self._began = False
        self._limit(server.keep_alive_ms)

    def _on_readable(self) -> None:
        if not self._began:
            self._began = True
            self._limit(self._server.header_timeout_ms)
        FirstRequest._on_readable(self)


class WaitingConnections:
    """All `FirstRequest` of a server, with one timer for those that have no deadline of their own.

    These come and go in the order of their deadlines, nearly always long before: a timer for each would be set and
    cancelled for nothing.
    """

    __slots__ = ("_flusher", "_timeout_s", "_in_order", "_apart", "_timer")

    def __init__(self, flusher: LoopFlusher, timeout_ms: int) -> None:
        self._flusher = flusher
        self._timeout_s = timeout_ms / 1000.0
        self._in_order: dict[FirstRequest, None] = {}
        self._apart: set[FirstRequest] = set()
        self._timer: ScheduledCall | None = None

    def __len__(self) -> int:
        return len(self._in_order) + len(self._apart)

    def __iter__(self) -> Iterator[FirstRequest]:
        return chain(self._in_order, self._apart)

    def add(self, connection: FirstRequest) -> None:
        """One that has just begun to wait."""
        self._in_order[connection] = None
        if self._timer is None:
            self._timer = self._flusher.call_later(self._look, self._timeout_s * 1000.0)

    def set_apart(self, connection: FirstRequest) -> None:
        """It waits on, and looks after its deadline itself."""
        self._in_order.pop(connection, None)
        self._apart.add(connection)

    def discard(self, connection: FirstRequest) -> None:
        """It waits no more. Harmless twice."""
        self._in_order.pop(connection, None)
        self._apart.discard(connection)

    def _look(self) -> None:
        """Send away who is too late, and come again when the next one would be."""
        self._timer = None
        began_in_time = monotonic() - self._timeout_s
        late = []
        for connection in self._in_order:
            if connection.since > began_in_time:
                rest_ms = (connection.since - began_in_time) * 1000.0
                self._timer = self._flusher.call_later(self._look, rest_ms + 1.0)  # Never too early by a rounding.
                break
            late.append(connection)
        for connection in late:
            connection.too_late()


def log_refusal(address: Any, error: BadRequestError) -> None:
    """One line, with the peer's address; what the peer sent stands in it as repr."""
    host = f"{address[0]}:{address[1]}" if isinstance(address, tuple) else address or "unknown"
    level = logging.INFO if error.status == 408 else logging.WARNING
    logger.log(level, "Bad request from %s answered with %d: %s", host, error.status, error)


_PHRASES = {
    400: "Bad Request",
    408: "Request Timeout",
    414: "URI Too Long",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
}


def refusal(status: int) -> bytes:
    """A whole response that ends the connection."""
    phrase = _PHRASES[status]
    return (
        f"HTTP/1.1 {status} {phrase}\r\nConnection: close\r\nContent-Type: text/plain\r\n"
        f"Content-Length: {len(phrase)}\r\n\r\n{phrase}"
    ).encode()
