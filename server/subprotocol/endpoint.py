"""The WebSocket handler that holds all sub-protocol sessions, and the outbound channel's subscriber (SWS-01 to
SWS-06).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from ...messaging.broker.broadcast import Broadcast, BroadcastMessage
from ...messaging.broker.contract import Subscription
from ...messaging.channel import MessageChannel, SubscribableChannel
from ...messaging.executor import ScheduledTask, TaskScheduler
from ...messaging.message import Message
from ..close import CloseStatus, EndReason
from ..concurrent import (
    SEND_BUFFER_SIZE_LIMIT,
    SEND_TIME_LIMIT_MS,
    ConcurrentWebSocketSessionDecorator,
    OverflowStrategy,
)
from ..decorators import WebSocketSessionDecorator
from ..exceptions import SessionLimitExceededError
from ..flush import Flusher
from ..gathering import concurrent_session
from ..message import WebSocketMessage
from ..session import WebSocketSession
from .contract import SharedText, SubProtocolHandler
from .holder import SessionHolder
from .mailing import MANY, BroadcastMailing
from .stats import SessionStats

logger = logging.getLogger(__name__)

TIME_TO_FIRST_MESSAGE_MS = 60_000


class _OutboundSubscriber:
    """What subscribes to the outbound channel: a handler of messages and one of WebSocket messages cannot be the
    same object.
    """

    __slots__ = ("handle_broadcast", "handle_message")

    def __init__(self, endpoint: SubProtocolWebSocketHandler) -> None:
        self.handle_message = endpoint.handle_outbound
        self.handle_broadcast = endpoint.handle_broadcast

    def __repr__(self) -> str:
        return "SubProtocolWebSocketHandler"


class SubProtocolWebSocketHandler:
    """Gives each session to the handler of its sub-protocol, and each outbound message to its session.

    One that is too slow for its limits is ended with 4500; one that says nothing in *time_to_first_message_ms* too.
    """

    supports_partial_messages = False

    def __init__(
        self,
        inbound: MessageChannel,
        outbound: SubscribableChannel,
        *,
        # sending
        send_time_limit_ms: int = SEND_TIME_LIMIT_MS,
        send_buffer_size_limit: int = SEND_BUFFER_SIZE_LIMIT,
        overflow_strategy: OverflowStrategy = OverflowStrategy.TERMINATE,
        # sessions that say nothing
        time_to_first_message_ms: int = TIME_TO_FIRST_MESSAGE_MS,
        task_scheduler: TaskScheduler | None = None,
    ) -> None:
        self.client_inbound_channel = inbound
        self.client_outbound_channel = outbound
        self.send_time_limit_ms = send_time_limit_ms
        self.send_buffer_size_limit = send_buffer_size_limit
        self.overflow_strategy = overflow_strategy
        self.time_to_first_message_ms = time_to_first_message_ms
        self.task_scheduler = task_scheduler
        self.stats = SessionStats()
        self._by_protocol: dict[str, SubProtocolHandler] = {}
        self._handlers: list[SubProtocolHandler] = []
        self._default: SubProtocolHandler | None = None
        self._share: Callable[[Broadcast], SharedText | None] | None = None
        """Of the one handler, if there is but one and it can."""
        self._flusher: Flusher | None = None
        """That of all sessions; None when there is no session yet, or not all have the same."""
        self._sessions: dict[str, SessionHolder] = {}
        self._unheard: dict[str, SessionHolder] = {}
        self._check: ScheduledTask | None = None
        self._running = False
        self._subscriber = _OutboundSubscriber(self)

    # -- protocols

    def set_protocol_handlers(self, handlers: Sequence[SubProtocolHandler]) -> None:
        self._by_protocol.clear()
        self._handlers.clear()
        self._share = None
        for handler in handlers:
            self.add_protocol_handler(handler)

    def add_protocol_handler(self, handler: SubProtocolHandler) -> None:
        """Raises RuntimeError when another handler has one of its protocols already."""
        names = [name.lower() for name in handler.supported_protocols]
        if not names:
            logger.error("No sub-protocols for %s", handler)
            return
        for name in names:
            if self._by_protocol.get(name, handler) is not handler:
                raise RuntimeError(
                    f"Cannot map {handler} to protocol '{name}': already mapped to {self._by_protocol[name]}"
                )
        self._by_protocol.update(dict.fromkeys(names, handler))
        if handler not in self._handlers:
            self._handlers.append(handler)
            self._choose_share()

    @property
    def default_protocol_handler(self) -> SubProtocolHandler | None:
        """Serves sessions that negotiated nothing."""
        return self._default

    @default_protocol_handler.setter
    def default_protocol_handler(self, handler: SubProtocolHandler | None) -> None:
        self._default = handler
        self._choose_share()
        if handler is not None and not self._by_protocol:
            self.add_protocol_handler(handler)

    def _choose_share(self) -> None:
        """Broadcasts are shared when there is but one handler."""
        handlers = [*self._handlers]
        if self._default is not None and self._default not in handlers:
            handlers.append(self._default)
        self._share = getattr(handlers[0], "share", None) if len(handlers) == 1 else None

    @property
    def sub_protocols(self) -> list[str]:
        """What the handshake offers."""
        return list(self._by_protocol)

    def _find_handler(self, session: WebSocketSession) -> SubProtocolHandler:
        protocol = session.accepted_protocol
        if protocol:
            handler = self._by_protocol.get(protocol.lower())
            if handler is None:
                raise RuntimeError(f"No handler for '{protocol}' among {sorted(self._by_protocol)}")
            return handler
        if self._default is not None:
            return self._default
        if len(self._handlers) == 1:
            return self._handlers[0]
        raise RuntimeError(
            "Multiple protocol handlers configured and no protocol was negotiated. "
            "Consider configuring a default SubProtocolHandler."
        )

    # -- life cycle

    @property
    def is_running(self) -> bool:
        return self._running

    def start(self) -> None:
        """Subscribe to the outbound channel. Raises RuntimeError without any handler. Twice does nothing."""
        if not self._handlers and self._default is None:
            raise RuntimeError("No handlers")
        if self._running:
            return
        self._running = True
        self.client_outbound_channel.subscribe(self._subscriber)
        if self.task_scheduler is not None and self.time_to_first_message_ms > 0:
            self._check = self.task_scheduler.schedule_with_fixed_delay(
                self._close_unheard, max(self.time_to_first_message_ms / 2, 1)
            )

    def stop(self) -> None:
        """Unsubscribe, then close every session with 1001 and end it while brokers still listen; twice does nothing."""
        if not self._running:
            return
        self._running = False
        self.client_outbound_channel.unsubscribe(self._subscriber)
        if self._check is not None:
            self._check.cancel()
            self._check = None
        status = CloseStatus.GOING_AWAY.with_cause(EndReason.SERVER_STOPPED)
        for session_id, holder in list(self._sessions.items()):
            try:
                holder.session.close(status)
            except Exception as error:  # the others must be told too
                logger.warning("Failed to close session %s: %s", session_id, error)
            self._clear(session_id, status)

    def close_session(self, session_id: str, status: CloseStatus = CloseStatus.NORMAL) -> bool:
        """Close one session from our side; False when there is none of this id. From any thread."""
        holder = self._sessions.get(session_id)
        if holder is None:
            return False
        holder.session.close(status if status.because else status.with_cause(EndReason.SERVER_CLOSED))
        return True

    # -- WebSocket callbacks

    def after_connection_established(self, session: WebSocketSession) -> None:
        if not session.is_open:
            return
        handler = self._find_handler(session)
        concurrent = concurrent_session(
            session,
            send_time_limit_ms=self.send_time_limit_ms,
            buffer_size_limit=self.send_buffer_size_limit,
            overflow_strategy=self.overflow_strategy,
            limit_callback=self._limit_noticed,
        )
        flusher = getattr(session, "flusher", None)
        if flusher is not self._flusher:
            self._flusher = flusher if not self._sessions else None
        kind = getattr(WebSocketSessionDecorator.unwrap(session), "transport_kind", "web_socket")
        opened_ms = self.task_scheduler.now_ms() if self.task_scheduler else 0
        holder = SessionHolder(self, concurrent, handler, kind, opened_ms)
        self._sessions[session.id] = self._unheard[session.id] = holder
        self.stats.opened(kind)
        handler.after_session_started(concurrent, self.client_inbound_channel)

    def ignores(self, session: WebSocketSession, text: bytes) -> bool:
        """A heart-beat that nobody wants to see; see ``TextIgnoringHandler``."""
        holder = self._sessions.get(session.id)
        if holder is None or not holder.heard:
            return False
        is_sign_of_life = getattr(holder.handler, "is_sign_of_life", None)
        return is_sign_of_life is not None and is_sign_of_life(session.id, text, self.client_inbound_channel)

    def handle_message(self, session: WebSocketSession, message: WebSocketMessage[Any]) -> None:
        holder = self._sessions.get(session.id)
        if holder is None:
            logger.debug("No session for %s: message ignored", session.id)
            return
        if not holder.heard:
            holder.heard = True
            self._unheard.pop(session.id, None)
        holder.handler.handle_message_from_client(holder.session, message, self.client_inbound_channel)

    def handle_transport_error(self, session: WebSocketSession, error: BaseException) -> None:
        self.stats.transport_error += 1

    def after_connection_closed(self, session: WebSocketSession, status: CloseStatus) -> None:
        self._clear(session.id, status)

    def _clear(self, session_id: str, status: CloseStatus) -> None:
        holder = self._sessions.pop(session_id, None)
        if holder is None:
            return
        holder.endpoint = None
        self._unheard.pop(session_id, None)
        self.stats.closed(holder.kind, status)
        holder.handler.after_session_ended(holder.session, status, self.client_inbound_channel)

    # -- messages to clients

    def handle_outbound(self, message: Message[Any]) -> None:
        """Give a message of the outbound channel to its session."""
        if message.__class__ is BroadcastMessage:
            holder = self.target_of(message.subscription)
        else:
            holder = self._holder_for(message)
        if holder is None:
            return
        try:
            holder.handler.handle_message_to_client(holder.session, message)
        except SessionLimitExceededError as error:
            self._limit_exceeded(holder.session, error)
        except Exception:  # one client's trouble must not reach the sender
            logger.debug("Failed to send to session %s", holder.session.id, exc_info=True)

    def handle_broadcast(self, broadcast: Broadcast, subscriptions: Sequence[Subscription]) -> None:
        """As ``handle_outbound`` of each recipient's message, of which there is no object where its protocol shares
        the bytes: what nobody looks at is never made.
        """
        shared = self._share(broadcast) if self._share is not None else None
        if shared is None:
            for subscription in subscriptions:
                self.handle_outbound(broadcast.message_for(subscription))
            return
        flusher = self._flusher
        if flusher is not None and len(subscriptions) >= MANY and flusher.on_loop_thread:
            mailing = flusher.mailing
            if not isinstance(mailing, BroadcastMailing) or not mailing.add(self, subscriptions, shared):
                flusher.settle()
                flusher.mail(BroadcastMailing(self, subscriptions, shared))
            return
        for subscription in subscriptions:
            holder = self.target_of(subscription)
            if holder is not None:
                try:
                    holder.session.send_text(shared.before_tail(subscription), shared.tail)
                except Exception as error:
                    self.failed_to_send(holder, error)

    def target_of(self, subscription: Subscription) -> SessionHolder | None:
        """Looked up once for each subscription, without making the headers of a broadcast only to read one of them."""
        holder: SessionHolder | None = subscription.target
        if holder is not None and holder.endpoint is None:
            return None  # ended: another session of this id, which SockJS clients choose, has subscriptions of its own
        if holder is None or holder.endpoint is not self:
            holder = subscription.target = self._sessions.get(subscription.session_id)
            if holder is None:
                logger.debug("No session %s for outbound message", subscription.session_id)
        return holder

    def failed_to_send(self, holder: SessionHolder, error: Exception) -> None:
        """One client's trouble must not reach the sender, nor the other recipients."""
        try:
            if isinstance(error, SessionLimitExceededError):
                self._limit_noticed(holder.session, error)
            else:
                holder.handler.send_failed(holder.session, error)  # type: ignore[attr-defined]  # a sharing one
        except Exception:
            logger.exception("Failed to end session %s", holder.session.id)

    def _holder_for(self, message: Message[Any]) -> SessionHolder | None:
        session_id = self._session_id(message)
        if session_id is None:
            logger.error("Could not find session id in %s", message)
            return None
        holder = self._sessions.get(session_id)
        if holder is None:
            logger.debug("No session %s for outbound message", session_id)
        return holder

    def _session_id(self, message: Message[Any]) -> str | None:
        for handler in self._handlers:
            session_id = handler.resolve_session_id(message)
            if session_id is not None:
                return session_id
        return None

    def _limit_noticed(self, session: ConcurrentWebSocketSessionDecorator, error: SessionLimitExceededError) -> None:
        """As ``_limit_exceeded``, where nothing may block, but those who hear of the end may: a worker tells them."""
        if self.task_scheduler is not None:
            self.task_scheduler.schedule(lambda: self._limit_exceeded(session, error), 0)
        else:
            self._limit_exceeded(session, error)

    def _limit_exceeded(self, session: ConcurrentWebSocketSessionDecorator, error: SessionLimitExceededError) -> None:
        logger.warning("Terminating '%s': %s", session.id, error)
        self.stats.limit_exceeded += 1
        self._clear(session.id, error.status)
        session.close(error.status)

    def _close_unheard(self) -> None:
        """End sessions that have said nothing for too long, the oldest first.

        Differs from Spring, which looks only when another session is opened.
        """
        now_ms = self.task_scheduler.now_ms() if self.task_scheduler else 0
        for holder in list(self._unheard.values()):
            silent_ms = now_ms - holder.opened_ms
            if silent_ms < self.time_to_first_message_ms:
                return
            logger.info("No messages received after %d ms. Closing %s", silent_ms, holder.session.id)
            self._unheard.pop(holder.session.id, None)
            self.stats.no_messages_received += 1
            holder.session.close(CloseStatus.SESSION_NOT_RELIABLE.with_cause(EndReason.NO_FIRST_MESSAGE))

    def __str__(self) -> str:
        return f"SubProtocolWebSocketHandler{sorted(self._by_protocol)}"
