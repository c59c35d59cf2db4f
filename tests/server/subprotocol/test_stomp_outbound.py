from __future__ import annotations

import itertools
import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.flushing import FakeNonBlockingSession
from kit.sessions import FakeWebSocketSession

from wellhead.messaging.broker.broadcast import Broadcast, BroadcastMessage
from wellhead.messaging.broker.contract import LONGEST_PREPARED
from wellhead.messaging.broker.subscriptions import Subscription
from wellhead.messaging.events import ApplicationEvents, SessionConnectedEvent
from wellhead.messaging.message import Message
from wellhead.messaging.mime import APPLICATION_JSON, APPLICATION_OCTET_STREAM, TEXT_PLAIN
from wellhead.messaging.simp.accessor import (
    CONNECT_MESSAGE,
    DISCONNECT_MESSAGE,
    HEARTBEAT,
    SimpMessageHeaderAccessor,
)
from wellhead.messaging.simp.attributes import current_attributes
from wellhead.messaging.simp.ordered import NEXT_MESSAGE_TASK
from wellhead.messaging.simp.types import SimpMessageType
from wellhead.messaging.stomp import headers as stomp_headers
from wellhead.messaging.stomp.command import StompCommand
from wellhead.messaging.stomp.headers import StompHeaderAccessor
from wellhead.messaging.subscribable import ExecutorSubscribableChannel
from wellhead.server.close import CloseStatus, EndReason
from wellhead.server.concurrent import ConcurrentWebSocketSessionDecorator
from wellhead.server.exceptions import SessionLimitExceededError
from wellhead.server.gathering import GatheringWebSocketSessionDecorator
from wellhead.server.message import BinaryMessage, TextMessage
from wellhead.server.session import UserPrincipal
from wellhead.server.subprotocol.error_handler import StompSubProtocolErrorHandler
from wellhead.server.subprotocol.stomp import StompSubProtocolHandler

JOE = UserPrincipal("joe")


@pytest.fixture(autouse=True)
def message_numbers(monkeypatch):
    """The process-wide counter from 0."""
    numbers = itertools.count()
    monkeypatch.setattr(stomp_headers, "next_message_number", numbers.__next__)


@pytest.fixture
def session() -> FakeWebSocketSession:
    return FakeWebSocketSession("s1")


@pytest.fixture
def handler() -> StompSubProtocolHandler:
    return StompSubProtocolHandler(events=ApplicationEvents())


def simp(message_type: SimpMessageType, payload: bytes = b"", *, native=None, **headers) -> Message[bytes]:
    accessor = SimpMessageHeaderAccessor(message_type, native_headers=native)
    accessor.session_id = "s1"
    for name, value in headers.items():
        if name in ("destination", "subscription_id", "content_type"):
            setattr(accessor, name, value)
        else:
            accessor.set_header(name, value)
    accessor.leave_mutable = True
    return Message(payload, accessor.message_headers)


def message(payload: bytes = b"hi", **headers) -> Message[bytes]:
    return simp(SimpMessageType.MESSAGE, payload, **{"destination": "/topic/a", "subscription_id": "0", **headers})


def connect(*lines: tuple[str, str]) -> Message[bytes]:
    native = {name: [value] for name, value in lines}
    return Message(b"", StompHeaderAccessor.create(StompCommand.CONNECT, native_headers=native).message_headers)


def connect_ack(*lines: tuple[str, str], heartbeat=None) -> Message[bytes]:
    return simp(SimpMessageType.CONNECT_ACK, **{CONNECT_MESSAGE: connect(*lines), HEARTBEAT: heartbeat})


def stomp(command: StompCommand, payload: bytes = b"", *, frozen: bool = False, **native: str) -> Message[bytes]:
    accessor = StompHeaderAccessor.create(command)
    for name, value in native.items():
        accessor.set_native_header(name.replace("_", "-"), value)
    accessor.session_id = "s1"
    accessor.leave_mutable = not frozen
    return Message(payload, accessor.message_headers)


