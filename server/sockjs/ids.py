"""Ids of sessions: the client chooses them, so they may be taken (SJS-07)."""

from __future__ import annotations

import uuid

from ...messaging.locks import allocate_lock


class SessionIds:
    """The ids that are in use, shared by all services whose sessions reach the same handler.

    The SockJS protocol lets two WebSockets use the same session id, and two endpoints do not know of each other. What
    stands above tells sessions apart by their id, so only one can have it; the others get a random one.
    """

    def __init__(self) -> None:
        self._used: set[str] = set()
        self._lock = allocate_lock()

    def claim(self, wanted: str) -> str:
        """*wanted* if it is free, else a random UUID."""
        with self._lock:
            session_id = str(uuid.uuid4()) if wanted in self._used else wanted
            self._used.add(session_id)
        return session_id

    def release(self, session_id: str) -> None:
        """The session is over. Harmless twice, as long as nobody claimed it again."""
        with self._lock:
            self._used.discard(session_id)

    def __contains__(self, session_id: object) -> bool:
        return session_id in self._used
