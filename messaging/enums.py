"""Enums that are compared for every message."""

from __future__ import annotations

import enum
from typing import TypeVar

E = TypeVar("E", bound=enum.Enum)


def plain_members(enumeration: type[E]) -> type[E]:
    """Make ``Enum.MEMBER`` a plain attribute of the class.

    Python 3.11 goes through a descriptor written in Python instead, which costs as much as a handful of dict look-ups;
    later versions do this themselves.
    """
    for member in enumeration:
        type.__setattr__(enumeration, member.name, member)
    return enumeration
