"""``python -m benchmarks``: measures, prints figures as they come, and writes them to build/benchmarks."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import fanout, guard, handshake, heartbeats, held, inbound, memory, plots, scaling, slow, sockjs
from .charts import charts
from .client import build_sink
from .figures import Figure, table
from .peers import compared
from .processes import BUILD, WELLHEAD, BenchmarkError, Contender, shown

MEASUREMENTS: dict[str, Any] = {
    "fanout": fanout,
    "inbound": inbound,
    "memory": memory,
    "handshake": handshake,
    "held": held,
    "slow": slow,
    "sockjs": sockjs,
    "heartbeats": heartbeats,
    "scaling": scaling,
    "peers": compared,
    "plots": plots,
}
RESULTS = Path(__file__).with_name("results")
README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- table -->\n", "<!-- end of the table -->\n"


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    if options.guard:
        return guarded(update=options.update)
    command = shlex.join(["python", "-m", "benchmarks", *(sys.argv[1:] if arguments is None else arguments)])
    figures: list[Figure] = []
    try:
        build_sink()
        for figure in all_figures(options):
            figures.append(figure)
            print(figure.line(), flush=True)
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("benchmarks: interrupted", file=sys.stderr)
        return 130
    finally:
        if figures:
            write(figures, command, readme=options.readme)
    return verdict(figures, strict=options.strict)


def guarded(*, update: bool) -> int:
    try:
        return guard.run(update=update)
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What wellhead costs, measured.")
    add = parser.add_argument
    add("--quick", action="store_true", help="small counts: a minute or two instead of half an hour")
    add("--only", metavar="NAMES", help=f"some of {','.join(MEASUREMENTS)} (default: all)")
    add("--reps", type=int, help="repetitions of each run, of which the median counts (default: 3; quick: 1)")
    add("--held-seconds", type=int, help="how long connections are held (default: 60; quick: 5)")
    add("--server", metavar="COMMAND", help=f"what is measured (default: {WELLHEAD.command}); needs /raw and /ws")
    add("--strict", action="store_true", help="exit with 1 when a limit is exceeded, too")
    add("--readme", action="store_true", help="put the table into benchmarks/README.md, pictures into results/")
    add("--guard", action="store_true", help="instead: count calls and instructions, and compare with what is stored")
    add("--update", action="store_true", help="with --guard: store what is counted")
    options = parser.parse_args(arguments)
    options.only = list(MEASUREMENTS) if options.only is None else options.only.split(",")
    if options.update and not options.guard:
        parser.error("--update is for --guard")
    unknown = [name for name in options.only if name not in MEASUREMENTS]
    if unknown:
        parser.error(f"--only: no measurement is called {unknown[0]!r}; there are {', '.join(MEASUREMENTS)}")
    if options.reps is None:
        options.reps = 1 if options.quick else 3
    if options.reps < 1 or (options.held_seconds is not None and options.held_seconds < 1):
        parser.error("--reps and --held-seconds are at least 1")
    return options


def all_figures(options: argparse.Namespace) -> Iterator[Figure]:
    wellhead = WELLHEAD if options.server is None else replace(WELLHEAD, command=options.server)
    for name in options.only:
        module = MEASUREMENTS[name]
        plan = module.QUICK if options.quick else module.FULL
        if name == "held" and options.held_seconds is not None:
            plan = replace(plan, seconds=options.held_seconds)
        measure: Callable[[Any, int, Contender], Iterator[Figure]] = module.measure
        yield from measure(plan, options.reps, wellhead)


def write(figures: list[Figure], command: str, *, readme: bool) -> None:
    """results.json, table.md and pictures in build/benchmarks; with *readme* in README.md and results/, too."""
    results, markdown = BUILD / "results.json", BUILD / "table.md"
    results.write_text(json.dumps([figure.as_dict() for figure in figures], indent=1) + "\n", "utf-8")
    text = table(figures, command)
    markdown.write_text(text, "utf-8")
    written = [results, markdown]
    for name, picture in charts(figures).items():
        for folder in (BUILD, RESULTS) if readme else (BUILD,):
            (folder / name).write_text(picture, "utf-8")
            written.append(folder / name)
    print(f"written: {', '.join(map(shown, written))}")
    if readme:
        README.write_text(with_table(README.read_text("utf-8"), text), "utf-8")


def with_table(document: str, text: str) -> str:
    """*document* with *text* between its two marks."""
    before, _, rest = document.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}{text}{END}{after}"


def verdict(figures: list[Figure], *, strict: bool) -> int:
    """The exit status: 1 when something went wrong, or when *strict* and a limit is exceeded."""
    bad = [figure for figure in figures if figure.bad]
    over = [figure for figure in figures if figure.exceeded]
    for figure in bad:
        what = f"{figure.measurement}, {figure.case}, {figure.server}"
        print(
            f"benchmarks: {what}: {figure.bad} lost, doubled, out of order or failed. {figure.problem}", file=sys.stderr
        )
    if over:
        print(f"{len(over)} of {sum(figure.limit is not None for figure in figures)} limits are exceeded")
    return 1 if bad or (over and strict) else 0


if __name__ == "__main__":
    sys.exit(main())
