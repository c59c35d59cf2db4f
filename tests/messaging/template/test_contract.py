import pytest

from wellhead.messaging.message import Message
from wellhead.messaging.template.contract import CompositeMessagePostProcessor


@pytest.mark.spec("TPL-01")
def test_post_processors_run_one_after_the_other():
    composite = CompositeMessagePostProcessor(
        lambda message: Message(message.payload + "a"), lambda message: Message(message.payload + "b")
    )
    assert composite(Message("x")).payload == "xab"
    message = Message("x")
    assert CompositeMessagePostProcessor()(message) is message
