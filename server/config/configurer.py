"""What an application subclasses to say what it wants (CFG-01, CFG-03)."""

from __future__ import annotations

from typing import Any

from ...messaging.config.broker import MessageBrokerRegistry
from ...messaging.config.channels import ChannelRegistration
from ...messaging.converter.contract import MessageConverter
from ...messaging.handler.arguments import HandlerMethodArgumentResolver
from ...messaging.handler.returns import HandlerMethodReturnValueHandler
from .endpoints import StompEndpointRegistry, WebSocketHandlerRegistry
from .transport import WebSocketTransportRegistration


class WebSocketConfigurer:
    """Registers raw WebSocket handlers."""

    def register_web_socket_handlers(self, registry: WebSocketHandlerRegistry) -> None:
        """Add handlers with their paths."""


class WebSocketMessageBrokerConfigurer:
    """Configures STOMP messaging; override what differs from the defaults. Several configurers are applied in turn."""

    def register_stomp_endpoints(self, registry: StompEndpointRegistry) -> None:
        """Add the paths at which clients connect."""

    def configure_web_socket_transport(self, registration: WebSocketTransportRegistration) -> None:
        """Set limits of messages and sessions."""

    def configure_client_inbound_channel(self, registration: ChannelRegistration) -> None:
        """Add interceptors for what clients send, or an executor."""

    def configure_client_outbound_channel(self, registration: ChannelRegistration) -> None:
        """Add interceptors for what clients get, or an executor."""

    def add_argument_resolvers(self, resolvers: list[HandlerMethodArgumentResolver]) -> None:
        """Add resolvers for parameters of controllers."""

    def add_return_value_handlers(self, handlers: list[HandlerMethodReturnValueHandler]) -> None:
        """Add handlers for what controllers return."""

    def configure_message_converters(self, converters: list[MessageConverter]) -> bool:
        """Add converters; they come before the default ones, which False leaves out."""
        return True

    def configure_message_broker(self, registry: MessageBrokerRegistry) -> None:
        """Enable brokers, set prefixes."""


def check_arguments(wsgi_app: Any, configurers: tuple[Any, ...]) -> None:
    """Raises TypeError, with the remedy, unless this is a WSGI application, or None, followed by configurers."""
    for each in configurers:
        if isinstance(each, list | tuple):
            raise TypeError("WellheadApp takes configurers one by one, not in a list: WellheadApp(None, *configurers)")
        if isinstance(each, type):
            name = each.__qualname__
            raise TypeError(f"{name} is a class: WellheadApp takes an instance of it, WellheadApp(None, {name}())")
        if not _is_configurer(each):
            raise TypeError(
                f"{each!r} configures nothing: it is neither a WebSocketMessageBrokerConfigurer nor a "
                "WebSocketConfigurer. Controllers are given as controllers=[...]"
            )
    if _is_configurer(wsgi_app) and (isinstance(wsgi_app, type) or not callable(wsgi_app)):
        name = (wsgi_app if isinstance(wsgi_app, type) else type(wsgi_app)).__qualname__
        raise TypeError(
            f"The first argument of WellheadApp is the WSGI application behind it, or None, and {name} comes after it: "
            f"WellheadApp(None, {name}())"
        )
    if wsgi_app is not None and not callable(wsgi_app):
        raise TypeError(f"The first argument of WellheadApp is a WSGI application or None, not {wsgi_app!r}")


def _is_configurer(value: Any) -> bool:
    kinds = (WebSocketConfigurer, WebSocketMessageBrokerConfigurer)
    return issubclass(value, kinds) if isinstance(value, type) else isinstance(value, kinds)
