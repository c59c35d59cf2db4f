"""What all brokers have in common: where they listen, which destinations are theirs, whether they are there (SB-01)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from ..channel import SubscribableChannel
from ..events import ApplicationEvents, BrokerAvailabilityEvent
from ..interceptable import AbstractMessageChannel
from ..message import Message
from ..unsent import UnsentDisconnectChannelInterceptor

logger = logging.getLogger(__name__)


class AbstractBrokerMessageHandler:
    """Subscribes to the inbound and the broker channel between ``start`` and ``stop``; what comes outside is ignored.

    With *destination_prefixes* a destination is the broker's if it starts with one of them, without any if it does not start with
    *user_destination_prefix*. Messages without destination are always the broker's.
    """

    def __init__(
        self,
        inbound: SubscribableChannel,
        outbound: AbstractMessageChannel,
        broker: SubscribableChannel,
        destination_prefixes: Sequence[str] = (),
        *,
        user_destination_prefix: str | None = "/user/",
        events: ApplicationEvents | None = None,
    ) -> None:
        self.client_inbound_channel = inbound
        self.client_outbound_channel = outbound
        self.broker_channel = broker
        self.destination_prefixes = tuple(destination_prefixes)
        # Differs from Spring: the user prefix is kept from the broker even where it was not configured explicitly.
        self.user_destination_prefix = user_destination_prefix
        self.events = events
        self.auto_startup = True
        self._running = False
        self._available = False
        self._unsent = UnsentDisconnectChannelInterceptor(self)

    # -- life cycle

    @property
    def is_running(self) -> bool:
        return self._running

    @property
    def is_broker_available(self) -> bool:
        return self._available

    def start(self) -> None:
        """Subscribe, then start. Twice does nothing."""
        if self._running:
            return
        logger.info("Starting %s", self)
        self.client_inbound_channel.subscribe(self)
        self.broker_channel.subscribe(self)
        if isinstance(self.client_inbound_channel, AbstractMessageChannel):
            self.client_inbound_channel.add_interceptor(self._unsent, 0)
        self._start_internal()
        self._running = True

    def stop(self) -> None:
        """The reverse. Twice does nothing."""
        if not self._running:
            return
        logger.info("Stopping %s", self)
        self._running = False
        self._stop_internal()
        self.client_inbound_channel.unsubscribe(self)
        self.broker_channel.unsubscribe(self)
        if isinstance(self.client_inbound_channel, AbstractMessageChannel):
            self.client_inbound_channel.remove_interceptor(self._unsent)

    def _start_internal(self) -> None:
        """For subclasses."""

    def _stop_internal(self) -> None:
        """For subclasses."""

    def _set_available(self, available: bool) -> None:
        """Tell the world, once for each change."""
        if available == self._available:
            return
        self._available = available
        logger.info("%s %s", self, "available" if available else "not available")
        if self.events is not None:
            self.events.publish(BrokerAvailabilityEvent(available, self))

    # -- messages

    def handle_message(self, message: Message[Any]) -> None:
        if self._running:
            self._handle_message_internal(message)
        elif logger.isEnabledFor(logging.DEBUG):
            logger.debug("%s is not running: message ignored", self)

    def _handle_message_internal(self, message: Message[Any]) -> None:
        raise TypeError(f"{type(self).__name__} does not say what to do with messages")

    def check_destination_prefix(self, destination: str | None) -> bool:
        """Whether this destination is the broker's."""
        if destination is None:
            return True
        if self.destination_prefixes:
            return destination.startswith(self.destination_prefixes)
        return not (self.user_destination_prefix and destination.startswith(self.user_destination_prefix))

    def __str__(self) -> str:
        return f"{type(self).__name__}[{', '.join(self.destination_prefixes) or 'all destinations'}]"


Clock = Callable[[], float]