def sent(session) -> bytes:
    [message] = session.sent
    return message.as_bytes()


# -- SPH-04


@pytest.mark.spec("SPH-04", "STOMP-02")
def test_a_message_becomes_a_message_frame(handler, session):
    handler.handle_message_to_client(session, message(content_type=TEXT_PLAIN))
    assert sent(session) == (
        b"MESSAGE\ndestination:/topic/a\ncontent-type:text/plain\nsubscription:0\nmessage-id:s1-0\n"
        b"content-length:2\n\nhi\0"
    )
    assert isinstance(session.sent[0], TextMessage)


@pytest.mark.spec("SPH-04")
def test_a_client_s_frame_that_was_sent_on_becomes_a_message_frame(handler, session):
    frame = stomp(StompCommand.SEND, b"hi", destination="/topic/a")
    frame.headers.accessor.subscription_id = "0"
    handler.handle_message_to_client(session, frame)
    assert sent(session).startswith(b"MESSAGE\ndestination:/topic/a\n")
    assert b"\nsubscription:0\n" in sent(session)


@pytest.mark.spec("SPH-04")
def test_a_message_without_subscription_is_sent_with_a_warning(handler, session, caplog):
    handler.handle_message_to_client(session, message(subscription_id=None))
    assert sent(session).startswith(b"MESSAGE\n")
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert 'No STOMP "subscription" header' in record.message
    assert "session=s1" in record.message


@pytest.mark.spec("SPH-04")
def test_the_original_destination_comes_back(handler, session):
    native = {"simpOrigDestination": ["/user/queue/a"]}
    handler.handle_message_to_client(session, message(native=native, destination="/queue/a-users1"))
    assert b"\ndestination:/user/queue/a\n" in sent(session)
    assert b"simpOrigDestination" not in sent(session)


@pytest.mark.spec("SPH-04")
@pytest.mark.parametrize("frozen", [True, False])
def test_the_original_destination_comes_back_in_a_broker_s_frame_too(handler, session, frozen):
    frame = stomp(
        StompCommand.MESSAGE,
        frozen=frozen,
        destination="/queue/a",
        subscription="0",
        simpOrigDestination="/user/queue/a",
    )
    handler.handle_message_to_client(session, frame)
    assert b"\ndestination:/user/queue/a\n" in sent(session)


@pytest.mark.spec("SPH-04")
def test_a_payload_that_is_no_bytes_is_dropped(handler, session, caplog):
    handler.handle_message_to_client(session, message("text"))
    assert session.sent == []
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "session s1" in caplog.text


@pytest.mark.spec("SPH-04")
@pytest.mark.parametrize(
    ("payload", "content_type", "kind"),
    [
        (b"x", APPLICATION_OCTET_STREAM, BinaryMessage),
        (b"", APPLICATION_OCTET_STREAM, TextMessage),
        (b"x", TEXT_PLAIN, TextMessage),
        (b"x", None, TextMessage),
        ("\u20ac".encode(), None, TextMessage),
        (b"\xff", TEXT_PLAIN, BinaryMessage),  # a text frame cannot hold it
    ],
)
def test_octets_go_as_binary(handler, session, payload, content_type, kind):
    handler.handle_message_to_client(session, message(payload, content_type=content_type))
    assert type(session.sent[0]) is kind


class SockJsLike(FakeWebSocketSession):
    heartbeats_disabled = 0

    def disable_heartbeat(self) -> None:
        self.heartbeats_disabled += 1


@pytest.mark.spec("SPH-04")
def test_octets_go_as_text_over_sockjs(handler):
    session = SockJsLike("s1")
    handler.handle_message_to_client(session, message(b"x", content_type=APPLICATION_OCTET_STREAM))
    handler.handle_message_to_client(
        session, shared(Broadcast(message(b"x", content_type=APPLICATION_OCTET_STREAM)), "0")
    )
    assert [type(each) for each in session.sent] == [TextMessage, TextMessage]


