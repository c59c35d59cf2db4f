import pytest

from wellhead.messaging.channel import ChannelInterceptor
from wellhead.messaging.exceptions import MessageDeliveryError
from wellhead.messaging.message import Message
from wellhead.messaging.simp.accessor import SimpMessageHeaderAccessor
from wellhead.messaging.simp.types import SimpMessageType
from wellhead.messaging.subscribable import ExecutorSubscribableChannel
from wellhead.messaging.unsent import UnsentDisconnectChannelInterceptor

pytestmark = pytest.mark.spec("CH-04")


class Broker:
    def __init__(self):
        self.got = []

    def handle_message(self, message):
        self.got.append(message)


class Veto(ChannelInterceptor):
    def pre_send(self, message, channel):
        return None


class Fails(ChannelInterceptor):
    def pre_send(self, message, channel):
        raise ValueError("bad")


def message_of(message_type):
    return Message(b"", SimpMessageHeaderAccessor.create(message_type).message_headers)


def channel_with(broker, *others):
    channel = ExecutorSubscribableChannel()
    channel.set_interceptors(others)
    channel.add_interceptor(UnsentDisconnectChannelInterceptor(broker), 0)
    return channel


def test_a_vetoed_disconnect_reaches_the_broker():
    broker, message = Broker(), message_of(SimpMessageType.DISCONNECT)
    assert channel_with(broker, Veto()).send(message) is False
    assert broker.got == [message]


def test_a_failed_disconnect_reaches_the_broker():
    broker, message = Broker(), message_of(SimpMessageType.DISCONNECT)
    with pytest.raises(MessageDeliveryError):
        channel_with(broker, Fails()).send(message)
    assert broker.got == [message]


def test_a_sent_disconnect_reaches_it_by_the_channel_alone():
    broker, message = Broker(), message_of(SimpMessageType.DISCONNECT)
    channel = channel_with(broker)
    channel.subscribe(broker)
    assert channel.send(message) is True
    assert broker.got == [message]


@pytest.mark.parametrize("message_type", [t for t in SimpMessageType if t is not SimpMessageType.DISCONNECT])
def test_other_messages_stay_unsent(message_type):
    broker = Broker()
    assert channel_with(broker, Veto()).send(message_of(message_type)) is False
    assert channel_with(broker, Veto()).send(Message("plain")) is False
    assert broker.got == []
