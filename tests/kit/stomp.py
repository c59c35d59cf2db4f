"""STOMP without sockets: clients that speak frames to a started application through fake sessions.

with StompServer(WellheadApp(None, Config(), controllers=[Chat()])) as server:
    client = server.connected()
    client.send("SUBSCRIBE", id="0", destination="/topic/a")
    assert client.received() == [...]
"""

from __future__ import annotations

import itertools
from types import TracebackType
from typing import Any, Self

from kit.channels import HeldExecutor
from kit.flushing import FakeNonBlockingSession, ManualFlusher
from kit.scheduling import ManualTaskScheduler
from wellhead.messaging.stomp.frame import Heartbeat, StompFrame, encode_frame
from wellhead.messaging.stomp.frame_parser import FrameParser
from wellhead.server.close import CloseStatus, EndReason
from wellhead.server.config.app import WellheadApp
from wellhead.server.decorators import decorate
from wellhead.server.message import BinaryMessage, TextMessage

VANISHED = CloseStatus.NO_CLOSE_FRAME.with_cause(EndReason.CLIENT_VANISHED)


class HeldPool(HeldExecutor):
    """Implements PooledExecutor: tasks wait until they are run by hand."""

    def __init__(self, name_prefix: str, limits: dict[str, Any]) -> None:
        super().__init__()
        self.name_prefix = name_prefix
        self.limits = limits
        self.pool_size = limits.get("core_pool_size", 0)
        self.active_count = 0
        self.completed_task_count = 0
        self.is_shut_down = False

    @property
    def queue_size(self) -> int:
        return len(self.tasks)

    def run_next(self) -> None:
        super().run_next()
        self.completed_task_count += 1

    def shutdown(self, *, wait_ms: int = 10_000) -> bool:
        self.is_shut_down = True
        return True


class FakeRuntime:
    """What a server gives to an application: a clock moved by hand, executors run by hand."""

    def __init__(self) -> None:
        self.scheduler = ManualTaskScheduler()
        self.pools: list[HeldPool] = []

    def executor(self, name_prefix: str, **limits: Any) -> HeldPool:
        self.pools.append(HeldPool(name_prefix, limits))
        return self.pools[-1]

    thread_executor = executor


class StompServer:
    """A started application; its clients' sessions end with it."""

    def __init__(self, app: WellheadApp) -> None:
        self.app = app
        self.runtime = FakeRuntime()
        self.flusher = ManualFlusher()
        self.handler = decorate(app.sub_protocol_web_socket_handler)
        self._ids = itertools.count(1)

    def __enter__(self) -> Self:
        self.app.start(self.runtime)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.app.stop()

    def open(self, session_id: str | None = None, **options: Any) -> StompClient:
        """A client whose WebSocket is open; nothing is sent yet."""
        session_id = session_id or f"s{next(self._ids)}"
        return StompClient(self, FakeNonBlockingSession(session_id, flusher=self.flusher, **options))

    def connected(self, session_id: str | None = None, **options: Any) -> StompClient:
        """A client that got its CONNECTED."""
        client = self.open(session_id, **options)
        client.send("CONNECT", accept_version="1.2", host="localhost")
        [connected] = client.received()
        assert connected.command == "CONNECTED"
        return client

    def run_tasks(self) -> None:
        """Run what waits in the executors, and what that adds."""
        while any(pool.tasks for pool in self.runtime.pools):
            for pool in self.runtime.pools:
                pool.run_all()


class StompClient:
    """One end of a session: writes frames, reads frames, sees how it was closed."""

    def __init__(self, server: StompServer, session: FakeNonBlockingSession) -> None:
        self.server = server
        self.session = session
        self._parser = FrameParser(max_buffered_bytes=10_000_000)
        self._read = 0
        self._ended = False
        server.handler.after_connection_established(session)

    @property
    def id(self) -> str:
        return self.session.id

    def send(self, command: str, body: bytes = b"", **headers: str) -> None:
        """Write one frame; ``_`` in the name of a header stands for ``-``."""
        pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
        self.send_bytes(encode_frame(command, pairs, body))

    def send_bytes(self, data: bytes, *, binary: bool = False) -> None:
        """Write bytes as one WebSocket message."""
        if self.session.is_open:
            self.server.handler.handle_message(self.session, BinaryMessage(data) if binary else TextMessage(data))
        self._settle()

    def subscribe(self, destination: str, id: str = "0") -> None:
        self.send("SUBSCRIBE", id=id, destination=destination)

    def received(self) -> list[StompFrame]:
        """The frames that came since the last call, without heart-beats."""
        return [frame for frame in self.received_with_heartbeats() if isinstance(frame, StompFrame)]

    def received_with_heartbeats(self) -> list[StompFrame | Heartbeat]:
        self._settle()
        frames: list[StompFrame | Heartbeat] = []
        for message in self.session.sent[self._read :]:
            frames.extend(self._parser.receive_frames(message.as_bytes()))
        self._read = len(self.session.sent)
        return frames

    @property
    def received_bytes(self) -> list[bytes]:
        """All WebSocket messages from the beginning."""
        self._settle()
        return [message.as_bytes() for message in self.session.sent]

    @property
    def closed_with(self) -> CloseStatus | None:
        """How the server closed the session; None while it has not."""
        self._settle()
        return self.session.closed_with[0] if self.session.closed_with else None

    def leave(self, status: CloseStatus = VANISHED) -> None:
        """End the session from the client's side."""
        self.session.vanish()
        self._end(status)

    def _settle(self) -> None:
        """What the loop of a server would do meanwhile: flush, and tell the handler of a close."""
        self.server.flusher.turn()
        if self.session.closed_with:
            self._end(self.session.closed_with[0])

    def _end(self, status: CloseStatus) -> None:
        if not self._ended:
            self._ended = True
            self.server.handler.after_connection_closed(self.session, status)
