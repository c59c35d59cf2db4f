"""Slow clients: some who never read beside many who do. What the others get must stay as it was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .client import check_file_limit
from .fanout import one_run
from .figures import Figure, Sample, interleaved
from .processes import WELLHEAD, Contender, running

CPU_LIMIT = 1.15
"""As a ratio to the run without them: they get their share of the work until the server gives them up."""
P99_LIMIT = 1.1
"""The 99th percentile of the others' latency, as a ratio to the run without them."""


@dataclass(frozen=True)
class Plan:
    subscribers: int = 1_000
    slow: int = 50
    messages: int = 3_000
    """Enough to fill what the server and the kernel hold for a session: the slow ones are cut within the run."""
    rate: float = 100_000
    """Deliveries a second."""
    receive_buffer_bytes: int = 4_096


FULL = Plan()
QUICK = Plan(messages=300)


def measure(plan: Plan, reps: int, wellhead: Contender = WELLHEAD) -> Iterator[Figure]:
    check_file_limit(plan.subscribers + plan.slow + 1)

    def run(slow: int) -> Sample:
        clients = ("-n", plan.subscribers, "--slow", slow, "--rcvbuf", plan.receive_buffer_bytes)
        traffic = ("--publish", plan.messages, "--rate", plan.rate / plan.subscribers, "--warmup", 20)
        with running(wellhead) as server:
            return one_run(server, *clients, *traffic)

    found = interleaved((0, plan.slow), reps, run)
    for slow, samples in found.items():
        case = f"{plan.subscribers:,} subscribers, {plan.rate:,.0f} deliveries/s, {slow} who never read"
        for key, quantity, limit in (
            ("cpu_us", "µs CPU a delivery", CPU_LIMIT),
            ("p99_ms", "ms, 99th percentile of latency", P99_LIMIT),
        ):
            if slow:
                quantity += " (ratio: to without them)"
                yield samples.figure(key, "slow", case, wellhead.name, quantity, floor=found[0], limit=limit)
            else:
                yield samples.figure(key, "slow", case, wellhead.name, quantity)
