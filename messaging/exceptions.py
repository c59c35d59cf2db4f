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
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .message import Message


class MessagingError(Exception):
    """Something went wrong with a message; ``str()`` names that message, ``description`` does not."""

    def __init__(self, description: str = "", failed_message: Message[Any] | None = None) -> None:
        super().__init__(description)
        self.description = description
        """The text alone, which is what a client may be told. Never None, may be empty."""
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


def describe(error: BaseException) -> str:
    """What a client may be told of an error: its text without the message that failed."""
    return error.description if isinstance(error, MessagingError) else str(error)
