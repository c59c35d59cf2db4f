"""What a session knows of its handshake: the read-only half of ``WebSocketSession``, kept small (WSA-01)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..session import Address, BaseWebSocketSession, Principal

if TYPE_CHECKING:
    from werkzeug.datastructures import Headers

    from ..handshake.extension import WebSocketExtension


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

    __slots__ = ("_uri", "_header_text", "_principal", "_remote_address", "_accepted_protocol", "_extensions")

    def __init__(self, facts: HandshakeFacts, session_id: str | None = None) -> None:
        BaseWebSocketSession.__init__(self, facts.attributes, session_id=session_id)
        self._uri = facts.uri
        self._header_text = facts.header_text
        self._principal = facts.principal
        self._remote_address = facts.remote_address
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
        return self._remote_address

    @property
    def accepted_protocol(self) -> str | None:
        return self._accepted_protocol

    @property
    def extensions(self) -> Sequence[WebSocketExtension]:
        return self._extensions
