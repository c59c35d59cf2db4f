"""SockJS: what streaming over HTTP costs, idle and in a broadcast, beside WebSocket."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from .client import check_file_limit, run_client
from .figures import Figure, Sample, interleaved
from .processes import WELLHEAD, Contender, running

LIMIT_KIB = 16.0
"""For an idle STOMP session with one subscription, over xhr_streaming."""
CPU_LIMIT = 2.0
"""Of a delivery, as a ratio to WebSocket's: at least half the deliveries for each second of CPU."""
KINDS = ("websocket", "xhr_streaming")


@dataclass(frozen=True)
class Plan:
    clients: int = 1_000
    before: int = 200
    """So many are there already when memory is first read, and stay; they get the broadcasts, too."""
    messages: int = 400
    body_bytes: int = 200


FULL = Plan()
QUICK = Plan(messages=100)


def measure(plan: Plan, reps: int, wellhead: Contender = WELLHEAD) -> Iterator[Figure]:
    check_file_limit(plan.clients + plan.before + 1)
    found = interleaved(KINDS, reps, lambda kind: one_run(plan, kind, wellhead))
    floor = found[KINDS[0]]
    for kind, samples in found.items():
        http = kind != KINDS[0]
        case = f"{plan.clients:,} idle, STOMP over {kind}"
        limit = LIMIT_KIB if http else None
        yield samples.figure("kib", "sockjs", case, wellhead.name, "KiB a session", limit=limit)
        case = f"{plan.clients + plan.before:,} subscribers over {kind}"
        quantity = "µs CPU a delivery" + (" (ratio: to WebSocket)" if http else "")
        against = {"floor": floor, "limit": CPU_LIMIT} if http else {}
        yield samples.figure("cpu_us", "sockjs", case, wellhead.name, quantity, **against)  # type: ignore[arg-type]


def one_run(plan: Plan, kind: str, contender: Contender) -> Sample:
    numbers = (plan.clients, plan.before, plan.messages, plan.body_bytes)
    with running(contender) as server:
        command = [sys.executable, "-m", "benchmarks.streams", kind, *map(str, (server.port, *numbers))]
        run = run_client(server, command, memory=True)
    said = run.said
    values = {
        "kib": (run.memory_kib["READY"] - run.memory_kib["CONNECTING"]) / plan.clients,
        "cpu_us": run.cpu_between("START", "END") / max(1, said["deliveries"]) * 1e6,
        "deliveries_per_s": said["deliveries"] / said["seconds"],
    }
    return Sample(values, said["missing"] + said["wrong"], f"{said['missing']} missing, {said['wrong']} out of order")
