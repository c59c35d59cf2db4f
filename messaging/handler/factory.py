"""Handler methods outside of a message handler: in tests, and where an application dispatches by itself (ANN-09)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..converter.builtin import GenericMessageConverter
from ..converter.contract import MessageConverter
from ..converter.conversion import ConversionService, DefaultConversionService
from .arguments import HandlerMethodArgumentResolver, HeaderMethodArgumentResolver, HeadersMethodArgumentResolver
from .method import HandlerMethod, InvocableHandlerMethod
from .payload import MessageMethodArgumentResolver, PayloadMethodArgumentResolver, Validator


class DefaultMessageHandlerMethodFactory:
    """Makes invocable methods: header, headers, message, custom resolvers, payload, in this order."""

    def __init__(
        self,
        *,
        message_converter: MessageConverter | None = None,
        conversion_service: ConversionService | None = None,
        validator: Validator | None = None,
        custom_argument_resolvers: Iterable[HandlerMethodArgumentResolver] = (),
        argument_resolvers: Sequence[HandlerMethodArgumentResolver] | None = None,
    ) -> None:
        """*argument_resolvers* replaces the whole list. The default converter does what the conversion service can."""
        conversion = conversion_service or DefaultConversionService()
        converter = message_converter or GenericMessageConverter(conversion)
        self.argument_resolvers: tuple[HandlerMethodArgumentResolver, ...] = tuple(
            argument_resolvers
            if argument_resolvers is not None
            else (
                HeaderMethodArgumentResolver(conversion),
                HeadersMethodArgumentResolver(),
                MessageMethodArgumentResolver(converter),
                *custom_argument_resolvers,
                PayloadMethodArgumentResolver(converter, validator),
            )
        )

    def create_invocable_handler_method(
        self, function: Callable[..., Any], owner: Any = None
    ) -> InvocableHandlerMethod:
        """*function* may be a bound method; *owner* only names it in errors."""
        return InvocableHandlerMethod(HandlerMethod(function, owner=owner), self.argument_resolvers)
