"""Figures: what a measurement hands back, how runs are interleaved, and the table that people read."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from .client import Run
from .processes import BenchmarkError, Contender, Server, running

T = TypeVar("T")
Values = Mapping[str, float]

_SPINS = 7
"""So often a piece of work is timed, of which the shortest time counts."""


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    measurement: str
    case: str
    server: str
    quantity: str
    """What the value is, with its unit."""
    value: float
    """The median of the repetitions."""
    spread: tuple[float, float]
    """The least and the greatest of them."""
    ratio: float | None = None
    """To what it was interleaved with, in the same run: the floor, unless the quantity says something else."""
    limit: float | None = None
    """What the value should not exceed, or the ratio if there is one and *limits_value* does not say otherwise."""
    limits_value: bool = False
    bad: int = 0
    """Messages lost, doubled or out of order, errors, lost connections."""
    problem: str = ""
    """The first of these in words, when it is known."""
    details: dict[str, float] = field(default_factory=dict)
    """Medians of what else was measured."""
    drawn: bool = False
    """A point of a picture, and not a row of the table."""

    @property
    def exceeded(self) -> bool:
        judged = self.value if self.ratio is None or self.limits_value else self.ratio
        return self.limit is not None and judged > self.limit

    def with_details(self, **more: float) -> Figure:
        return replace(self, details={**self.details, **more})

    def only_details(self, **these: float) -> Figure:
        return replace(self, details=these)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"exceeded": self.exceeded}

    def line(self) -> str:
        """For a terminal."""
        parts = [f"{self.measurement:10} {self.case:38} {self.server:15} {number(self.value):>9} {self.quantity}"]
        if self.ratio is not None:
            parts.append(f"ratio {self.ratio:.2f}")
        if self.limit is not None:
            parts.append(f"{'OVER the limit' if self.exceeded else 'limit'} {number(self.limit)}")
        if self.bad:
            parts.append(f"BAD {self.bad} {self.problem}")
        return "  ".join(parts)

    def row(self) -> str:
        """Of the Markdown table."""
        limit = "" if self.limit is None else number(self.limit) + (" (over)" if self.exceeded else "")
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        value = number(self.value) + (f", {self.bad} bad" if self.bad else "")
        return f"| {self.measurement} | {self.case} | {self.server} | {self.quantity} | {value} | {ratio} | {limit} |"


@dataclass
class Sample:
    """What one run gave."""

    values: Values
    bad: int = 0
    problem: str = ""

    @classmethod
    def of(cls, run: Run, values: Values) -> Sample:
        return cls(values, run.bad, run.problem)


class Samples:
    """The samples of one contender."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.samples = samples

    def median(self, key: str) -> float:
        return statistics.median(sample.values[key] for sample in self.samples)

    def figure(
        self,
        key: str,
        measurement: str,
        case: str,
        server: str,
        quantity: str,
        *,
        floor: Samples | None = None,
        limit: float | None = None,
        limits_value: bool = False,
        drawn: bool = False,
    ) -> Figure:
        """The figure of the value *key*, with a ratio to that of *floor* when there is one and it is not zero."""
        values = [sample.values[key] for sample in self.samples]
        base = floor.median(key) if floor else 0.0
        return Figure(
            measurement,
            case,
            server,
            quantity,
            rounded(self.median(key)),
            (rounded(min(values)), rounded(max(values))),
            rounded(self.median(key) / base) if base else None,
            limit,
            limits_value,
            sum(sample.bad for sample in self.samples),
            next((sample.problem for sample in self.samples if sample.bad and sample.problem), ""),
            {each: rounded(self.median(each)) for each in self.samples[0].values if each != key},
            drawn,
        )


def interleaved(keys: Iterable[T], reps: int, measure: Callable[[T], Sample | None]) -> dict[T, Samples]:
    """Measure each of *keys* in turn, A B C A B C, so that a machine that changes its mood changes it for all.

    A key for which *measure* gives None is left out.
    """
    samples: dict[T, list[Sample]] = {key: [] for key in keys}
    for _ in range(reps):
        for key in list(samples):
            sample = measure(key)
            if sample is None:
                del samples[key]
            else:
                samples[key].append(sample)
    return {key: Samples(found) for key, found in samples.items()}


def against(contenders: Iterable[Contender], reps: int, measure: Callable[[Server], Sample]) -> dict[str, Samples]:
    """`interleaved` over servers, started anew for each run; by name. Raises BenchmarkError, but not for a peer."""

    def start_and_measure(contender: Contender) -> Sample | None:
        try:
            with running(contender) as server:
                return measure(server)
        except BenchmarkError as error:
            if not contender.is_peer:
                raise
            print(f"left out: {contender.name}: {error}", flush=True)
            return None

    found = interleaved(contenders, reps, start_and_measure)
    return {contender.name: samples for contender, samples in found.items()}


def rounded(value: float) -> float:
    return float(f"{value:.5g}")


def number(value: float) -> str:
    """Three digits that matter, no exponent."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def table(figures: Sequence[Figure], command: str) -> str:
    """The Markdown table of *figures* with when, where and how they were measured."""
    pace = f"a core keeps {pace_beside_another():.0%} of its pace while another one works"
    head = f"{date.today().isoformat()}, {machine()}, {pace}, `{command}`."
    columns = ("what", "case", "server", "quantity", "median", "ratio", "limit")
    rows = [figure.row() for figure in figures if not figure.drawn]
    return "\n".join((head, "", f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns), *rows)) + "\n"


def machine() -> str:
    names = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = next((int(line.split()[1]) / 2**20 for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    cpu = f"{len(os.sched_getaffinity(0))} x {names[0] if names else platform.machine()}"
    return f"{cpu}, {memory:.0f} GiB, Linux {platform.release()}, Python {platform.python_version()}"


def pace_beside_another() -> float:
    """The share that a core keeps while another one is busy: far below 1 where both are threads of one core."""
    alone = min(_spin() for _ in range(_SPINS))
    with subprocess.Popen([sys.executable, "-uc", "print()\nwhile True: pass"], stdout=subprocess.PIPE) as busy:
        assert busy.stdout is not None
        busy.stdout.readline()
        try:
            beside = min(_spin() for _ in range(_SPINS))
        finally:
            busy.kill()
    return alone / beside


def _spin() -> float:
    """The CPU time, in seconds, of a piece of work that is always the same."""
    seen: dict[int, int] = {}
    began = time.process_time()
    for number in range(100_000):
        seen[number & 255] = (number, seen.get(number & 127))[0]
    return time.process_time() - began


def _lines(path: str) -> Iterator[str]:
    try:
        yield from Path(path).read_text().splitlines()
    except OSError:
        return  # Not every system tells.
