"""Which handler is served at which path, and who may connect (CFG-01, CFG-04)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Self

from ...messaging.config.checks import objects, one_or_more, texts
from ..handlers import WebSocketHandler
from ..handshake.handler import DefaultHandshakeHandler, HandshakeHandler
from ..handshake.interceptors import HandshakeInterceptor
from ..handshake.origin import OriginPolicy, with_origin_check
from ..handshake.request_handler import WebSocketHttpRequestHandler
from ..sockjs.request_handler import SockJsHttpRequestHandler
from ..subprotocol.error_handler import StompSubProtocolErrorHandler
from .sockjs import SockJsServiceRegistration

if TYPE_CHECKING:
    from ...messaging.executor import TaskScheduler


class EndpointRegistration:
    """One endpoint or more with the same options. Without any, only pages of the same origin may connect."""

    def __init__(self, handler: WebSocketHandler | None, paths: tuple[str, ...]) -> None:
        if not paths:
            raise ValueError("At least one path is needed")
        self.paths = paths
        self.handler = handler
        self.handshake_handler: HandshakeHandler | None = None
        self.interceptors: list[HandshakeInterceptor] = []
        self.allowed_origins: tuple[str, ...] = ()
        self.allowed_origin_patterns: tuple[str, ...] = ()
        self.sockjs: SockJsServiceRegistration | None = None

    def set_handshake_handler(self, handler: HandshakeHandler) -> Self:
        """Replace the handler of handshakes, e.g. by one that says who the user is. Raises TypeError for a class."""
        objects((handler,), "set_handshake_handler")
        self.handshake_handler = handler
        return self

    def add_interceptors(self, *interceptors: HandshakeInterceptor) -> Self:
        """Append interceptors of the handshake; the check of the origin comes after all of them. Raises TypeError for a
        list of them and for a class.
        """
        self.interceptors.extend(objects(interceptors, "add_interceptors"))
        return self

    def set_allowed_origins(self, *origins: str) -> Self:
        """Origins as browsers send them, e.g. ``https://example.org``; ``*`` for any. Raises TypeError for a list."""
        self.allowed_origins = texts(origins, "set_allowed_origins")
        return self

    def set_allowed_origin_patterns(self, *patterns: str) -> Self:
        """Patterns of origins, e.g. ``https://*.example.org``. Raises TypeError for a list."""
        self.allowed_origin_patterns = texts(patterns, "set_allowed_origin_patterns")
        return self

    def with_sockjs(self, **options: Any) -> SockJsServiceRegistration:
        """Serve SockJS at the path and all below it, instead of plain WebSocket. *options* as of ``SockJsOptions``.

        Takes over what was set until now: call it last. Raises ValueError when ``*`` is an allowed origin: SockJS sends
        cookies, so that it has to be the pattern ``*``.
        """
        self.sockjs = SockJsServiceRegistration(
            handshake_handler=self.handshake_handler,
            interceptors=self.interceptors,
            allowed_origins=self.allowed_origins,
            allowed_origin_patterns=self.allowed_origin_patterns,
            **options,
        )
        return self.sockjs

    def request_handlers(
        self, handler: WebSocketHandler, task_scheduler: TaskScheduler | None = None
    ) -> Iterator[tuple[str, WebSocketHttpRequestHandler | SockJsHttpRequestHandler]]:
        """A path pattern and what serves it, for each path. SockJS needs the scheduler."""
        if self.sockjs is not None:
            service = self.sockjs.make_service(task_scheduler)
            for path in self.paths:
                yield f"{path.removesuffix('/')}/**", SockJsHttpRequestHandler(path, service, handler)
            return
        policy = OriginPolicy(self.allowed_origins, self.allowed_origin_patterns)
        request_handler = WebSocketHttpRequestHandler(
            handler, self.handshake_handler or DefaultHandshakeHandler(), with_origin_check(self.interceptors, policy)
        )
        for path in self.paths:
            yield path, request_handler


class WebSocketHandlerRegistration(EndpointRegistration):
    """Raw WebSocket handlers."""

    handler: WebSocketHandler

    def __init__(self, registry: WebSocketHandlerRegistry, handler: WebSocketHandler, paths: tuple[str, ...]) -> None:
        super().__init__(handler, paths)
        self._registry = registry

    def add_handler(self, handler: WebSocketHandler, *paths: str) -> WebSocketHandlerRegistration:
        """Register another one, with options of its own."""
        return self._registry.add_handler(handler, *paths)


class WebSocketHandlerRegistry:
    """Collects raw WebSocket handlers."""

    def __init__(self) -> None:
        self.registrations: list[WebSocketHandlerRegistration] = []
        self.order = 1

    def add_handler(
        self,
        handler: WebSocketHandler,
        *paths: str,
        allowed_origins: str | Iterable[str] = (),
        allowed_origin_patterns: str | Iterable[str] = (),
    ) -> WebSocketHandlerRegistration:
        """Serve *handler* at *paths*. The same object again replaces its earlier paths. A single origin may be given as
        it is. Raises ValueError without a path, TypeError for a list of paths and for a class in place of a handler.
        """
        objects((handler,), "add_handler")
        registration = WebSocketHandlerRegistration(self, handler, texts(paths, "add_handler"))
        registration.set_allowed_origins(*one_or_more(allowed_origins))
        registration.set_allowed_origin_patterns(*one_or_more(allowed_origin_patterns))
        self.registrations = [each for each in self.registrations if each.handler is not handler]
        self.registrations.append(registration)
        return registration

    def set_order(self, order: int) -> WebSocketHandlerRegistry:
        """Where these paths come among overlapping ones; 1 by default, smaller first."""
        self.order = order
        return self


class StompEndpointRegistry:
    """Collects STOMP endpoints; all of them share one STOMP handler."""

    def __init__(self) -> None:
        self.endpoints: list[EndpointRegistration] = []
        self.order = 1
        self.error_handler: StompSubProtocolErrorHandler | None = None
        self.preserve_receive_order = True

    def add_endpoint(
        self, *paths: str, allowed_origins: str | Iterable[str] = (), allowed_origin_patterns: str | Iterable[str] = ()
    ) -> EndpointRegistration:
        """Serve STOMP at *paths*. A single origin may be given as it is. Raises ValueError without a path, TypeError
        for a list of paths.
        """
        registration = EndpointRegistration(None, texts(paths, "add_endpoint"))
        registration.set_allowed_origins(*one_or_more(allowed_origins))
        registration.set_allowed_origin_patterns(*one_or_more(allowed_origin_patterns))
        self.endpoints.append(registration)
        return registration

    def set_order(self, order: int) -> StompEndpointRegistry:
        """Where these paths come among overlapping ones; 1 by default, smaller first."""
        self.order = order
        return self

    def set_error_handler(self, handler: StompSubProtocolErrorHandler) -> StompEndpointRegistry:
        """Shape the ERROR frames that clients get; by default they carry the error's text."""
        self.error_handler = handler
        return self

    def set_preserve_receive_order(self, preserve: bool) -> StompEndpointRegistry:
        """Handle the frames of one client in their order: on by default, which differs from Spring."""
        self.preserve_receive_order = preserve
        return self
