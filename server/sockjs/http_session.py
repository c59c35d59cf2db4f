"""A session over HTTP: it lives on while requests come and go (SJS-07 to SJS-11, SJS-13, SJS-14).

Station: between the handler and the one response that brings messages to the client at the moment, if there is one.
What is sent waits in the cache for it. The session owns order, cache, heart-beat and state; the response only moves
bytes.

Everything that writes happens on the loop's thread where the host has a loop; elsewhere, and for what other threads
send, there is the session's lock. It is held over writes, which never block.

A write may find out that the client is gone, and say so before it returns: ``stream_closed`` comes while the lock is
held. So nobody waits for the lock there. What is to be done is noted, and whoever held the lock does it afterwards.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

from ..close import CloseStatus, EndReason
from ..decorators import TRACE
from ..handlers import WebSocketHandler
from ..message import TextMessage
from .delivery import Delivery, tell_closed, tell_established
from .frame import OPEN, as_text, close_frame
from .http_writing import HttpWritingSession
from .mailbox import Mailbox
from .options import SockJsOptions
from .session import GO_AWAY, SessionFacts, SessionState, SockJsSession, frame_of
from .stream import NOBODY, HttpStream, HttpStreamHost
from .timers import SockJsTimers
from .transport import Framing, ReceivingTransport, RequestError

logger = logging.getLogger(__name__)
vanished_logger = logging.getLogger("wellhead.server.sockjs.disconnected_client")
"""Clients that vanished: one line each at DEBUG, with the stack at TRACE."""

_ANOTHER = close_frame(2010, "Another connection still open")
_VANISHED = CloseStatus.NO_CLOSE_FRAME.with_cause(EndReason.CLIENT_VANISHED)
_EXPIRED = GO_AWAY.with_cause(EndReason.CLIENT_VANISHED)

_NEW, _OPEN, _CLOSED = SessionState.NEW, SessionState.OPEN, SessionState.CLOSED


class HttpSockJsSession(HttpWritingSession):
    """A session over HTTP on a server without a loop; also implements ``StreamListener``."""

    __slots__ = (
        "_closing_frame",
        "_error",
        "_execute",
        "_last_received_ms",
        "_lost",
        "_mailbox",
        "_removal",
        "key",
        "transport",
    )

    def __init__(
        self,
        facts: SessionFacts,
        handler: WebSocketHandler,
        options: SockJsOptions,
        timers: SockJsTimers,
        *,
        key: str,
        transport: ReceivingTransport,
        host: HttpStreamHost,
        removal: Callable[[HttpSockJsSession], object],
    ) -> None:
        """
        key: the session's segment of the URL.
        removal: called once, when the session can be reached no more.
        """
        HttpWritingSession.__init__(self, facts, handler, options, timers, transport.kind)
        self.key = key
        self.transport = transport.name
        self._execute = host.execute
        self._removal: Callable[[HttpSockJsSession], object] | None = removal
        self._lost: Exception | None = None
        """Why the client is taken for gone, until the session has ended for it."""
        self._mailbox = Mailbox(self._execute)
        self._closing_frame = b""
        self._error: Exception | None = None
        self._last_received_ms = timers.now_ms()

    # -- what is known of it

    @property
    def text_message_size_limit(self) -> int:
        """-1: the size of request bodies is limited instead; setting changes nothing."""
        return -1

    @text_message_size_limit.setter
    def text_message_size_limit(self, limit: int) -> None:
        logger.debug("Session %s: HTTP has no limit of messages to set", self._id)

    @property
    def binary_message_size_limit(self) -> int:
        return -1

    @binary_message_size_limit.setter
    def binary_message_size_limit(self, limit: int) -> None:
        logger.debug("Session %s: HTTP has no limit of messages to set", self._id)

    def idle_ms(self) -> float:
        return self._timers.now_ms() - self._last_received_ms

    # -- requests that bring messages to the client

    def handle_request(self, stream: HttpStream, framing: Framing, headers: Sequence[tuple[str, str]]) -> None:
        """Answer a request by the session's transport: at once, or when there is something to say."""
        self._last_received_ms = self._timers.now_ms()
        with self._lock:
            before = self._state
            welcome = before is not _CLOSED and self._stream is None
            if not welcome:
                self._answer_only(stream, framing, headers)
            else:
                stream.start(headers, self)
                self._begin(stream, framing)
                if before is _NEW:
                    self._move(_OPEN)
                    self._write_frame(OPEN)
        if self._loose_ends:
            self._tie_up()
        if not welcome:
            return
        if before is _NEW:
            self._log_move(before)
            self._mailbox.post(partial(tell_established, self, self._handler), self._execute)
        else:
            self._resume()
        self._watch.moved()

    def _answer_only(self, stream: HttpStream, framing: Framing, headers: Sequence[tuple[str, str]]) -> None:
        """Tell a request that it is one too many, or that the session is over and what it missed before that.

        Differs from Spring: what was sent before the close still arrives, and the close frame is the session's own, not
        always 3000.
        """
        stream.start(headers, NOBODY)
        if framing.prelude:
            stream.write(framing.prelude)
        last = _ANOTHER if self._state is not _CLOSED else self._closing_frame
        if self._state is _CLOSED and self._cache:
            missed = framing.wrap(self._options.message_codec.encode(self._cache))
            self._cache.clear()
            if self.transport_kind == "http_polling":
                stream.finish(missed)
                return
            stream.write(missed)
        stream.finish(framing.wrap(last))

    def _resume(self) -> None:
        try:
            with self._lock:
                self._flush_cache()
        finally:
            if self._loose_ends:
                self._tie_up()

    # -- requests that bring messages from the client

    def receive(self, messages: Sequence[str], size: int, give_way: Callable[[], object]) -> None:
        """Deliver *messages*, whose request had *size* bytes, to the handler, one by one; the rest is dropped once it
        is closed. *give_way* lets others run, and is called now and then.

        When a call of the handler is under way elsewhere they are delivered after it, and this returns before.

        Raises:
            RequestError: 503, too much waits for the handler already.
            SockJsMessageDeliveryError: the handler raised.
        """
        self._last_received_ms = self._timers.now_ms()
        waiting = self._mailbox.waiting_bytes
        if waiting and waiting + size > self._options.max_body_size:
            raise RequestError(503)
        delivery = Delivery(self, self._handler, messages, give_way)
        self._mailbox.call(delivery.run, size)
        if delivery.failure is not None:
            raise delivery.failure

    # -- sending

    def _send_text(self, message: TextMessage) -> None:
        text = as_text(message.as_bytes())
        limit = self._options.http_message_cache_size
        if len(self._cache) >= limit:
            self._make_room()
        with self._lock:
            full = len(self._cache) >= limit
            if not full and self._state is _OPEN:
                self._cache.append(text)
        self._flush_soon()
        if full:
            raise RuntimeError(f"Queue full: {limit} messages wait for a request of session '{self._id}'")

    def _make_room(self) -> None:
        self._resume()

    def _flush_soon(self) -> None:
        self._resume()

    def _tie_up(self) -> None:
        """For whoever held the lock, afterwards: set the deadline, and end the session if its client is gone."""
        while self._loose_ends and self._lock.acquire(blocking=False):
            before = None
            try:
                self._loose_ends = False
                error, self._lost = self._lost, None
                if error is not None and self._state is not _CLOSED:
                    before = self._end_lost(error)
            finally:
                self._lock.release()
            if error is not None:
                self._log_vanished(error)
            if before is None:
                self._watch.moved()
            else:
                self._log_move(before)
                self._forget()
                self._ended()

    # -- the stream's news

    def stream_closed(self, error: Exception) -> None:
        """The client vanished in the middle of a response: nobody knows what it got, so the session is over."""
        self._lost = error
        self._loose_ends = True
        self._tie_up()

    def _end_lost(self, error: Exception) -> SessionState:
        # An ended connection is no error here: aborting the request is how clients over HTTP say good-bye.
        self._error = None if isinstance(error, EOFError) else error
        self._cache.clear()
        before = self._end(_VANISHED)
        if self._stream is not None:
            self._stream.abort()
            self._detach()
        return before

    def _log_vanished(self, error: Exception) -> None:
        if vanished_logger.isEnabledFor(logging.DEBUG):
            stack = error if vanished_logger.isEnabledFor(TRACE) else None
            vanished_logger.debug("Client of session %s vanished: %s", self._id, error, exc_info=stack)

    def stream_drained(self) -> None:
        self._resume()

    def stream_stopping(self, status: CloseStatus) -> None:
        self.close(status)

    # -- closing

    def _close(self, status: CloseStatus) -> None:
        self._close_now(status)

    def _close_now(self, status: CloseStatus) -> None:
        before = None
        try:
            with self._lock:
                if self._state is not _CLOSED:
                    before = self._end_with_frame(status)
        finally:
            if self._loose_ends:
                self._tie_up()
        if before is not None:
            self._log_move(before)
            self._watch.moved()
            self._ended()

    def _end_with_frame(self, status: CloseStatus) -> SessionState:
        unreliable = status.equals_code(CloseStatus.SESSION_NOT_RELIABLE)
        if not unreliable:
            self._flush_cache(force=True)
        before = self._end(status if status.because else status.with_cause(EndReason.SERVER_CLOSED))
        stream, framing = self._stream, self._framing
        if stream is not None and framing is not None:
            if unreliable:
                stream.abort()
            else:
                stream.finish(framing.wrap(self._closing_frame))
            self._detach()
        return before

    def _end(self, status: CloseStatus) -> SessionState:
        """With the lock held; returns the state before."""
        self._close_status = status
        self._closing_frame = frame_of(status)
        self._inactive_since_ms = self._timers.now_ms()
        return self._move(_CLOSED)

    def _ended(self) -> None:
        status = self._close_status
        assert status is not None
        self._mailbox.post(partial(tell_closed, self, self._handler, status, self._error), self._execute)

    def _forget(self) -> None:
        """Leave the session table; harmless twice."""
        removal, self._removal = self._removal, None
        self._watch.cancel()
        if removal is not None:
            removal(self)

    # -- time

    def next_due_ms(self) -> float | None:
        if self._state is _OPEN and self._stream is not None:
            return SockJsSession.next_due_ms(self)
        return self._inactive_since_ms + self._options.disconnect_delay_ms

    def on_due(self, now_ms: float) -> None:
        """A heart-beat, or the end of a session that nobody asks for any more."""
        if self._state is _OPEN and self._stream is not None:
            SockJsSession.on_due(self, now_ms)
            return
        self._forget()
        if self._state is not _CLOSED:
            logger.debug("Session %s had no request for %d ms", self._id, self._options.disconnect_delay_ms)
            self.close(_EXPIRED)

    def _write_heartbeat(self, frame: bytes) -> None:
        with self._lock:
            # While the client takes nothing there are bytes on the way that find out whether it is still there.
            if self._stream is not None and not self._stream.pending_bytes:
                self._write_frame(frame)
        if self._loose_ends:
            self._tie_up()
