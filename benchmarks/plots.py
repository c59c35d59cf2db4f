"""What the pictures show: the cost of a delivery over the number of subscribers, and latency over the rate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .client import check_file_limit
from .fanout import QUANTITY, closed_loop, open_loop
from .figures import Figure
from .peers.compared import peers_that_work
from .processes import FLOOR, WELLHEAD, Contender


@dataclass(frozen=True)
class Plan:
    subscribers: tuple[int, ...] = (10, 100, 1_000, 5_000)
    window: int = 4
    deliveries: int = 200_000
    """In a run; fewer for a peer that takes long."""
    body_bytes: int = 200
    with_peers: bool = True
    rates: tuple[int, ...] = (10_000, 20_000, 40_000, 60_000, 80_000, 100_000, 120_000)
    """Deliveries a second."""
    rate_subscribers: int = 1_000
    rate_seconds: int = 5


FULL = Plan()
QUICK = Plan(subscribers=(10, 100, 1_000), deliveries=50_000, rates=(10_000, 40_000, 100_000), rate_seconds=3)


def measure(plan: Plan, reps: int, wellhead: Contender = WELLHEAD) -> Iterator[Figure]:
    check_file_limit(max(*plan.subscribers, plan.rate_subscribers) + 1)
    contenders = (FLOOR, wellhead, *(peers_that_work() if plan.with_peers else ()))
    for subscribers in plan.subscribers:
        found = closed_loop(contenders, reps, plan.deliveries, subscribers, plan.window, plan.body_bytes)
        case = f"{subscribers:,} subscribers, window {plan.window}"
        for name, samples in found.items():
            floor = None if name == FLOOR.name else found[FLOOR.name]
            figure = samples.figure("cpu_us", "plots", case, name, QUANTITY, floor=floor, drawn=True)
            yield figure.with_details(subscribers=subscribers)
    for rate in plan.rates:
        found = open_loop((FLOOR, wellhead), reps, rate, plan.rate_subscribers, plan.rate_seconds, plan.body_bytes)
        case = f"{plan.rate_subscribers:,} subscribers, {rate:,} deliveries/s"
        for name, samples in found.items():
            figure = samples.figure("p99_ms", "plots", case, name, "ms, 99th percentile of latency", drawn=True)
            yield figure.with_details(rate=rate)
