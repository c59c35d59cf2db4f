import pytest

from wellhead.messaging import exceptions
from wellhead.messaging.exceptions import (
    ConnectionLostError,
    DestinationResolutionError,
    MessageConversionError,
    MessageDeliveryError,
    MessageHandlingError,
    MessagingError,
    MethodArgumentNotValidError,
    MethodArgumentResolutionError,
    MethodArgumentTypeMismatchError,
    MissingSessionUserError,
    StompConversionError,
    TaskRejectedError,
    describe,
)
from wellhead.messaging.message import Message

pytestmark = pytest.mark.spec("EXC-01")


@pytest.mark.parametrize(
    ("error", "parent"),
    [
        (MessagingError, Exception),
        (MessageDeliveryError, MessagingError),
        (DestinationResolutionError, MessagingError),
        (MessageHandlingError, MessagingError),
        (MessageConversionError, MessagingError),
        (MissingSessionUserError, MessagingError),
        (MethodArgumentResolutionError, MessagingError),
        (MethodArgumentNotValidError, MethodArgumentResolutionError),
        (MethodArgumentTypeMismatchError, MethodArgumentResolutionError),
        (StompConversionError, Exception),
        (ConnectionLostError, Exception),
        (TaskRejectedError, RuntimeError),
    ],
)
def test_the_tree(error, parent):
    assert error.__bases__ == (parent,)


def test_the_tree_is_drawn_at_the_top():
    classes = [value for value in vars(exceptions).values() if isinstance(value, type)]
    ours = [each.__name__ for each in classes if each.__module__ == exceptions.__name__]
    assert [name for name in ours if name not in (exceptions.__doc__ or "")] == []


def test_text_names_the_failed_message():
    message = Message("payload", {"a": 1})
    error = MessageDeliveryError("Too bad", message)
    assert error.failed_message is message
    assert str(error) == f"Too bad, failedMessage={message}"


def test_text_without_message_is_the_description():
    assert str(MessagingError("Too bad")) == "Too bad"
    assert MessagingError("Too bad").failed_message is None


def test_what_a_client_may_be_told_leaves_the_message_out():
    assert describe(MessagingError("Too bad", Message("secret"))) == "Too bad"
    assert describe(ValueError("plain")) == "plain"


def test_not_valid_carries_its_reasons():
    error = MethodArgumentNotValidError("invalid", Message("x"), errors=("name: missing",))
    assert error.errors == ("name: missing",)
    assert MethodArgumentNotValidError("invalid").errors == ()
