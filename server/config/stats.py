"""What the application counts, as one line every half hour and as objects at any time (STAT-01)."""

from __future__ import annotations

import logging

from ...messaging.executor import Executor, PooledExecutor, ScheduledTask, TaskScheduler
from ...messaging.subscribable import ExecutorSubscribableChannel
from ..subprotocol.stats import SessionStats, StompStats

logger = logging.getLogger(__name__)

FIRST_MS = 60_000
PERIOD_MS = 30 * 60_000


class WebSocketMessageBrokerStats:
    """Counters of sessions, STOMP frames and channels. ``str()`` is the line that is logged at INFO."""

    def __init__(
        self,
        sessions: SessionStats,
        stomp: StompStats,
        inbound: ExecutorSubscribableChannel,
        outbound: ExecutorSubscribableChannel,
        scheduler: TaskScheduler,
    ) -> None:
        self.web_socket_session_stats = sessions
        self.stomp_sub_protocol_stats = stomp
        self._inbound = inbound
        self._outbound = outbound
        self._scheduler = scheduler
        self._period_ms = PERIOD_MS
        self._task: ScheduledTask | None = None
        self._running = False

    @property
    def logging_period_ms(self) -> int:
        return self._period_ms

    @logging_period_ms.setter
    def logging_period_ms(self, period_ms: int) -> None:
        """Log at this period from now on, at once for the first time; 0 or less turns it off."""
        self._period_ms = period_ms
        if self._running:
            self._schedule(0)

    def start(self) -> None:
        """Log first after a minute; not at all when INFO is off for this module."""
        self._running = True
        self._schedule(FIRST_MS)

    def stop(self) -> None:
        self._running = False
        self._cancel()

    def _schedule(self, first_ms: int) -> None:
        self._cancel()
        if self._period_ms > 0 and logger.isEnabledFor(logging.INFO):
            self._task = self._scheduler.schedule_with_fixed_delay(
                self._log, self._period_ms, initial_delay_ms=first_ms
            )

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _log(self) -> None:
        logger.info("%s", self)

    def __str__(self) -> str:
        return (
            f"WebSocketSession[{self.web_socket_session_stats}], "
            f"stompSubProtocol[{self.stomp_sub_protocol_stats}], "
            f"stompBrokerRelay[null], "
            f"inboundChannel[{_executor_stats(self._inbound.executor)}], "
            f"outboundChannel[{_executor_stats(self._outbound.executor)}], "
            f"sockJsScheduler[{_scheduler_stats(self._scheduler)}]"
        )


def _scheduler_stats(scheduler: TaskScheduler) -> str:
    """Of the pool that runs the tasks; a scheduler may name it in ``executor``."""
    return _executor_stats(scheduler.executor) if hasattr(scheduler, "executor") else "unknown"


def _executor_stats(executor: Executor | None) -> str:
    if executor is None:
        return "null"
    if not isinstance(executor, PooledExecutor):
        return "unknown"
    return (
        f"pool size = {executor.pool_size}, active threads = {executor.active_count}, "
        f"queued tasks = {executor.queue_size}, completed tasks = {executor.completed_task_count}"
    )
