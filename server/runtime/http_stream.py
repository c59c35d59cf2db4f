"""Responses that wait without a greenlet: implements ``HttpStreamHost`` and ``HttpStream`` of SockJS on this server.

Beside the WebSocket connection. While the application handles the request what it writes is gathered; when it returns,
and the response is not finished, the socket leaves pywsgi's handler for the loop's hands, as with an upgrade. When the
response has ended the connection goes back, to wait for its next request. Everything here happens on the loop's thread.
"""

from __future__ import annotations

import logging
import socket as sockets
import time
from collections.abc import Callable, Sequence
from email.utils import formatdate
from functools import partial
from typing import TYPE_CHECKING, Any

from gevent import spawn_raw  # type: ignore[import-untyped]  # no type information

from ...messaging.exceptions import TaskRejectedError
from ..close import CloseStatus
from ..handshake.request import HandshakeResponse
from ..sockjs.stream import StreamListener
from .accepting import LINGER_MS, NextRequest
from .flusher import LoopFlusher
from .sockets import reset_on_close, set_options
from .timers import ScheduledCall
from .tls import TlsSocket, give_back

if TYPE_CHECKING:
    from .handler import WellheadHandler
    from .server import WellheadServer

logger = logging.getLogger(__name__)

_READ = 1
_WRITE = 2
_READ_SIZE = 16 * 1024
_MOST_UNREAD = 64 * 1024
"""Bytes of later requests that are kept while a response waits; then reading stops until it has ended."""
_TIME_LIMIT_MS = 10_000
"""How long a client may take nothing of a finished response, of which nobody above keeps the time."""


class GeventStreamHost:
    """For one request; found in the environ as ``wellhead.http_stream``."""

    __slots__ = ("_http_handler",)

    def __init__(self, http_handler: WellheadHandler) -> None:
        self._http_handler = http_handler

    @property
    def flusher(self) -> LoopFlusher:
        return self._http_handler.server.runtime.flusher

    @property
    def execute(self) -> Callable[[Callable[[], object]], None]:
        """Runs a task by a worker of the sessions. Knows the server alone, so that a session may keep it."""
        return partial(_execute, self._http_handler.server)

    def give_way(self) -> None:
        self.flusher.give_way()

    def end_connection(self) -> None:
        self._http_handler.is_last_response = True

    def open(self) -> tuple[GeventHttpStream, HandshakeResponse]:
        """The response as a stream; whatever else the application answers is thrown away, unless it raises."""
        stream = GeventHttpStream(self._http_handler.server, self._http_handler)
        self._http_handler.stream_when_done(stream)
        response = HandshakeResponse()
        response.upgraded = True  # There is no response left to send.
        return stream, response


