"""A real server in a test, and a client of bare sockets to speak to it.

``running_server`` works in every mode: where nothing is patched the server has a native thread with a hub of its own,
so that the test may block; where gevent has patched it shares the test's hub, and the test blocks its greenlet alone.
"""

from __future__ import annotations

import base64
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from kit.mode import is_patched

TIMEOUT = 10.0
"""Seconds a test waits for what must come."""

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def websocket_app(handler: Any, *, options: Any = None, other: Any = None, interceptors: Any = ()) -> Any:
    """A WSGI application with a raw WebSocket handler at every path that begins with /ws; *other* gets the rest."""
    from wellhead.server.handshake.request import HandshakeRequest
    from wellhead.server.handshake.request_handler import WebSocketHttpRequestHandler
    from wellhead.server.transport_options import ENVIRON_KEY

    request_handler = WebSocketHttpRequestHandler(handler, None, interceptors)

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        if not environ["PATH_INFO"].startswith("/ws"):
            if other is not None:
                return other(environ, start_response)
            start_response("404 Not Found", [("Content-Length", "0")])
            return []
        if options is not None:
            environ[ENVIRON_KEY] = options
        response = request_handler.handle(HandshakeRequest(environ))
        return [] if response.upgraded else response.to_wsgi(start_response)

    return app


class RecordingHandler:
    """Records what happens to its sessions; a test waits for it. ``on_message(session, message)`` may do something."""

    supports_partial_messages = False

    def __init__(self, on_message: Callable[[Any, Any], None] | None = None) -> None:
        self.on_message = on_message
        self.events: list[tuple[Any, ...]] = []
        self.sessions: list[Any] = []
        self._changed = threading.Condition()

    def after_connection_established(self, session: Any) -> None:
        self.sessions.append(session)
        self._record("established")

    def handle_message(self, session: Any, message: Any) -> None:
        self._record("message", message.payload)
        if self.on_message is not None:
            self.on_message(session, message)

    def handle_transport_error(self, session: Any, error: BaseException) -> None:
        self._record("error", type(error))

    def after_connection_closed(self, session: Any, status: Any) -> None:
        self._record("closed", status.code, status.because)

    def wait_for(self, name: str, count: int = 1) -> tuple[Any, ...]:
        """The *count*-th event of this name, once it has happened."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.named(name)) >= count, TIMEOUT), f"no {name}: {self.events}"
            return self.named(name)[count - 1]

    def named(self, name: str) -> list[tuple[Any, ...]]:
        return [event for event in self.events if event[0] == name]

    @property
    def messages(self) -> list[Any]:
        return [event[1] for event in self.named("message")]

    def _record(self, *event: Any) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()


class Gate:
    """Holds greenlets of the server until the test opens it, also from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_open = False
        self._waiting: list[tuple[Any, Any]] = []
        self.reached = threading.Event()
        """Set when the first one waits."""

    def wait(self) -> None:
        """In a greenlet of the server."""
        from gevent.event import Event

        from wellhead.server.runtime.flusher import LoopFlusher

        event = Event()
        with self._lock:
            if not self._is_open:
                self._waiting.append((LoopFlusher.of(), event))
            else:
                event.set()
        self.reached.set()
        assert event.wait(TIMEOUT), "the gate was not opened"

    def open(self) -> None:
        with self._lock:
            self._is_open = True
            waiting, self._waiting = self._waiting, []
        for flusher, event in waiting:
            flusher.hand_over(event.set)


def echo(session: Any, message: Any) -> None:
    """For RecordingHandler: sends each message back."""
    session.send_message(message)


class RunningServer:
    """What a test may know of a server that runs."""

    def __init__(self) -> None:
        self.server: Any = None
        self.port = 0
        self.leave: Any = None

    @property
    def runtime(self) -> Any:
        return self.server.runtime

    def call(self, function: Callable[[], Any]) -> Any:
        """Run *function* on the server's thread, in a greenlet that may block, and return its result."""
        return _call_in_greenlet(self.server.runtime.flusher, function)

    def wait_until(self, condition: Callable[[], object]) -> bool:
        """Whether *condition* becomes true; looked at once in each turn of the server's loop."""

        def wait() -> bool:
            import gevent

            with gevent.Timeout(TIMEOUT, False):
                while not condition():
                    gevent.sleep(0)
                return True
            return False

        return bool(self.call(wait))

    def stop(self, timeout_ms: int = 5_000) -> None:
        """Stop gracefully and wait for it. Harmless twice."""
        self.call(lambda: self.server.stop(timeout_ms=timeout_ms))

    def client(self, path: str = "/ws", **options: Any) -> RawClient:
        """A client with its handshake done."""
        return RawClient(self.port, path, **options)


