"""The errors of SockJS.

::

    WebSocketError
    +-- SockJsError                      carries the session's id
        +-- SockJsTransportFailureError  a session could not be opened, or a write failed: the transport's fault
        +-- SockJsMessageDeliveryError   the handler failed; says which messages it did not get

Station: raised anywhere in server/sockjs/.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..exceptions import WebSocketError


class SockJsError(WebSocketError):
    """Root of the errors of SockJS."""

    def __init__(self, text: str, session_id: str | None = None) -> None:
        super().__init__(text)
        self.session_id = session_id
        """None when there is no session."""


class SockJsTransportFailureError(SockJsError):
    """Reading from or writing to the client failed."""


class SockJsMessageDeliveryError(SockJsError):
    """The handler raised while messages were delivered."""

    def __init__(self, session_id: str, undelivered: Sequence[str], cause: BaseException) -> None:
        super().__init__(
            f"Failed to deliver {len(undelivered)} message(s) for session '{session_id}': {cause}", session_id
        )
        self.undelivered = tuple(undelivered)
        """The messages after the one that failed, and that one."""
