"""Broadcasts on their way to many sessions: kept once, and not in each session's buffer (SB-03).

Station: between the endpoint and the sessions, on a runtime with an event loop. What was published for the same
recipients within a turn of the loop waits here. Then each of them gets what it has not got, in one write, made by one
``join``: the recipients differ in what stands before the common tails, and in nothing else.

Theory of operation. A mailing is a list of runs: stretches of the recipients together with the tails that they wait
for. Runs are written from the first one's front. A broadcast that comes meanwhile is added to every run, and those who
have already been written to make new runs for it. So everybody gets everything once and in order, and as much as
possible at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Protocol, TypeVar

from ...messaging.broker.contract import LONGEST_PREPARED, Subscription
from ...messaging.locks import allocate_lock
from ..framing import TextFraming, WebSocketFraming
from ..message import BinaryMessage
from .contract import SharedText
from .holder import SessionHolder

R = TypeVar("R")

MANY = 16
"""From so many recipients on a broadcast is worth a mailing."""


class Targets(Protocol):
    """Who knows the sessions: the endpoint."""

    send_buffer_size_limit: int

    def target_of(self, subscription: Subscription) -> SessionHolder | None:
        """Looked up and kept with the subscription; None when there is none."""
        ...

    def failed_to_send(self, holder: SessionHolder, error: Exception) -> None:
        """Tell whom it concerns. Never raises."""
        ...


class _Run:
    """Recipients from ``position`` to ``stop``, and what they wait for; those from ``start`` on have got it."""

    __slots__ = ("_ready", "position", "size", "start", "stop", "tails")

    def __init__(self, start: int, stop: int, tail: bytes) -> None:
        self.start = self.position = start
        self.stop = stop
        self.tails = [tail]
        self.size = len(tail)
        self._ready: dict[TextFraming, dict[int, list[bytes]]] = {}

    def add(self, tail: bytes) -> None:
        self.tails.append(tail)
        self.size += len(tail)
        for pieces in self._ready.values():
            pieces.clear()

    def ready(self, framing: TextFraming) -> dict[int, list[bytes]]:
        """Pieces to be joined by what is the recipient's own, by its length; always the same object."""
        return self._ready.setdefault(framing, {})


_NOT_KEPT = b""
"""The key for a long head, which no subscription has."""


@lru_cache(maxsize=1024)
def _key(framing: TextFraming, head: bytes) -> bytes:
    """The head of ``Subscription.prepared`` while that is as *framing* writes it."""
    return head if isinstance(framing, WebSocketFraming) else framing.own(head)


