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

from collections.abc import Sequence
from typing import Protocol

from ...messaging.broker.contract import Subscription
from ..framing import text_header
from .contract import SharedText
from .holder import SessionHolder

MANY = 16
"""From so many recipients on a broadcast is worth a mailing."""


class Targets(Protocol):
    """Who knows the sessions: the endpoint."""

    def target_of(self, subscription: Subscription) -> SessionHolder | None:
        """Looked up and kept with the subscription; None when there is none."""
        ...

    def failed_to_send(self, holder: SessionHolder, error: Exception) -> None:
        """Tell whom it concerns. Never raises."""
        ...


class _Run:
    """Recipients from ``position`` to ``stop``, and what they wait for; those from ``start`` on have got it."""

    __slots__ = ("pieces", "position", "start", "stop", "tails")

    def __init__(self, start: int, stop: int, tail: bytes) -> None:
        self.start = self.position = start
        self.stop = stop
        self.tails = [tail]
        self.pieces: dict[int, list[bytes]] = {}
        """By the length of what is the recipient's own: what is to be joined by it."""

    def add(self, tail: bytes) -> None:
        self.tails.append(tail)
        self.pieces.clear()

    def pieces_for(self, size: int) -> list[bytes]:
        """Such that ``own.join(pieces)`` is all frames of a recipient with *size* bytes of its own before each tail."""
        pieces = self.pieces[size] = [b""]
        for tail in self.tails:
            pieces[-1] += text_header(size + len(tail))
            pieces.append(tail)
        return pieces


class BroadcastMailing:
    """Implements ``Mailing`` for broadcasts that have the same recipients and the same head."""

    __slots__ = ("_endpoint", "_runs", "_shared", "_subscriptions", "_written")

    def __init__(self, endpoint: Targets, subscriptions: Sequence[Subscription], shared: SharedText) -> None:
        self._endpoint = endpoint
        self._subscriptions = subscriptions
        self._shared = shared
        self._runs = [_Run(0, len(subscriptions), shared.tail)]
        self._written: list[tuple[int, int]] = []
        """Recipients that wait for nothing."""

    def add(self, endpoint: Targets, subscriptions: Sequence[Subscription], shared: SharedText) -> bool:
        """One more broadcast; False when it is not for the same recipients or differs in more than its tail."""
        if subscriptions is not self._subscriptions or shared.head is not self._shared.head:
            return False
        if endpoint is not self._endpoint:
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

    def write(self, most: int) -> bool:
        """Write to at most so many recipients; whether there are none left."""
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
        endpoint, shared, head, ready = self._endpoint, self._shared, self._shared.head, run.pieces
        start = run.position
        for run.position, subscription in enumerate(self._subscriptions[start:stop], start + 1):
            holder: SessionHolder | None = subscription.target
            if holder is None or holder.endpoint is not endpoint:
                holder = endpoint.target_of(subscription)
                if holder is None:
                    continue
            own = subscription.before_tail if subscription.head is head else shared.before_tail(subscription)
            try:
                pieces = ready.get(len(own)) or run.pieces_for(len(own))
                if not holder.session.write_frames(own.join(pieces)):
                    self._buffer(holder, own, run.tails)
            except Exception as error:
                endpoint.failed_to_send(holder, error)
            if not self._runs:  # settled, by what a failure led to
                return

    def settle(self) -> None:
        """Put what is left into the buffers of its sessions."""
        runs = self._runs[:]
        self._runs.clear()
        for run in runs:
            for subscription in self._subscriptions[run.position : run.stop]:
                holder = self._endpoint.target_of(subscription)
                if holder is not None:
                    self._buffer(holder, self._shared.before_tail(subscription), run.tails)

    def _buffer(self, holder: SessionHolder, own: bytes, tails: list[bytes]) -> None:
        try:
            for tail in tails[:]:  # a failure can lead to one more
                holder.session.buffer_text(own, tail)
        except Exception as error:
            self._endpoint.failed_to_send(holder, error)
