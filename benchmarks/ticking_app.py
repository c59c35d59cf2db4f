"""samples.conformance with a clock in it: ``GET /stall`` tells the longest time for which the hub did nothing else,
and the most CPU time that it took meanwhile: less where other processes had the core.

``python -m wellhead.server benchmarks.ticking_app:app --port N`` serves it. A greenlet asks to be woken every
millisecond; how late it is woken is how long something held the hub. The answer begins a new count.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from typing import Any

import gevent  # type: ignore[import-untyped]  # no type information

from samples.conformance import Conformance, Controller
from wellhead.server import WellheadApp

PERIOD_S = 0.001


class Ticker:
    """Remembers the longest gap between two ticks, and the most CPU in one."""

    def __init__(self) -> None:
        self.longest_s = self.longest_cpu_s = 0.0

    def run(self) -> None:
        before, before_cpu = time.monotonic(), time.thread_time()
        while True:
            gevent.sleep(PERIOD_S)
            now, now_cpu = time.monotonic(), time.thread_time()
            self.longest_s = max(self.longest_s, now - before)
            self.longest_cpu_s = max(self.longest_cpu_s, now_cpu - before_cpu)
            before, before_cpu = now, now_cpu

    def tell(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        gevent.sleep(2 * PERIOD_S)  # What is going on while this is asked counts, too.
        body = json.dumps({"stall_ms": self.longest_s * 1000, "cpu_ms": self.longest_cpu_s * 1000}).encode()
        self.longest_s = self.longest_cpu_s = 0.0
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]


ticker = Ticker()
gevent.spawn(ticker.run)
app = WellheadApp(ticker.tell, Conformance(), controllers=[Controller()])
