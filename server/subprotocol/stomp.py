"""STOMP over WebSocket: the frames of a session become messages on the inbound channel, and back (SPH-01 to SPH-09).

Station: between the endpoint, which holds the sessions, and the channels. This file is the way in; ``stomp_outbound``
is the way out.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any

from ...messaging.broker.heartbeats import IDLE_CLOCK
from ...messaging.channel import MessageChannel
from ...messaging.events import ApplicationEvents, SessionDisconnectEvent
from ...messaging.exceptions import MessagingError, StompConversionError, is_passed_on, remark_on
from ...messaging.header_accessor import MessageHeaderInitializer
from ...messaging.message import Message
from ...messaging.mutable_headers import MutableMessageHeaders
from ...messaging.simp.accessor import HEARTBEAT, SESSION_ATTRIBUTES, SESSION_ID, USER
from ...messaging.simp.attributes import bound
from ...messaging.simp.ordered import OrderedMessageChannelDecorator, configure_interceptor
from ...messaging.simp.types import destination_user_name
from ...messaging.stomp.command import StompCommand
from ...messaging.stomp.decoder import BufferingStompDecoder, StompDecoder
from ...messaging.stomp.headers import COMMAND, StompHeaderAccessor
from ..close import CloseStatus, EndReason
from ..decorators import WebSocketSessionDecorator
from ..handlers import HeartbeatAudience
from ..message import BinaryMessage, TextMessage, WebSocketMessage
from ..session import WebSocketSession
from .error_handler import StompSubProtocolErrorHandler
from .stats import StompStats
from .stomp_outbound import StompOutbound
from .stomp_session import SessionInboundChannel, StompSession, in_order

logger = logging.getLogger(__name__)

MESSAGE_SIZE_LIMIT = 64 * 1024
"""Bytes of a STOMP frame, however many WebSocket messages it came in."""
MINIMUM_WEBSOCKET_MESSAGE_SIZE = 16 * 1024 + 256
"""A WebSocket text limit below this is raised to it."""

_SEND = StompCommand.SEND
_CONNECTS = (StompCommand.CONNECT, StompCommand.STOMP)
_BEGIN_OR_END = (*_CONNECTS, StompCommand.DISCONNECT)
_ENDED_BY_CLIENT = frozenset(
    (
        EndReason.CLIENT_CLOSED,
        EndReason.CLIENT_VANISHED,
        EndReason.CLIENT_DISCONNECT,
        EndReason.PROTOCOL_ERROR,
        EndReason.MESSAGE_TOO_BIG,
    )
)
"""What came before is handled, as what is in the mailbox of its connection."""
_DATA = (TextMessage, BinaryMessage)
_TURN_S = 0.005
"""So long the frames of one message are handled, of which there may be thousands; then others have their turn."""
_NO_HEARTBEAT = (0, 0)


class StompSubProtocolHandler:
    """Serves ``v10.stomp``, ``v11.stomp`` and ``v12.stomp`` for any number of sessions.

    Frames of one session reach the inbound channel in order. Where that channel has an executor,
    *preserve_receive_order* also has them handled one after another (bounded by the ordered channel); Spring needs a
    switch for it, here it can be switched off.
    """

    heartbeat_text = b"\n"

    def __init__(
        self,
        *,
        events: ApplicationEvents | None = None,
        error_handler: StompSubProtocolErrorHandler | None = None,
        header_initializer: MessageHeaderInitializer | None = None,
        message_size_limit: int = MESSAGE_SIZE_LIMIT,
        preserve_receive_order: bool = True,
    ) -> None:
        """Without *error_handler* an ERROR has the error's text alone. Raises ValueError for a limit that is not
        above 0.
        """
        if message_size_limit <= 0:
            raise ValueError("Message size limit must be greater than 0")
        self.events = events
        self.error_handler = error_handler
        self.message_size_limit = message_size_limit
        self.preserve_receive_order = preserve_receive_order
        self.stats = StompStats()
        self._decoder = StompDecoder(header_initializer)
        self._sessions: dict[str, StompSession] = {}
        self._ending: dict[str, OrderedMessageChannelDecorator] = {}
        """Of sessions whose end waits for its turn, by their ids."""
        self._out = StompOutbound(self._sessions, self.stats, events, error_handler)
        self.handle_message_to_client = self._out.handle_message_to_client
        self.share, self.send_failed = self._out.share, self._out.send_failed

    @property
    def supported_protocols(self) -> list[str]:
        return ["v10.stomp", "v11.stomp", "v12.stomp"]

    def resolve_session_id(self, message: Message[Any]) -> str | None:
        session_id: str | None = message.headers.get(SESSION_ID)
        return session_id

    def session_ids_of(self, user_name: str) -> list[str]:
        """The sessions of a user, by the name under which messages reach him. Never None, may be empty."""
        return [
            state.id
            for state in list(self._sessions.values())
            if state.user is not None and destination_user_name(state.user) == user_name
        ]

    # -- the life of a session

    def after_session_started(self, session: WebSocketSession, channel: MessageChannel) -> None:
        """Make ready for frames; raises the limit of text messages to ``MINIMUM_WEBSOCKET_MESSAGE_SIZE`` (SPH-01)."""
        if session.text_message_size_limit < MINIMUM_WEBSOCKET_MESSAGE_SIZE:
            session.text_message_size_limit = MINIMUM_WEBSOCKET_MESSAGE_SIZE
        state = StompSession(session, BufferingStompDecoder(self._decoder, self.message_size_limit))
        ordered = self.preserve_receive_order and getattr(channel, "executor", None) is not None
        inbound = SessionInboundChannel(state, channel, self.events, self._refused, freezes=not ordered)
        state.inbound = inbound
        if ordered:
            # Differs from Spring: in order unless switched off, and interceptors' errors reach the client all the same.
            configure_interceptor(channel, True)
            state.inbound = in_order(inbound, session)
        earlier = self._ending.pop(session.id, None)
        if earlier is not None:  # SockJS clients choose their ids: brokers must not take this session for that one
            earlier.cut_short()
        self._sessions[session.id] = state

    def after_session_ended(self, session: WebSocketSession, status: CloseStatus, channel: MessageChannel) -> None:
        """Tell the listeners and the brokers, however the session ended (SPH-08).

        Differs from Spring: once. A second call does nothing. Where frames are handled in their order, the end comes
        after those that the client had sent; if it was not the client who ended the session, they are dropped.
        """
        state = self._sessions.pop(session.id, None)
        if state is None:
            return
        state.ended = True
        ordered = state.inbound
        if not isinstance(ordered, OrderedMessageChannelDecorator):
            self._tell_end(state, status, channel)
            return
        self._ending[state.id] = ordered
        ordered.finish(partial(self._tell_end, state, status, channel))
        if state.end_reason(status) not in _ENDED_BY_CLIENT:
            ordered.cut_short()

    def _tell_end(self, state: StompSession, status: CloseStatus, channel: MessageChannel) -> None:
        if self._ending.get(state.id) is state.inbound:
            self._ending.pop(state.id, None)
        message = Message(b"", _disconnect(state).message_headers)
        try:
            with bound(state.attributes):
                if self.events is not None and self.events.has_receivers(SessionDisconnectEvent):
                    reason = state.end_reason(status)
                    self.events.publish(SessionDisconnectEvent(message, state.id, status, state.user, reason))
                channel.send(message)
        except BaseException as error:  # an interceptor's: the unsent-DISCONNECT interceptor has told the broker
            if is_passed_on(error):
                raise
            logger.exception("DISCONNECT of session %s was not sent%s", state.id, remark_on(error))
        finally:
            state.attributes.session_completed()

    # -- frames of the client

    def handle_message_from_client(
        self, session: WebSocketSession, message: WebSocketMessage[Any], channel: MessageChannel
    ) -> None:
        """Decode and send to *channel*. Messages that are neither text nor binary are ignored."""
        if message.__class__ is TextMessage:
            data = message._data
        elif isinstance(message, _DATA):
            data = message.as_bytes()
        else:
            return
        state = self._sessions.get(session.id)
        if state is None:
            if session.is_open:
                self._broken(session, message, RuntimeError(f"No decoder for session id '{session.id}'"))
            return
        try:
            frames = state.decoder.decode(data)
            turn_ends = None if frames.__class__ is tuple else monotonic() + _TURN_S
            for frame in frames:
                values = frame._headers._map
                values[HEARTBEAT] = _NO_HEARTBEAT
                command = values.get(COMMAND)
                if (state.connect_seen and command is _SEND) or self._admit_or_reject(state, command, frame):
                    values[SESSION_ID] = state.id
                    values[SESSION_ATTRIBUTES] = state.session_attributes
                    if state.user is not None:
                        values[USER] = state.user
                    try:
                        state.inbound.send(frame)
                    except MessagingError as error:  # the ordered channel is full
                        self._refused(state, frame, error)
                if turn_ends is not None and monotonic() >= turn_ends and state.flusher is not None:
                    state.flusher.give_way()
                    turn_ends = monotonic() + _TURN_S
                if state.ended or not state.connect_seen:
                    _skip(frames)
                    break
        except StompConversionError as error:
            self._broken(session, message, error)

    def heartbeat_audience(self, session_id: str, channel: MessageChannel) -> HeartbeatAudience | None:
        """The channel, unless a heart-beat is more to this session than a message for it; see ``handlers``."""
        state = self._sessions.get(session_id)
        if state is None or not state.connect_seen or state.decoder.buffer_size:
            return None  # an error, or a part of a frame
        if state.inbound.__class__ is not SessionInboundChannel or not hasattr(channel, "wants_heartbeats"):
            return None
        return channel  # type: ignore[return-value]  # as just asked

    def _admit_or_reject(self, state: StompSession, command: StompCommand | None, message: Message[bytes]) -> bool:
        """Count and note what a frame changes. Whether it is to be sent on; if not, the client has been told why."""
        if state.connect_seen and command not in _BEGIN_OR_END:
            return True
        headers: MutableMessageHeaders = message._headers  # type: ignore[assignment]  # the decoder's
        refusal = self._change_state(state, command, headers.accessor)  # type: ignore[arg-type]  # as above
        if refusal is None:
            return True
        logger.warning("%s in session %s: %s", command or "Heart-beat", state.id, refusal)
        self._reject(state.session, message, refusal)
        return False

    def _change_state(
        self, state: StompSession, command: StompCommand | None, accessor: StompHeaderAccessor
    ) -> Exception | None:
        """What a CONNECT or DISCONNECT changes; why the frame cannot be taken, or None."""
        if command not in _CONNECTS:
            if not state.connect_seen:
                return RuntimeError(f"Unknown session: {state.id}")
            self.stats.disconnect += 1
            state.disconnected = True
            return None
        if state.connect_seen:
            return RuntimeError("Session already exists")
        try:
            heartbeat = accessor.heartbeat
        except ValueError as error:
            return ValueError(f"Invalid heart-beat: {error}")
        state.connect_seen = True
        self.stats.connect += 1
        accessor.set_header(HEARTBEAT, heartbeat)
        accessor.set_header(IDLE_CLOCK, _idle_clock(state.session))
        accessor.add_user_change_callback(state.user_changed)
        return None

    # -- what goes wrong

    def _refused(self, state: StompSession, message: Message[Any], error: Exception | None) -> None:
        """The channel did not take a frame: *error* stopped it, or without one an interceptor vetoed."""
        command = message.headers.get(COMMAND)
        is_connect = command in _CONNECTS
        if is_connect:
            state.forget_connect()
        if error is None:
            logger.debug("An interceptor vetoed %s of session %s", command, state.id)
            if is_connect:
                # Differs from Spring, which drops the session in silence and lets the client wait.
                self._reject(state.session, message, MessagingError("CONNECT was refused"))
            return
        unsent = is_connect or command is StompCommand.SUBSCRIBE
        if unsent and not logger.isEnabledFor(logging.DEBUG):
            # Likely on purpose; but a mistake in an interceptor looks the same, and must not go unseen.
            logger.info("%s of session %s was refused: %r", command, state.id, error.__cause__ or error)
        else:
            logger.log(
                logging.DEBUG if unsent else logging.ERROR,
                "Failed to send %s of session %s to the inbound channel: %s",
                command,
                state.id,
                error,
                exc_info=error,
            )
        self._reject(state.session, message, error)

    def _broken(self, session: WebSocketSession, message: WebSocketMessage[Any], error: Exception) -> None:
        logger.error("Failed to parse %r in session %s. Sending STOMP ERROR to client. %s", message, session.id, error)
        self._reject(session, None, error)

    def _reject(self, session: WebSocketSession, message: Message[Any] | None, error: Exception) -> None:
        """Answer with ERROR and close, or as the error handler decides (SPH-05)."""
        if self.error_handler is None:
            answer = _PLAIN_ERRORS.handle_client_message_processing_error(None, error)
        else:
            answer = self.error_handler.handle_client_message_processing_error(message, error)
        if answer is not None:
            self._out.send_error(session, answer, EndReason.STOMP_ERROR)


_PLAIN_ERRORS = StompSubProtocolErrorHandler()


def _skip(frames: Iterable[Message[bytes]]) -> None:
    """Leave out what came with them: the decoder must not keep it for the next call, whichever way it went."""
    with suppress(StompConversionError):  # it stays broken, and says so again
        for _ in frames:
            pass


def _disconnect(state: StompSession) -> StompHeaderAccessor:
    accessor = StompHeaderAccessor.create(StompCommand.DISCONNECT)
    accessor.session_id = state.id
    accessor.session_attributes = state.session_attributes
    accessor.user = state.user
    return accessor


def _idle_clock(session: WebSocketSession) -> Any:
    """For how many milliseconds nothing was read, where the transport knows that; else None."""
    raw = WebSocketSessionDecorator.unwrap(session)
    if not hasattr(raw, "last_read_ms") or not hasattr(raw, "flusher"):
        return None
    now_ms = raw.flusher.now_ms
    return lambda: now_ms() - raw.last_read_ms
