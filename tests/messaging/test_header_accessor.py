import uuid

import pytest

from wellhead.messaging.header_accessor import (
    IdTimestampMessageHeaderInitializer,
    MessageHeaderAccessor,
    MutableMessageHeaders,
    neutralized,
)
from wellhead.messaging.headers import ID_VALUE_NONE, MessageHeaders, set_id_generator
from wellhead.messaging.message import Message
from wellhead.messaging.mime import MimeType
from wellhead.messaging.native_headers import NativeMessageHeaderAccessor

pytestmark = pytest.mark.spec("MSG-04")


class OwnAccessor(NativeMessageHeaderAccessor):
    __slots__ = ()


def accessor_with(**headers):
    accessor = MessageHeaderAccessor()
    for name, value in headers.items():
        accessor.set_header(name, value)
    return accessor


class TestLifeCycle:
    def test_new_accessors_have_neither_id_nor_timestamp(self):
        assert MessageHeaderAccessor().to_map() == {}
        assert MessageHeaderAccessor(Message("x", {"a": 1})).to_map() == {"a": 1}
        assert MessageHeaderAccessor({"a": 1, "id": uuid.UUID(int=1), "timestamp": 5}).to_map() == {"a": 1}

    def test_wrapping_makes_no_id_that_nobody_asked_for(self):
        made = []
        set_id_generator(lambda: made.append(1) or uuid.uuid4())
        try:
            MessageHeaderAccessor(Message("x", {"a": 1}))
        finally:
            set_id_generator(None)
        assert made == []

    def test_taking_the_headers_freezes_them(self):
        accessor = accessor_with(a=1)
        headers = accessor.message_headers
        assert not accessor.is_mutable
        assert isinstance(headers.id, uuid.UUID)
        assert headers.timestamp is None
        assert accessor.message_headers is headers

    def test_headers_that_are_left_mutable_are_live(self):
        accessor = accessor_with(a=1)
        accessor.leave_mutable = True
        headers = accessor.message_headers
        accessor.set_header("a", 2)
        assert accessor.is_mutable
        assert headers["a"] == 2
        assert headers.id is None

    def test_leave_mutable_must_be_set_while_mutable(self):
        accessor = MessageHeaderAccessor()
        accessor.set_immutable()
        with pytest.raises(RuntimeError, match="Already immutable"):
            accessor.leave_mutable = True

    def test_freezing_twice_does_nothing_more(self):
        accessor = MessageHeaderAccessor()
        accessor.set_immutable()
        first = accessor.id
        accessor.set_immutable()
        assert accessor.id is first

    def test_timestamp_only_when_enabled(self):
        accessor = MessageHeaderAccessor()
        accessor.enable_timestamp()
        assert accessor.timestamp is None
        accessor.set_immutable()
        assert accessor.timestamp > 0

    def test_generator_that_gives_no_id(self):
        for none in (ID_VALUE_NONE, uuid.UUID(int=0)):
            accessor = MessageHeaderAccessor()
            accessor.set_id_generator(lambda none=none: none)
            assert accessor.message_headers.id is None

    @pytest.mark.parametrize(
        "change",
        [
            lambda a: a.set_header("a", 2),
            lambda a: a.set_header("a", None),
            lambda a: a.set_header_if_absent("b", 2),
            lambda a: a.remove_header("a"),
            lambda a: a.remove_headers("a*"),
            lambda a: a.copy_headers({"a": 2}),
            lambda a: a.copy_headers_if_absent({"b": 2}),
        ],
    )
    def test_changes_after_freezing_raise(self, change):
        accessor = accessor_with(a=1)
        accessor.set_immutable()
        with pytest.raises(RuntimeError, match="Already immutable"):
            change(accessor)
        assert accessor.get_header("a") == 1

    def test_the_live_headers_are_read_only_themselves(self):
        accessor = MessageHeaderAccessor()
        accessor.leave_mutable = True
        with pytest.raises(TypeError, match="MessageHeaders is immutable"):
            accessor.message_headers["a"] = 1

    def test_detached_copies(self):
        accessor = accessor_with(a=1)
        headers, values = accessor.to_message_headers(), accessor.to_map()
        accessor.set_header("a", 2)
        assert type(headers) is MessageHeaders
        assert headers["a"] == values["a"] == 1
        assert headers.id is not None
        assert headers.timestamp is not None
        assert headers.id != accessor.to_message_headers().id


