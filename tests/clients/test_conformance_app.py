"""samples.conformance as outside test suites find it: the SockJS protocol's endpoints, and those for WebSocket."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from kit.clients import run_node
from kit.needs import needs_sockjs_client
from kit.programs import ServerProgram, server_program
from kit.serving import RawClient

pytestmark = [pytest.mark.integration, pytest.mark.modes("unpatched")]

SOCKJS = {
    "/echo": (True, True),
    "/disabled_websocket_echo": (False, True),
    "/cookie_needed_echo": (True, True),
    "/close": (True, True),
    "/ws": (True, True),
}
"""What /info says: websocket, cookie_needed."""


@pytest.fixture(scope="module")
def conformance() -> Iterator[ServerProgram]:
    with server_program("samples.conformance:app") as program:
        yield program


def ask(server: ServerProgram, path: str, method: str = "GET") -> Any:
    request = urllib.request.Request(server.address + path, method=method, headers={"Origin": "http://elsewhere.test"})
    return urllib.request.urlopen(request, timeout=30)


@pytest.mark.spec("SJS-01", "SJS-03", "SJS-15")
@pytest.mark.parametrize("path", SOCKJS)
def test_info_for_any_origin(conformance: ServerProgram, path: str) -> None:
    with ask(conformance, f"{path}/info") as response:
        info = json.load(response)
        assert response.headers["Access-Control-Allow-Origin"] == "http://elsewhere.test"
    assert (info["websocket"], info["cookie_needed"]) == SOCKJS[path]


@pytest.mark.spec("SJS-05")
@pytest.mark.parametrize("path", SOCKJS)
def test_jsonp_is_on_for_the_raw_handlers_alone(conformance: ServerProgram, path: str) -> None:
    url = f"{path}/000/jsonp/jsonp?c=call"
    if path == "/ws":
        with pytest.raises(urllib.error.HTTPError, match="404"):
            ask(conformance, url)
        return
    with ask(conformance, url) as response:
        assert response.read() == b'/**/call("o");\r\n'
        assert (response.headers["Set-Cookie"] or "").startswith("JSESSIONID=dummy") == ("cookie" in path)


@pytest.mark.spec("SJS-14")
def test_close_says_go_away(conformance: ServerProgram) -> None:
    for expected in (b"o\n", b'c[3000,"Go away!"]\n', b'c[3000,"Go away!"]\n'):
        with ask(conformance, "/close/000/x/xhr", "POST") as response:
            assert response.read() == expected


@pytest.mark.spec("WSA-01", "SJS-12")
def test_plain_web_socket_is_where_it_was(conformance: ServerProgram) -> None:
    raw = RawClient(conformance.port, "/raw")
    raw.send("hi")
    assert raw.receive() == "hi"
    raw.close_socket()
    for path in ("/ws", "/ws/websocket"):
        stomp = RawClient(conformance.port, path)
        stomp.send("CONNECT\naccept-version:1.2\n\n\0")
        assert stomp.receive().startswith("CONNECTED\n")
        stomp.close_socket()


@needs_sockjs_client
@pytest.mark.spec("SJS-03", "SJS-05", "SJS-12")
def test_sockjs_client_in_node(conformance: ServerProgram) -> None:
    paths = ("/echo", "/disabled_websocket_echo", "/cookie_needed_echo")
    found = run_node("sockjs-node.mjs", *[conformance.address + path for path in paths])
    assert [each["transport"] for each in found] == ["websocket", "xhr-streaming", "websocket"]
    assert [len(each["echoes"]) for each in found] == [50] * 3
