"""The server: accepts connections, starts and stops the application, and ends what is open when it stops.

The frame around the stations: gevent's ``WSGIServer`` with our handler, the shared services of its connections and a
registry of what is open, since upgraded connections are none of pywsgi's any more.
"""

from __future__ import annotations

import _socket
import enum
import errno
import gc
import logging
import sys
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any

from gevent import GreenletExit, Timeout, getcurrent, kill, signal_handler, ssl  # type: ignore[import-untyped]  # no type information
from gevent.event import Event  # type: ignore[import-untyped]  # no type information
from gevent.pywsgi import WSGIServer  # type: ignore[import-untyped]  # no type information
from gevent.socket import socket as GeventSocket  # type: ignore[import-untyped]  # no type information

from ...messaging.exceptions import TaskRejectedError
from ..close import CloseStatus, EndReason
from .accepting import FirstRequest, WaitingConnections
from .access_log import AccessLog
from .applications import Applications
from .executors import GreenletExecutor
from .handler import WellheadHandler
from .memory import MemoryReturn
from .request_head import RequestHead
from .services import Runtime, rest_ms

logger = logging.getLogger("wellhead.server")

_ANY_NUMBER = 1_000_000
_STOPPED = CloseStatus.GOING_AWAY.with_cause(EndReason.SERVER_STOPPED)
_CUT_WAIT_S = 1.0
"""How long those who are cut have to notice, all of them together."""
_RETRY_ACCEPT_MS = 100


class ServerState(enum.Enum):
    """Where a server is in its life; it has one life."""

    NEW = "new"
    STARTED = "started"
    STOPPING = "stopping"
    STOPPED = "stopped"


