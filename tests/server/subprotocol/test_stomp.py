from __future__ import annotations

import logging

import pytest
from kit.channels import HeldExecutor, RecordingChannel
from kit.flushing import FakeNonBlockingSession
from kit.sessions import FakeWebSocketSession

from wellhead.messaging.broker.heartbeats import IDLE_CLOCK
from wellhead.messaging.channel import ChannelInterceptor
from wellhead.messaging.events import (
    ApplicationEvents,
    SessionConnectEvent,
    SessionDisconnectEvent,
    SessionEvent,
    SessionSubscribeEvent,
    SessionUnsubscribeEvent,
)
from wellhead.messaging.exceptions import MessageDeliveryError, MessagingError
from wellhead.messaging.header_accessor import IdTimestampMessageHeaderInitializer, MutableMessageHeaders
from wellhead.messaging.simp.accessor import HEARTBEAT, SESSION_ATTRIBUTES, SESSION_ID, USER, SimpMessageHeaderAccessor
from wellhead.messaging.simp.attributes import SimpAttributes, current_attributes
from wellhead.messaging.simp.types import SimpMessageType
from wellhead.messaging.stomp.command import StompCommand
from wellhead.messaging.stomp.headers import COMMAND, StompHeaderAccessor
from wellhead.messaging.subscribable import ImmutableMessageChannelInterceptor
from wellhead.server.close import CloseStatus, EndReason
from wellhead.server.message import BinaryMessage, PongMessage, TextMessage
from wellhead.server.session import UserPrincipal
from wellhead.server.subprotocol import stomp
from wellhead.server.subprotocol.error_handler import StompSubProtocolErrorHandler
from wellhead.server.subprotocol.stomp import StompSubProtocolHandler

CONNECT = b"CONNECT\naccept-version:1.2\nheart-beat:10000,20000\n\n\0"
SEND = b"SEND\ndestination:/app/a\n\nhi\0"
SUBSCRIBE = b"SUBSCRIBE\nid:0\ndestination:/topic/a\n\n\0"
UNSUBSCRIBE = b"UNSUBSCRIBE\nid:0\n\n\0"
DISCONNECT = b"DISCONNECT\nreceipt:r\n\n\0"
JOE = UserPrincipal("joe")


class Line:
    """A handler with one session and the channel that its frames go to."""

    def __init__(self, session=None, *, executor=None, **options) -> None:
        self.session = session or FakeWebSocketSession("s1")
        self.channel = RecordingChannel(executor, name="inbound")
        self.events = ApplicationEvents()
        self.heard: list[SessionEvent] = []
        self.events.connect(SessionEvent, self.heard.append)
        self.handler = StompSubProtocolHandler(events=self.events, **options)
        self.handler.after_session_started(self.session, self.channel)

    def receive(self, *data: bytes) -> None:
        for each in data:
            self.handler.handle_message_from_client(self.session, TextMessage(each), self.channel)

    def end(self, status: CloseStatus = CloseStatus.NORMAL) -> None:
        self.handler.after_session_ended(self.session, status, self.channel)

    @property
    def commands(self) -> list[StompCommand | None]:
        return [message.headers.get(COMMAND) for message in self.channel.messages]

    @property
    def error(self) -> bytes | None:
        """The one ERROR that was sent; then the session was closed with 1002."""
        if not self.session.sent:
            return None
        [message] = self.session.sent
        [status] = self.session.closed_with
        assert (status, status.because) == (CloseStatus.PROTOCOL_ERROR, EndReason.STOMP_ERROR)
        return message.as_bytes()


class Hook(ChannelInterceptor):
    """Does *act* with each message of *command*; its result counts when it is not None."""

    def __init__(self, command: StompCommand, act) -> None:
        self.command = command
        self.act = act

    def pre_send(self, message, channel):
        return self.act(message) if message.headers.get(COMMAND) is self.command else message


def veto(message) -> None:
    return None


def refuse(message) -> None:
    raise MessagingError("Access Denied")


def fail(message) -> None:
    raise ZeroDivisionError("by zero")


# -- SPH-01


@pytest.mark.spec("SPH-01")
def test_the_sub_protocols_are_those_of_stomp():
    assert StompSubProtocolHandler().supported_protocols == ["v10.stomp", "v11.stomp", "v12.stomp"]


@pytest.mark.spec("SPH-01")
@pytest.mark.parametrize(("before", "after"), [(8192, 16640), (16639, 16640), (16640, 16640), (16641, 16641)])
def test_a_low_limit_of_text_messages_is_raised(before, after):
    session = FakeWebSocketSession()
    session.text_message_size_limit = before
    Line(session)
    assert session.text_message_size_limit == after
    assert session.binary_message_size_limit == 64 * 1024


