"""A template whose destinations are channels, given themselves or by name (TPL-01, TPL-02)."""

from __future__ import annotations

import logging
from typing import Any

from ..builder import MessageBuilder
from ..channel import INDEFINITE_TIMEOUT, MessageChannel
from ..converter.contract import MessageConverter
from ..exceptions import MessageConversionError, MessageDeliveryError
from ..header_accessor import MessageHeaderAccessor
from ..headers import ERROR_CHANNEL, REPLY_CHANNEL
from ..message import Message
from .contract import Headers, MessagePostProcessor
from .destination_resolver import DestinationResolver
from .reply_channel import TemporaryReplyChannel
from .sending import AbstractMessageSendingTemplate

logger = logging.getLogger(__name__)

Destination = MessageChannel | str


class GenericMessagingTemplate(AbstractMessageSendingTemplate[Destination]):
    """Sends to channels, receives from pollable ones, and asks for replies.

    Timeouts of -1 wait for ever. A message's own headers ``sendTimeout`` and ``receiveTimeout`` (a number or the
    text of one) override those of the template and are taken out before sending. A destination may be a name when
    there is a *destination_resolver*; without one, names raise RuntimeError.
    """

    def __init__(
        self,
        *,
        default_destination: Destination | None = None,
        destination_resolver: DestinationResolver[MessageChannel] | None = None,
        message_converter: MessageConverter | None = None,
        # time
        send_timeout_ms: int = INDEFINITE_TIMEOUT,
        receive_timeout_ms: int = INDEFINITE_TIMEOUT,
        send_timeout_header: str = "sendTimeout",
        receive_timeout_header: str = "receiveTimeout",
        # replies
        throw_exception_on_late_reply: bool = False,
    ) -> None:
        super().__init__(message_converter=message_converter, default_destination=default_destination)
        self.destination_resolver = destination_resolver
        self.send_timeout_ms = send_timeout_ms
        self.receive_timeout_ms = receive_timeout_ms
        self.send_timeout_header = send_timeout_header
        self.receive_timeout_header = receive_timeout_header
        self.throw_exception_on_late_reply = throw_exception_on_late_reply

    # -- receiving

    def receive(self, destination: Destination | None = None, /) -> Message[Any] | None:
        """The next message of *destination* (default: the default one), or None when none came in time.

        Raises RuntimeError when that is no pollable channel.
        """
        return self._do_receive(self._channel(destination), self.receive_timeout_ms)

    def receive_and_convert(self, destination: Destination | None, target: Any, /) -> Any:
        """The next payload as *target*, or None when none came in time. Raises MessageConversionError."""
        message = self.receive(destination)
        return None if message is None else self._convert_received(message, target)

    # -- request and reply

    def send_and_receive(
        self, destination: Destination | Message[Any], request: Message[Any] | None = None, /
    ) -> Message[Any] | None:
        """Send a request and wait for its reply, which an ``errorChannel`` reply is, too; None when none came in time.

        ``send_and_receive(destination, request)``, or ``send_and_receive(request)`` to the default destination. The
        reply has the request's own reply and error channel in its headers.
        """
        if request is None:
            if not isinstance(destination, Message):
                raise ValueError("Message must not be null")
            return self._do_send_and_receive(self._channel(None), destination)
        return self._do_send_and_receive(self._channel(destination), request)  # type: ignore[arg-type]  # with a second argument the first is no message

    def convert_send_and_receive(
        self,
        destination: Destination | None,
        payload: Any,
        target: Any,
        /,
        headers: Headers | None = None,
        post_processor: MessagePostProcessor | None = None,
    ) -> Any:
        """Convert a request, send it, and return the reply's payload as *target*; None when none came in time."""
        request = self._convert(payload, headers, post_processor)
        reply = self._do_send_and_receive(self._channel(destination), request)
        return None if reply is None else self._convert_received(reply, target)

    # -- steps

    def _channel(self, destination: Destination | None) -> MessageChannel:
        if destination is None:
            destination = self._required_default_destination()
        if not isinstance(destination, str):
            return destination
        if self.destination_resolver is None:
            raise RuntimeError("DestinationResolver is required to resolve destination names")
        return self.destination_resolver.resolve_destination(destination)

    def _do_send(self, destination: Destination, message: Message[Any]) -> None:
        self._send_within(self._channel(destination), message, self._send_timeout(message))

    def _send_within(self, channel: MessageChannel, message: Message[Any], timeout_ms: int) -> None:
        message = self._without_timeouts(message)
        sent = channel.send(message, timeout_ms) if timeout_ms >= 0 else channel.send(message)
        if not sent:
            raise MessageDeliveryError(
                f"Failed to send message to channel '{channel}' within timeout: {timeout_ms}", message
            )

    def _without_timeouts(self, message: Message[Any]) -> Message[Any]:
        accessor = MessageHeaderAccessor.get_accessor(message)
        if accessor is not None and accessor.is_mutable:
            accessor.remove_header(self.send_timeout_header)
            accessor.remove_header(self.receive_timeout_header)
            accessor.set_immutable()
            return message
        headers = message.headers
        if self.send_timeout_header in headers or self.receive_timeout_header in headers:
            builder = MessageBuilder.from_message(message)
            builder.set_header(self.send_timeout_header, None).set_header(self.receive_timeout_header, None)
            return builder.build()
        return message

    def _do_receive(self, channel: Any, timeout_ms: int) -> Message[Any] | None:
        receive = getattr(channel, "receive", None)
        if receive is None:
            raise RuntimeError("A PollableChannel is required to receive messages")
        message: Message[Any] | None = receive(timeout_ms) if timeout_ms >= 0 else receive()
        if message is None:
            logger.debug("Failed to receive message from channel '%s' within timeout: %s", channel, timeout_ms)
        return message

    def _do_send_and_receive(self, channel: MessageChannel, request: Message[Any]) -> Message[Any] | None:
        headers = request.headers
        send_timeout_ms = self._send_timeout(request)
        receive_timeout_ms = self._timeout(request, self.receive_timeout_header, self.receive_timeout_ms)
        temporary = TemporaryReplyChannel(throw_on_late_reply=self.throw_exception_on_late_reply)
        builder = MessageBuilder.from_message(request)
        builder.set_header(self.send_timeout_header, None).set_header(self.receive_timeout_header, None)
        builder.set_reply_channel(temporary).set_error_channel(temporary)
        try:
            self._send_within(channel, builder.build(), send_timeout_ms)
        except BaseException:
            temporary.send_failed()
            raise
        reply = self._do_receive(temporary, receive_timeout_ms)
        if reply is None:
            return None
        restored = MessageBuilder.from_message(reply)
        restored.set_header(REPLY_CHANNEL, headers.reply_channel).set_header(ERROR_CHANNEL, headers.error_channel)
        return restored.build()

    def _send_timeout(self, message: Message[Any]) -> int:
        return self._timeout(message, self.send_timeout_header, self.send_timeout_ms)

    def _timeout(self, message: Message[Any], header: str, default_ms: int) -> int:
        value = message.headers.get(header)
        return default_ms if value is None else int(value)

    def _convert_received(self, message: Message[Any], target: Any) -> Any:
        value = self.message_converter.from_message(message, target)
        if value is None:
            raise MessageConversionError(
                f"Unable to convert payload [{type(message.payload).__name__}] to type [{target}] "
                f"using converter [{self.message_converter}]",
                message,
            )
        return value
