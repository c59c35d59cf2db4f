"""Reading from gevent's sockets and taking them over, TLS ones too.

The station between the HTTP handler and the connection, for connections that did not come with their first request:
under TLS, and upgrades on a connection that was used before. A TLS connection needs no greenlet either: gevent's
SSLSocket with a timeout of 0 says what it waits for, and `TlsSocket` makes a plain non-blocking socket out of that.
"""

from __future__ import annotations

import _socket
import errno
import io
import logging
from typing import Any

from gevent import ssl  # type: ignore[import-untyped]  # no type information
from gevent.socket import socket as GeventSocket  # type: ignore[import-untyped]  # no type information

logger = logging.getLogger(__name__)


def take_over(socket: Any, rfile: Any) -> tuple[Any, bytes]:
    """Of gevent's *socket* and the buffered `SocketStream` on it: a non-blocking socket, and all that nobody has used
    of what came already.
    """
    socket.settimeout(0.0)
    rest: bytes = rfile.peek() + rfile.raw.take_beginning()
    if isinstance(socket, ssl.SSLSocket):
        return TlsSocket(socket), rest + _decrypted(socket)
    family, type_, proto = socket.family, socket.type, socket.proto
    raw = _socket.socket(family, type_, proto, socket.detach())
    raw.setblocking(False)
    return raw, rest


def give_back(socket: Any) -> Any:
    """Of a socket that was taken over: gevent's again, whose methods wait."""
    if isinstance(socket, TlsSocket):
        encrypted = socket.encrypted
        encrypted.settimeout(None)
        return encrypted
    family, type_, proto = socket.family, socket.type, socket.proto
    return GeventSocket(family, type_, proto, socket.detach())


def _decrypted(socket: Any) -> bytes:
    """What OpenSSL has decrypted and nobody has read: the kernel does not call that readable."""
    pending = socket.pending()
    return bytes(socket.recv(pending)) if pending else b""


class SocketStream(io.RawIOBase):
    """A raw stream to read from gevent's *socket*, plain or TLS; *beginning* was read before and comes first.

    A read that brings nothing for *patience_ms* raises ConnectionResetError: who is silent within a body would keep a
    greenlet for ever.
    """

    def __init__(self, socket: Any, beginning: bytes = b"", *, patience_ms: int) -> None:
        self._socket = socket
        self._beginning = beginning
        self._patience_ms = patience_ms

    def take_beginning(self) -> bytes:
        """What is left of *beginning*, which is not read from here then."""
        beginning, self._beginning = self._beginning, b""
        return beginning

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        beginning = self._beginning
        if beginning:
            size = min(len(buffer), len(beginning))
            buffer[:size] = beginning[:size]
            self._beginning = beginning[size:]
            return size
        socket = self._socket
        waits = socket.gettimeout() is None
        if waits:
            socket.settimeout(self._patience_ms / 1000.0)
        try:
            received: int = socket.recv_into(buffer)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None  # RawIOBase's word for "nothing yet", once the socket is non-blocking.
        except TimeoutError as error:
            logger.info("Nothing came from %s for %d ms", socket.getpeername(), self._patience_ms)
            raise ConnectionResetError(errno.ECONNRESET, "The peer fell silent") from error
        finally:
            if waits:
                socket.settimeout(None)
        return received


class TlsSocket:
    """The methods of a non-blocking socket that a connection uses, on a TLS socket.

    Reads ask for more than a TLS record holds, so that OpenSSL never keeps decrypted bytes back; that is why
    readability of the descriptor is all there is to wait for. What has to be written to go on reading (TLS 1.3 key
    updates) goes out with the next write.
    """

    __slots__ = ("_socket", "_ended")

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._ended = False

    @property
    def encrypted(self) -> Any:
        """gevent's SSLSocket itself."""
        return self._socket

    @property
    def family(self) -> int:
        return int(self._socket.family)

    def fileno(self) -> int:
        return int(self._socket.fileno())

    def getsockname(self) -> Any:
        return self._socket.getsockname()

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        self._socket.setsockopt(level, option, value)

    def recv(self, size: int) -> bytes:
        """As ``socket.recv``; after `shutdown` the bytes are not decrypted any more, only taken from the kernel."""
        if self._ended:
            return bytes(self._socket._sock.recv(size))
        try:
            return bytes(self._socket.recv(size))
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None
        except ssl.SSLEOFError:
            return b""

    def send(self, data: bytes | memoryview) -> int:
        """As ``socket.send``. After BlockingIOError it must be called with the same bytes, more may follow them."""
        if not data:
            return 0
        try:
            return int(self._socket.write(data))
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None

    def shutdown(self, how: int) -> None:
        """Say that nothing more will come, in TLS and in TCP."""
        try:
            self._socket.unwrap()
        except (OSError, ValueError) as error:
            # As a rule "want read": ours is said, the peer's own end is not waited for here.
            logger.debug("TLS end: %s", error)
        self._ended = True
        self._socket._sock.shutdown(how)

    def close(self) -> None:
        self._socket.close()
