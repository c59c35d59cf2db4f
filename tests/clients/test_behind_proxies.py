"""sockjs-client gets through nginx and HAProxy as docs/sockjs.md configures them, and through nginx set otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from house.markdown import blocks
from kit.clients import run_node
from kit.needs import needs_haproxy, needs_nginx, needs_sockjs_client
from kit.programs import ROOT, server_program
from kit.proxies import free_ports, haproxy, nginx

pytestmark = [pytest.mark.integration, pytest.mark.modes("unpatched"), needs_sockjs_client]

PLAIN = """
server {{
    listen 127.0.0.1:{port};
    location / {{
        proxy_pass http://127.0.0.1:{upstream};
        {settings}
    }}
}}
"""
NO_UPGRADE = 'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;'
WITHOUT_WEB_SOCKET = 8
"""So many sessions, each with requests that have to reach the process that knows it."""
ECHOES = [f"{number} größe \U0001f600" for number in range(50)]


def example(language: str) -> str:
    return next(block.text for block in blocks(ROOT / "docs/sockjs.md") if block.language == language)


def documented(upstream: int, port: int) -> str:
    """The example of docs/sockjs.md for these ports, with one process."""
    text = example("nginx")
    text = text.replace("    server 127.0.0.1:8081;\n", "").replace("127.0.0.1:8080", f"127.0.0.1:{upstream}")
    return text.replace("listen 80;", f"listen 127.0.0.1:{port};")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    ports = free_ports(3)
    with server_program("samples.conformance:app") as server:
        http = "".join(
            [
                documented(server.port, ports[0]).replace("location /ws ", "location / "),
                PLAIN.format(port=ports[1], upstream=server.port, settings=NO_UPGRADE),
                PLAIN.format(port=ports[2], upstream=server.port, settings=""),
            ]
        )
        with nginx(tmp_path_factory.mktemp("nginx"), http, *ports):
            yield run_node("sockjs-node.mjs", *[f"http://127.0.0.1:{port}/echo" for port in ports])


@needs_nginx
@pytest.mark.spec("SJS-03", "SJS-05", "SJS-12")
@pytest.mark.parametrize(
    ("index", "transports"),
    [
        pytest.param(0, {"websocket"}, id="as-documented"),
        pytest.param(1, {"xhr-streaming"}, id="without-upgrade"),
        pytest.param(2, {"xhr-streaming", "xhr-polling"}, id="with-the-defaults"),
    ],
)
def test_sockjs_client_gets_through(results: list[dict[str, Any]], index: int, transports: set[str]) -> None:
    result = results[index]
    assert result["echoes"] == ECHOES
    assert result["transport"] in transports
    assert result["close"] == [1000, "Normal closure"]


@needs_haproxy
@pytest.mark.spec("SJS-03", "SJS-05", "SJS-12")
def test_sockjs_client_gets_through_haproxy_to_two_processes(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    app = "samples.conformance:app"
    with server_program(app) as one, server_program(app) as two:
        sections = example("haproxy").replace("bind :80", f"bind 127.0.0.1:{port}").replace("^/ws/", "^/[^/]+/")
        sections = sections.replace(":8080", f":{one.port}").replace(":8081", f":{two.port}")
        paths = ["/echo", *["/disabled_websocket_echo"] * WITHOUT_WEB_SOCKET]
        with haproxy(tmp_path, sections, port):
            results = run_node("sockjs-node.mjs", *[f"http://127.0.0.1:{port}{path}" for path in paths])
    assert [result["echoes"] for result in results] == [ECHOES] * len(paths)
    assert [result["transport"] for result in results] == ["websocket", *["xhr-streaming"] * WITHOUT_WEB_SOCKET]
