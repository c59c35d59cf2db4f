import logging
from asyncio import CancelledError
from typing import Any

import pytest
from gevent import GreenletExit, Timeout
from kit.sessions import FakeWebSocketSession
from werkzeug.datastructures import Headers

from wellhead.messaging.exceptions import is_passed_on, remark_on
from wellhead.server.close import CloseStatus, EndReason
from wellhead.server.decorators import (
    TRACE,
    ExceptionWebSocketHandlerDecorator,
    LoggingWebSocketHandlerDecorator,
    PerConnectionWebSocketHandler,
    WebSocketHandlerDecorator,
    WebSocketSessionDecorator,
    apply_decorator_factories,
    decorate,
)
from wellhead.server.handlers import AbstractWebSocketHandler, WebSocketHandler
from wellhead.server.handshake.extension import WebSocketExtension
from wellhead.server.message import TextMessage, WebSocketMessage
from wellhead.server.session import UserPrincipal, WebSocketSession

LOGGER = "wellhead.server.decorators"


class Recorder(AbstractWebSocketHandler):
    """Records the calls, and raises in those that it is told to."""

    supports_partial_messages = True

    def __init__(self, *raising: str) -> None:
        self.calls: list[str] = []
        self._raising = raising

    def _note(self, name: str) -> None:
        self.calls.append(name)
        if name in self._raising:
            raise RuntimeError(f"boom in {name}")

    def after_connection_established(self, session: WebSocketSession) -> None:
        self._note("established")

    def handle_message(self, session: WebSocketSession, message: WebSocketMessage[Any]) -> None:
        self._note("message")

    def handle_transport_error(self, session: WebSocketSession, error: BaseException) -> None:
        self._note("error")

    def after_connection_closed(self, session: WebSocketSession, status: CloseStatus) -> None:
        self._note("closed")


ALL_CALLS = ["established", "message", "error", "closed"]


def call(handler: WebSocketHandler, name: str, session: WebSocketSession) -> None:
    match name:
        case "established":
            handler.after_connection_established(session)
        case "message":
            handler.handle_message(session, TextMessage("hello\nthere"))
        case "error":
            handler.handle_transport_error(session, OSError("broken pipe"))
        case "closed":
            handler.after_connection_closed(session, CloseStatus.NORMAL.with_cause(EndReason.CLIENT_CLOSED))


def call_all(handler: WebSocketHandler, session: WebSocketSession) -> None:
    for name in ALL_CALLS:
        call(handler, name, session)


@pytest.mark.spec("WSA-05")
def test_a_handler_decorator_passes_everything_on() -> None:
    recorder = Recorder()
    decorator = WebSocketHandlerDecorator(recorder)
    call_all(decorator, FakeWebSocketSession())
    assert recorder.calls == ALL_CALLS
    assert decorator.supports_partial_messages


@pytest.mark.spec("WSA-05")
def test_unwrap_finds_the_innermost_handler() -> None:
    recorder = Recorder()
    assert WebSocketHandlerDecorator.unwrap(recorder) is recorder
    assert WebSocketHandlerDecorator.unwrap(WebSocketHandlerDecorator(decorate(recorder))) is recorder


@pytest.mark.spec("WSA-05")
def test_a_session_decorator_passes_everything_on() -> None:
    session = FakeWebSocketSession(
        attributes={"a": 1},
        principal=UserPrincipal("joe"),
        accepted_protocol="v12.stomp",
        handshake_headers=Headers({"Cookie": "x"}),
        extensions=[WebSocketExtension("x")],
    )
    decorator = WebSocketSessionDecorator(WebSocketSessionDecorator(session))
    for name in (
        "id uri handshake_headers attributes principal local_address remote_address accepted_protocol extensions "
        "text_message_size_limit binary_message_size_limit is_open"
    ).split():
        assert getattr(decorator, name) == getattr(session, name)
    decorator.text_message_size_limit = 1
    decorator.binary_message_size_limit = 2
    assert (session.text_message_size_limit, session.binary_message_size_limit) == (1, 2)
    decorator.send_message(TextMessage("a"))
    decorator.close(CloseStatus.GOING_AWAY)
    assert session.sent == [TextMessage("a")]
    assert session.closed_with == [CloseStatus.GOING_AWAY]
    assert WebSocketSessionDecorator.unwrap(decorator) is session
    assert WebSocketSessionDecorator.unwrap(session) is session


