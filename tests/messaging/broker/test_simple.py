from __future__ import annotations

import logging
from typing import Any

import pytest
from kit.brokers import Rig, User, frame
from kit.channels import HeldExecutor

from wellhead.messaging.broker.broadcast import CONTROL_HEADERS, BroadcastMessage
from wellhead.messaging.broker.simple import SimpleBrokerMessageHandler
from wellhead.messaging.broker.subscriptions import DefaultSubscriptionRegistry
from wellhead.messaging.channel import ChannelInterceptor, MessageChannel
from wellhead.messaging.events import BrokerAvailabilityEvent, SessionSubscribedEvent
from wellhead.messaging.exceptions import TaskRejectedError
from wellhead.messaging.executor import Task
from wellhead.messaging.message import Message
from wellhead.messaging.native_headers import NATIVE_HEADERS
from wellhead.messaging.simp.accessor import (
    CONNECT_MESSAGE,
    DESTINATION,
    DISCONNECT_MESSAGE,
    HEARTBEAT,
    MESSAGE_TYPE,
    ORIGINAL_DESTINATION,
    SESSION_ATTRIBUTES,
    SESSION_ID,
    SUBSCRIPTION_ID,
    USER,
    SimpMessageHeaderAccessor,
)
from wellhead.messaging.simp.attributes import SimpAttributes
from wellhead.messaging.simp.ordered import OrderedMessageChannelDecorator, configure_interceptor
from wellhead.messaging.simp.types import SimpMessageType
from wellhead.messaging.stomp.command import StompCommand
from wellhead.messaging.stomp.headers import StompHeaderAccessor
from wellhead.messaging.subscribable import ExecutorSubscribableChannel
from wellhead.messaging.threads import ThreadPoolTaskExecutor

LOG = "wellhead.messaging.broker.simple"


@pytest.fixture
def rig() -> Rig:
    return Rig()


# -- SB-01


@pytest.mark.spec("SB-01")
def test_available_from_start_to_stop():
    rig = Rig(start=False)
    told: list[bool] = []
    rig.events.connect(BrokerAvailabilityEvent, lambda event: told.append(event.available))
    assert not rig.broker.is_broker_available
    rig.broker.start()
    assert rig.broker.is_broker_available
    rig.broker.stop()
    assert not rig.broker.is_broker_available
    assert told == [True, False]


@pytest.mark.spec("SB-01")
def test_destinations_of_others_are_left_alone(rig):
    rig.connect("s1")
    rig.subscribe("s1", "a", "/app/x")
    rig.subscribe("s1", "b", "/user/queue/x")
    rig.subscribe("s1", "c", "/topicality")
    assert [each.id for each in rig.broker.subscription_registry.subscriptions_of("s1")] == ["c"]
    rig.outbound.take()
    rig.send("s1", "/app/x")
    rig.publish("/user/s1/queue/x")
    rig.publish("/topicality")
    assert rig.received() == [("s1", "c")]


@pytest.mark.spec("SB-01")
def test_without_running_nothing_happens(rig):
    rig.joined("s1", "a", "/topic/x")
    rig.broker.stop()
    rig.broker.handle_message(frame(StompCommand.SEND, "s1", {"destination": "/topic/x", "receipt": "r"}))
    rig.publish("/topic/x")
    assert rig.outbound.take() == []
    rig.broker.start()
    rig.publish("/topic/x")
    assert rig.received() == [("s1", "a")]


# -- SB-02


@pytest.mark.spec("SB-02")
@pytest.mark.parametrize("command", [StompCommand.CONNECT, StompCommand.STOMP])
def test_connect_is_acknowledged(rig, command):
    user = User("joe")
    connect = rig.client(command, "s1", **{USER: user})
    [acknowledgement] = rig.outbound.take()
    headers = acknowledgement.headers
    assert headers[MESSAGE_TYPE] is SimpMessageType.CONNECT_ACK
    assert headers[SESSION_ID] == "s1"
    assert headers[USER] is user
    assert headers[CONNECT_MESSAGE] is connect
    assert HEARTBEAT not in headers
    assert acknowledgement.payload == b""
    assert rig.broker.session_count == 1