@pytest.mark.spec("SPH-01")
def test_the_message_size_limit_is_64_kib():
    assert StompSubProtocolHandler().message_size_limit == 65536
    with pytest.raises(ValueError, match="greater than 0"):
        StompSubProtocolHandler(message_size_limit=0)


@pytest.mark.spec("SPH-01", "STOMP-03")
@pytest.mark.parametrize(("size", "fits"), [(99, True), (100, True), (101, False)])
def test_a_frame_may_span_messages_up_to_the_limit(size, fits):
    line = Line(message_size_limit=100)
    line.receive(CONNECT)
    frame = b"SEND\ndestination:/a\n\n"
    frame += b"x" * (size - len(frame))  # and the NUL is still to come
    line.receive(frame[:50], frame[50:])
    if fits:
        assert line.error is None
        assert line.session.is_open
    else:
        assert b"The configured STOMP buffer size limit of 100 bytes has been exceeded" in line.error


# -- SPH-02


@pytest.mark.spec("SPH-02")
@pytest.mark.parametrize("kind", [TextMessage, BinaryMessage])
def test_text_and_binary_are_decoded_alike(kind):
    line = Line()
    line.handler.handle_message_from_client(line.session, kind(CONNECT + SEND), line.channel)
    assert line.commands == [StompCommand.CONNECT, StompCommand.SEND]
    assert line.channel.last.payload == b"hi"


@pytest.mark.spec("SPH-02")
def test_other_messages_are_ignored():
    line = Line()
    line.handler.handle_message_from_client(line.session, PongMessage(b"SEND"), line.channel)
    assert (line.channel.messages, line.error) == ([], None)


@pytest.mark.spec("SPH-02")
def test_headers_of_a_frame():
    session = FakeWebSocketSession("s1", attributes={"a": 1}, principal=JOE)
    line = Line(session)
    line.receive(CONNECT, SEND)
    connect, send = [message.headers for message in line.channel.messages]
    for headers in (connect, send):
        assert headers[SESSION_ID] == "s1"
        assert headers[SESSION_ATTRIBUTES] is session.attributes
        assert headers[USER] is JOE
    assert connect[HEARTBEAT] == (10000, 20000)
    assert send[HEARTBEAT] == (0, 0)


@pytest.mark.spec("SPH-02")
def test_a_heartbeat_is_a_message_too():
    line = Line()
    line.receive(CONNECT, b"\n")
    assert SimpMessageHeaderAccessor.get_accessor(line.channel.last).message_type is SimpMessageType.HEARTBEAT
    assert line.channel.last.headers[SESSION_ID] == "s1"


@pytest.mark.spec("SPH-02", "CH-04")
def test_messages_are_frozen_unless_the_channel_freezes_them():
    line = Line()
    line.receive(CONNECT)
    assert not line.channel.last.headers.mutable
    seen = []
    line.channel.set_interceptors(
        [Hook(StompCommand.SEND, lambda message: seen.append(message.headers.mutable) or message)]
    )
    line.receive(SEND)
    assert seen == [False]
    line.channel.add_interceptor(ImmutableMessageChannelInterceptor())
    line.receive(SEND)
    assert seen == [False, True]
    assert not line.channel.last.headers.mutable


@pytest.mark.spec("SPH-02", "EXC-01", "LOG-01")
def test_what_is_no_stomp_gets_an_error(caplog):
    line = Line()
    line.receive(CONNECT, b"NONSENSE\n\n\0")
    assert line.error == b"ERROR\nmessage:Unknown STOMP command\\c 'NONSENSE'\ncontent-length:0\n\n\0"
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "Failed to parse" in record.message
    assert "session s1" in record.message
    assert "\n" not in record.message


@pytest.mark.spec("SPH-02")
@pytest.mark.parametrize(
    "data", [b"SEND\na\\x:b\n\n\0", b"SEND\ncontent-length:1\n\nabc\0", b"SUBSCRIBE\nid:0\n\nbody\0"]
)
def test_bad_frames_get_an_error_and_what_came_before_was_handled(data):
    line = Line()
    line.receive(CONNECT + SEND + data)
    assert line.commands == [StompCommand.CONNECT, StompCommand.SEND]
    assert line.error.startswith(b"ERROR\nmessage:")


@pytest.mark.spec("SPH-02")
def test_data_of_a_session_that_is_not_known():
    line = Line()
    stranger = FakeWebSocketSession("s2")
    line.handler.handle_message_from_client(stranger, TextMessage(SEND), line.channel)
    assert stranger.sent[0].as_bytes() == b"ERROR\nmessage:No decoder for session id 's2'\ncontent-length:0\n\n\0"
    gone = FakeWebSocketSession("s3")
    gone.vanish()
    line.handler.handle_message_from_client(gone, TextMessage(SEND), line.channel)
    assert gone.sent == []


