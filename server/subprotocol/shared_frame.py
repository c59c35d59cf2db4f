"""What the recipients of one broadcast share, and how a MESSAGE frame is shaped (SPH-04).

Beside ``stomp_outbound``: the work that is done once for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from ...messaging.broker.broadcast import Broadcast
from ...messaging.broker.contract import LONGEST_PREPARED, Subscription
from ...messaging.headers import CONTENT_TYPE
from ...messaging.message import Message
from ...messaging.mime import APPLICATION_OCTET_STREAM, MimeType, parse_mime_type
from ...messaging.native_headers import NATIVE_HEADERS
from ...messaging.simp.accessor import DESTINATION, ORIGINAL_DESTINATION
from ...messaging.stomp.command import StompCommand
from ...messaging.stomp.frame import encode_frame, encode_header
from ...messaging.stomp.headers import COMMAND, StompHeaderAccessor, next_message_number

_SENT_ON = (None, StompCommand.SEND, StompCommand.MESSAGE)
"""Commands of what can become a MESSAGE."""

_heads: dict[bytes, bytes] = {}
"""Heads of late, so that equal ones are the same object. Most destinations only ever have one."""
_MAX_HEADS = 1024


class SharedFrame:
    """The bytes of a broadcast that all its recipients share: those before and those after the recipient's own
    headers.

    A MESSAGE reads ``head``, then ``subscription`` and the beginning of ``message-id``, then ``tail`` from that id's
    number on. All recipients get the same number: with the session's id before it (and the subscription's serial, where
    the session has several) it is theirs alone.
    """

    __slots__ = ("head", "is_text", "tail")

    def __init__(self, broadcast: Broadcast) -> None:
        """Raises RuntimeError for a broadcast that is the frame of another command than SEND or MESSAGE."""
        headers, payload = broadcast.headers, broadcast.payload
        command: StompCommand | None = headers.get(COMMAND)
        if command not in _SENT_ON:
            raise RuntimeError(f"Unexpected STOMP command {command.value}")
        destination, content_type = headers.get(DESTINATION), headers.get(CONTENT_TYPE)
        native = headers.get(NATIVE_HEADERS)
        self.head = _head_with(native, destination, content_type) if native else _head(destination, content_type)
        # Differs from Spring: one number for each publish, not one for each recipient.
        self.tail = b"%d\ncontent-length:%d\n\n%b\0" % (next_message_number(), len(payload), payload)
        self.is_text = not is_binary(payload, content_type)

    def before_tail(self, subscription: Subscription) -> bytes:
        """What comes before the tail in one recipient's frame. It is kept with the subscription, unless it is long."""
        head, before_tail = subscription.prepared
        if head is not self.head:
            before_tail = self.head + _own_headers(subscription)
            if len(before_tail) <= LONGEST_PREPARED:
                subscription.prepared = self.head, before_tail
        return before_tail


def _head_with(native: Mapping[str, list[str]], destination: str | None, content_type: MimeType | str | None) -> bytes:
    """The frame up to the recipient's own headers."""
    headers = dict(native)
    if destination is not None:
        headers["destination"] = [destination]
    if content_type is not None:
        headers["content-type"] = [str(content_type)]
    original = headers.pop(ORIGINAL_DESTINATION, None)
    if original:
        headers["destination"] = original[:1]
    frame = encode_frame("MESSAGE", [(name, value) for name, values in headers.items() for value in values])
    end = frame.rfind(b"content-length:")  # the last one is not the sender's
    head = frame[:end] if end >= 0 else frame[:-2]
    if len(head) > LONGEST_PREPARED:  # as long as the client likes
        return head
    if len(_heads) >= _MAX_HEADS:
        _heads.clear()
    return _heads.setdefault(head, head)


@lru_cache(maxsize=_MAX_HEADS)
def _head(destination: str | None, content_type: MimeType | str | None) -> bytes:
    """The same for what the application itself publishes."""
    return _head_with({}, destination, content_type)


def _own_headers(subscription: Subscription) -> bytes:
    # A transport of the application's own may have ids that must be escaped as well.
    serial = f"{subscription.serial}." if subscription.serial else ""
    own_id = f"{subscription.session_id}-{serial}"
    message_id = encode_header("message-id", own_id)
    return encode_header("subscription", subscription.id) + message_id[:-1]


def with_original_destination(accessor: StompHeaderAccessor, message: Message[bytes]) -> StompHeaderAccessor:
    """The destination that the client subscribed with, where it was rewritten on the way."""
    if accessor.contains_native_header(ORIGINAL_DESTINATION):
        if not accessor.is_mutable:
            accessor = StompHeaderAccessor.wrap(message)
        restore_destination(accessor)
    return accessor


def restore_destination(accessor: StompHeaderAccessor) -> None:
    """As above, for headers that can be changed."""
    original = accessor.remove_native_header(ORIGINAL_DESTINATION)
    if original:
        accessor.destination = original[0]


def is_binary(payload: bytes, content_type: MimeType | str | None) -> bool:
    """Whether a frame with this payload goes as a binary WebSocket message, where the transport has one."""
    if not payload:
        return False
    if content_type is not None and _is_octet_stream(content_type):
        return True
    if payload.isascii():
        return False
    try:
        payload.decode()
    except UnicodeDecodeError:
        # Differs from Spring: in a text frame these bytes would make every recipient's browser fail the connection.
        return True
    return False


@lru_cache(maxsize=64)
def _is_octet_stream(content_type: MimeType | str) -> bool:
    mime_type = parse_mime_type(content_type) if isinstance(content_type, str) else content_type
    return APPLICATION_OCTET_STREAM.is_compatible_with(mime_type)
