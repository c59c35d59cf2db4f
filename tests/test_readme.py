"""The README's first program does what the README says, as it stands there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from kit.clients import run_node
from kit.needs import needs_python_package, needs_stompjs
from kit.programs import ROOT, server_program
from kit.serving import TIMEOUT

pytestmark = [
    pytest.mark.integration,
    pytest.mark.modes("unpatched"),
    needs_python_package("websocket", install="pip install websocket-client"),
]

CONNECT = "CONNECT\naccept-version:1.2\nhost:localhost\n\n\0"
SUBSCRIBE = "SUBSCRIBE\nid:0\ndestination:/topic/room/lobby\nreceipt:r\n\n\0"
SEND = "SEND\ndestination:/app/room/lobby\n\n{body}\0"


def block(language: str) -> str:
    """The first block of code in this language that follows the heading of the first program."""
    _, _, text = (ROOT / "README.md").read_text().partition("<!-- first-program -->\n")
    found = re.search(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert found is not None, f"README.md has no first program in {language}"
    return found[1]


@pytest.mark.spec("CFG-03", "ANN-02", "ANN-05", "ANN-07")
def test_first_program_greets_the_lobby(tmp_path: Path) -> None:
    from websocket import create_connection

    program = block("python")
    assert program.startswith("# hello.py\n")
    (tmp_path / "hello.py").write_text(program)
    with server_program("hello:app", folder=tmp_path) as server:
        socket = create_connection(f"ws://127.0.0.1:{server.port}/ws", timeout=TIMEOUT, subprotocols=["v12.stomp"])
        try:
            socket.send(CONNECT)
            assert socket.recv().startswith("CONNECTED\nversion:1.2\n")
            socket.send(SUBSCRIBE)
            assert socket.recv().startswith("RECEIPT\nreceipt-id:r\n")
            socket.send(SEND.format(body='{"name": "ada", "text": "hello"}'))
            command, _, rest = socket.recv().partition("\n")
            head, _, body = rest.partition("\n\n")
        finally:
            socket.close()
        assert command == "MESSAGE"
        assert "destination:/topic/room/lobby" in head.split("\n")
        assert json.loads(body.rstrip("\0")) == {"name": "Ada", "text": "hello"}
        assert server.stop() == 0


def test_command_line_of_the_readme_is_the_one_that_is_tested() -> None:
    assert "\npython -m wellhead.server hello:app --port 8080\n" in (ROOT / "README.md").read_text()


@needs_stompjs
@pytest.mark.spec("CFG-03", "ANN-02", "ANN-05", "ANN-07")
def test_javascript_of_the_readme_speaks_to_the_first_program(tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text(block("python"))
    with server_program("hello:app", folder=tmp_path) as server:
        logged = run_node("readme.mjs", f"ws://127.0.0.1:{server.port}/ws", stdin=block("js"))
    assert logged == {"name": "Ada", "text": "hello"}
