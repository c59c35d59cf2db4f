"""What converters and argument resolvers ask of annotations: what is it, and is this value one already?"""

from __future__ import annotations

import types
import typing
from typing import Annotated, Any, Union, get_args, get_origin

ANYTHING = (Any, object)


def bare(annotation: Any) -> Any:
    """The annotation without ``Annotated`` and without the name of a type alias."""
    while type(annotation) is not type:  # a plain class, as most are, has nothing to take off
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif hasattr(annotation, "__value__") and type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        else:
            break
    return annotation


def is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def without_none(annotation: Any) -> tuple[Any, bool]:
    """``X | None`` as ``X`` and True; anything else as it is, and whether None is one of its values."""
    if annotation is None or annotation is type(None):
        return annotation, True
    if not is_union(annotation):
        return annotation, False
    members = get_args(annotation)
    left = tuple(each for each in members if each is not type(None))
    if len(left) == len(members):
        return annotation, False
    return (left[0] if len(left) == 1 else Union[left]), True  # noqa: UP007 (built from a tuple)


def is_instance(value: Any, annotation: Any) -> bool:
    """Whether *value* is an *annotation* already; of generics only the class is looked at, never the items."""
    annotation = bare(annotation)
    if type(annotation) is type:
        return isinstance(value, annotation)
    if annotation in ANYTHING:
        return True
    if annotation is None:
        return value is None
    if is_union(annotation):
        return any(is_instance(value, each) for each in get_args(annotation))
    if hasattr(annotation, "__supertype__"):
        return is_instance(value, annotation.__supertype__)
    origin = get_origin(annotation) or annotation
    if not isinstance(origin, type):
        return False
    if typing.is_typeddict(origin):
        return isinstance(value, dict)
    if getattr(origin, "_is_protocol", False) and not getattr(origin, "_is_runtime_protocol", False):
        return False
    return isinstance(value, origin)


def type_name(annotation: Any) -> str:
    """An annotation as an error message shows it."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return annotation.__qualname__ if annotation.__module__ == "builtins" else full_name(annotation)
    return str(annotation)


def full_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
