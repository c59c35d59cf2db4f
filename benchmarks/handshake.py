"""Handshakes: what an upgrade costs, and what a whole short life: connect, upgrade, close handshake."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .client import check_file_limit, run_sink
from .figures import Figure, Sample, against
from .processes import FLOOR, WELLHEAD, Contender, Server

LIMIT_US = 120.0
"""CPU of an upgrade: 8,300 a second and core."""
PORTS = 20_000
"""Each life leaves a port behind that waits for a minute; there are 28,000."""


@dataclass(frozen=True)
class Plan:
    upgrades: int = 5_000
    """Connections that are made and then stay."""
    lives: int = 5_000
    before: int = 500
    """Of each kind, as a warm-up."""
    at_once: int = 64


FULL = Plan()
QUICK = Plan(upgrades=2_000, lives=2_000, before=200)


def measure(plan: Plan, reps: int, wellhead: Contender = WELLHEAD) -> Iterator[Figure]:
    check_file_limit(plan.upgrades + plan.before)
    assert plan.lives + plan.before <= PORTS
    upgrades = against((FLOOR, wellhead), reps, lambda server: one_upgrade_run(server, plan))
    lives = against((FLOOR, wellhead), reps, lambda server: one_churn_run(server, plan))
    for name, samples in upgrades.items():
        case = f"{plan.upgrades:,} upgrades, {plan.at_once} at once"
        limit = None if name == FLOOR.name else LIMIT_US
        yield samples.figure("cpu_us", "handshake", case, name, "µs CPU an upgrade", limit=limit)
    for name, samples in lives.items():
        case = f"{plan.lives:,} lives, {plan.at_once} at once"
        yield samples.figure("cpu_us", "handshake", case, name, "µs CPU from connect to close")


def one_upgrade_run(server: Server, plan: Plan) -> Sample:
    options = ("-n", plan.before + plan.upgrades, "--base", plan.before, "--ramp", plan.at_once)
    run = run_sink(server, "/ws", "--proto", "raw", "--protocol", "v12.stomp", *options)
    values = {
        "cpu_us": run.cpu_between("CONNECTING", "CONNECTED") / plan.upgrades * 1e6,
        "upgrades_per_s": plan.upgrades / run.said["handshake_seconds"],
    }
    return Sample.of(run, values)


def one_churn_run(server: Server, plan: Plan) -> Sample:
    options = ("--churn", plan.lives, "--warmup", plan.before, "--ramp", plan.at_once)
    run = run_sink(server, "/ws", "--proto", "raw", "--protocol", "v12.stomp", *options)
    lives = max(1, run.said["lives"])
    values = {
        "cpu_us": run.cpu_between("START", "END") / lives * 1e6,
        "lives_per_s": lives / run.said["seconds"],
    }
    return Sample.of(run, values)
