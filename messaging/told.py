"""Destinations that nobody takes: the log tells of each once (LOG-01).

Beside the stations that a message passes without anybody who wants it.
"""

from __future__ import annotations

MAX_TOLD = 100
"""How many destinations are told of: clients may choose them."""
SHOWN_LENGTH = 256
"""How much of a destination is kept and shown."""


class ToldDestinations:
    """Those that were told of. Any thread may ask."""

    __slots__ = ("_told",)

    def __init__(self) -> None:
        self._told: set[str] = set()

    def is_new(self, destination: str) -> bool:
        """Whether to tell of it: once, and not of too many."""
        destination = destination[:SHOWN_LENGTH]
        told = self._told
        if destination in told or len(told) >= MAX_TOLD:
            return False
        told.add(destination)
        return True
