import pytest
from kit.channels import RecordingChannel

from wellhead.messaging.converter.builtin import StringMessageConverter
from wellhead.messaging.exceptions import DestinationResolutionError, MessageConversionError, MessageDeliveryError
from wellhead.messaging.header_accessor import MessageHeaderAccessor
from wellhead.messaging.message import Message
from wellhead.messaging.pollable import QueueChannel
from wellhead.messaging.template.destination_resolver import MappingDestinationResolver
from wellhead.messaging.template.generic import GenericMessagingTemplate


@pytest.fixture
def channel():
    return RecordingChannel(name="test")


@pytest.mark.spec("TPL-01")
class TestSending:
    def test_to_a_channel(self, channel):
        message = Message("x")
        GenericMessagingTemplate().send(channel, message)
        GenericMessagingTemplate(default_destination=channel).convert_and_send("y")
        assert [m.payload for m in channel.messages] == ["x", "y"]
        assert channel.messages[0] is message

    def test_by_name(self, channel):
        template = GenericMessagingTemplate(
            default_destination="home", destination_resolver=MappingDestinationResolver({"home": channel})
        )
        template.send("home", Message("x"))
        template.convert_and_send("home", "y")
        template.convert_and_send("z")
        assert [m.payload for m in channel.messages] == ["x", "y", "z"]
        with pytest.raises(DestinationResolutionError):
            template.convert_and_send("other", "x")

    def test_names_need_a_resolver(self):
        with pytest.raises(RuntimeError, match="DestinationResolver is required"):
            GenericMessagingTemplate().convert_and_send("home", "x")


@pytest.mark.spec("TPL-02")
class TestTimeouts:
    def test_refused_by_the_channel(self, channel):
        channel.accept = False
        with pytest.raises(MessageDeliveryError) as raised:
            GenericMessagingTemplate().send(channel, Message("x"))
        assert raised.value.description == (
            "Failed to send message to channel 'RecordingChannel[test]' within timeout: -1"
        )
        assert raised.value.failed_message.payload == "x"

    @pytest.mark.parametrize(
        ("option", "header", "used"),
        [(-1, None, -1), (50, None, 50), (0, None, 0), (50, 20, 20), (-1, "30", 30), (50, "-1", -1)],
    )
    def test_the_send_timeout_of_the_message_wins(self, channel, option, header, used):
        headers = {} if header is None else {"sendTimeout": header}
        GenericMessagingTemplate(send_timeout_ms=option).send(channel, Message("x", headers))
        assert channel.timeouts == [used]

    def test_timeout_headers_are_removed_before_sending(self, channel):
        template = GenericMessagingTemplate()
        template.send(channel, Message("x", {"sendTimeout": 1, "receiveTimeout": 2, "a": 3}))
        accessor = MessageHeaderAccessor({"sendTimeout": 1, "receiveTimeout": 2, "a": 3})
        accessor.leave_mutable = True
        mutable = Message("x", accessor.message_headers)
        template.send(channel, mutable)
        for message in channel.messages:
            assert {"id", "a"} <= set(message.headers) <= {"id", "timestamp", "a"}
        assert channel.messages[1] is mutable
        assert not accessor.is_mutable

    def test_header_names_can_be_changed(self, channel):
        template = GenericMessagingTemplate(send_timeout_header="st", receive_timeout_header="rt")
        template.send(channel, Message("x", {"st": 5, "rt": 6, "sendTimeout": 7}))
        assert channel.timeouts == [5]
        assert channel.last.headers["sendTimeout"] == 7
        assert "st" not in channel.last.headers


