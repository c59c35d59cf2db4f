"""The guard: what it compares, and what it says about it."""

from __future__ import annotations

import json

import pytest

from benchmarks import guard
from benchmarks.client import compiler

pytestmark = pytest.mark.modes("unpatched")

NOW = {"a SEND": {"calls": 110.0, "instructions": 1000.0}}


@pytest.mark.parametrize(
    ("value", "stored", "exceeded"),
    [(110.0, 100.0, False), (110.1, 100.0, True), (50.0, 100.0, False), (1.0, None, False)],
)
def test_ten_percent_more_is_let_pass(value, stored, exceeded):
    row = guard.Row("c", "calls", value, stored)
    assert row.exceeded is exceeded
    assert ("OVER" in row.line()) is exceeded


def test_what_is_not_stored_has_no_limit():
    rows = list(guard.compared(NOW, {"a SEND": {"calls": 100.0}, "gone": {"calls": 1.0}}))
    assert [(row.quantity, row.stored) for row in rows] == [("calls", 100.0), ("instructions", None)]
    assert rows[1].line().endswith("nothing is stored")


@pytest.fixture
def stored(tmp_path, monkeypatch):
    monkeypatch.setattr(guard, "measured", lambda: NOW)
    monkeypatch.setattr(guard, "STORED", tmp_path / "guard.json")
    return tmp_path / "guard.json"


def test_what_is_stored_is_what_the_next_run_is_compared_with(stored, capsys):
    assert guard.run(update=False) == 1
    assert "2 of 2 have no limit for Python 3." in capsys.readouterr().out
    assert guard.run(update=True) == 0
    assert json.loads(stored.read_text()) == {guard.VERSION: NOW}
    assert guard.run(update=False) == 0


def test_a_limit_that_is_exceeded_is_status_1(stored, capsys):
    other = {"Python 3.0": NOW}
    stored.write_text(json.dumps(other | {guard.VERSION: {"a SEND": {"calls": 99.0, "instructions": 1000.0}}}))
    assert guard.run(update=False) == 1
    assert "1 of 2 limits are exceeded" in capsys.readouterr().out
    assert guard.run(update=True) == 0
    assert json.loads(stored.read_text()) == other | {guard.VERSION: NOW}


@pytest.mark.integration
@pytest.mark.skipif(compiler() is None, reason="needs a C compiler: apt-get install gcc libc6-dev")
def test_counting_does_not_depend_on_the_clock():
    options = ("-n", 3, "--publish", 4, "--window", 1, "--warmup", 2)
    first, second = (guard.one_run("deliveries", *options) for _ in range(2))
    assert first.keys() == {"calls", "instructions"}
    assert all(1 < first[key] == pytest.approx(second[key], rel=0.05) for key in first)
