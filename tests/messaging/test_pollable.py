import pytest

from wellhead.messaging.channel import ChannelInterceptor
from wellhead.messaging.message import Message
from wellhead.messaging.pollable import QueueChannel

pytestmark = pytest.mark.spec("CH-01")


class Recorder(ChannelInterceptor):
    def __init__(self, name, log, *, pre=True, post=None, error=None, completion_error=None):
        self.name, self.log = name, log
        self.pre, self.post, self.error, self.completion_error = pre, post, error, completion_error

    def pre_receive(self, channel):
        self.log.append(("pre", self.name))
        return self.pre

    def post_receive(self, message, channel):
        self.log.append(("post", self.name, message.payload))
        if self.error is not None:
            raise self.error
        return self.post(message) if self.post is not None else message

    def after_receive_completion(self, message, channel, error):
        self.log.append(("completion", self.name, message.payload if message else None, error))
        if self.completion_error is not None:
            raise self.completion_error


def channel_with(*options):
    channel, log = QueueChannel(), []
    for name, kwargs in zip("abc", options, strict=False):
        channel.add_interceptor(Recorder(name, log, **kwargs))
    channel.send(Message("x"))
    return channel, log


def test_messages_come_in_order():
    channel = QueueChannel()
    for payload in ("a", "b"):
        assert channel.send(Message(payload)) is True
    assert channel.queue_size == 2
    assert [channel.receive().payload, channel.receive(0).payload] == ["a", "b"]


def test_empty_gives_none_in_time():
    assert QueueChannel().receive(0) is None
    assert QueueChannel().receive(1) is None


def test_full_gives_false_in_time():
    channel = QueueChannel(2)
    assert [channel.send(Message("x"), timeout) for timeout in (0, 0, 0, 1)] == [True, True, False, False]
    assert channel.queue_size == 2


def test_capacity_must_be_positive():
    with pytest.raises(ValueError, match="positive"):
        QueueChannel(0)


def test_hooks_run_in_order_and_completion_in_reverse():
    channel, log = channel_with({"post": lambda m: Message("y")}, {})
    assert channel.receive(0).payload == "y"
    assert log == [
        ("pre", "a"),
        ("pre", "b"),
        ("post", "a", "x"),
        ("post", "b", "y"),
        ("completion", "b", "y", None),
        ("completion", "a", "y", None),
    ]


def test_pre_receive_aborts_and_completes_those_passed():
    channel, log = channel_with({}, {"pre": False}, {})
    assert channel.receive(0) is None
    assert log == [("pre", "a"), ("pre", "b"), ("completion", "a", None, None)]
    assert channel.queue_size == 1


def test_post_receive_may_return_none():
    channel, log = channel_with({"post": lambda m: None}, {})
    assert channel.receive(0) is None
    assert log[-2:] == [("completion", "b", None, None), ("completion", "a", None, None)]


def test_an_error_reaches_completion_and_the_caller():
    error = ValueError("bad")
    channel, log = channel_with({"error": error})
    with pytest.raises(ValueError, match="bad"):
        channel.receive(0)
    assert log[-1] == ("completion", "a", "x", error)


def test_an_error_of_completion_is_logged(caplog):
    channel, _ = channel_with({"completion_error": ValueError("late")})
    assert channel.receive(0).payload == "x"
    assert "after_receive_completion" in caplog.text
