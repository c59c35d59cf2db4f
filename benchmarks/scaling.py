"""Scaling: what the subscription registry costs with many subscriptions in it, and how long it stalls the server."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from wellhead.messaging import Message
from wellhead.messaging.broker.contract import Subscription
from wellhead.messaging.broker.subscriptions import DefaultSubscriptionRegistry
from wellhead.messaging.simp.accessor import SimpMessageHeaderAccessor
from wellhead.messaging.simp.types import SimpMessageType

from . import stalls
from .figures import Figure, Sample, Samples, interleaved
from .processes import WELLHEAD, Contender

GROWTH_LIMIT = 2.5
"""Of an operation with the most subscriptions, as a ratio to the fewest: a hundred times as many. Caches of the
processor are why it is not 1.
"""
PER_SESSION = 10


@dataclass(frozen=True)
class Plan:
    subscriptions: tuple[int, ...] = (1_000, 10_000, 100_000)
    patterns: tuple[int, ...] = (100, 1_000)
    """Different ones that are subscribed to besides."""
    destinations: int = 10_000
    operations: int = 2_000
    """Of each kind; of those that are timed one by one."""
    stalls: stalls.Plan = field(default_factory=stalls.Plan)


FULL = Plan()
QUICK = Plan(operations=500, stalls=stalls.Plan(subscribers=1_000, subscriptions=2_000, leaving=300))


def measure(plan: Plan, reps: int, wellhead: Contender = WELLHEAD) -> Iterator[Figure]:
    for patterns in plan.patterns:

        def run(subscriptions: int, patterns: int = patterns) -> Sample:
            return one_run(plan, subscriptions, patterns)

        yield from operations(patterns, interleaved(plan.subscriptions, reps, run))
    yield from stalls.measure(plan.stalls, reps, wellhead)


def operations(patterns: int, found: dict[int, Samples]) -> Iterator[Figure]:
    """A row for the most subscriptions, with a ratio to the fewest; all are points of the picture."""
    fewest, most = min(found), max(found)
    for name in found[most].samples[0].values:
        case = f"{name}, {patterns:,} patterns"
        quantity = f"µs CPU an operation (ratio: to {fewest:,} subscriptions)"
        for subscriptions, samples in found.items():
            point = samples.figure(name, "scaling", case, "registry", "µs CPU an operation", drawn=True)
            yield point.only_details(subscriptions=subscriptions, patterns=patterns)
        case += f", {most:,} subscriptions"
        yield (
            found[most]
            .figure(name, "scaling", case, "registry", quantity, floor=found[fewest], limit=GROWTH_LIMIT)
            .only_details()
        )


def one_run(plan: Plan, subscriptions: int, patterns: int) -> Sample:
    """CPU of each operation in microseconds; *elsewhere* is where the registry has nothing ready."""
    registry = DefaultSubscriptionRegistry()
    destinations = [f"/topic/room/{number}/news" for number in range(plan.destinations)]
    for number in range(patterns):
        texts = (f"/topic/room/{number}/*", f"/topic/area{number}/**", f"/topic/*/{number}/news")
        registry.add(Subscription(f"pattern-{number}", "0", texts[number % 3], None))
    for number in range(subscriptions):
        registry.add(_subscription("there", number, destinations[number % plan.destinations]))
    new = [_subscription("new", number, each) for number, each in enumerate(_spread(destinations, plan.operations))]
    new_patterns = [
        _subscription("new-pattern", number, f"/topic/new{number}/*") for number in range(plan.operations // 10)
    ]
    few = [_message(each) for each in destinations[: registry.cache_limit // 2]]
    for message in few:
        registry.matching_subscriptions(message)
    return Sample(
        {
            "publish": timed(registry.matching_subscriptions, _spread(few, plan.operations)),
            "publish elsewhere": timed(
                registry.matching_subscriptions, list(map(_message, _spread(destinations, plan.operations)))
            ),
            "subscribe": timed(registry.add, new),
            "unsubscribe": timed(lambda each: registry.remove(each.session_id, each.id), new),
            "subscribe to a pattern": timed(registry.add, new_patterns),
            "unsubscribe from one": timed(lambda each: registry.remove(each.session_id, each.id), new_patterns),
        }
    )


def timed(operation: Callable[[Any], object], items: Sequence[Any]) -> float:
    gc.collect()
    start = time.process_time()
    for item in items:
        operation(item)
    return (time.process_time() - start) / len(items) * 1e6


def _spread(items: Sequence[Any], count: int) -> list[Any]:
    """*count* of them, each far from the one before."""
    return [items[number * 7919 % len(items)] for number in range(count)]


def _subscription(kind: str, number: int, destination: str) -> Subscription:
    return Subscription(f"{kind}-{number // PER_SESSION}", str(number % PER_SESSION), destination, None)


def _message(destination: str) -> Message[bytes]:
    accessor = SimpMessageHeaderAccessor(SimpMessageType.MESSAGE)
    accessor.destination = destination
    return Message(b"", accessor.message_headers)
