"""Converters for text, for bytes and for payloads that need none (CONV-03)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..exceptions import MessageConversionError
from ..message import Message
from ..mime import APPLICATION_OCTET_STREAM, MimeType
from .base import AbstractMessageConverter, _with_headers
from .conversion import ConversionService, DefaultConversionService
from .targets import is_instance, type_name

_BYTES = (bytes, bytearray, memoryview)


class StringMessageConverter(AbstractMessageConverter):
    """Exactly ``str``, as ``text/plain``; the charset is that of the content type, else *default_charset*."""

    def __init__(self, *, default_charset: str = "utf-8", **options: Any) -> None:
        self.default_charset = default_charset
        super().__init__(MimeType("text", "plain", {"charset": default_charset}), **options)

    def supports(self, target: Any) -> bool:
        return target is str

    def _convert_from(self, message: Message[Any], target: Any, mime_type: MimeType | None, hint: Any) -> Any:
        payload = message.payload
        if isinstance(payload, str):
            return payload
        if not isinstance(payload, _BYTES):
            return None
        try:
            return bytes(payload).decode(self._charset(mime_type))
        except UnicodeDecodeError as error:
            raise MessageConversionError(f"Could not read text: {error}", message) from error

    def _convert_to(self, payload: Any, mime_type: MimeType | None, hint: Any) -> Any:
        if self._serialized_payload_class is str:
            return payload
        try:
            return payload.encode(self._charset(mime_type))
        except UnicodeEncodeError as error:
            raise MessageConversionError(f"Could not write text: {error}") from error

    def _charset(self, mime_type: MimeType | None) -> str:
        return (mime_type._charset if mime_type is not None else None) or self.default_charset


class ByteArrayMessageConverter(AbstractMessageConverter):
    """Exactly ``bytes``, passed through as ``application/octet-stream``."""

    def __init__(self, **options: Any) -> None:
        super().__init__(APPLICATION_OCTET_STREAM, **options)

    def supports(self, target: Any) -> bool:
        return target is bytes

    def _convert_from(self, message: Message[Any], target: Any, mime_type: MimeType | None, hint: Any) -> Any:
        payload = message.payload
        return bytes(payload) if isinstance(payload, _BYTES) else None

    def _convert_to(self, payload: Any, mime_type: MimeType | None, hint: Any) -> Any:
        return payload


class SimpleMessageConverter:
    """Converts nothing: gives the payload where it is an instance of the target already, and wraps any payload."""

    def from_message(self, message: Message[Any], target: Any, hint: Any = None) -> Any:
        payload = message.payload
        return payload if is_instance(payload, target) else None

    def to_message(
        self, payload: Any, headers: Mapping[str, Any] | None = None, hint: Any = None
    ) -> Message[Any] | None:
        return None if payload is None else _with_headers(payload, headers, None)


class GenericMessageConverter(SimpleMessageConverter):
    """Converts whatever a conversion service can; a failure is a MessageConversionError."""

    def __init__(self, conversion_service: ConversionService | None = None) -> None:
        self.conversion_service = conversion_service or DefaultConversionService()

    def from_message(self, message: Message[Any], target: Any, hint: Any = None) -> Any:
        payload = message.payload
        if is_instance(payload, target):
            return payload
        try:
            return self.conversion_service.convert(payload, target)
        except (ValueError, TypeError) as error:
            raise MessageConversionError(
                f"Failed to convert message payload to '{type_name(target)}': {error}", message
            ) from error
