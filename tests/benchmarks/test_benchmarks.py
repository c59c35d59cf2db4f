"""benchmarks/: each measurement works, with next to no load, and says what it should. Nothing here judges a time."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks import __main__ as program
from benchmarks import fanout, handshake, heartbeats, held, inbound, memory, plots, scaling, slow, sockjs, stalls
from benchmarks.client import Run, compiler
from benchmarks.figures import Figure, Sample, Samples, interleaved, table

ROOT = program.README.parent.parent
INSTALL = "needs a C compiler: apt-get install gcc libc6-dev"

# What is started is another process, which is the same in every mode.
pytestmark = [pytest.mark.modes("unpatched"), pytest.mark.integration]
needs_compiler = pytest.mark.skipif(compiler() is None, reason=INSTALL)

FIELDS = {
    *("measurement", "case", "server", "quantity", "value", "spread", "ratio", "limit"),
    *("limits_value", "exceeded", "bad", "problem", "details", "drawn"),
}

MEASUREMENTS = [
    pytest.param(
        fanout,
        fanout.Plan((10,), (4,), deliveries=400, rates=(200,), rate_subscribers=10, rate_seconds=1),
        [
            *(
                ("floor", "CPU"),
                ("wellhead", "CPU"),
                ("2 interceptors", "CPU"),
                ("2 interceptors of broadcasts", "CPU"),
            ),
            *(("floor", "ms"), ("wellhead", "ms")),
        ],
        {"deliveries_per_s", "p50_ms", "p99_ms", "p999_ms", "last_p99_ms"},
        id="fanout",
    ),
    pytest.param(
        inbound,
        inbound.Plan(sends=20, batched_sends=64, batch=16),
        [("floor", "CPU a SEND"), ("wellhead", "CPU a SEND")] * 4,
        {"sends_per_s", "p50_us", "p99_us"},
        id="inbound",
    ),
    pytest.param(memory, memory.Plan(connections=10, before=5), [("wellhead", "KiB")] * 2, {"total_mib"}, id="memory"),
    pytest.param(
        handshake,
        handshake.Plan(upgrades=10, lives=10, before=5, at_once=3),
        [("floor", "upgrade"), ("wellhead", "upgrade"), ("floor", "close"), ("wellhead", "close")],
        {"upgrades_per_s"},
        id="handshake",
    ),
    pytest.param(
        held,
        held.Plan(connections=20, busy=10, rate=20, seconds=1, before=5),
        [("wellhead", "KiB"), ("wellhead", "%"), ("wellhead", "ms"), ("wellhead", "SIGTERM")],
        {"closed_1001", "exit_status"},
        id="held",
    ),
    pytest.param(
        slow,
        slow.Plan(subscribers=10, slow=2, messages=20, rate=400),
        [("wellhead", "CPU"), ("wellhead", "ms")] * 2,
        {"deliveries_per_s"},
        id="slow",
    ),
    pytest.param(
        sockjs,
        # 60 messages of 4 KB: each response ends on the way, and is asked for again.
        sockjs.Plan(clients=10, before=5, messages=60, body_bytes=4_000),
        [("wellhead", "KiB"), ("wellhead", "CPU")] * 2,
        {"deliveries_per_s"},
        id="sockjs",
    ),
    pytest.param(
        heartbeats,
        heartbeats.Plan(connections=5, seconds=1),
        [("wellhead", "%")],
        {"beats_per_s", "fewest_beats"},
        id="heartbeats",
    ),
    pytest.param(
        scaling,
        scaling.Plan((10, 20), (3,), destinations=20, operations=20, stalls=stalls.Plan(5, 2, 10, 5, settle_s=0.3)),
        [("registry", "operation"), ("registry", "operation"), ("registry", "ratio: to 10 subscriptions")] * 6
        + [("wellhead", "stall")] * 3,
        {"subscriptions", "patterns"},
        id="scaling",
    ),
    pytest.param(
        plots,
        plots.Plan((10,), deliveries=400, with_peers=False, rates=(200,), rate_subscribers=10, rate_seconds=1),
        [("floor", "CPU"), ("wellhead", "CPU"), ("floor", "ms"), ("wellhead", "ms")],
        {"subscribers", "p99_ms"},
        id="plots",
    ),
]


@needs_compiler
@pytest.mark.parametrize(("module", "plan", "expected", "details"), MEASUREMENTS)
def test_a_measurement_gives_its_figures(module, plan, expected, details):
    figures = list(module.measure(plan, 1))
    assert [(figure.server, figure.bad, figure.problem) for figure in figures] == [
        (server, 0, "") for server, _ in expected
    ]
    assert all(part in figure.quantity for figure, (_, part) in zip(figures, expected, strict=True))
    assert details <= figures[0].details.keys()
    for read in json.loads(json.dumps([figure.as_dict() for figure in figures])):
        assert read.keys() == FIELDS
        assert read["value"] >= 0


@needs_compiler
def test_a_server_that_ends_early_is_one_line_and_status_1():
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "memory", "--server", "sh -c 'exit 7'"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "benchmarks: the server 'wellhead' ended with 7: see build/benchmarks/wellhead.log\n"


@needs_compiler
def test_a_server_that_refuses_the_handshake_is_one_line_and_status_1():
    server = f"{sys.executable} -m http.server --bind 127.0.0.1 {{port}}"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "memory", "--server", server]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("benchmarks: sink: ")
    assert "handshake refused: HTTP/1.0 404 File not found" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [["--only", "fanin"], ["--reps", "0"], ["--held-seconds", "0"], ["--update"]], ids=" ".join
)
def test_wrong_arguments_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        program.main(arguments)
    assert caught.value.code == 2
    assert "error:" in capsys.readouterr().err


def figure(**changes: object) -> Figure:
    values = {"measurement": "m", "case": "c", "server": "s", "quantity": "q", "value": 2.0, "spread": (1.0, 3.0)}
    return Figure(**(values | changes))  # type: ignore[arg-type]  # one of them


@pytest.mark.parametrize(
    ("changes", "exceeded"),
    [
        ({}, False),
        ({"limit": 2.0}, False),
        ({"limit": 1.99}, True),
        ({"limit": 1.0, "ratio": 1.0}, False),
        ({"limit": 1.0, "ratio": 1.01}, True),
        ({"limit": 2.0, "ratio": 9.0, "limits_value": True}, False),
        ({"limit": 1.99, "ratio": 1.0, "limits_value": True}, True),
    ],
)
def test_a_limit_is_for_the_ratio_where_there_is_one_and_nothing_says_otherwise(changes, exceeded):
    assert figure(**changes).exceeded is exceeded


@pytest.mark.parametrize(
    ("figures", "strict", "status"),
    [
        ([figure()], True, 0),
        ([figure(limit=1.0)], False, 0),
        ([figure(limit=1.0)], True, 1),
        ([figure(), figure(bad=1)], False, 1),
    ],
)
def test_the_exit_status_is_for_what_went_wrong(figures, strict, status, capsys):
    assert program.verdict(figures, strict=strict) == status


def test_repetitions_are_interleaved_and_the_median_counts():
    order: list[str] = []
    values = iter([10.0, 4.0, 12.0, 5.0, 50.0, 6.0])

    def measure(key: str) -> Sample:
        order.append(key)
        return Sample({"x": next(values)})

    found = interleaved("AB", 3, measure)
    assert "".join(order) == "ABABAB"
    made = found["B"].figure("x", "m", "c", "B", "q", floor=found["A"])
    assert (made.value, made.spread, made.ratio) == (5.0, (4.0, 6.0), 0.41667)


def test_a_floor_of_nothing_gives_no_ratio():
    nothing = Samples([Sample({"x": 0.0})])
    assert Samples([Sample({"x": 1.0})]).figure("x", "m", "c", "s", "q", floor=nothing).ratio is None


@pytest.mark.parametrize(
    ("said", "bad"),
    [
        ({}, 0),
        ({"expected": 10, "deliveries": 9}, 1),
        ({"gaps": 1}, 1),
        ({"late": 2, "twice": 1}, 3),
        ({"errors": 1, "closed": 1, "failed": 1}, 3),
    ],
)
def test_whatever_goes_wrong_is_counted(said, bad):
    none = dict.fromkeys(("expected", "deliveries", "gaps", "late", "twice", "errors", "closed", "failed"), 0)
    assert Run(none | said, {}, {}).bad == bad


def test_the_table_goes_between_its_marks():
    text = table([figure(limit=1.0), figure(server="drawn", drawn=True)], "python -m benchmarks")
    assert "drawn" not in text
    assert "| m | c | s | q | 2.00 |  | 1.00 (over) |\n" in text
    document = program.README.read_text("utf-8")
    once = program.with_table(document, text)
    assert text in once
    assert program.with_table(once, text) == once
    assert once.partition(program.BEGIN)[0] == document.partition(program.BEGIN)[0]


def test_pictures_are_in_the_checkout_only_when_told(tmp_path, monkeypatch, capsys):
    build, results, readme = tmp_path / "build", tmp_path / "results", tmp_path / "README.md"
    build.mkdir(), results.mkdir(), readme.write_text(program.BEGIN + program.END)
    monkeypatch.setattr(program, "BUILD", build)
    monkeypatch.setattr(program, "RESULTS", results)
    monkeypatch.setattr(program, "README", readme)
    drawn = [figure(drawn=True, details={"subscribers": 10.0})]
    program.write(drawn, "command", readme=False)
    assert sorted(path.name for path in build.iterdir()) == ["cpu_per_delivery.svg", "results.json", "table.md"]
    assert list(results.iterdir()) == []
    program.write(drawn, "command", readme=True)
    assert [path.name for path in results.iterdir()] == ["cpu_per_delivery.svg"]
    assert "`command`" in readme.read_text()
