"""Which content type a message has: asked by every converter before it tries (CONV-02)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ..headers import CONTENT_TYPE, MessageHeaders
from ..mime import MimeType, parse_mime_type


class ContentTypeResolver(Protocol):
    """Finds the content type of a message from its headers."""

    def resolve(self, headers: Mapping[str, Any] | None) -> MimeType | None:
        """The content type, or None when there is none."""
        ...


class DefaultContentTypeResolver:
    """Reads the header ``contentType``; without it, *default_mime_type* (by default none)."""

    __slots__ = ("default_mime_type",)

    def __init__(self, default_mime_type: MimeType | None = None) -> None:
        self.default_mime_type = default_mime_type

    def resolve(self, headers: Mapping[str, Any] | None) -> MimeType | None:
        """Raises ValueError for a header that is neither a MimeType nor a string, and for a string that is no type."""
        value = None
        if headers is not None:
            value = (headers._map if isinstance(headers, MessageHeaders) else headers).get(CONTENT_TYPE)
        if value is None:
            return self.default_mime_type
        if isinstance(value, MimeType):
            return value
        if isinstance(value, str):
            return parse_mime_type(value)
        raise ValueError(f"Unknown type for contentType header value: {type(value).__name__}")
