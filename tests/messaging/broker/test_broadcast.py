from __future__ import annotations

from typing import Any

import pytest
from kit.brokers import User, application_message, frame

from wellhead.messaging.broker.broadcast import CONTROL_HEADERS, Broadcast, BroadcastMessage
from wellhead.messaging.broker.contract import Subscription
from wellhead.messaging.headers import ID, TIMESTAMP
from wellhead.messaging.message import Message
from wellhead.messaging.native_headers import NATIVE_HEADERS
from wellhead.messaging.simp.accessor import (
    DESTINATION,
    MESSAGE_TYPE,
    SESSION_ATTRIBUTES,
    SESSION_ID,
    SUBSCRIPTION_ID,
    USER,
    SimpMessageHeaderAccessor,
)
from wellhead.messaging.simp.ordered import NEXT_MESSAGE_TASK
from wellhead.messaging.simp.types import SimpMessageType
from wellhead.messaging.stomp.command import StompCommand
from wellhead.messaging.stomp.decoder import StompDecoder
from wellhead.messaging.stomp.headers import StompHeaderAccessor
from wellhead.messaging.subscribable import ImmutableMessageChannelInterceptor

pytestmark = pytest.mark.spec("SB-03")

SUBSCRIPTION = Subscription("s2", "sub0", "/topic/a")
FREEZE = ImmutableMessageChannelInterceptor()


def message_for(source: Message[Any], *arguments: Any) -> BroadcastMessage:
    return BroadcastMessage(Broadcast(source, *arguments), SUBSCRIPTION)


def sent(native: dict[str, Any] | None = None, **headers: Any) -> Message[Any]:
    return frame(StompCommand.SEND, "s1", {"destination": "/topic/a", **(native or {})}, payload=b"hello", **headers)


def received(native: dict[str, Any] | None = None) -> Message[Any]:
    """The same as it comes from the decoder: the frame's head is known, so that the native headers are shared."""
    lines = "".join(f"{name}:{value}\n" for name, value in {"destination": "/topic/a", **(native or {})}.items())
    data = f"SEND\n{lines}\nhello\0".encode()
    return [message for _ in range(3) for message in StompDecoder().decode(data)][2]


def test_a_recipient_gets_the_headers_of_the_source_and_its_own_session_and_subscription():
    user, attributes = User("joe"), {"key": "value"}
    source = sent({"foo": ["bar", "baz"]}, **{USER: user, SESSION_ATTRIBUTES: attributes, "myHeader": 7})
    headers = message_for(source).headers
    assert headers[SESSION_ID] == "s2"
    assert headers[SUBSCRIPTION_ID] == "sub0"
    assert headers[MESSAGE_TYPE] is SimpMessageType.MESSAGE
    assert headers[DESTINATION] == "/topic/a"
    assert headers[USER] is user
    assert headers[SESSION_ATTRIBUTES] is attributes
    assert headers["myHeader"] == 7
    assert headers[NATIVE_HEADERS] == {"destination": ["/topic/a"], "foo": ["bar", "baz"]}


def test_id_timestamp_and_the_senders_place_in_its_own_order_do_not_travel():
    source = Message(b"", {MESSAGE_TYPE: SimpMessageType.MESSAGE, DESTINATION: "/topic/a", NEXT_MESSAGE_TASK: print})
    assert source.headers[ID] and source.headers[TIMESTAMP]
    headers = message_for(source).headers
    assert not {ID, TIMESTAMP, NEXT_MESSAGE_TASK} & set(headers)


def test_a_broadcast_does_not_ask_for_the_id_of_the_source():
    source = Message(b"", {MESSAGE_TYPE: SimpMessageType.MESSAGE, DESTINATION: "/topic/a"})
    Broadcast(source)
    assert source.headers._unmade == ID


def test_the_payload_is_shared():
    payload = bytearray(b"hello")
    source = application_message("/topic/a", payload)
    assert message_for(source).payload is message_for(source).payload is payload


