"""The handler's calls: the messages of one request on their way, the beginning and the end (SJS-07, SJS-11, SJS-14).

Station: between a session over HTTP and its handler.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from ..close import CloseStatus, EndReason
from ..decorators import TRACE
from ..handlers import WebSocketHandler
from ..message import TextMessage
from ..session import WebSocketSession
from .exceptions import SockJsMessageDeliveryError

logger = logging.getLogger(__name__)

MESSAGES_AT_ONCE = 64
"""After so many messages of one request others have their turn."""


class Delivery:
    """The messages of one request on their way to the handler."""

    __slots__ = ("_give_way", "_handler", "_messages", "_session", "failure")

    def __init__(
        self,
        session: WebSocketSession,
        handler: WebSocketHandler,
        messages: Sequence[str],
        give_way: Callable[[], object],
    ) -> None:
        self._give_way = give_way
        self._session = session
        self._handler = handler
        self._messages = messages
        self.failure: SockJsMessageDeliveryError | None = None

    def run(self) -> None:
        session = self._session
        for number, text in enumerate(self._messages):
            if number % MESSAGES_AT_ONCE == 0 and number:
                self._give_way()
            if not session.is_open:
                logger.log(TRACE, "Session %s is closed: %d messages dropped", session.id, len(self._messages) - number)
                return
            try:
                self._handler.handle_message(session, TextMessage(text))
            except Exception as error:
                if session.is_open:
                    logger.error("Error in the handler of session %s", session.id, exc_info=error)
                    self.failure = SockJsMessageDeliveryError(session.id, self._messages[number:], error)
                    self.failure.__cause__ = error
                return


def tell_established(session: WebSocketSession, handler: WebSocketHandler) -> None:
    """The session is open. When the handler fails it is told so, and the session closed with 1011."""
    try:
        handler.after_connection_established(session)
    except Exception as error:
        # The border to a handler without the exception decorator.
        logger.error("Failed to open session %s", session.id, exc_info=error)
        handler.handle_transport_error(session, error)
        session.close(CloseStatus.SERVER_ERROR.with_cause(EndReason.HANDLER_ERROR))


def tell_closed(
    session: WebSocketSession, handler: WebSocketHandler, status: CloseStatus, error: Exception | None
) -> None:
    """The session is closed; *error* is what its connection failed with, if it did. Raises nothing."""
    if error is not None:
        try:
            handler.handle_transport_error(session, error)
        except Exception:
            logger.exception("Error in handle_transport_error for session %s", session.id)
    try:
        handler.after_connection_closed(session, status)
    except Exception:
        logger.debug("Error in after_connection_closed for session %s", session.id, exc_info=True)
