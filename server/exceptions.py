"""The errors of the WebSocket side.

::

    WebSocketError
    +-- HandshakeFailureError        a handshake failed for a reason on our side; refusals are plain HTTP answers
    +-- SessionLimitExceededError    a peer took its messages too slowly; carries the close status to use

Station: raised anywhere in server/.
"""

from __future__ import annotations

from .close import CloseStatus


class WebSocketError(Exception):
    """Root of the errors that the WebSocket side raises on its own."""


class HandshakeFailureError(WebSocketError):
    """A handshake could not be processed: not the client's fault, which is answered with a 4xx status instead."""


class SessionLimitExceededError(WebSocketError):
    """The send time or send buffer limit of a session was exceeded; the session is of no more use."""

    def __init__(self, text: str, status: CloseStatus = CloseStatus.SESSION_NOT_RELIABLE) -> None:
        super().__init__(text)
        self.status = status
        """What to close the session with, its cause included."""