@pytest.mark.spec("SPH-02", "LOG-01")
@pytest.mark.parametrize("frame", [SEND, SUBSCRIBE, DISCONNECT, b"\n"])
def test_nothing_may_come_before_connect(frame, caplog):
    line = Line()
    line.receive(frame)
    assert line.channel.messages == []
    assert line.error == b"ERROR\nmessage:Unknown session\\c s1\ncontent-length:0\n\n\0"
    assert "session s1: Unknown session" in caplog.text


@pytest.mark.spec("SPH-02", "LOG-01")
@pytest.mark.parametrize("second", [CONNECT, CONNECT.replace(b"CONNECT", b"STOMP")])
def test_a_second_connect_is_refused(second, caplog):
    line = Line()
    line.receive(CONNECT, second)
    assert line.commands == [StompCommand.CONNECT]
    assert line.error == b"ERROR\nmessage:Session already exists\ncontent-length:0\n\n\0"
    assert "session s1: Session already exists" in caplog.text


@pytest.mark.spec("SPH-02")
@pytest.mark.parametrize("value", [b"a,b", b"1,", b"1_0,0"])
def test_a_heart_beat_that_is_none_is_refused(value):
    line = Line()
    line.receive(b"CONNECT\naccept-version:1.2\nheart-beat:" + value + b"\n\n\0")
    assert line.channel.messages == []
    assert line.error.startswith(b"ERROR\nmessage:Invalid heart-beat")


@pytest.mark.spec("SPH-02", "EVT-01")
def test_events_of_what_was_sent():
    line = Line(FakeWebSocketSession("s1", principal=JOE))
    line.receive(CONNECT, SUBSCRIBE, SEND, b"\n", b"ACK\nid:1\n\n\0", UNSUBSCRIBE)
    assert [type(event) for event in line.heard] == [
        SessionConnectEvent,
        SessionSubscribeEvent,
        SessionUnsubscribeEvent,
    ]
    assert [event.user for event in line.heard] == [JOE] * 3
    assert line.heard[1].message is line.channel.messages[1]


@pytest.mark.spec("EVT-01")
def test_the_stomp_command_is_a_connect_too():
    line = Line()
    line.receive(CONNECT.replace(b"CONNECT", b"STOMP"))
    assert [type(event) for event in line.heard] == [SessionConnectEvent]
    assert line.handler.stats.connect == 1


@pytest.mark.spec("EVT-01")
def test_a_listener_that_fails_harms_nobody(caplog):
    line = Line()
    line.events.connect(SessionConnectEvent, fail)
    line.receive(CONNECT, SEND)
    assert line.commands == [StompCommand.CONNECT, StompCommand.SEND]
    assert "Error publishing" in caplog.text


@pytest.mark.spec("SPH-02", "EVT-01", "LOG-01")
@pytest.mark.parametrize(("command", "frame"), [(StompCommand.SEND, SEND), (StompCommand.SUBSCRIBE, SUBSCRIBE)])
def test_a_veto_of_a_frame_is_silent(command, frame, caplog):
    line = Line()
    line.channel.add_interceptor(Hook(command, veto))
    with caplog.at_level(logging.DEBUG):
        line.receive(CONNECT, frame + UNSUBSCRIBE)
    assert line.commands == [StompCommand.CONNECT, StompCommand.UNSUBSCRIBE]
    assert line.error is None
    assert [type(event) for event in line.heard] == [SessionConnectEvent, SessionUnsubscribeEvent]
    assert f"vetoed {command.value} of session s1" in caplog.text


@pytest.mark.spec("SPH-02", "EVT-01")
def test_a_veto_of_connect_ends_the_session():
    line = Line()
    line.channel.add_interceptor(Hook(StompCommand.CONNECT, veto))
    line.receive(CONNECT + SEND)
    assert line.channel.messages == []
    assert line.heard == []
    assert line.error == b"ERROR\nmessage:CONNECT was refused\ncontent-length:0\n\n\0"


@pytest.mark.spec("SPH-02", "SPH-05", "EVT-01", "LOG-01")
@pytest.mark.parametrize(
    ("command", "level"),
    [
        (StompCommand.CONNECT, logging.DEBUG),
        (StompCommand.SUBSCRIBE, logging.DEBUG),
        (StompCommand.SEND, logging.ERROR),
    ],
)
def test_an_error_of_an_interceptor_reaches_the_client(command, level, caplog):
    line = Line()
    line.channel.add_interceptor(Hook(command, refuse))
    with caplog.at_level(logging.DEBUG):
        line.receive(CONNECT, {StompCommand.SUBSCRIBE: SUBSCRIBE, StompCommand.SEND: SEND}.get(command, b""))
    assert line.error == b"ERROR\nmessage:Access Denied\ncontent-length:0\n\n\0"
    [record] = [record for record in caplog.records if "inbound channel" in record.message]
    assert record.levelno == level
    assert "session s1" in record.message
    assert command.value in record.message
    assert len(line.heard) == (0 if command is StompCommand.CONNECT else 1)


