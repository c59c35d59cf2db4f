"""A SockJS service: from a path below the endpoint to what answers it (SJS-02, SJS-05, SJS-07).

Station: between the request handler of a path and the transports. It holds the table of sessions and decides who may
use which.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from ...messaging.locks import allocate_lock
from ..close import CloseStatus
from ..handlers import WebSocketHandler
from ..handshake.handler import DefaultHandshakeHandler, HandshakeHandler
from ..handshake.interceptors import HandshakeInterceptor, HandshakeInterceptorChain
from ..handshake.origin import OriginPolicy, with_origin_check
from ..handshake.request import HandshakeRequest, HandshakeResponse
from .body import UNREADABLE, read_body
from .cookies import set_session_cookie
from .cors import answer_options, check_origin, do_not_cache, refuse_method
from .eventsource import EventSourceTransport
from .exceptions import SockJsMessageDeliveryError
from .frame import FrameError, decode_array
from .htmlfile import HtmlFileTransport
from .http_session import HttpSockJsSession
from .iframe import PATH as IFRAME_PATH
from .iframe import IframePage
from .info import answer_info
from .jsonp import JsonpSendTransport, JsonpTransport
from .loop_session import LoopHttpSockJsSession
from .options import JsonSockJsMessageCodec, SockJsOptions
from .session import GO_AWAY, SessionFacts
from .stream import STREAM_KEY, HttpStreamHost
from .timers import SockJsTimers
from .transport import PLAIN_TEXT, ReceivingTransport, RequestError, SendingTransport, Transport
from .websocket import SockJsWebSocketHandler, WebSocketTransport
from .wsgi_stream import WsgiStreamHost
from .xhr import XhrSendTransport, XhrStreamingTransport, XhrTransport

if TYPE_CHECKING:
    from ...messaging.executor import TaskScheduler

logger = logging.getLogger(__name__)

_THREADS = WsgiStreamHost()


def default_transports(*, jsonp: bool = False) -> list[Transport]:
    """The transports of a service unless it is told otherwise."""
    transports: list[Transport] = [
        XhrTransport(),
        XhrSendTransport(),
        XhrStreamingTransport(),
        EventSourceTransport(),
        HtmlFileTransport(),
        WebSocketTransport(),
    ]
    return [*transports, JsonpTransport(), JsonpSendTransport()] if jsonp else transports


class SockJsService:
    """Serves one handler, or several, over SockJS."""

    def __init__(
        self,
        scheduler: TaskScheduler,
        options: SockJsOptions | None = None,
        *,
        # who may connect
        policy: OriginPolicy | None = None,
        handshake_handler: HandshakeHandler | None = None,
        interceptors: Iterable[HandshakeInterceptor] = (),
        # parts
        transports: Iterable[Transport] | None = None,
    ) -> None:
        """
        policy: with credentials on; by default only pages of the same origin may connect.
        interceptors: of WebSocket handshakes and of first requests; the check of the origin comes after all of them.
        transports: instead of the default ones.
        """
        self.options = options = SockJsOptions() if options is None else options
        self.policy = OriginPolicy(allow_credentials=True) if policy is None else policy
        self.interceptors = tuple(with_origin_check(interceptors, self.policy))
        self.transports: Mapping[str, Transport] = {
            each.name: each
            for each in (default_transports(jsonp=options.jsonp_enabled) if transports is None else transports)
        }
        self._handshake_handler = DefaultHandshakeHandler() if handshake_handler is None else handshake_handler
        self._iframe = IframePage(options.client_library_url, self.policy)
        self._timers = SockJsTimers(scheduler)
        self._sessions: dict[str, HttpSockJsSession] = {}
        """By their segment of the URL, which the client chooses: so it finds a session, and is nobody's id."""
        self._web_sockets: Counter[str] = Counter()
        """How many WebSockets use a session's segment of the URL at the moment."""
        self._lock = allocate_lock()
        """Guards both tables."""

    # -- what is known of it

    @property
    def sessions(self) -> list[HttpSockJsSession]:
        """The sessions over HTTP, those included that are closed and not yet forgotten."""
        return list(self._sessions.values())

    @property
    def timers(self) -> SockJsTimers:
        return self._timers

    def close_sessions(self, status: CloseStatus = GO_AWAY) -> None:
        """Close all sessions over HTTP; those over WebSocket are the server's."""
        for session in self.sessions:
            session.close(status)

    # -- requests

    def handle(self, request: HandshakeRequest, path: str, handler: WebSocketHandler) -> HandshakeResponse:
        """Answer a request; *path* is what comes after the endpoint's own: empty, or with a slash in front.

        Raises:
            HandshakeFailureError: a WebSocket handshake failed on our side.
        """
        response = HandshakeResponse()
        try:
            return self._dispatch(request, response, path, handler)
        except RequestError as error:
            if error.status == 413:
                _host_of(request).end_connection()
            return _say(response, error.status, str(error))

    def _dispatch(
        self, request: HandshakeRequest, response: HandshakeResponse, path: str, handler: WebSocketHandler
    ) -> HandshakeResponse:
        if not check_origin(request, response, self.policy, suppress_headers=self.options.suppress_cors):
            logger.warning("Origin %r is not allowed for %s", request.origin, request.uri)
            return response
        name = path[1:]
        if not name:
            return _greet(request, response)
        if name == "info":
            answer_info(request, response, self.options)
        elif IFRAME_PATH.fullmatch(name):
            self._iframe.answer(request, response)
        elif name == "websocket":
            return self._raw_web_socket(request, response, handler)
        else:
            return self._dispatch_transport(request, response, name, handler)
        return response

    def _dispatch_transport(
        self, request: HandshakeRequest, response: HandshakeResponse, name: str, handler: WebSocketHandler
    ) -> HandshakeResponse:
        segments = name.split("/")
        if len(segments) != 3 or not _are_ids(segments[0], segments[1]):
            return _not_found(request, response, "no SockJS path")
        _, key, transport_name = segments
        transport = self.transports.get(transport_name)
        if transport is None or (transport.name == "websocket" and not self.options.web_socket_enabled):
            return _not_found(request, response, f"no transport {transport_name!r}")
        if request.method != transport.method:
            self._other_method(request, response, transport)
            return response
        if self._web_sockets[key] and transport.name != "websocket":
            return _not_found(request, response, f"session {key!r} is a WebSocket")
        session = self._sessions.get(key)
        if session is not None:
            self._check_owner(request, session)
        if transport.name == "websocket":
            if session is not None:
                return _not_found(request, response, f"session {key!r} is {session.transport}")
            return self._web_socket(request, response, key, handler)
        do_not_cache(response)
        if self.options.session_cookie_needed:
            set_session_cookie(request, response)
        if hasattr(transport, "framing"):
            return self._receiving(request, response, key, cast(ReceivingTransport, transport), session, handler)
        return self._sending(request, response, key, cast(SendingTransport, transport), session)

    def _other_method(self, request: HandshakeRequest, response: HandshakeResponse, transport: Transport) -> None:
        if not transport.supports_cors:
            refuse_method(response, transport.method)
        elif request.method == "OPTIONS":
            methods = f"OPTIONS, {transport.method}"
            answer_options(request, response, methods, suppress_headers=self.options.suppress_cors)
        else:
            refuse_method(response, transport.method, "OPTIONS")

    def _check_owner(self, request: HandshakeRequest, session: HttpSockJsSession) -> None:
        """A session is used by whoever opened it. Raises RequestError (404)."""
        owner, user = session.owner, request.principal
        if owner is not None:
            mine = user is not None and (user == owner or user.name == owner.name)
        else:
            theirs, here = session.remote_address, request.remote_address
            mine = user is None and (theirs and theirs[0]) == (here and here[0])
        if not mine:
            logger.warning("Session %r is somebody else's: %s", session.key, request.uri)
            raise RequestError(404)

    # -- transports

    def _receiving(
        self,
        request: HandshakeRequest,
        response: HandshakeResponse,
        key: str,
        transport: ReceivingTransport,
        session: HttpSockJsSession | None,
        handler: WebSocketHandler,
    ) -> HandshakeResponse:
        framing = transport.framing(request)
        host = _host_of(request)
        if session is None:
            session = self._first_request(request, response, key, transport, host, handler)
            if session is None:
                return response
        if session.transport != transport.name:
            return _not_found(request, response, f"session {key!r} is {session.transport}")
        stream, answer = host.open()
        session.handle_request(stream, framing, [*response.header_list, *transport.headers])
        return answer

    def _first_request(
        self,
        request: HandshakeRequest,
        response: HandshakeResponse,
        key: str,
        transport: ReceivingTransport,
        host: HttpStreamHost,
        handler: WebSocketHandler,
    ) -> HttpSockJsSession | None:
        """Make a session; None when interceptors refused, *response* has their answer. Raises RequestError."""

        def make(attributes: dict[str, Any]) -> tuple[HttpSockJsSession, HttpSockJsSession] | None:
            if 400 <= response.status < 500:
                return None  # Differs from Spring: it opens the session, and then forgets it.
            principal = _user_of(self._handshake_handler, request, handler, attributes)
            facts = SessionFacts(request, attributes, principal)
            parts = {"key": key, "transport": transport, "host": host, "removal": self._remove}
            arguments = (facts, handler, self.options, self._timers)
            session: HttpSockJsSession
            if host.flusher is not None:
                session = LoopHttpSockJsSession(*arguments, flusher=host.flusher, **parts)
            else:
                session = HttpSockJsSession(*arguments, **parts)  # type: ignore[arg-type]  # as its keywords are
            with self._lock:
                return session, self._sessions.setdefault(key, session)

        found = HandshakeInterceptorChain(self.interceptors, handler).run(request, response, make)
        if found is None:
            return None
        made, session = found
        if session is not made:
            # Two first requests at once: an interceptor waited for something, or each has a thread.
            self._check_owner(request, session)
        else:
            logger.debug("Session %s is %r, %s", session.id, key, transport.name)
        return session

    def _remove(self, session: HttpSockJsSession) -> None:
        with self._lock:
            if self._sessions.get(session.key) is session:
                del self._sessions[session.key]

    def _sending(
        self,
        request: HandshakeRequest,
        response: HandshakeResponse,
        key: str,
        transport: SendingTransport,
        session: HttpSockJsSession | None,
    ) -> HandshakeResponse:
        if session is None:
            return _not_found(request, response, f"no session {key!r}")
        body = read_body(request, self.options.max_body_size)
        content_type = (request.header("Content-Type") or "").partition(";")[0].strip().lower()
        try:
            messages = self._decode(session, transport.payload(content_type, body))
            session.receive(messages, len(body), _host_of(request).give_way)
        except FrameError as error:
            logger.error("Broken request to session %s: %s", session.id, error)
            return _say(response, 500, str(error))
        except SockJsMessageDeliveryError as error:
            logger.error("%s", error)
            return _say(response, 500, "Failed to deliver message(s)")
        response.status, response.body = transport.success
        response.headers["Content-Type"] = PLAIN_TEXT
        return response

    def _decode(self, session: HttpSockJsSession, payload: bytes | str) -> list[str]:
        codec = self.options.message_codec
        if type(codec) is JsonSockJsMessageCodec:
            return decode_array(payload)  # a message alone, without an array, is for WebSockets
        try:
            return codec.decode(payload.encode() if isinstance(payload, str) else payload)
        except FrameError:
            raise
        except Exception as error:  # It is the application's; the session can go on without this request.
            logger.exception("The codec failed with a request to session %s", session.id)
            raise RequestError(500, UNREADABLE) from error

    # -- WebSocket

    def _web_socket(
        self, request: HandshakeRequest, response: HandshakeResponse, key: str, handler: WebSocketHandler
    ) -> HandshakeResponse:
        def opened() -> None:
            with self._lock:
                self._web_sockets[key] += 1

        def closed() -> None:
            with self._lock:
                self._web_sockets[key] -= 1
                if not self._web_sockets[key]:
                    del self._web_sockets[key]

        adapter = SockJsWebSocketHandler(
            handler, SessionFacts(request), self.options, self._timers, opened=opened, closed=closed
        )
        return self._handshake(request, response, handler, adapter)

    def _raw_web_socket(
        self, request: HandshakeRequest, response: HandshakeResponse, handler: WebSocketHandler
    ) -> HandshakeResponse:
        # Differs from Spring, which answers nothing (200) where WebSocket is disabled.
        if not self.options.web_socket_enabled or "websocket" not in self.transports:
            return _not_found(request, response, "no WebSocket")
        if request.method not in ("GET", "CONNECT"):
            refuse_method(response, "GET")
            return response
        return self._handshake(request, response, handler, handler)

    def _handshake(
        self,
        request: HandshakeRequest,
        response: HandshakeResponse,
        handler: WebSocketHandler,
        native_handler: WebSocketHandler,
    ) -> HandshakeResponse:
        """As a request to a path without SockJS; interceptors see the application's handler."""
        do_handshake = partial(self._handshake_handler.do_handshake, request, response, native_handler)
        HandshakeInterceptorChain(self.interceptors, handler).run(request, response, do_handshake)
        return response