class WellheadServer(WSGIServer):  # type: ignore[misc]  # no type information
    """An HTTP and WebSocket server for one WSGI application, on the hub of the thread that makes it.

    If the application has ``start(runtime)`` it is called with a `Runtime` before the first connection is accepted; if
    it has ``stop()``, that is called when the server stops. Everything here is to be called on the hub's thread.
    """

    handler_class = WellheadHandler
    backlog = 4096
    max_accept = 256

    def __init__(
        self,
        listener: Any,
        application: Callable[..., Any],
        *,
        # TLS
        ssl_context: Any = None,
        # requests
        header_timeout_ms: int = 10_000,
        keep_alive_ms: int = 60_000,
        # sessions
        max_workers: int = 256,
        # ending
        stop_timeout_ms: int = 10_000,
    ) -> None:
        """
        listener: ``(host, port)`` or a listening socket.
        ssl_context: a server's ``gevent.ssl.SSLContext``; None for plain HTTP.
        header_timeout_ms: how long the head of a request, or a TLS handshake, may take.
        keep_alive_ms: how long a connection may wait for its next request, or for the next piece of a body.
        max_workers: how many sessions can be in their handlers at once.
        stop_timeout_ms: how long `stop` waits by default before it cuts; it returns a second later at the latest.
        """
        tls = {} if ssl_context is None else {"ssl_context": ssl_context, "do_handshake_on_connect": False}
        WSGIServer.__init__(self, listener, application, log=None, error_log=logger, **tls)
        self.environ.setdefault("SERVER_NAME", self.server_host or "localhost")  # Or gevent would ask the DNS.
        self._state = ServerState.NEW
        self.header_timeout_ms = header_timeout_ms
        self.keep_alive_ms = keep_alive_ms
        self.stop_timeout_ms = stop_timeout_ms
        self.runtime = Runtime(max_workers=max_workers)
        """What the application's ``start`` is given."""
        self.waiting = WaitingConnections(self.runtime.flusher, header_timeout_ms)
        """Connections that have not sent a whole head yet."""
        self.handshaking: set[Any] = set()
        """Greenlets in the handshake of TLS."""
        self._applications = Applications(application, self.runtime)
        self.handlers: set[WellheadHandler] = set()
        """Connections with a request under way, or waiting for the next one."""
        # A request keeps its worker as long as it runs, and may run for long: there is always another one.
        self._http_workers = GreenletExecutor(
            core_pool_size=_ANY_NUMBER, thread_name_prefix="wellhead-http-", keep_alive_seconds=10, hub=self.runtime.hub
        )

        self.access_log = AccessLog(self.runtime.flusher, self._http_workers.execute)

    @property
    def port(self) -> int:
        """The port that is listened on, also when 0 was asked for."""
        return int(self.address[1])

    @property
    def state(self) -> ServerState:
        return self._state

    @property
    def is_started(self) -> bool:
        """Whether connections may have another request."""
        return self._state is ServerState.STARTED

    def start(self) -> None:
        """Listen, start the application, accept. Raises OSError when the address is not to be had."""
        if self._state is not ServerState.NEW:
            raise RuntimeError(f"The server is {self._state.value}")
        self.init_socket()
        raise_file_limit()
        try:
            self._applications.start()
            WSGIServer.start(self)
        except BaseException:
            self.close()
            raise
        self._move(ServerState.STARTED)

    def stop(self, timeout: float | None = None, *, timeout_ms: int | None = None) -> None:
        """Stop accepting, stop the application, close all sessions with 1001, and wait until they have ended.

        Requests under way and handlers may finish and buffers are written within *timeout_ms* (or *timeout*, in
        seconds, which is gevent's); each connection then ends with the answer to its request. What is still there when
        this time is over is cut and has one second to notice, then this returns, whoever still runs. So a process that
        is killed some time after its SIGTERM needs a *timeout_ms* that is more than a second shorter.

        Does nothing unless the server is started.
        """
        if self._state is not ServerState.STARTED:
            return
        self._move(ServerState.STOPPING)
        if timeout_ms is None:
            timeout_ms = self.stop_timeout_ms if timeout is None else int(timeout * 1000)
        deadline = monotonic() + timeout_ms / 1000.0
        self.close()
        for waiting in list(self.waiting):
            waiting.close()
        for handler in list(self.handlers):
            if handler.idle:
                kill(handler.greenlet)
        for greenlet in list(self.handshaking):
            kill(greenlet)
        self.runtime.closing_with = _STOPPED
        self._applications.stop(rest_ms(deadline))
        for connection in list(self.runtime.connections):
            connection.close(_STOPPED)
        # Requests first: each may still become a connection.
        ended = self._http_workers.shutdown(wait_ms=rest_ms(deadline))
        ended = self.runtime.wait_for_connections(rest_ms(deadline)) and ended
        deadline += _CUT_WAIT_S
        if not ended:
            self.cut()
            self.runtime.wait_for_connections(rest_ms(deadline))
            self._http_workers.shutdown(wait_ms=rest_ms(deadline))
        self.runtime.shutdown(wait_ms=rest_ms(deadline))
        self.access_log.write()
        self._move(ServerState.STOPPED)

    def cut(self) -> None:
        """End all connections at once, and the requests on them. Does not wait; a `stop` that does goes on sooner."""
        left = list(self.runtime.connections)
        if left or self.handlers:
            logger.warning("%d sessions and %d requests are cut", len(left), len(self.handlers))
        for connection in left:
            connection.abort(_STOPPED)
        for handler in list(self.handlers):
            if handler.greenlet is not getcurrent():
                kill(handler.greenlet)

    def adopt(self, application: Any) -> bool:
        """Start an application that the server was not given itself, and stop it with the server; False if it was
        started before, or the server stops.
        """
        return self.is_started and self._applications.adopt(application)

    # Accepting

    @classmethod
    def get_listener(cls, address: Any, backlog: int | None = None, family: int | None = None) -> Any:
        """gevent's hook: the listening socket. Raises OSError when the address is not to be had."""
        socket = GeventSocket(_socket.AF_INET if family is None else family)
        try:
            socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
            socket.bind(address)
            socket.listen(cls.backlog if backlog is None else backlog)
            socket.setblocking(False)
        except OSError:
            socket.close()
            raise
        return socket

    def do_read(self) -> tuple[int, Any] | None:
        """gevent's hook: accept one connection."""
        try:
            descriptor, address = self.socket._accept()
        except BlockingIOError:
            return None
        return descriptor, address

    def do_handle(self, descriptor: int, address: Any) -> None:
        """gevent's hook: go on with an accepted connection."""
        family = self.socket.family
        if self.ssl_args is not None:
            encrypted = GeventSocket(family, _socket.SOCK_STREAM, 0, descriptor)
            self.execute(partial(self._handle_tls, encrypted, address), encrypted)
        else:
            socket = _socket.socket(family, _socket.SOCK_STREAM, 0, descriptor)
            socket.setblocking(False)
            FirstRequest(self, socket, address)

    def handle_first(self, socket: Any, watcher: Any, address: Any, head: RequestHead, rest: bytes) -> None:
        """Handle a connection whose first request's head has come; *watcher* is the loop's on it, stopped."""
        self.execute(self.handler_class(socket, address, self, watcher, head, rest).handle, socket)

    def handle_again(self, socket: Any, address: Any, rest: bytes) -> None:
        """Handle further requests on gevent's *socket*; *rest* is what came already."""
        self.execute(self.handler_class(socket, address, self, rest=rest).handle, socket)

    def _do_read(self) -> None:
        """gevent's loop of accepts; errors are a log line here."""
        for _ in range(self.max_accept):
            try:
                accepted = self.do_read()
            except ConnectionError:
                continue  # The client went away before it was accepted.
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    raise
                logger.error("Cannot accept a connection: %s", error.strerror)
                self.stop_accepting()
                self.runtime.flusher.call_later(self._start_accepting_if_started, _RETRY_ACCEPT_MS)
                return
            if accepted is None:
                return
            self.do_handle(*accepted)

    def _handle_tls(self, socket: Any, address: Any) -> None:
        if not self.is_started:  # It stopped before this had its turn.
            socket.close()
            return
        greenlet = getcurrent()
        self.handshaking.add(greenlet)
        try:
            with Timeout(self.header_timeout_ms / 1000.0):
                socket = self.wrap_socket(socket, **self.ssl_args)
                socket.do_handshake()
        except (OSError, Timeout, GreenletExit) as error:
            logger.info("TLS handshake with %s failed: %r", address, error)
            socket.close()
            return
        finally:
            self.handshaking.discard(greenlet)
        self.handler_class(socket, address, self, is_new=True).handle()

    def execute(self, task: Callable[[], object], socket: Any) -> None:
        """Run *task* by a worker for requests; closes its *socket* when the server has stopped in this very turn."""
        try:
            self._http_workers.execute(task)
        except TaskRejectedError:
            logger.debug("A connection came while the server was stopping")
            socket.close()

    def _move(self, state: ServerState) -> None:
        logger.debug("Server on %s: %s -> %s", self.address, self._state.value, state.value)
        self._state = state


