import uuid

import pytest

from wellhead.messaging.builder import MessageBuilder
from wellhead.messaging.header_accessor import MessageHeaderAccessor
from wellhead.messaging.headers import MessageHeaders
from wellhead.messaging.message import ErrorMessage, Message
from wellhead.messaging.subscribable import ExecutorSubscribableChannel

pytestmark = pytest.mark.spec("MSG-03")


def build(**headers):
    return Message("payload", headers)


def test_with_payload():
    message = MessageBuilder.with_payload("x").set_header("a", 1).build()
    assert (message.payload, message.headers["a"]) == ("x", 1)
    assert message.headers.id is not None
    assert message.headers.timestamp is not None


def test_payload_and_message_are_required():
    with pytest.raises(ValueError, match="Payload must not be null"):
        MessageBuilder.with_payload(None)
    with pytest.raises(ValueError, match="Message must not be null"):
        MessageBuilder.from_message(None)


def test_create_message_uses_exactly_these_headers():
    accessor = MessageHeaderAccessor()
    accessor.leave_mutable = True
    headers = accessor.message_headers
    assert MessageBuilder.create_message("x", headers).headers is headers
    assert accessor.id is None
    assert isinstance(MessageBuilder.create_message(ValueError(), headers), ErrorMessage)


@pytest.mark.parametrize(
    "touch",
    [
        lambda b: b,
        lambda b: b.set_header("a", 1),
        lambda b: b.set_header("missing", None),
        lambda b: b.set_header_if_absent("a", 2),
        lambda b: b.copy_headers({"a": 1, "id": uuid.UUID(int=1), "timestamp": 5}),
        lambda b: b.copy_headers_if_absent({"a": 2}),
        lambda b: b.remove_header("id").remove_header("timestamp").remove_header("missing"),
        lambda b: b.remove_headers("x*", "id", "time*"),
    ],
)
def test_no_effective_change_gives_the_same_instance(touch):
    message = build(a=1)
    assert touch(MessageBuilder.from_message(message)).build() is message


def test_a_change_gives_a_new_id_and_timestamp():
    message = Message("payload", MessageHeaders({"a": 1}, timestamp=5))
    changed = MessageBuilder.from_message(message).set_header("a", 2).build()
    assert changed.headers["a"] == 2
    assert changed.headers.id != message.headers.id
    assert changed.headers.timestamp > 5
    assert message.headers["a"] == 1


def test_none_removes():
    assert "a" not in MessageBuilder.from_message(build(a=1)).set_header("a", None).build().headers


def test_set_if_absent():
    headers = MessageBuilder.from_message(build(a=1)).set_header_if_absent("b", 2).build().headers
    assert (headers["a"], headers["b"]) == (1, 2)


def test_copying():
    builder = MessageBuilder.from_message(build(a=1))
    headers = builder.copy_headers({"a": 2, "b": 3}).copy_headers_if_absent({"b": 4, "c": 5}).build().headers
    assert (headers["a"], headers["b"], headers["c"]) == (2, 3, 5)


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("foo", ["afoo", "foob", "afoob", "bar", "azb", "ab"]),
        ("foo*", ["afoo", "afoob", "bar", "azb", "ab"]),
        ("*foo", ["foob", "afoob", "bar", "azb", "ab"]),
        ("*foo*", ["bar", "azb", "ab"]),
        ("a*b", ["foo", "afoo", "foob", "bar"]),
        ("*", []),
        ("", ["foo", "afoo", "foob", "afoob", "bar", "azb", "ab"]),
        ("a*o*b", ["foo", "afoo", "foob", "bar", "azb", "ab"]),
        ("?oo", ["foo", "afoo", "foob", "afoob", "bar", "azb", "ab"]),
        ("aa*", ["foo", "afoo", "foob", "afoob", "bar", "azb", "ab"]),
        ("ab*b", ["foo", "afoo", "foob", "afoob", "bar", "azb", "ab"]),
    ],
)
def test_removing_by_pattern(pattern, left):
    names = ["foo", "afoo", "foob", "afoob", "bar", "azb", "ab"]
    message = MessageBuilder.from_message(build(**dict.fromkeys(names, 1))).remove_headers(pattern).build()
    assert [name for name in names if name in message.headers] == left


@pytest.mark.parametrize("name", ["id", "timestamp"])
def test_id_and_timestamp_are_read_only(name):
    with pytest.raises(ValueError, match=f"'{name}' header is read-only"):
        MessageBuilder.with_payload("x").set_header(name, 1)


def test_id_and_timestamp_are_not_copied_or_removed():
    foreign = uuid.UUID(int=1)
    message = MessageBuilder.with_payload("x").copy_headers({"id": foreign, "timestamp": 1, "a": 1}).build()
    assert message.headers.id != foreign
    assert message.headers.timestamp > 1
    assert MessageBuilder.from_message(message).set_header("a", 2).remove_headers("*").build().headers.id is not None


def test_reply_and_error_channel_are_channels_or_names():
    channel = ExecutorSubscribableChannel()
    message = MessageBuilder.with_payload("x").set_reply_channel(channel).set_error_channel("errors").build()
    assert message.headers.reply_channel is channel
    assert message.headers.error_channel == "errors"
    for name in ("replyChannel", "errorChannel"):
        with pytest.raises(ValueError, match=name):
            MessageBuilder.with_payload("x").set_header(name, 5)
        assert name not in MessageBuilder.from_message(message).set_header(name, None).build().headers


def test_an_error_builds_an_error_message_and_keeps_the_original():
    original = build(a=1)
    source = ErrorMessage(ValueError("bad"), {"b": 1}, original)
    message = MessageBuilder.from_message(source).set_header("c", 1).build()
    assert isinstance(message, ErrorMessage)
    assert message.payload is source.payload
    assert message.original_message is original
    assert MessageBuilder.with_payload(ValueError()).build().original_message is None
