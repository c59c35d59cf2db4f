"""The broker in memory: remembers sessions and subscriptions, sends each message to whom it matches
(SB-02, SB-03, SB-06).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from ..channel import MessageChannel, SubscribableChannel
from ..events import ApplicationEvents, SessionSubscribedEvent
from ..exceptions import is_passed_on, remark_on
from ..executor import TaskScheduler
from ..headers import MessageHeaders
from ..interceptable import AbstractMessageChannel
from ..message import Message
from ..native_headers import NATIVE_HEADERS, first_native_header
from ..simp.accessor import (
    CONNECT_MESSAGE,
    DESTINATION,
    DISCONNECT_MESSAGE,
    HEARTBEAT,
    MESSAGE_TYPE,
    ORIGINAL_DESTINATION,
    SESSION_ID,
    USER,
    SimpMessageHeaderAccessor,
    simp_headers,
)
from ..simp.ordered import OrderedMessageChannelDecorator
from ..simp.types import SimpMessageType
from ..stomp.command import StompCommand
from ..stomp.headers import COMMAND, StompHeaderAccessor
from ..told import SHOWN_LENGTH, ToldDestinations
from .base import AbstractBrokerMessageHandler, is_over, mark_as_over
from .broadcast import CONTROL_HEADERS, Broadcast
from .contract import Subscription, SubscriptionRefusedError, SubscriptionRegistry
from .heartbeats import IDLE_CLOCK, BrokerHeartbeats, SessionLife
from .subscriptions import DefaultSubscriptionRegistry

logger = logging.getLogger(__name__)

_MESSAGE, _HEARTBEAT = SimpMessageType.MESSAGE, SimpMessageType.HEARTBEAT
_UNSUPPORTED = frozenset(
    (StompCommand.ACK, StompCommand.NACK, StompCommand.BEGIN, StompCommand.COMMIT, StompCommand.ABORT)
)
_WITH_RECEIPT = frozenset((SimpMessageType.MESSAGE, SimpMessageType.SUBSCRIBE, SimpMessageType.UNSUBSCRIBE))
"""What is answered by a RECEIPT from here: DISCONNECT is by its acknowledgement."""
SESSIONS_AT_ONCE = 250
"""Looked after in one go: some milliseconds."""


class _Session(SessionLife):
    """What the broker knows of one connected session."""

    __slots__ = ("channel", "id", "user")

    def __init__(
        self,
        id: str,
        user: Any,
        channel: MessageChannel,
        now_ms: float,
        agreed_ms: tuple[int, int],
        idle_ms: Callable[[], float] | None,
    ) -> None:
        super().__init__(now_ms, *agreed_ms, idle_ms)
        self.id = id
        self.user = user
        self.channel: MessageChannel | None = channel
        """Where its messages go; None once the session has ended."""


class SimpleBrokerMessageHandler(AbstractBrokerMessageHandler):
    """Nothing is persistent and nothing is kept for absent clients; a failing recipient does not hold up the others.

    With *receipts* every SEND, SUBSCRIBE and UNSUBSCRIBE that asks for it gets a RECEIPT once it was processed; with
    *reject_unsupported_frames* acknowledgements and transactions are answered by an ERROR; *control_headers* of the
    sender do not reach the subscribers. All three differ from Spring, whose behaviour False, False and () bring back.

    Messages and the calls below may come from any thread; ``start`` and ``stop`` from one at a time.
    """

    ignores_heartbeats = True
    """Sessions that need not hand them over know themselves when they last read something (``IDLE_CLOCK``)."""

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
        control_headers: Collection[str] = CONTROL_HEADERS,
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
        self._dropped = frozenset(control_headers)
        # With it a client could write itself a destination that the subscribers believe; only resolvers may.
        self._dropped_of_clients = self._dropped | {ORIGINAL_DESTINATION}
        self._told = ToldDestinations()
        self._sessions: dict[str, _Session] = {}
        self._has_ordered_sessions = False
        self._scheduler = task_scheduler
        self._now_ms: Callable[[], float] = task_scheduler.now_ms if task_scheduler else _monotonic_ms
        self.heartbeats = BrokerHeartbeats(heartbeat_ms, task_scheduler)

    @property
    def heartbeat_ms(self) -> tuple[int, int] | None:
        """(send, receive); None without heart-beats."""
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

    def handle_message(self, message: Message[Any]) -> None:
        if not self._running:
            self._ignore("a client")
            return
        headers = message._headers
        values = (headers if headers is not None else message.headers)._map
        session = self._sessions.get(values.get(SESSION_ID))  # type: ignore[arg-type]  # None is nobody's id
        # Differs from Spring, where what the application sends to a session is taken for a sign of its life, too.
        if session is not None and session.read_timeout_ms:
            session.read_ms = self._now_ms()
        message_type = values.get(MESSAGE_TYPE)
        if message_type is _HEARTBEAT:
            return
        if self.check_destination_prefix(values.get(DESTINATION)):
            if message_type is _MESSAGE:
                self._publish(message, self._dropped_of_clients)
            elif not self._handle(message, message_type):
                return
        native = values.get(NATIVE_HEADERS)
        if native is not None and "receipt" in native and self.receipts:
            if session is not None and message_type in _WITH_RECEIPT and native["receipt"]:
                self._send_receipt(native["receipt"][0], session.id)

    def handle_application_message(self, message: Message[Any]) -> None:
        """No receipt, whatever the headers say: what a client sent was acknowledged where it came in."""
        if not self._running:
            self._ignore("the application")
            return
        headers = message._headers
        values = (headers if headers is not None else message.headers)._map
        message_type = values.get(MESSAGE_TYPE)
        if not self.check_destination_prefix(values.get(DESTINATION)):
            self._tell_of_nobodys(values.get(DESTINATION))
            return
        if message_type is _MESSAGE:
            self._publish(message, self._dropped)
        else:
            self._handle(message, message_type)

    def _tell_of_nobodys(self, destination: Any) -> None:
        """What the application sends is for the broker or for users."""
        is_ours = self.destination_prefixes and not (
            self.user_destination_prefix and destination.startswith(self.user_destination_prefix)
        )
        if is_ours and self._told.is_new(destination):
            logger.warning(
                "Nobody takes what the application sends to %r: the destinations of the broker begin with %s",
                destination[:SHOWN_LENGTH],
                " or ".join(self.destination_prefixes),
            )

    def _handle(self, message: Message[Any], message_type: SimpMessageType | None) -> bool:
        """Everything but a message to subscribers; False when the client was told that it was refused."""
        handle = self._HANDLERS.get(message_type)
        if handle is not None:
            try:
                handle(self, message)
            except SubscriptionRefusedError as error:
                headers = message.headers
                logger.warning("%s in session %s: %s", error.reason.name, headers.get(SESSION_ID), error.description)
                self._send_error(headers, error.description)
                return False
        return True

    def _publish(self, message: Message[Any], dropped: frozenset[str]) -> None:
        """Send to all subscribers, each by a message of its own."""
        subscriptions = self.subscription_registry.matching_subscriptions(message)
        if not subscriptions:
            return
        broadcast = Broadcast(message, dropped)
        sessions = self._sessions
        # What an interceptor may veto is no sign of life: a client that gets nothing else must get its heart-beats.
        now_ms = 0 if self.client_outbound_channel.may_veto else self._now_ms()
        unknown = False
        for subscription in subscriptions:
            session: _Session | None = subscription.owner
            if session is None:
                session = subscription.owner = sessions.get(subscription.session_id)
                if session is None:  # subscribed before its CONNECT was processed
                    unknown = True
                    continue
            session.written_ms = now_ms
        if unknown:
            subscriptions = [each for each in subscriptions if each.owner is not None]
        if self._has_ordered_sessions:
            self._send_in_order(broadcast, subscriptions)
        else:
            self.client_outbound_channel.send_broadcast(broadcast, subscriptions, _failed)

    def _send_in_order(self, broadcast: Broadcast, subscriptions: Sequence[Subscription]) -> None:
        """Each message through the channel of its session."""
        for subscription in subscriptions:
            channel: MessageChannel | None = subscription.owner.channel
            if channel is not None:
                try:
                    channel.send(broadcast.message_for(subscription))
                except Exception:
                    _failed(subscription)

    def _connect(self, message: Message[Any]) -> None:
        headers = message.headers
        session_id = headers.get(SESSION_ID)
        if session_id is None:
            logger.error("No session id in a CONNECT")
            return
        user = headers.get(USER)
        agreed_ms = self.heartbeats.agree(headers.get(HEARTBEAT))
        channel = self._channel_of_session()
        session = _Session(session_id, user, channel, self._now_ms(), agreed_ms, headers.get(IDLE_CLOCK))
        if self._sessions.setdefault(session_id, session) is not session:
            logger.warning("Ignoring CONNECT in session %s. Already connected.", session_id)
            return
        if is_over(headers):
            logger.debug("Ignoring CONNECT in session %s, which is over", session_id)
            self._sessions.pop(session_id, None)
            return
        acknowledgement = _accessor(SimpMessageType.CONNECT_ACK, session_id, user)
        acknowledgement.set_header(CONNECT_MESSAGE, message)
        acknowledgement.set_header(HEARTBEAT, self.heartbeat_ms)
        self._send(acknowledgement)

    def _channel_of_session(self) -> MessageChannel:
        channel = self.client_outbound_channel
        # Without an executor messages are handled while they are sent, so that they cannot overtake each other.
        if self.preserve_publish_order and getattr(channel, "executor", None) is not None:
            self._has_ordered_sessions = True
            return OrderedMessageChannelDecorator(channel)
        return channel

    def _disconnect(self, message: Message[Any]) -> None:
        headers = message.headers
        mark_as_over(headers)  # first: what comes meanwhile sees it, or is forgotten below
        self._end_session(headers.get(SESSION_ID), headers.get(USER), message)

    def _end_session(self, session_id: str | None, user: Any, message: Message[Any] | None) -> None:
        if session_id is None:
            return
        session = self._sessions.pop(session_id, None)
        if session is not None:
            session.channel = None
        self.subscription_registry.unregister_all_subscriptions(session_id)
        acknowledgement = _accessor(SimpMessageType.DISCONNECT_ACK, session_id, user)
        acknowledgement.set_header(DISCONNECT_MESSAGE, message)
        self._send(acknowledgement)

    def _subscribe(self, message: Message[Any]) -> None:
        events = self.events
        session_id = message.headers.get(SESSION_ID)
        if is_over(message.headers):
            logger.debug("Ignoring SUBSCRIBE in session %s, which is over", session_id)
        elif not self.subscription_registry.register_subscription(message):
            logger.debug("Ignoring SUBSCRIBE in session %s: it lacks a header or its id is taken already", session_id)
        elif is_over(message.headers):
            self.subscription_registry.unregister_all_subscriptions(session_id)
        elif events is not None and events.has_receivers(SessionSubscribedEvent):
            events.publish(SessionSubscribedEvent(message, message.headers.get(USER)))

    def _unsubscribe(self, message: Message[Any]) -> None:
        self.subscription_registry.unregister_subscription(message)

    def _other(self, message: Message[Any]) -> None:
        headers = message.headers
        command = headers.get(COMMAND)
        if self.reject_unsupported_frames and command in _UNSUPPORTED:
            # Differs from Spring, which ignores these frames: the client would wait for something that never happens.
            logger.warning("%s in session %s is not supported", command.value, headers.get(SESSION_ID))
            self._send_error(headers, f"{command.value} is not supported by the simple broker")

    _HANDLERS: dict[SimpMessageType | None, Callable[[SimpleBrokerMessageHandler, Message[Any]], None]] = {
        SimpMessageType.CONNECT: _connect,
        SimpMessageType.DISCONNECT: _disconnect,
        SimpMessageType.SUBSCRIBE: _subscribe,
        SimpMessageType.UNSUBSCRIBE: _unsubscribe,
        SimpMessageType.OTHER: _other,
    }

    # -- answers

    def _send_receipt(self, receipt: str, session_id: str) -> None:
        """Differs from Spring, whose simple broker acknowledges nothing but DISCONNECT."""
        accessor = StompHeaderAccessor.create(StompCommand.RECEIPT)
        accessor.receipt_id = receipt
        accessor.session_id = session_id
        self._send(accessor)

    def _send_error(self, headers: Mapping[str, Any], text: str) -> None:
        """Answer a frame by an ERROR, which ends its session."""
        accessor = StompHeaderAccessor.create(StompCommand.ERROR)
        accessor.message = text
        accessor.receipt_id = first_native_header(headers, "receipt")
        accessor.session_id = headers.get(SESSION_ID)
        self._send(accessor)

    def _send(self, accessor: SimpMessageHeaderAccessor) -> None:
        """To one client, past any ordered channel; left mutable for the interceptors."""
        accessor.leave_mutable = True
        self._send_headers(accessor.message_headers, accessor.session_id)

    def _send_headers(self, headers: MessageHeaders, session_id: str | None) -> None:
        try:
            self.client_outbound_channel.send(Message(b"", headers))
        except Exception:  # the client is gone or its channel is: its session ends by itself
            logger.exception("Failed to send to session %s", session_id)

    # -- heart-beats

    def _send_heartbeats(self, due: Sequence[_Session]) -> None:
        """Each a message of its own, unless nobody wants to see it."""
        write = getattr(self.client_outbound_channel, "write_heartbeats", None)
        if write is None or not write([session.id for session in due]):
            for session in due:
                _alone(self._send_heartbeat, session)

    def _send_heartbeat(self, session: _Session) -> None:
        values: dict[str, Any] = {MESSAGE_TYPE: SimpMessageType.HEARTBEAT, SESSION_ID: session.id}
        if session.user is not None:
            values[USER] = session.user
        self._send_headers(simp_headers(values), session.id)

    def _end_silent(self, session: _Session) -> None:
        self._end_session(session.id, session.user, None)

    def _tick(self) -> None:
        """End sessions that have gone silent, and write to those that would think the same of us (SB-04)."""
        self._look_after(list(self._sessions.values()), 0)

    def _look_after(self, sessions: Sequence[_Session], start: int) -> None:
        """Of many sessions so many that nobody notices; the scheduler comes back for the others."""
        now_ms, period_ms = self._now_ms(), self.heartbeats.period_ms
        due: list[_Session] = []
        for session in sessions[start : start + SESSIONS_AT_ONCE]:
            if session.is_silent(now_ms):
                silent_ms = session.read_timeout_ms
                logger.info("No messages received in session %s for %d ms: closing", session.id, silent_ms)
                _alone(self._end_silent, session)
            elif session.wants_write(now_ms, period_ms):
                due.append(session)
        self._send_heartbeats(due)
        start += SESSIONS_AT_ONCE
        if start < len(sessions) and self._scheduler is not None:
            self._scheduler.schedule(partial(self._look_after, sessions, start), 0)


def _accessor(message_type: SimpMessageType, session_id: str, user: Any) -> SimpMessageHeaderAccessor:
    accessor = SimpMessageHeaderAccessor(message_type)
    accessor.session_id = session_id
    accessor.user = user
    return accessor


def _alone(look_after: Callable[[_Session], object], session: _Session) -> None:
    """One session must not keep the others from their heart-beats, whatever an interceptor raises for it."""
    try:
        look_after(session)
    except BaseException as error:
        if is_passed_on(error):
            raise
        logger.exception("Failed to look after session %s%s", session.id, remark_on(error))


def _failed(subscription: Subscription) -> None:
    """One recipient must not keep the others from their message."""
    logger.exception("Failed to send to session %s", subscription.session_id)


def _monotonic_ms() -> float:
    return time.monotonic() * 1000
