"""What a channel is: the contracts (CH-01 to CH-04). ``subscribable`` has the channel that everything here uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

from .message import Message

INDEFINITE_TIMEOUT = -1
"""Wait as long as it takes; the channels of this package never wait at all."""


@runtime_checkable
class MessageHandler(Protocol):
    """Takes messages from a channel; raises MessagingError when it cannot deal with one."""

    def handle_message(self, message: Message[Any]) -> None: ...


class MessageChannel(Protocol):
    """Takes messages."""

    def send(self, message: Message[Any], timeout_ms: int = INDEFINITE_TIMEOUT) -> bool:
        """Send; False when an interceptor refused or, where a channel can be full, the time ran out.

        Raises MessageDeliveryError (or another MessagingError) when sending failed.
        """
        ...


class BroadcastMessages(Protocol):
    """One publish for many recipients: each has a message of its own, made only where somebody can see it."""

    def message_for(self, recipient: Any) -> Message[Any]:
        """One recipient's message."""
        ...


@runtime_checkable
class BroadcastHandler(MessageHandler, Protocol):
    """A subscriber that can take a broadcast as a whole."""

    def handle_broadcast(self, broadcast: Any, recipients: Sequence[Any]) -> None:
        """As ``handle_message`` of the message for each recipient, in their order. Never raises: one recipient's
        trouble must not reach the others.
        """
        ...


class PollableChannel(MessageChannel, Protocol):
    """A channel that keeps messages until somebody takes them."""

    def receive(self, timeout_ms: int = INDEFINITE_TIMEOUT) -> Message[Any] | None:
        """The next message, or None when none came in time."""
        ...


class SubscribableChannel(MessageChannel, Protocol):
    """A channel that calls its subscribers for each message."""

    def subscribe(self, handler: MessageHandler) -> bool:
        """Add a subscriber; False when it was there already."""
        ...

    def unsubscribe(self, handler: MessageHandler) -> bool:
        """Remove a subscriber; False when it was not there."""
        ...


class ChannelInterceptor:
    """Sees, changes or vetoes what is sent through a channel. Each hook does nothing until a subclass overrides it.

    The hooks run in the thread of the sender. A hook that is not overridden costs nothing.
    """

    freezes = False
    """True: ``pre_send`` makes the headers immutable; whoever sends leaves them as they are to the ones before it."""
    only_when_unsent = False
    """True: ``after_send_completion`` is for messages that were vetoed or failed, and costs the others nothing."""

    def pre_send(self, message: Message[Any], channel: MessageChannel) -> Message[Any] | None:
        """Before sending; returns the message to go on with, or None to veto."""
        return message

    def pre_send_broadcast(
        self, broadcast: BroadcastMessages, recipients: Sequence[Any], channel: MessageChannel
    ) -> Sequence[Any]:
        """In place of ``pre_send`` of each recipient's message, which then are not made at all: for those who count, or
        choose among the recipients. Returns the recipients to go on with, *recipients* itself if it is all of them.

        Only where all ``pre_send`` hooks of the channel have this one, too, and messages are handled in the sender's
        thread; elsewhere ``pre_send`` is called for each message. So override both.
        """
        return recipients

    def post_send(self, message: Message[Any], channel: MessageChannel, sent: bool) -> None:
        """After sending without an error."""

    def after_send_completion(
        self, message: Message[Any], channel: MessageChannel, sent: bool, error: BaseException | None
    ) -> None:
        """After everything, error or not, if this interceptor's ``pre_send`` let the message pass.

        Must not raise: it is logged.
        """

    def pre_receive(self, channel: MessageChannel) -> bool:
        """Before receiving from a pollable channel; False aborts."""
        return True

    def post_receive(self, message: Message[Any], channel: MessageChannel) -> Message[Any] | None:
        """After receiving; returns the message to hand out, or None."""
        return message

    def after_receive_completion(
        self, message: Message[Any] | None, channel: MessageChannel, error: BaseException | None
    ) -> None:
        """After receiving, error or not."""


class ExecutorChannelInterceptor(ChannelInterceptor):
    """Adds hooks around each subscriber, called in the thread that runs it: the place for thread-bound context."""

    def before_handle(
        self, message: Message[Any], channel: MessageChannel, handler: MessageHandler
    ) -> Message[Any] | None:
        """Before the subscriber; returns the message it gets, or None to leave it out."""
        return message

    def after_message_handled(
        self, message: Message[Any], channel: MessageChannel, handler: MessageHandler, error: BaseException | None
    ) -> None:
        """After the subscriber; *error* is what it raised, or None. Must not raise: it is logged."""


class CallableMessageHandler:
    """Makes a subscriber of a function."""

    __slots__ = ("function", "handle_message")

    def __init__(self, function: Callable[[Message[Any]], Any]) -> None:
        self.function = self.handle_message = function

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CallableMessageHandler) and other.function == self.function

    def __hash__(self) -> int:
        return hash(self.function)

    def __repr__(self) -> str:
        return repr(self.function)
