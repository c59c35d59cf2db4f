"""The server with a counter of what Python executes: ``python -m benchmarks.traced PORT``.

``GET /counted`` tells how many calls there have been, of Python and of C, and how many bytecode instructions of
wellhead's own. Both hardly depend on the machine, which time does.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

counted = {"calls": 0, "instructions": 0}


def profile(frame: FrameType, event: str, argument: object) -> None:
    if event == "call" or event == "c_call":
        counted["calls"] += 1


def trace(frame: FrameType, event: str, argument: object) -> Callable[..., Any] | None:
    """Of each call: whether instructions are counted in it."""
    if not str(frame.f_globals.get("__name__")).startswith("wellhead."):
        return None
    frame.f_trace_lines, frame.f_trace_opcodes = False, True
    return count


def count(frame: FrameType, event: str, argument: object) -> Callable[..., Any]:
    if event == "opcode":
        counted["instructions"] += 1
    return count


def tell(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    body = json.dumps(counted).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def main() -> None:
    from gevent import monkey  # type: ignore[import-untyped]  # no type information

    monkey.patch_all()
    # Before the first greenlet: it hands them on to those that it starts.
    sys._getframe().f_trace_opcodes = True  # Python 3.12 asks for it at settrace alone
    sys.settrace(trace)
    sys.setprofile(profile)
    from samples.conformance import Conformance, Controller
    from wellhead.server import WellheadApp, serve

    serve(WellheadApp(tell, Conformance(), controllers=[Controller()]), "127.0.0.1", int(sys.argv[1]))


if __name__ == "__main__":
    main()