class Patience:
    """Of servers with those who have not sent their first head: it ends when the test says so. A machine that is too
    slow to send in time would change what is tested.
    """

    def __init__(self, monkeypatch: Any) -> None:
        self._now_s = 0.0
        monkeypatch.setattr("wellhead.server.runtime.accepting.monotonic", lambda: self._now_s)

    def end(self, running: RunningServer, client: RawClient, received: bytes) -> None:
        """With *client*, once *received* is what has come from it."""
        address = client.socket.getsockname()

        def has_come() -> bool:
            return any(each._address == address and each._received == received for each in running.server.waiting)

        assert running.wait_until(has_come), f"{received!r} did not come"
        self._now_s += 3_600.0


class Deadline:
    """What is asked for after *delay_ms*, which nothing else in the test uses: the time comes when the test says so."""

    def __init__(self, monkeypatch: Any, delay_ms: float) -> None:
        from wellhead.server.runtime.flusher import LoopFlusher

        self.waiting: list[Callable[[], object]] = []
        call_later = LoopFlusher.call_later

        def asked_for(flusher: Any, function: Callable[[], object], after_ms: float) -> Any:
            if after_ms != delay_ms:
                return call_later(flusher, function, after_ms)
            self.waiting.append(function)
            return call_later(flusher, list, 3_600_000)

        monkeypatch.setattr(LoopFlusher, "call_later", asked_for)

    def comes(self, running: RunningServer) -> None:
        """Asked for once since the last time."""
        [function], self.waiting[:] = self.waiting[:], []
        running.call(function)


@contextmanager
def running_server(app: Any, **options: Any) -> Iterator[RunningServer]:
    """Serve *app* on a free port of 127.0.0.1, with the options of WellheadServer, until the block is left."""
    running = RunningServer()
    thread = None
    if is_patched():
        _start(running, app, options)
    else:
        thread = _start_in_thread(running, app, options)
    try:
        yield running
    finally:
        running.stop(2_000)
        if thread is not None:
            running.runtime.flusher.hand_over(running.leave.set)
            thread.join(TIMEOUT)
            assert not thread.is_alive(), "the server's thread did not end"


def _start(running: RunningServer, app: Any, options: dict[str, Any]) -> None:
    from wellhead.server.runtime.server import WellheadServer

    running.server = WellheadServer(("127.0.0.1", 0), app, **options)
    running.server.start()
    running.port = running.server.port


def _start_in_thread(running: RunningServer, app: Any, options: dict[str, Any]) -> threading.Thread:
    started = threading.Event()
    errors: list[BaseException] = []

    def run() -> None:
        from gevent import get_hub
        from gevent.event import Event

        try:
            running.leave = Event()
            _start(running, app, options)
        except BaseException as error:
            errors.append(error)
            started.set()
            return
        hub = get_hub()
        keep_alive = hub.loop.timer(1e6)  # A hub with nothing to wait for would give up.
        keep_alive.start(lambda: None)
        started.set()
        running.leave.wait()
        keep_alive.close()
        hub.destroy()

    thread = threading.Thread(target=run, name="server", daemon=True)
    thread.start()
    assert started.wait(TIMEOUT), "the server did not start"
    if errors:
        raise errors[0]
    return thread


def _call_in_greenlet(flusher: Any, function: Callable[[], Any]) -> Any:
    import gevent

    if flusher.on_loop_thread:
        return function()
    done = threading.Event()
    result: list[Any] = []

    def run() -> None:
        try:
            result.append((True, function()))
        except BaseException as error:
            result.append((False, error))
        done.set()

    flusher.hand_over(gevent.spawn_raw, run)
    assert done.wait(TIMEOUT), "the server's thread did not answer"
    succeeded, value = result[0]
    if not succeeded:
        raise value
    return value