@pytest.mark.spec("SB-02", "SB-04")
def test_the_acknowledgement_carries_the_heartbeats_of_the_broker():
    rig = Rig(scheduler=True, heartbeat_ms=(15_000, 16_000))
    rig.connect("s1", (1, 2))
    assert rig.outbound.last.headers[HEARTBEAT] == (15_000, 16_000)


@pytest.mark.spec("SB-02")
def test_a_second_connect_is_ignored(rig, caplog):
    rig.connect("s1")
    rig.outbound.take()
    rig.connect("s1")
    assert rig.outbound.take() == []
    assert rig.broker.session_count == 1
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "Ignoring CONNECT in session s1. Already connected.")
    ]


@pytest.mark.spec("SB-02")
def test_a_connect_without_session_is_logged_and_ignored(rig, caplog):
    rig.inbound.send(frame(StompCommand.CONNECT, None))
    assert rig.outbound.take() == []
    assert [record.levelname for record in caplog.records] == ["ERROR"]


@pytest.mark.spec("SB-02")
def test_disconnect_forgets_the_session_and_is_acknowledged(rig):
    rig.joined("s1", "a", "/topic/x")
    rig.joined("s2", "a", "/topic/x")
    user = User("joe")
    disconnect = rig.client(StompCommand.DISCONNECT, "s1", {"receipt": "r1"}, **{USER: user})
    [acknowledgement] = rig.outbound.take()
    headers = acknowledgement.headers
    assert headers[MESSAGE_TYPE] is SimpMessageType.DISCONNECT_ACK
    assert headers[SESSION_ID] == "s1"
    assert headers[USER] is user
    assert headers[DISCONNECT_MESSAGE] is disconnect
    assert rig.broker.session_count == 1
    assert rig.broker.subscription_registry.subscriptions_of("s1") == ()
    rig.publish("/topic/x")
    assert rig.received() == [("s2", "a")]


@pytest.mark.spec("SB-02")
def test_disconnect_of_an_unknown_session_is_acknowledged_too(rig):
    disconnect = rig.client(StompCommand.DISCONNECT, "s1")
    assert rig.outbound.last.headers[MESSAGE_TYPE] is SimpMessageType.DISCONNECT_ACK
    assert rig.outbound.last.headers[DISCONNECT_MESSAGE] is disconnect


@pytest.mark.spec("SB-02")
def test_a_session_can_connect_again_after_disconnect(rig):
    rig.joined("s1", "a", "/topic/x")
    rig.client(StompCommand.DISCONNECT, "s1")
    rig.connect("s1")
    assert [message.headers[MESSAGE_TYPE] for message in rig.outbound.take()] == [
        SimpMessageType.DISCONNECT_ACK,
        SimpMessageType.CONNECT_ACK,
    ]
    rig.publish("/topic/x")
    assert rig.received() == []


@pytest.mark.spec("SB-02")
def test_interceptors_may_change_an_acknowledgement(rig):
    class Marks(ChannelInterceptor):
        def pre_send(self, message: Message[Any], channel: MessageChannel) -> Message[Any]:
            accessor = SimpMessageHeaderAccessor.get_accessor(message)
            assert accessor is not None
            accessor.set_header("mark", True)
            return message

    rig.outbound.add_interceptor(Marks(), 0)
    rig.connect("s1")
    assert rig.outbound.last.headers["mark"] is True


@pytest.mark.spec("SB-02")
def test_an_outbound_channel_that_fails_does_not_reach_the_client_inbound_channel(rig, caplog):
    rig.outbound.error = RuntimeError("closed")
    rig.connect("s1")
    assert rig.broker.session_count == 1
    assert "Failed to send to session s1" in caplog.text


# -- SB-03: who gets what


