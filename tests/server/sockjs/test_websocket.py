import logging

import pytest
from kit.flushing import FakeNonBlockingSession, ManualFlusher
from kit.handshakes import make_request
from kit.scheduling import ManualTaskScheduler
from kit.serving import RecordingHandler, echo
from kit.sessions import FakeWebSocketSession

from wellhead.server.close import CloseStatus, EndReason
from wellhead.server.message import BinaryMessage, PongMessage, TextMessage
from wellhead.server.session import UserPrincipal
from wellhead.server.sockjs.options import SockJsOptions
from wellhead.server.sockjs.session import SessionFacts
from wellhead.server.sockjs.timers import SockJsTimers
from wellhead.server.sockjs.websocket import SockJsWebSocketHandler

UNRELIABLE = CloseStatus.SESSION_NOT_RELIABLE


class NonBlockingNative(FakeWebSocketSession):
    """Takes messages as the runtime's sessions do."""

    pending_bytes = 7
    last_read_ms = 123.0

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.flusher = ManualFlusher()
        self.batches = []

    def try_send(self, messages, drained):
        self.batches.append([message.payload for message in messages])
        return True


class Connection:
    """A native session with the adapter that handles it."""

    def __init__(self, handler, native=None, **options):
        self.clock = ManualTaskScheduler()
        self.native = FakeWebSocketSession("native") if native is None else native
        self.open = 0
        self.adapter = SockJsWebSocketHandler(
            handler,
            SessionFacts(make_request("/echo/000/s1/websocket")),
            SockJsOptions(**options),
            SockJsTimers(self.clock),
            opened=self._opened,
            closed=self._closed,
        )
        self.adapter.after_connection_established(self.native)

    def _opened(self):
        self.open += 1

    def _closed(self):
        self.open -= 1

    @property
    def session(self):
        return self.adapter._own()

    def receive(self, text):
        self.adapter.handle_message(self.native, TextMessage(text))


@pytest.mark.spec("SJS-12")
def test_the_open_frame_comes_before_what_the_handler_sends():
    class Greeter(RecordingHandler):
        def after_connection_established(self, session):
            session.send_message(TextMessage("hello"))

    assert Connection(Greeter()).native.sent_payloads == ["o", 'a["hello"]']


@pytest.mark.spec("SJS-12")
def test_messages_come_out_of_frames_and_go_into_frames():
    handler = RecordingHandler(echo)
    connection = Connection(handler)
    for text in ("", "[]", '["a","b"]', '"c"'):
        connection.receive(text)
    assert handler.messages == ["a", "b", "c"]
    assert connection.native.sent_payloads == ["o", 'a["a"]', 'a["b"]', 'a["c"]']


@pytest.mark.spec("SJS-12")
def test_broken_json_closes_at_once(caplog):
    handler = RecordingHandler()
    connection = Connection(handler)
    with caplog.at_level(logging.ERROR):
        connection.receive('["a')
    assert [status.code for status in connection.native.closed_with] == [1007]
    assert "Broken data received in session native" in caplog.text
    assert handler.messages == []


@pytest.mark.spec("SJS-12")
def test_binary_messages_are_not_acceptable_and_pongs_are_ignored():
    connection = Connection(RecordingHandler())
    connection.adapter.handle_message(connection.native, PongMessage())
    connection.adapter.handle_message(connection.native, BinaryMessage(b"x"))
    assert [status.code for status in connection.native.closed_with] == [1003]


@pytest.mark.spec("SJS-12")
def test_a_second_connection_is_unexpected():
    connection = Connection(RecordingHandler())
    with pytest.raises(RuntimeError, match="Unexpected connection"):
        connection.adapter.after_connection_established(FakeWebSocketSession())


@pytest.mark.spec("SJS-12", "SJS-14")
@pytest.mark.parametrize(
    "status, sent",
    [(None, 'c[3000,"Go away!"]'), (CloseStatus(1011), 'c[1011,""]'), (CloseStatus.SESSION_NOT_RELIABLE, None)],
)
def test_close_sends_the_frame_of_sockjs_and_that_of_web_socket(status, sent):
    handler = RecordingHandler()
    connection = Connection(handler)
    session = connection.session
    session.close() if status is None else session.close(status)
    session.close()
    assert connection.native.sent_payloads[1:] == ([] if sent is None else [sent])
    assert [each.code for each in connection.native.closed_with] == [3000 if status is None else status.code]
    assert not session.is_open
    with pytest.raises(RuntimeError, match="Cannot send a message when session is closed"):
        session.send_message(TextMessage("x"))
    connection.adapter.after_connection_closed(connection.native, CloseStatus(3000))
    assert handler.named("closed") == [("closed", 3000, None)]


@pytest.mark.spec("SJS-12")
def test_what_comes_behind_a_close_is_dropped():
    handler = RecordingHandler(lambda session, message: session.close())
    connection = Connection(handler)
    connection.receive('["a","b"]')
    assert handler.messages == ["a"]


