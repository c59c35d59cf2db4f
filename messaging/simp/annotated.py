"""The station between the inbound channel and the methods of controllers (ANN-01)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..channel import MessageChannel, SubscribableChannel
from ..converter.composite import default_converters
from ..converter.contract import MessageConverter
from ..converter.conversion import ConversionService, DefaultConversionService
from ..exceptions import describe
from ..executor import Executor
from ..handler.arguments import (
    DestinationVariableMethodArgumentResolver,
    HandlerMethodArgumentResolver,
    HeaderMethodArgumentResolver,
    HeadersMethodArgumentResolver,
)
from ..handler.dispatch import MappedMethod, MethodMessageHandler
from ..handler.invocation import InvocationMessage, header_of
from ..handler.mapping import Matches, Placeholders
from ..handler.marks import MappingKind
from ..handler.method import HandlerMethod
from ..handler.payload import MessageMethodArgumentResolver, PayloadMethodArgumentResolver, Validator
from ..handler.returns import HandlerMethodReturnValueHandler
from ..header_accessor import MessageHeaderInitializer
from ..matching import AntPathMatcher, PathMatcher
from ..message import Message
from ..told import SHOWN_LENGTH, ToldDestinations
from .accessor import DESTINATION, MESSAGE_TYPE, SESSION_ATTRIBUTES, SESSION_ID, USER, SimpMessageHeaderAccessor
from .attributes import SimpAttributes, bind, current_attributes_or_none, unbind
from .principal import PrincipalMethodArgumentResolver
from .replies import (
    HeaderFilter,
    ReplyHeaders,
    SendingOperations,
    SendToMethodReturnValueHandler,
    SubscriptionMethodReturnValueHandler,
)
from .template import SimpMessagingTemplate
from .types import SimpMessageType, destination_user_name

logger = logging.getLogger(__name__)

ERRORS_DESTINATION = "/queue/errors"
"""Where a user hears of unhandled errors, if that is switched on: clients subscribe to ``/user/queue/errors``."""


class SimpAnnotationMethodMessageHandler(MethodMessageHandler):
    """Hands messages with an application destination to annotated methods, and their return values to the broker."""

    ignores_heartbeats = True
    """They have no destination."""

    def __init__(
        self,
        inbound: SubscribableChannel,
        outbound: MessageChannel,
        broker_template: SendingOperations,
        *,
        # which messages
        destination_prefixes: Iterable[str] = (),
        path_matcher: PathMatcher | None = None,
        placeholders: Placeholders | None = None,
        # arguments
        message_converter: MessageConverter | None = None,
        conversion_service: ConversionService | None = None,
        validator: Validator | None = None,
        custom_argument_resolvers: Iterable[HandlerMethodArgumentResolver] = (),
        argument_resolvers: Sequence[HandlerMethodArgumentResolver] | None = None,
        # return values
        header_initializer: MessageHeaderInitializer | None = None,
        custom_return_value_handlers: Iterable[HandlerMethodReturnValueHandler] = (),
        return_value_handlers: Sequence[HandlerMethodReturnValueHandler] | None = None,
        future_executor: Executor | None = None,
        # errors
        report_unhandled_errors: bool = False,
        other_prefixes: Iterable[str] = (),
    ) -> None:
        """*outbound* takes the answers to subscriptions, *broker_template* sends all other return values.

        *other_prefixes* are those of all destinations that somebody else takes. With them, what begins with none of
        them and none of ours is told in the log; without any, it is somebody else's and nothing is said.

        Prefixes get a trailing slash; none means that every destination is tried. ``argument_resolvers`` and
        ``return_value_handlers`` replace the lists of Spring's order, in which the custom ones have their place.
        """
        converter = message_converter or default_converters()
        matcher = path_matcher or AntPathMatcher()
        self.reply_headers = ReplyHeaders(header_initializer)
        if argument_resolvers is None:
            conversion = conversion_service or DefaultConversionService()
            argument_resolvers = _argument_resolvers(converter, conversion, validator, custom_argument_resolvers)
        if return_value_handlers is None:
            client_template = SimpMessagingTemplate(outbound, message_converter=converter)
            return_value_handlers = _return_value_handlers(
                broker_template, client_template, self.reply_headers, placeholders, custom_return_value_handlers
            )
        super().__init__(
            argument_resolvers=argument_resolvers,
            return_value_handlers=return_value_handlers,
            path_matcher=matcher,
            placeholders=placeholders,
            future_executor=future_executor,
        )
        self._matches: dict[SimpMessageType | None, Matches[MappedMethod]] = {
            SimpMessageType.MESSAGE: self._registry.matches[MappingKind.MESSAGE],
            SimpMessageType.SUBSCRIBE: self._registry.matches[MappingKind.SUBSCRIBE],
        }
        self._inbound = inbound
        self._template = broker_template
        self._prefixes = tuple(each if each.endswith("/") else f"{each}/" for each in destination_prefixes)
        self._separator_kept = 1 if matcher.slash_separator else 0
        """How much of a prefix's end stays on the lookup destination."""
        self._others = tuple(other_prefixes)
        self._told = ToldDestinations()
        self._report_unhandled_errors = report_unhandled_errors
        self._running = False

    @property
    def destination_prefixes(self) -> tuple[str, ...]:
        """Each with a trailing slash. Never None, may be empty."""
        return self._prefixes

    @property
    def is_running(self) -> bool:
        return self._running

    def start(self) -> None:
        """Subscribe to the inbound channel. Twice does nothing more."""
        self._running = True
        self._inbound.subscribe(self)

    def stop(self) -> None:
        """Unsubscribe; messages that are being handled are not waited for. Twice does nothing more."""
        self._running = False
        self._inbound.unsubscribe(self)

    def check_mapping(self, method: HandlerMethod, patterns: Sequence[str]) -> None:
        super().check_mapping(method, patterns)
        for pattern in patterns:
            for prefix in self._prefixes:
                if pattern.startswith(prefix):
                    logger.warning(
                        "%s is mapped to %s, and clients have to send to %s: the prefix is no part of a mapping",
                        method.name,
                        pattern,
                        f"{prefix.removesuffix('/')}{pattern}",
                    )

    def add_header_filter(self, header_filter: HeaderFilter) -> None:
        """Copy to replies the native headers of the message whose names one of the filters says yes to."""
        self.reply_headers.add_filter(header_filter)

    # -- handling

    def handle_message(self, message: Message[Any]) -> None:
        """Messages without destination, or with one outside the prefixes, are somebody else's and ignored.

        Raises RuntimeError for an ambiguous mapping and for a message without session id or session attributes.
        """
        headers = message._headers
        values = (headers if headers is not None else message.headers)._map
        destination = values.get(DESTINATION)
        if destination is None:
            return
        if self._prefixes and not destination.startswith(self._prefixes):
            if self._others and not destination.startswith(self._others):
                self._tell_of_nobodys(destination, values)
            return
        matches = self._matches.get(values.get(MESSAGE_TYPE))
        match = matches[destination] if matches is not None else None
        if match is None:
            logger.debug("No matching message handler methods.")
            is_ours = self._prefixes and not (self._others and destination.startswith(self._others))
            if is_ours and self._told.is_new(destination):
                logger.warning("No method for %s", _named(destination, values))
            return
        current = current_attributes_or_none()
        if (  # the thread that the frame came in by has bound them already
            current is not None
            and current._attributes is values.get(SESSION_ATTRIBUTES)
            and current._session_id == values.get(SESSION_ID)
        ):
            self.dispatch(match, message)
            return
        token = bind(SimpAttributes.from_message(message))
        try:
            self.dispatch(match, message)
        finally:
            unbind(token)

    def _tell_of_nobodys(self, destination: str, values: Mapping[str, Any]) -> None:
        if self._told.is_new(destination):
            logger.warning(
                "Nobody takes %s: for methods it has to begin with %s, for others with %s",
                _named(destination, values),
                " or ".join(self._prefixes),
                " or ".join(self._others),
            )

    def lookup_destination(self, destination: str) -> str | None:
        """The destination without the application's prefix; None when it has none of them."""
        if not self._prefixes:
            return destination
        for prefix in self._prefixes:
            if destination.startswith(prefix):
                return destination[len(prefix) - self._separator_kept :]
        return None

    # -- errors

    def unhandled(self, error: BaseException, message: InvocationMessage) -> None:
        super().unhandled(error, message)
        if self._report_unhandled_errors:
            # Differs from Spring: there nobody hears of it.
            try:
                self._report(error, message)
            except Exception:  # the error is in the log already; that its report failed is, too
                logger.exception("Could not report an unhandled exception (%s)", self.describe(message))

    def _report(self, error: BaseException, message: InvocationMessage) -> None:
        """Tell the session that the message came from, in words and without a trace."""
        session_id = header_of(message, SESSION_ID)
        user = header_of(message, USER)
        accessor = SimpMessageHeaderAccessor(SimpMessageType.MESSAGE)
        accessor.session_id = session_id
        accessor.leave_mutable = True
        self._template.convert_and_send_to_user(
            session_id if user is None else destination_user_name(user),
            ERRORS_DESTINATION,
            {"message": describe(error) or type(error).__name__},
            accessor.message_headers,
        )

    def describe(self, message: InvocationMessage) -> str:
        return f"session={header_of(message, SESSION_ID)} destination={header_of(message, DESTINATION)}"