@pytest.mark.spec("SB-03")
def test_every_subscription_gets_a_message_of_its_own(rig):
    rig.joined("s1", "a", "/topic/x")
    rig.subscribe("s1", "b", "/topic/*")
    rig.joined("s2", "a", "/topic/x")
    rig.joined("s3", "a", "/topic/y")
    rig.publish("/topic/x", b"hello")
    assert sorted(rig.received()) == [("s1", "a"), ("s1", "b"), ("s2", "a")]


@pytest.mark.spec("SB-03")
def test_the_sender_gets_its_own_message(rig):
    rig.joined("s1", "a", "/topic/x")
    rig.send("s1", "/topic/x")
    assert rig.received() == [("s1", "a")]


@pytest.mark.spec("SB-03")
def test_the_message_of_a_recipient(rig):
    user, attributes, payload = User("joe"), {"key": "value"}, b"hello"
    rig.joined("s2", "sub0", "/topic/x")
    rig.joined("s3", "sub1", "/topic/x")
    rig.connect("s1")
    rig.outbound.take()
    rig.send("s1", "/topic/x", payload, {"foo": "bar"}, **{USER: user, SESSION_ATTRIBUTES: attributes})
    one, two = rig.outbound.take()
    assert isinstance(one, BroadcastMessage) and one.is_untouched and one.live_headers() is None
    headers = one.headers
    assert (headers[SESSION_ID], headers[SUBSCRIPTION_ID]) == ("s2", "sub0")
    assert headers[MESSAGE_TYPE] is SimpMessageType.MESSAGE
    assert headers[DESTINATION] == "/topic/x"
    assert headers[USER] is user
    assert headers[SESSION_ATTRIBUTES] is attributes
    assert headers[NATIVE_HEADERS] == {"destination": ["/topic/x"], "foo": ["bar"]}
    assert one.payload is two.payload is payload
    assert (two.headers[SESSION_ID], two.headers[SUBSCRIPTION_ID]) == ("s3", "sub1")


@pytest.mark.spec("SB-03")
@pytest.mark.parametrize(
    ("name", "travels", "travels_in_spring"),
    [
        ("foo", True, True),
        ("id", True, True),
        ("receipt", False, True),
        ("content-length", False, True),
        ("transaction", False, True),
        ("login", False, True),
        ("passcode", False, True),
        ("authorization", False, True),
        # what the server itself says to each recipient cannot be forged, in no mode
        ("subscription", False, False),
        ("message-id", False, False),
    ],
)
def test_native_headers_of_the_sender_that_reach_the_subscribers(name, travels, travels_in_spring):
    for options, expected in (({}, travels), ({"control_headers": ()}, travels_in_spring)):
        rig = Rig(**options)
        rig.joined("s1", "a", "/topic/x")
        rig.send("s1", "/topic/x", native={name: "5"})
        [message] = [each for each in rig.outbound.take() if isinstance(each, BroadcastMessage)]
        assert (name in message.headers[NATIVE_HEADERS]) is expected


@pytest.mark.spec("SB-03", "USR-02")
def test_a_client_cannot_make_up_the_destination_that_subscribers_see(rig):
    rig.joined("s1", "a", "/topic/x")
    rig.send("s1", "/topic/x", native={ORIGINAL_DESTINATION: "/user/queue/trusted"})
    assert ORIGINAL_DESTINATION not in rig.outbound.last.headers[NATIVE_HEADERS]
    rig.publish("/topic/x", nativeHeaders={ORIGINAL_DESTINATION: ["/user/queue/x"]})
    assert rig.outbound.last.headers[NATIVE_HEADERS] == {ORIGINAL_DESTINATION: ["/user/queue/x"]}


@pytest.mark.spec("SB-03")
def test_a_subscription_before_connect_counts_once_the_session_is_known(rig):
    rig.subscribe("s1", "a", "/topic/x")
    rig.publish("/topic/x")
    assert rig.outbound.take() == []
    rig.connect("s1")
    rig.outbound.take()
    rig.publish("/topic/x")
    assert rig.received() == [("s1", "a")]


