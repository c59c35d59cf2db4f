"""WebSocket frames (RFC 6455): bytes in, events out; payloads in, frames out.

The station between the socket and the session. Imports the standard library and `websockets`; no gevent, no sockets,
no clock. A whole, final, uncompressed data frame, which nearly every frame is, is decoded here on the spot; what else
there is goes the way of `FrameAssembler`. The two agree in everything but speed.
"""

from __future__ import annotations

import secrets

from websockets.exceptions import ProtocolError
from websockets.frames import Close

from .assembly import FrameAssembler
from .frames import (
    BINARY,
    CLOSE,
    CLOSED,
    FAILED,
    FIN,
    MAX_CONTROL_BYTES,
    PING,
    PONG,
    RSV1,
    TEXT,
    Event,
    apply_mask,
    frame_header,
    header,
    utf8_reason,
    wanted_stop,
)

__all__ = ["BINARY", "CLOSE", "FAILED", "PING", "PONG", "TEXT", "Event", "WebSocketCodec", "frame_header"]


LINE_FEED_BYTES = 7
"""Of a client's frame: two of header, four of mask, one of payload."""


class WebSocketCodec(FrameAssembler):
    """One end of one connection after its handshake.

    `receive_data` never raises: what the peer did wrong becomes a FAILED event, which is the last event, as CLOSE is.
    The close frame that answers it is then in `outgoing`, as pongs and the answer to the peer's close frame are; send
    them and end the connection. Not for two threads at once.

    A data event carries a whole message (``fin`` is True), its text checked to be UTF-8. With ``partial_messages`` it
    carries what a fragment brought, text cut between characters; a frame longer than the limit comes in parts, and what
    limits a message limits a part.
    """

    __slots__ = ()

    @property
    def closed(self) -> bool:
        """Whether the last event, CLOSE or FAILED, has been given."""
        return self._missing == CLOSED

    def receive_data(self, data: bytes) -> list[Event]:
        """The events that ``data``, cut anywhere, completes. Empty when nothing is complete, and after the last event.

        An announced length over the limit and a header that is wrong fail before the payload is waited for.
        """
        buffer: bytes | bytearray = data
        if self._missing:
            if self._missing == CLOSED or not self._join(data):
                return []
            assert self._unread is not None
            buffer, self._unread, self._missing = self._unread, None, 0
        events: list[Event] = []
        position, size = 0, len(buffer)
        # The fast path: agrees with _step in everything but speed.
        while size - position >= 2:
            first = buffer[position]
            limit = self.max_text_size if first == 0x81 else self.max_binary_size if first == 0x82 else -1
            length = buffer[position + 1] ^ self._mask_bit  # over 127 when the mask bit is wrong
            start = position + 2
            if length > 125:
                if length == 126 and size >= start + 2:
                    length = buffer[start] << 8 | buffer[start + 1]
                    start += 2
                elif length == 127 and size >= start + 8:
                    length = int.from_bytes(buffer[start : start + 8], "big")
                    start += 8
                else:
                    limit = -1
            if length > limit or self._protocol is not None:
                stop = self._step(buffer, position, size, events)
                if stop == position or self._missing == CLOSED:
                    break
                position = stop
                continue
            if self._mask_bit:
                stop = start + 4 + length
                if stop > size:
                    break
                payload = apply_mask(buffer[start + 4 : stop], buffer[start : start + 4])
            else:
                stop = start + length
                if stop > size:
                    break
                payload = bytes(buffer[start:stop])
            if first == 0x81:
                if not payload.isascii():
                    try:
                        payload.decode()
                    except UnicodeDecodeError as exc:
                        self._fail(1007, utf8_reason(exc), events)
                        break
                events.append((TEXT, payload, True))
            else:
                events.append((BINARY, payload, True))
            position = stop
        if position < size and self._missing != CLOSED:
            self._wait(buffer, position, size, events)
        return events

    def is_line_feed(self, data: bytes) -> bool:
        """Whether *data*, of ``LINE_FEED_BYTES``, is a client's whole text frame of a line feed, at a frame boundary.

        If so, giving it to `receive_data` would change nothing here.
        """
        return (
            data[0] == FIN | TEXT
            and data[1] == 0x81
            and data[2] ^ data[6] == 0x0A
            and self._mask_bit != 0
            and not self._missing
            and self._protocol is None
            and self.max_text_size > 0
        )

    def receive_eof(self) -> list[Event]:
        """The peer's end of the stream: FAILED 1006 unless CLOSE or FAILED came before. Nothing is left to send."""
        if self._missing == CLOSED:
            return []
        self._end()
        return [(FAILED, 1006, "connection ended without a close frame")]

    def data_to_send(self) -> bytes:
        """What is in `outgoing`, once. Ask `outgoing` first: it is nearly always empty."""
        outgoing, self.outgoing = self.outgoing, ()
        return b"".join(outgoing)

    def encode_text(self, payload: bytes) -> bytes:
        """A text frame; ``payload`` is UTF-8, which is not checked."""
        if self.is_plain:
            return header(FIN | TEXT, 0, len(payload)) + payload
        return self._encode(TEXT, payload)

    def encode_binary(self, payload: bytes) -> bytes:
        """A binary frame."""
        if self.is_plain:
            return header(FIN | BINARY, 0, len(payload)) + payload
        return self._encode(BINARY, payload)

    def encode_ping(self, payload: bytes = b"") -> bytes:
        """A ping frame. Raises ValueError for more than 125 bytes."""
        return self._encode_control(PING, payload)

    def encode_pong(self, payload: bytes = b"") -> bytes:
        """A pong frame. Raises ValueError for more than 125 bytes."""
        return self._encode_control(PONG, payload)

    def encode_close(self, code: int, reason: str = "") -> bytes:
        """The close frame, or ``b""`` when one was sent before, be it as an answer. No data may follow it.

        1005 gives a frame without a code. A reason is cut, between characters, to the 123 bytes there are for it.
        Raises ValueError for a code that must not be sent (RFC 6455 7.4).
        """
        payload = b"" if code == 1005 else _close_payload(code, reason)
        if self._close_sent:
            return b""
        self._close_sent = True
        return self._encode_control(CLOSE, payload)

    # Incoming: the bytes of frames that are not complete.

    def _join(self, data: bytes) -> bool:
        """Keep ``data``; True when it brought what was missing."""
        assert self._unread is not None
        self._unread += data
        self._missing -= len(data)
        return self._missing <= 0

    def _wait(self, buffer: bytes | bytearray, position: int, size: int, events: list[Event]) -> None:
        """Keep an incomplete frame and count what it lacks, so that a large one is not looked at with each read."""
        if self._rest is not None:
            stop = position + self._rest.part_size
            if stop == size:  # a single byte, too short to be a header
                self._step(buffer, position, size, events)
                return
        else:
            stop = wanted_stop(buffer, position, size)
        self._unread = bytearray(buffer[position:])
        self._missing = stop - size

    # Outgoing.

    def _encode(self, opcode: int, payload: bytes) -> bytes:
        first = FIN | opcode
        deflate = self._deflate
        if deflate is not None and payload and len(payload) >= deflate.parameters.min_payload_bytes:
            first |= RSV1
            payload = deflate.compress(payload)
        return self._frame(first, payload)

    def _encode_control(self, opcode: int, payload: bytes) -> bytes:
        if len(payload) > MAX_CONTROL_BYTES:
            raise ValueError(f"control frames carry at most {MAX_CONTROL_BYTES} bytes, not {len(payload)}")
        return self._frame(FIN | opcode, payload)

    def _frame(self, first: int, payload: bytes) -> bytes:
        if self._mask_bit:
            return header(first, 0, len(payload)) + payload
        mask = secrets.token_bytes(4)
        return header(first, 0x80, len(payload)) + mask + apply_mask(payload, mask)


def _close_payload(code: int, reason: str) -> bytes:
    try:
        Close(code, "").check()
    except ProtocolError as exc:
        raise ValueError(f"close code {code} must not be sent") from exc
    text = reason.encode(errors="replace")[: MAX_CONTROL_BYTES - 2].decode(errors="ignore")
    return code.to_bytes(2, "big") + text.encode()
