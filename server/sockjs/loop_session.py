"""A session over HTTP on a server with a loop: gathers what is sent, and never blocks (SJS-10).

Station: as ``http_session``; what the concurrent decorator needs is here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from ..close import CloseStatus
from ..flush import Flusher, Outgoing
from ..framing import TextFraming
from .http_session import HttpSockJsSession
from .joined import streamed_texts
from .session import SessionState, texts_of

logger = logging.getLogger(__name__)

_LOOP_TIMEOUT_MS = 10_000
_OPEN = SessionState.OPEN


class LoopHttpSockJsSession(HttpSockJsSession):
    """A session over HTTP on a server with a loop: implements ``NonBlockingWebSocketSession`` and ``Flushable``.

    What is sent within one turn of the loop goes out in one write.
    """

    __slots__ = ("_asked", "_flusher", "_waiting")

    def __init__(self, *arguments: Any, flusher: Flusher, **options: Any) -> None:
        HttpSockJsSession.__init__(self, *arguments, **options)
        self._flusher = flusher
        self._asked = False
        self._waiting: tuple[Callable[[], None], ...] = ()
        """Whom to tell when nothing waits any more."""

    @property
    def flusher(self) -> Flusher:
        return self._flusher

    @property
    def last_read_ms(self) -> float:
        """When the client last sent a request, in milliseconds of ``flusher.now_ms()``."""
        return self._flusher.now_ms() - self.idle_ms()

    @property
    def pending_bytes(self) -> int:
        """What the client has not taken, and characters of what waits for a request."""
        stream = self._stream
        return sum(map(len, self._cache)) + (stream.pending_bytes if stream is not None else 0)

    def try_send(self, messages: Sequence[Outgoing], drained: Callable[[], None]) -> bool:
        """Hand over messages, in order, as one write. On the loop's thread only.

        What finds no request waits here, and counts as not taken: False is returned, and *drained* called when a
        request took it, or the session is closed. So the sender's limits hold, and that of the cache, which is for
        sessions without any, does not.
        """
        if self._state is not _OPEN:
            return True
        texts = texts_of(messages)
        with self._lock:
            self._cache += texts
        HttpSockJsSession._resume(self)
        if self._all_taken():
            return True
        self.when_drained(drained)
        return False

    @property
    def text_framing(self) -> TextFraming | None:
        return streamed_texts(self.transport, self._options.message_codec)

    def try_write(self, texts: bytes) -> bool | None:
        """Write texts that were made once for many sessions if nothing is to go before them. On the loop's thread only.

        True: the client took everything. False: some of it waits. None: nothing was done.
        """
        stream = self._stream
        if self._state is not _OPEN or stream is None or self._cache or stream.pending_bytes:
            return None
        with self._lock:
            self._write_texts(texts, len(texts))
        if self._loose_ends:
            self._tie_up()
        return self._all_taken()

    def when_drained(self, drained: Callable[[], None]) -> None:
        """As of ``try_send``. Only while something waits."""
        self._waiting += (drained,)

    def flush(self) -> None:
        """Write what ``send_message`` has gathered in this turn. Called by the flusher."""
        self._asked = False
        HttpSockJsSession._resume(self)
        self._tell_waiting()

    def _all_taken(self) -> bool:
        stream = self._stream
        return not self._cache and (stream is None or not stream.pending_bytes)

    def _tell_waiting(self) -> None:
        if self._waiting and (self._all_taken() or self._state is not _OPEN):
            waiting, self._waiting = self._waiting, ()
            for drained in waiting:
                drained()

    def _resume(self) -> None:
        """There is room again: let who waits add what it has, so that all of it goes in one response."""
        stream = self._stream
        if self._waiting and stream is not None and not stream.pending_bytes:
            waiting, self._waiting = self._waiting, ()
            for drained in waiting:
                drained()
        HttpSockJsSession._resume(self)
        self._tell_waiting()

    def _make_room(self) -> None:
        self._flusher.run_now(self.flush, timeout_ms=_LOOP_TIMEOUT_MS)

    def _flush_soon(self) -> None:
        if not self._asked:
            self._asked = True
            self._flusher.request(self)

    def _close(self, status: CloseStatus) -> None:
        if not self._flusher.run_now(lambda: self._close_now(status), timeout_ms=_LOOP_TIMEOUT_MS):
            logger.debug("Session %s: the loop is busy, the close waits for it", self._id)

    def _ended(self) -> None:
        self._tell_waiting()
        HttpSockJsSession._ended(self)

    def on_due(self, now_ms: float) -> None:
        self._flusher.run_now(lambda: HttpSockJsSession.on_due(self, now_ms), timeout_ms=_LOOP_TIMEOUT_MS)