@pytest.mark.spec("SB-03")
def test_unsubscribe_needs_no_destination(rig):
    rig.joined("s1", "a", "/topic/x")
    rig.client(StompCommand.UNSUBSCRIBE, "s1", {"id": "a"})
    rig.publish("/topic/x")
    assert rig.received() == []


@pytest.mark.spec("SB-03")
def test_a_failing_recipient_is_logged_and_the_others_get_their_message(rig, caplog):
    class FailsForOne(ChannelInterceptor):
        def pre_send(self, message: Message[Any], channel: MessageChannel) -> Message[Any]:
            if message.headers[SESSION_ID] == "s2":
                raise RuntimeError("gone")
            return message

    for session_id in ("s1", "s2", "s3"):
        rig.joined(session_id, "a", "/topic/x")
    rig.outbound.add_interceptor(FailsForOne())
    rig.publish("/topic/x")
    assert rig.received() == [("s1", "a"), ("s3", "a")]
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("ERROR", "Failed to send to session s2")
    ]


@pytest.mark.spec("SB-03")
def test_an_interceptor_may_veto_and_change_single_messages(rig):
    class Picks(ChannelInterceptor):
        def pre_send(self, message: Message[Any], channel: MessageChannel) -> Message[Any] | None:
            accessor = SimpMessageHeaderAccessor.get_accessor(message)
            assert accessor is not None
            if accessor.session_id == "s2":
                accessor.set_native_header("only", "s2")
            return None if accessor.session_id == "s1" else message

    for session_id in ("s1", "s2", "s3"):
        rig.joined(session_id, "a", "/topic/x")
    rig.outbound.add_interceptor(Picks(), 0)
    rig.publish("/topic/x")
    messages = {message.headers[SESSION_ID]: message for message in rig.outbound.take()}
    assert sorted(messages) == ["s2", "s3"]
    assert messages["s2"].headers[NATIVE_HEADERS] == {"only": ["s2"]} and not messages["s2"].is_untouched
    assert NATIVE_HEADERS not in messages["s3"].headers and messages["s3"].is_untouched


@pytest.mark.spec("SB-03")
def test_the_broker_does_not_look_into_messages_of_recipients(rig):
    """The hot path: headers of a recipient are not even made."""
    rig.joined("s1", "a", "/topic/x")
    rig.send("s1", "/topic/x")
    assert rig.outbound.last.live_headers() is None


# -- SB-03: receipts and refusals, which differ from Spring, and the switches that bring its behaviour back


REQUESTS = [
    (StompCommand.SEND, {"destination": "/topic/y"}),
    (StompCommand.SEND, {"destination": "/app/y"}),
    (StompCommand.SEND, {"destination": "/user/joe/queue/y"}),
    (StompCommand.SUBSCRIBE, {"id": "b", "destination": "/topic/y"}),
    (StompCommand.SUBSCRIBE, {"id": "b", "destination": "/app/y"}),
    (StompCommand.SUBSCRIBE, {"id": "a", "destination": "/topic/ignored"}),
    (StompCommand.UNSUBSCRIBE, {"id": "a"}),
    (StompCommand.UNSUBSCRIBE, {"id": "unknown"}),
]
UNSUPPORTED = [StompCommand.ACK, StompCommand.NACK, StompCommand.BEGIN, StompCommand.COMMIT, StompCommand.ABORT]


@pytest.mark.spec("SB-03")
@pytest.mark.parametrize(("command", "native"), REQUESTS)
def test_what_asks_for_a_receipt_gets_one(rig, command, native):
    rig.joined("s1", "a", "/topic/x")
    rig.client(command, "s1", {**native, "receipt": "r:1"})
    assert rig.answers() == [(StompCommand.RECEIPT, "s1", {"receipt-id": "r:1"})]
    rig.client(command, "s1", native)
    assert rig.answers() == []


