import pytest
from kit.channels import RecordingChannel

from wellhead.messaging.channel import ChannelInterceptor
from wellhead.messaging.converter.builtin import StringMessageConverter
from wellhead.messaging.converter.composite import default_converters
from wellhead.messaging.exceptions import MessageDeliveryError
from wellhead.messaging.handler.invocation import LOOKUP_DESTINATION, InvocationMessage
from wellhead.messaging.header_accessor import IdTimestampMessageHeaderInitializer
from wellhead.messaging.headers import ID_VALUE_NONE, MessageHeaders
from wellhead.messaging.message import Message
from wellhead.messaging.mime import parse_mime_type
from wellhead.messaging.mutable_headers import MutableMessageHeaders
from wellhead.messaging.native_headers import NATIVE_HEADERS
from wellhead.messaging.simp.accessor import SimpMessageHeaderAccessor
from wellhead.messaging.simp.template import SimpMessagingTemplate
from wellhead.messaging.simp.types import SimpMessageType
from wellhead.messaging.stomp.headers import StompHeaderAccessor
from wellhead.messaging.subscribable import ExecutorSubscribableChannel, ImmutableMessageChannelInterceptor


@pytest.fixture
def channel():
    return RecordingChannel(name="brokerChannel")


@pytest.fixture
def template(channel):
    return SimpMessagingTemplate(channel)


def accessor_of(message):
    return SimpMessageHeaderAccessor.get_accessor(message)


@pytest.mark.spec("TPL-03")
class TestSending:
    def test_the_destination_goes_into_a_header(self, channel, template):
        template.convert_and_send("/topic/a", "x")
        assert dict(channel.last.headers) == {
            "simpMessageType": SimpMessageType.MESSAGE,
            "simpDestination": "/topic/a",
        }
        assert channel.last.payload == "x"

    def test_the_messages_own_destination(self, channel, template):
        message = Message("x", {"simpDestination": "/topic/own"})
        template.send(message)
        assert channel.messages == [message]

    def test_else_the_default_one(self, channel):
        template = SimpMessagingTemplate(channel, default_destination="/topic/home")
        template.send(Message("x"))
        template.convert_and_send("y")
        template.send(Message("z", {"simpDestination": "/topic/own"}))
        assert [m.headers["simpDestination"] for m in channel.messages] == ["/topic/home", "/topic/home", "/topic/own"]

    def test_else_an_error(self, template):
        with pytest.raises(RuntimeError, match="^No 'defaultDestination' configured$"):
            template.send(Message("x"))

    def test_a_mutable_accessor_is_updated_in_place_and_left_mutable(self, channel, template):
        accessor = SimpMessageHeaderAccessor()
        accessor.leave_mutable = True
        message = Message("x", accessor.message_headers)
        template.send("/topic/a", message)
        assert channel.last is message
        assert accessor.is_mutable
        assert (accessor.destination, accessor.message_type) == ("/topic/a", SimpMessageType.MESSAGE)

    def test_a_type_that_is_set_stays(self, channel, template):
        accessor = SimpMessageHeaderAccessor(SimpMessageType.OTHER)
        accessor.leave_mutable = True
        template.send("/topic/a", Message("x", accessor.message_headers))
        assert accessor.message_type is SimpMessageType.OTHER

    def test_an_immutable_accessor_is_copied_in_its_class(self, channel, template):
        for original in (SimpMessageHeaderAccessor(), StompHeaderAccessor(SimpMessageType.MESSAGE)):
            original.set_header("a", 1)
            message = Message("x", original.message_headers)
            template.send("/topic/a", message)
            assert type(accessor_of(channel.last)) is type(original)
            assert channel.last.headers["a"] == 1
            assert channel.last.headers["simpDestination"] == "/topic/a"
            assert "simpDestination" not in message.headers

    def test_plain_headers_are_wrapped(self, channel, template):
        template.send("/topic/a", Message("x", {"a": 1}))
        assert type(accessor_of(channel.last)) is SimpMessageHeaderAccessor
        assert channel.last.headers["a"] == 1
        assert channel.last.headers["simpMessageType"] is SimpMessageType.MESSAGE

    def test_interceptors_may_still_change_what_was_converted(self, channel, template):
        class Adds(ChannelInterceptor):
            def pre_send(self, message, channel):
                accessor_of(message).set_native_header("added", "1")
                return message

        channel.add_interceptor(Adds())
        template.convert_and_send("/topic/a", "x")
        template.convert_and_send("/topic/a", "x", {"given": 2})
        assert channel.messages[0].headers[NATIVE_HEADERS] == {"added": ["1"]}
        assert channel.messages[1].headers[NATIVE_HEADERS] == {"given": ["2"], "added": ["1"]}

    @pytest.mark.parametrize(("timeout", "used"), [(-1, -1), (0, 0), (50, 50)])
    def test_the_timeout(self, channel, timeout, used):
        SimpMessagingTemplate(channel, send_timeout_ms=timeout).convert_and_send("/topic/a", "x")
        assert channel.timeouts == [used]

    def test_a_veto_raises(self, channel, template):
        channel.accept = False
        with pytest.raises(MessageDeliveryError) as raised:
            template.convert_and_send("/topic/a", "x")
        assert raised.value.description == "Failed to send message to destination '/topic/a' within timeout: -1"
        assert raised.value.failed_message is channel.refused[0]

    def test_the_header_initializer(self, channel):
        template = SimpMessagingTemplate(
            channel, header_initializer=IdTimestampMessageHeaderInitializer(enable_timestamp=True)
        )
        template.convert_and_send("/topic/a", "x")
        template.convert_and_send("/topic/a", "x", {"a": 1})
        template.send("/topic/a", Message("x"))
        for message in channel.messages:
            accessor_of(message).set_immutable()
            assert message.headers.timestamp is not None


