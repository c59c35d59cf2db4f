"""@stomp/stompjs 7 and stompjs 2.3.3 in Chromium, each in a page of its own."""

from __future__ import annotations

import pytest
from kit.clients import Outcome, check, each_case, run_node
from kit.needs import needs_chromium, needs_legacy_stompjs, needs_playwright, needs_stompjs
from kit.programs import ServerProgram

pytestmark = [
    pytest.mark.integration,
    pytest.mark.modes("unpatched"),
    needs_chromium,
    needs_playwright,
    needs_stompjs,
    needs_legacy_stompjs,
]


@pytest.fixture(scope="module")
def outcomes(server: ServerProgram) -> dict[str, Outcome]:
    return run_node("chromium.mjs", server.address)


@each_case
@pytest.mark.parametrize("client", ["stompjs", "legacy"])
def test_client_in_chromium(outcomes: dict[str, Outcome], client: str, case: str) -> None:
    check(outcomes[client], case)
