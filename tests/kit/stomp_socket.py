"""STOMP over real sockets: an application that is served, clients that do what they are told, and a bystander.

with serving(WellheadApp(None, Config(), controllers=[Chat()])) as served, served.connected() as client:
    client.send("SUBSCRIBE", id="0", destination="/topic/a")
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from kit.serving import RawClient, RunningServer, running_server
from wellhead.messaging.events import SessionDisconnectEvent
from wellhead.messaging.stomp.frame import StompFrame, encode_frame
from wellhead.messaging.stomp.frame_parser import FrameParser
from wellhead.server.config.app import WellheadApp


class StompSocket(RawClient):
    """One end of a session over a socket."""

    def __init__(self, port: int, path: str = "/ws", **options: Any) -> None:
        super().__init__(port, path, **options)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._parser = FrameParser(max_buffered_bytes=10_000_000)
        self._frames: list[StompFrame] = []

    def send_frame_of(self, command: str, body: bytes = b"", **headers: str) -> None:
        """Write one STOMP frame as one WebSocket message; ``_`` in the name of a header stands for ``-``."""
        self.send(stomp(command, body, **headers).decode())

    def subscribe(self, destination: str, id: str = "0") -> None:
        """Returns when the broker has it."""
        self.send_frame_of("SUBSCRIBE", id=id, destination=destination, receipt=f"subscribed-{id}")
        receipt = self.next_frame()
        assert (receipt.command, dict(receipt.headers)) == ("RECEIPT", {"receipt-id": f"subscribed-{id}"})

    def next_frame(self) -> StompFrame:
        """The next STOMP frame; heart-beats before it are passed over."""
        while not self._frames:
            data = self.receive()
            frames = self._parser.receive_frames(data.encode() if isinstance(data, str) else data)
            self._frames.extend(each for each in frames if isinstance(each, StompFrame))
        return self._frames.pop(0)


def stomp(command: str, body: bytes = b"", **headers: str) -> bytes:
    """A STOMP frame; ``_`` in the name of a header stands for ``-``."""
    return encode_frame(command, [(name.replace("_", "-"), value) for name, value in headers.items()], body)


class Served:
    """An application that is served, and what happened to its sessions."""

    def __init__(self, app: WellheadApp, running: RunningServer) -> None:
        self.app = app
        self.running = running
        self.ended: list[SessionDisconnectEvent] = []
        app.events.connect(SessionDisconnectEvent, self.ended.append)

    @property
    def port(self) -> int:
        return self.running.port

    def open(self, **options: Any) -> StompSocket:
        """A client whose WebSocket is open; nothing is sent yet."""
        return StompSocket(self.port, **options)

    def connected(self, heart_beat: str = "0,0", **options: Any) -> StompSocket:
        """A client that got its CONNECTED."""
        client = self.open(**options)
        client.send_frame_of("CONNECT", accept_version="1.2", host="localhost", heart_beat=heart_beat)
        assert client.next_frame().command == "CONNECTED"
        return client

    def session_of(self, client: RawClient) -> Any:
        """The server's end of *client*."""
        address = client.socket.getsockname()
        [session] = self.running.call(
            lambda: [each for each in self.running.runtime.connections if each.remote_address == address]
        )
        return session

    def wait_until(self, condition: Callable[[], object]) -> bool:
        """Whether *condition* becomes true; looked at once in each turn of the server's loop."""
        return self.running.wait_until(condition)

    def end_of(self, session_id: str) -> SessionDisconnectEvent:
        """The one event that tells the end of a session, once it has come."""
        assert self.wait_until(lambda: any(each.session_id == session_id for each in self.ended)), "it goes on"
        [event] = [each for each in self.ended if each.session_id == session_id]
        return event

    def says(self, caplog: Any, *texts: str, level: int = logging.DEBUG) -> bool:
        """Whether a log line of at least *level* with all *texts* is there, or comes."""

        def is_there() -> bool:
            records = [record for record in caplog.records if record.levelno >= level]
            return any(all(text in record.getMessage() for text in texts) for record in records)

        return self.wait_until(is_there)


@contextmanager
def serving(app: WellheadApp, **options: Any) -> Iterator[Served]:
    """Serve *app* with the options of WellheadServer; nothing may be left of its sessions afterwards."""
    with running_server(app, **options) as running:
        served = Served(app, running)
        yield served
        running.stop()
        assert not running.runtime.connections
        assert not running.server.waiting
        assert not running.server.handlers


class SocketBystander:
    """Another session, which must not notice anything."""

    def __init__(self, served: Served) -> None:
        self.client = served.connected()
        self.client.subscribe("/topic/room/7")

    def is_well(self) -> bool:
        """Whether it still can talk and hear, and heard nothing strange until now."""
        body = b'{"text":"ok"}'
        self.client.send_frame_of("SEND", body, destination="/app/room/7", content_type="application/json")
        return self.client.next_frame().body == b'{"text":"ok","count":1}'
