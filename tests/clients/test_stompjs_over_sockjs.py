"""@stomp/stompjs 7 over sockjs-client in node: what it does by WebSocket it does by each transport."""

from __future__ import annotations

import pytest
from kit.clients import Outcome, check, each_case, run_node
from kit.needs import needs_sockjs_client, needs_stompjs
from kit.programs import ServerProgram

pytestmark = [pytest.mark.integration, pytest.mark.modes("unpatched"), needs_stompjs, needs_sockjs_client]

TRANSPORTS = {
    "websocket": pytest.mark.spec("SJS-12"),
    "xhr-streaming": pytest.mark.spec("SJS-09"),
    "xhr-polling": pytest.mark.spec("SJS-08", "SJS-10"),
}


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    """One transport after the other, each when it is asked for: at once they would be late with their heart-beats."""
    return {}


@each_case
@pytest.mark.parametrize("transport", [pytest.param(name, marks=mark, id=name) for name, mark in TRANSPORTS.items()])
def test_stompjs_over_sockjs(server: ServerProgram, outcomes: dict[str, Outcome], transport: str, case: str) -> None:
    if transport not in outcomes:
        outcomes[transport] = run_node("node.mjs", "stompjs", f"http://127.0.0.1:{server.port}/ws", transport)
    check(outcomes[transport], case)
