"""A connection between its accept and the head of its first request: no greenlet waits for a client that does not send.

The station between the listener and the HTTP handler.
"""

from __future__ import annotations

import logging
import socket as sockets
from typing import TYPE_CHECKING, Any

from .request_head import END, BadRequestError, check_beginning, parse_head

if TYPE_CHECKING:
    from .server import WellheadServer

logger = logging.getLogger("wellhead.server")

_READ = 1
_READ_SIZE = 16 * 1024
LINGER_MS = 1_000
"""How long what comes after a refusal is thrown away."""


class FirstRequest:
    """Reads the first head of a plain connection in the hub, within the server's header timeout."""

    __slots__ = ("_server", "_socket", "_address", "_watcher", "_received", "_deadline")

    def __init__(self, server: WellheadServer, socket: Any, address: Any) -> None:
        self._server = server
        self._socket = socket
        self._address = address
        self._received = b""
        self._watcher = server.loop.io(socket.fileno(), _READ)
        self._watcher.start(self._on_readable)
        self._deadline = server.runtime.flusher.call_later(self._too_late, server.header_timeout_ms)
        server.waiting.add(self)

    def close(self) -> None:
        """Give the connection up. Harmless twice."""
        if self._let_go():
            self._socket.close()

    def _let_go(self) -> bool:
        """Take the socket out of the loop's hands; False when that happened before."""
        watcher, self._watcher = self._watcher, None
        if watcher is None:
            return False
        watcher.stop()
        watcher.close()
        self._deadline.cancel()
        self._server.waiting.discard(self)
        return True

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
                if received:
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
        if self._let_go():
            self._server.handle_first(self._socket, self._address, head, received[end + len(END) :])

    def _too_late(self) -> None:
        if self._received:
            self._refuse(BadRequestError(408, "the head of the request did not come in time"))
        else:
            self.close()  # It never said anything: a browser's spare connection.

    def _refuse(self, error: BadRequestError) -> None:
        """Answer, and throw away what still comes: closing at once would be a reset, which may overtake the answer."""
        log_refusal(self._address, error)
        self._deadline.cancel()
        try:
            self._socket.send(refusal(error.status))
            self._socket.shutdown(sockets.SHUT_WR)
        except OSError:
            self.close()  # It is gone, or takes nothing.
            return
        self._watcher.stop()
        self._watcher.start(self._discard)
        self._deadline = self._server.runtime.flusher.call_later(self.close, LINGER_MS)

    def _discard(self) -> None:
        try:
            if self._socket.recv(_READ_SIZE):
                return
        except BlockingIOError:
            return
        except OSError:
            pass  # A reset ends it as well as the peer's FIN.
        self.close()


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
