"""The HTTP handler: calls the WSGI application for each request, and lets go of connections that are upgraded.

The second station of the server. gevent-websocket's ``WebSocketHandler`` inside ``gevent.pywsgi``, with the upgrade
moved to where the application asks for it, a head parser of our own, clients' mistakes answered and logged in one line,
and an access log.
"""

from __future__ import annotations

import io
import logging
import socket as sockets
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from gevent import GreenletExit, Timeout, getcurrent  # type: ignore[import-untyped]  # no type information
from gevent.pywsgi import Input  # type: ignore[import-untyped]  # no type information
from geventwebsocket.exceptions import WebSocketError  # type: ignore[import-untyped]  # no type information
from geventwebsocket.handler import WebSocketHandler  # type: ignore[import-untyped]  # no type information

from ..close import CloseStatus
from ..handshake.request import HandshakeResponse
from ..handshake.upgrade import UPGRADE_KEY
from ..sockjs.stream import STREAM_KEY
from .accepting import LINGER_MS, log_refusal, refusal
from .connection import WebSocketConnection
from .http_stream import GeventHttpStream, GeventStreamHost
from .legacy import WEBSOCKET_KEY, LegacyWebSocket
from .request_head import END, MAX_HEAD, BadRequestError, RequestHead, check_beginning, is_nothing_yet, parse_head
from .tls import SocketStream, give_back, take_over
from .upgrade import GeventUpgradeStrategy, Upgrade

if TYPE_CHECKING:
    from .server import WellheadServer

logger = logging.getLogger("wellhead.server")

_NO_BODY = Input(io.BytesIO(), 0)
"""Of all requests for WebSocket, which are refused when they have one: nothing changes in it."""


