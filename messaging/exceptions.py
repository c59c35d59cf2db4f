"""The tree of errors of the messaging half.

::

    MessagingError                          carries the message that failed
    ├── MessageDeliveryError                a channel or a broker could not take it
    ├── MessageHandlingError                a handler could not deal with it
    ├── MessageConversionError              a payload does not fit
    ├── DestinationResolutionError          a name stands for no channel
    ├── MissingSessionUserError             a reply to a user without a user
    └── MethodArgumentResolutionError       a parameter of a handler method has no value
        ├── MethodArgumentNotValidError     it has one, and the validator refused it
        └── MethodArgumentTypeMismatchError it has one of another type
    StompConversionError                    bytes that are not STOMP (the peer's fault)
    ConnectionLostError                     the connection went away (nobody's fault)
    TaskRejectedError                       an executor is full or shut down (ours)

Spring's IllegalArgumentException is ``ValueError``, IllegalStateException ``RuntimeError`` and
UnsupportedOperationException ``TypeError``. Behaviour id: EXC-01.

What comes out of an application's code and is no ``Exception`` is treated by one rule, see ``is_passed_on``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .message import Message


class MessagingError(Exception):
    """Something went wrong with a message; ``str()`` names that message, ``description`` does not."""

    client_description: str | None = None
    """What a client is told where the description is for the log alone; None: the description."""

    def __init__(
        self,
        description: str = "",
        failed_message: Message[Any] | None = None,
        *,
        client_description: str | None = None,
    ) -> None:
        super().__init__(description)
        self.description = description
        """The text alone. Never None, may be empty. A client is told it, unless there is a ``client_description``."""
        if client_description is not None:
            self.client_description = client_description
        self.failed_message = failed_message
        """The message that failed, or None when there is none."""

    def __str__(self) -> str:
        if self.failed_message is None:
            return self.description
        return f"{self.description}, failedMessage={self.failed_message}"


class MessageDeliveryError(MessagingError):
    """A channel or a broker could not take the message."""


class MessageHandlingError(MessagingError):
    """A handler could not deal with the message."""


class MessageConversionError(MessagingError):
    """A payload could not be turned into what was wanted; the description names the field and what was expected."""


class DestinationResolutionError(MessagingError):
    """A destination's name stands for no channel."""


class MissingSessionUserError(MessagingError):
    """A reply to a user was asked for and the message has neither a user nor a session."""


class MethodArgumentResolutionError(MessagingError):
    """A parameter of a handler method cannot be given a value."""


class MethodArgumentNotValidError(MethodArgumentResolutionError):
    """An argument was converted and then refused; ``errors`` holds one text for each reason."""

    def __init__(
        self, description: str = "", failed_message: Message[Any] | None = None, *, errors: tuple[str, ...] = ()
    ) -> None:
        super().__init__(description, failed_message)
        self.errors = errors


class MethodArgumentTypeMismatchError(MethodArgumentResolutionError):
    """An argument has another type than its parameter."""


class StompConversionError(Exception):
    """Bytes that are not STOMP, or a message that STOMP cannot carry."""


class ConnectionLostError(Exception):
    """The connection was lost, as opposed to closed or refused by the protocol."""


class TaskRejectedError(RuntimeError):
    """An executor takes no more work: it is shut down, or all its threads and its queue are full."""


_FOR_THE_LOG = re.compile(r"\[payload=| at 0x[0-9A-Fa-f]")
"""What only the repr of a message or of an object has in it."""


def describe(error: BaseException) -> str:
    """What a client may be told of an error: its text without the message that failed.

    Empty for a text that shows any message, and with it session attributes and the user, or an object's address.
    """
    if not isinstance(error, MessagingError):
        text = str(error)
    elif error.client_description is None:
        text = error.description
    else:
        text = error.client_description
    return "" if _FOR_THE_LOG.search(text) else text


def is_passed_on(error: BaseException) -> bool:
    """Whether an error out of an application's code is not that code's failure: KeyboardInterrupt, which is the
    program's, and gevent's GreenletExit, which ends the greenlet.

    Everything else is treated like any ``Exception`` of that code, by whoever has called it on nobody's behalf: a
    gevent.Timeout that nobody caught, a cancellation, SystemExit. Channels and templates pass on what is no
    ``Exception``: it may be the sender's own gevent.Timeout.
    """
    if isinstance(error, Exception):
        return False
    return isinstance(error, KeyboardInterrupt) or any(each.__name__ == "GreenletExit" for each in type(error).__mro__)


def remark_on(error: BaseException) -> str:
    """For the end of a log line: that SystemExit does not end the server; empty for all other errors."""
    if isinstance(error, SystemExit):
        return f": SystemExit({error.code!r}) from an application's code does not end the server"
    return ""