@pytest.mark.spec("SB-03")
@pytest.mark.parametrize(("command", "native"), REQUESTS)
def test_without_receipts_as_in_spring(command, native):
    rig = Rig(receipts=False)
    rig.joined("s1", "a", "/topic/x")
    rig.client(command, "s1", {**native, "receipt": "r1"})
    assert rig.answers() == []


@pytest.mark.spec("SB-03")
def test_a_receipt_comes_after_the_frame_was_processed(rig):
    rig.connect("s1")
    rig.outbound.take()
    seen: list[int] = []
    rig.outbound.subscribe(lambda _: seen.append(rig.broker.subscription_registry.subscription_count))
    rig.subscribe("s1", "a", "/topic/x", receipt="r1")
    assert seen == [1]
    rig.send("s1", "/topic/x", native={"receipt": "r2"})
    assert [kind for kind, _, _ in rig.answers()] == [StompCommand.RECEIPT, StompCommand.SEND, StompCommand.RECEIPT]


@pytest.mark.spec("SB-03")
@pytest.mark.parametrize("receipts", [True, False])
@pytest.mark.parametrize("command", [StompCommand.CONNECT, StompCommand.DISCONNECT])
def test_connect_and_disconnect_are_answered_by_their_acknowledgements_alone(receipts, command):
    rig = Rig(receipts=receipts)
    if command is StompCommand.DISCONNECT:
        rig.connect("s1")
        rig.outbound.take()
    rig.client(command, "s1", {"receipt": "r1"})
    assert [kind for kind, _, _ in rig.answers()] == [SimpMessageType[f"{command.value}_ACK"]]


@pytest.mark.spec("SB-03")
def test_an_unknown_session_gets_no_receipt(rig):
    rig.subscribe("s1", "a", "/topic/x", receipt="r1")
    assert rig.answers() == []


@pytest.mark.spec("SB-03", "USR-01")
def test_a_frame_that_was_sent_on_by_the_application_is_acknowledged_once(rig):
    """What a handler forwards, or resolves for a user, still has the sender's session and native headers."""
    rig.connect("s1")
    rig.outbound.take()
    rig.inbound.subscribe(rig.application.send)
    rig.send("s1", "/topic/x", native={"receipt": "r1"})
    assert rig.answers() == [(StompCommand.RECEIPT, "s1", {"receipt-id": "r1"})]


@pytest.mark.spec("SB-03")
@pytest.mark.parametrize("command", UNSUPPORTED)
@pytest.mark.parametrize("receipt", [None, "r1"])
def test_unsupported_frames_are_answered_by_error(rig, caplog, command, receipt):
    rig.joined("s1", "a", "/topic/x")
    native = {"id": "a", "transaction": "t1"} | ({"receipt": receipt} if receipt else {})
    rig.client(command, "s1", native)
    expected = {"message": f"{command.value} is not supported by the simple broker"}
    assert rig.answers() == [
        (StompCommand.ERROR, "s1", expected | ({"receipt-id": receipt} if receipt else {})),
    ]
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", f"{command.value} in session s1 is not supported")
    ]


@pytest.mark.spec("SB-03")
@pytest.mark.parametrize("command", UNSUPPORTED)
def test_unsupported_frames_are_ignored_as_in_spring(command):
    rig = Rig(reject_unsupported_frames=False)
    rig.joined("s1", "a", "/topic/x")
    rig.client(command, "s1", {"id": "a", "receipt": "r1"})
    assert rig.answers() == []


@pytest.mark.spec("SB-03")
@pytest.mark.parametrize("command", [StompCommand.CONNECTED, StompCommand.RECEIPT, StompCommand.ERROR])
def test_frames_of_a_server_are_ignored(rig, command):
    rig.joined("s1", "a", "/topic/x")
    rig.client(command, "s1", {"receipt": "r1", "receipt-id": "r2"})
    assert rig.answers() == []


