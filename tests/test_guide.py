"""The programs of docs/guide.md do what the guide says, as they stand there."""

from __future__ import annotations

import http.client
import json
import types
from pathlib import Path
from typing import Any

import pytest
from house.markdown import blocks
from kit.needs import needs_python_package
from kit.serving import TIMEOUT, handshake_request, running_server
from kit.stomp_socket import StompSocket

GUIDE = Path(__file__).parent.parent / "docs" / "guide.md"


def program(name: str) -> Any:
    """The module whose text has this file's name in its first line."""
    [text] = [block.text for block in blocks(GUIDE) if block.text.startswith(f"# {name}.py")]
    module = types.ModuleType(name)
    exec(compile(text, f"{name}.py", "exec", dont_inherit=True), module.__dict__)
    return module


def cookie_of(port: int, name: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        connection.request("POST", "/login", f"name={name}", {"Content-Type": "application/x-www-form-urlencoded"})
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())) == (200, name)
        return response.headers["Set-Cookie"].partition(";")[0]
    finally:
        connection.close()


def connected(port: int, *, headers: tuple[tuple[str, str], ...] = (), **connect: str) -> StompSocket:
    client = StompSocket(port, headers=headers)
    client.send_frame_of("CONNECT", accept_version="1.2", host="localhost", **connect)
    assert client.next_frame().command == "CONNECTED"
    return client


def said(client: StompSocket) -> Any:
    frame = client.next_frame()
    assert frame.command == "MESSAGE"
    return json.loads(frame.body)


@pytest.mark.integration
@pytest.mark.spec("HS-05", "SPH-03", "USR-01")
@needs_python_package("flask", install="pip install flask")
def test_users_of_the_site_talk_and_see_who_is_online() -> None:
    with running_server(program("site_chat").app) as server:
        with StompSocket(server.port, handshake=False) as stranger:
            stranger.send_bytes(handshake_request(server.port, "/ws"))
            assert stranger.receive_head().startswith(b"HTTP/1.1 401 ")
        with connected(server.port, headers=(("Cookie", cookie_of(server.port, "ada")),)) as ada:
            ada.subscribe("/topic/room/lobby", "room")
            ada.subscribe("/topic/online", "online")
            ada.send_frame_of("SUBSCRIBE", id="now", destination="/app/online")
            assert said(ada) == ["ada"]
            with connected(server.port, headers=(("Cookie", cookie_of(server.port, "bob")),)) as bob:
                assert said(ada) == ["ada", "bob"]
                bob.send_frame_of("SEND", b'{"text": "hi"}', destination="/app/room/lobby")
                assert said(ada) == {"name": "bob", "text": "hi"}
            assert said(ada) == ["ada"]


@pytest.mark.integration
@pytest.mark.spec("CH-04", "SPH-03", "SPH-05")
def test_tokens_and_rooms_are_checked() -> None:
    with running_server(program("token_chat").app) as server:
        with StompSocket(server.port) as stranger:
            stranger.send_frame_of("CONNECT", accept_version="1.2", host="localhost", token="none")
            error = stranger.next_frame()
            assert (error.command, dict(error.headers)["message"]) == ("ERROR", "This token is not valid")
        for destination in ("/topic/room/blue", "/topic/room/*", "/topic/**"):
            with connected(server.port, token="token of ada") as ada:
                ada.subscribe("/topic/room/red")
                ada.send_frame_of("SUBSCRIBE", id="1", destination=destination)
                error = ada.next_frame()
                refused = destination.removeprefix("/topic/room/")
                assert (error.command, dict(error.headers)["message"]) == ("ERROR", f"{refused} is not for ada")


@pytest.mark.spec("ANN-02", "ANN-05", "ANN-08")
def test_the_tests_of_the_guide_pass() -> None:
    tests = [each for name, each in vars(program("orders")).items() if name.startswith("test_")]
    assert len(tests) == 3
    for test in tests:
        test()
