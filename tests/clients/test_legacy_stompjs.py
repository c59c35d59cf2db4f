"""stompjs 2.3.3, the client of 2013 that is still in many pages, in node."""

from __future__ import annotations

import pytest
from kit.clients import Outcome, check, each_case, run_node
from kit.needs import needs_legacy_stompjs
from kit.programs import ServerProgram

pytestmark = [pytest.mark.integration, pytest.mark.modes("unpatched"), needs_legacy_stompjs]


@pytest.fixture(scope="module")
def outcome(server: ServerProgram) -> Outcome:
    return run_node("node.mjs", "legacy", f"ws://127.0.0.1:{server.port}/ws")


@each_case
def test_legacy_stompjs_in_node(outcome: Outcome, case: str) -> None:
    check(outcome, case)
