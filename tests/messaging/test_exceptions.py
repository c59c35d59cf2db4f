from asyncio import CancelledError

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
    is_passed_on,
    remark_on,
)
from wellhead.messaging.message import ErrorMessage, Message

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


def test_a_client_is_told_what_is_meant_for_it():
    error = MessageDeliveryError("of Chat for joe", Message("secret"), client_description="of somebody")
    assert describe(error) == "of somebody"
    assert str(error).startswith("of Chat for joe, failedMessage=")


@pytest.mark.parametrize("shown", [Message("secret", {"token": "t"}), object(), ErrorMessage(ValueError())])
def test_a_text_that_shows_messages_or_addresses_is_not_for_clients(shown):
    assert describe(RuntimeError(f"No session id in {shown}")) == ""
    assert describe(MessagingError(f"No converter {shown}")) == ""


class Timeout(BaseException):
    """As gevent's: no ``Exception``."""


class GreenletExit(BaseException):
    """Named as gevent's, which this half of the library does not import."""


class Killed(GreenletExit):
    pass


@pytest.mark.parametrize(
    ("error", "passed_on"),
    [
        (KeyboardInterrupt(), True),
        (GreenletExit(), True),
        (Killed(), True),
        (SystemExit(1), False),
        (GeneratorExit(), False),
        (CancelledError(), False),
        (Timeout(), False),
        (MemoryError(), False),
        (ValueError(), False),
    ],
)
def test_what_is_no_failure_of_the_code_that_it_comes_from(error, passed_on):
    assert is_passed_on(error) is passed_on


def test_the_log_tells_that_an_exit_is_none():
    assert remark_on(SystemExit(3)) == ": SystemExit(3) from an application's code does not end the server"
    assert remark_on(ValueError()) == remark_on(Timeout()) == ""


def test_not_valid_carries_its_reasons():
    error = MethodArgumentNotValidError("invalid", Message("x"), errors=("name: missing",))
    assert error.errors == ("name: missing",)
    assert MethodArgumentNotValidError("invalid").errors == ()
