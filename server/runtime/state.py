"""The states of a WebSocket connection and the ways between them."""

from __future__ import annotations

import enum


class ConnectionState(enum.Enum):
    """Where a connection is in its life. Moved in one place, ``EndingSession._move``."""

    OPEN = "open"
    PEER_CLOSED = "closed by the peer"
    """The peer closed, or did something that ends the connection. Its messages are still being handled and answered;
    our close frame waits for that."""
    CLOSE_SENT = "close sent"
    """We closed; the peer's close frame is waited for."""
    CLOSING = "closing"
    """Both have closed; the last bytes wait until the peer takes them."""
    LINGERING = "lingering"
    """Our side of TCP is shut; until the peer shuts its own whatever comes is thrown away (a reset could overtake our
    last bytes otherwise)."""
    CLOSED = "closed"
    """The socket is gone."""

    __hash__ = object.__hash__  # Each state is one object; Enum's own is a Python call.


_S = ConnectionState

NEXT_STATES: dict[ConnectionState, frozenset[ConnectionState]] = {
    _S.OPEN: frozenset({_S.PEER_CLOSED, _S.CLOSE_SENT, _S.CLOSED}),
    _S.PEER_CLOSED: frozenset({_S.CLOSING, _S.CLOSED}),
    _S.CLOSE_SENT: frozenset({_S.CLOSING, _S.CLOSED}),
    _S.CLOSING: frozenset({_S.LINGERING, _S.CLOSED}),
    _S.LINGERING: frozenset({_S.CLOSED}),
    _S.CLOSED: frozenset(),
}
"""What may follow each state."""
