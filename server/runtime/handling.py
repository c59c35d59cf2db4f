"""The handling half of a connection: a mailbox of decoded messages, and the calls of the handler.

The station between the reader, which runs in the hub, and the WebSocket handler, which runs in a worker: for one
session one call at a time, in order, the end last and once. The mailbox is bounded: when it is full, reading stops.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any

from gevent import spawn_raw  # type: ignore[import-untyped]  # no type information

from ...messaging.exceptions import TaskRejectedError, remark_on
from ..close import CloseStatus, EndReason
from ..handlers import WebSocketHandler
from ..message import WebSocketMessage
from ..session import Address
from ..transport_options import TransportOptions
from .codec import WebSocketCodec
from .facts import HandshakeFacts
from .services import Runtime
from .state import ConnectionState
from .writing import WritingSession

logger = logging.getLogger(__name__)

_MESSAGES_PER_RUN = 32
"""After so many messages of one session the worker takes another session first."""

_OPEN = ConnectionState.OPEN
_CLOSED = ConnectionState.CLOSED


class HandlingSession(WritingSession):
    """Has the handler called; ``EndingSession`` and ``WebSocketConnection`` add the rest."""

    __slots__ = (
        "_handler",
        "_established",
        "_running",
        "_deaf",
        "_held",
        "_mailbox",
        "_mailbox_bytes",
        "_reading",
        "_end",
        "_error",
    )

    def __init__(
        self,
        runtime: Runtime,
        socket: Any,
        codec: WebSocketCodec,
        handler: WebSocketHandler,
        options: TransportOptions,
        facts: HandshakeFacts,
    ) -> None:
        WritingSession.__init__(self, runtime, socket, codec, options, facts)
        self._handler: WebSocketHandler | None = handler
        """None once it has been told of the end."""
        self._established = False
        self._running = False
        """Whether a worker has this session, or soon will."""
        self._deaf = False
        """Whether messages that came are not handled: we ended the connection, or they are `_held`."""
        self._held = False
        """Whether they have to wait. Looked at only where `_deaf` is set, so that messages do not pay for it."""
        self._mailbox: deque[WebSocketMessage[Any]] | None = None
        """None when empty: an idle session has no use for one."""
        self._mailbox_bytes = 0
        self._reading = False
        self._end: CloseStatus | None = None
        self._error: Exception | None = None
        """What the handler is told with ``handle_transport_error``."""

    @property
    def close_status(self) -> CloseStatus | None:
        """How the session ended, ``None`` while it has not."""
        return self._end

    @property
    def local_address(self) -> Address | None:
        """``None`` once the socket is closed."""
        try:
            name = self._socket.getsockname()
        except OSError:
            return None
        return (str(name[0]), int(name[1])) if isinstance(name, tuple) else None

    @property
    def text_message_size_limit(self) -> int:
        return self._codec.max_text_size

    @text_message_size_limit.setter
    def text_message_size_limit(self, limit: int) -> None:
        self._codec.max_text_size = limit

    @property
    def binary_message_size_limit(self) -> int:
        return self._codec.max_binary_size

    @binary_message_size_limit.setter
    def binary_message_size_limit(self, limit: int) -> None:
        self._codec.max_binary_size = limit

    @property
    def mailbox_limits(self) -> tuple[int, int]:
        """Messages and bytes; with as many reading stops."""
        return self._options.mailbox_messages, self._options.mailbox_bytes

    def hold_while(self, is_crowded: Callable[[], bool]) -> None:
        """Leave messages in the mailbox while *is_crowded* says so, which may be called later, on the loop's thread.

        To be called each time its answer has changed; from any thread. Nobody is blocked: reading stops when the
        mailbox is full. What waits when the peer is gone is handled before the end; ours does not wait for anything.
        """
        if self._runtime.flusher.on_loop_thread:
            self._hold(is_crowded)
        else:
            self._runtime.flusher.hand_over(self._hold, is_crowded)

    def _hold(self, is_crowded: Callable[[], bool]) -> None:
        if self._deaf and not self._held:
            return  # We ended it.
        self._deaf = self._held = is_crowded()
        if not self._held:
            self._submit()

    def _go_deaf(self) -> None:
        """We end the connection: what waits is dropped."""
        self._deaf = True
        self._held = False

    def _put(self, message: WebSocketMessage[Any], size: int) -> None:
        if self._state is not _OPEN:
            return
        mailbox = self._mailbox
        if mailbox is None:
            mailbox = self._mailbox = deque()
        mailbox.append(message)
        self._mailbox_bytes += size

    def _submit(self) -> None:
        if self._running:
            return
        self._running = True
        try:
            self._runtime.workers.execute(self._run)
        except TaskRejectedError:
            # The pool is shut down. The handler must still hear of the end, and once only.
            spawn_raw(self._run)

    def _run(self) -> None:
        handler = self._handler
        if handler is None:
            return
        try:
            if not self._established:
                self._established = True
                handler.after_connection_established(self)
            again = self._handle_messages(handler)
        except BaseException as error:
            self._handler_failed(error)
            again = True
        self._running = False
        if again:
            self._submit()
        elif self._end is not None and not (self._held and self._mailbox):
            self._tell_end(handler, self._end)

    def _handle_messages(self, handler: WebSocketHandler) -> bool:
        """Whether there are more."""
        for _ in range(_MESSAGES_PER_RUN):
            mailbox = self._mailbox
            if not mailbox or self._deaf:
                if not self._held:
                    self._mailbox = None
                return False
            message = mailbox.popleft()
            self._mailbox_bytes -= message.payload_length
            if not self._reading and self._state is _OPEN:
                self._read_again(len(mailbox))
            handler.handle_message(self, message)
        return True

    def _read_again(self, messages: int) -> None:
        options = self._options
        if messages * 2 <= options.mailbox_messages and self._mailbox_bytes * 2 <= options.mailbox_bytes:
            if self._unsent_bytes <= options.send_buffer_size_limit:
                self._read_on()

    def _handler_failed(self, error: BaseException) -> None:
        """The border to a handler without the exception decorator, or to a killed worker."""
        remark = remark_on(error)
        logger.error("Closing session %s due to an error in its handler%s", self._id, remark, exc_info=error)
        self.close(CloseStatus.SERVER_ERROR.with_cause(EndReason.HANDLER_ERROR))
        if isinstance(error, KeyboardInterrupt):
            self._running = False
            self._submit()
            raise error

    def _tell_end(self, handler: WebSocketHandler, status: CloseStatus) -> None:
        self._handler = None
        self._say_farewell()
        try:
            if self._error is not None:
                handler.handle_transport_error(self, self._error)
        except BaseException as failure:
            if isinstance(failure, KeyboardInterrupt):
                raise
            logger.exception("Error in handle_transport_error for session %s%s", self._id, remark_on(failure))
        try:
            handler.after_connection_closed(self, status)
        except BaseException as failure:
            if isinstance(failure, KeyboardInterrupt):
                raise
            logger.exception("Error in after_connection_closed for session %s%s", self._id, remark_on(failure))
        finally:
            if self._state is _CLOSED:
                self._runtime.forget(self)

    @abstractmethod
    def _read_on(self) -> None:
        """Go on reading. Harmless twice."""

    @abstractmethod
    def _say_farewell(self) -> None:
        """Answer the peer's close, if that is what waits for the handler."""