class TestLookup:
    def test_live_accessor_of_a_message(self):
        accessor = OwnAccessor()
        message = Message("x", accessor.message_headers)
        assert MessageHeaderAccessor.get_accessor(message) is accessor
        assert OwnAccessor.get_accessor(message) is accessor
        assert OwnAccessor.get_accessor(message.headers) is accessor

    def test_no_accessor_of_another_class_or_for_plain_headers(self):
        assert OwnAccessor.get_accessor(Message("x", MessageHeaderAccessor().message_headers)) is None
        assert MessageHeaderAccessor.get_accessor(Message("x", {"a": 1})) is None

    def test_mutable_accessor_is_the_live_one_while_it_can_be_changed(self):
        accessor = OwnAccessor()
        accessor.leave_mutable = True
        message = Message("x", accessor.message_headers)
        assert MessageHeaderAccessor.get_mutable_accessor(message) is accessor

    def test_mutable_accessor_of_frozen_headers_is_a_copy_of_the_same_class(self):
        accessor = OwnAccessor()
        accessor.set_header("a", 1)
        message = Message("x", accessor.message_headers)
        copied = MessageHeaderAccessor.get_mutable_accessor(message)
        assert type(copied) is OwnAccessor
        assert copied is not accessor
        assert copied.is_mutable
        copied.set_header("a", 2)
        assert message.headers["a"] == 1

    def test_mutable_accessor_of_plain_headers_is_the_base_class(self):
        copied = MessageHeaderAccessor.get_mutable_accessor(Message("x", {"a": 1}))
        assert type(copied) is MessageHeaderAccessor
        assert copied.get_header("a") == 1


class TestHeaders:
    def test_modified_only_by_another_value(self):
        accessor = MessageHeaderAccessor(Message("x", {"a": [1]}))
        accessor.set_header("a", [1])
        accessor.set_header("missing", None)
        accessor.remove_header("missing")
        assert not accessor.is_modified
        accessor.set_header("a", [2])
        assert accessor.is_modified

    def test_removing_is_a_modification(self):
        accessor = MessageHeaderAccessor({"a": 1})
        accessor.remove_header("a")
        assert accessor.is_modified

    def test_read_only_names(self):
        for name in ("id", "timestamp"):
            with pytest.raises(ValueError, match=f"'{name}' header is read-only"):
                MessageHeaderAccessor().set_header(name, 1)

    def test_content_type_is_parsed(self):
        assert accessor_with(contentType="text/plain").content_type == MimeType("text", "plain")
        mime_type = MimeType("a", "b")
        assert accessor_with(contentType=mime_type).content_type is mime_type
        assert MessageHeaderAccessor().content_type is None

    def test_typed_setters(self):
        accessor = MessageHeaderAccessor()
        accessor.content_type, accessor.reply_channel, accessor.error_channel = "a/b", "r", "e"
        assert accessor.to_map() == {"contentType": "a/b", "replyChannel": "r", "errorChannel": "e"}
        assert (accessor.reply_channel, accessor.error_channel) == ("r", "e")

    def test_a_channel_header_of_another_type_is_refused(self):
        with pytest.raises(ValueError, match="'replyChannel' header value must be a MessageChannel or str"):
            MessageHeaderAccessor().reply_channel = 5


