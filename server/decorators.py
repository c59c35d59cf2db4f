"""Wrappers of handlers and sessions (WSA-05).

Station: around every registered handler, as ``Exception(Logging(handler))``; users add their own through
:class:`WebSocketHandlerDecoratorFactory`. Every inbound message passes here, so ``handle_message`` stays thin.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from .close import CloseStatus, EndReason
from .handlers import HeartbeatAudience, WebSocketHandler, heartbeat_audience
from .message import TextMessage, WebSocketMessage
from .session import Address, Principal, WebSocketSession

if TYPE_CHECKING:
    from werkzeug.datastructures import Headers

    from .handshake.extension import WebSocketExtension

logger = logging.getLogger(__name__)

TRACE = 5
"""Below ``logging.DEBUG``: a line per message."""

logs_messages: Callable[[], bool] = partial(logger.isEnabledFor, TRACE)
"""Whether ``LoggingWebSocketHandlerDecorator`` writes a line for each message, heart-beats included."""


class WebSocketHandlerDecorator:
    """Passes everything on to its delegate; the base of decorators that add something."""

    __slots__ = ("delegate",)

    def __init__(self, delegate: WebSocketHandler) -> None:
        self.delegate = delegate

    @staticmethod
    def unwrap(handler: WebSocketHandler) -> WebSocketHandler:
        """Return the innermost handler; ``handler`` itself when it is no decorator."""
        while isinstance(handler, WebSocketHandlerDecorator):
            handler = handler.delegate
        return handler

    @property
    def supports_partial_messages(self) -> bool:
        return self.delegate.supports_partial_messages

    def after_connection_established(self, session: WebSocketSession) -> None:
        self.delegate.after_connection_established(session)

    def handle_message(self, session: WebSocketSession, message: WebSocketMessage[Any]) -> None:
        self.delegate.handle_message(session, message)

    def handle_transport_error(self, session: WebSocketSession, error: BaseException) -> None:
        self.delegate.handle_transport_error(session, error)

    def after_connection_closed(self, session: WebSocketSession, status: CloseStatus) -> None:
        self.delegate.after_connection_closed(session, status)

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}[{self.delegate!r}]"


class WebSocketSessionDecorator:
    """Passes everything on to its delegate; the base of decorators that add something."""

    __slots__ = ("delegate",)

    def __init__(self, delegate: WebSocketSession) -> None:
        self.delegate = delegate

    @staticmethod
    def unwrap(session: WebSocketSession) -> WebSocketSession:
        """Return the innermost session; ``session`` itself when it is no decorator."""
        while isinstance(session, WebSocketSessionDecorator):
            session = session.delegate
        return session

    @property
    def id(self) -> str:
        return self.delegate.id

    @property
    def uri(self) -> str:
        return self.delegate.uri

    @property
    def handshake_headers(self) -> Headers:
        return self.delegate.handshake_headers

    @property
    def attributes(self) -> dict[str, Any]:
        return self.delegate.attributes

    @property
    def principal(self) -> Principal | None:
        return self.delegate.principal

    @property
    def local_address(self) -> Address | None:
        return self.delegate.local_address

    @property
    def remote_address(self) -> Address | None:
        return self.delegate.remote_address

    @property
    def accepted_protocol(self) -> str | None:
        return self.delegate.accepted_protocol

    @property
    def extensions(self) -> Sequence[WebSocketExtension]:
        return self.delegate.extensions

    @property
    def text_message_size_limit(self) -> int:
        return self.delegate.text_message_size_limit

    @text_message_size_limit.setter
    def text_message_size_limit(self, limit: int) -> None:
        self.delegate.text_message_size_limit = limit

    @property
    def binary_message_size_limit(self) -> int:
        return self.delegate.binary_message_size_limit

    @binary_message_size_limit.setter
    def binary_message_size_limit(self, limit: int) -> None:
        self.delegate.binary_message_size_limit = limit

    @property
    def is_open(self) -> bool:
        return self.delegate.is_open

    def send_message(self, message: WebSocketMessage[Any]) -> None:
        self.delegate.send_message(message)

    def send_text(self, head: bytes, tail: bytes) -> None:
        # By way of send_message: a decorator that changes messages overrides that.
        self.send_message(TextMessage(head + tail))

    def close(self, status: CloseStatus = CloseStatus.NORMAL) -> None:
        self.delegate.close(status)

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}[{self.delegate!r}]"


def is_sockjs(session: WebSocketSession) -> bool:
    """Whether *session*, however wrapped, is one of SockJS: with heart-beats of its own, and nothing but texts."""
    return hasattr(WebSocketSessionDecorator.unwrap(session), "disable_heartbeat")


class ExceptionWebSocketHandlerDecorator(WebSocketHandlerDecorator):
    """Lets no exception of the handler out: logs it and closes the session with 1011.

    After the session closed there is nothing left to close: a WARN line, no more. SystemExit, a gevent.Timeout and the
    like are the handler's exceptions, too; KeyboardInterrupt and a killed greenlet's GreenletExit pass through.
    """

    __slots__ = ()

    def heartbeat_audience(self, session: WebSocketSession) -> HeartbeatAudience | None:
        """See ``handlers``."""
        return heartbeat_audience(self.delegate, session)

    def after_connection_established(self, session: WebSocketSession) -> None:
        try:
            self.delegate.after_connection_established(session)
        except BaseException as error:
            if _is_passed_on(error):
                raise
            _close_with_error(session, error)

    def handle_message(self, session: WebSocketSession, message: WebSocketMessage[Any]) -> None:
        try:
            self.delegate.handle_message(session, message)
        except BaseException as error:
            if _is_passed_on(error):
                raise
            _close_with_error(session, error)

    def handle_transport_error(self, session: WebSocketSession, error: BaseException) -> None:
        try:
            self.delegate.handle_transport_error(session, error)
        except BaseException as raised:
            if _is_passed_on(raised):
                raise
            _close_with_error(session, raised)

    def after_connection_closed(self, session: WebSocketSession, status: CloseStatus) -> None:
        try:
            self.delegate.after_connection_closed(session, status)
        except BaseException as error:
            if _is_passed_on(error):
                raise
            # The session is gone: there is nobody to tell but the log.
            text, remark = "Unhandled exception after connection closed for session %s%s", _remark_on(error)
            logger.warning(text, session.id, remark, exc_info=True)


def _is_passed_on(error: BaseException) -> bool:
    """The rule of ``messaging/exceptions.py``, once more, as raw handlers need no messaging; a test compares them."""
    if isinstance(error, Exception):
        return False
    return isinstance(error, KeyboardInterrupt) or any(each.__name__ == "GreenletExit" for each in type(error).__mro__)


def _remark_on(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f": SystemExit({error.code!r}) from an application's code does not end the server"
    return ""


def _close_with_error(session: WebSocketSession, error: BaseException) -> None:
    logger.error("Closing session due to exception for session %s%s", session.id, _remark_on(error), exc_info=error)
    if not session.is_open:
        return
    try:
        session.close(CloseStatus.SERVER_ERROR.with_cause(EndReason.HANDLER_ERROR))
    except Exception:
        # The first error is what matters, and the transport reports its own failure as a transport error.
        logger.debug("Failed to close session %s after an exception", session.id, exc_info=True)


class LoggingWebSocketHandlerDecorator(WebSocketHandlerDecorator):
    """Logs the life of sessions at DEBUG, messages at TRACE (level 5)."""

    __slots__ = ()

    def heartbeat_audience(self, session: WebSocketSession) -> HeartbeatAudience | None:
        """See ``handlers``. While messages are logged it must not be asked, see ``logs_messages``."""
        return heartbeat_audience(self.delegate, session)

    def after_connection_established(self, session: WebSocketSession) -> None:
        logger.debug("New session %s", session.id)
        self.delegate.after_connection_established(session)

    def handle_message(self, session: WebSocketSession, message: WebSocketMessage[Any]) -> None:
        if logger.isEnabledFor(TRACE):
            logger.log(TRACE, "Handling %r in session %s", message, session.id)
        self.delegate.handle_message(session, message)

    def handle_transport_error(self, session: WebSocketSession, error: BaseException) -> None:
        logger.debug("Transport error in session %s", session.id, exc_info=error)
        self.delegate.handle_transport_error(session, error)

    def after_connection_closed(self, session: WebSocketSession, status: CloseStatus) -> None:
        if logger.isEnabledFor(logging.DEBUG):
            because = f" ({status.because.value})" if status.because else ""
            logger.debug("Session %s closed with %r%s", session.id, status, because)
        self.delegate.after_connection_closed(session, status)


class PerConnectionWebSocketHandler:
    """A handler of its own for every session: made by ``factory`` when the session opens, given up when it closes.

    ``destroy`` is called with the handler after its ``after_connection_closed``, also when that raised; an exception
    of ``destroy`` is a WARN line.

    Raises:
        RuntimeError: from the other callbacks, for a session that never opened here or is closed.
    """

    def __init__(
        self,
        factory: Callable[[], WebSocketHandler],
        *,
        supports_partial_messages: bool = False,
        destroy: Callable[[WebSocketHandler], None] | None = None,
    ) -> None:
        self.supports_partial_messages = supports_partial_messages
        self._factory = factory
        self._destroy = destroy
        # Single dict operations, one session's calls never overlap: no lock.
        self._handlers: dict[str, WebSocketHandler] = {}

    def after_connection_established(self, session: WebSocketSession) -> None:
        handler = self._handlers[session.id] = self._factory()
        handler.after_connection_established(session)

    def handle_message(self, session: WebSocketSession, message: WebSocketMessage[Any]) -> None:
        self._handler_of(session).handle_message(session, message)

    def handle_transport_error(self, session: WebSocketSession, error: BaseException) -> None:
        self._handler_of(session).handle_transport_error(session, error)

    def after_connection_closed(self, session: WebSocketSession, status: CloseStatus) -> None:
        handler = self._handler_of(session)
        try:
            handler.after_connection_closed(session, status)
        finally:
            del self._handlers[session.id]
            self._destroy_quietly(session, handler)

    def _handler_of(self, session: WebSocketSession) -> WebSocketHandler:
        handler = self._handlers.get(session.id)
        if handler is None:
            raise RuntimeError(f"WebSocketHandler not found for session {session.id}")
        return handler

    def _destroy_quietly(self, session: WebSocketSession, handler: WebSocketHandler) -> None:
        if self._destroy is None:
            return
        try:
            self._destroy(handler)
        except BaseException as error:
            if _is_passed_on(error):
                raise
            # The handler is out of use either way; the session must still come to its end.
            text, remark = "Error while destroying the handler of session %s%s", _remark_on(error)
            logger.warning(text, session.id, remark, exc_info=True)


class WebSocketHandlerDecoratorFactory(Protocol):
    """The user's hook around the handler of STOMP endpoints."""

    def decorate(self, handler: WebSocketHandler) -> WebSocketHandler:
        """Return ``handler`` wrapped; usually a :class:`WebSocketHandlerDecorator`."""


def decorate(handler: WebSocketHandler) -> WebSocketHandler:
    """Wrap as every registered handler is: ``Exception(Logging(handler))``."""
    return ExceptionWebSocketHandlerDecorator(LoggingWebSocketHandlerDecorator(handler))


def apply_decorator_factories(
    handler: WebSocketHandler, factories: Iterable[WebSocketHandlerDecoratorFactory]
) -> WebSocketHandler:
    """Wrap by each factory in the order given, so that the last one is outermost."""
    for factory in factories:
        handler = factory.decorate(handler)
    return handler
