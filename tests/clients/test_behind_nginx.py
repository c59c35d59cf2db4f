"""sockjs-client gets through nginx: as docs/sockjs.md configures it, without WebSocket, and with nginx's defaults."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from house.markdown import blocks
from kit.clients import run_node
from kit.needs import needs_nginx, needs_sockjs_client
from kit.nginx import free_ports, nginx
from kit.programs import ROOT, server_program

pytestmark = [pytest.mark.integration, pytest.mark.modes("unpatched"), needs_nginx, needs_sockjs_client]

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
ECHOES = [f"{number} größe \U0001f600" for number in range(50)]


def documented(upstream: int, port: int) -> str:
    """The example of docs/sockjs.md for these ports, with one process."""
    text = next(block.text for block in blocks(ROOT / "docs/sockjs.md") if block.language == "nginx")
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