@pytest.mark.spec("SPH-05")
def test_an_error_that_is_no_messaging_error_shows_as_that_of_the_channel():
    line = Line()
    line.channel.add_interceptor(Hook(StompCommand.SEND, fail))
    line.receive(CONNECT, SEND)
    text = b"Failed to send message to RecordingChannel[inbound]"
    assert line.error == b"ERROR\nmessage:" + text + b"\ncontent-length:0\n\n\0"


@pytest.mark.spec("SPH-05")
def test_an_error_without_text():
    line = Line()
    line.channel.error = MessagingError()
    line.receive(CONNECT)
    assert line.error == b"ERROR\n\n\0"


@pytest.mark.spec("SPH-02", "LOG-01")
@pytest.mark.parametrize("frames", [(CONNECT,), (CONNECT, SUBSCRIBE)])
def test_a_mistake_in_an_interceptor_is_seen_without_debugging(caplog, frames):
    def fail(message):
        raise AttributeError("no such name")

    line = Line()
    line.channel.add_interceptor(Hook(StompCommand(frames[-1].split(b"\n")[0].decode()), fail))
    with caplog.at_level(logging.INFO, "wellhead.server.subprotocol.stomp"):
        line.receive(*frames)
    [record] = caplog.records
    assert record.levelno == logging.INFO
    assert record.message.endswith("of session s1 was refused: AttributeError('no such name')")


@pytest.mark.spec("SPH-02")
def test_frames_after_one_that_failed_are_still_handled():
    line = Line()
    line.channel.add_interceptor(Hook(StompCommand.SUBSCRIBE, refuse))
    line.receive(CONNECT, SUBSCRIBE + SEND)
    assert line.commands == [StompCommand.CONNECT, StompCommand.SEND]


@pytest.mark.spec("SPH-02")
def test_frames_after_a_connect_that_failed_are_not():
    line = Line(error_handler=Silent())
    line.channel.add_interceptor(Hook(StompCommand.CONNECT, refuse))
    line.receive(CONNECT + SEND)
    line.receive(SEND)
    assert line.channel.messages == []


@pytest.mark.spec("SPH-02")
def test_after_a_connect_that_failed_another_may_come_if_the_session_is_left_open():
    line = Line(error_handler=Silent())
    line.channel.add_interceptor(Hook(StompCommand.CONNECT, refuse))
    line.receive(CONNECT)
    line.channel.set_interceptors([])
    line.receive(CONNECT, SEND)
    assert line.commands == [StompCommand.CONNECT, StompCommand.SEND]


# -- SPH-03


def set_user(user):
    def act(message):
        StompHeaderAccessor.get_accessor(message).user = user
        return message

    return act


@pytest.mark.spec("SPH-03")
def test_a_user_named_on_connect_is_that_of_the_session():
    line = Line(FakeWebSocketSession("s1", principal=JOE))
    ann = UserPrincipal("ann")
    line.channel.set_interceptors([Hook(StompCommand.CONNECT, set_user(ann)), ImmutableMessageChannelInterceptor()])
    line.receive(CONNECT, SEND, SUBSCRIBE)
    assert [message.headers[USER] for message in line.channel.messages] == [ann, ann, ann]
    assert [event.user for event in line.heard] == [ann, ann]
    assert line.handler.session_ids_of("ann") == ["s1"]
    assert line.handler.session_ids_of("joe") == []
    line.end()
    assert line.heard[-1].user is ann
    assert line.channel.last.headers[USER] is ann


@pytest.mark.spec("SPH-03")
def test_no_user_on_connect_leaves_the_websocket_s():
    line = Line(FakeWebSocketSession("s1", principal=JOE))
    line.channel.set_interceptors([Hook(StompCommand.CONNECT, set_user(None)), ImmutableMessageChannelInterceptor()])
    line.receive(CONNECT, SEND)
    assert line.channel.last.headers[USER] is JOE


@pytest.mark.spec("SPH-03")
def test_a_user_named_on_a_later_frame_does_not_last():
    line = Line(FakeWebSocketSession("s1", principal=JOE))
    line.channel.set_interceptors(
        [Hook(StompCommand.SEND, set_user(UserPrincipal("ann"))), ImmutableMessageChannelInterceptor()]
    )
    line.receive(CONNECT, SEND, SUBSCRIBE)
    assert line.channel.last.headers[USER] is JOE


