"""What tests/clients/abandon.py abandons: ``/talk`` by SockJS, ``/stats`` says what is left, as JSON, and
``/stats?gone`` as soon as that is nobody.
"""

from __future__ import annotations

import gc
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from gevent.event import Event

from wellhead.server import (
    AbstractWebSocketHandler,
    CloseStatus,
    WebSocketConfigurer,
    WebSocketHandlerRegistry,
    WebSocketSession,
    WellheadApp,
)
from wellhead.server.sockjs.http_session import HttpSockJsSession

DISCONNECT_DELAY_MS = 1_000
ENDS_WITHIN_S = 30


class Register(AbstractWebSocketHandler):
    """Counts who comes, and who goes for which reason."""

    def __init__(self) -> None:
        self.opened = 0
        self.ends: Counter[str] = Counter()
        self.gone = Event()

    def after_connection_established(self, session: WebSocketSession) -> None:
        self.opened += 1
        self.gone.clear()

    def after_connection_closed(self, session: WebSocketSession, status: CloseStatus) -> None:
        why = status.because.name if status.because else "no reason"
        self.ends[f"{session.transport} {status.code} {why}"] += 1
        if self.open == 0:
            self.gone.set()

    @property
    def open(self) -> int:
        return self.opened - self.ends.total()


register = Register()


class Config(WebSocketConfigurer):
    def register_web_socket_handlers(self, registry: WebSocketHandlerRegistry) -> None:
        registry.add_handler(register, "/talk").with_sockjs(disconnect_delay_ms=DISCONNECT_DELAY_MS)


def stats(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if environ["QUERY_STRING"] == "gone":
        register.gone.wait(ENDS_WITHIN_S)
    lines = Path("/proc/self/status").read_text().splitlines()
    body = json.dumps(
        {
            "opened": register.opened,
            "ends": register.ends,
            "open": register.open,
            "objects": sum(isinstance(each, HttpSockJsSession) for each in gc.get_objects()),
            "blocks": sys.getallocatedblocks(),
            "rss_kib": next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")),
        }
    ).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


app = WellheadApp(stats, Config())
