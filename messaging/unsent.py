"""Brings a DISCONNECT that was not sent to the broker all the same (CH-04)."""

from __future__ import annotations

import logging
from typing import Any

from .channel import ChannelInterceptor, MessageChannel, MessageHandler
from .message import Message

logger = logging.getLogger(__name__)


class UnsentDisconnectChannelInterceptor(ChannelInterceptor):
    """Hands a DISCONNECT that another interceptor vetoed, or that failed, to *broker*: a session never stays behind
    there.

    Brokers put it at index 0 of the inbound channel when they start, so that every veto is seen, and take it away
    when they stop.
    """

    only_when_unsent = True

    def __init__(self, broker: MessageHandler) -> None:
        self.broker = broker

    def after_send_completion(
        self, message: Message[Any], channel: MessageChannel, sent: bool, error: BaseException | None
    ) -> None:
        if not sent and _is_disconnect(message):
            logger.debug("Detected unsent DISCONNECT message. Processing anyway.")
            self.broker.handle_message(message)


def _is_disconnect(message: Message[Any]) -> bool:
    # Imported here, because that folder stands above this module; unsent messages are rare.
    from .simp.accessor import message_type_of
    from .simp.types import SimpMessageType

    return message_type_of(message.headers) is SimpMessageType.DISCONNECT
