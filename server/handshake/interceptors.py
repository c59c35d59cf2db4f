"""Interceptors around the handshake (HS-04, HS-05).

Station: the first to see a request to a WebSocket or SockJS path; they fill the attributes of the session to be.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar, Protocol, TypeVar

from werkzeug.exceptions import HTTPException

from ..exceptions import HandshakeFailureError
from ..handlers import WebSocketHandler
from .request import HandshakeRequest, HandshakeResponse

R = TypeVar("R")

logger = logging.getLogger(__name__)


class HandshakeInterceptor(Protocol):
    """Called before and after a handshake.

    An exception out of :meth:`before_handshake` ends the handshake with 500; werkzeug's ``HTTPException`` with a status
    of 4xx, as ``abort(401)`` raises it, is itself the answer. Those that let the request pass hear of either.
    """

    def before_handshake(
        self,
        request: HandshakeRequest,
        response: HandshakeResponse,
        handler: WebSocketHandler,
        attributes: dict[str, Any],
    ) -> bool:
        """Return whether to go on; on ``False`` set a status, it is 200 otherwise.

        ``attributes`` become the session's.
        """

    def after_handshake(
        self,
        request: HandshakeRequest,
        response: HandshakeResponse,
        handler: WebSocketHandler,
        exception: Exception | None,
    ) -> None:
        """Called if :meth:`before_handshake` returned ``True``, also after a failure; status and headers tell."""


class HandshakeInterceptorChain:
    """Runs the interceptors of one handshake; a new one for each, as it remembers how far it got."""

    __slots__ = ("_handler", "_interceptors", "_passed")

    def __init__(self, interceptors: Sequence[HandshakeInterceptor], handler: WebSocketHandler) -> None:
        self._interceptors = interceptors
        self._handler = handler
        self._passed = 0

    def run(
        self,
        request: HandshakeRequest,
        response: HandshakeResponse,
        handshake: Callable[[dict[str, Any]], R],
    ) -> R | None:
        """Call *handshake* with the session's attributes, between the two calls of each interceptor. What it returned;
        None when they did not let the request pass, or an ``HTTPException`` of 4xx was the answer.

        Raises:
            HandshakeFailureError: a failure on our side, after the interceptors heard of it; any other exception
                comes wrapped in one.
        """
        attributes: dict[str, Any] = {}
        try:
            if not self.apply_before_handshake(request, response, attributes):
                return None
            result = handshake(attributes)
        except HandshakeFailureError as failure:
            if not self._is_answered(failure, request, response):
                raise
            return None
        except Exception as error:
            wrapped = _wrapped(error, request)
            if not self._is_answered(wrapped, request, response):
                raise wrapped from error
            return None
        self.apply_after_handshake(request, response, None)
        return result

    def _is_answered(
        self, failure: HandshakeFailureError, request: HandshakeRequest, response: HandshakeResponse
    ) -> bool:
        """Tell the interceptors of it; whether its cause was raised as an answer, which *response* has then."""
        refusal = None if response.upgraded else _refusal_in(failure)
        if refusal is not None:
            response.answer_with(refusal.get_response(request.environ), request.environ)
            logger.debug("%r refused with status %d", request, response.status)
        self.apply_after_handshake(request, response, failure)
        return refusal is not None

    def apply_before_handshake(
        self, request: HandshakeRequest, response: HandshakeResponse, attributes: dict[str, Any]
    ) -> bool:
        """Call each in order; one that refuses stops it, and those before it get their ``after_handshake``."""
        for interceptor in self._interceptors:
            if not interceptor.before_handshake(request, response, self._handler, attributes):
                logger.debug("%r refused %r with status %d", interceptor, request, response.status)
                self.apply_after_handshake(request, response, None)
                return False
            self._passed += 1
        return True

    def apply_after_handshake(
        self, request: HandshakeRequest, response: HandshakeResponse, exception: Exception | None
    ) -> None:
        """Call in reverse those that let the request pass, once; an exception of theirs is a WARN line."""
        passed, self._passed = self._passed, 0
        for interceptor in reversed(self._interceptors[:passed]):
            try:
                interceptor.after_handshake(request, response, self._handler, exception)
            except Exception:
                # The handshake is decided: the other interceptors must still hear of it.
                logger.warning("%r raised in after_handshake of %r", interceptor, request, exc_info=True)


def _wrapped(error: Exception, request: HandshakeRequest) -> HandshakeFailureError:
    reason = str(error) or error.__class__.__name__
    failure = HandshakeFailureError(f"Uncaught failure for request {request.uri} - {reason}")
    failure.__cause__ = error
    return failure


def _refusal_in(failure: HandshakeFailureError) -> HTTPException | None:
    """What was raised to answer with, as ``abort(401)`` does: it blames the client, with a status of 4xx."""
    cause = failure.__cause__
    if not isinstance(cause, HTTPException):
        return None
    status = cause.code if cause.response is None else cause.response.status_code
    return cause if status is not None and 400 <= status < 500 else None


SessionLookup = Callable[[HandshakeRequest], Mapping[str, Any] | None]
"""Finds the HTTP session of a request, ``None`` when there is none."""

HTTP_SESSION_KEYS = ("wellhead.http_session", "werkzeug.session", "beaker.session")
"""Environ keys under which an HTTP session is looked for, in this order."""


def http_session_in_environ(request: HandshakeRequest) -> Mapping[str, Any] | None:
    """Find the HTTP session that a middleware left in the environ."""
    for key in HTTP_SESSION_KEYS:
        session: Mapping[str, Any] | None = request.environ.get(key)
        if session is not None:
            return session
    return None


class HttpSessionHandshakeInterceptor:
    """Copies attributes of the HTTP session into those of the WebSocket session (HS-05).

    Without ``attribute_names`` all are copied, otherwise the named ones; ``copy_all_attributes`` overrules that.
    ``copy_http_session_id`` (default on) adds the session's id, if it has one (its attribute ``sid``, ``session_id``,
    ``id`` or ``session_key``), under ``HTTP.SESSION.ID``. Without an HTTP session nothing is copied, unless
    ``create_session`` makes one.

    ``session_of`` finds the HTTP session; by default the environ is searched, see :data:`HTTP_SESSION_KEYS`. Flask
    keeps its session elsewhere::

        HttpSessionHandshakeInterceptor(
            session_of=lambda request: app.session_interface.open_session(app, request.wsgi_request)
        )
    """

    HTTP_SESSION_ID_ATTR_NAME: ClassVar[str] = "HTTP.SESSION.ID"

    def __init__(
        self,
        attribute_names: Collection[str] | None = None,
        *,
        copy_all_attributes: bool | None = None,
        copy_http_session_id: bool = True,
        session_of: SessionLookup = http_session_in_environ,
        create_session: SessionLookup | None = None,
    ) -> None:
        self.attribute_names = frozenset(attribute_names or ())
        self.copy_all_attributes = attribute_names is None if copy_all_attributes is None else copy_all_attributes
        self.copy_http_session_id = copy_http_session_id
        self._session_of = session_of
        self._create_session = create_session

    def before_handshake(
        self,
        request: HandshakeRequest,
        response: HandshakeResponse,
        handler: WebSocketHandler,
        attributes: dict[str, Any],
    ) -> bool:
        session = self._session_of(request)
        if session is None and self._create_session is not None:
            session = self._create_session(request)
        if session is not None:
            self._copy(session, attributes)
        return True

    def after_handshake(
        self,
        request: HandshakeRequest,
        response: HandshakeResponse,
        handler: WebSocketHandler,
        exception: Exception | None,
    ) -> None:
        """Nothing to do."""

    def _copy(self, session: Mapping[str, Any], attributes: dict[str, Any]) -> None:
        if self.copy_http_session_id and (session_id := _session_id(session)) is not None:
            attributes[self.HTTP_SESSION_ID_ATTR_NAME] = session_id
        for name, value in session.items():
            if self.copy_all_attributes or name in self.attribute_names:
                attributes[name] = value


def _session_id(session: Mapping[str, Any]) -> str | None:
    for name in ("sid", "session_id", "id", "session_key"):
        value = getattr(session, name, None)
        if value and not callable(value):
            return str(value)
    return None
