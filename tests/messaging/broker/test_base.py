from __future__ import annotations

import logging
from typing import Any

import pytest
from kit.brokers import application_message, frame
from kit.channels import RecordingChannel

from wellhead.messaging.broker.base import AbstractBrokerMessageHandler
from wellhead.messaging.channel import ChannelInterceptor
from wellhead.messaging.events import ApplicationEvents, BrokerAvailabilityEvent
from wellhead.messaging.message import Message
from wellhead.messaging.stomp.command import StompCommand
from wellhead.messaging.subscribable import ExecutorSubscribableChannel
from wellhead.messaging.unsent import UnsentDisconnectChannelInterceptor

pytestmark = pytest.mark.spec("SB-01")


class Broker(AbstractBrokerMessageHandler):
    """Remembers what it was given, and in what state its channels were when it started and stopped."""

    error: Exception | None = None

    def __init__(self, *prefixes: str, **options: Any) -> None:
        self.inbound = ExecutorSubscribableChannel(name="inbound")
        self.application = ExecutorSubscribableChannel(name="broker")
        self.outbound = RecordingChannel(name="outbound")
        super().__init__(self.inbound, self.outbound, self.application, prefixes, **options)
        self.handled: list[Message[Any]] = []
        self.log: list[str] = []

    def _start_internal(self) -> None:
        self.log.append(f"start {self.listens}")
        if self.error is not None:
            raise self.error
        self._set_available(True)

    def _stop_internal(self) -> None:
        self.log.append(f"stop {self.listens}")
        self._set_available(False)

    def _handle_client_message(self, message: Message[Any]) -> None:
        self.handled.append(message)

    @property
    def listens(self) -> tuple[int, int, int]:
        """Subscribers of both channels, interceptors of the inbound one."""
        return len(self.inbound.subscribers), len(self.application.subscribers), len(self.inbound.interceptors)


class Veto(ChannelInterceptor):
    def pre_send(self, message: Message[Any], channel: object) -> Message[Any] | None:
        return None


DISCONNECT = frame(StompCommand.DISCONNECT, "s1")


def test_listens_before_it_starts_and_until_it_has_stopped():
    broker = Broker()
    assert (broker.is_running, broker.listens) == (False, (0, 0, 0))
    broker.start()
    assert (broker.is_running, broker.listens) == (True, (1, 1, 1))
    broker.stop()
    assert (broker.is_running, broker.listens) == (False, (0, 0, 0))
    assert broker.log == ["start (1, 1, 1)", "stop (1, 1, 1)"]


def test_starting_and_stopping_twice_does_nothing_more():
    broker = Broker()
    broker.stop()
    broker.start()
    broker.start()
    assert broker.listens == (1, 1, 1)
    broker.stop()
    broker.stop()
    assert broker.log == ["start (1, 1, 1)", "stop (1, 1, 1)"]


def test_a_broker_can_be_started_again():
    broker = Broker()
    broker.start()
    broker.stop()
    broker.start()
    broker.inbound.send(DISCONNECT)
    assert broker.handled == [DISCONNECT]


def test_a_start_that_fails_leaves_nothing_behind():
    broker = Broker()
    broker.error = ValueError("no scheduler")
    with pytest.raises(ValueError, match="no scheduler"):
        broker.start()
    assert (broker.is_running, broker.is_broker_available, broker.listens) == (False, False, (0, 0, 0))


def test_both_channels_bring_messages():
    broker = Broker()
    broker.start()
    message = application_message("/topic/a")
    broker.inbound.send(DISCONNECT)
    broker.application.send(message)
    assert broker.handled == [DISCONNECT, message]


def test_messages_are_ignored_while_it_does_not_run():
    broker = Broker()
    broker.handle_message(DISCONNECT)
    broker.handle_application_message(DISCONNECT)
    broker.start()
    broker.stop()
    broker.handle_message(DISCONNECT)
    broker.handle_application_message(DISCONNECT)
    assert broker.handled == []


