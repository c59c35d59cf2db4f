"""What reads JSON as one type: msgspec, or pydantic for what is pydantic's (CONV-03).

Nobody pays for pydantic who has not imported it: without it there is nothing of its here.
"""

from __future__ import annotations

import sys
from typing import Any, Literal, Protocol, get_args, get_origin, get_type_hints

import msgspec

from .targets import bare


class Decoder(Protocol):
    def decode(self, content: Any, /) -> Any: ...


class PydanticDecoder:
    """Reads pydantic's classes, and what msgspec does not take, by pydantic."""

    __slots__ = ("_validate",)

    def __init__(self, target: Any) -> None:
        self._validate = sys.modules["pydantic"].TypeAdapter(target).validate_json

    def decode(self, content: Any, /) -> Any:
        return self._validate(content if isinstance(content, str) else bytes(content))


def make_decoder(target: Any) -> Decoder:
    """Raises TypeError, with the reason, for a type that nothing can be read as."""
    try:
        if _is_for_pydantic(target):
            return PydanticDecoder(target)
        try:
            return msgspec.json.Decoder(target, dec_hook=decode_other)
        except TypeError:
            if "pydantic" not in sys.modules:
                raise
            return PydanticDecoder(target)
    except Exception as error:  # making one evaluates annotations, which runs whatever is written there
        raise TypeError(str(error).partition("\n")[0]) from error


def in_order(target: Any) -> Any:
    """A key that tells ``A | B`` from ``B | A``: they are equal, but pydantic may take the first that fits.

    Inside of ``Annotated``, ``Optional`` and the like nobody can: typing gives the same object for both.
    """
    origin, arguments = get_origin(target), get_args(target)
    if not arguments or origin is Literal:
        return target
    return origin, tuple(map(in_order, arguments))


def is_model(cls: Any) -> bool:
    """Whether a class is a model of pydantic's."""
    model = getattr(sys.modules.get("pydantic"), "BaseModel", None)
    return model is not None and isinstance(cls, type) and issubclass(cls, model)


def decode_other(target: Any, value: Any) -> Any:
    """Models inside other types: msgspec asks for what it does not know."""
    if isinstance(target, type) and isinstance(value, target):
        return value
    if not is_model(target):
        raise ValueError(f"objects of type {target} cannot be read")
    try:
        return target.model_validate_json(msgspec.json.encode(value))
    except ValueError as error:
        raise ValueError(reason(error)) from error


def reason(error: BaseException) -> str:
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


def _is_for_pydantic(target: Any) -> bool:
    return "pydantic" in sys.modules and (is_model(target) or _holds_pydantic_dataclass(target, set()))


def _holds_pydantic_dataclass(target: Any, seen: set[type]) -> bool:
    """Whether a dataclass of pydantic's is in there: msgspec would read it as a plain one, and validate nothing.

    Models need no such care: of them msgspec knows nothing and asks ``decode_other``.
    """
    target = bare(target)
    if not isinstance(target, type):
        parts = (*get_args(target), get_origin(target), getattr(target, "__supertype__", None))
    elif target in seen or is_model(target):
        return False
    elif hasattr(target, "__pydantic_validator__"):
        return True
    else:
        seen.add(target)
        parts = _types_of_fields(target)
    return any(each is not None and _holds_pydantic_dataclass(each, seen) for each in parts)


def _types_of_fields(cls: type) -> tuple[Any, ...]:
    try:
        return tuple(get_type_hints(cls).values())
    except Exception:  # as in make_decoder: whoever reads by this class meets the same error, and tells it
        return ()