@pytest.mark.spec("WSA-05")
@pytest.mark.parametrize("name", ["established", "message", "error"])
def test_an_exception_is_logged_and_closes_with_1011(name: str, caplog: pytest.LogCaptureFixture) -> None:
    session = FakeWebSocketSession("s-1")
    call(ExceptionWebSocketHandlerDecorator(Recorder(name)), name, session)
    assert session.closed_with == [CloseStatus.SERVER_ERROR]
    assert session.closed_with[0].because is EndReason.HANDLER_ERROR
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == "Closing session due to exception for session s-1"
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == f"boom in {name}"


@pytest.mark.spec("WSA-05")
def test_an_exception_of_a_closed_session_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    session = FakeWebSocketSession()
    session.vanish()
    call(ExceptionWebSocketHandlerDecorator(Recorder("message")), "message", session)
    assert session.closed_with == []
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.spec("WSA-05")
def test_a_failing_close_does_not_get_out(caplog: pytest.LogCaptureFixture) -> None:
    session = FakeWebSocketSession("s-1")
    session.close_error = OSError("gone")
    with caplog.at_level(logging.DEBUG, LOGGER):
        call(ExceptionWebSocketHandlerDecorator(Recorder("message")), "message", session)
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.DEBUG]
    assert all("s-1" in record.getMessage() for record in caplog.records)


@pytest.mark.spec("WSA-05")
def test_an_exception_after_the_close_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    session = FakeWebSocketSession("s-1")
    call(ExceptionWebSocketHandlerDecorator(Recorder("closed")), "closed", session)
    assert session.closed_with == []
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "s-1" in record.getMessage()


