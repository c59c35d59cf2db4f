"""permessage-deflate (RFC 7692): what two ends agree on, and the compressing and expanding of messages.

The station beside the WebSocket codec: the handshake calls :func:`negotiate_deflate`, the codec holds one
:class:`PerMessageDeflate`. Imports the standard library and `websockets`; no gevent, no sockets, no clock.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from websockets.exceptions import NegotiationError, PayloadTooBig, ProtocolError
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import CONT, CTRL_OPCODES, Frame
from websockets.headers import build_extension
from websockets.typing import ExtensionName

if TYPE_CHECKING:
    from zlib import _Compress, _Decompress

_EXTENSION = ExtensionName("permessage-deflate")
_EMPTY_BLOCK = b"\x00\x00\xff\xff"


@dataclass(frozen=True, slots=True)
class DeflateParameters:
    """What was agreed for one connection; the defaults are what a bare ``permessage-deflate`` means.

    Equal parameters without server context give equal frames: one compressed frame can serve many connections.
    """

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int = 15
    client_max_window_bits: int = 15
    compression_level: int = 6
    """zlib's level for what this end sends, 1 to 9."""
    memory_level: int = 5
    """zlib's memLevel for what this end sends, 1 to 9."""
    min_payload_bytes: int = 64
    """Shorter messages are sent as they are; an empty one always is."""


def negotiate_deflate(
    offers: Sequence[tuple[str, Sequence[tuple[str, str | None]]]],
    *,
    server_no_context_takeover: bool = True,
    client_no_context_takeover: bool = True,
    server_max_window_bits: int = 12,
    client_max_window_bits: int = 12,
    compression_level: int = 6,
    memory_level: int = 5,
    min_payload_bytes: int = 64,
) -> tuple[str, DeflateParameters] | None:
    """Accept the first offer of the client that this end can serve.

    ``offers`` is the parsed ``Sec-WebSocket-Extensions`` of the request, in its order; other extensions, offers
    with unknown, repeated or ill-formed parameters, and a server window of 8 bits, which zlib cannot do, are
    passed over. The options say what this end wants: no context kept on either side, so that an idle connection
    holds no zlib state, and windows of 4 KiB. Windows of the server are 9 to 15 bits, those of the client 8 to 15.

    Returns the value of the response header and the parameters for the codec, or None to go on uncompressed.
    Raises ValueError for windows out of range.
    """
    factory = ServerPerMessageDeflateFactory(
        server_no_context_takeover, client_no_context_takeover, server_max_window_bits, client_max_window_bits
    )
    for name, parameters in offers:
        if name != _EXTENSION:
            continue
        try:
            accepted, agreed = factory.process_request_params(parameters, ())
        except NegotiationError:
            continue
        return build_extension([(_EXTENSION, accepted)]), DeflateParameters(
            server_no_context_takeover=agreed.local_no_context_takeover,
            client_no_context_takeover=agreed.remote_no_context_takeover,
            server_max_window_bits=agreed.local_max_window_bits,
            client_max_window_bits=agreed.remote_max_window_bits,
            compression_level=compression_level,
            memory_level=memory_level,
            min_payload_bytes=min_payload_bytes,
        )
    return None


class PerMessageDeflate(Extension):
    """Both directions of one connection. zlib objects are made when first needed and kept only with their context."""

    name = _EXTENSION

    def __init__(self, parameters: DeflateParameters, *, client_side: bool = False) -> None:
        self.parameters = parameters
        self.limit = 0
        """Bytes that the frame decoded next may expand to; one more is let through, for the codec to see."""
        self.expanding = False
        """Whether a compressed message has begun and its last fragment has not been seen."""
        server = (parameters.server_no_context_takeover, parameters.server_max_window_bits)
        client = (parameters.client_no_context_takeover, parameters.client_max_window_bits)
        (self._forget_sent, self._sent_bits), (self._forget_received, self._received_bits) = (
            (client, server) if client_side else (server, client)
        )
        self._compressor: _Compress | None = None
        self._decompressor: _Decompress | None = None

    def compress(self, payload: bytes) -> bytes:
        """The payload of a compressed frame that carries the whole of ``payload``, which is not empty."""
        compressor = self._compressor
        if compressor is None:
            level, memory = self.parameters.compression_level, self.parameters.memory_level
            compressor = zlib.compressobj(level, zlib.DEFLATED, -self._sent_bits, memory)
            if not self._forget_sent:
                self._compressor = compressor
        return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]

    def encode(self, frame: Frame) -> Frame:
        """The protocol object sends control frames alone: nothing to compress."""
        return frame

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        """The frame with its payload expanded; `limit` stands for ``max_size``. The codec has judged the header.

        Raises PayloadTooBig as soon as more than `limit` comes out, ProtocolError for what is not DEFLATE.
        """
        if frame.opcode in CTRL_OPCODES:
            return frame
        if frame.opcode is not CONT:
            self.expanding = frame.rsv1
        if not self.expanding:
            return frame
        if frame.fin:
            self.expanding = False
        try:
            data = self._expand(bytes(frame.data) + _EMPTY_BLOCK if frame.fin else bytes(frame.data))
        except zlib.error as exc:
            raise ProtocolError("decompression failed") from exc
        if frame.fin and self._forget_received:
            self._decompressor = None
        return Frame(frame.opcode, data, frame.fin)  # without RSV1, which the protocol object would refuse

    def _expand(self, data: bytes) -> bytes:
        """Never more than `limit` + 1 bytes are made (0 would mean "all" to zlib)."""
        decompressor = self._decompressor
        if decompressor is None:
            decompressor = self._decompressor = zlib.decompressobj(-self._received_bits)
        expanded = decompressor.decompress(data, self.limit + 1)
        if decompressor.eof:
            # RFC 7692 7.2.3.4: a final block may end the stream; what follows is a new one. One such end for a
            # frame: each costs a copy of what is left.
            rest = decompressor.unused_data
            decompressor = self._decompressor = zlib.decompressobj(-self._received_bits)
            if rest == _EMPTY_BLOCK:  # the peer did not begin a block for it, as it should have
                return expanded
            expanded += decompressor.decompress(rest, max(1, self.limit + 1 - len(expanded)))
            if decompressor.eof:
                raise ProtocolError("decompression failed")
        if decompressor.unconsumed_tail:
            raise PayloadTooBig(None, self.limit)
        return expanded
