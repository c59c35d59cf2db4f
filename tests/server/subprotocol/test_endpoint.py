from __future__ import annotations

import logging
import threading

import pytest
from kit.channels import RecordingChannel
from kit.flushing import FakeNonBlockingSession
from kit.scheduling import ManualTaskScheduler
from kit.sessions import FakeWebSocketSession

from wellhead.messaging.broker.contract import Subscription
from wellhead.messaging.message import Message
from wellhead.messaging.simp.accessor import SESSION_ID
from wellhead.messaging.subscribable import ExecutorSubscribableChannel
from wellhead.server.close import CloseStatus, EndReason
from wellhead.server.concurrent import ConcurrentWebSocketSessionDecorator, OverflowStrategy
from wellhead.server.decorators import WebSocketSessionDecorator
from wellhead.server.exceptions import SessionLimitExceededError
from wellhead.server.gathering import GatheringWebSocketSessionDecorator
from wellhead.server.message import TextMessage
from wellhead.server.subprotocol.endpoint import SubProtocolWebSocketHandler


class Recorder:
    """A sub-protocol handler that writes down what it is told."""

    def __init__(self, *protocols: str) -> None:
        self.supported_protocols = list(protocols)
        self.calls: list[tuple[str, object]] = []
        self.error: Exception | None = None
        self.started: dict[str, object] = {}
        self.ended: list[tuple[str, CloseStatus]] = []

    def handle_message_from_client(self, session, message, channel):
        self.calls.append(("from client", message))

    def handle_message_to_client(self, session, message):
        if self.error is not None:
            raise self.error
        self.calls.append(("to client", message))

    def resolve_session_id(self, message):
        return message.headers.get(SESSION_ID)

    def after_session_started(self, session, channel):
        self.started[session.id] = session

    def after_session_ended(self, session, status, channel):
        self.ended.append((session.id, status))

    def __str__(self) -> str:
        return f"Recorder{self.supported_protocols}"


class Line:
    """An endpoint with one protocol handler."""

    def __init__(self, *handlers: Recorder, **options) -> None:
        self.scheduler = ManualTaskScheduler()
        self.inbound, self.outbound = RecordingChannel(), ExecutorSubscribableChannel(name="outbound")
        self.endpoint = SubProtocolWebSocketHandler(
            self.inbound, self.outbound, task_scheduler=self.scheduler, **options
        )
        self.endpoint.set_protocol_handlers(handlers or [Recorder("v12.stomp")])
        self.handler = self.endpoint._handlers[0]

    def open(self, session_id: str = "s1", **options) -> FakeWebSocketSession:
        session = FakeWebSocketSession(session_id, **options)
        self.endpoint.after_connection_established(session)
        return session


def to(session_id: str | None) -> Message[bytes]:
    return Message(b"", {} if session_id is None else {SESSION_ID: session_id})


# -- SWS-01


@pytest.mark.spec("SWS-01")
@pytest.mark.parametrize(("protocol", "index"), [("v12.stomp", 0), ("V12.STOMP", 0), ("other", 1)])
def test_the_handler_is_that_of_the_accepted_protocol(protocol, index):
    handlers = [Recorder("v12.Stomp"), Recorder("OTHER")]
    line = Line(*handlers)
    line.open(accepted_protocol=protocol)
    assert list(handlers[index].started) == ["s1"]
    assert line.endpoint.sub_protocols == ["v12.stomp", "other"]


@pytest.mark.spec("SWS-01")
def test_a_protocol_that_nobody_speaks():
    line = Line(Recorder("b"), Recorder("a"))
    with pytest.raises(RuntimeError, match=r"No handler for 'c' among \['a', 'b'\]"):
        line.open(accepted_protocol="c")
    assert line.endpoint.stats.total == 0


@pytest.mark.spec("SWS-01")
def test_without_a_protocol_the_only_handler_serves():
    line = Line(Recorder("a"))
    line.open()
    assert list(line.handler.started) == ["s1"]


@pytest.mark.spec("SWS-01")
def test_without_a_protocol_the_default_handler_serves():
    line, default = Line(Recorder("a"), Recorder("b")), Recorder("c")
    line.endpoint.default_protocol_handler = default
    line.open()
    assert list(default.started) == ["s1"]


@pytest.mark.spec("SWS-01")
def test_without_a_protocol_and_a_default_several_are_too_many():
    line = Line(Recorder("a"), Recorder("b"))
    with pytest.raises(RuntimeError, match="Multiple protocol handlers configured and no protocol was negotiated"):
        line.open()


@pytest.mark.spec("SWS-01")
def test_two_handlers_for_one_name():
    line = Line(Recorder("a"))
    with pytest.raises(RuntimeError, match="already mapped"):
        line.endpoint.add_protocol_handler(Recorder("A"))


