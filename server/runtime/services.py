"""What the connections of one server share: the loop's services and the pool that runs their handlers."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from gevent import get_hub  # type: ignore[import-untyped]  # no type information
from gevent.event import Event  # type: ignore[import-untyped]  # no type information

from .executors import GreenletExecutor, NativeThreadExecutor
from .flusher import LoopFlusher
from .timers import GeventTaskScheduler
from .vanished import VanishedPeers

if TYPE_CHECKING:
    from ...messaging.executor import PooledExecutor
    from ..close import CloseStatus
    from .handling import HandlingSession


class Runtime:
    """The services of a server on one hub; an application gets it in its ``start(runtime)``."""

    __slots__ = (
        "hub",
        "loop",
        "flusher",
        "workers",
        "scheduler",
        "connections",
        "vanished",
        "closing_with",
        "_timer_workers",
        "_executors",
        "_none_left",
    )

    def __init__(self, *, max_workers: int = 256) -> None:
        """On the thread of the hub. *max_workers*: how many sessions can be in their handlers at once."""
        self.hub = get_hub()
        self.loop = self.hub.loop
        self.flusher = LoopFlusher.of(self.hub)
        """Implements ``Flusher``."""
        self.workers = GreenletExecutor(
            core_pool_size=max_workers, thread_name_prefix="wellhead-session-", hub=self.hub
        )
        """Runs the handlers of the sessions. Its queue is bounded by the sessions: each has one task at most."""
        self._timer_workers = GreenletExecutor(core_pool_size=8, thread_name_prefix="wellhead-timer-", hub=self.hub)
        self.scheduler = GeventTaskScheduler(self.flusher, self._timer_workers)
        """Implements ``TaskScheduler``."""
        self.connections: set[HandlingSession] = set()
        """All connections whose socket is open or whose handler has not been told of the end."""
        self.vanished = VanishedPeers(self.loop)
        """Where connections go whose peer is found to be gone."""
        self.closing_with: CloseStatus | None = None
        """Set when the server stops: what a connection that begins after this is closed with at once."""
        self._executors: list[PooledExecutor] = []
        self._none_left: Event | None = None

    def executor(self, name_prefix: str, **limits: Any) -> PooledExecutor:
        """A pool of greenlets, with the limits of ``GreenletExecutor``; shut down with the server."""
        executor = GreenletExecutor(thread_name_prefix=name_prefix, hub=self.hub, **limits)
        self._executors.append(executor)
        return executor

    def thread_executor(self, name_prefix: str, **limits: Any) -> PooledExecutor:
        """A pool of native threads, with the limits of ``ThreadPoolTaskExecutor``; shut down with the server."""
        executor = NativeThreadExecutor(thread_name_prefix=name_prefix, **limits)
        self._executors.append(executor)
        return executor

    def forget(self, connection: HandlingSession) -> None:
        """A connection is over, for its handler too. Harmless twice."""
        self.connections.discard(connection)
        if self._none_left is not None and not self.connections:
            self._none_left.set()

    def wait_for_connections(self, timeout_ms: int) -> bool:
        """Wait until there are none; False when some were left after *timeout_ms*."""
        if self.connections:
            self._none_left = Event()
            self._none_left.wait(timeout_ms / 1000.0)
        return not self.connections

    def shutdown(self, *, wait_ms: int) -> bool:
        """End all executors that were made here, all within *wait_ms*; False when some task still ran."""
        deadline = monotonic() + wait_ms / 1000.0
        self.scheduler.shutdown()
        pools: list[PooledExecutor] = [*self._executors, self.workers, self._timer_workers]
        return all([pool.shutdown(wait_ms=rest_ms(deadline)) for pool in pools])


def rest_ms(deadline: float) -> int:
    """How long it is until *deadline*, a time of ``monotonic``; 0 when it is over."""
    return max(0, int((deadline - monotonic()) * 1000.0))
