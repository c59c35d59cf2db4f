"""A flusher whose loop turns when it is told, and a session without a socket that never blocks."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from kit.scheduling import ManualTask, ManualTaskScheduler
from kit.sessions import FakeWebSocketSession
from wellhead.server.flush import Flushable, Mailing, Outgoing, message_of
from wellhead.server.framing import WEB_SOCKET_TEXTS, TextFraming
from wellhead.server.message import BinaryMessage, TextMessage, WebSocketMessage


class ManualFlusher:
    """Implements Flusher. The thread that makes it is the loop's; ``turn`` is one turn, ``advance`` moves the clock."""

    def __init__(self) -> None:
        self.timers = ManualTaskScheduler()
        self.requests = 0
        self.ways_given = 0
        self.mailing: Mailing | None = None
        self._thread = threading.get_ident()
        self._dirty: deque[Flushable] = deque()
        self._handed: deque[tuple[Callable[[], None], threading.Event]] = deque()

    @property
    def on_loop_thread(self) -> bool:
        return threading.get_ident() == self._thread

    def mail(self, mailing: Mailing) -> None:
        assert self.on_loop_thread
        assert self.mailing is None, "the earlier one is not settled"
        self.mailing = mailing

    def settle(self) -> None:
        mailing = self.mailing
        if mailing is None:
            return
        if not self.on_loop_thread:
            mailing.settle_from_thread()
            return
        mailing.settle()
        if self.mailing is mailing:
            self.mailing = None

    def request(self, flushable: Flushable) -> None:
        self.requests += 1
        self._dirty.append(flushable)

    def run_now(self, function: Callable[[], None], *, timeout_ms: float) -> bool:
        if threading.get_ident() == self._thread:
            function()
            return True
        done = threading.Event()
        self._handed.append((function, done))
        return done.wait(timeout_ms / 1000)

    def give_way(self) -> None:
        self.ways_given += 1

    def now_ms(self) -> float:
        return self.timers.now_ms()

    def call_later(self, function: Callable[[], object], delay_ms: float) -> ManualTask:
        return self.timers.schedule(function, delay_ms)

    # -- for tests

    def turn(self) -> None:
        """Run what other threads handed over, then flush what asked for it."""
        while self._handed:
            function, done = self._handed.popleft()
            function()
            done.set()
        self.write_mailing()
        for _ in range(len(self._dirty)):
            self._dirty.popleft().flush()

    def write_mailing(self, most: int = 256) -> None:
        """Write to so many recipients at most."""
        mailing = self.mailing
        if mailing is not None and mailing.write(most) and self.mailing is mailing:
            self.mailing = None

    def turn_until_ended(self, *threads: threading.Thread) -> None:
        """Turn for as long as one of the threads runs."""
        for thread in threads:
            while thread.is_alive():
                self.turn()
                thread.join(0.001)
        self.turn()

    def advance(self, ms: float) -> None:
        self.timers.advance(ms)


class FakeNonBlockingSession(FakeWebSocketSession):
    """Implements NonBlockingWebSocketSession. While it is ``blocked`` the peer takes nothing until ``take`` is called.

    ``writes`` has what each write carried; ``sent`` what the peer got.
    """

    def __init__(self, session_id: str | None = None, *, flusher: ManualFlusher | None = None, **options: Any) -> None:
        super().__init__(session_id, **options)
        self.flusher = flusher or ManualFlusher()
        self.blocked = False
        self.writes: list[list[WebSocketMessage[Any]]] = []
        self.pending_bytes = 0
        self._pending: list[WebSocketMessage[Any]] = []
        self._waiting: list[Callable[[], None]] = []

    def try_send(self, outgoing: Sequence[Outgoing], drained: Callable[[], None]) -> bool:
        if not self.is_open:
            return True
        if self.send_error is not None:
            raise self.send_error
        messages = [message_of(each) for each in outgoing]
        self.writes.append(messages)
        if self.blocked or self.pending_bytes:
            self._pending.extend(messages)
            self.pending_bytes += sum(message.payload_length for message in messages)
            self._waiting.append(drained)
            return False
        self.sent.extend(messages)
        return True

    def take(self, size: int | None = None) -> None:
        """Let the peer take so many bytes, by default all there are; then everything is sent and ``drained`` called."""
        self.pending_bytes -= self.pending_bytes if size is None else size
        if self.pending_bytes == 0:
            self.blocked = False
            self.sent.extend(self._pending)
            self._pending.clear()
            waiting, self._waiting = self._waiting, []
            for drained in waiting:
                drained()


class FakeFrameWritingSession(FakeNonBlockingSession):
    """Implements JoinedWritingSession: reads the frames that it is to write, and takes whole text frames alone.

    While ``takes_frames`` is False it says of each that it has to be handed over as a message. A subclass may have
    another ``text_framing`` and ``read``.
    """

    text_framing: TextFraming | None = WEB_SOCKET_TEXTS

    def __init__(self, session_id: str | None = None, **options: Any) -> None:
        super().__init__(session_id, **options)
        self.takes_frames = True
        self.frame_writes = 0

    def try_write(self, texts: bytes) -> bool | None:
        assert self.flusher.on_loop_thread
        if not self.is_open or not self.takes_frames or self.pending_bytes:
            return None
        if self.send_error is not None:
            raise self.send_error
        self.frame_writes += 1
        messages = self.read(texts)
        self.writes.append(messages)
        if self.blocked:
            self._pending.extend(messages)
            self.pending_bytes += sum(message.payload_length for message in messages)
            return False
        self.sent.extend(messages)
        return True

    def read(self, texts: bytes) -> list[WebSocketMessage[Any]]:
        """The messages out of their framing."""
        assert self.text_framing is WEB_SOCKET_TEXTS
        return messages_in(texts)

    def when_drained(self, drained: Callable[[], None]) -> None:
        assert self.pending_bytes, "nothing waits"
        self._waiting.append(drained)


def messages_in(frames: bytes) -> list[WebSocketMessage[Any]]:
    """What is in whole, unmasked, uncompressed text and binary frames with headers as short as can be."""
    messages: list[WebSocketMessage[Any]] = []
    while frames:
        first, length = frames[:2]
        assert first in (0x81, 0x82), f"no whole text or binary frame: {frames[:20]!r}"
        assert length < 128, "masked"
        start = 2
        if length == 126:
            start, length = 4, int.from_bytes(frames[2:4], "big")
            assert length > 125
        elif length == 127:
            start, length = 10, int.from_bytes(frames[2:10], "big")
            assert length > 65_535
        assert len(frames) >= start + length, "a frame is cut"
        payload = frames[start : start + length]
        messages.append(TextMessage(payload) if first == 0x81 else BinaryMessage(payload))
        frames = frames[start + length :]
    return messages
