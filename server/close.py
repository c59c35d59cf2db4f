"""How a WebSocket session ends: the close code of the wire and the reason of our own.

Station: every station that may end a session speaks of it with these two values. Imports nothing of wellhead.
"""

from __future__ import annotations

import enum
from typing import Any, ClassVar, NoReturn


class EndReason(enum.Enum):
    """Why a session ended, as the log, the disconnect event and the statistics name it.

    A close code says what the peer was told; this says what happened. The value is the short text of a log line.
    """

    CLIENT_CLOSED = "closed by the client"
    CLIENT_VANISHED = "client vanished without a close frame"
    SERVER_CLOSED = "closed by the server"
    SERVER_STOPPED = "server stopped"
    PROTOCOL_ERROR = "protocol error of the client"
    MESSAGE_TOO_BIG = "message too big"
    HANDLER_ERROR = "error in the handler"
    SEND_TIME_LIMIT = "send time limit exceeded"
    SEND_BUFFER_LIMIT = "send buffer limit exceeded"
    NO_FIRST_MESSAGE = "no first message in time"
    HEARTBEAT_TIMEOUT = "heartbeat timeout"
    TRANSPORT_ERROR = "transport error"
    STOMP_ERROR = "STOMP error"
    CLIENT_DISCONNECT = "STOMP DISCONNECT of the client"


class CloseStatus:
    """A WebSocket close code with its reason text; immutable (WSA-03).

    ``because`` is for us alone: it never reaches the wire and takes no part in equality. Two statuses are equal
    when code and reason are; :meth:`equals_code` compares the code only.

    Raises:
        ValueError: the code is below 1000 or from 5000 on (``Invalid status code``).
    """

    __slots__ = ("because", "code", "reason")

    code: int
    reason: str | None
    because: EndReason | None
    """Why the session ended, ``None`` when nobody said."""

    NORMAL: ClassVar[CloseStatus]
    GOING_AWAY: ClassVar[CloseStatus]
    PROTOCOL_ERROR: ClassVar[CloseStatus]
    NOT_ACCEPTABLE: ClassVar[CloseStatus]
    NO_STATUS_CODE: ClassVar[CloseStatus]
    """Reported when the peer's close frame had no code; never sent."""
    NO_CLOSE_FRAME: ClassVar[CloseStatus]
    """Reported when the connection ended without a close frame; never sent."""
    BAD_DATA: ClassVar[CloseStatus]
    POLICY_VIOLATION: ClassVar[CloseStatus]
    TOO_BIG_TO_PROCESS: ClassVar[CloseStatus]
    REQUIRED_EXTENSION: ClassVar[CloseStatus]
    SERVER_ERROR: ClassVar[CloseStatus]
    SERVICE_RESTARTED: ClassVar[CloseStatus]
    SERVICE_OVERLOAD: ClassVar[CloseStatus]
    TLS_HANDSHAKE_FAILURE: ClassVar[CloseStatus]
    """Reported when TLS failed; never sent."""
    SESSION_NOT_RELIABLE: ClassVar[CloseStatus]
    """The framework's own: the session is presumed dead, do not try to send it anything more."""

    def __init__(self, code: int, reason: str | None = None, *, because: EndReason | None = None) -> None:
        if not 1000 <= code < 5000:
            raise ValueError("Invalid status code")
        put = object.__setattr__
        put(self, "code", code)
        put(self, "reason", reason)
        put(self, "because", because)

    def with_reason(self, reason: str) -> CloseStatus:
        """Return a copy with this reason text."""
        return CloseStatus(self.code, reason, because=self.because)

    def with_cause(self, because: EndReason) -> CloseStatus:
        """Return a copy that says why the session ended; equal to this one."""
        return CloseStatus(self.code, self.reason, because=because)

    def equals_code(self, other: CloseStatus) -> bool:
        """Compare the code only."""
        return self.code == other.code

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CloseStatus):
            return NotImplemented
        return self.code == other.code and self.reason == other.reason

    def __hash__(self) -> int:
        return hash((self.code, self.reason))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"CloseStatus is immutable: cannot set {name}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"CloseStatus is immutable: cannot delete {name}")

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self.code, self.reason, self.because)

    def __repr__(self) -> str:
        # The reason may be the peer's text: repr keeps line breaks out of the log.
        return f"CloseStatus[code={self.code}, reason={self.reason!r}]"


def _restore(code: int, reason: str | None, because: EndReason | None) -> CloseStatus:
    return CloseStatus(code, reason, because=because)


CloseStatus.NORMAL = CloseStatus(1000)
CloseStatus.GOING_AWAY = CloseStatus(1001)
CloseStatus.PROTOCOL_ERROR = CloseStatus(1002)
CloseStatus.NOT_ACCEPTABLE = CloseStatus(1003)
CloseStatus.NO_STATUS_CODE = CloseStatus(1005)
CloseStatus.NO_CLOSE_FRAME = CloseStatus(1006)
CloseStatus.BAD_DATA = CloseStatus(1007)
CloseStatus.POLICY_VIOLATION = CloseStatus(1008)
CloseStatus.TOO_BIG_TO_PROCESS = CloseStatus(1009)
CloseStatus.REQUIRED_EXTENSION = CloseStatus(1010)
CloseStatus.SERVER_ERROR = CloseStatus(1011)
CloseStatus.SERVICE_RESTARTED = CloseStatus(1012)
CloseStatus.SERVICE_OVERLOAD = CloseStatus(1013)
CloseStatus.TLS_HANDSHAKE_FAILURE = CloseStatus(1015)
CloseStatus.SESSION_NOT_RELIABLE = CloseStatus(4500, "Failed to send message within the configured send limit")
