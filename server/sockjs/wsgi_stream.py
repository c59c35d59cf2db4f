"""Waiting responses on any WSGI server: the request's thread waits for what the session writes.

Station: as ``stream``. Costs a thread for each waiting request, and a vanished client is noticed when the next write
fails: at the latest with a heart-beat.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from ..handshake.request import HandshakeResponse
from .stream import StreamListener


class WsgiStreamHost:
    """Implements ``HttpStreamHost`` for a server that knows nothing of streams."""

    __slots__ = ()

    flusher = None

    @property
    def execute(self) -> Callable[[Callable[[], object]], None]:
        return _call

    def give_way(self) -> None:
        pass  # the system does that

    def end_connection(self) -> None:
        pass  # the server sees that the body was not read

    def open(self) -> tuple[WsgiHttpStream, HandshakeResponse]:
        stream = WsgiHttpStream()
        return stream, stream.response


def _call(task: Callable[[], object]) -> None:
    task()


class WsgiHttpStream:
    """Implements ``HttpStream`` as the iterable that a WSGI application returns."""

    def __init__(self) -> None:
        self.response = _StreamResponse(self)
        self.headers: list[tuple[str, str]] = []
        self._listener: StreamListener | None = None
        self._parts: deque[bytes] = deque()
        self._finished = False
        self._is_sending = False
        """Whether the server has a part that it may not have sent yet."""
        self._changed = threading.Condition()

    @property
    def pending_bytes(self) -> int:
        # The server takes one part at a time, and blocks while its client does not: what waits here is what it has not
        # taken.
        return sum([len(part) for part in list(self._parts)])

    @property
    def whole_size(self) -> int | None:
        """Bytes of the body, when the response was finished before the server asked for it."""
        with self._changed:
            return sum(map(len, self._parts)) if self._finished else None

    def start(self, headers: Sequence[tuple[str, str]], listener: StreamListener) -> None:
        self.headers = list(headers)
        self._listener = listener

    def write(self, data: bytes) -> None:
        with self._changed:
            if not self._finished:
                self._parts.append(data)
                self._changed.notify()

    def finish(self, data: bytes = b"") -> None:
        with self._changed:
            if self._finished:
                return
            if data:
                self._parts.append(data)
            self._finished = True
            self._changed.notify()

    def abort(self) -> None:
        with self._changed:
            self._listener = None
            self._finished = True
            self._parts.clear()
            self._changed.notify()

    # What the server calls.

    def __iter__(self) -> Iterator[bytes]:
        while True:
            with self._changed:
                while not self._parts and not self._finished:
                    self._changed.wait()
                if not self._parts:
                    return
                part = self._parts.popleft()
                drained = not self._parts
                self._is_sending = True
            yield part
            self._is_sending = False
            if drained and self._listener is not None:
                self._listener.stream_drained()

    def close(self) -> None:
        """The server is done with the response, be it sent or not."""
        with self._changed:
            ended = self._finished and not self._parts and not self._is_sending
            self._finished = True
            listener, self._listener = self._listener, None
        if not ended and listener is not None:
            listener.stream_closed(EOFError("the server gave the response up"))


class _StreamResponse(HandshakeResponse):
    """Answers with the stream as it comes, or with all of it when it is complete."""

    __slots__ = ("_stream",)

    def __init__(self, stream: WsgiHttpStream) -> None:
        super().__init__()
        self._stream = stream

    def to_wsgi(self, start_response: Callable[..., Any], *, is_head: bool = False) -> Iterable[bytes]:
        headers, size = self._stream.headers, self._stream.whole_size
        start_response("200 OK", headers if size is None else [*headers, ("Content-Length", str(size))])
        return self._stream
