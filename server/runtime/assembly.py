"""Frames that are not whole, final, uncompressed data frames: fragments, control frames, compression, errors.

The slow half of the WebSocket codec. Headers are judged here, so that a frame which must be refused is refused before
its payload is waited for; a whole frame goes to the protocol object of `websockets`, which knows the order fragments
come in, answers pings and close frames, and fails connections. It is made when needed and dropped when no message is
under way, so that an idle connection holds none. Imports `websockets`; no gevent, no sockets, no clock.
"""

from __future__ import annotations

import logging
from functools import lru_cache

from websockets.exceptions import ProtocolError
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import Protocol, Side

from .deflate import DeflateParameters, PerMessageDeflate
from .frames import (
    BINARY,
    CLOSE,
    CLOSED,
    CONTINUATION,
    FAILED,
    FIN,
    MAX_CONTROL_BYTES,
    PING,
    PONG,
    RSV1,
    TEXT,
    Event,
    FragmentedMessage,
    RestOfFrame,
    apply_mask,
    header,
    read_header,
    utf8_reason,
)

logger = logging.getLogger(__name__)

_OPCODES = frozenset(Opcode)
_parse_close = lru_cache(64)(Close.parse)
"""Nearly all close frames carry one of a few codes and no reason."""
_MAX_SPARES = 8
_spares: tuple[list[Protocol], list[Protocol]] = ([], [])
"""Protocol objects (servers', clients') at a message boundary: they know nothing of the connection they served."""


