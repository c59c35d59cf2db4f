import gc

import pytest

from wellhead.messaging.events import (
    ApplicationEvents,
    BrokerAvailabilityEvent,
    SessionConnectedEvent,
    SessionConnectEvent,
    SessionDisconnectEvent,
    SessionEvent,
    SessionSubscribedEvent,
    SessionSubscribeEvent,
    SessionUnsubscribeEvent,
)
from wellhead.messaging.message import Message

pytestmark = pytest.mark.spec("EVT-01")

MESSAGE = Message("x")


class Joe:
    name = "joe"


@pytest.mark.parametrize(
    "event_type",
    [
        SessionConnectEvent,
        SessionConnectedEvent,
        SessionSubscribeEvent,
        SessionSubscribedEvent,
        SessionUnsubscribeEvent,
    ],
)
def test_session_events_carry_message_and_user(event_type):
    user = Joe()
    event = event_type(MESSAGE, user)
    assert (event.message, event.user) == (MESSAGE, user)
    assert event_type(MESSAGE).user is None
    assert repr(event) == f"{event_type.__name__}[{MESSAGE}]"
    assert not hasattr(event, "__dict__")


def test_disconnect_event_carries_how_and_why():
    user = Joe()
    event = SessionDisconnectEvent(MESSAGE, "s1", "1000", user, "client closed")
    assert (event.message, event.session_id, event.close_status) == (MESSAGE, "s1", "1000")
    assert (event.user, event.reason) == (user, "client closed")
    assert repr(event) == "SessionDisconnectEvent[sessionId=s1, 1000, reason=client closed]"


def test_availability_event():
    event = BrokerAvailabilityEvent(True, "broker")
    assert (event.available, event.broker) == (True, "broker")
    assert repr(event) == "BrokerAvailabilityEvent[available=True, broker]"


def test_receivers_are_called_at_once_in_the_order_of_connecting():
    events, got = ApplicationEvents(), []
    receivers = [lambda event, number=number: got.append((number, event)) for number in range(20)]
    for receiver in receivers:
        assert events.connect(SessionConnectEvent, receiver) is receiver
    event = SessionConnectEvent(MESSAGE)
    events.publish(event)
    assert got == [(number, event) for number in range(20)]


def test_only_the_type_that_was_asked_for():
    events, got = ApplicationEvents(), []
    events.connect(SessionConnectEvent, got.append)
    events.publish(SessionConnectedEvent(MESSAGE))
    events.publish(BrokerAvailabilityEvent(True, None))
    assert got == []


def test_receivers_of_a_base_class_get_all():
    events, got = ApplicationEvents(), []
    events.connect(SessionEvent, got.append)
    published = [SessionConnectEvent(MESSAGE), SessionDisconnectEvent(MESSAGE, "s", None)]
    for event in published:
        assert events.has_receivers(type(event))
        events.publish(event)
    assert got == published


def test_the_last_ones_come_after_all_others():
    events, got = ApplicationEvents(), []
    events.connect(SessionConnectEvent, lambda event: got.append("registry"), last=True)
    events.connect(SessionConnectEvent, lambda event: got.append("first"))
    events.connect(SessionEvent, lambda event: got.append("base"))
    events.publish(SessionConnectEvent(MESSAGE))
    assert got == ["first", "base", "registry"]


def test_connecting_twice_calls_once():
    class Receiver:
        def __init__(self):
            self.got = []

        def take(self, event):
            self.got.append(event)

    events, receiver = ApplicationEvents(), Receiver()
    for _ in range(2):
        events.connect(SessionConnectEvent, receiver.take)
    events.publish(SessionConnectEvent(MESSAGE))
    assert len(receiver.got) == 1
    events.disconnect(SessionConnectEvent, receiver.take)
    events.publish(SessionConnectEvent(MESSAGE))
    assert len(receiver.got) == 1


def test_disconnecting():
    events, got = ApplicationEvents(), []

    def receiver(event):
        got.append(event)

    for last in (False, True):
        events.connect(SessionConnectEvent, receiver, last=last)
        events.disconnect(SessionConnectEvent, receiver)
        assert not events.has_receivers(SessionConnectEvent)
    events.disconnect(SessionConnectEvent, receiver)
    events.disconnect(SessionConnectedEvent, receiver)
    events.publish(SessionConnectEvent(MESSAGE))
    assert got == []


def test_the_decorator_gives_the_function_back():
    events, got = ApplicationEvents(), []

    @events.on(SessionConnectEvent)
    def receiver(event):
        got.append(event.message)

    events.publish(SessionConnectEvent(MESSAGE))
    receiver(SessionConnectEvent(MESSAGE))
    assert got == [MESSAGE, MESSAGE]


def test_methods_are_held_unless_connected_weakly():
    class Receiver:
        def __init__(self, got):
            self.got = got

        def take(self, event):
            self.got.append(event)

    for weak, calls in ((False, 1), (True, 0)):
        events, got = ApplicationEvents(), []
        receiver = Receiver(got)
        events.connect(SessionConnectEvent, receiver.take, weak=weak)
        events.publish(SessionConnectEvent(MESSAGE))
        assert len(got) == 1
        got.clear()
        del receiver
        gc.collect()
        events.publish(SessionConnectEvent(MESSAGE))
        assert len(got) == calls


def test_has_receivers():
    events = ApplicationEvents()
    assert not events.has_receivers(SessionConnectEvent)
    events.connect(SessionConnectEvent, print, last=True)
    assert events.has_receivers(SessionConnectEvent)
    assert not events.has_receivers(SessionConnectedEvent)


@pytest.mark.spec("LOG-01")
def test_an_error_is_logged_and_the_others_are_called(caplog):
    events, got = ApplicationEvents(), []

    @events.on(SessionConnectEvent)
    def fails(event):
        raise ValueError("bad")

    events.connect(SessionConnectEvent, got.append)
    event = SessionConnectEvent(MESSAGE)
    events.publish(event)
    assert got == [event]
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert caplog.messages == [f"Error publishing {event}"]
    assert caplog.records[0].exc_info[1].args == ("bad",)


def test_connecting_while_publishing_counts_for_the_next_event():
    events, got = ApplicationEvents(), []

    @events.on(SessionConnectEvent)
    def connects(event):
        events.connect(SessionConnectEvent, got.append)

    events.publish(SessionConnectEvent(MESSAGE))
    assert got == []
    events.publish(SessionConnectEvent(MESSAGE))
    assert len(got) == 1
