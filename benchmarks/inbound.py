"""Inbound: what a SEND to a controller costs the server, against a bare ``recv`` and ``send`` of the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .client import run_sink
from .figures import Figure, Sample, against
from .processes import FLOOR, WELLHEAD, Contender, Server

LIMIT_US = 9.0
BATCHED_LIMIT_US = 3.5


@dataclass(frozen=True)
class Plan:
    sends: int = 50_000
    batched_sends: int = 128_000
    batch: int = 64
    """SENDs in one write."""
    body_bytes: int = 200


FULL = Plan()
QUICK = Plan(sends=10_000, batched_sends=32_000)


def measure(plan: Plan, reps: int, wellhead: Contender = WELLHEAD) -> Iterator[Figure]:
    yield from case("one at a time, with a reply", plan, reps, wellhead, plan.sends, 1)
    yield from case(f"{plan.batch} in a write, each with a reply", plan, reps, wellhead, plan.batched_sends, plan.batch)
    # Nobody subscribes to what the controller sends; the last of each write goes to a topic that has a subscriber.
    silent = ("--last-only", "--dest", "/topic/done")
    name = f"{plan.batch} in a write, no replies"
    yield from case(name, plan, reps, wellhead, plan.batched_sends, plan.batch, *silent)
    name = f"{plan.batch} in a write, to the broker alone"
    to_nobody = ("--publish-dest", "/topic/nobody")
    yield from case(name, plan, reps, wellhead, plan.batched_sends, plan.batch, *silent, *to_nobody)


def case(
    name: str, plan: Plan, reps: int, wellhead: Contender, sends: int, batch: int, *options: object
) -> Iterator[Figure]:
    common = ("-n", 1, "--warmup", max(batch, sends // 20), "--batch", batch, "--size", plan.body_bytes)
    to_controller = ("--dest", "/topic/echo", "--publish-dest", "/app/echo", *options)

    def run(server: Server) -> Sample:
        if server.contender is FLOOR:  # More of them where one is next to nothing: the clock of CPU time ticks slowly.
            echo = ("--echo", sends * (10 if batch > 1 else 1))
            return one_run(server, "/echo", *common, *to_controller, *echo, "--proto", "bytes")
        return one_run(server, "/ws", *common, *to_controller, "--echo", sends, "--protocol", "v12.stomp")

    found = against((FLOOR, wellhead), reps, run)
    floor = found[FLOOR.name]
    quantity = "µs CPU a SEND"
    yield floor.figure("cpu_us", "inbound", name, FLOOR.name, quantity)
    limit = LIMIT_US if batch == 1 else BATCHED_LIMIT_US
    yield found[wellhead.name].figure(
        "cpu_us", "inbound", name, wellhead.name, quantity, floor=floor, limit=limit, limits_value=True
    )


def one_run(server: Server, path: str, *options: object) -> Sample:
    run = run_sink(server, path, *options)
    said = run.said
    values = {
        "cpu_us": run.cpu_between("START", "END") / max(1, said["published"]) * 1e6,
        "sends_per_s": said["published"] / said["seconds"],
        "p50_us": said["p50_us"],
        "p99_us": said["p99_us"],
    }
    return Sample.of(run, values)
