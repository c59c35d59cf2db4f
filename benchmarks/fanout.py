"""Fan-out: one publisher, N subscribers, and what a delivery costs the server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .client import check_file_limit, run_sink
from .figures import Figure, Sample, Samples, against
from .processes import COUNTING, COUNTING_BROADCASTS, FLOOR, WELLHEAD, Contender, Server

LIMIT_BY_WINDOW = {1: 1.2, 4: 0.5, 16: 0.33}
"""CPU of a delivery as a ratio to the floor's."""
INTERCEPTORS_LIMIT = 1.1
"""CPU of a delivery with two interceptors, as a ratio to without."""
P99_LIMITS_MS = {60_000: 12.0, 100_000: 15.0}
"""By deliveries a second."""
QUANTITY = "µs CPU a delivery"


@dataclass(frozen=True)
class Plan:
    subscribers: tuple[int, ...] = (100, 1_000, 5_000)
    windows: tuple[int, ...] = (1, 4, 16)
    """How many messages may be under way at once: 1 leaves the server nothing to gather."""
    deliveries: int = 400_000
    """In a run, of whatever number of subscribers."""
    body_bytes: int = 200
    rates: tuple[int, ...] = tuple(P99_LIMITS_MS)
    """Deliveries a second at which the latency is judged."""
    rate_subscribers: int = 1_000
    rate_seconds: int = 10


FULL = Plan()
QUICK = Plan(subscribers=(1_000,), deliveries=100_000, rate_seconds=3)


def measure(plan: Plan, reps: int, wellhead: Contender = WELLHEAD) -> Iterator[Figure]:
    check_file_limit(max(*plan.subscribers, plan.rate_subscribers) + 1)
    for subscribers in plan.subscribers:
        for window in plan.windows:
            yield from cost(plan, reps, wellhead, subscribers, window)
    for rate in plan.rates:
        yield from latency(plan, reps, wellhead, rate)


def cost(plan: Plan, reps: int, wellhead: Contender, subscribers: int, window: int) -> Iterator[Figure]:
    load = (plan.deliveries, subscribers, window, plan.body_bytes)
    found = closed_loop((FLOOR, wellhead, COUNTING, COUNTING_BROADCASTS), reps, *load)
    floor, plain = found[FLOOR.name], found[wellhead.name]
    case = f"{subscribers:,} subscribers, window {window}"
    yield floor.figure("cpu_us", "fan-out", case, FLOOR.name, QUANTITY)
    limit = LIMIT_BY_WINDOW.get(window)
    yield plain.figure("cpu_us", "fan-out", case, wellhead.name, QUANTITY, floor=floor, limit=limit)
    quantity = f"{QUANTITY} (ratio: to {wellhead.name})"
    for name in (COUNTING.name, COUNTING_BROADCASTS.name):
        yield found[name].figure("cpu_us", "fan-out", case, name, quantity, floor=plain, limit=INTERCEPTORS_LIMIT)


def latency(plan: Plan, reps: int, wellhead: Contender, rate: int) -> Iterator[Figure]:
    load = (rate, plan.rate_subscribers, plan.rate_seconds, plan.body_bytes)
    case = f"{plan.rate_subscribers:,} subscribers, {rate:,} deliveries/s"
    for name, samples in open_loop((FLOOR, wellhead), reps, *load).items():
        limit = None if name == FLOOR.name else P99_LIMITS_MS.get(rate)
        yield samples.figure("p99_ms", "fan-out", case, name, "ms, 99th percentile of latency", limit=limit)


def closed_loop(
    contenders: Iterable[Contender], reps: int, deliveries: int, subscribers: int, window: int, body_bytes: int
) -> dict[str, Samples]:
    """With *window* messages under way, in turn; by name."""

    def run(server: Server) -> Sample:
        messages = max(2 * window, int(deliveries * server.contender.share) // subscribers)
        options = ("--window", window, "--warmup", max(window, messages // 10))
        return one_run(server, "-n", subscribers, "--publish", messages, "--size", body_bytes, *options)

    return against(contenders, reps, run)


def open_loop(
    contenders: Iterable[Contender], reps: int, rate: int, subscribers: int, seconds: int, body_bytes: int
) -> dict[str, Samples]:
    """At *rate* deliveries a second, in turn; by name. Latency counts from the moment at which a message was due."""
    per_s = rate / subscribers
    options = ("--rate", per_s, "--publish", max(1, int(per_s * seconds)), "--warmup", 20, "--size", body_bytes)
    return against(contenders, reps, lambda server: one_run(server, "-n", subscribers, *options))


def one_run(server: Server, *options: object) -> Sample:
    run = run_sink(server, server.contender.path, *server.contender.options, *options)
    said = run.said
    values = {
        "cpu_us": run.cpu_between("START", "END") / max(1, said["deliveries"]) * 1e6,
        "deliveries_per_s": said["deliveries"] / said["seconds"],
        "p50_ms": said["p50_us"] / 1e3,
        "p99_ms": said["p99_us"] / 1e3,
        "p999_ms": said["p999_us"] / 1e3,
        "last_p99_ms": said["last_p99_us"] / 1e3,
    }
    return Sample.of(run, values)
