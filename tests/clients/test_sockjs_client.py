"""sockjs-client 1.6.1 in Chromium, by each of its transports: pages of our own origin and of another one."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from kit.clients import run_node
from kit.needs import CLIENTS, needs_chromium, needs_playwright, needs_sockjs_client
from kit.programs import ServerProgram, server_program

pytestmark = [
    pytest.mark.integration,
    pytest.mark.modes("unpatched"),
    needs_chromium,
    needs_playwright,
    needs_sockjs_client,
]

TRANSPORTS = {
    "websocket": ("websocket", pytest.mark.spec("SJS-12")),
    "xhr-streaming": ("xhr_streaming", pytest.mark.spec("SJS-09")),
    "eventsource": ("eventsource", pytest.mark.spec("SJS-09")),
    "htmlfile": ("htmlfile", pytest.mark.spec("SJS-09")),
    "xhr-polling": ("xhr", pytest.mark.spec("SJS-08")),
    "jsonp-polling": ("jsonp", pytest.mark.spec("SJS-05")),
    "iframe-eventsource": ("eventsource", pytest.mark.spec("SJS-04", "SJS-09")),
    "iframe-htmlfile": ("htmlfile", pytest.mark.spec("SJS-04", "SJS-09")),
    "iframe-xhr-polling": ("xhr", pytest.mark.spec("SJS-04", "SJS-08")),
}
"""The client's name to the server's, and what it proves."""

CASES = {
    "messages_each_way_once_and_in_order": pytest.mark.spec("SJS-05", "SJS-07", "SJS-10", "SJS-11"),
    "all_of_unicode_in_one_message": pytest.mark.spec("SJS-06"),
    "closed_by_the_server": pytest.mark.spec("SJS-14"),
    "closed_by_the_server_later": pytest.mark.spec("SJS-06", "SJS-14"),
    "closed_by_the_page": pytest.mark.spec("SJS-14"),
}

OWN = ["websocket", "xhr-streaming", "eventsource", "htmlfile", "xhr-polling", "jsonp-polling"]
OTHER = [name for name in TRANSPORTS if name != "htmlfile"]
"""``htmlfile`` is for pages of our own origin; others have the iframe for it."""
RUNS = [*(("127.0.0.1", name) for name in OWN), *(("localhost", name) for name in OTHER)]
"""Which host the page comes from; the server is always 127.0.0.1."""

Outcomes = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def sockjs_server() -> Iterator[ServerProgram]:
    with server_program("sockjs_app:app", folder=CLIENTS) as program:
        yield program


@pytest.fixture(scope="module")
def outcomes(sockjs_server: ServerProgram) -> Outcomes:
    """By host; a browser with all transports is started for each when it is asked for."""
    return {}


def outcome_of(outcomes: Outcomes, server: ServerProgram, host: str) -> dict[str, Any]:
    if host not in outcomes:
        names = [name for each, name in RUNS if each == host]
        outcomes[host] = run_node("sockjs-chromium.mjs", f"http://{host}:{server.port}", server.address, *names)
    return outcomes[host]


@pytest.mark.parametrize("case", [pytest.param(name, marks=mark, id=name) for name, mark in CASES.items()])
@pytest.mark.parametrize(
    ("host", "transport"),
    [pytest.param(host, name, marks=TRANSPORTS[name][1], id=f"{host}-{name}") for host, name in RUNS],
)
def test_sockjs_client(outcomes: Outcomes, sockjs_server: ServerProgram, host: str, transport: str, case: str) -> None:
    outcome = outcome_of(outcomes, sockjs_server, host)[transport]
    assert set(outcome) == set(CASES)
    assert outcome[case]["error"] is None, outcome[case]["error"]
    at_server = outcome[case]["facts"].get("atServer")
    assert at_server in (None, TRANSPORTS[transport][0])


@pytest.mark.spec("SJS-07", "SJS-14")
def test_the_server_saw_the_end_of_every_session(outcomes: Outcomes, sockjs_server: ServerProgram) -> None:
    """A page that says good-bye over HTTP just asks no more; what the server closes has its own reason."""
    outcome_of(outcomes, sockjs_server, "127.0.0.1")
    opened, ends = wait_for_ends(sockjs_server)
    assert opened == 0
    assert {end["because"] for end in ends} <= {"CLIENT_CLOSED", "CLIENT_VANISHED", "SERVER_CLOSED"}
    found = Counter((end["code"], end["because"]) for end in ends)
    assert found[4321, "SERVER_CLOSED"] == sum(map(len, outcomes.values()))


def wait_for_ends(server: ServerProgram) -> tuple[int, list[dict[str, Any]]]:
    with urllib.request.urlopen(f"{server.address}/ends") as response:
        opened, ends = json.load(response)
    return opened, ends