@pytest.mark.spec("SWS-01")
def test_a_handler_without_names_is_logged_and_not_taken(caplog):
    line = Line()
    line.endpoint.add_protocol_handler(Recorder())
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert line.endpoint.sub_protocols == ["v12.stomp"]


@pytest.mark.spec("SWS-01", "LIFE-01")
def test_starting_without_handlers_raises():
    endpoint = SubProtocolWebSocketHandler(RecordingChannel(), RecordingChannel())
    with pytest.raises(RuntimeError, match="No handlers"):
        endpoint.start()
    assert not endpoint.is_running
    endpoint.default_protocol_handler = Recorder("a")
    endpoint.start()
    assert endpoint.sub_protocols == ["a"]


# -- SWS-02


@pytest.mark.spec("SWS-02")
def test_the_life_of_a_session():
    line = Line()
    session = line.open()
    assert isinstance(line.handler.started["s1"], ConcurrentWebSocketSessionDecorator)
    assert (line.endpoint.stats.total, line.endpoint.stats.web_socket) == (1, 1)
    line.endpoint.handle_message(session, TextMessage("a"))
    assert line.handler.calls == [("from client", TextMessage("a"))]
    line.endpoint.after_connection_closed(session, CloseStatus.NORMAL)
    line.endpoint.after_connection_closed(session, CloseStatus.NORMAL)
    assert line.handler.ended == [("s1", CloseStatus.NORMAL)]
    assert (line.endpoint.stats.total, line.endpoint.stats.web_socket) == (1, 0)
    assert line.endpoint.supports_partial_messages is False


@pytest.mark.spec("SWS-02")
def test_a_session_that_is_closed_already_is_ignored():
    line = Line()
    session = FakeWebSocketSession()
    session.vanish()
    line.endpoint.after_connection_established(session)
    assert line.handler.started == {}
    assert line.endpoint.stats.total == 0


@pytest.mark.spec("SWS-02")
def test_messages_of_a_session_that_is_gone_are_ignored(caplog):
    line = Line()
    with caplog.at_level(logging.DEBUG):
        line.endpoint.handle_message(FakeWebSocketSession("s9"), TextMessage("a"))
    assert line.handler.calls == []
    assert "s9" in caplog.text


@pytest.mark.spec("SWS-02", "SWS-06")
def test_a_transport_error_is_counted_and_no_more():
    line = Line()
    session = line.open()
    line.endpoint.handle_transport_error(session, OSError())
    assert line.endpoint.stats.transport_error == 1
    assert session.is_open
    assert line.handler.ended == []


@pytest.mark.spec("SWS-02", "CDS-02")
def test_the_limits_are_those_of_the_endpoint():
    line = Line(send_time_limit_ms=5, send_buffer_size_limit=7, overflow_strategy=OverflowStrategy.DROP)
    line.open()
    wrapped = line.handler.started["s1"]
    assert (wrapped.send_time_limit_ms, wrapped.buffer_size_limit) == (5, 7)
    assert wrapped.overflow_strategy is OverflowStrategy.DROP
    usual = SubProtocolWebSocketHandler(RecordingChannel(), RecordingChannel())
    assert (usual.send_time_limit_ms, usual.send_buffer_size_limit) == (10_000, 524_288)
    assert usual.time_to_first_message_ms == 60_000
    assert usual.overflow_strategy is OverflowStrategy.TERMINATE


@pytest.mark.spec("SWS-06")
@pytest.mark.parametrize("kind", ["web_socket", "http_streaming", "http_polling"])
def test_sessions_are_counted_by_their_transport(kind):
    line = Line()
    session = FakeWebSocketSession("s1")
    session.transport_kind = kind
    line.endpoint.after_connection_established(session)
    assert getattr(line.endpoint.stats, kind) == 1
    line.endpoint.after_connection_closed(session, CloseStatus.NORMAL)
    assert line.endpoint.stats.current == 0


# -- SWS-03


@pytest.mark.spec("SWS-03", "LIFE-02", "LOG-01")
def test_a_session_that_says_nothing_is_closed(caplog):
    line = Line(time_to_first_message_ms=60_000)
    line.endpoint.start()
    silent, talking = line.open("s1"), line.open("s2")
    line.endpoint.handle_message(talking, TextMessage("\n"))
    line.scheduler.advance(59_999)
    assert silent.closed_with == []
    with caplog.at_level(logging.INFO):
        line.scheduler.advance(1)
    assert [status.code for status in silent.closed_with] == [4500]
    assert silent.closed_with[0].because is EndReason.NO_FIRST_MESSAGE
    assert talking.closed_with == []
    assert line.endpoint.stats.no_messages_received == 1
    [record] = [record for record in caplog.records if "No messages received" in record.message]
    assert (record.levelno, record.message) == (logging.INFO, "No messages received after 60000 ms. Closing s1")
    line.scheduler.advance(600_000)
    assert line.endpoint.stats.no_messages_received == 1


