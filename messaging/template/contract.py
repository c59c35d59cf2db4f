"""What templates do: send, receive, and ask for a reply (TPL-01, TPL-02)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from ..message import Message

D_contra = TypeVar("D_contra", contravariant=True)

MessagePostProcessor = Callable[[Message[Any]], Message[Any]]
"""Sees a converted message before it is sent and returns the one to send."""

Headers = Mapping[str, Any]


class CompositeMessagePostProcessor:
    """Runs several post-processors, each on what the one before returned."""

    __slots__ = ("post_processors",)

    def __init__(self, *post_processors: MessagePostProcessor) -> None:
        self.post_processors = post_processors

    def __call__(self, message: Message[Any]) -> Message[Any]:
        for each in self.post_processors:
            message = each(message)
        return message


class MessageSendingOperations(Protocol[D_contra]):
    """Sends messages to destinations.

    Without a destination the default one is used, and RuntimeError raised if there is none.
    """

    def send(self, destination: D_contra | Message[Any], message: Message[Any] | None = None, /) -> None:
        """``send(destination, message)``, or ``send(message)``. Raises MessagingError when sending failed."""
        ...

    def convert_and_send(
        self,
        destination: Any,
        payload: Any = ...,
        /,
        headers: Headers | None = None,
        post_processor: MessagePostProcessor | None = None,
    ) -> None:
        """``convert_and_send(destination, payload)``, or ``convert_and_send(payload)``.

        Raises MessageConversionError when no converter takes the payload, MessagingError when sending failed.
        """
        ...


class MessageReceivingOperations(Protocol[D_contra]):
    """Receives messages from destinations that keep them."""

    def receive(self, destination: D_contra | None = None, /) -> Message[Any] | None:
        """The next message, or None when none came in time."""
        ...

    def receive_and_convert(self, destination: D_contra | None, target: Any, /) -> Any:
        """The next payload as *target*, or None when none came in time. Raises MessageConversionError."""
        ...


class MessageRequestReplyOperations(Protocol[D_contra]):
    """Sends a request and waits for the reply."""

    def send_and_receive(
        self, destination: D_contra | Message[Any], request: Message[Any] | None = None, /
    ) -> Message[Any] | None:
        """The reply, or None when none came in time."""
        ...

    def convert_send_and_receive(
        self,
        destination: D_contra | None,
        payload: Any,
        target: Any,
        /,
        headers: Headers | None = None,
        post_processor: MessagePostProcessor | None = None,
    ) -> Any:
        """The payload of the reply as *target*, or None when none came in time."""
        ...
