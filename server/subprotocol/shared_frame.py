"""What the recipients of one broadcast share, and how a MESSAGE frame is shaped (SPH-04).

Beside ``stomp_outbound``: the work that is done once for all of them.
"""

from __future__ import annotations

from ...messaging.broker.broadcast import Broadcast
from ...messaging.broker.contract import Subscription
from ...messaging.message import Message
from ...messaging.mime import APPLICATION_OCTET_STREAM, MimeType
from ...messaging.simp.accessor import ORIGINAL_DESTINATION, SimpMessageHeaderAccessor
from ...messaging.stomp.encoder import StompEncoder
from ...messaging.stomp.frame import encode_header
from ...messaging.stomp.headers import StompHeaderAccessor
from ..message import BinaryMessage, TextMessage

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

    __slots__ = ("head", "kind", "tail")

    def __init__(self, broadcast: Broadcast) -> None:
        accessor = StompHeaderAccessor(
            Message(broadcast.payload, SimpMessageHeaderAccessor(broadcast.headers).message_headers)
        )
        accessor.update_stomp_command_as_server_message()
        # Differs from Spring: one number for each publish, not one for each recipient.
        number = (accessor.message_id or "").rpartition("-")[2]
        restore_destination(accessor)
        for own in ("subscription", "message-id"):
            accessor.remove_native_header(own)
        frame = StompEncoder().encode_parts(accessor._map, broadcast.payload)
        cut = frame.index(b"\ncontent-length:") + 1
        if len(_heads) >= _MAX_HEADS:
            _heads.clear()
        self.head = _heads.setdefault(frame[:cut], frame[:cut])
        self.tail = number.encode() + b"\n" + frame[cut:]
        self.kind = BinaryMessage if is_binary(broadcast.payload, accessor.content_type) else TextMessage

    def before_tail(self, subscription: Subscription) -> bytes:
        """What comes before the tail in one recipient's frame. It is kept with the subscription, together with its
        head.
        """
        kept: tuple[bytes, bytes] | None = subscription.encoding
        if kept is None or kept[0] is not self.head:
            kept = subscription.encoding = self.head, self.head + _own_headers(subscription)
        return kept[1]


def _own_headers(subscription: Subscription) -> bytes:
    # A session's id may come from a URL, so that it must be escaped as well.
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


def is_binary(payload: bytes, content_type: MimeType | None) -> bool:
    """Whether a frame with this payload goes as a binary WebSocket message, where the transport has one."""
    if not payload:
        return False
    if content_type is not None and APPLICATION_OCTET_STREAM.is_compatible_with(content_type):
        return True
    if payload.isascii():
        return False
    try:
        payload.decode()
    except UnicodeDecodeError:
        # Differs from Spring: in a text frame these bytes would make every recipient's browser fail the connection.
        return True
    return False