class Leaving(Recorder):
    """Raises in every callback what it was given."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    def _note(self, name: str) -> None:
        super()._note(name)
        raise self._error


@pytest.mark.spec("WSA-05")
@pytest.mark.parametrize("name", ALL_CALLS)
@pytest.mark.parametrize("error", [KeyboardInterrupt(), GreenletExit()], ids=lambda error: type(error).__name__)
def test_an_interrupt_and_the_end_of_the_greenlet_pass_through(error: BaseException, name: str) -> None:
    session = FakeWebSocketSession()
    with pytest.raises(type(error)):
        call(ExceptionWebSocketHandlerDecorator(Leaving(error)), name, session)
    assert session.is_open


@pytest.mark.spec("WSA-05", "LOG-01")
@pytest.mark.parametrize("name", ALL_CALLS)
@pytest.mark.parametrize(
    "error", [Timeout(1), CancelledError(), GeneratorExit(), SystemExit(3)], ids=lambda error: type(error).__name__
)
def test_what_else_is_no_exception_is_an_exception_of_the_handler(
    error: BaseException, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    session = FakeWebSocketSession("s-1")
    call(ExceptionWebSocketHandlerDecorator(Leaving(error)), name, session)
    assert session.closed_with == ([] if name == "closed" else [CloseStatus.SERVER_ERROR])
    [record] = caplog.records
    assert record.levelno == (logging.WARNING if name == "closed" else logging.ERROR)
    assert record.exc_info is not None and record.exc_info[1] is error
    assert "s-1" in record.getMessage()
    assert ("SystemExit(3) from an application's code" in record.getMessage()) is isinstance(error, SystemExit)


class Killed(GreenletExit):  # type: ignore[misc]  # gevent has no type information
    pass


@pytest.mark.spec("WSA-05")
@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        GreenletExit(),
        Killed(),
        SystemExit(),
        GeneratorExit(),
        Timeout(1),
        BaseException(),
        OSError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_rule_is_that_of_messaging(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    passed_on = False
    try:
        call(ExceptionWebSocketHandlerDecorator(Leaving(error)), "message", FakeWebSocketSession("s-1"))
    except BaseException:
        passed_on = True
    assert passed_on is is_passed_on(error)
    assert [record.getMessage().partition("s-1")[2] for record in caplog.records] == [remark_on(error)] * (
        not passed_on
    )


@pytest.mark.spec("WSA-05")
def test_life_is_logged_at_debug_and_messages_at_trace(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder()
    with caplog.at_level(TRACE, LOGGER):
        call_all(LoggingWebSocketHandlerDecorator(recorder), FakeWebSocketSession("s-1"))
    assert [record.levelno for record in caplog.records] == [logging.DEBUG, TRACE, logging.DEBUG, logging.DEBUG]
    texts = [record.getMessage() for record in caplog.records]
    assert all("s-1" in text and "\n" not in text for text in texts)
    assert "closed by the client" in texts[-1]
    assert recorder.calls == ALL_CALLS


@pytest.mark.spec("WSA-05")
def test_messages_are_not_logged_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, LOGGER):
        call(LoggingWebSocketHandlerDecorator(Recorder()), "message", FakeWebSocketSession())
    assert caplog.records == []


@pytest.mark.spec("WSA-05", "HS-01")
def test_decorate_puts_exception_around_logging_around_the_handler() -> None:
    recorder = Recorder()
    outer = decorate(recorder)
    assert isinstance(outer, ExceptionWebSocketHandlerDecorator)
    assert isinstance(outer.delegate, LoggingWebSocketHandlerDecorator)
    assert outer.delegate.delegate is recorder


class TestPerConnection:
    @pytest.mark.spec("WSA-05")
    def test_each_session_has_a_handler_of_its_own_until_it_closes(self) -> None:
        made: list[Recorder] = []
        destroyed: list[WebSocketHandler] = []

        def make() -> Recorder:
            made.append(Recorder())
            return made[-1]

        handler = PerConnectionWebSocketHandler(make, destroy=destroyed.append)
        first, second = FakeWebSocketSession(), FakeWebSocketSession()
        assert made == []
        call(handler, "established", first)
        call(handler, "established", second)
        call(handler, "message", second)
        call(handler, "error", first)
        assert [one.calls for one in made] == [["established", "error"], ["established", "message"]]
        assert destroyed == []
        call(handler, "closed", first)
        assert made[0].calls[-1] == "closed"
        assert destroyed == [made[0]]

    @pytest.mark.spec("WSA-05")
    @pytest.mark.parametrize("name", ["message", "error", "closed"])
    def test_a_session_without_handler_raises(self, name: str) -> None:
        handler = PerConnectionWebSocketHandler(Recorder)
        session = FakeWebSocketSession()
        with pytest.raises(RuntimeError, match="WebSocketHandler not found for"):
            call(handler, name, session)
        call(handler, "established", session)
        call(handler, "closed", session)
        with pytest.raises(RuntimeError, match="WebSocketHandler not found for"):
            call(handler, name, session)

    @pytest.mark.spec("WSA-05")
    def test_the_handler_is_destroyed_also_when_it_raised(self) -> None:
        destroyed: list[WebSocketHandler] = []
        handler = PerConnectionWebSocketHandler(lambda: Recorder("closed"), destroy=destroyed.append)
        session = FakeWebSocketSession()
        call(handler, "established", session)
        with pytest.raises(RuntimeError, match="boom in closed"):
            call(handler, "closed", session)
        assert len(destroyed) == 1

    @pytest.mark.spec("WSA-05")
    @pytest.mark.parametrize("error", [RuntimeError("boom"), SystemExit(3)], ids=lambda error: type(error).__name__)
    def test_a_failing_destroy_is_a_warning(self, error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
        def destroy(handler: WebSocketHandler) -> None:
            raise error

        handler = PerConnectionWebSocketHandler(Recorder, destroy=destroy)
        session = FakeWebSocketSession("s-1")
        call(handler, "established", session)
        call(handler, "closed", session)
        assert [record.levelno for record in caplog.records] == [logging.WARNING]
        assert "s-1" in caplog.records[0].getMessage()

    @pytest.mark.spec("WSA-05")
    def test_partial_messages_are_an_option_off_by_default(self) -> None:
        assert not PerConnectionWebSocketHandler(Recorder).supports_partial_messages
        assert PerConnectionWebSocketHandler(Recorder, supports_partial_messages=True).supports_partial_messages


@pytest.mark.spec("WSA-05")
def test_the_last_factory_is_outermost() -> None:
    class Named(WebSocketHandlerDecorator):
        def __init__(self, delegate: WebSocketHandler, name: str) -> None:
            super().__init__(delegate)
            self.name = name

    class Factory:
        def __init__(self, name: str) -> None:
            self.name = name

        def decorate(self, handler: WebSocketHandler) -> WebSocketHandler:
            return Named(handler, self.name)

    recorder = Recorder()
    outer = apply_decorator_factories(recorder, [Factory("first"), Factory("last")])
    assert isinstance(outer, Named) and isinstance(outer.delegate, Named)
    assert (outer.name, outer.delegate.name) == ("last", "first")
    assert WebSocketHandlerDecorator.unwrap(outer) is recorder
    assert apply_decorator_factories(recorder, []) is recorder