@pytest.mark.spec("SPH-04")
def test_a_heartbeat_is_a_line_feed(handler, session):
    handler.handle_message_to_client(session, simp(SimpMessageType.HEARTBEAT))
    assert sent(session) == b"\n"


@pytest.mark.spec("SPH-04", "LOG-01")
@pytest.mark.parametrize("made", [lambda: message(), lambda: shared(Broadcast(message()), "0")])
def test_a_failure_to_send_closes_with_1002(handler, session, caplog, made):
    session.send_error = OSError("gone")
    with caplog.at_level(logging.DEBUG):
        handler.handle_message_to_client(session, made())
    assert session.closed_with == [CloseStatus.PROTOCOL_ERROR]
    assert session.closed_with[0].because is EndReason.TRANSPORT_ERROR
    assert "session s1" in caplog.text


@pytest.mark.spec("SPH-04")
@pytest.mark.parametrize("made", [lambda: message(), lambda: shared(Broadcast(message()), "0")])
def test_a_limit_is_passed_up(handler, session, made):
    session.send_error = SessionLimitExceededError("too slow")
    with pytest.raises(SessionLimitExceededError):
        handler.handle_message_to_client(session, made())
    assert session.is_open


@pytest.mark.spec("SPH-04")
def test_a_type_that_is_for_no_client_raises(handler, session):
    with pytest.raises(RuntimeError, match="SUBSCRIBE"):
        handler.handle_message_to_client(session, simp(SimpMessageType.SUBSCRIBE))


@pytest.mark.spec("SPH-04", "MSG-03")
def test_a_broker_s_frame_passes_unchanged_also_when_an_interceptor_made_it_anew(handler, session):
    receipt = stomp(StompCommand.RECEIPT, receipt_id="r")
    handler.handle_message_to_client(session, receipt)
    handler.handle_message_to_client(session, Message(b"", dict(receipt.headers)))
    assert [each.as_bytes() for each in session.sent] == [b"RECEIPT\nreceipt-id:r\n\n\0"] * 2


# -- broadcasts


def shared(broadcast: Broadcast, id: str, session_id: str = "s1", *, serial: int = 0) -> BroadcastMessage:
    subscription = Subscription(session_id, id, "/topic/a", None)
    subscription.serial = serial
    return BroadcastMessage(broadcast, subscription)


@pytest.mark.spec("SPH-04")
def test_a_broadcast_is_encoded_once_for_all(handler, session):
    broadcast = Broadcast(message(content_type=APPLICATION_JSON))
    handler.handle_message_to_client(session, shared(broadcast, "a"))
    encoded = broadcast.encoding
    handler.handle_message_to_client(session, shared(broadcast, "b:\n", serial=7))
    assert broadcast.encoding is encoded
    head = b"MESSAGE\ndestination:/topic/a\ncontent-type:application/json\n"
    assert [re.sub(rb"s1-[\d.]+", b"s1-0", each.as_bytes()) for each in session.sent] == [
        head + b"subscription:a\nmessage-id:s1-0\ncontent-length:2\n\nhi\0",
        head + b"subscription:b\\c\\n\nmessage-id:s1-0\ncontent-length:2\n\nhi\0",
    ]


@pytest.mark.spec("SPH-04")
@given(
    payload=st.binary(max_size=20),
    native=st.dictionaries(
        st.text(max_size=5).filter(bool), st.lists(st.text(max_size=5), min_size=1, max_size=2), max_size=4
    ),
    id=st.text(max_size=5),
    content_type=st.sampled_from([None, APPLICATION_JSON, APPLICATION_OCTET_STREAM]),
)
def test_what_is_shared_equals_what_is_encoded_in_full(payload, native, id, content_type):
    handler, session = StompSubProtocolHandler(), FakeWebSocketSession("s1")
    broadcast = Broadcast(message(payload, native=native, content_type=content_type))
    handler.handle_message_to_client(session, shared(broadcast, id))
    touched = shared(broadcast, id)
    touched.headers.accessor.set_header("x", "y")
    handler.handle_message_to_client(session, touched)
    first, second = session.sent
    number = first.as_bytes().split(b"message-id:s1-", 1)[1].split(b"\n", 1)[0]
    again = second.as_bytes().split(b"message-id:s1-", 1)[1].split(b"\n", 1)[0]
    assert type(first) is type(second)
    assert first.as_bytes().replace(b"s1-" + number, b"N", 1) == second.as_bytes().replace(b"s1-" + again, b"N", 1)


