"""Finds destinations by their names (TPL-01)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, Protocol, TypeVar

from ..exceptions import DestinationResolutionError

D = TypeVar("D")
D_co = TypeVar("D_co", covariant=True)


class DestinationResolver(Protocol[D_co]):
    """Knows which destination a name stands for."""

    def resolve_destination(self, name: str) -> D_co:
        """The destination, never None. Raises DestinationResolutionError."""
        ...


class MappingDestinationResolver(Generic[D]):
    """Looks names up in a mapping, whose later changes count. The counterpart of Spring's look-up of beans."""

    def __init__(self, destinations: Mapping[str, D]) -> None:
        self._destinations = destinations

    def resolve_destination(self, name: str) -> D:
        destination = self._destinations.get(name)
        if destination is None:
            raise DestinationResolutionError(f"Failed to find a destination named '{name}'")
        return destination


class CachingDestinationResolver(Generic[D]):
    """Asks another resolver once for each name and remembers the answer for ever.

    Failures are not remembered, so there is never more to remember than there are destinations.
    """

    def __init__(self, target: DestinationResolver[D]) -> None:
        self._target = target
        self._resolved: dict[str, D] = {}

    def resolve_destination(self, name: str) -> D:
        destination = self._resolved.get(name)
        if destination is None:
            destination = self._resolved.setdefault(name, self._target.resolve_destination(name))
        return destination