@pytest.mark.spec("SB-03", "REG-01")
@pytest.mark.parametrize("native", [{}, {"receipt": "r1"}])
def test_a_pattern_that_cannot_be_matched_is_answered_by_error(caplog, native):
    rig = Rig(subscription_registry=DefaultSubscriptionRegistry(regex_in_patterns=True))
    rig.connect("s1")
    rig.outbound.take()
    rig.subscribe("s1", "a", "/topic/{a:[}", **native)
    [(kind, session_id, headers)] = rig.answers()
    assert (kind, session_id) == (StompCommand.ERROR, "s1")
    assert headers["message"].startswith("Cannot subscribe to this pattern: Invalid regex")
    assert headers.get("receipt-id") == native.get("receipt")
    [record] = caplog.records
    assert record.levelname == "WARNING" and record.getMessage().startswith("INVALID_PATTERN in session s1: ")


@pytest.mark.spec("SB-03", "DEST-01")
def test_an_expression_in_a_pattern_is_answered_by_error_that_says_why(rig):
    rig.connect("s1")
    rig.outbound.take()
    rig.subscribe("s1", "a", "/topic/{name:[a-z]+}")
    text = "Cannot subscribe to this pattern: expressions as in {name:regex} are switched off for subscriptions"
    assert rig.answers() == [(StompCommand.ERROR, "s1", {"message": text})]


@pytest.mark.spec("SB-03", "REG-01")
def test_one_subscription_too_many_is_answered_by_error():
    rig = Rig(subscription_registry=DefaultSubscriptionRegistry(max_subscriptions_per_session=2))
    rig.connect("s1")
    for id in "ab":
        rig.subscribe("s1", id, "/topic/x")
    rig.outbound.take()
    rig.subscribe("s1", "c", "/topic/x")
    assert rig.answers() == [
        (StompCommand.ERROR, "s1", {"message": "A session can have 2 subscriptions and no more"}),
    ]
    rig.publish("/topic/x")
    assert rig.received() == [("s1", "a"), ("s1", "b")]


@pytest.mark.spec("SB-03", "EVT-01")
def test_the_subscribed_event_comes_once_the_subscription_works(rig):
    user = User("joe")
    events: list[SessionSubscribedEvent] = []

    def greet(event: SessionSubscribedEvent) -> None:
        events.append(event)
        rig.publish("/topic/x")

    rig.events.connect(SessionSubscribedEvent, greet)
    rig.connect("s1")
    rig.outbound.take()
    message = rig.client(StompCommand.SUBSCRIBE, "s1", {"id": "a", "destination": "/topic/x"}, **{USER: user})
    assert [(event.message, event.user) for event in events] == [(message, user)]
    assert rig.received() == [("s1", "a")]
    rig.subscribe("s1", "a", "/topic/y")  # ignored: the id is taken
    rig.subscribe("s1", "b", "/app/x")  # somebody else's
    assert len(events) == 1


@pytest.mark.spec("SB-02", "SB-03", "SPH-08")
def test_what_comes_after_the_disconnect_of_its_session_leaves_nothing_behind(rig):
    """As through an executor that keeps no order."""
    session = {SESSION_ATTRIBUTES: {"color": "red"}}
    events: list[SessionSubscribedEvent] = []
    rig.events.connect(SessionSubscribedEvent, events.append)
    rig.client(StompCommand.DISCONNECT, "s1", **session)
    rig.outbound.take()
    rig.connect("s1", **session)
    rig.client(StompCommand.SUBSCRIBE, "s1", {"id": "a", "destination": "/topic/x"}, **session)
    assert (rig.broker.session_count, rig.broker.subscription_registry.subscriptions_of("s1")) == (0, ())
    assert (events, rig.answers()) == ([], [])
    assert SimpAttributes("s1", session[SESSION_ATTRIBUTES]).names == ("color",)


@pytest.mark.spec("SB-03", "SPH-08")
def test_a_disconnect_in_the_midst_of_a_subscribe_leaves_nothing_behind():
    class Registry(DefaultSubscriptionRegistry):
        def register_subscription(self, message):
            rig.client(StompCommand.DISCONNECT, "s1", **session)
            return super().register_subscription(message)

    rig = Rig(subscription_registry=Registry())
    session = {SESSION_ATTRIBUTES: {}}
    rig.connect("s1", **session)
    rig.client(StompCommand.SUBSCRIBE, "s1", {"id": "a", "destination": "/topic/x"}, **session)
    assert rig.broker.subscription_registry.subscriptions_of("s1") == ()


