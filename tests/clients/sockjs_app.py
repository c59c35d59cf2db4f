"""What sockjs-client connects to: ``python -m wellhead.server sockjs_app:app`` in this folder.

``/talk`` records what it gets, ``/close`` sends everybody away, ``/ends`` tells how sessions ended, as JSON, as soon as
all have; besides the files of this folder. Pages of any origin may connect.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from app import files, respond
from gevent.event import Event

from wellhead.server import (
    AbstractWebSocketHandler,
    CloseStatus,
    TextMessage,
    WebSocketConfigurer,
    WebSocketHandler,
    WebSocketHandlerRegistry,
    WebSocketMessageBrokerConfigurer,
    WebSocketSession,
    WebSocketTransportRegistration,
    WellheadApp,
)

ENDS_WITHIN_S = 20
LIBRARY = "/clients/node_modules/sockjs-client/dist/sockjs.min.js"


class Talk(AbstractWebSocketHandler):
    """Takes orders: ``burst N`` sends N numbered messages, ``report`` sends what else came, as JSON; all else is echoed
    when it begins with ``=``, and kept for the report."""

    def __init__(self) -> None:
        self.came: dict[str, list[str]] = defaultdict(list)
        self.ends: list[dict[str, Any]] = []
        self.open = 0
        self.gone = Event()
        self.gone.set()

    def after_connection_established(self, session: WebSocketSession) -> None:
        self.open += 1
        self.gone.clear()

    def handle_text_message(self, session: WebSocketSession, message: TextMessage) -> None:
        text = message.payload
        if text.startswith("burst "):
            for number in range(int(text.removeprefix("burst "))):
                session.send_message(TextMessage(f"from server {number}"))
        elif text == "report":
            session.send_message(TextMessage(json.dumps([session.transport, self.came[session.id]])))
        elif text.startswith("="):
            session.send_message(message)
        elif text == "close":
            session.close(CloseStatus(4321, 'so "long" \u2028'))
        else:
            self.came[session.id].append(text)

    def after_connection_closed(self, session: WebSocketSession, status: CloseStatus) -> None:
        self.open -= 1
        why = status.because.name if status.because else None
        self.ends.append({"transport": session.transport, "code": status.code, "because": why})
        if self.open == 0:
            self.gone.set()


class CloseAtOnce(AbstractWebSocketHandler):
    def after_connection_established(self, session: WebSocketSession) -> None:
        session.close(CloseStatus(3000, "Go away!"))


talk = Talk()


class Config(WebSocketConfigurer, WebSocketMessageBrokerConfigurer):
    def register_web_socket_handlers(self, registry: WebSocketHandlerRegistry) -> None:
        def sockjs(handler: WebSocketHandler, path: str) -> None:
            registry.add_handler(handler, path, allowed_origin_patterns=["*"]).with_sockjs(
                client_library_url=LIBRARY,
                jsonp_enabled=True,
                stream_bytes_limit=4096,
                heartbeat_ms=2_000,
                disconnect_delay_ms=1_000,
                http_message_cache_size=1_000,
            )

        sockjs(talk, "/talk")
        sockjs(CloseAtOnce(), "/close")

    def configure_web_socket_transport(self, registration: WebSocketTransportRegistration) -> None:
        registration.set_web_socket_options(max_text_message_size=1024 * 1024)


def pages(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if environ["PATH_INFO"] != "/ends":
        return files(environ, start_response)
    talk.gone.wait(ENDS_WITHIN_S)
    return respond(start_response, "200 OK", "application/json", json.dumps([talk.open, talk.ends]).encode())


app = WellheadApp(pages, Config())