class BroadcastMailing:
    """Implements ``Mailing`` for broadcasts that have the same recipients and the same head.

    Made, added to and written on the loop's thread; what a failure leads to may call it again meanwhile. Other threads
    do nothing but settle it, with the lock, for which they never wait longer than for one slice.
    """

    __slots__ = ("_are_distinct", "_endpoint", "_is_held", "_lock", "_runs", "_shared", "_subscriptions", "_written")

    def __init__(self, endpoint: Targets, subscriptions: Sequence[Subscription], shared: SharedText) -> None:
        self._endpoint = endpoint
        self._subscriptions = subscriptions
        self._shared = shared
        self._runs = [_Run(0, len(subscriptions), shared.tail)]
        self._are_distinct: bool | None = None
        """Whether no session has two of the subscriptions; None: nobody asked yet."""
        self._written: list[tuple[int, int]] = []
        """Recipients that wait for nothing."""
        self._lock = allocate_lock()
        self._is_held = False
        """Whether the loop's thread has the lock; nobody else looks."""

    def add(self, endpoint: Targets, subscriptions: Sequence[Subscription], shared: SharedText) -> bool:
        """One more broadcast; False when it cannot be joined with those here, and they are to be settled before it."""
        return self._with_lock(self._add, endpoint, subscriptions, shared)

    def write(self, most: int) -> bool:
        """Write to at most so many recipients; whether there are none left."""
        return self._with_lock(self._write, most)

    def settle(self) -> None:
        """Put what is left into the buffers of its sessions. On the loop's thread."""
        self._with_lock(self._settle, True)

    def settle_from_thread(self) -> None:
        """The same from any other thread. The limits of the buffers are judged later: that needs the loop, which may
        wait for this thread.
        """
        with self._lock:
            self._settle(False)

    def _with_lock(self, function: Callable[..., R], *arguments: Any) -> R:
        if self._is_held:
            return function(*arguments)
        with self._lock:
            self._is_held = True
            try:
                return function(*arguments)
            finally:
                self._is_held = False

    def _add(self, endpoint: Targets, subscriptions: Sequence[Subscription], shared: SharedText) -> bool:
        ours = self._shared
        if subscriptions is not self._subscriptions or shared.head is not ours.head or shared.is_text != ours.is_text:
            return False
        if endpoint is not self._endpoint or not self._runs or not self._has_room(len(shared.tail)):
            return False
        runs, tail = self._runs, shared.tail
        first = runs[0]
        if first.position > first.start:
            self._written.append((first.start, first.position))
            first.start = first.position
        for run in runs:
            run.add(tail)
        runs += [_Run(start, stop, tail) for start, stop in self._written]
        self._written.clear()
        return True

    def _has_room(self, size: int) -> bool:
        """Whether one more makes sense: with more than a session may buffer their limits have to be looked at; and who
        has two subscriptions among these gets one broadcast after the other.
        """
        if max([run.size for run in self._runs]) + size > self._endpoint.send_buffer_size_limit:
            return False
        if self._are_distinct is None:
            self._are_distinct = len({each.session_id for each in self._subscriptions}) == len(self._subscriptions)
        return self._are_distinct

    def _write(self, most: int) -> bool:
        runs = self._runs
        while runs and most > 0:
            run = runs[0]
            stop = min(run.stop, run.position + most)
            most -= stop - run.position
            self._write_run(run, stop)
            if runs and run.position == run.stop:
                del runs[0]
                self._written.append((run.start, run.stop))
        return not runs

    def _write_run(self, run: _Run, stop: int) -> None:
        endpoint, start, is_text = self._endpoint, run.position, self._shared.is_text
        is_short = len(self._shared.head) <= LONGEST_PREPARED
        framing: TextFraming | None = None  # of the session before
        for run.position, subscription in enumerate(self._subscriptions[start:stop], start + 1):
            holder: SessionHolder | None = subscription.target
            if holder is None or holder.endpoint is not endpoint:
                holder = endpoint.target_of(subscription)
                if holder is None:
                    continue
            session = holder.session
            if session.text_framing is not framing:
                framing = session.text_framing
                if framing is not None:
                    written = framing if is_text else framing.binary
                    key = _key(written, self._shared.head) if is_short else _NOT_KEPT
                    ready = run.ready(written)
            try:
                if framing is not None:
                    head, own = subscription.prepared
                    if head is not key:
                        own = self._own(subscription, written, key)
                    pieces = ready.get(len(own))
                    if pieces is None:
                        pieces = ready[len(own)] = written.pieces(len(own), run.tails)
                    if session.write_joined(own.join(pieces)):
                        continue
                self._buffer(holder, subscription, run.tails, True)
            except Exception as error:
                endpoint.failed_to_send(holder, error)
            if not self._runs:  # settled, by what a failure led to
                return

    def _own(self, subscription: Subscription, framing: TextFraming, key: bytes) -> bytes:
        own = framing.own(self._shared.before_tail(subscription))
        if len(own) <= LONGEST_PREPARED:
            subscription.prepared = key, own
        return own

    def _settle(self, judge: bool) -> None:
        # A failure can lead to another call: then that one does the rest.
        runs = self._runs
        while runs:
            run = runs[0]
            while run.position < run.stop:
                subscription = self._subscriptions[run.position]
                run.position += 1
                holder = self._endpoint.target_of(subscription)
                if holder is not None:
                    self._buffer(holder, subscription, run.tails, judge)
            if runs and runs[0] is run:
                del runs[0]
                self._written.append((run.start, run.stop))

    def _buffer(self, holder: SessionHolder, subscription: Subscription, tails: list[bytes], judge: bool) -> None:
        try:
            own = self._shared.before_tail(subscription)
            for tail in tails[:]:  # a failure can lead to one more
                if self._shared.is_text or not holder.takes_binary:
                    holder.session.buffer_text(own, tail, judge)
                else:
                    holder.session.buffer_message(BinaryMessage(own + tail), judge)
        except Exception as error:
            self._endpoint.failed_to_send(holder, error)
