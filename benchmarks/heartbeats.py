"""Heart-beats: what many sessions cost that do nothing else than show that they are there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .client import check_file_limit, run_sink
from .figures import Figure, Sample, against
from .processes import WELLHEAD, Contender, Server

LIMIT_PERCENT = 1.5
"""Of a core, for 10,000 sessions with a heart-beat every 10 s both ways."""


@dataclass(frozen=True)
class Plan:
    connections: int = 10_000
    interval_ms: int = 10_000
    """Both ways; the server's own are 10,000, and the greater counts."""
    seconds: int = 30


FULL = Plan()
QUICK = Plan(connections=2_000)


def measure(plan: Plan, reps: int, wellhead: Contender = WELLHEAD) -> Iterator[Figure]:
    """One run, whatever *reps* says: it is long."""
    check_file_limit(plan.connections)
    samples = against((wellhead,), 1, lambda server: one_run(server, plan))[wellhead.name]
    case = f"{plan.connections:,} sessions, every {plan.interval_ms / 1000:g} s both ways, for {plan.seconds} s"
    limit = LIMIT_PERCENT * plan.connections / FULL.connections
    yield samples.figure("cpu_percent", "heartbeats", case, wellhead.name, "% of a core", limit=limit)


def one_run(server: Server, plan: Plan) -> Sample:
    beats = ("--heartbeat", plan.interval_ms, "--hold", plan.seconds, "--limit", plan.seconds + 240)
    run = run_sink(server, "/ws", "--protocol", "v12.stomp", "-n", plan.connections, *beats)
    said = run.said
    values = {
        "cpu_percent": run.cpu_between("START", "END") / said["seconds"] * 100,
        "beats_per_s": said["beats"] / said["seconds"],
        "fewest_beats": said["fewest_beats"],
    }
    expected = max(0, int(plan.seconds * 1000 / plan.interval_ms) - 1)
    silent = said["fewest_beats"] < expected
    problem = run.problem or f"a session got {said['fewest_beats']} heart-beats, and should have got {expected}"
    return Sample(values, run.bad + silent, problem)