@pytest.mark.spec("SWS-03", "LIFE-02")
def test_the_look_comes_every_half_of_the_limit():
    line = Line(time_to_first_message_ms=60_000)
    line.endpoint.start()
    line.scheduler.advance(1)
    silent = line.open()
    line.scheduler.advance(60_000)
    assert silent.closed_with == []
    line.scheduler.advance(29_999)
    assert len(silent.closed_with) == 1


@pytest.mark.spec("SWS-03")
def test_a_session_that_closed_itself_is_not_looked_at():
    line = Line()
    line.endpoint.start()
    session = line.open()
    line.endpoint.after_connection_closed(session, CloseStatus.NORMAL)
    line.scheduler.advance(600_000)
    assert session.closed_with == []


@pytest.mark.spec("SWS-03")
def test_zero_switches_the_look_off():
    line = Line(time_to_first_message_ms=0)
    line.endpoint.start()
    assert line.scheduler.pending == []


# -- SWS-04


@pytest.mark.spec("SWS-04")
def test_a_message_goes_to_the_handler_of_its_session():
    line = Line()
    line.endpoint.start()
    line.open()
    message = to("s1")
    line.outbound.send(message)
    assert line.handler.calls == [("to client", message)]


@pytest.mark.spec("SWS-04", "LOG-01")
@pytest.mark.parametrize(("session_id", "level"), [(None, logging.ERROR), ("s9", logging.DEBUG)])
def test_a_message_for_nobody(session_id, level, caplog):
    line = Line()
    line.endpoint.start()
    line.open()
    with caplog.at_level(logging.DEBUG):
        line.outbound.send(to(session_id))
    assert line.handler.calls == []
    assert [record.levelno for record in caplog.records] == [level]


@pytest.mark.spec("SWS-04", "SWS-06", "LOG-01")
def test_a_session_over_its_limit_is_cleared_and_then_closed(caplog):
    line = Line()
    line.endpoint.start()
    session, other = line.open("s1"), line.open("s2")
    status = CloseStatus.SESSION_NOT_RELIABLE.with_cause(EndReason.SEND_BUFFER_LIMIT)
    line.handler.error = SessionLimitExceededError("too much", status)
    order = []
    line.handler.after_session_ended = lambda session, status, channel: order.append(("ended", status))
    session._close = lambda status: order.append(("closed", status))
    line.outbound.send(to("s1"))
    assert order == [("ended", status), ("closed", status)]
    assert order[0][1].because is EndReason.SEND_BUFFER_LIMIT
    assert (line.endpoint.stats.limit_exceeded, line.endpoint.stats.web_socket) == (1, 1)
    assert line.endpoint.stats.ends == {EndReason.SEND_BUFFER_LIMIT: 1}
    [record] = caplog.records
    assert (record.levelno, record.message) == (logging.WARNING, "Terminating 's1': too much")
    line.endpoint.after_connection_closed(session, status)
    assert len(order) == 2
    assert other.is_open


@pytest.mark.spec("SWS-04", "SWS-06")
def test_a_session_over_its_limit_is_closed_whatever_its_end_raises():
    line = Line()
    line.endpoint.start()
    session = line.open("s1")
    line.handler.error = SessionLimitExceededError("too much", CloseStatus.SESSION_NOT_RELIABLE)

    def end(*_):
        raise KeyboardInterrupt

    line.handler.after_session_ended = end
    with pytest.raises(KeyboardInterrupt):
        line.outbound.send(to("s1"))
    assert session.closed_with == [CloseStatus.SESSION_NOT_RELIABLE]


@pytest.mark.spec("SWS-04", "CDS-02")
def test_a_limit_that_only_the_timer_notices_ends_the_session_in_the_same_way(caplog):
    line = Line()
    session = FakeNonBlockingSession("s1")
    line.endpoint.after_connection_established(session)
    wrapped = line.handler.started["s1"]
    assert isinstance(wrapped, GatheringWebSocketSessionDecorator)
    session.blocked = True
    wrapped.send_message(TextMessage("a"))
    session.flusher.turn()
    session.flusher.advance(10_001)
    assert line.handler.ended == []  # what the listeners do may block, and this is the loop
    line.scheduler.advance(0)
    assert line.handler.ended == []  # and these are the workers of the timers, which look after all sessions
    [status] = session.closed_with
    line.endpoint.after_connection_closed(session, status)  # as its own worker does
    assert line.handler.ended == [("s1", CloseStatus.SESSION_NOT_RELIABLE)]
    assert session.closed_with == [CloseStatus.SESSION_NOT_RELIABLE]
    assert line.endpoint.stats.limit_exceeded == 1
    assert "Terminating 's1'" in caplog.text