@pytest.mark.spec("SPH-03")
def test_a_user_whose_connect_was_refused_is_forgotten():
    line = Line(error_handler=Silent())

    def name_and_refuse(message):
        set_user(JOE)(message)
        raise MessagingError("no")

    line.channel.set_interceptors([Hook(StompCommand.CONNECT, name_and_refuse), ImmutableMessageChannelInterceptor()])
    line.receive(CONNECT)
    assert line.handler.session_ids_of("joe") == []


# -- SPH-05


class Silent(StompSubProtocolErrorHandler):
    def handle_client_message_processing_error(self, client_message, error):
        return None


@pytest.mark.spec("SPH-05")
def test_an_error_handler_gives_the_receipt_id():
    line = Line(error_handler=StompSubProtocolErrorHandler())
    line.channel.add_interceptor(Hook(StompCommand.SEND, lambda message: fake(message)))
    line.receive(CONNECT, b"SEND\ndestination:/a\nreceipt:123\n\n\0")
    assert line.error == b"ERROR\nmessage:fake exception\nreceipt-id:123\ncontent-length:0\n\n\0"


def fake(message):
    raise MessageDeliveryError("fake exception", message)


@pytest.mark.spec("SPH-05")
def test_without_an_error_handler_there_is_no_receipt_id():
    line = Line()
    line.channel.add_interceptor(Hook(StompCommand.SEND, lambda message: fake(message)))
    line.receive(CONNECT, b"SEND\ndestination:/a\nreceipt:123\n\n\0")
    assert line.error == b"ERROR\nmessage:fake exception\ncontent-length:0\n\n\0"


@pytest.mark.spec("SPH-05")
def test_an_error_handler_may_leave_the_session_open():
    line = Line(error_handler=Silent())
    line.receive(SEND)
    assert line.session.is_open
    assert line.session.sent == []


@pytest.mark.spec("SPH-05", "LOG-01")
def test_an_error_that_cannot_be_sent_still_closes(caplog):
    line = Line()
    line.session.send_error = OSError("gone")
    with caplog.at_level(logging.DEBUG):
        line.receive(SEND)
    assert line.session.closed_with == [CloseStatus.PROTOCOL_ERROR]
    assert "Failed to send ERROR to session s1" in caplog.text


# -- SPH-07


def ordered_line(session=None, **options) -> tuple[Line, HeldExecutor]:
    executor = HeldExecutor()
    line = Line(session, executor=executor, **options)
    line.channel.add_interceptor(ImmutableMessageChannelInterceptor())
    line.channel.subscribe(lambda message: None)
    return line, executor


@pytest.mark.spec("SPH-02")
def test_many_frames_in_one_message_let_others_have_their_turn(monkeypatch):
    monkeypatch.setattr(stomp, "_TURN_S", -1.0)
    line = Line(FakeNonBlockingSession("s1"))
    flusher = line.session.flusher
    line.receive(CONNECT, SEND)
    assert flusher.ways_given == 0
    line.receive(SEND * 5)
    assert flusher.ways_given == 5
    assert line.commands[1:] == [StompCommand.SEND] * 6
    flusher.give_way = line.end
    line.receive(SEND * 5)
    assert line.commands[7:] == [StompCommand.SEND, StompCommand.DISCONNECT], "it ended meanwhile"
    Line().receive(CONNECT + SEND)


@pytest.mark.spec("SPH-07", "EVT-01")
def test_with_an_executor_the_next_frame_waits_for_the_one_before_and_so_does_its_event():
    line, executor = ordered_line()
    line.receive(CONNECT + SUBSCRIBE + UNSUBSCRIBE)
    assert line.commands == [StompCommand.CONNECT]
    assert [type(event) for event in line.heard] == [SessionConnectEvent]
    executor.run_next()
    assert line.commands == [StompCommand.CONNECT, StompCommand.SUBSCRIBE]
    assert [type(event) for event in line.heard][1:] == [SessionSubscribeEvent]
    executor.run_all()
    assert line.commands[2:] == [StompCommand.UNSUBSCRIBE]


@pytest.mark.spec("SPH-07")
def test_the_order_can_be_left_to_chance():
    line, executor = ordered_line(preserve_receive_order=False)
    line.receive(CONNECT + SUBSCRIBE)
    assert len(executor.tasks) == 2


@pytest.mark.spec("SPH-07", "SPH-05", "LOG-01")
def test_an_error_of_an_interceptor_reaches_the_client_also_when_the_frame_waited(caplog):
    line, executor = ordered_line()
    line.channel.add_interceptor(Hook(StompCommand.SEND, refuse), 0)
    line.receive(CONNECT + SEND + SUBSCRIBE)
    assert line.error is None
    executor.run_next()
    assert line.error == b"ERROR\nmessage:Access Denied\ncontent-length:0\n\n\0"
    assert "Failed to send SEND of session s1" in caplog.text
    assert line.commands == [StompCommand.CONNECT, StompCommand.SUBSCRIBE]


