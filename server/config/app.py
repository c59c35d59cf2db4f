"""The application: plain objects wired together, as a WSGI application (CFG-03, CFG-08, LIFE-01)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from ...messaging.broker.simple import SimpleBrokerMessageHandler
from ...messaging.broker.subscriptions import DefaultSubscriptionRegistry
from ...messaging.config.broker import MessageBrokerRegistry, SimpleBrokerRegistration
from ...messaging.config.channels import ChannelRegistration
from ...messaging.config.checks import objects
from ...messaging.converter.composite import default_converters
from ...messaging.converter.contract import MessageConverter
from ...messaging.events import ApplicationEvents
from ...messaging.executor import PooledExecutor, TaskScheduler
from ...messaging.handler.arguments import HandlerMethodArgumentResolver
from ...messaging.handler.mapping import Placeholders
from ...messaging.handler.payload import Validator
from ...messaging.handler.returns import HandlerMethodReturnValueHandler
from ...messaging.simp.annotated import SimpAnnotationMethodMessageHandler
from ...messaging.simp.ordered import configure_interceptor
from ...messaging.simp.template import SimpMessagingTemplate
from ...messaging.subscribable import ExecutorSubscribableChannel, ImmutableMessageChannelInterceptor
from ...messaging.threads import QUEUE_CAPACITY
from ...messaging.user.destination import DefaultUserDestinationResolver, UserDestinationMessageHandler
from ...messaging.user.registry import DefaultSimpUserRegistry
from ..close import CloseStatus
from ..decorators import apply_decorator_factories
from ..exceptions import HandshakeFailureError
from ..handlers import WebSocketHandler
from ..handshake.mapping import WebSocketHandlerMapping
from ..handshake.request import HandshakeRequest, HandshakeResponse
from ..handshake.upgrade import UPGRADE_KEY
from ..subprotocol.endpoint import SubProtocolWebSocketHandler
from ..subprotocol.stomp import StompSubProtocolHandler
from ..transport_options import ENVIRON_KEY
from .configurer import WebSocketConfigurer, WebSocketMessageBrokerConfigurer, check_arguments
from .endpoints import StompEndpointRegistry, WebSocketHandlerRegistry
from .runtime import Runtime
from .scheduling import ApplicationExecutor, ApplicationTaskScheduler
from .stats import WebSocketMessageBrokerStats
from .transport import WebSocketTransportRegistration
from .unheard import UnheardMessages

logger = logging.getLogger(__name__)

_FUTURE_WORKERS = 8
"""Greenlets that send the values of futures which are done; sending seldom waits."""

WsgiApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class HttpRequestHandler(Protocol):
    """Serves the requests of one path."""

    def handle(self, request: HandshakeRequest) -> HandshakeResponse: ...


class WellheadApp:
    """WebSocket endpoints in front of a WSGI application.

    Requests to an endpoint are handshakes; all others go to *wsgi_app*, or are answered 404 without one. Everything is
    wired when the object is made; messages flow from ``start`` to ``stop``, which the server calls: outside of that
    they are lost, as on any channel without subscribers; the log says so once if nobody has started it.
    """

    def __init__(
        self,
        wsgi_app: WsgiApplication | None = None,
        *configurers: WebSocketMessageBrokerConfigurer | WebSocketConfigurer,
        controllers: Iterable[object] = (),
        validator: Validator | None = None,
        placeholders: Placeholders | None = None,
    ) -> None:
        """*controllers* are objects whose methods, or functions that, carry mappings. *placeholders* gives the values
        for ``${name}`` in their destinations: a mapping, or a function that returns None for a name that it does not
        know; ``${name:default}`` needs none.

        Raises TypeError or ValueError for what was configured by mistake, with the remedy.
        """
        check_arguments(wsgi_app, configurers)
        if not isinstance(controllers, Iterable):
            raise TypeError(f"controllers takes several: controllers=[...], not {controllers!r}")
        self.wsgi_app = wsgi_app
        self.events = ApplicationEvents()
        """Where to listen for sessions that come and go."""
        self.task_scheduler = ApplicationTaskScheduler()
        self._futures = ApplicationExecutor()
        self._mapping: WebSocketHandlerMapping[HttpRequestHandler] = WebSocketHandlerMapping()
        self._runtime: Runtime | None = None
        self._was_started = False
        self._executors: list[PooledExecutor] = []
        self._gather(configurers)
        self._make_channels()
        self._make_controllers(controllers, validator, placeholders)
        self._make_broker()
        self._make_endpoints()

    # -- making it

    def _gather(self, configurers: Sequence[WebSocketMessageBrokerConfigurer | WebSocketConfigurer]) -> None:
        """Let the configurers fill in the registries."""
        self._handlers = WebSocketHandlerRegistry()
        self._endpoints = StompEndpointRegistry()
        self._transport = WebSocketTransportRegistration()
        self._broker = MessageBrokerRegistry()
        self._inbound = ChannelRegistration("clientInboundChannel")
        self._outbound = ChannelRegistration("clientOutboundChannel")
        self._resolvers: list[HandlerMethodArgumentResolver] = []
        self._return_handlers: list[HandlerMethodReturnValueHandler] = []
        converters: list[MessageConverter] = []
        defaults = True
        for configurer in configurers:
            if isinstance(configurer, WebSocketConfigurer):
                configurer.register_web_socket_handlers(self._handlers)
            if isinstance(configurer, WebSocketMessageBrokerConfigurer):
                configurer.register_stomp_endpoints(self._endpoints)
                configurer.configure_web_socket_transport(self._transport)
                configurer.configure_message_broker(self._broker)
                configurer.configure_client_inbound_channel(self._inbound)
                configurer.configure_client_outbound_channel(self._outbound)
                configurer.add_argument_resolvers(self._resolvers)
                configurer.add_return_value_handlers(self._return_handlers)
                defaults = configurer.configure_message_converters(converters) is not False and defaults
        objects(self._resolvers, "add_argument_resolvers")
        objects(self._return_handlers, "add_return_value_handlers")
        objects(converters, "configure_message_converters")
        self._broker.warn_of_prefixes()
        self.broker_message_converter = default_converters(converters, register_defaults=defaults)

    def _make_channels(self) -> None:
        self.client_inbound_channel = ExecutorSubscribableChannel(name="clientInboundChannel")
        self.client_outbound_channel = ExecutorSubscribableChannel(name="clientOutboundChannel")
        self.broker_channel = ExecutorSubscribableChannel(name="brokerChannel")
        self._channels = (
            (self.client_inbound_channel, self._inbound),
            (self.client_outbound_channel, self._outbound),
            (self.broker_channel, self._broker.broker_channel),
        )
        for channel, registration in self._channels:
            channel.set_interceptors((*registration.registered_interceptors, ImmutableMessageChannelInterceptor()))
        configure_interceptor(self.client_outbound_channel, self._broker.preserve_publish_order)
        self._unheard = UnheardMessages()
        self.broker_channel.subscribe(self._unheard)

    def _make_controllers(
        self, controllers: Iterable[object], validator: Validator | None, placeholders: Placeholders | None
    ) -> None:
        registry = self._broker
        self.broker_messaging_template = SimpMessagingTemplate(
            self.broker_channel,
            message_converter=self.broker_message_converter,
            user_destination_prefix=registry.user_destination_prefix,
        )
        self.simp_annotation_method_message_handler = SimpAnnotationMethodMessageHandler(
            self.client_inbound_channel,
            self.client_outbound_channel,
            self.broker_messaging_template,
            destination_prefixes=registry.application_destination_prefixes,
            path_matcher=registry.path_matcher,
            placeholders=placeholders,
            message_converter=self.broker_message_converter,
            custom_argument_resolvers=self._resolvers,
            custom_return_value_handlers=self._return_handlers,
            validator=validator,
            future_executor=self._futures,
            report_unhandled_errors=registry.report_unhandled_errors,
            other_prefixes=self._prefixes_of_others(),
        )
        for controller in controllers:
            self.simp_annotation_method_message_handler.register(controller)

    def _prefixes_of_others(self) -> tuple[str, ...]:
        """Of all destinations that are not for controllers; empty where the broker takes whatever there is."""
        broker = self._broker.simple_broker.destination_prefixes if self._broker.simple_broker is not None else ()
        return (*broker, self._broker.user_destination_prefix) if broker else ()

    def _make_broker(self) -> None:
        registry = self._broker
        simple = registry.simple_broker or SimpleBrokerRegistration(())
        self._make_users(simple)
        self.simple_broker_message_handler = SimpleBrokerMessageHandler(
            self.client_inbound_channel,
            self.client_outbound_channel,
            self.broker_channel,
            simple.destination_prefixes,
            user_destination_prefix=registry.user_destination_prefix,
            events=self.events,
            subscription_registry=DefaultSubscriptionRegistry(
                path_matcher=registry.path_matcher,
                cache_limit=registry.cache_limit,
                selector_header_name=simple.selector_header_name,
                max_subscriptions_per_session=simple.max_subscriptions_per_session,
                max_patterns_per_session=simple.max_patterns_per_session,
                regex_in_patterns=simple.regex_in_patterns,
            ),
            task_scheduler=simple.task_scheduler or self.task_scheduler,
            heartbeat_ms=simple.heartbeat_ms,
            preserve_publish_order=registry.preserve_publish_order,
            receipts=simple.receipts,
            reject_unsupported_frames=simple.reject_unsupported_frames,
            control_headers=simple.control_headers,
        )

    def _make_users(self, simple: SimpleBrokerRegistration) -> None:
        self.user_registry = DefaultSimpUserRegistry(
            self.events, max_subscriptions_per_session=simple.max_subscriptions_per_session
        )
        prefixes = simple.destination_prefixes
        self.user_destination_resolver = DefaultUserDestinationResolver(
            self.user_registry,
            prefix=self._broker.user_destination_prefix,
            remove_leading_slash=bool(prefixes) and not prefixes[0].startswith("/"),
        )
        self.user_destination_message_handler = UserDestinationMessageHandler(
            self.client_inbound_channel, self.broker_channel, self.user_destination_resolver
        )

    def _make_endpoints(self) -> None:
        transport, endpoints = self._transport, self._endpoints
        self.stomp_sub_protocol_handler = StompSubProtocolHandler(
            events=self.events,
            error_handler=endpoints.error_handler,
            message_size_limit=transport.message_size_limit,
            preserve_receive_order=endpoints.preserve_receive_order,
        )
        self.sub_protocol_web_socket_handler = SubProtocolWebSocketHandler(
            self.client_inbound_channel,
            self.client_outbound_channel,
            send_time_limit_ms=transport.send_time_limit_ms,
            send_buffer_size_limit=transport.send_buffer_size_limit,
            overflow_strategy=transport.overflow_strategy,
            time_to_first_message_ms=transport.time_to_first_message_ms,
            task_scheduler=self.task_scheduler,
        )
        self.sub_protocol_web_socket_handler.add_protocol_handler(self.stomp_sub_protocol_handler)
        self.web_socket_message_broker_stats = WebSocketMessageBrokerStats(
            self.sub_protocol_web_socket_handler.stats,
            self.stomp_sub_protocol_handler.stats,
            self.client_inbound_channel,
            self.client_outbound_channel,
            self.task_scheduler,
        )
        stomp: WebSocketHandler = apply_decorator_factories(
            self.sub_protocol_web_socket_handler, transport.decorator_factories
        )
        for endpoint in endpoints.endpoints:
            for path, request_handler in endpoint.request_handlers(stomp, self.task_scheduler):
                self._mapping.register(path, request_handler, endpoints.order)
        for registration in self._handlers.registrations:
            for path, request_handler in registration.request_handlers(registration.handler, self.task_scheduler):
                self._mapping.register(path, request_handler, self._handlers.order)

    # -- by name

    @property
    def template(self) -> SimpMessagingTemplate:
        """Sends messages to subscribers, from anywhere: ``app.template.convert_and_send("/topic/news", {...})``."""
        return self.broker_messaging_template

    @property
    def stats(self) -> WebSocketMessageBrokerStats:
        return self.web_socket_message_broker_stats

    @property
    def message_broker_task_scheduler(self) -> TaskScheduler:
        """Times heart-beats, unused sessions and statistics."""
        return self.task_scheduler

    @property
    def stomp_web_socket_handler_mapping(self) -> WebSocketHandlerMapping[HttpRequestHandler]:
        """The paths of all endpoints."""
        return self._mapping

    @property
    def is_running(self) -> bool:
        return self._runtime is not None

    def disconnect(
        self,
        session_id: str | None = None,
        *,
        user: str | None = None,
        status: CloseStatus = CloseStatus.NORMAL,
    ) -> int:
        """Close a session, or all sessions of the user of that name; returns how many there were.

        What was sent to them before still goes out. Raises ValueError unless exactly one of both is given.
        """
        if (session_id is None) == (user is None):
            raise ValueError("Either a session id or a user is needed")
        ids = [session_id] if session_id is not None else self.stomp_sub_protocol_handler.session_ids_of(user or "")
        close = self.sub_protocol_web_socket_handler.close_session
        return sum([close(each, status) for each in ids])

    # -- life cycle

    def start(self, runtime: Runtime) -> None:
        """Give the channels their executors, then start from the inside out. Twice does nothing."""
        if self._runtime is not None:
            return
        self._runtime = runtime
        self._was_started = True
        self.broker_channel.unsubscribe(self._unheard)
        self.task_scheduler.delegate = runtime.scheduler
        for channel, registration in self._channels:
            channel.executor = registration.make_executor(runtime)
            if channel.executor is not None and registration.registered_executor is None:
                self._executors.append(channel.executor)  # type: ignore[arg-type]  # made by the runtime: a pool
        self._futures.delegate = runtime.executor(
            "futures-", core_pool_size=_FUTURE_WORKERS, queue_capacity=QUEUE_CAPACITY
        )
        self._executors.append(self._futures.delegate)
        receive_in_order = self._endpoints.preserve_receive_order and self.client_inbound_channel.executor is not None
        configure_interceptor(self.client_inbound_channel, receive_in_order)
        self.simp_annotation_method_message_handler.start()
        self.user_destination_message_handler.start()
        self.simple_broker_message_handler.start()
        self.sub_protocol_web_socket_handler.start()
        self.web_socket_message_broker_stats.start()

    def stop(self) -> None:
        """Close all sessions with 1001, then stop in the reverse order. The server calls it. Twice does nothing."""
        if self._runtime is None:
            return
        self.web_socket_message_broker_stats.stop()
        self.sub_protocol_web_socket_handler.stop()
        for endpoint in (*self._endpoints.endpoints, *self._handlers.registrations):
            if endpoint.sockjs is not None:
                endpoint.sockjs.close_sessions()
        self.simple_broker_message_handler.stop()
        self.user_destination_message_handler.stop()
        self.simp_annotation_method_message_handler.stop()
        for executor in self._executors:
            executor.shutdown()
        self._executors.clear()
        self._futures.delegate = None
        for channel, registration in self._channels:
            channel.executor = registration.registered_executor
        self.task_scheduler.delegate = None
        self._runtime = None

    # -- WSGI

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        found = self._mapping.match(environ)
        if found is None:
            return self._other(environ, start_response)
        if self._runtime is None and not self._is_adopted(environ) and self._endpoints.endpoints:
            return self._not_started(environ, start_response)
        handler, variables = found
        environ[ENVIRON_KEY] = self._transport.web_socket
        try:
            response = handler.handle(HandshakeRequest(environ, variables))
        except HandshakeFailureError as error:
            logger.exception("Handshake failed for %r", environ.get("PATH_INFO"))
            response = HandshakeResponse()
            response.refuse(500, "Handshake failed" if error.__cause__ else str(error))
        return () if response.upgraded else _answer(response, environ, start_response)

    def _is_adopted(self, environ: dict[str, Any]) -> bool:
        """Something is wrapped around this, and the server hears of it with its first request; or all is over."""
        adopt = getattr(environ.get(UPGRADE_KEY), "adopt", None)
        return (adopt is not None and adopt(self)) or self._was_started

    def _not_started(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Nobody would ever answer a client, whose CONNECT goes to a channel without subscribers."""
        logger.error(
            "%s: this WellheadApp is not started, so that no message would arrive. `python -m wellhead.server "
            "module:app` and wellhead.server.serve(app) start it; for another server call its start(runtime)",
            environ.get("PATH_INFO"),
        )
        response = HandshakeResponse()
        response.refuse(503, "The application is not started.")
        return _answer(response, environ, start_response)

    def _other(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if self.wsgi_app is not None:
            return self.wsgi_app(environ, start_response)
        response = HandshakeResponse()
        response.refuse(404, "Not Found")
        return _answer(response, environ, start_response)


def _answer(
    response: HandshakeResponse, environ: dict[str, Any], start_response: Callable[..., Any]
) -> Iterable[bytes]:
    return response.to_wsgi(start_response, is_head=environ.get("REQUEST_METHOD") == "HEAD")
