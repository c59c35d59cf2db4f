import pytest

from wellhead.messaging.channel import (
    CallableMessageHandler,
    ChannelInterceptor,
    ExecutorChannelInterceptor,
    MessageHandler,
)
from wellhead.messaging.message import Message
from wellhead.messaging.subscribable import ExecutorSubscribableChannel


@pytest.mark.spec("CH-01")
def test_an_interceptor_lets_everything_pass_unless_it_says_otherwise():
    channel, message = ExecutorSubscribableChannel(), Message("x")
    interceptor = ChannelInterceptor()
    assert interceptor.pre_send(message, channel) is message
    assert interceptor.post_send(message, channel, True) is None
    assert interceptor.after_send_completion(message, channel, True, None) is None
    assert interceptor.pre_receive(channel) is True
    assert interceptor.post_receive(message, channel) is message
    assert interceptor.after_receive_completion(message, channel, None) is None


@pytest.mark.spec("CH-03")
def test_so_does_one_around_handling():
    channel, message = ExecutorSubscribableChannel(), Message("x")
    interceptor, handler = ExecutorChannelInterceptor(), CallableMessageHandler(print)
    assert interceptor.before_handle(message, channel, handler) is message
    assert interceptor.after_message_handled(message, channel, handler, None) is None


@pytest.mark.spec("CH-02")
def test_functions_are_handlers_and_equal_when_the_function_is():
    class Receiver:
        def __init__(self):
            self.got = []

        def take(self, message):
            self.got.append(message.payload)

    receiver = Receiver()
    handler = CallableMessageHandler(receiver.take)
    handler.handle_message(Message("x"))
    assert receiver.got == ["x"]
    assert isinstance(handler, MessageHandler)
    assert handler == CallableMessageHandler(receiver.take)
    assert hash(handler) == hash(CallableMessageHandler(receiver.take))
    assert handler != CallableMessageHandler(Receiver().take)
    assert "take" in repr(handler)
