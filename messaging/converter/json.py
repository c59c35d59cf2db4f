"""JSON, by msgspec: what nearly every payload is (CONV-03)."""

from __future__ import annotations

import sys
from typing import Any, Protocol, get_args, get_origin

import msgspec

from ..exceptions import MessageConversionError
from ..locks import allocate_lock
from ..message import Message
from ..mime import APPLICATION_ANY_JSON, APPLICATION_JSON, MimeType
from .base import AbstractMessageConverter
from .targets import bare, full_name, is_instance, without_none

DECODER_LIMIT = 1024
"""How many decoders are kept, one for each target; beyond it the oldest goes."""

_SERIALIZED = (bytes, str, bytearray, memoryview)
_UTF_8 = (None, "utf-8", "utf8")


class _Decoder(Protocol):
    def decode(self, content: Any, /) -> Any: ...


class JsonMessageConverter(AbstractMessageConverter):
    """Any type that msgspec knows (dataclasses, TypedDicts, Structs, builtins, generics) and pydantic's models.

    A payload that is an instance of the target already is given back as it is; the target ``Any`` stands for whatever
    the JSON holds. Properties that the target does not know are ignored. What does not fit raises
    MessageConversionError (``Could not read JSON: …``) naming the field and what was expected.

    Differs from Spring: there are no views that choose some of a class's fields; a class with those fields does it.
    """

    def __init__(self, *supported_mime_types: MimeType, **options: Any) -> None:
        """Without *supported_mime_types*: ``application/json`` and ``application/*+json``."""
        super().__init__(*(supported_mime_types or (APPLICATION_JSON, APPLICATION_ANY_JSON)), **options)
        self._encoder = msgspec.json.Encoder(enc_hook=_encode_other)
        self._decoders: dict[Any, _Decoder] = {}
        self._lock = allocate_lock()  # guards growing and shrinking of _decoders

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
            return self._decode(payload, target)
        except (ValueError, TypeError, RecursionError) as error:  # msgspec's and pydantic's errors are ValueErrors
            raise MessageConversionError(f"Could not read JSON: {_reason(error)}", message) from error

    def _decode(self, payload: Any, target: Any) -> Any:
        try:
            decoder = self._decoders[target]
        except KeyError:
            decoder = self._decoder(target)
        except TypeError:  # an annotation that cannot be hashed
            decoder = _make_decoder(target)
        return decoder.decode(payload)

    def _decoder(self, target: Any) -> _Decoder:
        decoder = _make_decoder(target)
        with self._lock:
            if len(self._decoders) >= DECODER_LIMIT:
                del self._decoders[next(iter(self._decoders))]
            self._decoders[target] = decoder
        return decoder

    def _convert_object(self, message: Message[Any], target: Any) -> Any:
        try:
            return msgspec.convert(message.payload, target, dec_hook=_decode_other)
        except (ValueError, TypeError) as error:
            raise MessageConversionError(f"Could not read JSON: {_reason(error)}", message) from error

    def _convert_to(self, payload: Any, mime_type: MimeType | None, hint: Any) -> Any:
        charset = mime_type._charset if mime_type is not None else None
        try:
            content = self._encoder.encode(payload)
            if self._serialized_payload_class is str:
                return content.decode()
            return content if charset in _UTF_8 else content.decode().encode(charset or "utf-8")
        except (ValueError, TypeError, RecursionError) as error:
            raise MessageConversionError(f"Could not write JSON: {_reason(error)}") from error


class _PydanticDecoder:
    """Reads pydantic's models, and what msgspec does not take, by pydantic."""

    __slots__ = ("_validate",)

    def __init__(self, target: Any, pydantic: Any) -> None:
        self._validate = pydantic.TypeAdapter(target).validate_json

    def decode(self, content: Any, /) -> Any:
        return self._validate(content if isinstance(content, str) else bytes(content))


def _make_decoder(target: Any) -> _Decoder:
    if _is_model(target):
        return _PydanticDecoder(target, sys.modules["pydantic"])
    try:
        return msgspec.json.Decoder(target, dec_hook=_decode_other)
    except TypeError:
        pydantic = sys.modules.get("pydantic")
        if pydantic is None:
            raise
        return _PydanticDecoder(target, pydantic)


def _refined(target: Any, hint: Any) -> Any:
    """The hint (an annotation, or a parameter that has one) where it says more about the target than the class does."""
    precise = bare(without_none(bare(getattr(hint, "annotation", hint)))[0])
    origin = get_origin(precise)
    if isinstance(origin, type) and issubclass(origin, Message):
        precise = get_args(precise)[0]
        origin = get_origin(precise)
    return precise if origin is not None and origin is target else target


def _is_model(cls: Any) -> bool:
    """Whether a class is a model of pydantic's: only where somebody has imported pydantic can there be one."""
    model = getattr(sys.modules.get("pydantic"), "BaseModel", None)
    return model is not None and isinstance(cls, type) and issubclass(cls, model)


def _encode_other(value: Any) -> Any:
    if _is_model(type(value)):
        return msgspec.Raw(value.model_dump_json().encode())
    raise TypeError(f"objects of type {full_name(type(value))} cannot be written")


def _decode_other(target: Any, value: Any) -> Any:
    """Models inside other types: msgspec asks for what it does not know."""
    if isinstance(target, type) and isinstance(value, target):
        return value
    if not _is_model(target):
        raise ValueError(f"objects of type {target} cannot be read")
    try:
        return target.model_validate_json(msgspec.json.encode(value))
    except ValueError as error:
        raise ValueError(_reason(error)) from error


def _reason(error: BaseException) -> str:
    """What an error says on one line; pydantic's problems are told the way msgspec tells its own."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    problems = getattr(error, "errors", None)
    if not callable(problems):
        return str(error)
    found = problems(include_url=False, include_context=False, include_input=False)
    texts = [f"{each['msg']} - at `{_path(each['loc'])}`" for each in found]
    return "; ".join(texts)


def _path(location: tuple[int | str, ...]) -> str:
    return "$" + "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in location)