class RawClient:
    """A WebSocket client of one socket, which does what it is told, right or wrong. All reads have a timeout."""

    def __init__(
        self,
        port: int,
        path: str = "/ws",
        *,
        handshake: bool = True,
        headers: tuple[tuple[str, str], ...] = (),
        first_bytes: bytes = b"",
        receive_buffer: int | None = None,
        timeout: float = TIMEOUT,
        tls_context: Any = None,
    ) -> None:
        """*first_bytes* go into the same write as the handshake; with handshake=False nothing is sent."""
        self.socket = socket.socket()
        self.buffer = b""
        self.response = b""
        try:
            self._connect(port, timeout, receive_buffer, tls_context)
            if handshake:
                self.socket.sendall(handshake_request(port, path, headers) + first_bytes)
                self.response = self.receive_head()
                assert self.status == 101, self.response
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close_socket()

    @property
    def status(self) -> int:
        """Of the response to the handshake."""
        return int(self.response.split(b" ", 2)[1])

    def header(self, name: str) -> str | None:
        """Of the response to the handshake."""
        for line in self.response.decode("latin-1").split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return None

    # Sending

    def send_bytes(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send(self, payload: str | bytes) -> None:
        """A whole text or binary message."""
        if isinstance(payload, str):
            self.send_bytes(frame(TEXT, payload.encode()))
        else:
            self.send_bytes(frame(BINARY, payload))

    def send_frame(self, opcode: int, payload: bytes = b"", **bits: Any) -> None:
        self.send_bytes(frame(opcode, payload, **bits))

    def send_close(self, code: int = 1000, reason: str = "") -> None:
        self.send_frame(CLOSE, struct.pack("!H", code) + reason.encode())

    # Receiving

    def receive_bytes(self, size: int) -> bytes:
        """Exactly so many. Raises EOFError when the stream ends before."""
        while len(self.buffer) < size:
            self._read_more()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def receive_head(self) -> bytes:
        """An HTTP head, its empty line included."""
        while b"\r\n\r\n" not in self.buffer:
            self._read_more()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return head + b"\r\n\r\n"

    def receive_all(self) -> bytes:
        """Everything until the end of the stream."""
        try:
            while True:
                self._read_more()
        except EOFError:
            data, self.buffer = self.buffer, b""
            return data

    def receive_frame(self) -> tuple[int, bytes]:
        """Opcode and payload of a frame, which must be final and unmasked."""
        first, second = self.receive_bytes(2)
        assert first & 0x80, "a fragment"
        assert not second & 0x80, "masked by the server"
        length = second
        if length == 126:
            (length,) = struct.unpack("!H", self.receive_bytes(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self.receive_bytes(8))
        return first & 0x0F, self.receive_bytes(length)

    def receive(self) -> str | bytes:
        """A message; pings and pongs before it are passed over."""
        while True:
            opcode, payload = self.receive_frame()
            if opcode == TEXT:
                return payload.decode()
            if opcode == BINARY:
                return payload
            assert opcode in (PING, PONG), f"opcode {opcode}: {payload!r}"

    def receive_close(self) -> tuple[int, str]:
        """Code and reason of the close frame that comes next (1005 when it has none), and the end of the stream."""
        opcode, payload = self.receive_frame()
        assert opcode == CLOSE, f"opcode {opcode}: {payload[:100]!r}"
        if not payload:
            return 1005, ""
        return struct.unpack("!H", payload[:2])[0], payload[2:].decode()

    def at_end(self) -> bool:
        """Whether nothing comes any more; waits for the end of the stream."""
        return not self.receive_all()

    def close_socket(self) -> None:
        """Without a close frame."""
        self.socket.close()

    def reset(self) -> None:
        """Vanish with an RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _connect(self, port: int, timeout: float, receive_buffer: int | None, tls_context: Any) -> None:
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect(("127.0.0.1", port))
        if tls_context is not None:
            self.socket = tls_context.wrap_socket(self.socket, server_hostname="localhost")

    def _read_more(self) -> None:
        try:
            data = self.socket.recv(64 * 1024)
        except ConnectionResetError:
            raise EOFError("reset") from None
        if not data:
            raise EOFError("the server ended the stream")
        self.buffer += data


def handshake_request(
    port: int, path: str = "/ws", headers: tuple[tuple[str, str], ...] = (), *, key: str | None = None
) -> bytes:
    """The head of a good handshake; *headers* are added, or replace those of the same name."""
    lines = {
        "Host": f"127.0.0.1:{port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": key or base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Version": "13",
    }
    lines.update(headers)
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"GET {path} HTTP/1.1\r\n{text}\r\n".encode("latin-1")


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bool = True, length: int | None = None
) -> bytes:
    """A client's frame. *length* announces another one than the payload's."""
    size = len(payload) if length is None else length
    bit = 0x80 if mask else 0
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    if size < 126:
        head = struct.pack("!BB", first, bit | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", first, bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, bit | 127, size)
    if not mask:
        return head + payload
    key = os.urandom(4)
    masked = int.from_bytes(payload, "big") ^ int.from_bytes((key * (len(payload) // 4 + 1))[: len(payload)], "big")
    return head + key + masked.to_bytes(len(payload), "big")
