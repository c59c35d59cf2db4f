"""An HTTP client of one bare socket: sends what it is told, right or wrong, and shows what came, chunk by chunk."""

from __future__ import annotations

import socket
import struct
from typing import Any

TIMEOUT = 10.0
"""Seconds a test waits for what must come."""


class Response:
    """The head of a response, and its body as far as it was asked for."""

    def __init__(self, connection: HttpConnection, head: bytes, method: str) -> None:
        lines = head.decode("latin-1").split("\r\n")
        self.version, status, self.phrase = lines[0].split(" ", 2)
        self.status = int(status)
        self.header_lines = [line.partition(":")[::2] for line in lines[1:] if line]
        self._connection = connection
        self._method = method
        self._body: bytes | None = None

    def __getitem__(self, name: str) -> str | None:
        """A header; None when it is not there."""
        values = self.all(name)
        return values[0] if values else None

    def all(self, name: str) -> list[str]:
        return [value.strip() for key, value in self.header_lines if key.lower() == name.lower()]

    @property
    def is_chunked(self) -> bool:
        return (self["Transfer-Encoding"] or "").lower() == "chunked"

    @property
    def body(self) -> bytes:
        """All of it; waits for its end."""
        if self._body is None:
            self._body = self._read_body()
        return self._body

    def chunk(self) -> bytes:
        """The next chunk; empty at the end."""
        assert self.is_chunked, self.header_lines
        size = int(self._connection.line(), 16)
        data = self._connection.read(size)
        assert self._connection.read(2) == b"\r\n"
        return data

    def _read_body(self) -> bytes:
        if self.status in (204, 304) or self._method == "HEAD":
            return b""
        if self.is_chunked:
            chunks = []
            while chunk := self.chunk():
                chunks.append(chunk)
            return b"".join(chunks)
        length = self["Content-Length"]
        return self._connection.read_all() if length is None else self._connection.read(int(length))


class HttpConnection:
    """All reads have a timeout."""

    def __init__(self, port: int, *, tls_context: Any = None, receive_buffer: int | None = None) -> None:
        self.port = port
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(TIMEOUT)
        self.socket.connect(("127.0.0.1", port))
        if tls_context is not None:
            self.socket = tls_context.wrap_socket(self.socket, server_hostname="localhost")
        self._buffer = b""
        self._method = "GET"

    def __enter__(self) -> HttpConnection:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def request(self, method: str, path: str, body: bytes | str | None = None, **options: Any) -> Response:
        """Send a request and read the head of its response."""
        self.send(method, path, body, **options)
        return self.response()

    def send(
        self,
        method: str,
        path: str,
        body: bytes | str | None = None,
        *,
        headers: dict[str, str] | None = None,
        version: str = "1.1",
    ) -> None:
        """Send a request. POST gets a length, also without a body."""
        data = body.encode() if isinstance(body, str) else body or b""
        lines = {"Host": f"127.0.0.1:{self.port}"}
        if body is not None or method == "POST":
            lines["Content-Length"] = str(len(data))
        lines.update(headers or {})
        text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self._method = method
        self.socket.sendall(f"{method} {path} HTTP/{version}\r\n{text}\r\n".encode() + data)

    def response(self) -> Response:
        """The head of the response that comes next."""
        while b"\r\n\r\n" not in self._buffer:
            self._read_more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        return Response(self, head, self._method)

    def line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            self._read_more()
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def read(self, size: int) -> bytes:
        """Exactly so many bytes. Raises EOFError when the stream ends before."""
        while len(self._buffer) < size:
            self._read_more()
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def read_all(self) -> bytes:
        """Everything until the end of the stream."""
        try:
            while True:
                self._read_more()
        except EOFError:
            data, self._buffer = self._buffer, b""
            return data

    def is_ended(self) -> bool:
        """Whether nothing comes any more; waits for the end of the stream."""
        return not self.read_all()

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Vanish with an RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _read_more(self) -> None:
        try:
            data = self.socket.recv(64 * 1024)
        except ConnectionResetError:
            raise EOFError("reset") from None
        if not data:
            raise EOFError("the server ended the stream")
        self._buffer += data