@pytest.mark.spec("SB-02", "SJS-07")
def test_another_session_of_the_same_id_is_not_the_one_that_is_over(rig):
    rig.client(StompCommand.DISCONNECT, "s1", **{SESSION_ATTRIBUTES: {}})
    session = {SESSION_ATTRIBUTES: {}}
    rig.connect("s1", **session)
    rig.client(StompCommand.SUBSCRIBE, "s1", {"id": "a", "destination": "/topic/x"}, **session)
    rig.outbound.take()
    rig.publish("/topic/x")
    assert rig.received() == [("s1", "a")]


@pytest.mark.spec("SB-03")
def test_a_heartbeat_asks_for_nothing(rig):
    rig.connect("s1")
    rig.outbound.take()
    accessor = StompHeaderAccessor.create_for_heartbeat()
    accessor.session_id = "s1"
    rig.inbound.send(Message(b"\n", accessor.message_headers))
    assert rig.answers() == []


@pytest.mark.spec("SB-03")
def test_control_headers_are_the_default():
    assert frozenset({"receipt", "content-length", "transaction", "login", "passcode"}) <= CONTROL_HEADERS


@pytest.mark.spec("SB-05")
def test_selectors_of_the_registry_are_used():
    rig = Rig(subscription_registry=DefaultSubscriptionRegistry(selector_header_name="selector"))
    rig.connect("s1")
    rig.subscribe("s1", "a", "/topic/x", selector="headers.foo == 'bar'")
    rig.outbound.take()
    rig.send("s1", "/topic/x", native={"foo": "baz"})
    assert rig.received() == []
    rig.send("s1", "/topic/x", native={"foo": "bar"})
    assert rig.received() == [("s1", "a")]


# -- SB-06


