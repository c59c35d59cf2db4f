"""``python -m benchmarks.streams``: STOMP clients by SockJS's xhr_streaming, or by WebSocket in the very same way.

sink.c speaks WebSocket alone. This client is slower, which the server's CPU time does not notice: the next message is
published when all have got the one before, so the server has nothing to gather on either transport.

As the sink: names each phase in a line (CONNECTING READY START END CLOSING), goes on when it gets a line, and prints a
JSON object at the end.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import resource
import select
import socket
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

CONNECT = "CONNECT\naccept-version:1.2\n\n\0"
SUBSCRIBE = "SUBSCRIBE\nid:0\nreceipt:r\ndestination:/topic/x\n\n\0"
MESSAGE = re.compile(rb"T(\d{8}) ")
BATCH = 100
SPARE_FILES = 100
NO_PROGRESS_S = 20.0
LAST_CHUNK = b"0\r\n\r\n"


class Client(ABC):
    """One session; counts what it gets."""

    def __init__(self, port: int, number: int) -> None:
        self.port = port
        self.number = number
        self.next = 0
        self.wrong = 0
        self.rest = b""
        self.socket = socket.create_connection(("127.0.0.1", port), 10)

    def subscribe(self) -> None:
        """Log in and subscribe; what comes until CONNECTED is read."""
        self.send(CONNECT)
        self.wait_for(b"CONNECTED")
        self.send(SUBSCRIBE)
        self.wait_for(b"RECEIPT")

    def wait_for(self, text: bytes) -> None:
        data = b""
        while text not in data:
            part = self.socket.recv(65536)
            if not part:
                raise SystemExit(f"streams: the connection ended after {data[-200:]!r}")
            data += part

    def read(self) -> int:
        """Take what is there; how many messages it ended."""
        data = self.rest + self.socket.recv(1 << 20)
        if data == self.rest:
            raise SystemExit("streams: a connection ended")
        found, end = 0, 0
        for match in MESSAGE.finditer(data):
            self.wrong += int(match[1]) != self.next
            self.next = int(match[1]) + 1
            found, end = found + 1, match.end()
        self.rest = data[max(end, len(data) - 9) :]
        self.after_read()
        return found

    @abstractmethod
    def send(self, text: str) -> None:
        """Send a STOMP frame."""

    def after_read(self) -> None:  # noqa: B027 (most kinds of client have nothing to do here)
        """A response may have ended."""


class WebSocketClient(Client):
    def open(self) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: v12.stomp\r\n\r\n".encode()
        )

    def opened(self) -> None:
        self.wait_for(b"\r\n\r\n")

    def send(self, text: str) -> None:
        data = text.encode()
        length = bytes([0x80 | len(data)]) if len(data) < 126 else bytes([0xFE]) + len(data).to_bytes(2)
        self.socket.sendall(b"\x81" + length + bytes(4) + data)


class StreamClient(Client):
    def open(self) -> None:
        self.url = f"/ws/000/s{self.number}x{os.getpid()}"
        self._ask()

    def opened(self) -> None:
        self.wait_for(b"o\n\r\n")

    def send(self, text: str) -> None:
        body = json.dumps([text]).encode()
        with socket.create_connection(("127.0.0.1", self.port), 10) as connection:
            head = f"POST {self.url}/xhr_send HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nConnection: close\r\n"
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = b""
            while part := connection.recv(4096):
                answer += part
        if b" 204 " not in answer[:20]:
            raise SystemExit(f"streams: {answer[:200]!r}")

    def after_read(self) -> None:
        if self.rest.endswith(LAST_CHUNK):
            self.rest = b""
            self._ask()

    def _ask(self) -> None:
        head = f"POST {self.url}/xhr_streaming HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nContent-Length: 0\r\n\r\n"
        self.socket.sendall(head.encode())


KINDS: dict[str, Callable[[int, int], Any]] = {"websocket": WebSocketClient, "xhr_streaming": StreamClient}


def connect(kind: str, port: int, numbers: range) -> list[Any]:
    clients: list[Any] = []
    for first in range(numbers.start, numbers.stop, BATCH):
        batch = [KINDS[kind](port, number) for number in range(first, min(first + BATCH, numbers.stop))]
        for client in batch:
            client.open()
        for client in batch:
            client.opened()
            client.subscribe()
        clients += batch
    return clients


def broadcast(clients: list[Any], publisher: Any, messages: int, size: int) -> int:
    """Publish one message after the other; returns how many deliveries are missing."""
    poll = select.epoll()
    by_file = {client.socket.fileno(): client for client in clients}
    for file in by_file:
        poll.register(file, select.EPOLLIN)
    for number in range(messages):
        body = f"T{number:08d} ".ljust(size, "x")
        publisher.send(f"SEND\ndestination:/topic/x\ncontent-type:text/plain\ncontent-length:{size}\n\n{body}\0")
        missing = len(clients)
        while missing > 0:
            events = poll.poll(NO_PROGRESS_S)
            if not events:
                return missing + (messages - number - 1) * len(clients)
            missing -= sum(by_file[file].read() for file, _ in events)
    return 0


def phase(name: str) -> None:
    print(name, flush=True)
    sys.stdin.readline()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streams")
    parser.add_argument("kind", choices=KINDS)
    for name in ("port", "clients", "before", "messages", "size"):
        parser.add_argument(name, type=int)
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = options.before + options.clients + SPARE_FILES
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
    total = options.before + options.clients
    clients = connect(options.kind, options.port, range(options.before))
    phase("CONNECTING")
    clients += connect(options.kind, options.port, range(options.before, total))
    phase("READY")
    publisher = WebSocketClient(options.port, total)
    publisher.open()
    publisher.opened()
    publisher.send(CONNECT)
    publisher.wait_for(b"CONNECTED")
    phase("START")
    started = time.monotonic()
    missing = broadcast(clients, publisher, options.messages, options.size)
    seconds = time.monotonic() - started
    phase("END")
    phase("CLOSING")
    wrong = sum(client.wrong for client in clients)
    said = {"deliveries": sum(client.next for client in clients), "missing": missing, "wrong": wrong}
    print(json.dumps({**said, "seconds": round(seconds, 4)}))


if __name__ == "__main__":
    main()