def _named(destination: str, values: Mapping[str, Any]) -> str:
    message_type = values.get(MESSAGE_TYPE)
    kind = getattr(message_type, "value", message_type)
    return f"{kind} to {destination[:SHOWN_LENGTH]!r} of session {values.get(SESSION_ID)}"


def _argument_resolvers(
    converter: MessageConverter,
    conversion: ConversionService,
    validator: Validator | None,
    custom: Iterable[HandlerMethodArgumentResolver],
) -> tuple[HandlerMethodArgumentResolver, ...]:
    return (
        HeaderMethodArgumentResolver(conversion),
        HeadersMethodArgumentResolver(),
        DestinationVariableMethodArgumentResolver(conversion),
        PrincipalMethodArgumentResolver(),
        MessageMethodArgumentResolver(converter),
        *custom,
        PayloadMethodArgumentResolver(converter, validator),
    )


def _return_value_handlers(
    broker_template: SendingOperations,
    client_template: SendingOperations,
    headers: ReplyHeaders,
    placeholders: Placeholders | None,
    custom: Iterable[HandlerMethodReturnValueHandler],
) -> tuple[HandlerMethodReturnValueHandler, ...]:
    return (
        SendToMethodReturnValueHandler(broker_template, headers, placeholders=placeholders),
        SubscriptionMethodReturnValueHandler(client_template, headers),
        *custom,
        SendToMethodReturnValueHandler(broker_template, headers, annotation_required=False),
    )
