"""Handlers without a decorator that raise what is no ``Exception``: their session ends, and nothing else does."""

from __future__ import annotations

from asyncio import CancelledError
from typing import Any

import pytest
from gevent import GreenletExit, Timeout
from kit.serving import RecordingHandler, running_server

from wellhead.server.close import EndReason
from wellhead.server.handshake.handler import DefaultHandshakeHandler
from wellhead.server.handshake.request import HandshakeRequest, HandshakeResponse


class Leaving(RecordingHandler):
    """A session that says ``leave`` has *error* raised in the callback *where*."""

    def __init__(self, where: str, error: BaseException) -> None:
        super().__init__()
        self.leaving: set[Any] = set()
        self.where = where
        self.error = error

    def handle_message(self, session: Any, message: Any) -> None:
        super().handle_message(session, message)
        if message.payload != "leave":
            session.send_message(message)
            return
        self.leaving.add(session)
        self._leave(session, "message")

    def handle_transport_error(self, session: Any, error: BaseException) -> None:
        super().handle_transport_error(session, error)
        self._leave(session, "error")

    def after_connection_closed(self, session: Any, status: Any) -> None:
        super().after_connection_closed(session, status)
        self._leave(session, "closed")

    def _leave(self, session: Any, where: str) -> None:
        if session in self.leaving and where == self.where:
            raise self.error


def bare_app(handler: Any) -> Any:
    """As ``websocket_app``, without the decorators."""

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        response = HandshakeResponse()
        DefaultHandshakeHandler().do_handshake(HandshakeRequest(environ), response, handler, {})
        assert response.upgraded
        return []

    return app


NO_EXCEPTIONS = [Timeout(1), CancelledError(), GeneratorExit(), SystemExit(3), GreenletExit()]


@pytest.mark.spec("WSA-05", "LOG-01")
@pytest.mark.parametrize("error", NO_EXCEPTIONS, ids=lambda error: type(error).__name__)
def test_what_is_no_exception_closes_the_session_alone(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    handler = Leaving("message", error)
    with running_server(bare_app(handler)) as running, running.client() as other:
        with running.client() as client:
            client.send("leave")
            assert client.receive_close()[0] == 1011
        assert handler.wait_for("closed") == ("closed", 1011, EndReason.HANDLER_ERROR)
        other.send("still there")
        assert other.receive() == "still there"
    [text] = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert text.startswith("Closing session ")
    assert ("SystemExit(3) from an application's code" in text) is isinstance(error, SystemExit)


@pytest.mark.spec("WSA-05")
@pytest.mark.parametrize("where", ["error", "closed"])
@pytest.mark.parametrize("error", NO_EXCEPTIONS, ids=lambda error: type(error).__name__)
def test_the_end_is_told_and_everything_given_back(
    where: str, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    handler = Leaving(where, error)
    with running_server(bare_app(handler)) as running, running.client() as other:
        with running.client() as client:
            client.send("leave")
            handler.wait_for("message")
        assert handler.wait_for("closed")[1] == 1006
        other.send("still there")
        assert other.receive() == "still there"
        assert len(running.runtime.connections) == 1
    [text] = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert text.startswith(f"Error in {'handle_transport_error' if where == 'error' else 'after_connection_closed'}")
    assert ("SystemExit(3) from an application's code" in text) is isinstance(error, SystemExit)
