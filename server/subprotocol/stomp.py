"""STOMP over WebSocket: the frames of a session become messages on the inbound channel, and back (SPH-01 to SPH-09).

Station: between the endpoint, which holds the sessions, and the channels. This file is the way in; ``stomp_outbound`` is the way out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ...messaging.broker.heartbeats import IDLE_CLOCK
from ...messaging.channel import MessageChannel
from ...messaging.events import (
    ApplicationEvents,
    SessionConnectEvent,
    SessionDisconnectEvent,
    SessionSubscribeEvent,
    SessionUnsubscribeEvent,
)
from ...messaging.exceptions import MessagingError, StompConversionError
from ...messaging.header_accessor import MessageHeaderInitializer
from ...messaging.interceptable import AbstractMessageChannel
from ...messaging.message import Message
from ...messaging.simp.accessor import HEARTBEAT, SESSION_ATTRIBUTES, SESSION_ID, USER
from ...messaging.simp.attributes import SimpAttributes, bound
from ...messaging.simp.ordered import OrderedMessageChannelDecorator
from ...messaging.simp.types import Principal
from ...messaging.stomp.command import StompCommand
from ...messaging.stomp.decoder import BufferingStompDecoder, StompDecoder
from ...messaging.stomp.headers import COMMAND, StompHeaderAccessor
from ...messaging.subscribable import ImmutableMessageChannelInterceptor
from ..close import CloseStatus, EndReason
from ..decorators import WebSocketSessionDecorator
from ..message import BinaryMessage, TextMessage, WebSocketMessage
from ..session import WebSocketSession
from .error_handler import StompSubProtocolErrorHandler
from .stats import StompStats
from .stomp_outbound import StompOutbound
from .stomp_session import StompSession

logger = logging.getLogger(__name__)

MESSAGE_SIZE_LIMIT = 64 * 1024
"""Bytes of a STOMP frame, however many WebSocket messages it came in."""
MINIMUM_WEBSOCKET_MESSAGE_SIZE = 16 * 1024 + 256
"""A WebSocket text limit below this is raised to it."""

_CONNECTS = (StompCommand.CONNECT, StompCommand.STOMP)
_EVENTS: dict[StompCommand | None, Callable[[Message[Any], Any], object]] = {
    StompCommand.CONNECT: SessionConnectEvent,
    StompCommand.STOMP: SessionConnectEvent,
    StompCommand.SUBSCRIBE: SessionSubscribeEvent,
    StompCommand.UNSUBSCRIBE: SessionUnsubscribeEvent,
}


class StompSubProtocolHandler:
    """Serves ``v10.stomp``, ``v11.stomp`` and ``v12.stomp`` for any number of sessions.

    Frames of one session reach the inbound channel in order. Where that channel has an executor, *preserve_receive_order* also has
    them handled one after another (bounded by the ordered channel); Spring needs a switch for it, here it can be switched off.
    """

    def __init__(
        self,
        *,
        events: ApplicationEvents | None = None,
        error_handler: StompSubProtocolErrorHandler | None = None,
        header_initializer: MessageHeaderInitializer | None = None,
        message_size_limit: int = MESSAGE_SIZE_LIMIT,
        preserve_receive_order: bool = True,
    ) -> None:
        self.events = events
        self.error_handler = error_handler
        self.message_size_limit = message_size_limit
        self.preserve_receive_order = preserve_receive_order
        self.stats = StompStats()
        self._decoder = StompDecoder(header_initializer)
        self._sessions: dict[str, StompSession] = {}
        self._out = StompOutbound(self._sessions, self.stats, events, error_handler)
        self.handle_message_to_client = self._out.handle_message_to_client

    @property
    def supported_protocols(self) -> list[str]:
        return ["v10.stomp", "v11.stomp", "v12.stomp"]

    def resolve_session_id(self, message: Message[Any]) -> str | None:
        session_id: str | None = message.headers.get(SESSION_ID)
        return session_id

    # -- the life of a session

    def after_session_started(self, session: WebSocketSession, channel: MessageChannel) -> None:
        if session.text_message_size_limit < MINIMUM_WEBSOCKET_MESSAGE_SIZE:
            session.text_message_size_limit = MINIMUM_WEBSOCKET_MESSAGE_SIZE
        decoder = BufferingStompDecoder(self._decoder, self.message_size_limit)
        self._sessions[session.id] = StompSession(session, decoder, self._channel_for(session, channel))

    def _channel_for(self, session: WebSocketSession, channel: MessageChannel) -> MessageChannel:
        """The inbound channel, or where tasks could overtake each other this session's ordered way into it."""
        if not self.preserve_receive_order or getattr(channel, "executor", None) is None:
            return channel

        def failed(message: Message[Any], error: BaseException) -> None:
            # Differs from Spring, where errors of interceptors vanish when the order is kept (issue 33937).
            self._refused(session, message, error)

        return OrderedMessageChannelDecorator(channel, error_callback=failed)

    def after_session_ended(self, session: WebSocketSession, status: CloseStatus, channel: MessageChannel) -> None:
        """Tell the listeners and the brokers, once, however the session ended (SPH-08). Twice does nothing."""
        state = self._sessions.get(session.id)
        if state is None or state.ended:
            return
        state.ended = True
        accessor = StompHeaderAccessor.create(StompCommand.DISCONNECT)
        accessor.session_id = session.id
        accessor.session_attributes = session.attributes
        accessor.user = state.principal
        message = Message(b"", accessor.message_headers)
        attributes = SimpAttributes(session.id, session.attributes)
        try:
            with bound(attributes):
                if self.events is not None and self.events.has_receivers(SessionDisconnectEvent):
                    self.events.publish(
                        SessionDisconnectEvent(message, session.id, status, state.principal, status.because)
                    )
                channel.send(message)
        except Exception:  # an interceptor: the unsent-DISCONNECT interceptor has told the broker
            logger.exception("DISCONNECT of session %s was not sent", session.id)
        finally:
            del self._sessions[session.id]
            attributes.session_completed()

    # -- frames of the client

    def handle_message_from_client(
        self, session: WebSocketSession, message: WebSocketMessage[Any], channel: MessageChannel
    ) -> None:
        """Decode and send to the session's way into *channel*. Messages that are neither text nor binary are ignored."""
        if not isinstance(message, TextMessage | BinaryMessage):
            return
        state = self._sessions.get(session.id)
        if state is None:
            if session.is_open:
                self._reject(session, None, RuntimeError(f"No decoder for session id '{session.id}'"))
            return
        try:
            for frame in state.decoder.decode(message.as_bytes()):
                if not self._handle_frame(session, state, frame, channel):
                    break
        except StompConversionError as error:
            logger.error("Failed to parse %s in session %s. Sending STOMP ERROR to client. %s", message, session.id, error)
            self._reject(session, None, error)

    def _handle_frame(
        self, session: WebSocketSession, state: StompSession, message: Message[bytes], channel: MessageChannel
    ) -> bool:
        """Send one frame on; False when the frames after it in the same WebSocket message are to be left out."""
        accessor: StompHeaderAccessor = message.headers.accessor  # type: ignore[attr-defined]  # the decoder leaves it live
        values = accessor._map
        command = values.get(COMMAND)
        is_connect = command in _CONNECTS
        if is_connect:
            if state.connect_seen:
                self._reject(session, message, RuntimeError("Session already exists"))
                return True
            state.connect_seen = True
            self.stats.connect += 1
            self._prepare_connect(session, state, accessor)
        elif not state.connect_seen:
            self._reject(session, message, RuntimeError(f"Unknown session: {session.id}"))
            return False
        elif command is StompCommand.DISCONNECT:
            self.stats.disconnect += 1
            state.disconnected = True
        values[SESSION_ID] = session.id
        values[SESSION_ATTRIBUTES] = session.attributes
        principal = state.principal
        if principal is not None:
            values[USER] = principal
        if not _freezes(channel):
            accessor.set_immutable()
        return self._send(session, state, message, command)

    def _prepare_connect(self, session: WebSocketSession, state: StompSession, accessor: StompHeaderAccessor) -> None:
        try:
            accessor.set_header(HEARTBEAT, accessor.heartbeat)
        except ValueError:
            logger.debug("Session %s: no heart-beat in '%s'", session.id, accessor.get_first_native_header("heart-beat"))
        accessor.set_header(IDLE_CLOCK, getattr(WebSocketSessionDecorator.unwrap(session), "idle_ms", None))

        def user_changed(user: Principal | None) -> None:
            if user is not None and user is not session.principal:
                state.user = user

        accessor.add_user_change_callback(user_changed)

    def _send(
        self, session: WebSocketSession, state: StompSession, message: Message[bytes], command: StompCommand | None
    ) -> bool:
        is_connect = command in _CONNECTS
        try:
            with bound(SimpAttributes(session.id, session.attributes)):
                if state.channel.send(message):
                    self._publish(message, state, command)
                    return True
        except Exception as error:
            self._refused(session, message, error)
            return not is_connect
        if is_connect:
            # Differs from Spring, which drops the session in silence and lets the client wait.
            self._refused(session, message, MessagingError("CONNECT was refused"))
        return not is_connect

    def _publish(self, message: Message[bytes], state: StompSession, command: StompCommand | None) -> None:
        make = _EVENTS.get(command)
        events = self.events
        if make is not None and events is not None and events.has_receivers(make):
            events.publish(make(message, state.principal))

    def _refused(self, session: WebSocketSession, message: Message[Any], error: BaseException) -> None:
        """The channel did not take a frame: an interceptor objected, or a handler in this thread failed."""
        command = message.headers.get(COMMAND)
        unsent = command in _CONNECTS or command is StompCommand.SUBSCRIBE
        logger.log(
            logging.DEBUG if unsent else logging.ERROR,
            "Failed to send %s of session %s to the inbound channel: %s",
            command,
            session.id,
            error,
            exc_info=None if unsent else error,
        )
        self._reject(session, message, error)

    def _reject(self, session: WebSocketSession, message: Message[Any] | None, error: BaseException) -> None:
        """Answer with ERROR and close, or as the error handler decides (SPH-05)."""
        handler = self.error_handler or _PLAIN_ERRORS
        answer = handler.handle_client_message_processing_error(message if self.error_handler else None, error)
        if answer is not None:
            self._out.send_error(session, answer, EndReason.STOMP_ERROR)


_PLAIN_ERRORS = StompSubProtocolErrorHandler()


def _freezes(channel: MessageChannel) -> bool:
    """Whether the channel has the interceptor that freezes messages after the application's own ones."""
    interceptors = channel.interceptors if isinstance(channel, AbstractMessageChannel) else ()
    return any(isinstance(each, ImmutableMessageChannelInterceptor) for each in reversed(interceptors))
