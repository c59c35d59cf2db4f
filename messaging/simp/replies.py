"""Where the return values of annotated methods go (ANN-06, ANN-07)."""

from __future__ import annotations

import re
from collections.abc import Callable
from operator import itemgetter
from typing import Any, Protocol

from ..exceptions import MissingSessionUserError
from ..handler.invocation import (
    InvocationMessage,
    header_of,
    lookup_destination,
    protocol_values,
    template_variables,
)
from ..handler.mapping import Placeholders, resolve_placeholders
from ..handler.marks import MappingKind, Marks
from ..handler.method import HandlerMethod
from ..handler.returns import BindingReturnValueHandler, ReplyFunction
from ..header_accessor import MessageHeaderAccessor, MessageHeaderInitializer
from ..headers import MessageHeaders
from ..message import Message
from ..mutable_headers import MutableMessageHeaders
from ..native_headers import NATIVE_HEADERS
from .accessor import (
    DESTINATION,
    MESSAGE_TYPE,
    SESSION_ID,
    SUBSCRIPTION_ID,
    USER,
    SimpMessageHeaderAccessor,
)
from .types import SimpMessageType, destination_user_name

CONVERSION_HINT = "conversionHint"

_MESSAGE = SimpMessageType.MESSAGE  # a name of the module costs a third of the member of an enum

HeaderFilter = Callable[[str], bool]

_VARIABLE = re.compile(r"\{([^{}]*)\}")


class SendingOperations(Protocol):
    """What replies need of a messaging template."""

    def convert_and_send(self, destination: Any, payload: Any, /, headers: Any = None) -> None: ...

    def convert_and_send_to_user(self, user: str, destination: str, payload: Any, headers: Any = None) -> None: ...


class ReplyHeaders:
    """Makes the headers of replies: fresh ones, with nothing of the message answered but what a filter admits."""

    def __init__(self, header_initializer: MessageHeaderInitializer | None = None) -> None:
        self.header_initializer = header_initializer
        self._filters: tuple[HeaderFilter, ...] = ()

    def add_filter(self, header_filter: HeaderFilter) -> None:
        """Let the native headers through whose name this or another filter says yes to."""
        self._filters = (*self._filters, header_filter)

    def create(
        self,
        message: Message[Any],
        method: HandlerMethod,
        session_id: str | None,
        *,
        subscription_id: str | None = None,
        destination: str | None = None,
    ) -> MessageHeaders:
        """Headers that are still mutable, so that the sending template goes on with them in place."""
        values: dict[str, Any] = {MESSAGE_TYPE: _MESSAGE, CONVERSION_HINT: method.return_parameter}
        if session_id is not None:
            values[SESSION_ID] = session_id
        if subscription_id is not None:
            values[SUBSCRIPTION_ID] = subscription_id
            values[DESTINATION] = destination
        headers = MutableMessageHeaders(values, SimpMessageHeaderAccessor)
        if self.header_initializer is not None:
            self.header_initializer.init_headers(headers.accessor)
        if self._filters:
            self._copy_native(message, headers.accessor)
        return headers

    def _copy_native(self, message: Message[Any], accessor: MessageHeaderAccessor) -> None:
        assert isinstance(accessor, SimpMessageHeaderAccessor)
        for name, values in (header_of(message, NATIVE_HEADERS) or {}).items():
            if any(admits(name) for admits in self._filters):
                accessor.set_native_header_values(name, values)


