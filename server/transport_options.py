"""The limits of a WebSocket connection, as an application configures them."""

from __future__ import annotations

from dataclasses import dataclass

ENVIRON_KEY = "wellhead.transport_options"
"""Where the application puts its options into the WSGI environ, for the runtime that upgrades the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportOptions:
    """What a runtime applies to each connection that it upgrades."""

    # messages
    max_text_message_size: int = 64 * 1024
    """Bytes of a whole text message; a larger one ends the connection with 1009."""
    max_binary_message_size: int = 64 * 1024
    """Bytes of a whole binary message."""
    deflate: bool = False
    """Answer an offer of permessage-deflate. Off by default: it costs CPU, and memory where context is kept."""

    # reading
    mailbox_messages: int = 256
    """Messages that wait for the session's handler; at this many reading stops until half of them are handled."""
    mailbox_bytes: int = 1024 * 1024
    """The same in bytes."""

    # writing
    send_time_limit_ms: int = 10_000
    """How long a raw session's send waits for a peer that does not read."""
    send_buffer_size_limit: int = 512 * 1024
    """Bytes that may wait for the peer before a raw session's send starts to wait."""

    # ending
    close_timeout_ms: int = 5_000
    """How long the peer may take to answer a close frame before the connection is cut."""