@pytest.mark.spec("SPH-04")
def test_what_is_kept_with_a_subscription_follows_the_broadcast(handler, session):
    subscription = Subscription("s1", "0", "/topic/*", None)
    for destination in ("/topic/a", "/topic/b", "/topic/a"):
        broadcast = Broadcast(message(destination=destination))
        handler.handle_message_to_client(session, BroadcastMessage(broadcast, subscription))
    frames = [each.as_bytes() for each in session.sent]
    assert [frame.split(b"\n")[1] for frame in frames] == [
        b"destination:/topic/a",
        b"destination:/topic/b",
        b"destination:/topic/a",
    ]
    assert len({frame.split(b"message-id:")[1].split(b"\n")[0] for frame in frames}) == 3


@pytest.mark.spec("SPH-04")
def test_what_is_long_is_not_kept_with_a_subscription(handler, session):
    subscription = Subscription("s1", "0", "/topic/a")
    for filler in ("short", "f" * LONGEST_PREPARED, "short"):
        broadcast = Broadcast(message(native={"filler": [filler]}))
        handler.handle_message_to_client(session, broadcast.message_for(subscription))
        assert max(map(len, subscription.prepared)) <= LONGEST_PREPARED
        assert f"filler:{filler}\n".encode() in session.sent[-1].as_bytes()


@pytest.mark.spec("SPH-04")
def test_a_session_id_cannot_smuggle_in_a_header(handler):
    session = FakeWebSocketSession("s:\nx")
    handler.handle_message_to_client(session, shared(Broadcast(message()), "0", "s:\nx"))
    assert b"\nmessage-id:s\\c\\nx-" in sent(session)


@pytest.mark.spec("SPH-04")
def test_looking_at_a_broadcast_s_headers_keeps_it_shared_and_changing_them_counts(handler, session):
    broadcast = Broadcast(message())
    looked_at, changed = shared(broadcast, "a"), shared(broadcast, "b")
    assert looked_at.headers["simpSubscriptionId"] == "a"
    changed.headers.accessor.set_native_header("colour", "red")
    for each in (looked_at, changed):
        handler.handle_message_to_client(session, each)
    first, second = [each.as_bytes() for each in session.sent]
    assert b"colour" not in first
    assert b"\ncolour:red\n" in second
    assert b"\nsubscription:b\n" in second


@pytest.mark.spec("SPH-04")
def test_a_sender_cannot_choose_the_recipient_s_headers(handler, session):
    broadcast = Broadcast(message(native={"subscription": ["x"], "message-id": ["y"]}), frozenset())
    touched = shared(broadcast, "0")
    touched.headers.accessor.set_header("x", "y")
    for each in (shared(broadcast, "0"), touched):
        handler.handle_message_to_client(session, each)
    for frame in session.sent:
        assert frame.as_bytes().count(b"subscription:") == 1
        assert b"\nsubscription:0\nmessage-id:s1-" in frame.as_bytes()


@pytest.mark.spec("SPH-04")
def test_a_broadcast_of_no_bytes_is_dropped(handler, session, caplog):
    handler.handle_message_to_client(session, shared(Broadcast(message("text")), "0"))
    assert session.sent == []
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


# -- SPH-06


@pytest.mark.spec("SPH-06")
@pytest.mark.parametrize(
    ("accepted", "version"),
    [("1.2", "1.2"), ("1.1", "1.1"), ("1.0", "1.0"), ("1.0,1.1", "1.1"), ("1.1,1.0,1.2", "1.2"), ("9.9,1.1", "1.1")],
)
def test_the_highest_common_version_is_taken(handler, session, accepted, version):
    handler.handle_message_to_client(session, connect_ack(("accept-version", accepted)))
    assert sent(session) == f"CONNECTED\nversion:{version}\nheart-beat:0,0\n\n\0".encode()


