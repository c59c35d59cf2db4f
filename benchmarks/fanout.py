"""Fan-out: one publisher, N subscribers, and what a delivery costs the server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .client import check_file_limit, run_sink
from .figures import Figure, Sample, against
from .processes import COUNTING, FLOOR, WELLHEAD, Contender, Server

LIMIT_BY_WINDOW = {1: 1.5, 4: 0.7, 16: 0.45}
"""CPU of a delivery as a ratio to the floor's."""
P99_LIMIT_MS = 12.0
LATENCY_AT = 60_000
"""Deliveries a second at which the latency is judged."""


@dataclass(frozen=True)
class Plan:
    subscribers: tuple[int, ...] = (100, 1_000, 5_000)
    windows: tuple[int, ...] = (1, 4, 16)
    """How many messages may be under way at once: 1 leaves the server nothing to gather."""
    deliveries: int = 400_000
    """In a run, of whatever number of subscribers."""
    body_bytes: int = 200
    rate_subscribers: int = 1_000
    rate_seconds: int = 10
    rate: float = 0.0
    """Messages a second; 0: what makes LATENCY_AT."""


FULL = Plan()
QUICK = Plan(subscribers=(1_000,), deliveries=100_000, rate_seconds=3)


def measure(plan: Plan, reps: int, wellhead: Contender = WELLHEAD) -> Iterator[Figure]:
    check_file_limit(max(*plan.subscribers, plan.rate_subscribers) + 1)
    for subscribers in plan.subscribers:
        for window in plan.windows:
            yield from closed_loop(plan, reps, wellhead, subscribers, window)
    yield from open_loop(plan, reps, wellhead)


def closed_loop(plan: Plan, reps: int, wellhead: Contender, subscribers: int, window: int) -> Iterator[Figure]:
    messages = max(2 * window, plan.deliveries // subscribers)
    options = ("--window", window, "--warmup", max(window, messages // 10))
    found = against(
        (FLOOR, wellhead, COUNTING),
        reps,
        lambda server: one_run(server, "-n", subscribers, "--publish", messages, "--size", plan.body_bytes, *options),
    )
    floor = found.pop(FLOOR.name)
    case = f"{subscribers:,} subscribers, window {window}"
    quantity = "µs CPU a delivery"
    yield floor.figure("cpu_us", "fan-out", case, FLOOR.name, quantity)
    for name, samples in found.items():
        limit = LIMIT_BY_WINDOW.get(window)
        yield samples.figure("cpu_us", "fan-out", case, name, quantity, floor=floor, limit=limit)


def open_loop(plan: Plan, reps: int, wellhead: Contender) -> Iterator[Figure]:
    """Latency at a fixed rate, counted from the moment at which a message was due."""
    rate = plan.rate or LATENCY_AT / plan.rate_subscribers
    options = ("--rate", rate, "--publish", max(1, int(rate * plan.rate_seconds)), "--warmup", 20)
    found = against(
        (FLOOR, wellhead),
        reps,
        lambda server: one_run(server, "-n", plan.rate_subscribers, "--size", plan.body_bytes, *options),
    )
    case = f"{plan.rate_subscribers:,} subscribers, {rate * plan.rate_subscribers:,.0f} deliveries/s"
    for name, samples in found.items():
        limit = None if name == FLOOR.name else P99_LIMIT_MS
        yield samples.figure("p99_ms", "fan-out", case, name, "ms, 99th percentile of latency", limit=limit)


def one_run(server: Server, *options: object) -> Sample:
    run = run_sink(server, "/ws", "--protocol", "v12.stomp", *options)
    said = run.said
    values = {
        "cpu_us": run.cpu_between("START", "END") / max(1, said["deliveries"]) * 1e6,
        "deliveries_per_s": said["deliveries"] / said["seconds"],
        "p50_ms": said["p50_us"] / 1e3,
        "p99_ms": said["p99_us"] / 1e3,
        "last_p99_ms": said["last_p99_us"] / 1e3,
    }
    return Sample.of(run, values)
