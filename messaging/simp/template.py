"""How an application publishes: to destinations, to users, to one session (TPL-03, TPL-04)."""

from __future__ import annotations

from typing import Any

from ..channel import INDEFINITE_TIMEOUT, MessageChannel
from ..converter.contract import MessageConverter
from ..exceptions import MessageDeliveryError
from ..header_accessor import MessageHeaderInitializer
from ..message import Message
from ..mutable_headers import MutableMessageHeaders
from ..native_headers import NATIVE_HEADERS
from ..template.contract import Headers, MessagePostProcessor
from ..template.sending import AbstractMessageSendingTemplate
from .accessor import DESTINATION, MESSAGE_TYPE, SimpMessageHeaderAccessor, simp_headers
from .types import SimpMessageType

_MESSAGE = SimpMessageType.MESSAGE  # a name of the module costs a third of the member of an enum


class SimpMessagingTemplate(AbstractMessageSendingTemplate[str]):
    """Sends to one channel, normally the broker's; the destination travels in a header.

    Headers given as a plain mapping become native ones, as text, and so reach the clients. Headers of an accessor,
    or a mapping with ``nativeHeaders``, are taken as they are. A veto on the channel raises MessageDeliveryError.
    Any thread and any greenlet may send.
    """

    def __init__(
        self,
        channel: MessageChannel,
        *,
        message_converter: MessageConverter | None = None,
        user_destination_prefix: str = "/user/",
        default_destination: str | None = None,
        send_timeout_ms: int = INDEFINITE_TIMEOUT,
        header_initializer: MessageHeaderInitializer | None = None,
    ) -> None:
        super().__init__(message_converter=message_converter, default_destination=default_destination)
        self.channel = channel
        self.send_timeout_ms = send_timeout_ms
        self.header_initializer = header_initializer
        self.user_destination_prefix = user_destination_prefix

    @property
    def user_destination_prefix(self) -> str:
        """What destinations of users begin with; ends with a slash, which is added where it is missing.

        Empty raises ValueError.
        """
        return self._user_destination_prefix

    @user_destination_prefix.setter
    def user_destination_prefix(self, prefix: str) -> None:
        if not prefix or prefix.isspace():
            raise ValueError("User destination prefix must not be null or empty")
        self._user_destination_prefix = prefix if prefix.endswith("/") else prefix + "/"

    # -- sending

    def send(self, destination: str | Message[Any], message: Message[Any] | None = None, /) -> None:
        """``send(destination, message)``, or ``send(message)`` to the message's own destination or else to the
        default one.
        """
        if message is None and isinstance(destination, Message):
            own = destination.headers.get(DESTINATION)
            if own is not None:
                timeout_ms, send = self.send_timeout_ms, self.channel.send
                if not (send(destination) if timeout_ms < 0 else send(destination, timeout_ms)):
                    raise self._unsent(own, destination)
                return
        super().send(destination, message)

    def convert_and_send_to_user(
        self,
        user: str,
        destination: str,
        payload: Any,
        headers: Headers | None = None,
        post_processor: MessagePostProcessor | None = None,
    ) -> None:
        """Send to *destination* of all sessions of a user, by the user's name.

        Raises ValueError for a name with ``%2F`` in it, which is what a slash in a name is sent as.
        """
        message = self._convert(payload, headers, post_processor)
        self._do_send(self._destination_of_user(user, destination), message)

    def send_to_session(
        self,
        session_id: str,
        destination: str,
        payload: Any,
        headers: Headers | None = None,
        post_processor: MessagePostProcessor | None = None,
    ) -> None:
        """Send to *destination* of one session, be its user known or anonymous: to those who subscribed to
        ``/user`` + destination.

        *headers* as everywhere; the session's id is added to them.
        """
        # Differs from Spring: there the caller has to know that a session's id may stand for a user if it is in a
        # header, too.
        accessor = self._accessor_for(headers)
        accessor.session_id = session_id
        self.convert_and_send_to_user(session_id, destination, payload, accessor.message_headers, post_processor)

    # -- steps

    def _destination_of_user(self, user: str, destination: str) -> str:
        if user is None:
            raise ValueError("User must not be null")
        if "%2F" in user:
            raise ValueError(f'Invalid sequence "%2F" in user name: {user}')
        slash = "" if destination.startswith("/") else "/"
        return f"{self._user_destination_prefix}{user.replace('/', '%2F')}{slash}{destination}"

    def _do_send(self, destination: str, message: Message[Any]) -> None:
        headers = message._headers
        if (  # as ``bare_values_of``
            headers.__class__ is MutableMessageHeaders
            and headers._accessor is None
            and headers._mutable
            and headers._accessor_type is SimpMessageHeaderAccessor
        ):
            values = headers._map
            values[DESTINATION] = destination
            if MESSAGE_TYPE not in values:
                values[MESSAGE_TYPE] = _MESSAGE
        else:
            message = self._addressed(destination, message)
        timeout_ms = self.send_timeout_ms
        if not (self.channel.send(message) if timeout_ms < 0 else self.channel.send(message, timeout_ms)):
            raise self._unsent(destination, message)

    def _unsent(self, destination: str, message: Message[Any]) -> MessageDeliveryError:
        return MessageDeliveryError(
            f"Failed to send message to destination '{destination}' within timeout: {self.send_timeout_ms}", message
        )

    def _addressed(self, destination: str, message: Message[Any]) -> Message[Any]:
        """The message itself while its headers can be changed, else one with other headers, of the same kind of
        accessor if it had one.
        """
        accessor = SimpMessageHeaderAccessor.get_accessor(message)
        if accessor is not None and accessor.is_mutable:
            _address(accessor, destination)
            return message
        other = SimpMessageHeaderAccessor.wrap(message) if accessor is None else type(accessor).wrap(message)
        self._init_headers(other)
        _address(other, destination)
        return Message(message.payload, other.message_headers)

    def _process_headers_to_send(self, headers: Headers | None) -> Headers:
        if headers is not None:
            if headers.__class__ is MutableMessageHeaders and headers._accessor_type is SimpMessageHeaderAccessor:
                return headers
            if _has_accessor(headers) or NATIVE_HEADERS in headers:
                return headers
        elif self.header_initializer is None:
            return simp_headers({MESSAGE_TYPE: _MESSAGE})
        return self._accessor_for(headers).message_headers

    def _accessor_for(self, headers: Headers | None) -> SimpMessageHeaderAccessor:
        """A new accessor, left mutable, for the headers that a caller gave."""
        accessor = SimpMessageHeaderAccessor(_MESSAGE)
        self._init_headers(accessor)
        accessor.leave_mutable = True
        if headers:
            if NATIVE_HEADERS in headers or _has_accessor(headers):
                accessor.copy_headers(headers)
            else:
                for name, value in headers.items():
                    accessor.set_native_header(name, None if value is None else str(value))
        return accessor

    def _init_headers(self, accessor: SimpMessageHeaderAccessor) -> None:
        if self.header_initializer is not None:
            self.header_initializer.init_headers(accessor)


def _address(accessor: SimpMessageHeaderAccessor, destination: str) -> None:
    accessor.destination = destination
    accessor.set_message_type_if_not_set(_MESSAGE)


def _has_accessor(headers: Headers) -> bool:
    return isinstance(headers, MutableMessageHeaders) and issubclass(headers._accessor_type, SimpMessageHeaderAccessor)
