"""JavaScript clients against a server: a script runs all cases of tests/clients/cases.mjs at once, each is a test."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest

from kit.needs import CLIENTS, program

CASES: dict[str, pytest.MarkDecorator] = {
    "version_1_0": pytest.mark.spec("SPH-06", "HS-03", "SPH-01"),
    "version_1_1": pytest.mark.spec("SPH-06", "HS-03", "SPH-01"),
    "version_1_2": pytest.mark.spec("SPH-06", "HS-03", "SPH-01"),
    "heart_beats_both_ways_for_ten_seconds": pytest.mark.spec("SB-04", "SPH-02"),
    "thousand_messages_in_order": pytest.mark.spec("SB-03", "SB-06", "SPH-07"),
    "thousand_messages_through_a_controller_in_order": pytest.mark.spec("ANN-02", "ANN-07", "SPH-07"),
    "receipts_for_every_frame": pytest.mark.spec("SPH-06", "SB-03"),
    "bodies_of_all_bytes": pytest.mark.spec("STOMP-01", "STOMP-02", "SPH-04"),
    "unicode": pytest.mark.spec("STOMP-01", "STOMP-02"),
    "escaped_headers": pytest.mark.spec("STOMP-01", "STOMP-02"),
    "body_of_60_kilobytes": pytest.mark.spec("STOMP-03", "SPH-01"),
    "reconnect_and_subscribe_anew": pytest.mark.spec("SPH-08", "SB-02"),
    "error_frame_says_why": pytest.mark.spec("SPH-05"),
    "raw_websocket_echoes": pytest.mark.spec("WSA-01", "WSA-02"),
}
"""The cases of cases.mjs, and what each of them proves."""

each_case = pytest.mark.parametrize("case", [pytest.param(name, marks=mark, id=name) for name, mark in CASES.items()])

Outcome = dict[str, dict[str, Any]]

_TIMEOUT = 55.0


def run_node(*arguments: str, stdin: str = "") -> Any:
    """Run a script of tests/clients and return what it printed, which is JSON."""
    done = subprocess.run(
        ["node", *arguments],
        cwd=CLIENTS,
        env=node_environment(),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def node_environment() -> dict[str, str]:
    """The environment of node, which tells browser.mjs where Chromium is."""
    return {**os.environ, "CHROMIUM": program("chromium") or ""}


def check(outcome: Outcome, case: str) -> None:
    """Fail unless *case* went well, and when cases.mjs and the table above do not have the same ones."""
    assert set(outcome) == set(CASES)
    error = outcome[case]["error"]
    assert error is None, error
