import pytest
from kit.sessions import FakeWebSocketSession

from wellhead.server.close import CloseStatus
from wellhead.server.handlers import AbstractWebSocketHandler, BinaryWebSocketHandler, TextWebSocketHandler
from wellhead.server.message import BinaryMessage, PingMessage, PongMessage, TextMessage, WebSocketMessage
from wellhead.server.session import WebSocketSession


class Recorder(AbstractWebSocketHandler):
    def __init__(self) -> None:
        self.calls: list[tuple[str, object]] = []

    def handle_text_message(self, session: WebSocketSession, message: TextMessage) -> None:
        self.calls.append(("text", message.payload))

    def handle_binary_message(self, session: WebSocketSession, message: BinaryMessage) -> None:
        self.calls.append(("binary", message.payload))

    def handle_pong_message(self, session: WebSocketSession, message: PongMessage) -> None:
        self.calls.append(("pong", message.payload))


@pytest.mark.spec("WSA-04")
@pytest.mark.parametrize(
    ("message", "call"),
    [(TextMessage("a"), ("text", "a")), (BinaryMessage(b"b"), ("binary", b"b")), (PongMessage(b"c"), ("pong", b"c"))],
)
def test_messages_are_dispatched_by_kind(message: WebSocketMessage[str], call: tuple[str, object]) -> None:
    handler = Recorder()
    handler.handle_message(FakeWebSocketSession(), message)
    assert handler.calls == [call]


@pytest.mark.spec("WSA-04")
def test_another_kind_raises() -> None:
    with pytest.raises(RuntimeError, match="Unexpected WebSocket message type"):
        Recorder().handle_message(FakeWebSocketSession(), PingMessage())


@pytest.mark.spec("WSA-01", "WSA-04")
def test_every_callback_of_the_base_does_nothing() -> None:
    session = FakeWebSocketSession()
    handler = AbstractWebSocketHandler()
    handler.after_connection_established(session)
    for message in (TextMessage("a"), BinaryMessage(b"b"), PongMessage()):
        handler.handle_message(session, message)
    handler.handle_transport_error(session, OSError())
    handler.after_connection_closed(session, CloseStatus.NORMAL)
    assert session.is_open
    assert session.sent == []
    assert not handler.supports_partial_messages


@pytest.mark.spec("WSA-04")
def test_a_text_handler_refuses_binary_messages() -> None:
    session = FakeWebSocketSession()
    handler = TextWebSocketHandler()
    handler.handle_message(session, TextMessage("fine"))
    handler.handle_message(session, PongMessage())
    assert session.is_open
    handler.handle_message(session, BinaryMessage(b"no"))
    assert session.closed_with == [CloseStatus(1003, "Binary messages not supported")]


@pytest.mark.spec("WSA-04")
def test_a_binary_handler_refuses_text_messages() -> None:
    session = FakeWebSocketSession()
    handler = BinaryWebSocketHandler()
    handler.handle_message(session, BinaryMessage(b"fine"))
    assert session.is_open
    handler.handle_message(session, TextMessage("no"))
    assert session.closed_with == [CloseStatus(1003, "Text messages not supported")]
