"""The WebSocket handler that holds all sub-protocol sessions, and the outbound channel's subscriber (SWS-01 to
SWS-06).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
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
from ..decorators import WebSocketSessionDecorator, is_sockjs
from ..exceptions import SessionLimitExceededError
from ..flush import Flusher
from ..framing import TextFraming, whole_text
from ..gathering import concurrent_session
from ..handlers import HeartbeatAudience
from ..message import WebSocketMessage
from ..session import WebSocketSession
from .holder import SessionHolder
from .mailing import MANY, BroadcastMailing
from .protocols import ProtocolHandlers
from .stats import SessionStats

logger = logging.getLogger(__name__)

TIME_TO_FIRST_MESSAGE_MS = 60_000


class _OutboundSubscriber:
    """What subscribes to the outbound channel: a handler of messages and one of WebSocket messages cannot be the
    same object.
    """

    __slots__ = ("handle_broadcast", "handle_heartbeats", "handle_message")

    def __init__(self, endpoint: SubProtocolWebSocketHandler) -> None:
        self.handle_message = endpoint.handle_outbound
        self.handle_broadcast = endpoint.handle_broadcast
        self.handle_heartbeats = endpoint.handle_heartbeats

    def __repr__(self) -> str:
        return "SubProtocolWebSocketHandler"


class SubProtocolWebSocketHandler(ProtocolHandlers):
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
        ProtocolHandlers.__init__(self)
        self._flusher: Flusher | None = None
        """That of all sessions; None when there is no session yet, or not all have the same."""
        self._sessions: dict[str, SessionHolder] = {}
        self._unheard: dict[str, SessionHolder] = {}
        self._check: ScheduledTask | None = None
        self._running = False
        self._subscriber = _OutboundSubscriber(self)

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
            self._clear(holder.session, status)

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
        native = WebSocketSessionDecorator.unwrap(session)
        kind = getattr(native, "transport_kind", "web_socket")
        opened_ms = self.task_scheduler.now_ms() if self.task_scheduler else 0
        holder = SessionHolder(self, concurrent, handler, kind, opened_ms, takes_binary=not is_sockjs(native))
        self._sessions[session.id] = self._unheard[session.id] = holder
        self.stats.opened(kind)
        handler.after_session_started(concurrent, self.client_inbound_channel)

    def heartbeat_audience(self, session: WebSocketSession) -> HeartbeatAudience | None:
        """See ``handlers``."""
        holder = self._sessions.get(session.id)
        if holder is None or not holder.heard:
            return None
        find = getattr(holder.handler, "heartbeat_audience", None)
        return find(session.id, self.client_inbound_channel) if find is not None else None

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
        self._clear(session, status)

    def _clear(self, session: WebSocketSession, status: CloseStatus) -> None:
        """Forget this very session, not another one that has its id meanwhile. Twice does nothing."""
        holder = self._sessions.get(session.id)
        unwrap = WebSocketSessionDecorator.unwrap
        if holder is None or unwrap(holder.session) is not unwrap(session):
            return
        if self._sessions.pop(session.id, None) is None:  # another thread was faster
            return
        holder.endpoint = None
        self._unheard.pop(session.id, None)
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
                    holder.send_shared(shared, shared.before_tail(subscription))
                except Exception as error:
                    self.failed_to_send(holder, error)

    def handle_heartbeats(self, session_ids: Sequence[str]) -> bool:
        """As ``handle_outbound`` of a heart-beat for each, without a message. On the loop's thread each is written at
        once, if nothing is to go before it: there are thousands of them, alone in their turn.

        False when nothing was done: there are several protocols, or one whose heart-beats only its handler can make.
        """
        text, flusher = self._heartbeat, self._flusher
        if text is None:
            return False
        at_once = flusher is not None and flusher.on_loop_thread
        frames: dict[TextFraming, bytes] = {}
        for session_id in session_ids:
            holder = self._sessions.get(session_id)
            if holder is None:
                continue
            session = holder.session
            try:
                framing: TextFraming | None = getattr(session, "text_framing", None) if at_once else None
                if framing is not None:
                    frame = frames.get(framing)
                    if frame is None:
                        frame = frames[framing] = whole_text(framing, text)
                    if session.write_joined(frame):
                        continue
                session.send_text(text, b"")
            except SessionLimitExceededError as error:
                self._limit_noticed(session, error)
            except Exception:  # as in handle_outbound
                logger.debug("Failed to send to session %s", session_id, exc_info=True)
        return True

    def target_of(self, subscription: Subscription) -> SessionHolder | None:
        """Looked up once for each subscription, without making the headers of a broadcast only to read one of them."""
        holder: SessionHolder | None = subscription.target
        if holder is not None and holder.endpoint is None:
            return None  # ended: another session of this id has subscriptions of its own
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
        """As ``_limit_exceeded``, where nothing may block, but those who hear of the end may: the transport's worker
        tells them. Not one of the scheduler: heart-beats would have to wait for a crowd that is ended at once.
        """
        self._tell_of_limit(session, error)
        flusher = self._flusher
        if flusher is None or flusher.on_loop_thread:
            session.close(error.status)
        else:  # which would wait for the loop
            flusher.call_later(partial(session.close, error.status), 0)

    def _limit_exceeded(self, session: ConcurrentWebSocketSessionDecorator, error: SessionLimitExceededError) -> None:
        self._tell_of_limit(session, error)
        try:
            self._clear(session, error.status)
        finally:
            session.close(error.status)

    def _tell_of_limit(self, session: WebSocketSession, error: SessionLimitExceededError) -> None:
        logger.warning("Terminating '%s': %s", session.id, error)
        self.stats.limit_exceeded += 1

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
