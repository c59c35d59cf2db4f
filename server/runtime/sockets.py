"""Options of the raw sockets that the loop writes to: those of WebSocket connections and of responses that wait.

Beside the connection and the stream. Imports the standard library alone.
"""

from __future__ import annotations

import logging
import socket as sockets
import struct
from typing import Any

logger = logging.getLogger(__name__)

_NOTSENT_LOWAT = 32 * 1024
"""What the kernel holds for a peer beyond what is on the way to it; the rest waits here, where limits apply."""
_TCP_NOTSENT_LOWAT = getattr(sockets, "TCP_NOTSENT_LOWAT", None)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def set_options(socket: Any) -> None:
    """Send small writes at once, and keep little in the kernel. Does nothing for sockets that are not TCP."""
    if socket.family not in (sockets.AF_INET, sockets.AF_INET6):
        return
    try:
        socket.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
        if _TCP_NOTSENT_LOWAT is not None:
            socket.setsockopt(sockets.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, _NOTSENT_LOWAT)
    except OSError:
        # The peer is gone already, which the first read will tell.
        logger.debug("Cannot set the options of %r", socket, exc_info=True)


def reset_on_close(socket: Any) -> None:
    """Have `close` throw away what is unsent, and tell the peer with an RST."""
    try:
        socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, _RESET_ON_CLOSE)
    except OSError:
        # It is closed by the peer already: there is nothing left to reset.
        logger.debug("Cannot reset %r", socket, exc_info=True)
