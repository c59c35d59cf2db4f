"""Fan-out beside others' servers: the same load for all of them, in turn with the floor and wellhead."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..client import check_file_limit
from ..fanout import QUANTITY, closed_loop, one_run
from ..figures import Figure
from ..processes import FLOOR, WELLHEAD, BenchmarkError, Contender, running
from .provision import available


@dataclass(frozen=True)
class Plan:
    subscribers: int = 1_000
    windows: tuple[int, ...] = (1, 4)
    deliveries: int = 200_000
    """In a run; fewer for a peer that takes long."""
    body_bytes: int = 200


FULL = Plan()
QUICK = Plan(deliveries=50_000)


def measure(plan: Plan, reps: int, wellhead: Contender = WELLHEAD) -> Iterator[Figure]:
    check_file_limit(plan.subscribers + 1)
    contenders = (FLOOR, wellhead, *peers_that_work())
    for window in plan.windows:
        found = closed_loop(contenders, reps, plan.deliveries, plan.subscribers, window, plan.body_bytes)
        floor = found[FLOOR.name]
        case = f"{plan.subscribers:,} subscribers, window {window}"
        for name, samples in found.items():
            base = None if name == FLOOR.name else floor
            yield samples.figure("cpu_us", "peers", case, name, QUANTITY, floor=base)


def peers_that_work() -> tuple[Contender, ...]:
    return tuple(available(prove))


def prove(peer: Contender) -> None:
    """Raises BenchmarkError unless the peer starts and delivers a few messages."""
    with running(peer) as server:
        sample = one_run(server, "-n", 5, "--publish", 5, "--warmup", 1)
    if sample.bad:
        raise BenchmarkError(f"{sample.bad} of 25 deliveries lost or failed. {sample.problem}")
