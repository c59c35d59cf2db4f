"""What the STOMP handler keeps of one session, and the session's way into the inbound channel (SPH-02, SPH-07,
SCOPE-01).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...messaging.channel import INDEFINITE_TIMEOUT, MessageChannel
from ...messaging.events import (
    ApplicationEvents,
    SessionConnectEvent,
    SessionEvent,
    SessionSubscribeEvent,
    SessionUnsubscribeEvent,
)
from ...messaging.exceptions import MessageDeliveryError, is_passed_on, remark_on
from ...messaging.message import Message
from ...messaging.simp.attributes import SimpAttributes, bind, unbind
from ...messaging.simp.measured import MeasuredMessageChannelDecorator
from ...messaging.simp.ordered import OrderedMessageChannelDecorator
from ...messaging.simp.types import Principal
from ...messaging.stomp.command import StompCommand
from ...messaging.stomp.decoder import BufferingStompDecoder
from ...messaging.stomp.headers import COMMAND
from ..close import CloseStatus, EndReason
from ..decorators import WebSocketSessionDecorator
from ..flush import Flusher
from ..session import WebSocketSession

_SEND = StompCommand.SEND
_EVENTS: dict[StompCommand | None, type[SessionEvent]] = {
    StompCommand.CONNECT: SessionConnectEvent,
    StompCommand.STOMP: SessionConnectEvent,
    StompCommand.SUBSCRIBE: SessionSubscribeEvent,
    StompCommand.UNSUBSCRIBE: SessionUnsubscribeEvent,
}

RefusalCallback = Callable[["StompSession", Message[Any], Exception | None], object]


class StompSession:
    """From the opening of a WebSocket to the end of its clean-up."""

    __slots__ = (
        "attributes",
        "connect_seen",
        "decoder",
        "disconnected",
        "ended",
        "flusher",
        "id",
        "inbound",
        "session",
        "session_attributes",
        "user",
    )

    inbound: SessionInboundChannel | OrderedMessageChannelDecorator
    """Where the frames of this session go."""

    def __init__(self, session: WebSocketSession, decoder: BufferingStompDecoder) -> None:
        self.id = session.id
        self.session = session
        self.decoder = decoder
        self.session_attributes = session.attributes
        self.attributes = SimpAttributes(session.id, session.attributes)
        self.user: Principal | None = session.principal
        """The WebSocket's principal, or whom an interceptor named on CONNECT (SPH-03)."""
        self.flusher: Flusher | None = getattr(WebSocketSessionDecorator.unwrap(session), "flusher", None)
        """Of the loop that others wait for while this session's frames are handled."""
        self.connect_seen = False
        """A CONNECT came and was not refused."""
        self.disconnected = False
        """The client sent DISCONNECT."""
        self.ended = False
        """No more frames are taken; with an executor those that came before may still be on their way."""

    def user_changed(self, user: Principal | None) -> None:
        """An interceptor set the user on CONNECT; None changes nothing."""
        if user is not None:
            self.user = user

    def forget_connect(self) -> None:
        """CONNECT was refused: as if it had never come."""
        self.connect_seen = False
        self.user = self.session.principal

    def end_reason(self, status: CloseStatus) -> EndReason:
        """Why the session ended, from what its close says."""
        because = status.because
        if because is None:
            vanished = status.equals_code(CloseStatus.NO_CLOSE_FRAME)
            because = EndReason.CLIENT_VANISHED if vanished else EndReason.CLIENT_CLOSED
        if self.disconnected and because in (EndReason.CLIENT_CLOSED, EndReason.CLIENT_VANISHED):
            return EndReason.CLIENT_DISCONNECT
        return because


def in_order(channel: SessionInboundChannel, session: WebSocketSession) -> OrderedMessageChannelDecorator:
    """*channel* with one message at a time.

    What waits is bounded as the mailbox of the connection is: with more the connection keeps its messages, and stops
    reading when its mailbox is full, too, until half is handled. Nobody waits for that. Sessions that cannot do so have
    the limits beyond which messages are refused.
    """
    raw: Any = WebSocketSessionDecorator.unwrap(session)
    native = getattr(raw, "native_session", raw)  # that of SockJS over WebSocket
    if not hasattr(native, "hold_while"):
        return MeasuredMessageChannelDecorator(channel)
    return MeasuredMessageChannelDecorator(
        channel,
        crowded_from=native.mailbox_limits,
        on_crowding=lambda waiting: native.hold_while(lambda: waiting.is_crowded),
    )


class SessionInboundChannel:
    """The inbound channel as one session sees it: its attributes are bound while it sends, what was sent becomes an
    event, what was not goes to *refused*, with the error or, after a veto, without one. ``send`` raises nothing.

    With *freezes* messages are frozen here, unless the channel does it, behind interceptors that may change them. The
    ordered channel, which needs them as they are, stands before this one, so that all this happens when a message is
    really sent, in the thread that sends it.
    """

    __slots__ = ("_attributes", "_channel", "_events", "_freezes", "_refused", "_state")

    def __init__(
        self,
        state: StompSession,
        channel: MessageChannel,
        events: ApplicationEvents | None,
        refused: RefusalCallback,
        *,
        freezes: bool = True,
    ) -> None:
        self._state = state
        self._attributes = state.attributes
        self._channel = channel
        self._events = events
        self._refused = refused
        self._freezes = freezes

    @property
    def subscribers(self) -> Any:
        """Those of the channel, which the ordered channel counts."""
        return getattr(self._channel, "subscribers", None)

    def send(self, message: Message[Any], timeout_ms: int = INDEFINITE_TIMEOUT) -> bool:
        channel = self._channel
        if self._freezes and not getattr(channel, "freezes", False):
            message._headers.freeze()  # type: ignore[attr-defined]  # the decoder's
        failure: Exception | None = None
        token = bind(self._attributes)
        try:
            if channel.send(message, timeout_ms):
                if self._events is not None:
                    command = message._headers._map.get(COMMAND)  # as it is where every frame passes
                    if command is not _SEND:
                        self._publish(message, command, self._events)
                return True
        except BaseException as error:  # an interceptor objected, or a handler here failed: the client is told
            if is_passed_on(error):
                raise
            failure = error if isinstance(error, Exception) else _not_sent(message, channel, error)
        finally:
            unbind(token)
        self._refused(self._state, message, failure)
        return False

    def _publish(self, message: Message[Any], command: StompCommand | None, events: ApplicationEvents) -> None:
        event = _EVENTS.get(command)
        if event is not None and events.has_receivers(event):
            events.publish(event(message, self._state.user))


def _not_sent(message: Message[Any], channel: MessageChannel, error: BaseException) -> MessageDeliveryError:
    """What is no ``Exception``, in the form that an interceptor's exceptions have."""
    told = f"Failed to send message to {channel}"
    failure = MessageDeliveryError(told + remark_on(error), message, client_description=told)
    failure.__cause__ = error
    return failure
