"""The writing half of a session over HTTP: the one response that there is at the moment, and what waits for one.

Station: below ``http_session``, which says what is sent and when; above the stream.
"""

from __future__ import annotations

from ...messaging.locks import allocate_lock
from ..handlers import WebSocketHandler
from .options import SockJsOptions
from .session import SessionFacts, SockJsSession
from .stream import HttpStream
from .timers import SockJsTimers
from .transport import Framing


class HttpWritingSession(SockJsSession):
    """Writes frames to the present response, each way as its transport does; ``HttpSockJsSession`` adds all else."""

    __slots__ = (
        "_cache",
        "_framing",
        "_inactive_since_ms",
        "_lock",
        "_loose_ends",
        "_response_bytes",
        "_stream",
        "transport_kind",
    )

    def __init__(
        self,
        facts: SessionFacts,
        handler: WebSocketHandler,
        options: SockJsOptions,
        timers: SockJsTimers,
        transport_kind: str,
    ) -> None:
        SockJsSession.__init__(self, facts, handler, options, timers)
        self.transport_kind = transport_kind
        self._lock = allocate_lock()
        """Guards cache, state and which response is the present one. Whoever held it looks for loose ends."""
        self._loose_ends = False
        self._cache: list[str] = []
        self._stream: HttpStream | None = None
        self._framing: Framing | None = None
        self._response_bytes = 0
        self._inactive_since_ms = timers.now_ms()

    @property
    def is_waiting(self) -> bool:
        """Whether there is a response to write to."""
        return self._stream is not None

    @property
    def cached_messages(self) -> int:
        """Messages that wait for a response."""
        return len(self._cache)

    def _begin(self, stream: HttpStream, framing: Framing) -> None:
        """A response, which was started, is the present one from now on. With the lock held."""
        self._stream, self._framing = stream, framing
        self._response_bytes = 0
        self._last_sent_ms = self._timers.now_ms()
        if framing.prelude:
            stream.write(framing.prelude)

    def _flush_cache(self, *, force: bool = False) -> None:
        """Write what waits, with the lock held. Not while the client has not taken what came before, unless *force*."""
        stream = self._stream
        if stream is None or not self._cache or (stream.pending_bytes and not force):
            return
        assert self._framing is not None
        encode = self._options.message_codec.encode
        if self.transport_kind == "http_polling":
            frame = encode(self._cache)
            self._cache.clear()
            self._write_frame(frame)
            return
        parts, size, room = [], 0, self._options.stream_bytes_limit - self._response_bytes
        for text in self._cache:
            frame = encode((text,))
            parts.append(self._framing.wrap(frame))
            size += len(frame) + 1
            if size >= room:
                break
        del self._cache[: len(parts)]
        self._write_texts(b"".join(parts), size)

    def _write_texts(self, texts: bytes, size: int) -> None:
        """Write frames of a streaming response, with the lock held; it ends when the sizes reach its limit."""
        assert self._stream is not None
        self._last_sent_ms = self._timers.now_ms()
        self._response_bytes += size
        if self._response_bytes >= self._options.stream_bytes_limit:
            self._stream.finish(texts)
            self._detach()
        else:
            self._stream.write(texts)

    def _write_frame(self, frame: bytes) -> None:
        """Write one frame, with the lock held; a polling response ends with it."""
        assert self._stream is not None and self._framing is not None
        self._last_sent_ms = self._timers.now_ms()
        data = self._framing.wrap(frame)
        if self.transport_kind == "http_polling":
            self._stream.finish(data)
            self._detach()
        else:
            self._stream.write(data)

    def _detach(self) -> None:
        """With the lock held."""
        self._stream = self._framing = None
        self._inactive_since_ms = self._timers.now_ms()
        self._loose_ends = True
