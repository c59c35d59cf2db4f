"""What a session knows of its handshake: the read-only half of ``WebSocketSession``, kept small (WSA-01)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..session import Address, BaseWebSocketSession, Principal

if TYPE_CHECKING:
    from werkzeug.datastructures import Headers

    from ..handshake.extension import WebSocketExtension


def shared(text: str) -> str:
    """The same object for the same text, as long as there are not too many different ones.

    Most sessions of an endpoint agree in what they asked for, and each keeps it. Not for secrets: they are different
    anyway, and would be kept for longer than their sessions.
    """
    known = _texts.get(text)
    if known is None:
        known = text
        if len(text) <= _LONGEST_TEXT:
            if len(_texts) >= _MOST_TEXTS:
                _texts.clear()
            _texts[text] = text
    return known


_texts: dict[str, str] = {}
_MOST_TEXTS = 1024
_LONGEST_TEXT = 1024


class HandshakeFacts:
    """What a connection keeps of the request that opened it."""

    __slots__ = ("uri", "header_text", "principal", "remote_address", "accepted_protocol", "extensions", "attributes")

    def __init__(
        self,
        uri: str,
        *,
        header_text: str = "",
        principal: Principal | None = None,
        remote_address: Address | None = None,
        accepted_protocol: str | None = None,
        extensions: Sequence[WebSocketExtension] = (),
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        self.uri = uri
        self.header_text = header_text
        """The request's headers, ``Name: value`` a line."""
        self.principal = principal
        self.remote_address = remote_address
        self.accepted_protocol = accepted_protocol
        self.extensions = extensions
        self.attributes = attributes


class HandshakenSession(BaseWebSocketSession):
    """A session that came out of a handshake. Headers are kept as one string and parsed when asked for."""

    __slots__ = ("_uri", "_header_text", "_principal", "_peer", "_accepted_protocol", "_extensions")

    def __init__(self, facts: HandshakeFacts, session_id: str | None = None) -> None:
        BaseWebSocketSession.__init__(self, facts.attributes, session_id=session_id)
        self._uri = facts.uri
        self._header_text = facts.header_text
        self._principal = facts.principal
        address = facts.remote_address
        self._peer = None if address is None else f"{address[0]} {address[1]}"
        """The remote address in one object instead of three."""
        self._accepted_protocol = facts.accepted_protocol
        self._extensions = facts.extensions

    @property
    def uri(self) -> str:
        return self._uri

    @property
    def handshake_headers(self) -> Headers:
        """A copy: made at each access."""
        from werkzeug.datastructures import Headers

        lines = self._header_text.split("\n")
        return Headers([(name, value) for name, _, value in (line.partition(": ") for line in lines) if name])

    @property
    def principal(self) -> Principal | None:
        return self._principal

    @property
    def remote_address(self) -> Address | None:
        if self._peer is None:
            return None
        host, _, port = self._peer.rpartition(" ")
        return host, int(port)

    @property
    def accepted_protocol(self) -> str | None:
        return self._accepted_protocol

    @property
    def extensions(self) -> Sequence[WebSocketExtension]:
        return self._extensions