@pytest.mark.spec("CH-04")
def test_a_disconnect_that_was_vetoed_reaches_the_broker_all_the_same():
    broker = Broker()
    broker.inbound.add_interceptor(Veto())
    broker.start()
    assert isinstance(broker.inbound.interceptors[0], UnsentDisconnectChannelInterceptor)
    broker.inbound.send(DISCONNECT)
    broker.inbound.send(frame(StompCommand.SEND, "s1", {"destination": "/topic/a"}))
    assert broker.handled == [DISCONNECT]


@pytest.mark.parametrize(
    ("prefixes", "user_prefix", "destination", "expected"),
    [
        # no destination: CONNECT, UNSUBSCRIBE, ACK
        (("/topic",), "/user/", None, True),
        ((), "/user/", None, True),
        # prefixes are plain text: no slash is added
        (("/topic", "/queue"), "/user/", "/topic/a", True),
        (("/topic", "/queue"), "/user/", "/queue/a", True),
        (("/topic", "/queue"), "/user/", "/topicality", True),
        (("/topic", "/queue"), "/user/", "/topi", False),
        (("/topic", "/queue"), "/user/", "/app/topic/a", False),
        (("/topic", "/queue"), "/user/", "/user/joe/queue/a", False),
        (("topic.",), "/user/", "topic.a", True),
        (("/topic/",), "/user/", "/topic", False),
        # prefixes win over the user prefix
        (("/user",), "/user/", "/user/joe/queue/a", True),
        # no prefixes: everything but destinations of users
        ((), "/user/", "/anything", True),
        ((), "/user/", "", True),
        ((), "/user/", "/user/joe/queue/a", False),
        ((), "/user/", "/users", True),
        ((), "/secret/", "/user/joe/queue/a", True),
        ((), None, "/user/joe/queue/a", True),
    ],
)
def test_destinations_of_the_broker(prefixes, user_prefix, destination, expected):
    broker = Broker(*prefixes, user_destination_prefix=user_prefix)
    assert broker.check_destination_prefix(destination) is expected


@pytest.mark.spec("EVT-01")
def test_availability_is_told_once_for_each_change():
    events = ApplicationEvents()
    told: list[BrokerAvailabilityEvent] = []
    events.connect(BrokerAvailabilityEvent, told.append)
    broker = Broker(events=events)
    broker.start()
    broker._set_available(True)
    assert broker.is_broker_available
    broker.stop()
    broker._set_available(False)
    assert not broker.is_broker_available
    assert [(event.available, event.broker) for event in told] == [(True, broker), (False, broker)]


def test_what_is_published_when_it_becomes_available_is_not_lost():
    events = ApplicationEvents()
    broker = Broker(events=events)
    message = application_message("/topic/a")

    def publish(event: BrokerAvailabilityEvent) -> None:
        if event.available:
            broker.application.send(message)

    events.connect(BrokerAvailabilityEvent, publish)
    broker.start()
    assert broker.handled == [message]


@pytest.mark.spec("LOG-01")
def test_start_stop_and_availability_are_logged_at_info(caplog):
    caplog.set_level(logging.INFO)
    broker = Broker("/topic")
    broker.start()
    broker.stop()
    assert [record.getMessage() for record in caplog.records] == [
        "Starting Broker[/topic]",
        "Broker[/topic] available",
        "Stopping Broker[/topic]",
        "Broker[/topic] not available",
    ]


def test_a_broker_without_a_say_on_messages_refuses_them():
    channel = ExecutorSubscribableChannel()
    broker = AbstractBrokerMessageHandler(channel, RecordingChannel(), ExecutorSubscribableChannel())
    broker.start()
    with pytest.raises(TypeError):
        broker.handle_message(DISCONNECT)
    assert str(broker) == "AbstractBrokerMessageHandler[all destinations]"
