"""The reader that the other house tests stand on."""

from __future__ import annotations

import ast

from house.source import Import, find_cycle, imports_in

SOURCE = """
from __future__ import annotations
import os, os.path
from typing import TYPE_CHECKING
from ..message import Message, Payload
from . import frame
if TYPE_CHECKING:
    import gevent
else:
    import json
try:
    import pydantic
except ImportError:
    pass
class C:
    from .x import y
    def method(self):
        import werkzeug
"""


def test_every_kind_of_import_is_found_and_made_absolute():
    found = list(imports_in(ast.parse(SOURCE), "wellhead.server.sockjs"))
    assert found == [
        Import("__future__", "annotations", 2),
        Import("os", None, 3),
        Import("os.path", None, 3),
        Import("typing", "TYPE_CHECKING", 4),
        Import("wellhead.server.message", "Message", 5, relative=True),
        Import("wellhead.server.message", "Payload", 5, relative=True),
        Import("wellhead.server.sockjs", "frame", 6, relative=True),
        Import("gevent", None, 8, types_only=True),
        Import("json", None, 10),
        Import("pydantic", None, 12),
        Import("wellhead.server.sockjs.x", "y", 16, relative=True),
        Import("werkzeug", None, 18, lazy=True),
    ]


def test_a_cycle_is_found_and_named():
    graph = {"a": ["b"], "b": ["c", "d"], "c": [], "d": ["e"], "e": ["b"]}
    cycle = find_cycle(graph)
    assert cycle is not None
    assert cycle[0] == cycle[-1]
    assert set(cycle) == {"b", "d", "e"}
    assert all(end in graph[start] for start, end in zip(cycle, cycle[1:], strict=False))


def test_a_graph_without_a_cycle_has_none():
    assert find_cycle({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": ["z"]}) is None
