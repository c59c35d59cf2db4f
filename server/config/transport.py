"""The limits of sessions and messages, as the application sets them (CFG-05)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from ...messaging.config.checks import at_least
from ..concurrent import SEND_BUFFER_SIZE_LIMIT, SEND_TIME_LIMIT_MS, OverflowStrategy
from ..decorators import WebSocketHandlerDecoratorFactory
from ..subprotocol.endpoint import TIME_TO_FIRST_MESSAGE_MS
from ..subprotocol.stomp import MESSAGE_SIZE_LIMIT
from ..transport_options import TransportOptions


class WebSocketTransportRegistration:
    """Collects limits; each setter returns the registration, and raises ValueError for a number that makes no sense."""

    def __init__(self) -> None:
        self.message_size_limit = MESSAGE_SIZE_LIMIT
        self.send_time_limit_ms = SEND_TIME_LIMIT_MS
        self.send_buffer_size_limit = SEND_BUFFER_SIZE_LIMIT
        self.time_to_first_message_ms = TIME_TO_FIRST_MESSAGE_MS
        self.overflow_strategy = OverflowStrategy.TERMINATE
        self.decorator_factories: list[WebSocketHandlerDecoratorFactory] = []
        self.web_socket = TransportOptions()

    def set_message_size_limit(self, size: int) -> WebSocketTransportRegistration:
        """Bytes of a STOMP frame, 64 KiB by default. The limit of WebSocket messages is raised with it where it is
        lower.
        """
        self.message_size_limit = at_least(1, size, "message_size_limit")
        if size > self.web_socket.max_text_message_size:
            self.set_web_socket_options(max_text_message_size=size)
        if size > self.web_socket.max_binary_message_size:
            self.set_web_socket_options(max_binary_message_size=size)
        return self

    def set_send_time_limit(self, limit_ms: int) -> WebSocketTransportRegistration:
        """How long a client may take nothing, in milliseconds; 10 s by default."""
        self.send_time_limit_ms = at_least(0, limit_ms, "send_time_limit_ms")
        return self

    def set_send_buffer_size_limit(self, size: int) -> WebSocketTransportRegistration:
        """Bytes that may wait for a client, 512 KiB by default."""
        self.send_buffer_size_limit = at_least(0, size, "send_buffer_size_limit")
        return self

    def set_overflow_strategy(self, strategy: OverflowStrategy) -> WebSocketTransportRegistration:
        """What happens to a client whose buffer is full: it is ended (the default), or its oldest messages are
        dropped. Raises TypeError for anything else, a text too.
        """
        if not isinstance(strategy, OverflowStrategy):
            raise TypeError(f"set_overflow_strategy takes a member of OverflowStrategy, not {strategy!r}")
        self.overflow_strategy = strategy
        return self

    def set_time_to_first_message(self, limit_ms: int) -> WebSocketTransportRegistration:
        """How long a new session may say nothing, in milliseconds; a minute by default, 0 for no limit."""
        self.time_to_first_message_ms = at_least(0, limit_ms, "time_to_first_message_ms")
        return self

    def set_web_socket_options(self, **changes: Any) -> WebSocketTransportRegistration:
        """Change fields of ``TransportOptions``: sizes of WebSocket messages, compression, mailbox, close timeout."""
        for name, value in changes.items():
            if isinstance(value, int | float):
                at_least(0, value, name)
        self.web_socket = dataclasses.replace(self.web_socket, **changes)
        return self

    def add_decorator_factory(self, factory: WebSocketHandlerDecoratorFactory) -> WebSocketTransportRegistration:
        """Wrap the handler of STOMP endpoints; the factory added last is outermost."""
        self.decorator_factories.append(factory)
        return self

    def set_decorator_factories(
        self, *factories: WebSocketHandlerDecoratorFactory | Sequence[WebSocketHandlerDecoratorFactory]
    ) -> WebSocketTransportRegistration:
        """Add several."""
        for factory in factories:
            self.decorator_factories.extend(factory if isinstance(factory, Sequence) else (factory,))
        return self
