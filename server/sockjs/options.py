"""What can be set for a SockJS service (SJS-01, CFG-02)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from .frame import decode_messages, messages_frame

CLIENT_LIBRARY_URL = "https://cdn.jsdelivr.net/npm/sockjs-client@1/dist/sockjs.min.js"


class SockJsMessageCodec(Protocol):
    """Writes and reads the array of messages; the frames around it are SockJS's.

    Both are pure functions. They must not wait for anything: ``encode`` is called with the lock of a session held.
    """

    def encode(self, messages: Sequence[str]) -> bytes:
        """A whole message frame, ``a["m1","m2"]``."""
        ...

    def decode(self, data: bytes) -> list[str]:
        """The messages of ``["m1","m2"]``, or of one JSON string. Raises FrameError."""
        ...


class JsonSockJsMessageCodec:
    """The standard library's JSON with SockJS's escapes."""

    encode = staticmethod(messages_frame)
    decode = staticmethod(decode_messages)


@dataclass(frozen=True, slots=True, kw_only=True)
class SockJsOptions:
    """The options of one SockJS service."""

    # for the client
    client_library_url: str = CLIENT_LIBRARY_URL
    """What the iframe page loads; must be the version that the page itself uses."""
    session_cookie_needed: bool | None = None
    """Whether ``/info`` tells clients to send cookies. None: it does, and no cookie is set here. True: it does, and
    each transport answers with ``JSESSIONID``, the client's own or ``dummy``, for load balancers that stick by it."""
    web_socket_enabled: bool = True
    """Serve both WebSocket transports; off where something on the way breaks WebSocket."""
    jsonp_enabled: bool = False
    """Serve ``jsonp`` and ``jsonp_send``, which Spring gave up in 5.1: no origin can be checked, a page of any site
    gets in."""

    # responses
    stream_bytes_limit: int = 128 * 1024
    """A streaming response ends after so many bytes, so that the browser can free them."""
    suppress_cors: bool = False
    """Add no CORS headers: something before this application does."""

    # requests
    max_body_size: int = 1024 * 1024
    """Bytes of one ``xhr_send`` or ``jsonp_send``, which may bring many messages; more is answered with 413."""

    # sessions
    heartbeat_ms: int = 25_000
    """A heart-beat goes out so long after the last frame; 0 for none."""
    disconnect_delay_ms: int = 5_000
    """How long a session lives without a request to write to."""
    http_message_cache_size: int = 100
    """Messages that wait for a request; with one more a raw session's ``send_message`` raises."""
    message_codec: SockJsMessageCodec = field(default_factory=JsonSockJsMessageCodec)

    def __post_init__(self) -> None:
        for name in ("stream_bytes_limit", "max_body_size", "disconnect_delay_ms", "http_message_cache_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")
        if self.heartbeat_ms < 0:
            raise ValueError(f"heartbeat_ms must not be negative: {self.heartbeat_ms}")
