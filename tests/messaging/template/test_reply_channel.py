import threading

import pytest

from wellhead.messaging.exceptions import MessageDeliveryError
from wellhead.messaging.message import Message
from wellhead.messaging.template.reply_channel import TemporaryReplyChannel

pytestmark = pytest.mark.spec("TPL-02")


def test_the_reply_is_received():
    channel, reply = TemporaryReplyChannel(), Message("reply")
    assert channel.send(reply) is True
    assert channel.receive() is reply


def test_the_receiver_waits_for_another_thread():
    channel, reply, got = TemporaryReplyChannel(), Message("reply"), []
    thread = threading.Thread(target=lambda: got.append(channel.receive()))
    thread.start()
    channel.send(reply)
    thread.join()
    assert got == [reply]


def receive(channel):
    channel.send(Message("reply"))
    channel.receive()


@pytest.mark.parametrize("throw", [False, True])
@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (lambda channel: channel.receive(0), "the receiving thread has exited due to a timeout"),
        (receive, "the receiving thread has already received a reply"),
        (lambda channel: channel.send(Message("reply")), "the receiving thread has already received a reply"),
        (
            lambda channel: channel.send_failed(),
            "the receiving thread has exited due to an exception while sending the request message",
        ),
    ],
)
def test_one_too_many(end, reason, throw, caplog):
    channel, late = TemporaryReplyChannel(throw_on_late_reply=throw), Message("late")
    end(channel)
    if throw:
        with pytest.raises(MessageDeliveryError) as raised:
            channel.send(late)
        assert raised.value.description == f"Reply message received but {reason}"
        assert raised.value.failed_message is late
    else:
        assert channel.send(late) is True
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert caplog.messages == [f"Reply message received but {reason}: {late}"]


def test_the_first_reply_counts():
    channel = TemporaryReplyChannel()
    channel.send(Message("first"))
    channel.send(Message("second"))
    assert channel.receive().payload == "first"


def test_a_timeout_gives_none():
    assert TemporaryReplyChannel().receive(0) is None
