"""SockJS in a test: applications, and clients of bare sockets."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from kit.http import HttpConnection, Response
from kit.serving import RunningServer

_numbers = itertools.count()


class CloseAtOnce:
    """A handler that closes each session as soon as it hears of it."""

    supports_partial_messages = False

    def after_connection_established(self, session: Any) -> None:
        from wellhead.server.close import CloseStatus

        session.close(CloseStatus(3000, "Go away!"))

    def handle_message(self, session: Any, message: Any) -> None: ...
    def handle_transport_error(self, session: Any, error: BaseException) -> None: ...
    def after_connection_closed(self, session: Any, status: Any) -> None: ...


def sockjs_app(register: Callable[[Any], None]) -> Any:
    """An application whose raw handlers *register* adds to the registry."""
    from wellhead.server.config.app import WellheadApp
    from wellhead.server.config.configurer import WebSocketConfigurer

    class Configurer(WebSocketConfigurer):
        def register_web_socket_handlers(self, registry: Any) -> None:
            register(registry)

    return WellheadApp(None, Configurer())


def fresh_url(base: str = "/echo", session: str = "session") -> str:
    """The URL of a session that nobody has used; *session* is what its segment begins with."""
    return f"{base}/000/{session}{next(_numbers)}"


class Browser:
    """Opens connections to one server and closes those that are left."""

    def __init__(self, server: RunningServer) -> None:
        self.port = server.port
        self._connections: list[HttpConnection] = []

    def connect(self, **options: Any) -> HttpConnection:
        connection = HttpConnection(self.port, **options)
        self._connections.append(connection)
        return connection

    def get(self, path: str, **options: Any) -> Response:
        """A request on a connection of its own, as all of these."""
        return self.connect().request("GET", path, **options)

    def post(self, path: str, body: bytes | str | None = None, **options: Any) -> Response:
        return self.connect().request("POST", path, body, **options)

    def options(self, path: str, **options: Any) -> Response:
        return self.connect().request("OPTIONS", path, **options)

    def close(self) -> None:
        for connection in self._connections:
            connection.close()


class SockJsClient:
    """One session by the given transport: receives messages, sends messages."""

    def __init__(self, browser: Browser, transport: str, base: str = "/echo", session: str = "session") -> None:
        self.browser = browser
        self.transport = transport
        self.url = fresh_url(base, session)
        self.closed_with: tuple[int, str] | None = None
        self._frames: list[str] = []
        self._stream: Any = None
        self._buffer = ""
        assert self._next_frame() == "o"

    def send(self, *messages: str) -> None:
        body = json.dumps(messages)
        if self.transport == "websocket":
            self._stream.send(body)
        elif self.transport == "jsonp":
            assert self.browser.post(self.url + "/jsonp_send", body).body == b"ok"
        else:
            response = self.browser.post(self.url + "/xhr_send", body)
            assert response.status == 204, (response.status, response.body)

    def receive(self, count: int) -> list[str]:
        """So many messages; None in ``closed_with`` says that there was no close frame before them."""
        messages: list[str] = []
        while len(messages) < count and self.closed_with is None:
            messages += self._read()
        return messages

    def receive_close(self) -> tuple[int, str]:
        while self.closed_with is None:
            assert self._read() == []
        return self.closed_with

    def vanish(self) -> None:
        """Cut what connects us with the server; waits for a poll to begin, if there is none."""
        if self.transport == "websocket":
            self._stream.close_socket()
        else:
            if self._stream is None:
                self._stream = self._ask()
            self._stream.close()

    def _read(self) -> list[str]:
        frame = self._next_frame()
        if frame.startswith("a"):
            return list(json.loads(frame[1:]))
        if frame.startswith("c"):
            code, reason = json.loads(frame[1:])
            self.closed_with = code, reason
        return []

    def _next_frame(self) -> str:
        while not self._frames:
            self._more()
        return self._frames.pop(0)

    def _more(self) -> None:
        if self.transport == "websocket":
            if self._stream is None:
                from kit.serving import RawClient

                self._stream = RawClient(self.browser.port, self.url + "/websocket")
                self.browser._connections.append(_AsConnection(self._stream))  # type: ignore[arg-type]  # is closed
            self._frames.append(self._stream.receive())
        elif self.transport in ("xhr", "jsonp"):
            connection = self._stream or self._ask()
            self._stream = None
            self._split(connection.response().body.decode())
        else:
            if self._stream is None:
                self._stream = self._ask()
                self._response = self._stream.response()
                assert self._response.status == 200
            chunk = self._response.chunk().decode()
            if chunk:
                self._split(chunk)
            else:
                self._stream = None

    def _ask(self) -> HttpConnection:
        connection = self.browser.connect()
        method, query = ("POST", "") if self.transport.startswith("xhr") else ("GET", "?c=call")
        connection.send(method, f"{self.url}/{self.transport}{query}")
        return connection

    def _split(self, text: str) -> None:
        """Take the frames out of what the transport wraps them in."""
        if self.transport.startswith("xhr"):
            found = [line for line in text.split("\n") if line and not line.startswith("hh")]
        elif self.transport == "eventsource":
            # As sockjs-client does: a per cent sign is escaped on this transport.
            found = [unquote(line.removeprefix("data: ")) for line in text.split("\r\n") if line]
        elif self.transport == "jsonp":
            assert text.startswith("/**/call(") and text.endswith(");\r\n")
            found = [json.loads(text[len("/**/call(") : -len(");\r\n")])]
        else:
            scripts = text.split("<script>\np(")[1:]
            found = [json.loads(script[: script.index(");\n</script>")]) for script in scripts]
        self._frames += found


class _AsConnection:
    def __init__(self, client: Any) -> None:
        self.close = client.close_socket
