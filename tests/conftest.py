"""The suite's own rules: the mode it runs in (kit/mode.py), and that nothing is skipped in CI."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.mode import MODE, make_executor, mode_error

import wellhead.messaging
from wellhead.messaging.executor import PooledExecutor

IN_CI = bool(os.environ.get("CI"))

skips: dict[str, str] = {}
"""Node id to reason, of everything that this run skipped."""


def pytest_configure(config: pytest.Config) -> None:
    error = mode_error()
    if error:
        raise pytest.UsageError(error)


def pytest_report_header() -> str:
    home = Path(wellhead.messaging.__file__).parent
    return f"wellhead: mode {MODE}, {'CI, ' if IN_CI else ''}from {home}"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if not runs_in_this_mode(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if runs_in_this_mode(item)]


def runs_in_this_mode(item: pytest.Item) -> bool:
    return all(MODE in mark.args for mark in item.iter_markers("modes"))


@pytest.fixture(scope="session")
def mode() -> str:
    """``unpatched``, ``patched`` or ``threads``: see kit/mode.py."""
    return MODE


@pytest.fixture
def executor() -> Iterator[PooledExecutor]:
    """A pool of what the mode works with: native threads, or greenlets of the hub of this thread."""
    pool = make_executor()
    yield pool
    assert pool.shutdown(), "a task still runs"


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        note_skip(report.nodeid, report.longrepr)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.skipped:
        note_skip(report.nodeid, report.longrepr)


def note_skip(nodeid: str, longrepr: object) -> None:
    skips[nodeid] = str(longrepr[2] if isinstance(longrepr, tuple) else longrepr)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if IN_CI and skips and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if IN_CI and skips:
        terminalreporter.section("skipped, which fails a run in CI", red=True)
        for nodeid, reason in skips.items():
            terminalreporter.write_line(f"{nodeid}: {reason.removeprefix('Skipped: ')}")