@pytest.mark.spec("SJS-13")
def test_heartbeats_come_after_the_last_frame_until_disabled_or_closed():
    connection = Connection(RecordingHandler())
    connection.clock.advance(24_999)
    assert connection.native.sent_payloads == ["o"]
    connection.clock.advance(1)
    assert connection.native.sent_payloads == ["o", "h"]
    connection.clock.advance(10_000)
    connection.session.send_message(TextMessage("x"))
    connection.clock.advance(24_999)
    assert connection.native.sent_payloads == ["o", "h", 'a["x"]']
    connection.clock.advance(1)
    assert connection.native.sent_payloads[-1] == "h"
    connection.session.disable_heartbeat()
    connection.clock.advance(100_000)
    assert len(connection.native.sent) == 4
    other = Connection(RecordingHandler())
    other.adapter.after_connection_closed(other.native, CloseStatus.NORMAL)
    other.clock.advance(100_000)
    assert other.native.sent_payloads == ["o"]


@pytest.mark.spec("SJS-12")
def test_a_native_session_that_never_blocks_gets_one_frame_for_all():
    native = NonBlockingNative()
    connection = Connection(RecordingHandler(), native)
    session = connection.session
    assert session.try_send([TextMessage("a"), TextMessage(b"b")], lambda: None)
    assert native.batches == [['a["a","b"]']]
    assert (session.pending_bytes, session.flusher, session.last_read_ms) == (7, native.flusher, 123.0)
    with pytest.raises(ValueError, match="text messages only"):
        session.try_send([BinaryMessage(b"x")], lambda: None)
    session.close()
    assert session.try_send([TextMessage("c")], lambda: None)
    assert native.batches == [['a["a","b"]'], ['c[3000,"Go away!"]']]
    assert not hasattr(Connection(RecordingHandler()).session, "try_send")


@pytest.mark.spec("SJS-12")
def test_what_a_handler_sees_of_the_session():
    native = FakeWebSocketSession(
        attributes={"color": "red"}, principal=UserPrincipal("joe"), accepted_protocol="v12.stomp"
    )
    connection = Connection(RecordingHandler(), native)
    session = connection.session
    assert session.native_session is native
    assert (session.id, session.transport, session.transport_kind) == (native.id, "websocket", "web_socket")
    assert session.attributes == {"color": "red"}
    assert (session.principal.name, session.accepted_protocol) == ("joe", "v12.stomp")
    session.text_message_size_limit = session.binary_message_size_limit = 5
    assert (native.text_message_size_limit, native.binary_message_size_limit) == (5, 5)
    assert (session.text_message_size_limit, session.binary_message_size_limit) == (5, 5)
    connection.clock.advance(50)
    assert session.idle_ms() == 50
    connection.receive("[]")
    assert session.idle_ms() == 0


@pytest.mark.spec("SJS-07", "SJS-12")
def test_the_service_is_told_of_the_begin_and_the_end():
    connection = Connection(RecordingHandler())
    assert connection.open == 1
    connection.adapter.after_connection_closed(connection.native, CloseStatus.NORMAL)
    assert connection.open == 0


@pytest.mark.spec("SJS-13")
def test_a_heartbeat_does_not_wait_for_a_client_that_takes_nothing():
    native = FakeNonBlockingSession("native")
    connection = Connection(RecordingHandler(), native, heartbeat_ms=100)
    native.flusher.turn()
    native.blocked = True
    connection.session.try_send([TextMessage("x")], lambda: None)
    waiting = native.pending_bytes
    assert waiting
    connection.clock.advance(250)
    native.flusher.turn()
    assert native.pending_bytes == waiting
    native.take()
    connection.clock.advance(100)
    native.flusher.turn()
    assert native.sent_payloads[-1] == "h"


@pytest.mark.spec("SJS-12")
def test_the_handler_hears_of_transport_errors():
    handler = RecordingHandler()
    connection = Connection(handler)
    connection.adapter.handle_transport_error(connection.native, EOFError())
    connection.adapter.after_connection_closed(
        connection.native, CloseStatus.NO_CLOSE_FRAME.with_cause(EndReason.CLIENT_VANISHED)
    )
    assert handler.events[1:] == [("error", EOFError), ("closed", 1006, EndReason.CLIENT_VANISHED)]


@pytest.mark.spec("SJS-12")
@pytest.mark.parametrize(("status", "frames"), [(CloseStatus.NORMAL, [['c[1000,""]']]), (UNRELIABLE, [])])
def test_a_close_does_not_wait_for_a_client_that_takes_nothing(status, frames):
    native = NonBlockingNative("native")
    connection = Connection(RecordingHandler(), native)
    native.sent.clear()
    native.hold_sends()  # send_message would wait
    connection.session.close(status)
    connection.session.close(status)
    assert (native.batches, native.sent, native.closed_with) == (frames, [], [status])


@pytest.mark.spec("SJS-12")
@pytest.mark.parametrize(("count", "ways_given"), [(64, 0), (65, 1), (192, 2)])
def test_many_messages_in_one_frame_let_others_have_their_turn(count, ways_given):
    native = NonBlockingNative("native")
    handler = RecordingHandler()
    Connection(handler, native).receive("[" + ",".join(['"a"'] * count) + "]")
    assert len(handler.messages) == count
    assert native.flusher.ways_given == ways_given
