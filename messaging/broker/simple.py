"""The broker in memory: remembers sessions and subscriptions, sends each message to whom it matches (SB-02, SB-03, SB-06)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from ..channel import MessageChannel, SubscribableChannel
from ..events import ApplicationEvents, SessionSubscribedEvent
from ..executor import TaskScheduler
from ..interceptable import AbstractMessageChannel
from ..message import Message
from ..native_headers import first_native_header
from ..simp.accessor import (
    CONNECT_MESSAGE,
    DESTINATION,
    DISCONNECT_MESSAGE,
    HEARTBEAT,
    MESSAGE_TYPE,
    SESSION_ID,
    USER,
    SimpMessageHeaderAccessor,
)
from ..simp.ordered import OrderedMessageChannelDecorator
from ..simp.types import SimpMessageType
from ..stomp.command import StompCommand
from ..stomp.headers import COMMAND, StompHeaderAccessor
from .base import AbstractBrokerMessageHandler
from .broadcast import Broadcast, BroadcastMessage
from .heartbeats import IDLE_CLOCK, BrokerHeartbeats, SessionLife
from .subscriptions import DefaultSubscriptionRegistry, SubscriptionRegistry

logger = logging.getLogger(__name__)

_UNSUPPORTED = frozenset(
    (StompCommand.ACK, StompCommand.NACK, StompCommand.BEGIN, StompCommand.COMMIT, StompCommand.ABORT)
)


class _Session:
    """What the broker knows of one connected session."""

    __slots__ = ("channel", "id", "life", "user")

    def __init__(self, id: str, user: Any, channel: MessageChannel, life: SessionLife) -> None:
        self.id = id
        self.user = user
        self.channel = channel
        self.life = life


class SimpleBrokerMessageHandler(AbstractBrokerMessageHandler):
    """Nothing is persistent and nothing is kept for absent clients; a failing recipient does not hold up the others.

    With *receipts* every frame that asks gets a RECEIPT once it was processed; with *reject_unsupported_frames* acknowledgements and
    transactions are answered by an ERROR. Both are on and differ from Spring, whose behaviour they bring back when switched off.
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
        # subscriptions
        subscription_registry: SubscriptionRegistry | None = None,
        # heart-beats
        task_scheduler: TaskScheduler | None = None,
        heartbeat_ms: tuple[int, int] | None = None,
        # order
        preserve_publish_order: bool = False,
        # STOMP beyond Spring
        receipts: bool = True,
        reject_unsupported_frames: bool = True,
    ) -> None:
        """*heartbeat_ms* is (send, receive), by default (10000, 10000) when there is a scheduler and none otherwise.

        Raises ValueError for values that are no heart-beat.
        """
        super().__init__(
            inbound,
            outbound,
            broker,
            destination_prefixes,
            user_destination_prefix=user_destination_prefix,
            events=events,
        )
        self.subscription_registry: SubscriptionRegistry = subscription_registry or DefaultSubscriptionRegistry()
        self.preserve_publish_order = preserve_publish_order
        self.receipts = receipts
        self.reject_unsupported_frames = reject_unsupported_frames
        self._sessions: dict[str, _Session] = {}
        self._now_ms: Callable[[], float] = task_scheduler.now_ms if task_scheduler else _monotonic_ms
        self.heartbeats = BrokerHeartbeats(heartbeat_ms, task_scheduler)

    @property
    def heartbeat_ms(self) -> tuple[int, int] | None:
        return self.heartbeats.values

    @property
    def session_count(self) -> int:
        return len(self._sessions)

    def _start_internal(self) -> None:
        self.heartbeats.start(self._tick)
        self._set_available(True)

    def _stop_internal(self) -> None:
        self.heartbeats.stop()
        self._set_available(False)

    # -- messages

    def _handle_message_internal(self, message: Message[Any]) -> None:
        headers = message.headers
        session = self._sessions.get(headers.get(SESSION_ID))
        if session is not None:
            session.life.read_ms = self._now_ms()
        message_type = headers.get(MESSAGE_TYPE)
        if message_type is SimpMessageType.HEARTBEAT:
            return
        if self.check_destination_prefix(headers.get(DESTINATION)):
            handle = self._HANDLERS.get(message_type)
            if handle is not None:
                handle(self, message)
        if session is not None and self.receipts:
            self._send_receipt(message)

    def _message(self, message: Message[Any]) -> None:
        """Send to all subscribers, each by a message of its own."""
        subscriptions = self.subscription_registry.matching_subscriptions(message)
        if not subscriptions:
            return
        broadcast = Broadcast(message)
        sessions = self._sessions
        now_ms = self._now_ms()
        for subscription in subscriptions:
            session = sessions.get(subscription.session_id)
            if session is None:  # subscribed before its CONNECT was processed
                continue
            session.life.written_ms = now_ms
            try:
                session.channel.send(BroadcastMessage(broadcast, subscription))
            except Exception:  # one recipient must not keep the others from their message
                logger.exception("Failed to send to session %s", subscription.session_id)

    def _connect(self, message: Message[Any]) -> None:
        headers = message.headers
        session_id = headers.get(SESSION_ID)
        if session_id is None:
            logger.error("No session id in %s", message)
            return
        if session_id in self._sessions:
            logger.warning("Ignoring CONNECT in session %s. Already connected.", session_id)
            return
        user = headers.get(USER)
        channel: MessageChannel = self.client_outbound_channel
        if self.preserve_publish_order:
            channel = OrderedMessageChannelDecorator(channel)
        life = self.heartbeats.life_of(headers.get(HEARTBEAT), self._now_ms(), headers.get(IDLE_CLOCK))
        self._sessions[session_id] = _Session(session_id, user, channel, life)
        acknowledgement = _accessor(SimpMessageType.CONNECT_ACK, session_id, user)
        acknowledgement.set_header(CONNECT_MESSAGE, message)
        acknowledgement.set_header(HEARTBEAT, self.heartbeat_ms)
        self._send(acknowledgement)

    def _disconnect(self, message: Message[Any]) -> None:
        headers = message.headers
        self._end_session(headers.get(SESSION_ID), headers.get(USER), message)

    def _end_session(self, session_id: str | None, user: Any, message: Message[Any] | None) -> None:
        if session_id is None:
            return
        self._sessions.pop(session_id, None)
        self.subscription_registry.unregister_all_subscriptions(session_id)
        acknowledgement = _accessor(SimpMessageType.DISCONNECT_ACK, session_id, user)
        acknowledgement.set_header(DISCONNECT_MESSAGE, message)
        self._send(acknowledgement)

    def _subscribe(self, message: Message[Any]) -> None:
        if self.subscription_registry.register_subscription(message) and self.events is not None:
            if self.events.has_receivers(SessionSubscribedEvent):
                self.events.publish(SessionSubscribedEvent(message, message.headers.get(USER)))

    def _unsubscribe(self, message: Message[Any]) -> None:
        self.subscription_registry.unregister_subscription(message)

    def _other(self, message: Message[Any]) -> None:
        headers = message.headers
        command = headers.get(COMMAND)
        if self.reject_unsupported_frames and command in _UNSUPPORTED:
            # Differs from Spring, which ignores these frames: the client would wait for something that never happens.
            session_id = headers.get(SESSION_ID)
            logger.warning("%s in session %s is not supported by the simple broker", command.value, session_id)
            error = StompHeaderAccessor.create(StompCommand.ERROR)
            error.message = f"{command.value} is not supported by the simple broker"
            error.receipt_id = first_native_header(headers, "receipt")
            error.session_id = session_id
            self._send(error)

    _HANDLERS: dict[SimpMessageType | None, Callable[[SimpleBrokerMessageHandler, Message[Any]], None]] = {
        SimpMessageType.MESSAGE: _message,
        SimpMessageType.CONNECT: _connect,
        SimpMessageType.DISCONNECT: _disconnect,
        SimpMessageType.SUBSCRIBE: _subscribe,
        SimpMessageType.UNSUBSCRIBE: _unsubscribe,
        SimpMessageType.OTHER: _other,
    }

    def _send_receipt(self, message: Message[Any]) -> None:
        """Differs from Spring, whose simple broker acknowledges nothing but DISCONNECT."""
        headers = message.headers
        receipt = first_native_header(headers, "receipt")
        if receipt is None or headers.get(MESSAGE_TYPE) in _ANSWERED_OTHERWISE or headers.get(COMMAND) in _UNSUPPORTED:
            return
        accessor = StompHeaderAccessor.create(StompCommand.RECEIPT)
        accessor.receipt_id = receipt
        accessor.session_id = headers.get(SESSION_ID)
        self._send(accessor)

    def _send(self, accessor: SimpMessageHeaderAccessor) -> None:
        """To one client, past any ordered channel; left mutable for the interceptors."""
        accessor.leave_mutable = True
        try:
            self.client_outbound_channel.send(Message(b"", accessor.message_headers))
        except Exception:  # the client is gone or its channel is: its session ends by itself
            logger.exception("Failed to send to session %s", accessor.session_id)

    # -- heart-beats

    def _tick(self) -> None:
        """End sessions that have gone silent, and write to those that would think the same of us (SB-04)."""
        now_ms = self._now_ms()
        for session in list(self._sessions.values()):
            life = session.life
            if life.is_silent(now_ms):
                logger.info("No messages received in session %s for %d ms: closing", session.id, life.read_timeout_ms)
                self._end_session(session.id, session.user, None)
            elif life.wants_write(now_ms, self.heartbeats.period_ms):
                self._send(_accessor(SimpMessageType.HEARTBEAT, session.id, session.user))


_ANSWERED_OTHERWISE = frozenset((SimpMessageType.CONNECT, SimpMessageType.DISCONNECT))


def _accessor(message_type: SimpMessageType, session_id: str, user: Any) -> SimpMessageHeaderAccessor:
    accessor = SimpMessageHeaderAccessor(message_type)
    accessor.session_id = session_id
    accessor.user = user
    return accessor


def _monotonic_ms() -> float:
    return time.monotonic() * 1000
