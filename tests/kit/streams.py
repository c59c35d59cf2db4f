"""A SockJS service in memory: streams without sockets, a loop that is turned by hand, a clock that is moved by hand."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from kit.flushing import ManualFlusher
from kit.handshakes import make_environ
from kit.scheduling import ManualTaskScheduler
from wellhead.server.handshake.request import HandshakeRequest, HandshakeResponse
from wellhead.server.sockjs.options import SockJsOptions
from wellhead.server.sockjs.service import SockJsService
from wellhead.server.sockjs.stream import STREAM_KEY


class FakeStream:
    """Records what is written. While ``blocked`` what is written is pending, until ``drain``."""

    def __init__(self) -> None:
        self.headers: list[tuple[str, str]] = []
        self.listener: Any = None
        self.written: list[bytes] = []
        self.finished = False
        self.aborted = False
        self.blocked = False
        self.pending_bytes = 0

    @property
    def body(self) -> bytes:
        return b"".join(self.written)

    def take(self) -> bytes:
        """What was written since the last call."""
        data, self.written = self.body, []
        return data

    def start(self, headers: Any, listener: Any) -> None:
        self.headers, self.listener = list(headers), listener

    def write(self, data: bytes) -> None:
        assert not self.finished, "written after the end"
        self.written.append(data)
        if self.blocked:
            self.pending_bytes += len(data)

    def finish(self, data: bytes = b"") -> None:
        if not self.finished:
            if data:
                self.write(data)
            self.finished = True

    def abort(self) -> None:
        self.finished = self.aborted = True

    # What happens to it.

    def drain(self) -> None:
        self.blocked = False
        self.pending_bytes = 0
        self.listener.stream_drained()

    def vanish(self, error: Exception | None = None) -> None:
        self.finished = True
        self.listener.stream_closed(error or ConnectionResetError("connection reset by peer"))


class ManualLoop(ManualFlusher):
    """A flusher with the test's own scheduler, whose turn goes on until nothing is left."""

    def __init__(self, scheduler: ManualTaskScheduler) -> None:
        super().__init__()
        self.timers = scheduler

    def turn(self) -> None:
        super().turn()
        while self._dirty:
            super().turn()


class FakeHost:
    """Implements HttpStreamHost; tasks run at once unless ``hold`` is set, then with ``run_tasks``."""

    def __init__(self, flusher: Any = None) -> None:
        self.flusher = flusher
        self.streams: list[FakeStream] = []
        self.hold = False
        self.tasks: list[Callable[[], object]] = []
        self.next_is_blocked = False
        self.ways_given = 0
        self.is_ended = False

    def end_connection(self) -> None:
        self.is_ended = True

    def give_way(self) -> None:
        self.ways_given += 1

    def execute(self, task: Callable[[], object]) -> None:
        if self.hold:
            self.tasks.append(task)
        else:
            task()

    def run_tasks(self) -> None:
        tasks, self.tasks = self.tasks, []
        for task in tasks:
            task()

    def open(self) -> tuple[FakeStream, HandshakeResponse]:
        stream = FakeStream()
        self.streams.append(stream)
        response = HandshakeResponse()
        response.upgraded = True
        return stream, response


class Service:
    """A service with everything around it."""

    def __init__(self, handler: Any, *, loop: bool = True, options: Any = None, **parts: Any) -> None:
        """*loop* False: a host without one. *options* are those of SockJsOptions."""
        self.clock = ManualTaskScheduler()
        self.loop = ManualLoop(self.clock)
        self.host = FakeHost(self.loop if loop else None)
        self.handler = handler
        self.service = SockJsService(self.clock, SockJsOptions(**(options or {})), **parts)

    def request(self, method: str, path: str, body: bytes = b"", **options: Any) -> HandshakeResponse:
        """Any request; *path* is below the endpoint."""
        headers = {"Upgrade": None, "Connection": None, "Sec-WebSocket-Key": None, "Sec-WebSocket-Version": None}
        environ = make_environ(
            "/echo" + path,
            method=method,
            headers=headers | options.pop("headers", {}),
            environ={
                STREAM_KEY: self.host,
                "wsgi.input": io.BytesIO(body),
                "CONTENT_LENGTH": str(len(body)),
                **options.pop("environ", {}),
            },
            **options,
        )
        return self.service.handle(HandshakeRequest(environ), path.partition("?")[0], self.handler)

    def poll(self, session: str = "s1", transport: str = "xhr", **options: Any) -> FakeStream:
        """A request that must give a stream."""
        method = "POST" if transport.startswith("xhr") else "GET"
        before = len(self.host.streams)
        response = self.request(method, f"/000/{session}/{transport}", **options)
        assert len(self.host.streams) == before + 1, response.status
        return self.host.streams[-1]

    def stream(self, session: str = "s1", **options: Any) -> FakeStream:
        """A streaming request, its prelude and, if it is the first, its open frame taken."""
        stream = self.poll(session, "xhr_streaming", **options)
        assert stream.take().startswith(b"h" * 2048 + b"\n")
        return stream

    def send(self, body: bytes, session: str = "s1", **options: Any) -> HandshakeResponse:
        return self.request("POST", f"/000/{session}/xhr_send", body, **options)

    @property
    def session(self) -> Any:
        """The only session."""
        (session,) = self.service.sessions
        return session