@pytest.mark.spec("SPH-07", "EVT-01")
@pytest.mark.parametrize("act", [veto, refuse])
def test_a_refused_connect_in_order_ends_the_session_without_an_event(act):
    line, _ = ordered_line()
    line.channel.add_interceptor(Hook(StompCommand.CONNECT, act), 0)
    line.receive(CONNECT + SEND)
    assert line.channel.messages == []
    assert line.heard == []
    assert line.error.startswith(b"ERROR\nmessage:")


@pytest.mark.spec("SPH-07", "EVT-01")
def test_a_veto_of_a_frame_in_order_makes_no_event_and_holds_up_nothing():
    line, executor = ordered_line()
    line.channel.add_interceptor(Hook(StompCommand.SUBSCRIBE, veto), 0)
    line.receive(CONNECT + SUBSCRIBE + SEND)
    executor.run_all()
    assert line.commands == [StompCommand.CONNECT, StompCommand.SEND]
    assert [type(event) for event in line.heard] == [SessionConnectEvent]


@pytest.mark.spec("SPH-07", "SCOPE-01")
def test_attributes_are_bound_also_when_the_frame_waited():
    line, executor = ordered_line()
    bound = []
    line.channel.add_interceptor(
        Hook(StompCommand.SEND, lambda message: bound.append(current_attributes().session_id) or message), 0
    )
    line.receive(CONNECT + SEND)
    executor.run_next()
    assert bound == ["s1"]


@pytest.mark.spec("SPH-07")
def test_order_does_not_need_the_interceptor_that_freezes():
    executor = HeldExecutor()
    line = Line(executor=executor)
    line.channel.subscribe(lambda message: None)
    line.receive(CONNECT + SEND)
    executor.run_all()
    assert line.commands == [StompCommand.CONNECT, StompCommand.SEND]


# -- SPH-08, EVT-01


@pytest.mark.spec("SPH-08", "EVT-01")
def test_the_end_of_a_session_is_told_once():
    line = Line(FakeWebSocketSession("s1", attributes={"a": 1}, principal=JOE))
    line.receive(CONNECT)
    line.channel.take()
    line.end(CloseStatus.GOING_AWAY.with_cause(EndReason.SERVER_STOPPED))
    line.end(CloseStatus.NO_CLOSE_FRAME)
    [message] = line.channel.messages
    event = line.heard[-1]
    assert [type(each) for each in line.heard] == [SessionConnectEvent, SessionDisconnectEvent]
    assert (event.session_id, event.close_status, event.user) == ("s1", CloseStatus.GOING_AWAY, JOE)
    assert event.reason is EndReason.SERVER_STOPPED
    assert event.message is message
    assert (message.headers.get(COMMAND), message.payload) == (StompCommand.DISCONNECT, b"")
    assert message.headers[SESSION_ID] == "s1"
    assert message.headers[SESSION_ATTRIBUTES] is line.session.attributes
    assert message.headers[USER] is JOE
    assert isinstance(message.headers, MutableMessageHeaders) and not message.headers.mutable


@pytest.mark.spec("EVT-01")
@pytest.mark.parametrize(
    ("frames", "status", "reason"),
    [
        ((), CloseStatus.NORMAL, EndReason.CLIENT_CLOSED),
        ((), CloseStatus.NO_CLOSE_FRAME, EndReason.CLIENT_VANISHED),
        ((), CloseStatus.NORMAL.with_cause(EndReason.SERVER_CLOSED), EndReason.SERVER_CLOSED),
        ((CONNECT, DISCONNECT), CloseStatus.NORMAL, EndReason.CLIENT_DISCONNECT),
        ((CONNECT, DISCONNECT), CloseStatus.NO_CLOSE_FRAME, EndReason.CLIENT_DISCONNECT),
        (
            (CONNECT, DISCONNECT),
            CloseStatus.GOING_AWAY.with_cause(EndReason.SERVER_STOPPED),
            EndReason.SERVER_STOPPED,
        ),
    ],
)
def test_a_session_ends_for_a_reason(frames, status, reason):
    line = Line()
    line.receive(*frames)
    line.end(status)
    assert line.heard[-1].reason is reason


@pytest.mark.spec("SPH-08", "SCOPE-01")
def test_at_the_end_callbacks_run_after_the_listeners():
    line = Line()
    order = []
    SimpAttributes("s1", line.session.attributes).register_destruction_callback("a", lambda: order.append("destroyed"))
    line.events.connect(SessionDisconnectEvent, lambda event: order.append(current_attributes().session_id))
    line.channel.subscribe(lambda message: order.append("broker"))
    line.end()
    assert order == ["s1", "broker", "destroyed"]