def _host_of(request: HandshakeRequest) -> HttpStreamHost:
    host: HttpStreamHost = request.environ.get(STREAM_KEY, _THREADS)
    return host


def _are_ids(server: str, session: str) -> bool:
    """Whether these may stand in the URL: not empty, without dots."""
    return bool(server.strip() and session.strip()) and "." not in server and "." not in session


def _user_of(
    handshake_handler: HandshakeHandler,
    request: HandshakeRequest,
    handler: WebSocketHandler,
    attributes: dict[str, Any],
) -> Any:
    """Who the user is. Differs from Spring: a handshake handler that says so is asked on every transport."""
    determine_user = getattr(handshake_handler, "determine_user", None)
    return request.principal if determine_user is None else determine_user(request, handler, attributes)


def _greet(request: HandshakeRequest, response: HandshakeResponse) -> HandshakeResponse:
    if (request.header("Upgrade") or "").lower() == "websocket":
        # A WebSocket client without SockJS: the path for it is /websocket.
        return _say(response, 400, 'WebSocket is at "/websocket" below this path.')
    return _say(response, 200, "Welcome to SockJS!\n")


def _say(response: HandshakeResponse, status: int, text: str) -> HandshakeResponse:
    response.status = status
    response.body = text.encode()
    if text:
        response.headers["Content-Type"] = PLAIN_TEXT
    return response


def _not_found(request: HandshakeRequest, response: HandshakeResponse, why: str) -> HandshakeResponse:
    logger.warning("404 for %s: %s", request.uri, why)
    response.status = 404
    return response
