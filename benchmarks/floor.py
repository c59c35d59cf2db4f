"""The floor: the least that one gevent process can do for what is measured. A yardstick, not a server.

    python -m benchmarks.floor PORT

It answers the upgrade on any path. On ``/echo`` it then sends back what it receives, whatever that is. Elsewhere it
remembers who subscribed to what, and for each SEND makes one raw non-blocking ``send`` of one prebuilt frame to each
subscriber: no message, no channel, no buffer, no limit, no header of the recipient's own. What a subscriber cannot take
is lost, so it is fair only while nobody is slow. Nothing in Python that sends a frame at a time can cost less.
"""

from __future__ import annotations

import base64
import hashlib
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import gevent  # type: ignore[import-untyped]  # no type information
from gevent.server import StreamServer  # type: ignore[import-untyped]  # no type information

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
READ_SIZE = 65536

topics: dict[str, dict[int, tuple[Callable[[bytes], int], str]]] = {}
"""By destination and connection: how to send, and the id of the subscription."""


def frame(body: bytes) -> bytes:
    n = len(body)
    if n < 126:
        return bytes((0x81, n)) + body
    if n < 65536:
        return b"\x81\x7e" + n.to_bytes(2, "big") + body
    return b"\x81\x7f" + n.to_bytes(8, "big") + body


def payloads(sock: Any, rest: bytes) -> Iterator[bytes]:
    """Unmasked payloads of the text frames that arrive, one by one; answers a close frame and stops."""
    data = bytearray(rest)
    while True:
        while len(data) >= 2:
            n, start = data[1] & 0x7F, 2
            if n == 126:
                if len(data) < 4:
                    break
                n, start = int.from_bytes(data[2:4], "big"), 4
            elif n == 127:
                if len(data) < 10:
                    break
                n, start = int.from_bytes(data[2:10], "big"), 10
            end = start + 4 + n
            if len(data) < end:
                break
            if data[0] & 0x0F == 8:
                sock.sendall(b"\x88\x02\x03\xe8")
                return
            mask = bytes(data[start : start + 4]) * (n // 4 + 1)
            body = int.from_bytes(data[start + 4 : end], "little") ^ int.from_bytes(mask[:n], "little")
            del data[:end]
            yield body.to_bytes(n, "little")
        more = sock.recv(READ_SIZE)
        if not more:
            return
        data += more


def upgrade(sock: Any) -> tuple[bytes, bytes]:
    """The path that was asked for, and what came behind the head. Raises OSError when nothing comes."""
    head = b""
    while b"\r\n\r\n" not in head:
        more = sock.recv(READ_SIZE)
        if not more:
            raise OSError("no request")
        head += more
    head, _, rest = head.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    fields = {key.strip().lower(): value.strip() for key, _, value in (line.partition(b":") for line in lines)}
    accept = base64.b64encode(hashlib.sha1(fields[b"sec-websocket-key"] + GUID).digest())
    answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    answer += b"Sec-WebSocket-Accept: " + accept
    if offered := fields.get(b"sec-websocket-protocol"):
        answer += b"\r\nSec-WebSocket-Protocol: " + offered.split(b",")[0].strip()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(answer + b"\r\n\r\n")
    return first.split(b" ")[1], rest


def echo(sock: Any) -> None:
    while data := sock.recv(READ_SIZE):
        sock.sendall(data)


def broadcast(destination: str, body: bytes) -> None:
    ready = None
    for send, subscription in list(topics.get(destination, {}).values()):
        if ready is None:
            head = f"MESSAGE\nsubscription:{subscription}\nmessage-id:1234567890-1\ndestination:{destination}\n"
            head += f"content-type:text/plain\ncontent-length:{len(body)}\n\n"
            ready = frame(head.encode() + body + b"\0")
        try:
            send(ready)
        except OSError:
            continue  # The subscriber cannot take it now, or is gone: lost, as promised above.


def stomp(sock: Any, rest: bytes, mine: list[str]) -> None:
    raw = sock._sock
    for text in payloads(sock, rest):
        lines, _, body = text.removesuffix(b"\0").partition(b"\n\n")
        command, *headers = lines.decode().split("\n")
        field = dict(header.partition(":")[::2] for header in headers)
        if command == "CONNECT":
            sock.sendall(frame(b"CONNECTED\nversion:1.2\nheart-beat:0,0\n\n\0"))
        elif command == "SUBSCRIBE":
            topics.setdefault(field["destination"], {})[id(raw)] = (raw.send, field["id"])
            mine.append(field["destination"])
        elif command == "SEND":
            broadcast(field["destination"], body)


def handle(sock: Any, address: object) -> None:
    mine: list[str] = []
    try:
        path, rest = upgrade(sock)
        if path == b"/echo":
            echo(sock)
        else:
            stomp(sock, rest, mine)
    except OSError:
        return  # The client is gone: nobody is there to be told.
    finally:
        for destination in mine:
            topics.get(destination, {}).pop(id(sock._sock), None)
        sock.close()


def main() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server = StreamServer(("127.0.0.1", int(sys.argv[1])), handle, backlog=4096)
    gevent.signal_handler(signal.SIGTERM, sys.exit, 0)
    server.serve_forever()


if __name__ == "__main__":
    main()
