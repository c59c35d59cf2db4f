from typing import Any

import pytest
from kit.handshakes import FakeUpgradeStrategy, make_request

from wellhead.server.decorators import (
    ExceptionWebSocketHandlerDecorator,
    LoggingWebSocketHandlerDecorator,
    WebSocketHandlerDecorator,
)
from wellhead.server.exceptions import HandshakeFailureError
from wellhead.server.handlers import TextWebSocketHandler, WebSocketHandler
from wellhead.server.handshake.handler import DefaultHandshakeHandler
from wellhead.server.handshake.request import HandshakeRequest, HandshakeResponse
from wellhead.server.handshake.request_handler import WebSocketHttpRequestHandler


class Guard:
    """An interceptor that sets an attribute, may refuse or raise, and remembers what it heard afterwards."""

    def __init__(
        self, *, refuses_with: int | None = None, raises: Exception | None = None, passes: bool = True
    ) -> None:
        self.refuses_with = refuses_with
        self.raises = raises
        self.passes = passes
        self.heard: list[tuple[bool, Exception | None]] = []
        self.seen: dict[str, Any] = {}

    def before_handshake(
        self,
        request: HandshakeRequest,
        response: HandshakeResponse,
        handler: WebSocketHandler,
        attributes: dict[str, Any],
    ) -> bool:
        self.seen = dict(attributes)
        attributes["guard"] = "was here"
        if self.raises is not None:
            raise self.raises
        if self.refuses_with is not None:
            response.status = self.refuses_with
        return self.passes and self.refuses_with is None

    def after_handshake(
        self,
        request: HandshakeRequest,
        response: HandshakeResponse,
        handler: WebSocketHandler,
        exception: Exception | None,
    ) -> None:
        self.heard.append((response.upgraded, exception))


def make_handler(
    *guards: Guard, error: Exception | None = None
) -> tuple[WebSocketHttpRequestHandler, FakeUpgradeStrategy]:
    strategy = FakeUpgradeStrategy()
    strategy.error = error
    return WebSocketHttpRequestHandler(TextWebSocketHandler(), DefaultHandshakeHandler(strategy), guards), strategy


@pytest.mark.spec("HS-01")
def test_interceptors_run_around_the_handshake_and_fill_the_attributes() -> None:
    guard = Guard()
    handler, strategy = make_handler(guard)
    assert handler.handle(make_request()).upgraded
    assert strategy.upgrades[0].attributes == {"guard": "was here"}
    assert guard.heard == [(True, None)]


@pytest.mark.spec("HS-01")
def test_each_handshake_has_fresh_attributes() -> None:
    guard = Guard()
    handler, strategy = make_handler(guard)
    handler.handle(make_request())
    handler.handle(make_request())
    assert guard.seen == {}
    assert strategy.upgrades[0].attributes is not strategy.upgrades[1].attributes


@pytest.mark.spec("HS-01", "WSA-05")
def test_the_handler_is_wrapped_as_exception_around_logging() -> None:
    handler, strategy = make_handler()
    handler.handle(make_request())
    outer = strategy.upgrades[0].handler
    assert outer is handler.handler
    assert isinstance(outer, ExceptionWebSocketHandlerDecorator)
    assert isinstance(outer.delegate, LoggingWebSocketHandlerDecorator)
    assert isinstance(WebSocketHandlerDecorator.unwrap(outer), TextWebSocketHandler)


@pytest.mark.spec("HS-01", "HS-04")
@pytest.mark.parametrize(("guard", "status"), [(Guard(refuses_with=401), 401), (Guard(passes=False), 200)])
def test_a_refusal_is_answered_with_the_interceptors_status(guard: Guard, status: int) -> None:
    first = Guard()
    handler, strategy = make_handler(first, guard)
    response = handler.handle(make_request())
    assert (response.status, response.upgraded) == (status, False)
    assert strategy.upgrades == []
    assert first.heard == [(False, None)]
    assert guard.heard == []


@pytest.mark.spec("HS-01", "HS-02")
def test_a_failed_check_is_no_exception_and_after_is_called() -> None:
    guard = Guard()
    handler, _ = make_handler(guard)
    assert handler.handle(make_request(headers={"Upgrade": None})).status == 400
    assert guard.heard == [(False, None)]


@pytest.mark.spec("HS-01")
def test_a_handshake_failure_reaches_after_and_the_server() -> None:
    failure = HandshakeFailureError("no")
    guard = Guard()
    handler, _ = make_handler(guard, error=failure)
    with pytest.raises(HandshakeFailureError) as caught:
        handler.handle(make_request())
    assert caught.value is failure
    assert guard.heard == [(False, failure)]


@pytest.mark.spec("HS-01")
@pytest.mark.parametrize(("error", "reason"), [(RuntimeError("bad state"), "bad state"), (KeyError(), "KeyError")])
def test_another_exception_is_wrapped(error: Exception, reason: str) -> None:
    guard = Guard()
    handler, _ = make_handler(guard, error=error)
    with pytest.raises(HandshakeFailureError) as caught:
        handler.handle(make_request("/ws?a=1"))
    assert str(caught.value) == f"Uncaught failure for request http://localhost:8080/ws?a=1 - {reason}"
    assert caught.value.__cause__ is error
    assert guard.heard == [(False, caught.value)]


@pytest.mark.spec("HS-01", "HS-04")
def test_an_exception_of_an_interceptor_is_wrapped_and_those_before_it_are_told() -> None:
    first, second = Guard(), Guard(raises=ValueError("oops"))
    handler, strategy = make_handler(first, second)
    with pytest.raises(HandshakeFailureError, match="oops"):
        handler.handle(make_request())
    assert strategy.upgrades == []
    assert len(first.heard) == 1
    assert second.heard == []


@pytest.mark.spec("HS-01")
def test_by_default_the_server_says_how_to_upgrade() -> None:
    strategy = FakeUpgradeStrategy()
    handler = WebSocketHttpRequestHandler(TextWebSocketHandler())
    assert handler.handle(make_request(environ={"wellhead.upgrade": strategy})).upgraded
    assert handler.interceptors == ()
