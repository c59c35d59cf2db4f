"""Held: many connections for a while, traffic for a few, then SIGTERM: everybody hears 1001, nobody waits long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from .client import check_file_limit, run_sink
from .figures import Figure, Sample, against
from .memory import LIMIT_KIB
from .processes import WELLHEAD, Contender, Server

STOP_LIMIT_S = 5.0


@dataclass(frozen=True)
class Plan:
    connections: int = 10_000
    busy: int = 10
    """So many of them get messages."""
    rate: float = 100.0
    """Messages a second."""
    seconds: int = 60
    before: int = 1_000
    """Held before memory is first read."""


FULL = Plan()
QUICK = Plan(connections=2_000, seconds=5, before=500)


def measure(plan: Plan, reps: int, wellhead: Contender = WELLHEAD) -> Iterator[Figure]:
    """One run, whatever *reps* says: it is long, and what counts is that nothing goes wrong."""
    check_file_limit(plan.connections + 1)
    samples = against((wellhead,), 1, lambda server: one_run(server, plan))[wellhead.name]
    case = f"{plan.connections:,} for {plan.seconds} s, {plan.rate:g} messages/s to {plan.busy}"
    yield samples.figure("kib", "held", case, wellhead.name, "KiB a connection", limit=LIMIT_KIB)
    yield samples.figure("cpu_percent", "held", case, wellhead.name, "% of a core meanwhile")
    yield samples.figure("p99_ms", "held", case, wellhead.name, "ms, 99th percentile of latency")
    yield samples.figure("stop_s", "held", case, wellhead.name, "s from SIGTERM to the end", limit=STOP_LIMIT_S)


def one_run(server: Server, plan: Plan) -> Sample:
    asked_to_stop: list[float] = []

    def stop() -> None:
        asked_to_stop.append(time.monotonic())
        server.terminate()

    run = run_sink(
        server,
        "/ws",
        *("--protocol", "v12.stomp", "-n", plan.busy, "--quiet", plan.connections - plan.busy, "--base", plan.before),
        *("--rate", plan.rate, "--publish", int(plan.rate * plan.seconds), "--warmup", 1),
        *("--await-close", 20, "--limit", plan.seconds + 240),
        at={"CLOSING": stop},
        memory=True,
    )
    status = server.wait()
    said = run.said
    growth = run.memory_kib["READY"] - run.memory_kib["CONNECTING"]
    values = {
        "kib": growth / (said["connections"] - plan.before),
        "cpu_percent": run.cpu_between("START", "END") / said["seconds"] * 100,
        "p99_ms": said["p99_us"] / 1e3,
        "stop_s": time.monotonic() - asked_to_stop[0],
        "exit_status": status,
        "closed_1001": said["closed_1001"],
    }
    not_told = said["connections"] - said["closed_1001"]
    not_ended = said["connections"] - said["ended"]
    problem = run.problem or f"{not_told} were not told 1001, {not_ended} connections did not end, status {status}"
    return Sample(values, run.bad + not_told + not_ended + (status != 0), problem)
