import pytest

from wellhead.messaging.converter.builtin import SimpleMessageConverter, StringMessageConverter
from wellhead.messaging.exceptions import MessageConversionError
from wellhead.messaging.message import Message
from wellhead.messaging.template.sending import CONVERSION_HINT_HEADER, AbstractMessageSendingTemplate

pytestmark = pytest.mark.spec("TPL-01")


class Template(AbstractMessageSendingTemplate[str]):
    def __init__(self, **options):
        super().__init__(**options)
        self.sent = []

    def _do_send(self, destination, message):
        self.sent.append((destination, message))


class Converter:
    """Says what it was asked."""

    def __init__(self, result=True):
        self.asked = []
        self.result = result

    def from_message(self, message, target, hint=None):
        return None

    def to_message(self, payload, headers=None, hint=None):
        self.asked.append((payload, headers, hint))
        return Message(payload, headers or {}) if self.result else None

    def __str__(self):
        return "Converter"


def test_sending():
    template, message = Template(default_destination="home"), Message("x")
    template.send("there", message)
    template.send(message)
    assert template.sent == [("there", message), ("home", message)]


def test_a_message_is_needed():
    with pytest.raises(ValueError, match="Message must not be null"):
        Template(default_destination="home").send("there")


def test_converting():
    template = Template(default_destination="home")
    template.convert_and_send("there", "x")
    template.convert_and_send("y")
    template.convert_and_send(None, "z", {"a": 1})
    assert [(destination, message.payload) for destination, message in template.sent] == [
        ("there", "x"),
        ("home", "y"),
        ("home", "z"),
    ]
    assert template.sent[2][1].headers["a"] == 1


@pytest.mark.parametrize(
    "send",
    [
        lambda t: t.send(Message("x")),
        lambda t: t.convert_and_send("x"),
        lambda t: t.convert_and_send(None, "x"),
    ],
)
def test_no_default_destination(send):
    with pytest.raises(RuntimeError, match="^No 'defaultDestination' configured$"):
        send(Template())


def test_the_default_converter_takes_payloads_as_they_are():
    template, payload = Template(), object()
    assert isinstance(template.message_converter, SimpleMessageConverter)
    template.convert_and_send("there", payload)
    assert template.sent[0][1].payload is payload


def test_the_hint_comes_from_the_headers():
    converter = Converter()
    headers = {CONVERSION_HINT_HEADER: list[int], "a": 1}
    Template(message_converter=converter).convert_and_send("there", "x", headers)
    Template(message_converter=converter).convert_and_send("there", "x")
    assert CONVERSION_HINT_HEADER == "conversionHint"
    assert converter.asked == [("x", headers, list[int]), ("x", None, None)]


def test_a_subclass_may_process_the_headers():
    class Processing(Template):
        def _process_headers_to_send(self, headers):
            return {**(headers or {}), "added": 1}

    converter = Converter()
    Processing(message_converter=converter).convert_and_send("there", "x", {CONVERSION_HINT_HEADER: 5})
    assert converter.asked == [("x", {CONVERSION_HINT_HEADER: 5, "added": 1}, 5)]


def test_what_cannot_be_converted():
    template = Template(message_converter=Converter(result=False))
    with pytest.raises(MessageConversionError) as raised:
        template.convert_and_send("there", 5, {"contentType": "a/b"})
    assert str(raised.value) == ("Unable to convert payload with type='int', contentType='a/b', converter=[Converter]")
    with pytest.raises(MessageConversionError, match="contentType='None'"):
        Template(message_converter=StringMessageConverter()).convert_and_send("there", 5)
    assert template.sent == []


def test_the_post_processor_returns_the_message_to_send():
    template, other = Template(), Message("other")
    seen = []
    template.convert_and_send("there", "x", post_processor=lambda message: seen.append(message.payload) or other)
    assert seen == ["x"]
    assert template.sent == [("there", other)]