@pytest.mark.parametrize(
    ("name", "travels", "travels_in_spring"),
    [
        ("receipt", False, True),
        ("content-length", False, True),
        ("transaction", False, True),
        ("ack", False, True),
        ("login", False, True),
        ("passcode", False, True),
        ("authorization", False, True),
        ("Authorization", False, True),
        ("foo", True, True),
        ("id", True, True),
        ("selector", True, True),
        ("content-type", True, True),
        ("priority", True, True),
        # each recipient has its own of these, and the first one counts on the wire
        ("subscription", False, False),
        ("message-id", False, False),
    ],
)
@pytest.mark.parametrize("made", [sent, received])
def test_native_headers_that_travel(made, name, travels, travels_in_spring):
    value = "5" if name == "content-length" else "text/plain"
    source = made({name: value})
    for _ in range(2):
        native = message_for(source).headers[NATIVE_HEADERS]
        assert native == {"destination": ["/topic/a"], **({name: [value]} if travels else {})}
        assert (name in message_for(source, frozenset()).headers[NATIVE_HEADERS]) is travels_in_spring
    assert name in source.headers[NATIVE_HEADERS]


@pytest.mark.spec("MSG-05")
def test_recipients_may_change_the_native_headers_of_frames_with_one_head():
    for _ in range(2):
        headers = message_for(received({"foo": "bar"})).headers
        assert headers[NATIVE_HEADERS] == {"destination": ["/topic/a"], "foo": ["bar"]}
        headers.accessor.add_native_header("foo", "baz")
        headers.accessor.remove_native_header("destination")


def test_the_default_is_the_set_of_control_headers():
    source = sent({name: "x" for name in CONTROL_HEADERS})
    assert message_for(source).headers[NATIVE_HEADERS] == {"destination": ["/topic/a"]}


def test_a_message_without_native_headers_gets_none():
    assert NATIVE_HEADERS not in message_for(application_message("/topic/a")).headers


# -- made when somebody looks


def test_headers_are_made_on_the_first_look_and_stay():
    message = message_for(sent())
    assert message.live_headers() is None
    assert message.is_untouched
    headers = message.headers
    assert message.live_headers() is headers is message.headers
    assert message.is_untouched


def test_freezing_does_not_make_headers():
    message = message_for(sent())
    assert FREEZE.pre_send(message, None) is message
    assert message.live_headers() is None


@pytest.mark.parametrize(
    "change",
    [
        lambda accessor: accessor.set_header("foo", "bar"),
        lambda accessor: accessor.remove_header(USER),
        lambda accessor: accessor.set_native_header("foo", "baz"),
        lambda accessor: accessor.add_native_header("foo", "baz"),
        lambda accessor: accessor.remove_native_header("foo"),
        lambda accessor: setattr(accessor, "destination", "/topic/b"),
        lambda accessor: setattr(accessor, "session_attributes", {}),
    ],
)
def test_a_changed_header_is_noticed_and_is_of_this_recipient_alone(change):
    source = sent({"foo": "bar"}, **{USER: User("joe")})
    broadcast = Broadcast(source)
    one, two = BroadcastMessage(broadcast, SUBSCRIPTION), BroadcastMessage(broadcast, SUBSCRIPTION)
    before = dict(two.headers)
    accessor = SimpMessageHeaderAccessor.get_accessor(one)
    assert accessor is not None and accessor.is_mutable
    change(accessor)
    assert not one.is_untouched
    assert two.is_untouched
    assert dict(two.headers) == before
    assert source.headers[NATIVE_HEADERS]["foo"] == ["bar"]


def test_setting_what_is_there_already_is_no_change():
    message = message_for(sent({"foo": "bar"}))
    accessor = SimpMessageHeaderAccessor.get_accessor(message)
    assert accessor is not None
    accessor.set_header(DESTINATION, "/topic/a")
    accessor.set_native_header("foo", "bar")
    assert message.is_untouched


def test_headers_that_were_looked_at_are_frozen_like_any_others():
    message = message_for(sent())
    accessor = SimpMessageHeaderAccessor.get_accessor(message)
    assert accessor is not None
    FREEZE.pre_send(message, None)
    with pytest.raises(RuntimeError, match="Already immutable"):
        accessor.set_header("foo", "bar")
    assert message.is_untouched


def test_it_can_be_wrapped_as_a_stomp_frame():
    accessor = StompHeaderAccessor.wrap(message_for(sent({"subscription": "forged"})))
    accessor.update_stomp_command_as_server_message()
    assert accessor.command is StompCommand.MESSAGE
    assert accessor.get_native_header("subscription") == ["sub0"]
    assert accessor.destination == "/topic/a"


def test_it_is_a_message_like_any_other():
    source = sent()
    one, two = message_for(source), message_for(source)
    assert one == two
    assert hash(one) == hash(two)
    assert one != message_for(sent({"foo": "bar"}))
    assert "payload=byte[5]" in repr(one)