@pytest.mark.spec("TPL-02")
class TestReceiving:
    def test_the_next_message(self):
        channel = QueueChannel()
        template = GenericMessagingTemplate(default_destination=channel, receive_timeout_ms=0)
        for payload in ("x", "y"):
            template.send(channel, Message(payload))
        assert template.receive(channel).payload == "x"
        assert template.receive().payload == "y"
        assert template.receive() is None

    def test_converted(self):
        channel = QueueChannel()
        template = GenericMessagingTemplate(
            default_destination=channel, receive_timeout_ms=0, message_converter=StringMessageConverter()
        )
        template.convert_and_send("x")
        assert template.receive_and_convert(channel, str) == "x"
        assert template.receive_and_convert(None, str) is None

    def test_what_cannot_be_converted_raises(self):
        channel = QueueChannel()
        template = GenericMessagingTemplate(receive_timeout_ms=0)
        template.send(channel, Message("x"))
        with pytest.raises(MessageConversionError, match="Unable to convert payload") as raised:
            template.receive_and_convert(channel, int)
        assert raised.value.failed_message.payload == "x"

    def test_a_pollable_channel_is_needed(self, channel):
        with pytest.raises(RuntimeError, match="A PollableChannel is required to receive messages"):
            GenericMessagingTemplate().receive(channel)


@pytest.mark.spec("TPL-02")
class TestRequestAndReply:
    @staticmethod
    def replier(header, seen=None):
        def reply(message):
            if seen is not None:
                seen.append(message)
            to = message.headers[header]
            to.send(Message(f"re: {message.payload}", {"replyChannel": to, "errorChannel": to}))

        return reply

    @pytest.mark.parametrize("header", ["replyChannel", "errorChannel"])
    def test_the_reply_comes_with_the_original_headers(self, channel, header):
        seen = []
        channel.subscribe(self.replier(header, seen))
        request = Message("x", {"replyChannel": "mine", "sendTimeout": 7, "receiveTimeout": "9"})
        reply = GenericMessagingTemplate().send_and_receive(channel, request)
        assert reply.payload == "re: x"
        assert reply.headers.reply_channel == "mine"
        assert reply.headers.error_channel is None
        assert seen[0].headers.reply_channel is seen[0].headers.error_channel
        assert "sendTimeout" not in seen[0].headers
        assert "receiveTimeout" not in seen[0].headers
        assert channel.timeouts == [7]
        assert request.headers.reply_channel == "mine"

    def test_to_the_default_destination(self, channel):
        channel.subscribe(self.replier("replyChannel"))
        template = GenericMessagingTemplate(default_destination=channel)
        assert template.send_and_receive(Message("x")).payload == "re: x"
        assert template.convert_send_and_receive(None, "y", str) == "re: y"
        with pytest.raises(ValueError, match="Message must not be null"):
            template.send_and_receive(channel)

    def test_converting_both_ways(self, channel):
        channel.subscribe(lambda m: m.headers.reply_channel.send(Message(m.payload + b"!")))
        template = GenericMessagingTemplate(message_converter=StringMessageConverter())
        got = template.convert_send_and_receive(
            channel, "x", str, {"a": 1}, lambda m: Message(m.payload + b"y", m.headers)
        )
        assert got == "xy!"
        assert channel.last.headers["a"] == 1

    @pytest.mark.parametrize(("options", "headers"), [({"receive_timeout_ms": 0}, {}), ({}, {"receiveTimeout": "0"})])
    def test_no_reply_in_time(self, channel, options, headers):
        template = GenericMessagingTemplate(**options)
        assert template.send_and_receive(channel, Message("x", headers)) is None
        assert template.convert_send_and_receive(channel, "x", str, headers) is None

    @pytest.mark.parametrize("throw", [False, True])
    def test_a_late_reply(self, channel, throw, caplog):
        template = GenericMessagingTemplate(receive_timeout_ms=0, throw_exception_on_late_reply=throw)
        template.send_and_receive(channel, Message("x"))
        temporary = channel.last.headers.reply_channel
        if throw:
            with pytest.raises(MessageDeliveryError, match="due to a timeout"):
                temporary.send(Message("late"))
        else:
            assert temporary.send(Message("late")) is True
        assert "WARNING" in [record.levelname for record in caplog.records]

    def test_a_reply_after_sending_failed(self, channel, caplog):
        channel.error = ValueError("bad")
        with pytest.raises(MessageDeliveryError):
            GenericMessagingTemplate().send_and_receive(channel, Message("x"))
        channel.failed[0].headers.reply_channel.send(Message("late"))
        assert "due to an exception while sending the request message" in caplog.text
