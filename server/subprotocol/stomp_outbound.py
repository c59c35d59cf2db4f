"""The way out: messages of the outbound channel become STOMP frames of a session (SPH-04 to SPH-06)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from ...messaging.broker.broadcast import Broadcast, BroadcastMessage
from ...messaging.events import ApplicationEvents, SessionConnectedEvent
from ...messaging.message import Message
from ...messaging.native_headers import first_native_header
from ...messaging.simp.accessor import (
    CONNECT_MESSAGE,
    DISCONNECT_MESSAGE,
    HEARTBEAT,
    MESSAGE_TYPE,
)
from ...messaging.simp.attributes import bind, unbind
from ...messaging.simp.ordered import next_message_task
from ...messaging.simp.types import Principal, SimpMessageType
from ...messaging.stomp.command import StompCommand
from ...messaging.stomp.encoder import StompEncoder
from ...messaging.stomp.headers import StompHeaderAccessor
from ..close import CloseStatus, EndReason
from ..concurrent import ConcurrentWebSocketSessionDecorator, MessageCallback
from ..decorators import WebSocketSessionDecorator, is_sockjs
from ..exceptions import SessionLimitExceededError
from ..message import BinaryMessage, TextMessage, WebSocketMessage
from ..session import WebSocketSession
from .error_handler import StompSubProtocolErrorHandler
from .shared_frame import SharedFrame, is_binary, with_original_destination
from .stats import StompStats
from .stomp_session import StompSession

logger = logging.getLogger(__name__)

_HEARTBEAT = SimpMessageType.HEARTBEAT  # a name of the module costs a third of the member of an enum
SUPPORTED_VERSIONS = ("1.2", "1.1", "1.0")
"""The best first."""


class StompOutbound:
    """Encodes and sends; one for all sessions."""

    def __init__(
        self,
        sessions: Mapping[str, StompSession],
        stats: StompStats,
        events: ApplicationEvents | None,
        error_handler: StompSubProtocolErrorHandler | None,
    ) -> None:
        self._sessions = sessions
        self._stats = stats
        self._events = events
        self._error_handler = error_handler
        self._encoder = StompEncoder()

    def handle_message_to_client(self, session: WebSocketSession, message: Message[Any]) -> None:
        """Send one message. Raises SessionLimitExceededError; any other failure to send closes the session with
        1002.
        """
        if message.__class__ is not BroadcastMessage or not (message._headers is None or message.is_untouched):
            self._send_other(session, message)
            return
        broadcast, subscription = message.broadcast, message.subscription
        shared = self.share(broadcast)
        if shared is None:
            return
        try:
            before = shared.before_tail(subscription)
            if shared.is_text or is_sockjs(session):
                session.send_text(before, shared.tail)
            else:
                session.send_message(BinaryMessage(before + shared.tail))
        except SessionLimitExceededError:
            raise
        except Exception as error:
            self.send_failed(session, error)

    def share(self, broadcast: Broadcast) -> SharedFrame | None:
        """The bytes of the frames that recipients get of a broadcast whose messages nobody touched. None: there is
        nothing to send.
        """
        shared: SharedFrame | None = broadcast.encoding
        if shared is None:
            if not isinstance(broadcast.payload, bytes):
                logger.error("Expected byte[] payload. Ignoring %s.", type(broadcast.payload).__name__)
                return None
            shared = broadcast.encoding = SharedFrame(broadcast)
        return shared

    # -- everything else

    def _send_other(self, session: WebSocketSession, message: Message[Any]) -> None:
        payload = message.payload
        if not isinstance(payload, bytes):
            logger.error("Expected byte[] payload in session %s. Ignoring %s.", session.id, type(payload).__name__)
        elif message.headers.get(MESSAGE_TYPE) is _HEARTBEAT:
            session.send_text(b"\n", b"")
        else:
            self._send_converted(session, message)

    def _send_converted(self, session: WebSocketSession, message: Message[bytes]) -> None:
        accessor: StompHeaderAccessor | None = StompHeaderAccessor.get_accessor(message)
        if accessor is None or accessor.command is StompCommand.SEND:  # or a client's frame that was sent on as it is
            accessor = self._convert(session, message, StompHeaderAccessor.wrap(message))
            if accessor is None:
                return
        command = accessor.command
        if command is StompCommand.MESSAGE:
            if accessor.subscription_id is None:
                logger.warning('No STOMP "subscription" header in %s', accessor.short_log_message(message.payload))
            accessor = with_original_destination(accessor, message)
        elif command is StompCommand.CONNECTED:
            accessor = self._connected(session, message, accessor)
        elif command is StompCommand.ERROR:
            self._error(session, message)
            return
        self._write(session, message, accessor)

    def _convert(
        self, session: WebSocketSession, message: Message[bytes], accessor: StompHeaderAccessor
    ) -> StompHeaderAccessor | None:
        """The STOMP frame of a protocol-neutral message; None when there is nothing more to send."""
        if accessor.command not in (None, StompCommand.SEND):  # a broker's frame, rebuilt by an interceptor
            return accessor
        match accessor.message_type:
            case SimpMessageType.CONNECT_ACK:
                return self._connected_frame(session, message)
            case SimpMessageType.DISCONNECT_ACK:
                return self._disconnect_answer(session, message)
            case SimpMessageType.MESSAGE:
                accessor.update_stomp_command_as_server_message()
                return accessor
            case other:
                raise RuntimeError(f"Unexpected message type {other}")

    def _connected_frame(self, session: WebSocketSession, message: Message[bytes]) -> StompHeaderAccessor | None:
        connect: Message[Any] | None = message.headers.get(CONNECT_MESSAGE)
        if connect is None:
            raise RuntimeError(f"No CONNECT in {message}")
        connect_accessor = StompHeaderAccessor.get_accessor(connect) or StompHeaderAccessor.wrap(connect)
        version = _negotiate(connect_accessor)
        if version is None:
            # Differs from Spring, which answers nothing and leaves the session open.
            error = StompHeaderAccessor.create(StompCommand.ERROR)
            error.message = "Unsupported STOMP version"
            error.set_native_header("version", ",".join(reversed(SUPPORTED_VERSIONS)))
            logger.info("Session %s speaks none of our STOMP versions", session.id)
            self.send_error(session, Message(b"", error.message_headers), EndReason.STOMP_ERROR)
            return None
        accessor = StompHeaderAccessor.create(StompCommand.CONNECTED)
        accessor.version = version
        accessor.heartbeat = message.headers.get(HEARTBEAT) or (0, 0)
        accessor.session_id = session.id
        return accessor

    def _disconnect_answer(self, session: WebSocketSession, message: Message[bytes]) -> StompHeaderAccessor | None:
        disconnect: Message[Any] | None = message.headers.get(DISCONNECT_MESSAGE)
        if disconnect is None:
            error = StompHeaderAccessor.create(StompCommand.ERROR)
            error.message = "Session closed."
            self.send_error(session, Message(b"", error.message_headers), EndReason.HEARTBEAT_TIMEOUT)
            return None
        receipt = first_native_header(disconnect.headers, "receipt")
        if receipt is not None:
            accessor = StompHeaderAccessor.create(StompCommand.RECEIPT)
            accessor.receipt_id = receipt
            return accessor
        # Differs from Spring, which answers an orderly DISCONNECT with an ERROR and 1002.
        session.close(CloseStatus.NORMAL.with_cause(EndReason.CLIENT_DISCONNECT))
        return None

    def _connected(
        self, session: WebSocketSession, message: Message[bytes], accessor: StompHeaderAccessor
    ) -> StompHeaderAccessor:
        """Add the user's name, tell whoever listens; the client hears of it last."""
        self._stats.connected += 1
        state = self._sessions.get(session.id)
        user = state.user if state is not None else session.principal
        if user is not None:
            if not accessor.is_mutable:
                accessor = StompHeaderAccessor.wrap(message)
            accessor.set_native_header("user-name", user.name)
        if accessor.heartbeat[1] > 0 and is_sockjs(session):  # one heart-beat is enough
            WebSocketSessionDecorator.unwrap(session).disable_heartbeat()  # type: ignore[attr-defined]  # just asked
        events = self._events
        if events is not None and events.has_receivers(SessionConnectedEvent):
            self._publish_connected(events, message, user, state)
        return accessor

    def _publish_connected(
        self, events: ApplicationEvents, message: Message[bytes], user: Principal | None, state: StompSession | None
    ) -> None:
        token = bind(state.attributes if state is not None else None)
        try:
            events.publish(SessionConnectedEvent(message, user))
        finally:
            unbind(token)

    def _error(self, session: WebSocketSession, message: Message[bytes]) -> None:
        answer = message
        if self._error_handler is not None:
            answer = self._error_handler.handle_error_message_to_client(message) or message
        logger.info("Session %s gets an ERROR: %s", session.id, first_native_header(answer.headers, "message"))
        self.send_error(session, answer, EndReason.STOMP_ERROR)

    def _write(self, session: WebSocketSession, message: Message[bytes], accessor: StompHeaderAccessor) -> None:
        payload = message.payload
        try:
            frame = self._encoder.encode_parts(accessor.to_map(), payload)
            binary = is_binary(payload, accessor.content_type) and not is_sockjs(session)
            own = BinaryMessage(frame) if binary else TextMessage(frame)
            released = next_message_task(message)
            if released is not None and isinstance(session, ConcurrentWebSocketSessionDecorator):
                session.message_callback = _release_when_queued(own, released)
            session.send_message(own)
        except SessionLimitExceededError:
            raise
        except Exception as error:
            self.send_failed(session, error)

    def send_error(self, session: WebSocketSession, message: Message[bytes], because: EndReason) -> None:
        """Send an ERROR frame and close with 1002: every ERROR ends its session."""
        try:
            frame = self._encoder.encode(message)
            session.send_message(TextMessage(frame))
        except Exception as error:  # the client is gone already
            logger.debug("Failed to send ERROR to session %s: %s", session.id, error)
        finally:
            session.close(CloseStatus.PROTOCOL_ERROR.with_cause(because))

    def send_failed(self, session: WebSocketSession, error: Exception) -> None:
        """Close with 1002, without a word in the frame: whoever it was for is gone."""
        logger.debug("Failed to send to session %s", session.id, exc_info=error)
        session.close(CloseStatus.PROTOCOL_ERROR.with_cause(EndReason.TRANSPORT_ERROR))


def _release_when_queued(own: WebSocketMessage[Any], released: Callable[[], object]) -> MessageCallback:
    """Let the session's next message go once *own* is in the buffer, not when it is written (CDS-04)."""

    def queued(message: WebSocketMessage[Any]) -> None:
        if message is own:  # others may come between
            released()

    return queued


def _negotiate(connect: StompHeaderAccessor) -> str | None:
    accepted = connect.accept_version
    if not accepted:  # STOMP 1.0 has no such header
        return "1.0"
    return next((version for version in SUPPORTED_VERSIONS if version in accepted), None)