class WellheadHandler(WebSocketHandler):  # type: ignore[misc]  # no type information
    """Handles the HTTP requests of one connection; used by one greenlet."""

    server: WellheadServer
    _raw: Any = None
    _watcher: Any = None
    _gevent_socket: Any = None
    _head: RequestHead | None = None
    _upgrade: Upgrade | None = None
    _stream: GeventHttpStream | None = None
    environ: dict[str, Any] | None = None
    wsgi_input: Any = None
    rfile: Any = None
    """A buffered reader of the connection, made when needed: an upgrade does not."""
    response_headers: list[tuple[bytes, bytes]]
    legacy: LegacyWebSocket | None = None
    """What an application written for gevent-websocket uses, once it did."""
    is_last_response = False
    """Whether the connection ends after the present response."""
    legacy_refusal: HandshakeResponse | None = None
    """What to answer when its handshake was not good."""

    def __init__(
        self,
        socket: Any,
        address: Any,
        server: WellheadServer,
        watcher: Any = None,
        head: RequestHead | None = None,
        rest: bytes = b"",
        *,
        is_new: bool = False,
    ) -> None:
        """With *head*: *socket* is a raw one that *watcher* watched, the first head is read already and *rest* came
        behind it. Without: it is gevent's, and waits for its first request if *is_new*, else for its next one.
        """
        self.client_address = address
        self.server = server
        self._is_new = is_new
        self._rest = rest
        self._head = head
        if head is not None:
            self._raw = socket
            self._watcher = watcher
        else:
            self._gevent_socket = socket

    @property
    def socket(self) -> Any:
        """gevent's socket, made when needed: an upgrade does not. None when the connection is not ours any more."""
        if self._gevent_socket is None and self._raw is not None:
            raw, self._raw = self._raw, None
            self._close_watcher()
            self._gevent_socket = give_back(raw)
        return self._gevent_socket

    def _close_watcher(self) -> None:
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.close()

    idle = False
    """Whether it waits for the next request, or for the rest of its head."""

    @property
    def upgrading(self) -> bool:
        """Whether this request is, or will be, answered with 101 or as a stream."""
        return self._upgrade is not None or self.legacy is not None or self._stream is not None

    def upgrade_when_done(self, upgrade: Upgrade) -> None:
        """Answer 101 and give the connection away when the application has returned."""
        self._upgrade = upgrade

    def stream_when_done(self, stream: GeventHttpStream) -> None:
        """Answer with *stream*, and give the connection to it, when the application has returned."""
        self._stream = stream

    def handle(self) -> None:
        """Handle requests until the connection ends or is upgraded."""
        self.greenlet = getcurrent()
        handlers = self.server.handlers
        handlers.add(self)
        try:
            while self.handle_one_request():
                pass
        except GreenletExit:
            logger.debug("HTTP connection of %s is cut", self.client_address)
        except OSError:
            logger.debug("HTTP connection of %s broke", self.client_address, exc_info=True)
        finally:
            handlers.discard(self)
            self._close_socket()

    def handle_one_request(self) -> bool:
        """Whether there may be another one."""
        try:
            head = self._head or self._next_head()
            self._head = None
        except BadRequestError as error:
            self._refuse(error)
            return False
        if head is None:
            return False
        self.time_finish = 0
        self.requestline = head.request_line
        self.command, self.path, self.request_version = head.method, head.target, head.version
        self.close_connection = not head.keeps_alive
        self.is_last_response = False
        self.environ = self._environ_of(head)
        self.application = self.server.application
        self.handle_one_response()
        if self._stream is not None:  # The application failed, or the connection did, before the response was out.
            self._stream.abort(CloseStatus.SERVER_ERROR)
            self._stream = None
        return not self.close_connection

    def run_application(self) -> None:
        """Call the application; what it returns is the response, unless the connection was upgraded."""
        try:
            self.result = self.application(self.environ, self.start_response)
            if self._upgrade is None and not self.upgrading:
                self.process_result()
        except WebSocketError:
            if self.legacy is None and self.legacy_refusal is None:
                raise
            logger.debug("%s was left with an error of its WebSocket", self.requestline, exc_info=True)
        except BaseException:
            if self.legacy is not None:
                self.legacy.close(CloseStatus.SERVER_ERROR.code)
            raise
        finally:
            self._close_result()
        if self._upgrade is not None:
            self._switch_protocols(self._upgrade)
        elif self._stream is not None:
            self._answer_with(self._stream)
        elif self.legacy is not None:
            self.legacy.close()
        elif self.legacy_refusal is not None and not self.headers_sent:
            self.result = self.legacy_refusal.to_wsgi(self.start_response)
            self.process_result()

    def finalize_headers(self) -> None:
        """pywsgi's hook before the head of a response: while the server stops this one is the connection's last."""
        WebSocketHandler.finalize_headers(self)
        if self.is_last_response or not self.server.is_started:
            self.close_connection = True
            others = [header for header in self.response_headers if header[0].lower() != b"connection"]
            self.response_headers = [*others, (b"Connection", b"close")]

    def log_request(self) -> None:
        """pywsgi's hook for the access log."""
        address = self.client_address
        host = address[0] if isinstance(address, tuple) else address or "-"
        took_ms = (self.time_finish - self.time_start) * 1000.0
        self.server.access_log.add(host, self.requestline, abs(self.code or 0), self.response_length, took_ms)

    # The upgrade

    def answer_101(self, response: bytes) -> tuple[Any, Any, bytes]:
        """Send *response* and give the connection away: its socket, which is non-blocking, a watcher for its reads or
        None, and what was read already.

        Nobody here reads, writes or closes it any more.
        """
        self.close_connection = True
        self._orig_status = self.status = "101 Switching Protocols"
        self.code = 101
        self.headers_sent = True
        self.response_length = len(response)
        socket, watcher, rest = self._raw, self._watcher, self._rest
        if socket is None:
            socket, rest = take_over(self._gevent_socket, self._body_file())
        try:
            if socket.send(response) != len(response):
                raise BrokenPipeError("the peer does not take the answer to its handshake")
        except OSError:
            self._close_watcher()
            socket.close()
            raise
        finally:
            self._raw = self._gevent_socket = self._watcher = None
        return socket, watcher, rest

    def _switch_protocols(self, upgrade: Upgrade) -> None:
        response = upgrade.response()
        socket, watcher, rest = self.answer_101(response)
        upgrade.make(WebSocketConnection, self.server.runtime, socket).start(rest, watcher)

    # Streams: responses that wait, as SockJS has them.

    def _answer_with(self, stream: GeventHttpStream) -> None:
        """Send a response that is finished already; else let the loop have the socket, and end this greenlet."""
        self._orig_status = self.status = "200 OK"
        self.code = 200
        self.headers_sent = True
        try:
            self.wsgi_input._discard()
        except OSError as error:  # the client left in the middle of its request: whoever called ends the stream
            logger.debug("%s left before the end of its request: %s", self.client_address, error)
            self.close_connection = True
            return
        if stream.is_finished:
            data = stream.take_early()
            self.response_length = len(data)
            self.close_connection = not stream.keeps_alive
            self.socket.sendall(data)
            self._stream = None
            return
        self.close_connection = True
        socket, rest = take_over(self.socket, self._body_file())
        self._raw = self._gevent_socket = self._stream = None
        self.response_length = stream.take_socket(socket, rest)

    def _close_result(self) -> None:
        result, self.result = self.result, None
        close = getattr(result, "close", None)
        if close is not None:
            close()

    def _prepare_response(self) -> None:
        """The package's hook for responses of upgraded connections; ours do not come that way."""

    # Requests

    def _next_head(self) -> RequestHead | None:
        """Read a head in this greenlet. None at the end of the connection, when nothing came in time, and when the
        server stops.
        """
        server = self.server
        if not server.is_started:
            return None
        patience_ms = server.header_timeout_ms if self._is_new else server.keep_alive_ms
        received = bytearray()
        self.idle = True
        self._is_new = False
        try:
            with Timeout(patience_ms / 1000.0):
                self._body_file().peek()
            with Timeout(server.header_timeout_ms / 1000.0):
                data = self._read_head(received)
            return None if data is None else parse_head(data)
        except Timeout:
            if is_nothing_yet(received):
                return None
            raise BadRequestError(408, "the head of the request did not come in time") from None
        finally:
            self.idle = False

    def _read_head(self, received: bytearray) -> bytes | None:
        """Read up to the end of the head and no further; *received* has what came, also when the caller gives up. None
        when the connection ends before.
        """
        rfile = self.rfile
        while True:
            more: bytes = rfile.peek()
            if not more:
                if is_nothing_yet(received):
                    return None
                raise BadRequestError(400, "the connection ended within the head of a request")
            before = len(received)
            received += more
            end = received.find(END)
            if end >= 0:
                rfile.read(end + len(END) - before)
                return bytes(received[:end])
            rfile.read(len(more))
            check_beginning(received)

    def _environ_of(self, head: RequestHead) -> dict[str, Any]:
        environ: dict[str, Any] = self.server.get_environ()
        environ.update(head.environ)
        path, _, query = head.target.partition("?")
        environ["REQUEST_METHOD"] = head.method
        environ["PATH_INFO"] = unquote_to_bytes(path).decode("latin-1") if "%" in path else path
        environ["QUERY_STRING"] = query
        environ["SERVER_PROTOCOL"] = head.version
        address = self.client_address
        if isinstance(address, tuple):
            environ["REMOTE_ADDR"] = address[0]
            environ["REMOTE_PORT"] = str(address[1])
        environ[UPGRADE_KEY] = GeventUpgradeStrategy(self)
        environ[STREAM_KEY] = GeventStreamHost(self)
        if head.wants_websocket:
            environ[WEBSOCKET_KEY] = LegacyWebSocket(self, environ)
            environ["wsgi.input"] = self.wsgi_input = _NO_BODY
            return environ
        wants_continue = environ.get("HTTP_EXPECT", "").lower() == "100-continue"
        self.wsgi_input = Input(
            self._body_file(), head.content_length, self.socket if wants_continue else None, head.chunked
        )
        environ["wsgi.input"] = self.wsgi_input
        environ["wsgi.input_terminated"] = True
        return environ

    def _body_file(self) -> Any:
        """A buffered reader that begins with what came behind the first head."""
        if self.rfile is None:
            server = self.server
            patience_ms = max(server.keep_alive_ms, server.header_timeout_ms)
            rest, self._rest = self._rest, b""
            self.rfile = io.BufferedReader(SocketStream(self.socket, rest, patience_ms=patience_ms))
        return self.rfile

    # Errors

    def _refuse(self, error: BadRequestError) -> None:
        """Answer, and throw away what still comes: closing at once would be a reset, which may overtake the answer."""
        log_refusal(self.client_address, error)
        with Timeout(LINGER_MS / 1000.0, False):
            self.socket.sendall(refusal(error.status))
            self._shut_writing()
            while self.rfile.read1(MAX_HEAD):
                pass

    def _shut_writing(self) -> None:
        if not hasattr(self.socket, "unwrap"):  # TLS has its own end, which closing the socket sends.
            self.socket.shutdown(sockets.SHUT_WR)

    def _log_error(self, kind: Any, error: Any, traceback: Any) -> None:
        """pywsgi's hook for errors of the application, which the client sees as 500."""
        if not issubclass(kind, GreenletExit):
            logger.error("Error while handling %s", self.requestline, exc_info=(kind, error, traceback))

    def _handle_client_error(self, error: Exception) -> None:
        """pywsgi's hook for a malformed body."""
        log_refusal(self.client_address, BadRequestError(400, str(error) or error.__class__.__name__))

    def _close_socket(self) -> None:
        socket = self._raw if self._gevent_socket is None else self._gevent_socket
        self._raw = self._gevent_socket = None
        if socket is not None:
            self._close_watcher()
            try:
                socket.close()
            except OSError:
                logger.debug("Closing the connection of %s failed", self.client_address, exc_info=True)
        self._forget_request()

    def _forget_request(self) -> None:
        """Break the circles through the environ: each handshake would leave one to the garbage collector."""
        environ = self.environ
        self._upgrade = self.legacy = self.environ = self.wsgi_input = self.rfile = None
        if environ is not None:
            environ.pop(WEBSOCKET_KEY, None)
            environ.pop(UPGRADE_KEY, None)