class GeventHttpStream:
    """One response of status 200."""

    __slots__ = (
        "_address",
        "_chunked",
        "_deadline",
        "_early",
        "_end_limit",
        "_ended",
        "_finished",
        "_headers",
        "_keep_alive",
        "_listener",
        "_read_watcher",
        "_reading",
        "_rest",
        "_server",
        "_socket",
        "_unsent",
        "_write_watcher",
    )

    def __init__(self, server: WellheadServer, http_handler: WellheadHandler) -> None:
        self._server = server
        self._address = http_handler.client_address
        self._chunked = http_handler.request_version == "HTTP/1.1"
        self._keep_alive = not http_handler.close_connection
        self._headers: Sequence[tuple[str, str]] | None = ()
        """None once the head is written."""
        self._listener: StreamListener | None = None
        self._early: list[bytes] | None = []
        """What was written before the socket came; None since it did."""
        self._socket: Any = None
        self._rest = b""
        """What came behind the request."""
        self._unsent: memoryview | None = None
        self._finished = False
        self._ended = False
        """Whether the connection is not ours any more."""
        self._read_watcher: Any = None
        self._reading = False
        self._write_watcher: Any = None
        self._deadline: ScheduledCall | None = None
        """Of the lingering."""
        self._end_limit: ScheduledCall | None = None

    # What sessions call, from any thread.

    @property
    def pending_bytes(self) -> int:
        unsent = self._unsent
        return len(unsent) if unsent is not None else 0

    def start(self, headers: Sequence[tuple[str, str]], listener: StreamListener) -> None:
        self._headers = headers
        self._listener = listener

    def write(self, data: bytes) -> None:
        flusher = self._server.runtime.flusher
        if not flusher.on_loop_thread:
            flusher.hand_over(self.write, data)
        elif not self._finished:
            self._send(self._take_head(None) + self._chunk(data))

    def finish(self, data: bytes = b"") -> None:
        flusher = self._server.runtime.flusher
        if not flusher.on_loop_thread:
            flusher.hand_over(self.finish, data)
            return
        if self._finished:
            return
        self._finished = True
        if self._headers is not None:
            self._send(self._take_head(len(data)) + data)
            return
        if data:
            data = self._chunk(data)
        if self._chunked:
            data += b"0\r\n\r\n"
        else:
            self._keep_alive = False
        self._send(data)

    def abort(self, status: CloseStatus | None = None) -> None:
        """Cut the connection. *status* is for the server, which cuts all kinds of connections alike."""
        flusher = self._server.runtime.flusher
        if not flusher.on_loop_thread:
            flusher.hand_over(self.abort)
            return
        listener, self._listener = self._listener, None
        self._finished = True
        self._keep_alive = False
        self._cut()
        if status is not None and listener is not None:
            listener.stream_closed(ConnectionAbortedError("the server cut the connection"))

    def close(self, status: CloseStatus) -> None:
        """The server stops and closes all kinds of connections alike."""
        if self._listener is not None and not self._finished:
            self._listener.stream_stopping(status)
        if not self._finished:
            self.finish()

    # What the HTTP handler calls.

    @property
    def is_finished(self) -> bool:
        return self._finished

    @property
    def keeps_alive(self) -> bool:
        """Whether the connection can have another request; known when it is finished."""
        return self._keep_alive

    def take_early(self) -> bytes:
        """All that was written so far."""
        early, self._early = self._early, None
        return b"".join(early or ())

    def take_socket(self, socket: Any, rest: bytes) -> int:
        """Go on with *socket*, which is non-blocking; returns how many bytes were written before."""
        self._socket, self._rest = socket, rest
        self._server.runtime.connections.add(self)  # type: ignore[arg-type]  # has what the server uses of them
        set_options(socket)
        self._read_watcher = self._server.loop.io(socket.fileno(), _READ)
        self._read_on()
        data = self.take_early()
        if data:
            self._send(data)
        closing = self._server.runtime.closing_with
        if closing is not None and not self._ended:
            self.close(closing)
        return len(data)

    # Writing

    def _take_head(self, length: int | None) -> bytes:
        headers, self._headers = self._headers, None
        if headers is None:
            return b""
        if not self._server.is_started:
            self._keep_alive = False
        lines = ["HTTP/1.1 200 OK", *[f"{name}: {value}" for name, value in headers]]
        lines.append(f"Date: {formatdate(time.time(), usegmt=True)}")
        if length is not None:
            lines.append(f"Content-Length: {length}")
            if not self._chunked:
                lines.append(f"Connection: {'keep-alive' if self._keep_alive else 'close'}")
        elif self._chunked:
            lines.append("Transfer-Encoding: chunked")
        else:
            lines.append("Connection: close")
        if self._chunked and not self._keep_alive:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _chunk(self, data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data) if self._chunked and data else data

    def _send(self, data: bytes) -> None:
        if self._early is not None:
            self._early.append(data)
            return
        if self._ended:
            return
        if self._unsent is not None:
            self._unsent = memoryview(b"".join((self._unsent, data)))
            self._limit_the_end()
            return
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._vanished(error)
            return
        if sent == len(data):
            self._all_sent()
            return
        self._unsent = memoryview(data)[sent:]
        self._write_watcher = self._server.loop.io(self._socket.fileno(), _WRITE)
        self._write_watcher.start(self._on_writable)
        self._limit_the_end()

    def _on_writable(self) -> None:
        unsent = self._unsent
        assert unsent is not None, "a write watcher without anything to write"
        try:
            sent = self._socket.send(unsent)
        except BlockingIOError:
            return
        except OSError as error:
            self._vanished(error)
            return
        if sent < len(unsent):
            self._unsent = unsent[sent:]
            return
        self._stop_writing()
        if self._listener is not None:
            self._listener.stream_drained()
        if self._unsent is None and not self._ended:
            self._all_sent()

    def _stop_writing(self) -> None:
        self._unsent = None
        watcher, self._write_watcher = self._write_watcher, None
        if watcher is not None:
            watcher.stop()
            watcher.close()

    # Reading: only to notice the end, and what comes too early.

    def _read_on(self) -> None:
        if not self._reading:
            self._reading = True
            self._read_watcher.start(self._on_readable)

    def _read_no_more(self) -> None:
        if self._reading:
            self._reading = False
            self._read_watcher.stop()

    def _on_readable(self) -> None:
        try:
            data = self._socket.recv(_READ_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self._found_gone(error)
            return
        if not data:
            self._found_gone(EOFError("the connection ended"))
        elif self._deadline is None:  # Not lingering.
            self._rest += data
            if len(self._rest) >= _MOST_UNREAD:
                self._read_no_more()

    def _found_gone(self, error: Exception) -> None:
        self._read_no_more()
        self._server.runtime.vanished.add(self._vanished, error)

    # Ending

    def _all_sent(self) -> None:
        if not self._finished or self._deadline is not None:
            return
        self._listener = None
        self._cancel_end_limit()
        if self._keep_alive and self._server.is_started:
            self._give_back()
            return
        try:
            self._socket.shutdown(sockets.SHUT_WR)
        except OSError:
            self._cut()  # It is gone already.
            return
        self._read_on()
        self._deadline = self._server.runtime.flusher.call_later(self._cut, LINGER_MS)

    def _limit_the_end(self) -> None:
        if self._finished and self._end_limit is None:
            look = partial(self._look_at_end, self.pending_bytes)
            self._end_limit = self._server.runtime.flusher.call_later(look, _TIME_LIMIT_MS)

    def _cancel_end_limit(self) -> None:
        if self._end_limit is not None:
            self._end_limit.cancel()
            self._end_limit = None

    def _look_at_end(self, pending_bytes: int) -> None:
        """A whole limit later: the client is taken for gone unless it took something meanwhile."""
        self._end_limit = None
        if self.pending_bytes >= pending_bytes:
            self._vanished(TimeoutError("the client does not take its response"))
        else:
            self._limit_the_end()

    def _give_back(self) -> None:
        """Let the connection wait for its next request."""
        server, address, rest = self._server, self._address, self._rest
        socket = self._let_go()
        if rest or isinstance(socket, TlsSocket):
            # A greenlet waits for the next request: its beginning is here already, or TLS needs one.
            server.handle_again(give_back(socket), address, rest)
        else:
            NextRequest(server, socket, address)

    def _vanished(self, error: Exception) -> None:
        """The peer is gone. Harmless twice."""
        if self._ended:
            return
        listener, self._listener = self._listener, None
        self._finished = True
        self._keep_alive = False
        self._cut()
        if listener is not None:
            listener.stream_closed(error)

    def _cut(self) -> None:
        """Close the socket. What is unsent is given up, and the peer is then told with a reset."""
        if self._socket is None:
            self._early = []
            return
        if self._ended:
            return
        unsent = self._unsent is not None
        socket = self._let_go()
        if unsent:
            reset_on_close(socket)
        socket.close()

    def _let_go(self) -> Any:
        self._ended = True
        self._read_no_more()
        self._read_watcher.close()
        self._stop_writing()
        if self._deadline is not None:
            self._deadline.cancel()
        self._cancel_end_limit()
        self._server.runtime.forget(self)  # type: ignore[arg-type]  # as it was added
        socket, self._socket = self._socket, None
        return socket


def _execute(server: WellheadServer, task: Callable[[], object]) -> None:
    try:
        server.runtime.workers.execute(task)
    except TaskRejectedError:
        # The pool is shut down. The handler must still hear of the end.
        spawn_raw(task)