@pytest.mark.spec("SPH-08", "LOG-01")
@pytest.mark.parametrize("error", [MessagingError("no"), BaseException("timed out"), SystemExit(1)], ids=repr)
def test_a_disconnect_that_an_interceptor_stops_still_ends_the_session(caplog, error):
    line = Line()
    destroyed = []
    SimpAttributes("s1", line.session.attributes).register_destruction_callback("a", lambda: destroyed.append(1))
    line.channel.error = error
    line.end()
    assert destroyed == [1]
    assert "DISCONNECT of session s1 was not sent" in caplog.text


@pytest.mark.spec("SPH-08", "SPH-07", "EVT-01")
@pytest.mark.parametrize(
    "status",
    [
        CloseStatus.NORMAL,
        CloseStatus.NO_CLOSE_FRAME,
        CloseStatus.NORMAL.with_cause(EndReason.CLIENT_CLOSED),
        CloseStatus.NO_CLOSE_FRAME.with_cause(EndReason.CLIENT_VANISHED),
        CloseStatus.PROTOCOL_ERROR.with_cause(EndReason.PROTOCOL_ERROR),
        CloseStatus.TOO_BIG_TO_PROCESS.with_cause(EndReason.MESSAGE_TOO_BIG),
    ],
    ids=str,
)
def test_in_order_the_end_comes_after_what_the_client_had_sent(status):
    line, executor = ordered_line()
    destroyed = []
    SimpAttributes("s1", line.session.attributes).register_destruction_callback("a", lambda: destroyed.append(1))
    line.receive(CONNECT + SUBSCRIBE + SEND)
    line.end(status)
    line.end(status)
    for _ in range(2):
        executor.run_next()
        assert StompCommand.DISCONNECT not in line.commands
        assert not destroyed
    executor.run_all()
    assert line.commands == [
        StompCommand.CONNECT,
        StompCommand.SUBSCRIBE,
        StompCommand.SEND,
        StompCommand.DISCONNECT,
    ]
    assert [type(event) for event in line.heard] == [SessionConnectEvent, SessionSubscribeEvent, SessionDisconnectEvent]
    assert destroyed == [1]
    assert not line.channel.last.headers.mutable


@pytest.mark.spec("SPH-08", "SPH-07", "EVT-01")
@pytest.mark.parametrize(
    "reason", [EndReason.SERVER_STOPPED, EndReason.SERVER_CLOSED, EndReason.STOMP_ERROR, EndReason.SEND_BUFFER_LIMIT]
)
def test_when_we_end_a_session_what_waits_is_dropped(reason):
    line, executor = ordered_line()
    line.receive(CONNECT + SUBSCRIBE + SEND)
    line.end(CloseStatus.GOING_AWAY.with_cause(reason))
    assert line.commands == [StompCommand.CONNECT, StompCommand.DISCONNECT]
    executor.run_all()
    line.receive(SEND)
    assert line.commands == [StompCommand.CONNECT, StompCommand.DISCONNECT]
    assert [type(event) for event in line.heard] == [SessionConnectEvent, SessionDisconnectEvent]


@pytest.mark.spec("SPH-08", "SJS-07")
def test_another_session_of_the_same_id_does_not_begin_before_the_end_of_the_first():
    line, executor = ordered_line()
    line.receive(CONNECT + SEND)
    line.end()
    line.handler.after_session_started(line.session, line.channel)
    assert line.commands == [StompCommand.CONNECT, StompCommand.DISCONNECT]
    line.receive(CONNECT)
    executor.run_all()
    line.end()
    assert line.commands[2:] == [StompCommand.CONNECT, StompCommand.DISCONNECT]
    assert [type(event) for event in line.heard] == [SessionConnectEvent, SessionDisconnectEvent] * 2


class HoldingSession(FakeWebSocketSession):
    """Can keep messages, as the sessions of the runtime."""

    mailbox_limits = (4, 1_000)
    held = False

    def hold_while(self, is_crowded) -> None:
        self.held = is_crowded()


@pytest.mark.spec("SPH-07", "CH-05")
@pytest.mark.parametrize("over", ["web socket", "sockjs"])
def test_in_order_a_session_keeps_its_messages_while_too_many_wait(over):
    native = HoldingSession("s1")
    session = native
    if over == "sockjs":
        session = FakeWebSocketSession("s1")
        session.native_session = native
    line, executor = ordered_line(session=session)
    line.receive(CONNECT)
    for waiting in range(1, 5):
        line.receive(SEND)
        assert native.held is (waiting == 4)
    line.receive(SEND)
    for left in (4, 3):
        executor.run_next()
        assert native.held, left
    executor.run_next()
    assert not native.held
    executor.run_all()
    assert line.commands == [StompCommand.CONNECT] + [StompCommand.SEND] * 5


