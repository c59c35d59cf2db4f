"""The messages of one request on their way to the handler (SJS-11).

Station: between a session over HTTP and its handler.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ..decorators import TRACE
from ..handlers import WebSocketHandler
from ..message import TextMessage
from ..session import WebSocketSession
from .exceptions import SockJsMessageDeliveryError

logger = logging.getLogger(__name__)


class Delivery:
    """The messages of one request on their way to the handler."""

    __slots__ = ("_handler", "_messages", "_session", "failure")

    def __init__(self, session: WebSocketSession, handler: WebSocketHandler, messages: Sequence[str]) -> None:
        self._session = session
        self._handler = handler
        self._messages = messages
        self.failure: SockJsMessageDeliveryError | None = None

    def run(self) -> None:
        session = self._session
        for number, text in enumerate(self._messages):
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
