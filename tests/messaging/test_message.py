import pickle

import pytest

from wellhead.messaging.headers import ID_VALUE_NONE, MessageHeaders
from wellhead.messaging.message import ErrorMessage, Message

HEADERS = MessageHeaders({"a": 1}, id=ID_VALUE_NONE, timestamp=-1)


@pytest.mark.spec("MSG-01")
class TestMessage:
    def test_payload_and_headers(self):
        message = Message("payload", {"a": 1})
        assert message.payload == "payload"
        assert message.headers["a"] == 1
        assert message.headers.id is not None

    def test_headers_objects_are_taken_as_they_are(self):
        assert Message("payload", HEADERS).headers is HEADERS
        assert Message("payload", HEADERS).live_headers() is HEADERS

    def test_none_is_refused(self):
        with pytest.raises(ValueError, match="Payload must not be null"):
            Message(None)
        with pytest.raises(ValueError, match="MessageHeaders must not be null"):
            Message("payload", None)

    @pytest.mark.parametrize("payload", ["", b"", 0, False, []])
    def test_false_payloads_are_payloads(self, payload):
        assert Message(payload).payload == payload

    def test_equality_compares_payload_and_headers(self):
        message = Message(b"abc", HEADERS)
        assert message == Message(bytes(bytearray(b"abc")), HEADERS)
        assert hash(message) == hash(Message(b"abc", HEADERS))
        assert message != Message(b"abd", HEADERS)
        assert message != Message(b"abc", {"a": 1})
        assert message != b"abc"

    def test_text_form(self):
        assert str(Message("text", HEADERS)) == "GenericMessage [payload=text, headers={'a': 1}]"
        assert str(Message(b"\x00\x01", HEADERS)) == "GenericMessage [payload=byte[2], headers={'a': 1}]"

    @pytest.mark.parametrize("name", ["payload", "headers", "other"])
    def test_attributes_cannot_be_set(self, name):
        with pytest.raises(AttributeError):
            setattr(Message("payload"), name, 1)

    def test_pickling(self):
        message = Message("payload", {"a": 1})
        assert pickle.loads(pickle.dumps(message)) == message


@pytest.mark.spec("MSG-02")
class TestErrorMessage:
    def test_payload_is_the_error(self):
        error = ValueError("bad")
        message = ErrorMessage(error, HEADERS)
        assert message.payload is error
        assert message.original_message is None
        assert str(message) == "ErrorMessage [payload=bad, headers={'a': 1}]"

    def test_text_form_names_the_original(self):
        original = Message("text", HEADERS)
        message = ErrorMessage(ValueError("bad"), HEADERS, original)
        assert message.original_message is original
        assert str(message) == f"ErrorMessage [payload=bad, headers={{'a': 1}}] for original {original}"
