"""What all brokers have in common: where they listen, which destinations are theirs, whether they are there (SB-01)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from ..channel import CallableMessageHandler, SubscribableChannel
from ..events import ApplicationEvents, BrokerAvailabilityEvent
from ..interceptable import AbstractMessageChannel
from ..message import Message
from ..simp.accessor import SESSION_ATTRIBUTES
from ..simp.attributes import COMPLETED
from ..unsent import UnsentDisconnectChannelInterceptor

logger = logging.getLogger(__name__)

_DISCONNECTED = COMPLETED + ".broker"
"""Reserved attribute of a session whose DISCONNECT has come to a broker."""


class AbstractBrokerMessageHandler:
    """Listens to the inbound and to the broker channel between ``start`` and ``stop``; what comes outside is ignored.

    With *destination_prefixes* a destination is the broker's if it starts with one of them, without any if it does not
    start with *user_destination_prefix*. Messages without destination are always the broker's.
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
        """*user_destination_prefix* None gives destinations of users to the broker, too, where it has no prefixes."""
        self.client_inbound_channel = inbound
        self.client_outbound_channel = outbound
        self.broker_channel = broker
        self.destination_prefixes = tuple(destination_prefixes)
        # Differs from Spring: the user prefix is kept from the broker even where it was not configured explicitly.
        self.user_destination_prefix = user_destination_prefix
        self.events = events
        self._running = False
        self._available = False
        self._unsent = UnsentDisconnectChannelInterceptor(self)
        self._application_side = CallableMessageHandler(self.handle_application_message)

    # -- life cycle

    @property
    def is_running(self) -> bool:
        return self._running

    @property
    def is_broker_available(self) -> bool:
        return self._available

    def start(self) -> None:
        """Listen, then start. Twice does nothing. If starting fails, the broker is stopped and the error raised."""
        if self._running:
            return
        logger.info("Starting %s", self)
        self.client_inbound_channel.subscribe(self)
        self.broker_channel.subscribe(self._application_side)
        if isinstance(self.client_inbound_channel, AbstractMessageChannel):
            self.client_inbound_channel.add_interceptor(self._unsent, 0)
        # Before the broker says that it is available, or what is published at that moment would be lost.
        self._running = True
        try:
            self._start_internal()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """The reverse. Twice does nothing."""
        if not self._running:
            return
        logger.info("Stopping %s", self)
        self._running = False
        self._stop_internal()
        if isinstance(self.client_inbound_channel, AbstractMessageChannel):
            self.client_inbound_channel.remove_interceptor(self._unsent)
        self.broker_channel.unsubscribe(self._application_side)
        self.client_inbound_channel.unsubscribe(self)

    def _start_internal(self) -> None:
        """For subclasses."""

    def _stop_internal(self) -> None:
        """For subclasses; also called after a start that failed."""

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
        """A message of the inbound channel: what a client sent, or tells that it is gone."""
        if self._running:
            self._handle_client_message(message)
        else:
            self._ignore("a client")

    def handle_application_message(self, message: Message[Any]) -> None:
        """A message of the broker channel: what the application publishes, and what was addressed to users."""
        if self._running:
            self._handle_application_message(message)
        else:
            self._ignore("the application")

    def _ignore(self, sender: str) -> None:
        logger.debug("%s is not running: message of %s ignored", self, sender)

    def _handle_client_message(self, message: Message[Any]) -> None:
        raise TypeError(f"{type(self).__name__} does not say what to do with messages")

    def _handle_application_message(self, message: Message[Any]) -> None:
        """As those of clients, unless a subclass says otherwise."""
        self._handle_client_message(message)

    def check_destination_prefix(self, destination: str | None) -> bool:
        """Whether this destination is the broker's."""
        if destination is None:
            return True
        if self.destination_prefixes:
            return destination.startswith(self.destination_prefixes)
        return not (self.user_destination_prefix and destination.startswith(self.user_destination_prefix))

    def __str__(self) -> str:
        return f"{type(self).__name__}[{', '.join(self.destination_prefixes) or 'all destinations'}]"


def mark_as_over(headers: Mapping[str, Any]) -> None:
    """Note with the session of a DISCONNECT that it is over, for what comes later through an executor.

    Differs from Spring, where a late SUBSCRIBE stays for ever.
    """
    attributes = headers.get(SESSION_ATTRIBUTES)
    if attributes is not None:
        attributes[_DISCONNECTED] = True


def is_over(headers: Mapping[str, Any]) -> bool:
    """Whether the DISCONNECT of a message's session has come already. False where nobody can tell."""
    return _DISCONNECTED in (headers.get(SESSION_ATTRIBUTES) or ())