@pytest.mark.spec("SPH-06")
def test_no_accept_version_means_1_0(handler, session):
    handler.handle_message_to_client(session, connect_ack())
    assert sent(session) == b"CONNECTED\nversion:1.0\nheart-beat:0,0\n\n\0"


@pytest.mark.spec("SPH-06", "LOG-01")
@pytest.mark.parametrize("accepted", ["9.9", "1.2x", " 1.2", "2"])
def test_no_common_version_gets_an_error_with_ours(handler, session, accepted, caplog):
    heard = []
    handler.events.connect(SessionConnectedEvent, heard.append)
    with caplog.at_level(logging.INFO):
        handler.handle_message_to_client(session, connect_ack(("accept-version", accepted)))
    assert sent(session) == (b"ERROR\nmessage:Unsupported STOMP version\nversion:1.0,1.1,1.2\ncontent-length:0\n\n\0")
    assert session.closed_with == [CloseStatus.PROTOCOL_ERROR]
    assert heard == []
    assert handler.stats.connected == 0
    assert "Session s1" in caplog.text


@pytest.mark.spec("SPH-06")
def test_connected_has_the_broker_s_heartbeat_and_the_user_s_name(handler):
    session = FakeWebSocketSession("s1", principal=JOE)
    handler.handle_message_to_client(session, connect_ack(("accept-version", "1.2"), heartbeat=(10000, 10000)))
    assert sent(session) == b"CONNECTED\nversion:1.2\nheart-beat:10000,10000\nuser-name:joe\n\n\0"
    assert handler.stats.connected == 1


@pytest.mark.spec("SPH-06")
def test_an_acknowledgement_without_its_connect_raises(handler, session):
    with pytest.raises(RuntimeError, match="No CONNECT"):
        handler.handle_message_to_client(session, simp(SimpMessageType.CONNECT_ACK))


@pytest.mark.spec("SPH-06")
@pytest.mark.parametrize(("heartbeat", "disabled"), [((0, 1), 1), ((1, 0), 0), (None, 0)])
def test_a_sockjs_session_needs_no_second_heartbeat(handler, heartbeat, disabled):
    session = SockJsLike("s1")
    wrapped = ConcurrentWebSocketSessionDecorator(session)
    handler.handle_message_to_client(wrapped, connect_ack(("accept-version", "1.2"), heartbeat=heartbeat))
    assert session.heartbeats_disabled == disabled


@pytest.mark.spec("SPH-06", "EVT-01", "SCOPE-01")
def test_the_connected_event_comes_before_the_frame_with_attributes_bound(handler):
    session = FakeWebSocketSession("s1", principal=JOE)
    handler.after_session_started(session, ExecutorSubscribableChannel())
    heard = []
    handler.events.connect(
        SessionConnectedEvent, lambda event: heard.append((event, len(session.sent), current_attributes().session_id))
    )
    ack = connect_ack(("accept-version", "1.2"))
    handler.handle_message_to_client(session, ack)
    [(event, frames, bound)] = heard
    assert (event.message, event.user, frames, bound) == (ack, JOE, 0, "s1")
    assert len(session.sent) == 1


@pytest.mark.spec("SPH-06", "EVT-01")
@pytest.mark.parametrize("frozen", [True, False])
def test_a_relayed_connected_passes_with_the_user_s_name(handler, frozen):
    session = FakeWebSocketSession("s1", principal=JOE)
    heard = []
    handler.events.connect(SessionConnectedEvent, heard.append)
    frame = stomp(StompCommand.CONNECTED, frozen=frozen, version="1.1", heart_beat="5,5")
    handler.handle_message_to_client(session, frame)
    assert sent(session) == b"CONNECTED\nversion:1.1\nheart-beat:5,5\nuser-name:joe\n\n\0"
    assert [event.message for event in heard] == [frame]


