"""SockJS for an endpoint: its options, as the application sets them (CFG-02)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

from ...messaging.config.checks import objects, one_or_more
from ..close import CloseStatus, EndReason
from ..handshake.handler import HandshakeHandler
from ..handshake.interceptors import HandshakeInterceptor
from ..handshake.origin import OriginPolicy
from ..sockjs.options import SockJsMessageCodec, SockJsOptions
from ..sockjs.service import SockJsService, default_transports
from ..sockjs.transport import Transport

if TYPE_CHECKING:
    from ...messaging.executor import TaskScheduler


class SockJsServiceRegistration:
    """The SockJS service of an endpoint; each setter returns the registration.

    Who may connect is a snapshot of the endpoint at ``with_sockjs``: call that last.
    """

    def __init__(
        self,
        *,
        handshake_handler: HandshakeHandler | None = None,
        interceptors: Iterable[HandshakeInterceptor] = (),
        allowed_origins: str | Iterable[str] = (),
        allowed_origin_patterns: str | Iterable[str] = (),
        **options: Any,
    ) -> None:
        """*options* are fields of ``SockJsOptions``."""
        self.options = SockJsOptions(**options)
        self.handshake_handler = handshake_handler
        self.interceptors = list(interceptors)
        self.policy = OriginPolicy(
            one_or_more(allowed_origins), one_or_more(allowed_origin_patterns), allow_credentials=True
        )
        self.policy.check("*")  # Says at once what is wrong with "*" as an allowed origin.
        self.task_scheduler: TaskScheduler | None = None
        self._transports: Sequence[Transport] | None = None
        self._overrides: Sequence[Transport] = ()
        self._service: SockJsService | None = None

    def set_options(self, **changes: Any) -> Self:
        """Change any fields of ``SockJsOptions`` at once."""
        self.options = dataclasses.replace(self.options, **changes)
        return self

    # for the client

    def set_client_library_url(self, url: str) -> Self:
        """The SockJS client that the iframe page loads: the version that pages themselves use."""
        return self.set_options(client_library_url=url)

    def set_session_cookie_needed(self, needed: bool) -> Self:
        """True: ``/info`` says so and ``JSESSIONID`` is set or echoed; False: it says no. Not called: it says so,
        alone."""
        return self.set_options(session_cookie_needed=needed)

    def set_web_socket_enabled(self, enabled: bool) -> Self:
        """Whether clients may use WebSocket; on by default."""
        return self.set_options(web_socket_enabled=enabled)

    def set_jsonp_enabled(self, enabled: bool) -> Self:
        """Whether clients may use JSONP, which gets around all checks of the origin; off by default."""
        return self.set_options(jsonp_enabled=enabled)

    # responses and requests

    def set_stream_bytes_limit(self, limit: int) -> Self:
        """Bytes after which a streaming response ends and the client asks anew; 128 KiB by default."""
        return self.set_options(stream_bytes_limit=limit)

    def set_suppress_cors(self, suppress: bool) -> Self:
        """Add no CORS headers, because something before this application does. Origins are still checked."""
        return self.set_options(suppress_cors=suppress)

    def set_max_body_size(self, size: int) -> Self:
        """Bytes of one request that brings messages; 1 MiB by default."""
        return self.set_options(max_body_size=size)

    # sessions

    def set_heartbeat_time(self, time_ms: int) -> Self:
        """How long after the last frame a heart-beat goes out; 25 s by default, 0 for none."""
        return self.set_options(heartbeat_ms=time_ms)

    def set_disconnect_delay(self, delay_ms: int) -> Self:
        """How long a session lives without a request; 5 s by default."""
        return self.set_options(disconnect_delay_ms=delay_ms)

    def set_http_message_cache_size(self, size: int) -> Self:
        """Messages that wait for the next request; 100 by default."""
        return self.set_options(http_message_cache_size=size)

    def set_message_codec(self, codec: SockJsMessageCodec) -> Self:
        """What writes and reads the arrays of messages; JSON by default."""
        return self.set_options(message_codec=codec)

    # parts

    def set_task_scheduler(self, scheduler: TaskScheduler) -> Self:
        """What times heart-beats and unused sessions; by default the application's scheduler."""
        self.task_scheduler = scheduler
        return self

    def set_interceptors(self, *interceptors: HandshakeInterceptor) -> Self:
        """Append interceptors to those of the endpoint."""
        self.interceptors.extend(objects(interceptors, "set_interceptors"))
        return self

    def set_transport_handlers(self, *transports: Transport) -> Self:
        """Serve these transports and no others."""
        self._transports = tuple(objects(transports, "set_transport_handlers"))
        return self

    def set_transport_handler_overrides(self, *transports: Transport) -> Self:
        """Serve these in place of the default ones of the same name, and the other defaults."""
        self._overrides = tuple(objects(transports, "set_transport_handler_overrides"))
        return self

    def make_service(self, task_scheduler: TaskScheduler | None) -> SockJsService:
        """The service. *task_scheduler* is the application's.

        Raises:
            RuntimeError: both transports and overrides were given, or there is no scheduler.
        """
        scheduler = self.task_scheduler or task_scheduler
        if scheduler is None:
            raise RuntimeError("SockJS needs a task scheduler")
        self._service = SockJsService(
            scheduler,
            self.options,
            policy=self.policy,
            handshake_handler=self.handshake_handler,
            interceptors=self.interceptors,
            transports=self._all_transports(),
        )
        return self._service

    def close_sessions(self) -> None:
        """The application stops: close the sessions over HTTP with 1001, also those that nobody asks for just now."""
        if self._service is not None:
            self._service.close_sessions(CloseStatus.GOING_AWAY.with_cause(EndReason.SERVER_STOPPED))

    def _all_transports(self) -> Sequence[Transport]:
        if self._transports is not None:
            if self._overrides:
                raise RuntimeError("Specify either TransportHandlers or TransportHandler overrides, not both")
            return self._transports
        return [*default_transports(jsonp=self.options.jsonp_enabled), *self._overrides]
