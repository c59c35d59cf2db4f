"""What all SockJS sessions share: facts of the first request, state, heart-beat, clock (SJS-07, SJS-13).

Station: the ``WebSocketSession`` that a handler sees when its client came by SockJS. ``http_session`` and ``websocket``
have the two kinds.
"""

from __future__ import annotations

import enum
import logging
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..close import CloseStatus
from ..flush import Outgoing, message_of
from ..handlers import WebSocketHandler
from ..message import BinaryMessage, PingMessage, PongMessage, TextMessage, WebSocketMessage
from ..session import Address, BaseWebSocketSession, Principal
from .frame import HEARTBEAT, as_text, close_frame
from .options import SockJsOptions
from .timers import SockJsTimers

if TYPE_CHECKING:
    from werkzeug.datastructures import Headers

    from ..handshake.extension import WebSocketExtension
    from ..handshake.request import HandshakeRequest

logger = logging.getLogger(__name__)

GO_AWAY = CloseStatus(3000, "Go away!")
"""What ``close()`` says."""


def texts_of(messages: Sequence[Outgoing]) -> list[str]:
    """What is handed over by a sender, as texts. Raises ValueError for anything but text messages."""
    texts = []
    for message in map(message_of, messages):
        if not isinstance(message, TextMessage):
            raise ValueError("SockJS supports text messages only")
        texts.append(as_text(message.as_bytes()))
    return texts


class SessionState(enum.Enum):
    """Where a session stands; it only ever moves down this list, in ``SockJsSession._move``."""

    NEW = "new"
    OPEN = "open"
    CLOSED = "closed"


class SessionFacts:
    """What a session keeps of the request that opened it."""

    __slots__ = ("attributes", "header_text", "local_address", "owner", "principal", "remote_address", "uri")

    def __init__(
        self,
        request: HandshakeRequest,
        attributes: Mapping[str, Any] | None = None,
        principal: Principal | None = None,
    ) -> None:
        """*principal* is the session's user, which may be another one than the request's."""
        self.uri = request.uri
        self.header_text = "\n".join([f"{name}: {value}" for name, value in request.headers])
        self.owner = request.principal
        self.principal = principal
        self.remote_address = request.remote_address
        self.local_address = request.local_address
        self.attributes = attributes


class SockJsSession(BaseWebSocketSession):
    """A session whose messages travel in SockJS frames.

    Differs from Spring: the open frame goes out before the handler hears of the session, as the protocol has it.
    """

    __slots__ = (
        "_close_status",
        "_facts",
        "_handler",
        "_heartbeat_ms",
        "_last_sent_ms",
        "_options",
        "_state",
        "_timers",
        "_watch",
    )

    transport: str
    """The transport by its name in the URL, e.g. ``xhr_streaming``."""
    transport_kind: str
    """``web_socket``, ``http_streaming`` or ``http_polling``."""

    def __init__(
        self,
        facts: SessionFacts,
        handler: WebSocketHandler,
        options: SockJsOptions,
        timers: SockJsTimers,
        session_id: str | None = None,
    ) -> None:
        # Differs from Spring, where a client chooses the id, and with it which private destinations are its own.
        BaseWebSocketSession.__init__(self, facts.attributes, session_id=session_id)
        facts.attributes = None  # Copied.
        self._facts = facts
        self._handler = handler
        self._options = options
        self._timers = timers
        self._state = SessionState.NEW
        self._close_status: CloseStatus | None = None
        self._heartbeat_ms = options.heartbeat_ms
        self._last_sent_ms = timers.now_ms()
        self._watch = timers.watch(self)

    # -- what is known of it

    @property
    def state(self) -> SessionState:
        return self._state

    @property
    def is_open(self) -> bool:
        return self._state is SessionState.OPEN

    @property
    def close_status(self) -> CloseStatus | None:
        """How the session ended, ``None`` while it has not."""
        return self._close_status

    @property
    def uri(self) -> str:
        return self._facts.uri

    @property
    def handshake_headers(self) -> Headers:
        """Those of the first request. A copy: made at each access."""
        from werkzeug.datastructures import Headers

        lines = self._facts.header_text.split("\n")
        return Headers([(name, value) for name, _, value in (line.partition(": ") for line in lines) if name])

    @property
    def principal(self) -> Principal | None:
        return self._facts.principal

    @property
    def owner(self) -> Principal | None:
        """The user of the first request, as the server saw it: who may use this session."""
        return self._facts.owner

    @property
    def local_address(self) -> Address | None:
        return self._facts.local_address

    @property
    def remote_address(self) -> Address | None:
        return self._facts.remote_address

    @property
    def accepted_protocol(self) -> str | None:
        return None

    @property
    def extensions(self) -> Sequence[WebSocketExtension]:
        return ()

    @abstractmethod
    def idle_ms(self) -> float:
        """For how many milliseconds nothing came from the client."""

    # -- sending

    def send_message(self, message: WebSocketMessage[Any]) -> None:
        """Send a text message. Never blocks on HTTP.

        Raises:
            RuntimeError: the session is not open; on HTTP also ``Queue full``: the client does not come for more.
            ValueError: the message is no text message.
        """
        if self._state is not SessionState.OPEN:
            raise RuntimeError(f"Cannot send a message when session is {self._state.value}")
        if not isinstance(message, TextMessage):
            raise ValueError("SockJS supports text messages only")
        self._send_text(message)

    def close(self, status: CloseStatus = GO_AWAY) -> None:
        """Close, with 3000 ``Go away!`` unless told otherwise; does nothing when it is closed. From any thread."""
        if self._state is not SessionState.CLOSED:
            self._close(status)

    def _send_binary(self, message: BinaryMessage) -> None:
        raise ValueError("SockJS supports text messages only")

    def _send_ping(self, message: PingMessage) -> None:
        raise ValueError("SockJS supports text messages only")

    def _send_pong(self, message: PongMessage) -> None:
        raise ValueError("SockJS supports text messages only")

    # -- heart-beats

    def disable_heartbeat(self) -> None:
        """No heart-beats of SockJS any more: the protocol above has its own (SPH-06)."""
        self._heartbeat_ms = 0

    def next_due_ms(self) -> float | None:
        """For the timers: when the next heart-beat is due."""
        if self._state is SessionState.OPEN and self._heartbeat_ms:
            return self._last_sent_ms + self._heartbeat_ms
        return None

    def on_due(self, now_ms: float) -> None:
        """For the timers: send a heart-beat."""
        self._last_sent_ms = now_ms
        self._write_heartbeat(HEARTBEAT)

    @abstractmethod
    def _write_heartbeat(self, frame: bytes) -> None: ...

    # -- state

    def _move(self, state: SessionState) -> SessionState:
        """Returns the state before, for ``_log_move``."""
        before, self._state = self._state, state
        return before

    def _log_move(self, before: SessionState) -> None:
        """Apart from the move, since what logs must not be called with a lock held."""
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("Session %s (%s): %s -> %s", self._id, self.transport, before.value, self._state.value)


def frame_of(status: CloseStatus) -> bytes:
    """The close frame for *status*; a client is not told 4500, which is the framework's own."""
    if status.equals_code(CloseStatus.SESSION_NOT_RELIABLE):
        status = GO_AWAY
    return close_frame(status.code, status.reason)
