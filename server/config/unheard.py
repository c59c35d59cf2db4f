"""What is published before the application is started, and reaches nobody (LIFE-01, LOG-01)."""

from __future__ import annotations

import logging
from typing import Any

from ...messaging.message import Message
from ...messaging.simp.accessor import DESTINATION

logger = logging.getLogger(__name__)


class UnheardMessages:
    """Subscribes to the broker channel until the application is started, to say once that nobody else does."""

    def __init__(self) -> None:
        self._is_told = False

    def handle_message(self, message: Message[Any]) -> None:
        if not self._is_told:
            self._is_told = True
            logger.warning(
                "Nobody hears what is sent to %r, nor what comes after it: this WellheadApp is not started yet. The "
                "server starts it, for its own process alone",
                message.headers.get(DESTINATION),
            )