def disconnect(**native: str) -> Message[bytes]:
    return stomp(StompCommand.DISCONNECT, **native)


@pytest.mark.spec("SPH-06")
def test_disconnect_with_a_receipt_is_receipted_and_not_closed(handler, session):
    ack = simp(SimpMessageType.DISCONNECT_ACK, **{DISCONNECT_MESSAGE: disconnect(receipt="message-123")})
    handler.handle_message_to_client(session, ack)
    assert sent(session) == b"RECEIPT\nreceipt-id:message-123\n\n\0"
    assert session.is_open


@pytest.mark.spec("SPH-06")
def test_disconnect_without_a_receipt_is_closed_in_peace(handler, session):
    ack = simp(SimpMessageType.DISCONNECT_ACK, **{DISCONNECT_MESSAGE: disconnect()})
    handler.handle_message_to_client(session, ack)
    assert session.sent == []
    assert session.closed_with == [CloseStatus.NORMAL]
    assert session.closed_with[0].because is EndReason.CLIENT_DISCONNECT


@pytest.mark.spec("SPH-06")
def test_a_heartbeat_timeout_gets_an_error(handler, session):
    handler.handle_message_to_client(session, simp(SimpMessageType.DISCONNECT_ACK))
    assert sent(session) == b"ERROR\nmessage:Session closed.\ncontent-length:0\n\n\0"
    assert session.closed_with == [CloseStatus.PROTOCOL_ERROR]
    assert session.closed_with[0].because is EndReason.HEARTBEAT_TIMEOUT


# -- SPH-05


@pytest.mark.spec("SPH-05", "LOG-01")
def test_an_error_of_the_broker_ends_the_session(handler, session, caplog):
    with caplog.at_level(logging.INFO):
        handler.handle_message_to_client(session, stomp(StompCommand.ERROR, b"body", message="no"))
    assert sent(session) == b"ERROR\nmessage:no\ncontent-length:4\n\nbody\0"
    assert session.closed_with == [CloseStatus.PROTOCOL_ERROR]
    assert "Session s1" in caplog.text


class Replacing(StompSubProtocolErrorHandler):
    def __init__(self, answer: Message[bytes] | None) -> None:
        self.answer = answer

    def handle_error_message_to_client(self, error_message):
        return self.answer


@pytest.mark.spec("SPH-05")
@pytest.mark.parametrize(("answer", "text"), [(stomp(StompCommand.ERROR, message="mine"), b"mine"), (None, b"no")])
def test_an_error_handler_may_replace_an_error_of_the_broker(session, answer, text):
    handler = StompSubProtocolHandler(error_handler=Replacing(answer))
    handler.handle_message_to_client(session, stomp(StompCommand.ERROR, message="no"))
    assert sent(session) == b"ERROR\nmessage:" + text + b"\ncontent-length:0\n\n\0"


@pytest.mark.spec("SPH-05", "CDS-03")
def test_an_error_goes_out_before_the_close(handler):
    session = FakeNonBlockingSession("s1")
    order = []
    session.try_send = lambda messages, drained: order.extend(each.as_bytes()[:5] for each in messages) or True
    session._close = lambda status: order.append(status.code)
    gathering = GatheringWebSocketSessionDecorator(session)
    handler.handle_message_to_client(gathering, stomp(StompCommand.ERROR, message="no"))
    assert order == [b"ERROR", 1002]


# -- ordered publishing


@pytest.mark.spec("CDS-04", "CH-05")
def test_an_ordered_message_lets_the_next_one_go_once_it_is_queued(handler, session):
    concurrent = ConcurrentWebSocketSessionDecorator(session)
    order = []
    session._record = lambda sent: order.append(sent.as_bytes()[:7])
    handler.handle_message_to_client(concurrent, message(**{NEXT_MESSAGE_TASK: lambda: order.append("next")}))
    assert order == ["next", b"MESSAGE"]
    handler.handle_message_to_client(concurrent, message())
    assert order == ["next", b"MESSAGE", b"MESSAGE"]
