"""Memory: how much more of it the server has resident for each idle connection."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .client import check_file_limit, run_sink
from .figures import Figure, Sample, against
from .processes import WELLHEAD, Contender, Server

LIMIT_KIB = 3.5
"""For a STOMP session with one subscription."""


@dataclass(frozen=True)
class Plan:
    connections: int = 5_000
    before: int = 1_000
    """So many are there already when the first reading is taken, and stay: what the first ones cost is not counted."""


FULL = Plan()
QUICK = Plan(connections=2_000, before=500)


def measure(plan: Plan, reps: int, wellhead: Contender = WELLHEAD) -> Iterator[Figure]:
    check_file_limit(plan.connections + plan.before)
    kinds = {
        "raw": ("/raw", ("--proto", "raw"), None),
        "STOMP, one subscription each": ("/ws", ("--protocol", "v12.stomp", "--dest", "/topic/idle"), LIMIT_KIB),
    }
    for kind, (path, options, limit) in kinds.items():

        def run(server: Server, path: str = path, options: tuple[object, ...] = options) -> Sample:
            return one_run(server, plan, path, *options)

        samples = against((wellhead,), reps, run)[wellhead.name]
        case = f"{plan.connections:,} idle, {kind}"
        yield samples.figure("kib", "memory", case, wellhead.name, "KiB a connection", limit=limit)


def one_run(server: Server, plan: Plan, path: str, *options: object) -> Sample:
    total = plan.before + plan.connections
    run = run_sink(server, path, "-n", total, "--base", plan.before, *options, memory=True)
    growth = run.memory_kib["READY"] - run.memory_kib["CONNECTING"]
    values = {"kib": growth / plan.connections, "total_mib": run.memory_kib["READY"] / 1024}
    return Sample.of(run, values)