class LatestFirstExecutor:
    """Runs the task that came last first."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []

    def execute(self, task: Task) -> None:
        self.tasks.append(task)

    def run_all(self) -> None:
        while self.tasks:
            self.tasks.pop()()


def recording(rig: Rig) -> dict[str, list[Any]]:
    """What each session is handed, in the order in which it is."""
    handed: dict[str, list[Any]] = {}

    def hand(message: Message[Any]) -> None:
        if message.headers[MESSAGE_TYPE] is SimpMessageType.MESSAGE:
            handed.setdefault(message.headers[SESSION_ID], []).append(message.payload)

    rig.outbound.subscribe(hand)
    return handed


def ordered_rig(executor: Any, preserve: bool) -> Rig:
    rig = Rig(outbound_executor=executor, preserve_publish_order=preserve)
    configure_interceptor(rig.outbound, preserve)
    return rig


@pytest.mark.spec("SB-06", "CH-05")
@pytest.mark.parametrize(("preserve", "expected"), [(False, [2, 1, 0]), (True, [0, 1, 2])])
def test_an_executor_that_overtakes(preserve, expected):
    executor = LatestFirstExecutor()
    rig = ordered_rig(executor, preserve)
    handed = recording(rig)
    for session_id in ("s1", "s2"):
        rig.connect(session_id)
        rig.subscribe(session_id, "a", "/topic/x")
    executor.run_all()
    for number in range(3):
        rig.publish("/topic/x", number)
    executor.run_all()
    assert handed == {"s1": expected, "s2": expected}


@pytest.mark.spec("SB-06", "CH-05")
def test_one_message_of_a_session_at_a_time():
    executor = HeldExecutor()
    rig = ordered_rig(executor, True)
    handed = recording(rig)
    rig.connect("s1")
    rig.subscribe("s1", "a", "/topic/x")
    executor.run_all()
    for number in range(3):
        rig.publish("/topic/x", number)
    assert len(executor.tasks) == 1
    executor.run_next()
    assert (handed, len(executor.tasks)) == ({"s1": [0]}, 1)
    executor.run_all()
    assert handed == {"s1": [0, 1, 2]}


@pytest.mark.spec("SB-06", "CH-05")
def test_publish_order_with_native_threads():
    executor = ThreadPoolTaskExecutor(core_pool_size=4, queue_capacity=100_000)
    try:
        rig = ordered_rig(executor, True)
        handed = recording(rig)
        for number in range(5):
            rig.connect(f"s{number}")
            rig.subscribe(f"s{number}", "a", "/topic/x")
        for number in range(200):
            rig.publish("/topic/x", number)
    finally:
        finished = executor.shutdown(wait_ms=20_000)
    assert finished
    # What the pool could not take any more while it was shut down ran in the thread that released it: in order, too.
    assert handed == {f"s{number}": list(range(200)) for number in range(5)}


@pytest.mark.spec("SB-06", "CH-02", "CH-05")
def test_a_rejected_task_does_not_break_the_order():
    class Full:
        def execute(self, task: Task) -> None:
            raise TaskRejectedError("full")

    rig = ordered_rig(Full(), True)
    handed = recording(rig)
    rig.joined("s1", "a", "/topic/x")
    for number in range(3):
        rig.publish("/topic/x", number)
    assert handed == {"s1": [0, 1, 2]}


@pytest.mark.spec("SB-06")
def test_acknowledgements_and_answers_go_past_the_ordered_channel():
    executor = HeldExecutor()
    rig = ordered_rig(executor, True)
    recording(rig)
    rig.connect("s1")
    rig.subscribe("s1", "a", "/topic/x")
    executor.run_all()
    rig.outbound.take()
    for number in range(2):
        rig.publish("/topic/x", number)
    rig.client(StompCommand.ACK, "s1", {"id": "a"})
    rig.client(StompCommand.DISCONNECT, "s1")
    assert [kind for kind, _, _ in rig.answers()][1:] == [StompCommand.ERROR, SimpMessageType.DISCONNECT_ACK]


@pytest.mark.spec("SB-06")
@pytest.mark.parametrize(
    ("executor", "preserve", "ordered"),
    [(None, True, False), (HeldExecutor(), True, True), (HeldExecutor(), False, False)],
)
def test_only_a_channel_that_can_overtake_needs_the_ordered_way(executor, preserve, ordered):
    """Without an executor the channel keeps the order by itself, and messages stay untouched."""
    rig = ordered_rig(executor, preserve)
    rig.connect("s1")
    session = rig.broker._sessions["s1"]
    assert isinstance(session.channel, OrderedMessageChannelDecorator) is ordered


# -- anything else


@pytest.mark.spec("LOG-01")
def test_no_log_line_shows_a_passcode(caplog):
    caplog.set_level(logging.DEBUG)
    rig = Rig()
    rig.client(StompCommand.CONNECT, "s1", {"login": "joe", "passcode": "secret"})
    rig.client(StompCommand.CONNECT, "s1", {"login": "joe", "passcode": "secret"})
    rig.inbound.send(frame(StompCommand.CONNECT, None, {"login": "joe", "passcode": "secret"}))
    rig.outbound.error = RuntimeError("closed")
    rig.client(StompCommand.DISCONNECT, "s1")
    assert "secret" not in caplog.text


@pytest.mark.spec("SB-01")
def test_a_broker_for_all_destinations():
    rig = Rig()
    channel = ExecutorSubscribableChannel()
    broker = SimpleBrokerMessageHandler(channel, rig.outbound, ExecutorSubscribableChannel())
    broker.start()
    channel.send(frame(StompCommand.CONNECT, "s1"))
    channel.send(frame(StompCommand.SUBSCRIBE, "s1", {"id": "a", "destination": "anything"}))
    channel.send(frame(StompCommand.SEND, "s1", {"destination": "anything"}))
    assert isinstance(rig.outbound.last, BroadcastMessage)