class SendToMethodReturnValueHandler(BindingReturnValueHandler):
    """Sends to what ``send_to`` and ``send_to_user`` say; as the last of the list, without them, to the default."""

    def __init__(
        self,
        template: SendingOperations,
        headers: ReplyHeaders | None = None,
        *,
        annotation_required: bool = True,
        default_destination_prefix: str = "/topic",
        default_user_destination_prefix: str = "/queue",
        placeholders: Placeholders | None = None,
    ) -> None:
        self._template = template
        self._headers = headers or ReplyHeaders()
        self._annotation_required = annotation_required
        self.default_destination_prefix = default_destination_prefix
        self.default_user_destination_prefix = default_user_destination_prefix
        self._placeholders = placeholders

    def supports_return_type(self, method: HandlerMethod) -> bool:
        if not self._annotation_required:
            return True
        return has_reply_marks(method)

    def bind(self, method: HandlerMethod) -> ReplyFunction:
        marks = _deciding_marks(method)
        to_user, to = marks.send_to_user, marks.send_to
        replies: list[ReplyFunction] = []
        if to_user is not None:
            for target in self._targets(to_user.destinations, self.default_user_destination_prefix):
                replies.append(self._user_reply(method, target, to_user.broadcast))
        if to is not None or to_user is None:
            for target in self._targets(to or (), self.default_destination_prefix):
                replies.append(self._reply(method, target))
        if len(replies) == 1:
            return replies[0]

        def reply_to_all(value: Any, message: Message[Any]) -> None:
            for reply in replies:
                reply(value, message)

        return reply_to_all

    def _reply(self, method: HandlerMethod, target: _Target) -> ReplyFunction:
        send, create = self._template.convert_and_send, self._headers.create

        def reply(value: Any, message: Message[Any]) -> None:
            # as ``protocol_values``, without the call: this is the reply of nearly every SEND
            values = message.values if message.__class__ is InvocationMessage else message.headers._map
            destination = target if isinstance(target, str) else target(message)
            send(destination, value, create(message, method, values.get(SESSION_ID)))

        return reply

    def _user_reply(self, method: HandlerMethod, target: _Target, broadcast: bool) -> ReplyFunction:
        send, create = self._template.convert_and_send_to_user, self._headers.create

        def reply(value: Any, message: Message[Any]) -> None:
            values = protocol_values(message)
            principal, session_id = values.get(USER), values.get(SESSION_ID)
            if principal is not None:
                user, narrowed = destination_user_name(principal), None if broadcast else session_id
            elif session_id is not None:
                user = narrowed = session_id
            else:
                raise MissingSessionUserError('No "user" header in message', message)
            destination = target if isinstance(target, str) else target(message)
            send(user, destination, value, create(message, method, narrowed))

        return reply

    def _targets(self, destinations: tuple[str, ...], prefix: str) -> tuple[_Target, ...]:
        if not destinations:
            return (lambda message: _default_destination(prefix, message),)
        return tuple(_target(resolve_placeholders(each, self._placeholders)) for each in destinations)


_Target = str | Callable[[Message[Any]], str]
"""A destination, or how to find it for a message."""


def has_reply_marks(method: HandlerMethod) -> bool:
    return any(each.send_to is not None or each.send_to_user is not None for each in (method.marks, method.class_marks))


def _deciding_marks(method: HandlerMethod) -> Marks:
    """The one level that decides: what names destinations before what does not, the method before the class."""
    levels = (method.marks, method.class_marks)
    for each in levels:
        if each.send_to or (each.send_to_user is not None and each.send_to_user.destinations):
            return each
    for each in levels:
        if each.send_to is not None or each.send_to_user is not None:
            return each
    return method.marks


def _default_destination(prefix: str, message: Message[Any]) -> str:
    destination = lookup_destination(message)
    return f"{prefix}{destination}" if destination.startswith("/") else f"{prefix}/{destination}"


def _target(destination: str) -> _Target:
    """A destination with ``{var}`` replaced for each message; raises ValueError for a variable that does not exist."""
    names = _VARIABLE.findall(destination)
    if not names:
        return destination
    pattern = "%s".join(each.replace("%", "%%") for each in _VARIABLE.split(destination)[::2])
    values_of = itemgetter(*names)  # one value, or a tuple of them: what the operator % takes

    def expand(message: Message[Any]) -> str:
        try:
            expanded: str = pattern % values_of(template_variables(message) or {})
        except KeyError as error:
            raise ValueError(f"Could not resolve placeholder '{error.args[0]}' in value \"{destination}\"") from None
        return expanded

    return expand


class SubscriptionMethodReturnValueHandler(BindingReturnValueHandler):
    """Answers a subscription directly: one message to that subscription, past the broker."""

    def __init__(self, template: SendingOperations, headers: ReplyHeaders | None = None) -> None:
        """*template* sends to the outbound channel."""
        self._template = template
        self._headers = headers or ReplyHeaders()

    def supports_return_type(self, method: HandlerMethod) -> bool:
        return method.kind is MappingKind.SUBSCRIBE and not has_reply_marks(method)

    def bind(self, method: HandlerMethod) -> ReplyFunction:
        send, create = self._template.convert_and_send, self._headers.create

        def reply(value: Any, message: Message[Any]) -> None:
            values = protocol_values(message)
            destination, subscription_id = values.get(DESTINATION), values.get(SUBSCRIPTION_ID)
            if subscription_id is None:
                raise RuntimeError(f"No simpSubscriptionId in {message} returned by: {method}")
            if destination is None:
                raise RuntimeError(f"No simpDestination in {message} returned by: {method}")
            session_id = values.get(SESSION_ID)
            headers = create(message, method, session_id, subscription_id=subscription_id, destination=destination)
            send(destination, value, headers)

        return reply