@pytest.mark.spec("TPL-03")
class TestHeaderMap:
    def test_none_makes_a_mutable_accessor(self, channel, template):
        template.convert_and_send("/topic/a", "x", None)
        accessor = accessor_of(channel.last)
        assert accessor.is_mutable
        assert accessor.message_type is SimpMessageType.MESSAGE

    def test_any_mapping_becomes_native_headers_as_text(self, channel, template):
        plain = MessageHeaders({"b": 5, "a": "text"}, id=ID_VALUE_NONE, timestamp=-1)
        for headers in ({"a": "text", "b": 5, "c": None}, plain):
            template.convert_and_send("/topic/a", "x", headers)
            assert channel.last.headers[NATIVE_HEADERS] == {"a": ["text"], "b": ["5"]}
            assert "a" not in channel.last.headers

    def test_a_mapping_with_native_headers_is_used_as_it_is(self, channel, template):
        template.convert_and_send("/topic/a", "x", {NATIVE_HEADERS: {"a": ["1"]}, "b": 2})
        assert channel.last.headers[NATIVE_HEADERS] == {"a": ["1"]}
        assert channel.last.headers["b"] == 2

    def test_headers_of_an_accessor_are_used_as_they_are(self, channel, template):
        accessor = SimpMessageHeaderAccessor.create()
        accessor.session_id = "s1"
        accessor.leave_mutable = True
        template.convert_and_send("/topic/a", "x", accessor.message_headers)
        assert channel.last.headers is accessor.message_headers

    def test_frozen_headers_of_an_accessor_too(self, channel, template):
        accessor = SimpMessageHeaderAccessor.create()
        accessor.session_id = "s1"
        template.convert_and_send("/topic/a", "x", accessor.message_headers)
        assert channel.last.headers["simpSessionId"] == "s1"
        assert NATIVE_HEADERS not in channel.last.headers

    def test_converter_and_post_processor(self, channel):
        template = SimpMessagingTemplate(channel, message_converter=StringMessageConverter())
        template.convert_and_send("/topic/a", "x", {"a": 1}, lambda m: Message(m.payload + b"!", m.headers))
        assert channel.last.payload == b"x!"
        assert str(channel.last.headers["contentType"]) == "text/plain;charset=utf-8"


@pytest.mark.spec("TPL-04")
class TestUsers:
    @pytest.mark.parametrize(
        ("user", "destination", "expected"),
        [
            ("joe", "/queue/a", "/user/joe/queue/a"),
            ("joe", "queue/a", "/user/joe/queue/a"),
            ("joe/smith", "/queue/a", "/user/joe%2Fsmith/queue/a"),
            ("/", "/queue/a", "/user/%2F/queue/a"),
            ("a%2fb", "/queue/a", "/user/a%2fb/queue/a"),
        ],
    )
    def test_the_destination(self, channel, template, user, destination, expected):
        template.convert_and_send_to_user(user, destination, "x")
        assert channel.last.headers["simpDestination"] == expected

    @pytest.mark.parametrize(("prefix", "used"), [("/user/", "/user/"), ("/user", "/user/"), ("u", "u/")])
    def test_the_prefix(self, channel, prefix, used):
        template = SimpMessagingTemplate(channel, user_destination_prefix=prefix)
        assert template.user_destination_prefix == used
        template.convert_and_send_to_user("joe", "/queue/a", "x")
        assert channel.last.headers["simpDestination"] == f"{used}joe/queue/a"

    @pytest.mark.parametrize("prefix", ["", " ", None])
    def test_an_empty_prefix_is_refused(self, channel, template, prefix):
        with pytest.raises(ValueError, match="User destination prefix must not be null or empty"):
            SimpMessagingTemplate(channel, user_destination_prefix=prefix)
        with pytest.raises(ValueError, match="User destination prefix must not be null or empty"):
            template.user_destination_prefix = prefix

    def test_a_name_with_the_sequence_for_a_slash_is_refused(self, channel, template):
        with pytest.raises(ValueError, match='^Invalid sequence "%2F" in user name: joe%2Fsmith$'):
            template.convert_and_send_to_user("joe%2Fsmith", "/queue/a", "x")
        with pytest.raises(ValueError, match="User must not be null"):
            template.convert_and_send_to_user(None, "/queue/a", "x")
        assert channel.messages == []

    def test_headers_and_post_processor(self, channel, template):
        def louder(message):
            return Message(message.payload + "!", message.headers)

        template.convert_and_send_to_user("joe", "/queue/a", "x", {"a": 1}, louder)
        assert channel.last.payload == "x!"
        assert channel.last.headers[NATIVE_HEADERS] == {"a": ["1"]}


