"""``python abandon.py PORT SESSIONS``: opens SockJS sessions of 127.0.0.1:PORT and leaves all at once, without a word.

Half of them have a streaming response, the others a poll that waits; a few have no request at all at that moment, a few
are in the middle of an upload. Prints what /stats says before, with all of them, and after each had its end.
"""

from __future__ import annotations

import json
import resource
import socket
import struct
import sys
import time
import urllib.request
from typing import Any

BATCH = 100
SPARE_FILES = 100
WITHOUT_REQUEST = 20
"""One of so many has no request when it is left; likewise for an upload that breaks off."""
RESET = struct.pack("ii", 1, 0)


class Session:
    def __init__(self, port: int, number: int) -> None:
        self.url = f"/talk/000/s{number}"
        self.transport = "xhr_streaming" if number % 2 else "xhr"
        self.resets = bool(number & 2)
        self.connections = [socket.create_connection(("127.0.0.1", port), 10)]
        polls_again = self.transport == "xhr" and number % WITHOUT_REQUEST
        # Both polls at once: however slow this is, the session is never without a request between them.
        self._request(2 if polls_again else 1)

    def opened(self) -> None:
        """Wait for the open frame."""
        data = b""
        while b"o\n" not in data or not (self.transport == "xhr_streaming" or data.endswith(b"o\n")):
            part = self.connections[0].recv(4096)
            if not part:
                raise SystemExit(f"{self.url}: {data!r}")
            data += part

    def begin_upload(self, port: int) -> None:
        connection = socket.create_connection(("127.0.0.1", port), 10)
        connection.sendall(f'POST {self.url}/xhr_send HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\n["'.encode())
        self.connections.append(connection)

    def leave(self) -> None:
        for connection in self.connections:
            if self.resets:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            connection.close()

    def _request(self, times: int) -> None:
        head = f"POST {self.url}/{self.transport} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        self.connections[0].sendall(head.encode() * times)


def open_sessions(port: int, numbers: range) -> list[Session]:
    sessions: list[Session] = []
    for first in range(numbers.start, numbers.stop, BATCH):
        batch = [Session(port, number) for number in range(first, min(first + BATCH, numbers.stop))]
        for session in batch:
            session.opened()
        sessions += batch
    for session in sessions[:: WITHOUT_REQUEST + 1]:
        session.begin_upload(port)
    return sessions


def stats(port: int, query: str = "") -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/stats{query}") as response:
        found: dict[str, Any] = json.load(response)
    return found


def abandon(port: int, numbers: range) -> dict[str, Any]:
    """What /stats said at the peak and after, and how many seconds it took until nobody was left."""
    sessions = open_sessions(port, numbers)
    peak = stats(port)
    for session in sessions:
        session.leave()
    left = time.monotonic()
    after = stats(port, "?gone")
    return {"peak": peak, "after": after, "seconds": round(time.monotonic() - left, 2)}


def main() -> None:
    port, count = map(int, sys.argv[1:])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    needed = count + count // WITHOUT_REQUEST + SPARE_FILES
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed if hard == resource.RLIM_INFINITY else min(needed, hard), hard))
    abandon(port, range(count // 10))  # What the first ones cost is the process's, not theirs.
    before = stats(port)
    print(json.dumps({"before": before, **abandon(port, range(count, 2 * count))}))


if __name__ == "__main__":
    main()