@pytest.mark.spec("SPH-07", "CH-05")
def test_the_bytes_that_wait_count_too():
    session = HoldingSession("s1")
    line, executor = ordered_line(session=session)
    line.receive(CONNECT)
    line.receive(b"SEND\ndestination:/a\n\n" + b"x" * 999 + b"\0")
    assert not session.held
    line.receive(b"SEND\ndestination:/a\n\nx\0")
    assert session.held
    executor.run_all()
    assert not session.held


@pytest.mark.spec("SPH-07", "CH-05", "SPH-05")
def test_a_session_that_cannot_keep_its_messages_is_refused_when_too_much_waits():
    line, _ = ordered_line()
    line.receive(CONNECT)
    frame = b"SEND\ndestination:/a\n\n" + b"x" * 60_000 + b"\0"
    for _ in range(16 * 1024 * 1024 // 60_000):
        line.receive(frame)
    assert line.error is None
    line.receive(frame)
    assert b"bytes waiting to be sent in order, which is the limit" in line.error


@pytest.mark.spec("SPH-02", "STOMP-03")
@pytest.mark.parametrize("eol", [b"\n", b"\r\n"], ids=["LF", "CR LF"])
@pytest.mark.parametrize("rest", [b"", SEND, SEND + CONNECT + SEND, SEND + SEND[:9], b"NONSENSE"])
def test_what_came_with_a_refused_connect_is_skipped_and_the_next_message_counts(eol, rest):
    class Quiet(StompSubProtocolErrorHandler):
        def handle_client_message_processing_error(self, message, error):
            errors.append(str(error))

    errors = []
    line = Line(error_handler=Quiet())
    hook = Hook(StompCommand.CONNECT, refuse)
    line.channel.add_interceptor(hook)
    line.receive((CONNECT + rest).replace(b"\n", eol))
    assert line.channel.messages == []
    line.channel.remove_interceptor(hook)
    unfinished = SEND[9:] if rest.endswith(SEND[:9]) else b""
    line.receive((unfinished + CONNECT + SEND).replace(b"\n", eol))
    if rest == b"NONSENSE":
        assert len(errors) == 2  # such bytes have no next frame
    elif unfinished:
        assert errors == ["Access Denied", "Unknown session: s1"]
    else:
        assert errors == ["Access Denied"]
        assert line.commands == [StompCommand.CONNECT, StompCommand.SEND]


@pytest.mark.spec("SPH-08")
def test_frames_after_the_end_are_left_out():
    line = Line()
    line.channel.subscribe(
        lambda message: line.end() if message.headers.get(COMMAND) is StompCommand.SUBSCRIBE else None
    )
    line.receive(CONNECT + SUBSCRIBE + SEND)
    assert line.commands == [StompCommand.CONNECT, StompCommand.SUBSCRIBE, StompCommand.DISCONNECT]


# -- SPH-09, SCOPE-01 and what belongs to no other


@pytest.mark.spec("SPH-09")
def test_statistics_count_the_frames_of_clients():
    line = Line()
    line.receive(CONNECT, DISCONNECT)
    line.end()
    assert str(line.handler.stats) == "processed CONNECT(1)-CONNECTED(0)-DISCONNECT(1)"


@pytest.mark.spec("SCOPE-01")
def test_attributes_are_bound_while_interceptors_and_listeners_run_and_not_longer():
    line = Line(FakeWebSocketSession("s1", attributes={"color": "red"}))
    bound = []

    def note(message):
        bound.append(current_attributes().get_attribute("color"))
        return message

    line.channel.add_interceptor(Hook(StompCommand.CONNECT, note))
    line.events.connect(SessionConnectEvent, lambda event: note(event.message))
    line.receive(CONNECT)
    assert bound == ["red", "red"]
    with pytest.raises(RuntimeError, match="No thread-bound SimpAttributes found"):
        current_attributes()


@pytest.mark.spec("SPH-02")
def test_the_header_initializer_sees_each_frame():
    line = Line(header_initializer=IdTimestampMessageHeaderInitializer(enable_timestamp=True))
    line.receive(CONNECT)
    assert line.channel.last.headers.timestamp is not None


@pytest.mark.spec("SB-04")
def test_a_session_that_knows_when_it_was_read_gives_the_broker_its_clock():
    session = FakeNonBlockingSession("s1")
    session.last_read_ms = 3.0
    line = Line(session)
    line.receive(CONNECT)
    session.flusher.advance(10)
    assert line.channel.last.headers[IDLE_CLOCK]() == 7.0
    plain = Line()
    plain.receive(CONNECT)
    assert IDLE_CLOCK not in plain.channel.last.headers


def test_the_session_of_a_message_is_in_its_header():
    line = Line()
    line.receive(CONNECT)
    assert line.handler.resolve_session_id(line.channel.last) == "s1"
