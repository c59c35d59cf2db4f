"""The chat sample as its users see it: three of them in Chromium, and a server that is restarted under their eyes."""

from __future__ import annotations

import json
import subprocess

import pytest
from kit.clients import node_environment
from kit.needs import (
    CLIENTS,
    needs_chromium,
    needs_playwright,
    needs_python_package,
    needs_sockjs_client,
    needs_stompjs,
)
from kit.programs import ROOT, ServerProgram
from kit.proxies import free_ports

pytestmark = [
    pytest.mark.integration,
    pytest.mark.modes("unpatched"),
    needs_chromium,
    needs_playwright,
    needs_stompjs,
    needs_sockjs_client,
    needs_python_package("flask", install="pip install flask"),
]

STEPS: dict[str, pytest.MarkDecorator | tuple[()]] = {
    "both_tabs_connect": pytest.mark.spec("SPH-06", "HS-01"),
    "each_sees_the_line_of_the_other": pytest.mark.spec("ANN-02", "ANN-05", "ANN-07", "SB-03"),
    "own_lines_are_marked": (),
    "newcomer_gets_the_history": pytest.mark.spec("ANN-02", "ANN-06"),
    "another_room_is_separate": pytest.mark.spec("ANN-02", "SB-03"),
    "error_is_shown_to_its_sender_alone": pytest.mark.spec("ANN-08", "USR-01", "USR-02"),
    "state_tells_of_a_restart_and_recovers": pytest.mark.spec("LIFE-01", "SWS-05"),
    "name_and_room_are_kept_when_the_page_is_loaded_anew": (),
    "room_with_a_star_hears_nothing_of_the_others": (),
    "automatic_is_websocket_where_it_gets_through": pytest.mark.spec("SJS-03", "SJS-12"),
    "each_transport_carries_the_chat": pytest.mark.spec("SJS-05", "SJS-08", "SJS-09", "SJS-12"),
    "forced_transport_is_kept_and_reconnects": pytest.mark.spec("SJS-08", "SJS-14"),
    "pages_complain_about_nothing": (),
}
SCREENSHOTS = ROOT / "build" / "screenshots"
APP = "samples.chat.app:app"


class Chat:
    """The server of the sample, which the script may have stopped and started again on the same port."""

    def __init__(self) -> None:
        self.server = ServerProgram(APP, port=free_ports(1)[0])  # One that nobody gets while it is stopped.
        self.exit_codes: list[int] = []

    def do(self, what: str) -> None:
        if what == "stop":
            self.exit_codes.append(self.server.stop())
        else:
            self.server = ServerProgram(APP, port=self.server.port)


@pytest.fixture(scope="module")
def chat() -> Chat:
    return Chat()


@pytest.fixture(scope="module")
def outcome(chat: Chat) -> dict[str, str | None]:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    try:
        return run_script(chat)
    finally:
        chat.do("stop")


def run_script(chat: Chat) -> dict[str, str | None]:
    with subprocess.Popen(
        ["node", "chat.mjs", chat.server.address, str(SCREENSHOTS)],
        cwd=CLIENTS,
        env=node_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as script:
        assert script.stdin is not None and script.stdout is not None
        for line in script.stdout:
            said = json.loads(line)
            if "outcome" in said:
                outcome: dict[str, str | None] = said["outcome"]
                return outcome
            chat.do(said["ask"])
            script.stdin.write("done\n")
            script.stdin.flush()
    raise AssertionError("the script ended without an outcome")


@pytest.mark.parametrize("step", [pytest.param(name, marks=marks, id=name) for name, marks in STEPS.items()])
def test_chat(outcome: dict[str, str | None], step: str) -> None:
    assert set(outcome) == set(STEPS)
    assert outcome[step] is None, outcome[step]


@pytest.mark.spec("LIFE-01")
def test_the_server_ended_by_itself_each_time(outcome: dict[str, str | None], chat: Chat) -> None:
    assert chat.exit_codes == [0, 0, 0]
