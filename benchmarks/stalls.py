"""Stalls: for how long the hub does nothing else while many sessions get something, or leave."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .client import check_file_limit, run_sink
from .figures import Figure, Sample, interleaved
from .processes import TICKING, WELLHEAD, Contender, Server, running
from .streams import WebSocketClient

LIMIT_MS = 50.0


@dataclass(frozen=True)
class Plan:
    subscribers: int = 5_000
    messages: int = 20
    """To all of them, one after the other."""
    subscriptions: int = 10_000
    """Of the one session that leaves."""
    leaving: int = 1_000
    """Sessions that leave at once."""
    settle_s: float = 2.0
    """So long is looked at what happens after connections were closed."""


def measure(plan: Plan, reps: int, wellhead: Contender = WELLHEAD) -> Iterator[Figure]:
    """*wellhead* is not asked: what is measured has a clock built in."""
    check_file_limit(max(plan.subscribers + 1, plan.leaving))
    runs: dict[str, Callable[[Server], Sample]] = {
        f"a publish to {plan.subscribers:,}": lambda server: publish(server, plan),
        f"a session with {plan.subscriptions:,} subscriptions leaves": lambda server: leave(server, plan),
        f"{plan.leaving:,} sessions leave at once": lambda server: leave_at_once(server, plan),
    }

    def run(case: str) -> Sample:
        with running(TICKING) as server:
            return runs[case](server)

    for case, samples in interleaved(runs, reps, run).items():
        yield samples.figure("stall_ms", "scaling", case, wellhead.name, "ms, longest stall", limit=LIMIT_MS)


def publish(server: Server, plan: Plan) -> Sample:
    found: list[dict[str, float]] = []
    run = run_sink(
        server,
        "/ws",
        *("--protocol", "v12.stomp", "-n", plan.subscribers),
        *("--publish", plan.messages, "--window", 1, "--warmup", 2),
        at={"START": lambda: longest(server), "END": lambda: found.append(longest(server))},
    )
    return Sample.of(run, found[0])


def leave(server: Server, plan: Plan) -> Sample:
    client = WebSocketClient(server.port, 0)
    client.open()
    client.opened()
    client.subscribe()
    for number in range(1, plan.subscriptions - 1):
        client.send(f"SUBSCRIBE\nid:{number}\ndestination:/topic/room/{number}/news\n\n\0")
    client.send("SUBSCRIBE\nid:last\nreceipt:all\ndestination:/topic/room/last\n\n\0")
    client.wait_for(b"receipt-id:all")
    longest(server)
    client.socket.close()
    return Sample(longest_after(server, plan.settle_s))


def leave_at_once(server: Server, plan: Plan) -> Sample:
    """The sink ends, and with it all its connections."""
    options = ("--protocol", "v12.stomp", "-n", plan.leaving)
    run = run_sink(server, "/ws", *options, at={"END": lambda: longest(server)})
    return Sample.of(run, longest_after(server, plan.settle_s))


def longest_after(server: Server, seconds: float) -> dict[str, float]:
    until = time.monotonic() + seconds
    found = longest(server)
    while time.monotonic() < until:
        time.sleep(0.2)
        found = {key: max(value, found[key]) for key, value in longest(server).items()}
    return found


def longest(server: Server) -> dict[str, float]:
    """The longest stall since this was last asked, and the CPU time of the longest by that."""
    return server.ask("/stall")
