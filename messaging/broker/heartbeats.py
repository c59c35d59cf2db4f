"""When a session of the simple broker has gone silent, and when it must be written to (SB-04)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..executor import ScheduledTask, TaskScheduler

DEFAULT_HEARTBEAT_MS = (10_000, 10_000)
MARGIN = 3
"""How many intervals a client may be silent."""
LONGEST_MS = 2**31
"""Longer intervals than this, 24 days, are as long as this: a client may write thousands of digits."""

IDLE_CLOCK = "simpIdleClock"
"""Header of a CONNECT: a function that tells for how many milliseconds no bytes of the session were read.

Bytes count when they are read, not when they are handled: a handler that takes long must not make its client look dead.
"""


def checked_heartbeat(values: Sequence[int]) -> tuple[int, int]:
    """*values* as (send, receive). Raises ValueError for anything but two numbers that are not negative."""
    if len(values) != 2 or min(values) < 0:
        raise ValueError(f"Invalid heart-beat: {list(values)}")
    return values[0], values[1]


class SessionLife:
    """The last signs of life of one session, in milliseconds of the scheduler's clock."""

    __slots__ = ("_idle_ms", "read_ms", "read_timeout_ms", "write_interval_ms", "written_ms")

    def __init__(
        self, now_ms: float, read_timeout_ms: int, write_interval_ms: int, idle_ms: Callable[[], float] | None
    ) -> None:
        self.read_ms = self.written_ms = now_ms
        self.read_timeout_ms = read_timeout_ms
        self.write_interval_ms = write_interval_ms
        self._idle_ms = idle_ms if read_timeout_ms else None

    def is_silent(self, now_ms: float) -> bool:
        limit = self.read_timeout_ms
        if not limit or now_ms - self.read_ms <= limit:
            return False
        if self._idle_ms is None:
            return True
        idle_ms = self._idle_ms()
        self.read_ms = now_ms - idle_ms  # So that nobody needs to ask again before it could be silent.
        return idle_ms > limit

    def wants_write(self, now_ms: float, period_ms: float) -> bool:
        """Whether the interval would be over before the next look, *period_ms* from now.

        Differs from Spring, which looks back only and so lets nearly two intervals pass in silence.
        """
        interval = self.write_interval_ms
        return bool(interval) and now_ms + period_ms > self.written_ms + interval


class BrokerHeartbeats:
    """The broker's own (send, receive) pair, what it agrees on with each client, and one task that looks after all."""

    def __init__(self, values: Sequence[int] | None, scheduler: TaskScheduler | None) -> None:
        """*values* None means the default if there is a *scheduler*, and none if not. Raises ValueError for others."""
        self.values: tuple[int, int] | None = None
        if values is not None:
            self.values = checked_heartbeat(values)
        elif scheduler is not None:
            self.values = DEFAULT_HEARTBEAT_MS
        self._scheduler = scheduler
        self._task: ScheduledTask | None = None

    @property
    def period_ms(self) -> int:
        """The smaller of the two values if both are positive, else the positive one; 0 without heart-beats."""
        positive = [value for value in self.values or () if value > 0]
        return min(positive, default=0)

    def start(self, tick: Callable[[], None]) -> None:
        """Raises ValueError for heart-beats without a scheduler."""
        if not self.period_ms:
            return
        if self._scheduler is None:
            raise ValueError("Heartbeat values configured but no TaskScheduler provided")
        self._task = self._scheduler.schedule_with_fixed_delay(tick, self.period_ms)

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def agree(self, client: tuple[int, int] | None) -> tuple[int, int]:
        """Read timeout and write interval for a client's pair, in milliseconds; 0 where one side said nothing."""
        server_send, server_receive = self.values or (0, 0)
        client_send, client_receive = [min(each, LONGEST_MS) for each in client or (0, 0)]
        read_timeout = max(client_send, server_receive) * MARGIN if client_send > 0 and server_receive > 0 else 0
        write_interval = max(client_receive, server_send) if client_receive > 0 and server_send > 0 else 0
        return read_timeout, write_interval