@pytest.mark.spec("SWS-04", "LOG-01")
def test_another_error_is_a_debug_line(caplog):
    line = Line()
    line.endpoint.start()
    session = line.open()
    line.handler.error = ValueError("no")
    with caplog.at_level(logging.DEBUG):
        line.outbound.send(to("s1"))
    assert [(record.levelno, record.message) for record in caplog.records] == [
        (logging.DEBUG, "Failed to send to session s1")
    ]
    assert session.is_open


# -- SWS-05


@pytest.mark.spec("SWS-05", "LIFE-01")
def test_stop_unsubscribes_and_closes_all_with_1001(caplog):
    line = Line()
    line.endpoint.start()
    line.endpoint.start()
    assert line.endpoint.is_running
    sessions = [line.open(f"s{number}") for number in range(3)]
    sessions[1].close_error = OSError("gone")
    line.endpoint.stop()
    line.endpoint.stop()
    assert not line.endpoint.is_running
    assert sessions[0].closed_with == sessions[2].closed_with == [CloseStatus.GOING_AWAY]
    assert sessions[0].closed_with[0].because is EndReason.SERVER_STOPPED
    assert [(record.levelno, "s1" in record.message) for record in caplog.records] == [(logging.WARNING, True)]
    line.outbound.send(to("s0"))
    assert line.handler.calls == []
    assert line.scheduler.pending == []


# -- closing by hand


def test_close_session():
    line = Line()
    session = line.open()
    assert line.endpoint.close_session("s1", CloseStatus.POLICY_VIOLATION)
    assert session.closed_with == [CloseStatus.POLICY_VIOLATION]
    assert session.closed_with[0].because is EndReason.SERVER_CLOSED
    assert not line.endpoint.close_session("s9")


def test_text_form():
    assert str(Line(Recorder("b", "a")).endpoint) == "SubProtocolWebSocketHandler['a', 'b']"


@pytest.mark.spec("SWS-04", "SB-03")
def test_a_subscription_of_an_ended_session_is_not_for_the_next_session_of_its_id():
    line = Line()
    session = line.open("s1")
    subscription = Subscription("s1", "0", "/topic/a")
    assert line.endpoint.target_of(subscription) is not None
    line.endpoint.after_connection_closed(session, CloseStatus.NORMAL)
    line.open("s1")
    assert line.endpoint.target_of(subscription) is None
    assert line.endpoint.target_of(Subscription("s1", "0", "/topic/a")) is not None


@pytest.mark.spec("SWS-02")
def test_the_end_of_a_session_does_not_end_another_one_of_its_id():
    """Ids are ours; an application's own transport may use one again before the handler heard of the end."""
    line = Line()
    former, present = line.open("s1"), line.open("s1")
    line.endpoint.after_connection_closed(former, CloseStatus.NORMAL)
    assert line.handler.ended == []
    line.endpoint.handle_message(present, TextMessage("a"))
    assert line.handler.calls == [("from client", TextMessage("a"))]
    line.endpoint.after_connection_closed(WebSocketSessionDecorator(present), CloseStatus.NORMAL)
    assert line.handler.ended == [("s1", CloseStatus.NORMAL)]


@pytest.mark.spec("SWS-04")
def test_a_limit_noticed_late_does_not_end_another_session_of_the_same_id():
    line = Line()
    former = FakeNonBlockingSession("s1")
    line.endpoint.after_connection_established(former)
    former.blocked = True
    line.handler.started["s1"].send_message(TextMessage("a"))
    former.flusher.turn()
    former.flusher.advance(10_001)
    present = line.open("s1")
    line.scheduler.advance(0)
    assert line.handler.ended == []
    assert former.closed_with == [CloseStatus.SESSION_NOT_RELIABLE]
    assert present.is_open


@pytest.mark.spec("SWS-04", "CDS-02")
def test_a_limit_that_another_thread_notices_is_left_to_the_loop():
    line = Line()
    session = FakeNonBlockingSession("s1")
    line.endpoint.after_connection_established(session)
    holder = line.endpoint._sessions["s1"]
    error = SessionLimitExceededError("too much", CloseStatus.SESSION_NOT_RELIABLE)
    thread = threading.Thread(target=line.endpoint.failed_to_send, args=(holder, error))
    thread.start()
    thread.join(10)  # though the loop does not turn
    assert not thread.is_alive()
    assert session.closed_with == []
    session.flusher.advance(0)
    assert session.closed_with == [CloseStatus.SESSION_NOT_RELIABLE]