class TestLogForms:
    @pytest.mark.parametrize(
        ("length", "shown"), [(79, "x" * 79), (80, "x" * 80 + "...(truncated)"), (81, "x" * 80 + "...(truncated)")]
    )
    def test_short_form_cuts_text(self, length, shown):
        assert accessor_with(a=1).short_log_message("x" * length) == f"headers={{'a': 1}} payload={shown}"

    @pytest.mark.parametrize(
        ("length", "shown"), [(79, "x" * 79), (80, "x" * 80 + "...(truncated)"), (81, "x" * 80 + "...(truncated)")]
    )
    def test_short_form_cuts_readable_bytes(self, length, shown):
        text = accessor_with(contentType="text/plain").short_log_message(b"x" * length)
        assert text.endswith(f" payload={shown}")

    @pytest.mark.parametrize(
        "readable", ["application/json", "application/xml", "text/csv", "application/a+json", "application/a+xml"]
    )
    def test_readable_types(self, readable):
        assert accessor_with(contentType=readable).short_log_message(b"abc").endswith(" payload=abc")
        assert accessor_with(contentType=readable).detailed_log_message(b"a" * 99).endswith(" payload=" + "a" * 99)

    @pytest.mark.parametrize("other", ["application/octet-stream", "image/svg+xml", "application/jsonx", None])
    def test_unreadable_bytes_show_their_number(self, other):
        accessor = accessor_with(contentType=other)
        assert accessor.short_log_message(b"abc").endswith(" payload=byte[3]")
        assert accessor.detailed_log_message(b"abc").endswith(" payload=byte[3]")

    def test_bytes_are_decoded_by_their_charset(self):
        accessor = accessor_with(contentType="text/plain;charset=latin-1")
        assert accessor.short_log_message("ä".encode("latin-1")).endswith(" payload=ä")

    def test_other_objects(self):
        class Thing:
            def __init__(self, length):
                self.length = length

            def __str__(self):
                return "x" * self.length

        accessor = MessageHeaderAccessor()
        assert accessor.short_log_message(Thing(79)) == "headers={} payload=" + "x" * 79
        thing = Thing(80)
        assert accessor.short_log_message(thing) == f"headers={{}} payload=Thing@{id(thing):x}"
        assert accessor.detailed_log_message(thing) == "headers={} payload=" + "x" * 80

    @pytest.mark.spec("LOG-01")
    def test_a_payload_cannot_forge_a_line(self):
        text = MessageHeaderAccessor().short_log_message("a\nERROR b\r\x1b[31m\u2028ä")
        assert text == r"headers={} payload=a\nERROR b\r\x1b[31m\u2028ä"

    @pytest.mark.spec("LOG-01")
    def test_printable_text_stays_as_it_is(self):
        assert neutralized("grüße 'x' \\n") == "grüße 'x' \\n"


class TestInitializer:
    def test_without_options_nothing_changes(self):
        accessor = MessageHeaderAccessor()
        IdTimestampMessageHeaderInitializer().init_headers(accessor)
        headers = accessor.message_headers
        assert headers.id is not None
        assert headers.timestamp is None

    def test_options(self):
        accessor = MessageHeaderAccessor()
        fixed = uuid.UUID(int=3)
        IdTimestampMessageHeaderInitializer(id_generator=lambda: fixed, enable_timestamp=True).init_headers(accessor)
        headers = accessor.message_headers
        assert headers.id == fixed
        assert headers.timestamp is not None

    def test_ids_can_be_disabled(self):
        accessor = MessageHeaderAccessor()
        IdTimestampMessageHeaderInitializer(disable_id_generation=True).init_headers(accessor)
        assert accessor.message_headers.id is None


def test_the_headers_know_their_accessor():
    accessor = MessageHeaderAccessor()
    headers = accessor.message_headers
    assert isinstance(headers, MutableMessageHeaders)
    assert headers.accessor is accessor
    assert repr(accessor).startswith("MessageHeaderAccessor [headers={")
