"""The guard: what a delivery, a SEND and a connection cost in calls and in instructions, against what is stored.

No clock is asked, so it judges on any machine, also a busy one; what C code does within a call it does not see.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .client import run_sink
from .processes import PYTHON, Contender, running

STORED = Path(__file__).with_name("results") / "guard.json"
ROOM = 0.10
"""How much more than stored is let pass."""
TRACED = Contender("traced", f"{PYTHON} -m benchmarks.traced {{port}}")
VERSION = "Python {}.{}".format(*sys.version_info[:2])
"""Interpreters differ in their instructions."""

_CONTROLLER = ("-n", 1, "--dest", "/topic/echo", "--publish-dest", "/app/echo")
CASES: dict[str, tuple[str, tuple[object, ...]]] = {
    "a delivery, window 1": ("deliveries", ("-n", 200, "--publish", 20, "--window", 1, "--warmup", 3)),
    "a delivery, window 16": ("deliveries", ("-n", 200, "--publish", 48, "--window", 16, "--warmup", 16)),
    "a SEND with a reply": ("published", (*_CONTROLLER, "--echo", 400, "--warmup", 20)),
    "a SEND of 64, with a reply": ("published", (*_CONTROLLER, "--echo", 1280, "--batch", 64, "--warmup", 64)),
    "a SEND of 64, to the broker": (
        "published",
        ("-n", 1, "--echo", 1280, "--batch", 64, "--warmup", 64, "--dest", "/topic/done", "--last-only")
        + ("--publish-dest", "/topic/nobody"),
    ),
    "a connection, made and closed": ("lives", ("--churn", 100, "--warmup", 10, "--ramp", 1)),
    "a client's heart-beat": ("beats_sent", ("-n", 50, "--heartbeat", 500, "--hold", 3)),
}
"""What is counted, and by what of the sink's report it is divided."""

Counts = dict[str, dict[str, float]]
"""By case: calls, instructions."""


@dataclass(frozen=True)
class Row:
    case: str
    quantity: str
    value: float
    stored: float | None

    @property
    def limit(self) -> float | None:
        return None if self.stored is None else self.stored * (1 + ROOM)

    @property
    def exceeded(self) -> bool:
        return self.limit is not None and self.value > self.limit

    def line(self) -> str:
        if self.stored is None or self.limit is None:
            return f"{self.case:31} {self.quantity:13} {self.value:10,.1f}  nothing is stored"
        change = (self.value / self.stored - 1) * 100 if self.stored else 0.0
        over = "  OVER" if self.exceeded else ""
        return (
            f"{self.case:31} {self.quantity:13} {self.value:10,.1f} {self.stored:10,.1f}"
            f" {change:+7.1f} % {self.limit:10,.1f}{over}"
        )


def run(*, update: bool) -> int:
    """Print a table; 1 when a limit is exceeded or there is none for this Python. *update* stores what is counted."""
    counts = measured()
    every: dict[str, Counts] = json.loads(STORED.read_text("utf-8")) if STORED.exists() else {}
    rows = list(compared(counts, every.get(VERSION, {})))
    print(f"{'':31} {VERSION:13} {'now':>10} {'stored':>10} {'change':>9} {'limit':>10}")
    for row in rows:
        print(row.line())
    if update:
        STORED.write_text(json.dumps(every | {VERSION: counts}, indent=1, sort_keys=True) + "\n", "utf-8")
        print(f"stored: {STORED.name}")
        return 0
    over, unknown = sum(row.exceeded for row in rows), sum(row.stored is None for row in rows)
    if over:
        print(f"{over} of {len(rows)} limits are exceeded")
    if unknown:
        print(f"{unknown} of {len(rows)} have no limit for {VERSION} yet: python -m benchmarks --guard --update")
    return 1 if over or unknown else 0


def compared(counts: Counts, stored: Counts) -> Iterator[Row]:
    for case, quantities in counts.items():
        for quantity, value in quantities.items():
            yield Row(case, quantity, value, stored.get(case, {}).get(quantity))


def measured() -> Counts:
    return {case: one_run(by, *options) for case, (by, options) in CASES.items()}


def one_run(by: str, *options: object) -> dict[str, float]:
    """Calls and instructions for each of what the sink says under *by*."""
    readings: list[dict[str, float]] = []
    with running(TRACED) as server:

        def read() -> None:
            readings.append(server.ask("/counted"))

        run = run_sink(server, "/ws", "--protocol", "v12.stomp", *options, at={"START": read, "END": read})
    before, after = readings
    return {key: round((after[key] - before[key]) / run.said[by], 1) for key in after}
