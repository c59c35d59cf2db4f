"""What converters have in common: content types, charset, headers (CONV-02)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

from ..headers import CONTENT_TYPE, MessageHeaders
from ..message import Message
from ..mime import MimeType
from ..mutable_headers import MutableMessageHeaders, bare_values_of
from .content_type import ContentTypeResolver, DefaultContentTypeResolver


class AbstractMessageConverter(ABC):
    """A converter that tries only where class and content type fit.

    A message without content type fits unless *strict_content_type_match*. No *supported_mime_types* means any.
    """

    def __init__(
        self,
        *supported_mime_types: MimeType,
        content_type_resolver: ContentTypeResolver | None = None,
        strict_content_type_match: bool = False,
        serialized_payload_class: type[bytes] | type[str] = bytes,
    ) -> None:
        """Raises ValueError for a payload class that is neither bytes nor str, and for strictness without types."""
        self._supported_mime_types = supported_mime_types
        self._content_type_resolver = content_type_resolver or DefaultContentTypeResolver()
        self._strict_content_type_match = False
        self._accepted_content_type: MimeType | None = None
        """A content type of late that was found to fit: clients nearly always send the same."""
        self._serialized_payload_class: type[bytes] | type[str] = bytes
        self.serialized_payload_class = serialized_payload_class
        self.strict_content_type_match = strict_content_type_match

    # -- settings

    @property
    def supported_mime_types(self) -> tuple[MimeType, ...]:
        """Never None, may be empty, which means any."""
        return self._supported_mime_types

    def add_supported_mime_types(self, mime_types: Iterable[MimeType]) -> None:
        self._supported_mime_types = (*self._supported_mime_types, *mime_types)
        self._resolve_missing_content_type()

    @property
    def content_type_resolver(self) -> ContentTypeResolver | None:
        return self._content_type_resolver

    @content_type_resolver.setter
    def content_type_resolver(self, resolver: ContentTypeResolver) -> None:
        self._content_type_resolver = resolver
        self._resolve_missing_content_type()

    @property
    def strict_content_type_match(self) -> bool:
        """Whether a message without content type is refused."""
        return self._strict_content_type_match

    @strict_content_type_match.setter
    def strict_content_type_match(self, strict: bool) -> None:
        if strict:
            if not self._supported_mime_types:
                raise ValueError("Strict match requires non-empty list of supported mime types")
            if self._content_type_resolver is None:
                raise ValueError("Strict match requires ContentTypeResolver")
        self._strict_content_type_match = strict
        self._resolve_missing_content_type()

    @property
    def serialized_payload_class(self) -> type[bytes] | type[str]:
        """What payloads are serialized to: bytes (default) or str."""
        return self._serialized_payload_class

    @serialized_payload_class.setter
    def serialized_payload_class(self, payload_class: type[bytes] | type[str]) -> None:
        if payload_class not in (bytes, str):
            raise ValueError(f"Payload class must be bytes or str: {payload_class!r}")
        self._serialized_payload_class = payload_class

    # -- conversion

    def from_message(self, message: Message[Any], target: Any, hint: Any = None) -> Any:
        return self._read(message, target, hint) if self.supports(target) else None

    def to_message(
        self, payload: Any, headers: Mapping[str, Any] | None = None, hint: Any = None
    ) -> Message[Any] | None:
        return self._write(payload, headers, hint) if self.supports(type(payload)) else None

    def _read(self, message: Message[Any], target: Any, hint: Any) -> Any:
        """The payload as a target that is supported."""
        headers = message.headers
        given = headers._map.get(CONTENT_TYPE)
        if given is None:
            if self._missing_content_type is not None:
                resolver, mime_type, _ = self._missing_content_type
                if resolver.default_mime_type is mime_type:
                    return self._convert_from(message, target, mime_type, hint)
        elif given is self._accepted_content_type:
            return self._convert_from(message, target, given, hint)
        mime_type = self.resolve_mime_type(headers)
        if not self.supports_mime_type(mime_type):
            return None
        if self._missing_content_type is not None and mime_type is given:
            self._accepted_content_type = given
        return self._convert_from(message, target, mime_type, hint)

    def _write(self, payload: Any, headers: Mapping[str, Any] | None, hint: Any) -> Message[Any] | None:
        """The message for a payload of a class that is supported."""
        if self._missing_content_type is not None and headers.__class__ is MutableMessageHeaders:
            resolver, mime_type, default = self._missing_content_type
            values = headers._map
            if (
                headers._accessor is None  # with the next line: as ``bare_values_of``, without the call
                and headers._mutable
                and CONTENT_TYPE not in values
                and resolver.default_mime_type is mime_type
            ):
                content = self._convert_to(payload, mime_type, hint)
                if content is None:
                    return None
                if default is not None:
                    values[CONTENT_TYPE] = default
                return Message(content, headers)
        mime_type = self.resolve_mime_type(headers)
        if not self.supports_mime_type(mime_type):
            return None
        content = self._convert_to(payload, mime_type, hint)
        return None if content is None else _with_headers(content, headers, self.default_content_type(payload))

    # -- questions

    def resolve_mime_type(self, headers: Mapping[str, Any] | None) -> MimeType | None:
        resolver = self._content_type_resolver
        return None if headers is None or resolver is None else resolver.resolve(headers)

    def supports_mime_type(self, mime_type: MimeType | None) -> bool:
        """Whether one of the supported types includes *mime_type*; parameters such as charset are not looked at."""
        supported = self._supported_mime_types
        if not supported:
            return True
        if mime_type is None:
            return not self._strict_content_type_match
        for each in supported:
            if each is mime_type or each.includes(mime_type):
                return True
        return False

    def default_content_type(self, payload: Any) -> MimeType | None:
        """What the header ``contentType`` becomes where there is none: the first supported type."""
        return self._supported_mime_types[0] if self._supported_mime_types else None

    def _resolve_missing_content_type(self) -> None:
        """Once for all headers without content type, which nearly all replies have."""
        self._missing_content_type: tuple[DefaultContentTypeResolver, MimeType | None, MimeType | None] | None = None
        """The resolver, the content type that it takes for a missing one, and the one that is written into the headers.
        None where these may be others each time, or the payload would be refused.
        """
        self._accepted_content_type = None
        resolver = self._content_type_resolver
        if type(resolver) is DefaultContentTypeResolver and not _resolves_differently(type(self)):
            mime_type = resolver.default_mime_type
            if self.supports_mime_type(mime_type):
                self._missing_content_type = resolver, mime_type, self.default_content_type(None)

    # -- hooks for subclasses

    @abstractmethod
    def supports(self, target: Any) -> bool:
        """Whether this class (or other annotation) is for this converter: always the same answer."""

    @abstractmethod
    def _convert_from(self, message: Message[Any], target: Any, mime_type: MimeType | None, hint: Any) -> Any:
        """The payload as *target*, or None."""

    @abstractmethod
    def _convert_to(self, payload: Any, mime_type: MimeType | None, hint: Any) -> Any:
        """The payload serialized, or None."""


def _resolves_differently(cls: type[AbstractMessageConverter]) -> bool:
    questions = ("resolve_mime_type", "supports_mime_type", "default_content_type")
    return any(getattr(cls, each) is not getattr(AbstractMessageConverter, each) for each in questions)


def _with_headers(content: Any, headers: Mapping[str, Any] | None, mime_type: MimeType | None) -> Message[Any]:
    bare = bare_values_of(headers)
    if bare is not None:
        if mime_type is not None and CONTENT_TYPE not in bare:
            bare[CONTENT_TYPE] = mime_type
        return Message(content, headers)
    accessor = headers.accessor if isinstance(headers, MutableMessageHeaders) else None
    if accessor is not None and accessor.is_mutable:
        if mime_type is not None:
            accessor.set_header_if_absent(CONTENT_TYPE, mime_type)
        return Message(content, accessor.message_headers)
    values = dict(headers) if headers is not None else {}
    if mime_type is not None and values.get(CONTENT_TYPE) is None:
        values[CONTENT_TYPE] = mime_type
    return Message(content, MessageHeaders(values))
