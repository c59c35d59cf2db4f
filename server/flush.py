"""How a session that never blocks lets its writes be gathered: the contract of the concurrent decorator and a runtime.

A runtime with an event loop gives its sessions a ``flusher``. Whoever buffers messages for such a session asks the
flusher once per turn of the loop, is called back on the loop's thread, and hands over all that has come together in one
``try_send``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

from .framing import TextFraming
from .message import TextMessage, WebSocketMessage
from .session import WebSocketSession

Outgoing = WebSocketMessage[Any] | tuple[bytes, bytes]
"""What is handed over: a message, or for a whole text message two pieces of its bytes.

Nearly all are such texts, made of what is the recipient's own and what all recipients share; nobody copies the shared
piece before it is written.
"""


def size_of(outgoing: Outgoing) -> int:
    """Bytes of the payload."""
    if isinstance(outgoing, tuple):
        return len(outgoing[0]) + len(outgoing[1])
    return outgoing.payload_length


def message_of(outgoing: Outgoing) -> WebSocketMessage[Any]:
    """The message, be it handed over as such or in pieces."""
    return TextMessage(outgoing[0] + outgoing[1]) if isinstance(outgoing, tuple) else outgoing


class Flushable(Protocol):
    """Has something to write."""

    def flush(self) -> None:
        """Write what there is. Called on the loop's thread; must not block and must not raise."""
        ...


class Mailing(Protocol):
    """What goes to many sessions and is not yet in their buffers. On the loop's thread, but for the last one."""

    def write(self, most: int) -> bool:
        """Write to at most so many sessions; whether there are none left. Must not block and must not raise."""
        ...

    def settle(self) -> None:
        """Put what is left into the buffers of its sessions."""
        ...

    def settle_from_thread(self) -> None:
        """The same from any other thread, without waiting for the loop."""
        ...


class Flusher(Protocol):
    """Calls dirty sessions once per turn of its loop."""

    mailing: Mailing | None
    """Written before the dirty sessions are flushed. Whoever sends to a session in another way, in any thread, calls
    ``settle`` before if there is one: so everything stays in order.
    """

    @property
    def on_loop_thread(self) -> bool:
        """Whether the caller runs on the loop's thread, in whatever greenlet."""
        ...

    def mail(self, mailing: Mailing) -> None:
        """Have it written at the end of this turn. On the loop's thread, when there is none."""
        ...

    def settle(self) -> None:
        """Have the rest of the mailing put into the buffers of its sessions; returns when that is done. From any
        thread.
        """
        ...

    def request(self, flushable: Flushable) -> None:
        """Have ``flushable.flush()`` called at the end of this turn. From any thread; ask once, not per message."""
        ...

    def run_now(self, function: Callable[[], None], *, timeout_ms: float) -> bool:
        """Run *function* on the loop's thread and return when it has run: at once when called there, else after a
        hand-over.

        False when it had not run after *timeout_ms*.
        """
        ...

    def give_way(self) -> None:
        """Let the loop look at its sockets and others have their turn: for a greenlet of this loop that has much to do.
        Elsewhere nothing happens.
        """
        ...

    def now_ms(self) -> float:
        """The loop's monotonic clock, in milliseconds."""
        ...

    def call_later(self, function: Callable[[], object], delay_ms: float) -> Any:
        """Run *function* on the loop's thread after *delay_ms*; the result has ``cancel()``."""
        ...


@runtime_checkable
class NonBlockingWebSocketSession(WebSocketSession, Protocol):
    """A session whose writes never wait: what the peer does not take stays with the session."""

    @property
    def flusher(self) -> Flusher: ...

    @property
    def pending_bytes(self) -> int:
        """Bytes handed over that the peer has not taken yet."""
        ...

    def try_send(self, messages: Sequence[Outgoing], drained: Callable[[], None]) -> bool:
        """Hand over messages, in order, as one write. On the loop's thread only.

        True: the kernel took everything. False: some of it waits in the session until the peer reads; *drained* is
        then called once, on the loop's thread, when nothing waits any more. Nothing is sent, and True returned, when
        the session is closed. May be called again while something waits.
        """
        ...


@runtime_checkable
class JoinedWritingSession(NonBlockingWebSocketSession, Protocol):
    """One that takes texts as they are written, when they were made once for many sessions."""

    @property
    def text_framing(self) -> TextFraming | None:
        """How; the same for the whole life of the session. None: texts have to be handed over as messages."""
        ...

    def try_write(self, texts: bytes) -> bool | None:
        """Write whole texts if nothing is to go before them. On the loop's thread only.

        True: the kernel took everything. False: some of it waits. None: nothing was done; they have to be handed over
        as messages.
        """
        ...

    def when_drained(self, drained: Callable[[], None]) -> None:
        """Have *drained* called once, on the loop's thread, when nothing waits any more. Only while something does."""
        ...