def serve(
    app: Callable[..., Any],
    host: str = "127.0.0.1",
    port: int = 8080,
    *,
    # TLS
    certfile: str | None = None,
    keyfile: str | None = None,
    # requests
    header_timeout_ms: int = 10_000,
    keep_alive_ms: int = 60_000,
    # sessions
    max_workers: int = 256,
    # ending
    stop_timeout_ms: int = 10_000,
) -> None:
    """Serve *app* until SIGTERM or SIGINT, which stop gracefully; a second one cuts what is still open.

    With *certfile* (and *keyfile*, unless the key is in the same file) over TLS. The other options are those of
    `WellheadServer`. Says on stderr where it listens. In another thread than the main one there are no signals; it then
    serves until something ends the thread.

    Raises:
        OSError: the address is not to be had, or the certificate cannot be read.
    """
    server = WellheadServer(
        (host, port),
        app,
        ssl_context=None if certfile is None else server_context(certfile, keyfile),
        header_timeout_ms=header_timeout_ms,
        keep_alive_ms=keep_alive_ms,
        max_workers=max_workers,
        stop_timeout_ms=stop_timeout_ms,
    )
    wanted = Event()

    def on_signal() -> None:
        if wanted.is_set():
            server.cut()
        wanted.set()

    server.start()
    spare_garbage_collector()
    MemoryReturn(server).start()
    signals = _watch_signals(on_signal) if server.runtime.hub.main_hub else []
    shown = f"[{host}]" if ":" in host else host
    print(f"wellhead listens on http{'s' if certfile else ''}://{shown}:{server.port}", file=sys.stderr, flush=True)
    try:
        wanted.wait()
    finally:
        server.stop()
        for watcher in signals:
            watcher.cancel()


def server_context(certfile: str, keyfile: str | None = None) -> Any:
    """A TLS context for a server, which speaks HTTP/1.1. Raises OSError when the certificate cannot be read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certfile, keyfile)
    context.set_alpn_protocols(["http/1.1"])
    return context


def spare_garbage_collector() -> None:
    """Tune the collector of cyclic garbage for a process that serves: it need not look at the program itself again, nor
    at each turn of messages that are gone before the next one.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def raise_file_limit() -> None:
    """Let this process open as many files as the system allows it: each connection is one."""
    try:
        import resource
    except ImportError:
        return  # Not a Unix.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError) as error:
            logger.debug("The limit of open files stays at %d: %s", soft, error)


def _watch_signals(on_signal: Callable[[], None]) -> list[Any]:
    import signal

    return [signal_handler(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)]
