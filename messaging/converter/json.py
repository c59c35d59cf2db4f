"""JSON, by msgspec: what nearly every payload is (CONV-03)."""

from __future__ import annotations

from typing import Any, TypeVar, get_args, get_origin

import msgspec

from ..exceptions import MessageConversionError
from ..locks import allocate_lock
from ..message import Message
from ..mime import APPLICATION_ANY_JSON, APPLICATION_JSON, MimeType
from .base import AbstractMessageConverter
from .json_decoders import Decoder, PydanticDecoder, decode_other, in_order, is_model, make_decoder, reason
from .targets import bare, full_name, is_instance, without_none

K = TypeVar("K")
V = TypeVar("V")

DECODER_LIMIT = 1024
"""How many decoders are kept, one for each target; beyond it the oldest goes."""

_SERIALIZED = (bytes, str, bytearray, memoryview)
_UTF_8 = (None, "utf-8", "utf8")


class JsonMessageConverter(AbstractMessageConverter):
    """Any type that msgspec knows (dataclasses, TypedDicts, Structs, builtins, generics) and pydantic's classes.

    What is pydantic's, pydantic reads and validates: its models, its dataclasses, and any type that holds such a
    dataclass; a holder that it cannot read, such as a Struct, is refused rather than read unchecked. A payload that is
    an instance of the target already is given back as it is; the target ``Any`` stands for whatever the JSON holds.
    Properties that the target does not know are ignored. What does not fit raises MessageConversionError
    (``Could not read JSON: …``) naming the field and what was expected.

    Differs from Spring: there are no views that choose some of a class's fields; a class with those fields does it.
    """

    def __init__(self, *supported_mime_types: MimeType, **options: Any) -> None:
        """Without *supported_mime_types*: ``application/json`` and ``application/*+json``."""
        super().__init__(*(supported_mime_types or (APPLICATION_JSON, APPLICATION_ANY_JSON)), **options)
        self._encoder = msgspec.json.Encoder(enc_hook=_encode_other)
        self._decoders: dict[Any, Decoder] = {}
        """By ``in_order`` of their targets."""
        self._of_late: dict[int, tuple[Any, Decoder]] = {}
        """By the identities of targets, with the targets, so that these last as long."""
        self._lock = allocate_lock()  # guards growing and shrinking of the two

    def supports(self, target: Any) -> bool:
        return True

    def _convert_from(self, message: Message[Any], target: Any, mime_type: MimeType | None, hint: Any) -> Any:
        payload = message.payload
        if hint is not None and getattr(hint, "annotation", hint) is not target:
            target = _refined(target, hint)
        if payload.__class__ is not bytes and not isinstance(payload, _SERIALIZED):
            return payload if is_instance(payload, target) else self._convert_object(message, target)
        if target is object or target is payload.__class__:
            return payload
        try:
            if mime_type is not None and mime_type._charset not in _UTF_8 and not isinstance(payload, str):
                payload = bytes(payload).decode(mime_type.charset or "utf-8")
            try:
                decoder = self._of_late[id(target)][1]
            except KeyError:
                decoder = self._decoder(target)
            return decoder.decode(payload)
        except (ValueError, TypeError, RecursionError) as error:  # msgspec's and pydantic's errors are ValueErrors
            raise MessageConversionError(f"Could not read JSON: {reason(error)}", message) from error

    def prepare_target(self, target: Any, hint: Any = None) -> None:
        """Raises TypeError for a type that no JSON can be read as."""
        self._decoder(target if hint is None else _refined(target, hint))

    def _decoder(self, target: Any) -> Decoder:
        key = in_order(target)
        try:
            decoder = self._decoders.get(key)
        except TypeError:  # an annotation that cannot be hashed
            return make_decoder(target)
        if decoder is None:
            decoder = make_decoder(target)
        with self._lock:
            _remember(self._decoders, key, decoder)
            _remember(self._of_late, id(target), (target, decoder))
        return decoder

    def _convert_object(self, message: Message[Any], target: Any) -> Any:
        try:
            decoder = self._decoder(target)
            if isinstance(decoder, PydanticDecoder):
                return decoder.decode(self._encoder.encode(message.payload))
            return msgspec.convert(message.payload, target, dec_hook=decode_other)
        except (ValueError, TypeError) as error:
            raise MessageConversionError(f"Could not read JSON: {reason(error)}", message) from error

    def _convert_to(self, payload: Any, mime_type: MimeType | None, hint: Any) -> Any:
        charset = mime_type._charset if mime_type is not None else None
        try:
            content = self._encoder.encode(payload)
            if self._serialized_payload_class is str:
                return content.decode()
            return content if charset in _UTF_8 else content.decode().encode(charset or "utf-8")
        except (ValueError, TypeError, RecursionError) as error:
            raise MessageConversionError(f"Could not write JSON: {reason(error)}") from error


def _remember(known: dict[K, V], key: K, value: V) -> None:
    if key not in known and len(known) >= DECODER_LIMIT:
        del known[next(iter(known))]
    known[key] = value


def _refined(target: Any, hint: Any) -> Any:
    """The hint (an annotation, or a parameter that has one) where it says more about the target than the class does."""
    precise = bare(without_none(bare(getattr(hint, "annotation", hint)))[0])
    origin = get_origin(precise)
    if isinstance(origin, type) and issubclass(origin, Message):
        precise = get_args(precise)[0]
        origin = get_origin(precise)
    return precise if origin is not None and origin is target else target


def _encode_other(value: Any) -> Any:
    if is_model(type(value)):
        return msgspec.Raw(value.model_dump_json().encode())
    raise TypeError(f"objects of type {full_name(type(value))} cannot be written")