class FrameAssembler:
    """The state of what comes in, and the way of the rare frames; `WebSocketCodec` adds the rest."""

    __slots__ = (
        "max_text_size",
        "max_binary_size",
        "partial_messages",
        "client_side",
        "outgoing",
        "is_plain",
        "_mask_bit",
        "_close_sent",
        "_missing",
        "_unread",
        "_deflate",
        "_protocol",
        "_message",
        "_rest",
    )

    def __init__(
        self,
        *,
        max_text_size: int,
        max_binary_size: int,
        partial_messages: bool = False,
        deflate: DeflateParameters | None = None,
        client_side: bool = False,
    ) -> None:
        self.max_text_size = max_text_size
        """Bytes of a text message, or of a part of it with `partial_messages`; may be changed at any time."""
        self.max_binary_size = max_binary_size
        """Bytes of a binary message, or of a part of it with `partial_messages`; may be changed at any time."""
        self.partial_messages = partial_messages
        self.client_side = client_side
        self.outgoing: list[bytes] | tuple[()] = ()
        """Frames the protocol wants sent, oldest first; nearly always empty. Emptied by `data_to_send`."""
        self.is_plain = deflate is None and not client_side
        """Whether frames go out neither masked nor compressed: a header and the payload are all there is to them."""
        self._mask_bit = 0 if client_side else 0x80
        self._close_sent = False
        self._missing = 0
        """Bytes without which there is no going on; 0 at a frame boundary, CLOSED after the last event."""
        self._unread: bytearray | None = None
        self._deflate = PerMessageDeflate(deflate, client_side=client_side) if deflate is not None else None
        self._protocol: Protocol | None = None
        self._message: FragmentedMessage | None = None
        self._rest: RestOfFrame | None = None

    def _step(self, buffer: bytes | bytearray, position: int, size: int, events: list[Event]) -> int:
        """Take the frame at ``position``. Returns where the next one begins, ``position`` when this is incomplete."""
        if self._rest is not None:
            return self._take_part(self._rest, buffer, position, size, events)
        first = buffer[position]
        opcode = first & 0x0F
        problem = self._problem(first, buffer[position + 1])
        if problem is not None:
            self._fail(1002, problem, events)
            return position
        found = read_header(buffer, position, size)
        if found is None:
            return position
        length, start = found
        if opcode < CLOSE:
            limit = self._limit(opcode)
            most = limit
            if self._deflate is not None and (first & RSV1 or self._deflate.expanding):
                most += (limit >> 2) + 64  # what cannot be compressed grows, by less than this
            if length > most:
                return self._take_long(first, length, limit, buffer, position, start, size, events)
        stop = start + length
        if stop > size:
            return position
        if self._mask_bit and (opcode == PING or opcode == CLOSE and self._protocol is None):
            payload = apply_mask(buffer[start:stop], buffer[start - 4 : start])
            if opcode == PING:
                self._take_ping(payload, events)
                return stop
            if self._take_close(payload, events):
                return stop
        self._feed(bytes(buffer[position:stop]), opcode, events)
        return stop

    def _take_ping(self, payload: bytes, events: list[Event]) -> None:
        """Take a client's ping, also between fragments, and answer it. A short way: one read can bring thousands."""
        events.append((PING, payload))
        if not self._close_sent:
            self._to_be_sent().append(header(FIN | PONG, 0, len(payload)) + payload)

    def _to_be_sent(self) -> list[bytes]:
        """`outgoing`, to add to."""
        outgoing = self.outgoing
        if not isinstance(outgoing, list):
            outgoing = self.outgoing = []
        return outgoing

    def _take_close(self, payload: bytes, events: list[Event]) -> bool:
        """Take a client's close frame and answer it; False when it is wrong. A short way: all may come at once."""
        try:
            close = _parse_close(payload)
        except (ProtocolError, UnicodeDecodeError):
            return False  # The protocol object knows how to fail.
        if not self._close_sent:
            self._close_sent = True
            self._to_be_sent().append(header(FIN | CLOSE, 0, len(payload)) + payload)
        events.append((CLOSE, int(close.code), close.reason))
        self._end()
        return True

    def _problem(self, first: int, second: int) -> str | None:
        """What RFC 6455 5.2 and 5.5 forbid in the two bytes that begin a frame."""
        opcode = first & 0x0F
        if opcode not in _OPCODES:
            return "invalid opcode"
        if second & 0x80 != self._mask_bit:
            return "incorrect masking"
        allowed = RSV1 if self._deflate is not None and opcode in (TEXT, BINARY) else 0
        if first & 0x70 & ~allowed:
            return "reserved bits must be 0"
        if opcode >= CLOSE and second & 0x7F > MAX_CONTROL_BYTES:
            return "control frame too long"
        if opcode >= CLOSE and not first & FIN:
            return "fragmented control frame"
        return None

    def _limit(self, opcode: int) -> int:
        """Payload bytes that a data frame may bring now."""
        message = self._message
        if opcode == CONTINUATION:
            if message is None:  # the protocol object will refuse it
                return max(self.max_text_size, self.max_binary_size)
            opcode = message.opcode
        limit = self.max_text_size if opcode == TEXT else self.max_binary_size
        if self.partial_messages:
            return max(4, limit)  # the least that can be cut out of a masked frame
        held = len(message.payload) if message is not None else 0
        return max(0, limit - held)  # the limit may have been lowered since

    def _take_long(
        self,
        first: int,
        length: int,
        limit: int,
        buffer: bytes | bytearray,
        position: int,
        start: int,
        size: int,
        events: list[Event],
    ) -> int:
        """A data frame over the limit: refused, or with `partial_messages` taken in parts from now on."""
        if not self.partial_messages:
            self._fail(1009, f"frame with {length} bytes exceeds limit of {limit} bytes", events)
            return position
        if start > size:
            return position
        mask = bytes(buffer[start - 4 : start]) if self._mask_bit else b""
        self._rest = RestOfFrame(first, mask, length, limit)
        self._protocol = self._protocol or self._new_protocol()
        return start

    def _take_part(
        self, rest: RestOfFrame, buffer: bytes | bytearray, position: int, size: int, events: list[Event]
    ) -> int:
        stop = position + rest.part_size
        if stop > size:
            return position
        frame, opcode = rest.next_fragment(bytes(buffer[position:stop]))
        if not rest.length:
            self._rest = None
        self._feed(frame, opcode, events)
        return stop

    def _new_protocol(self) -> Protocol:
        try:
            protocol = _spares[self.client_side].pop()
        except IndexError:
            protocol = Protocol(Side.CLIENT if self.client_side else Side.SERVER, max_size=None, logger=logger)
        protocol.extensions = [] if self._deflate is None else [self._deflate]
        return protocol

    def _feed(self, data: bytes, opcode: int, events: list[Event]) -> None:
        """Give the protocol object one whole frame and take what it makes of it."""
        protocol = self._protocol
        if protocol is None:
            protocol = self._protocol = self._new_protocol()
        limit = 0
        if opcode < CLOSE:
            limit = self._limit(opcode)
            if self._deflate is not None:
                self._deflate.limit = limit
        elif opcode == CLOSE:
            protocol.current_size = None  # RFC 6455 5.4: a close frame may come between fragments
        protocol.receive_data(data)
        for frame in protocol.events_received():
            assert isinstance(frame, Frame)
            self._handle(frame, limit, protocol, events)
        self._settle(protocol, events)

    def _handle(self, frame: Frame, limit: int, protocol: Protocol, events: list[Event]) -> None:
        payload = bytes(frame.data)
        if frame.opcode is Opcode.PING:
            events.append((PING, payload))
        elif frame.opcode is Opcode.PONG:
            events.append((PONG, payload))
        elif frame.opcode is Opcode.CLOSE:
            assert protocol.close_rcvd is not None
            events.append((CLOSE, int(protocol.close_rcvd.code), protocol.close_rcvd.reason))
        elif len(payload) > limit:  # expanded by one byte more than allowed
            protocol.fail(1009, f"message exceeds limit of {limit} bytes")
        else:
            try:
                self._collect(frame, payload, events)
            except UnicodeDecodeError as exc:
                protocol.fail(1007, utf8_reason(exc))

    def _collect(self, frame: Frame, payload: bytes, events: list[Event]) -> None:
        """Add a data frame to its message; give the message, or the part of it. Raises UnicodeDecodeError."""
        message = self._message
        if message is None:
            message = self._message = FragmentedMessage(TEXT if frame.opcode is Opcode.TEXT else BINARY)
        if message.decoder is not None:
            text = message.decoder.decode(payload, frame.fin)
            if self.partial_messages:
                payload = text.encode()
        if frame.fin:
            self._message = None
        if self.partial_messages:
            if payload or frame.fin:
                events.append((message.opcode, payload, frame.fin))
            return
        message.payload += payload
        if frame.fin:
            events.append((message.opcode, bytes(message.payload), True))

    def _fail(self, code: int, reason: str, events: list[Event]) -> None:
        protocol = self._protocol = self._protocol or self._new_protocol()
        protocol.fail(code, reason)
        self._settle(protocol, events)

    def _settle(self, protocol: Protocol, events: list[Event]) -> None:
        """Take what the protocol wants sent, see whether it ended, drop it at a message boundary."""
        frames = protocol.data_to_send()
        if frames and not self._close_sent:  # RFC 6455 5.5.1: nothing of ours follows our close frame
            self._to_be_sent().extend(filter(None, frames))  # an empty one means the end of the stream
        if protocol.close_sent is not None:
            self._close_sent = True
            if protocol.close_rcvd is None:
                events.append((FAILED, int(protocol.close_sent.code), protocol.close_sent.reason))
            self._end()
        elif protocol.current_size is None:
            self._drop_protocol()

    def _drop_protocol(self) -> None:
        protocol = self._protocol
        if protocol is None:
            return
        self._protocol = None
        spares = _spares[self.client_side]
        if protocol.current_size is None and protocol.close_sent is None and len(spares) < _MAX_SPARES:
            protocol.extensions = []
            spares.append(protocol)
        else:
            # Both refer to the protocol by their frames, which would leave a cycle to the collector.
            protocol.parser.close()
            protocol.parser_exc = None

    def _end(self) -> None:
        self._missing = CLOSED
        self._drop_protocol()
        self._unread = self._message = self._rest = None
