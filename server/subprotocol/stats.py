"""Counters of sessions and of STOMP frames (SWS-06, SPH-09)."""

from __future__ import annotations

from collections import Counter

from ...messaging.locks import allocate_lock
from ..close import CloseStatus, EndReason


class SessionStats:
    """How many sessions there are and were, by transport, and how they ended."""

    def __init__(self) -> None:
        self._changing = allocate_lock()
        """Guards ``opened`` and ``closed``, which may come from several native threads; held for a few instructions."""
        self.total = 0
        self.web_socket = 0
        self.http_streaming = 0
        self.http_polling = 0
        self.limit_exceeded = 0
        self.no_messages_received = 0
        self.transport_error = 0
        self.ends: Counter[EndReason] = Counter()
        """Ended sessions by their reason."""

    def opened(self, kind: str) -> None:
        """*kind* is the name of one of the three gauges."""
        with self._changing:
            self.total += 1
            setattr(self, kind, getattr(self, kind) + 1)

    def closed(self, kind: str, status: CloseStatus) -> None:
        with self._changing:
            setattr(self, kind, getattr(self, kind) - 1)
            if status.because is not None:
                self.ends[status.because] += 1

    @property
    def current(self) -> int:
        return self.web_socket + self.http_streaming + self.http_polling

    def __str__(self) -> str:
        abnormal = self.no_messages_received + self.limit_exceeded
        return (
            f"{self.current} current WS({self.web_socket})-HttpStream({self.http_streaming})"
            f"-HttpPoll({self.http_polling}), {self.total} total, {abnormal} closed abnormally "
            f"({self.no_messages_received} connect failure, {self.limit_exceeded} send limit, "
            f"{self.transport_error} transport error)"
        )


class StompStats:
    """STOMP frames that begin and end sessions; DISCONNECT counts what clients sent."""

    def __init__(self) -> None:
        self.connect = 0
        self.connected = 0
        self.disconnect = 0

    def __str__(self) -> str:
        return f"processed CONNECT({self.connect})-CONNECTED({self.connected})-DISCONNECT({self.disconnect})"