@pytest.mark.spec("TPL-04")
class TestSessions:
    def test_the_session_stands_for_the_user_and_is_in_a_header(self, channel, template):
        template.send_to_session("s1", "/queue/a", "x")
        assert channel.last.headers["simpDestination"] == "/user/s1/queue/a"
        assert channel.last.headers["simpSessionId"] == "s1"
        assert channel.last.headers["simpMessageType"] is SimpMessageType.MESSAGE
        assert accessor_of(channel.last).is_mutable

    def test_headers_as_everywhere(self, channel, template):
        template.send_to_session("s1", "queue/a", "x", {"a": 1}, lambda m: Message(m.payload + "!", m.headers))
        assert channel.last.payload == "x!"
        assert channel.last.headers[NATIVE_HEADERS] == {"a": ["1"]}
        accessor = SimpMessageHeaderAccessor.create(native_headers={"b": ["2"]})
        accessor.set_header("c", 3)
        for given in (accessor.message_headers, {NATIVE_HEADERS: {"b": ["2"]}, "c": 3}):
            template.send_to_session("s1", "queue/a", "x", given)
            assert channel.last.headers[NATIVE_HEADERS] == {"b": ["2"]}
            assert channel.last.headers["c"] == 3
            assert channel.last.headers["simpSessionId"] == "s1"
        assert "simpSessionId" not in accessor.message_headers


@pytest.mark.spec("TPL-03", "ANN-01")
@pytest.mark.parametrize("looked_at", [False, True])
def test_a_method_may_send_the_message_that_it_handles(looked_at):
    channel = ExecutorSubscribableChannel()
    channel.add_interceptor(ImmutableMessageChannelInterceptor())
    received = []
    channel.subscribe(received.append)
    accessor = SimpMessageHeaderAccessor(SimpMessageType.MESSAGE)
    accessor.session_id = "s1"
    handled = InvocationMessage(Message(b"hello", accessor.message_headers), "/say", {})
    if looked_at:
        assert handled.headers[LOOKUP_DESTINATION] == "/say"
    SimpMessagingTemplate(channel).send("/topic/a", handled)
    [message] = received
    assert message.payload == b"hello"
    assert message.headers["simpDestination"] == "/topic/a"
    assert message.headers["simpSessionId"] == "s1"


@pytest.mark.spec("TPL-03")
@pytest.mark.parametrize("asked_for_its_accessor", [False, True])
@pytest.mark.parametrize("values", [{}, {"simpMessageType": SimpMessageType.OTHER}, {"conversionHint": str, "a": 1}])
def test_headers_without_an_accessor_make_the_same_message(channel, asked_for_its_accessor, values):
    headers = MutableMessageHeaders(values.copy(), SimpMessageHeaderAccessor)
    if asked_for_its_accessor:
        assert headers.accessor.is_mutable
    template = SimpMessagingTemplate(channel, message_converter=default_converters())
    template.convert_and_send("/topic/a", "x", headers)
    expected = {
        "simpMessageType": SimpMessageType.MESSAGE,
        **values,
        "contentType": parse_mime_type("text/plain;charset=utf-8"),
        "simpDestination": "/topic/a",
    }
    assert channel.last.headers is headers
    assert dict(headers) == expected
    assert channel.last.payload == b"x"
    assert headers.mutable


@pytest.mark.spec("TPL-03")
def test_a_veto_raises_for_the_messages_own_destination_too(channel, template):
    class Veto(ChannelInterceptor):
        def pre_send(self, message, channel):
            return None

    channel.add_interceptor(Veto())
    for timeout_ms in (-1, 0, 50):
        template.send_timeout_ms = timeout_ms
        with pytest.raises(MessageDeliveryError, match=f"'/topic/own' within timeout: {timeout_ms}"):
            template.send(Message("x", {"simpDestination": "/topic/own"}))


@pytest.mark.spec("TPL-03")
def test_a_subclass_may_process_headers_of_an_accessor_too(channel):
    class Processing(SimpMessagingTemplate):
        def _process_headers_to_send(self, headers):
            processed = SimpMessageHeaderAccessor(super()._process_headers_to_send(headers))
            processed.set_native_header("added", "1")
            processed.leave_mutable = True
            return processed.message_headers

    template = Processing(channel)
    template.convert_and_send("/topic/a", "x", MutableMessageHeaders({}, SimpMessageHeaderAccessor))
    assert channel.last.headers[NATIVE_HEADERS] == {"added": ["1"]}
