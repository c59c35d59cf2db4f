"""The parameters of handler methods, read once at registration."""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from ..converter.targets import bare, type_name, without_none
from .annotations import ParameterMarker

M = TypeVar("M")

NO_DEFAULT = inspect.Parameter.empty
_SKIPPED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class MethodParameter:
    """One parameter: its name, type and markers."""

    __slots__ = ("annotation", "default", "index", "is_keyword_only", "is_optional", "metadata", "method_name", "name")

    def __init__(
        self, name: str, annotation: Any = Any, *, index: int = 0, method_name: str = "", default: Any = NO_DEFAULT
    ) -> None:
        self.name = name
        self.index = index
        self.method_name = method_name
        self.default = default
        self.is_keyword_only = False
        self.annotation, self.metadata, self.is_optional = _peel(annotation)
        """The annotation without ``Annotated`` and without ``| None``; ``Any`` where there is none."""

    @property
    def has_default(self) -> bool:
        return self.default is not NO_DEFAULT

    @property
    def type_name(self) -> str:
        """The type as an error message shows it."""
        return type_name(self.annotation)

    def marker(self, marker_type: type[M]) -> M | None:
        """The first marker of this type, made where the class itself was written; None without."""
        for each in self.metadata:
            if isinstance(each, marker_type):
                return each
            if isinstance(each, type) and issubclass(each, marker_type):
                return each()
        return None

    @property
    def is_marked(self) -> bool:
        return self.marker(ParameterMarker) is not None

    def describe(self) -> str:
        return f"parameter '{self.name}' of {self.method_name}"

    def __repr__(self) -> str:
        return f"<{self.describe()}: {self.type_name}>"


def read_parameters(function: Callable[..., Any], method_name: str) -> tuple[tuple[MethodParameter, ...], Any]:
    """The parameters of *function*, without ``*args`` and ``**kwargs``, and its return annotation, ``Any`` if none.

    Raises TypeError for an annotation that cannot be resolved and for a marker outside of ``Annotated``, naming the
    parameter.
    """
    hints = _type_hints(function, method_name)
    parameters: list[MethodParameter] = []
    for name, each in inspect.signature(function).parameters.items():
        if each.kind in _SKIPPED:
            continue
        parameter = MethodParameter(
            name, hints.get(name, Any), index=len(parameters), method_name=method_name, default=each.default
        )
        _refuse_misplaced_markers(parameter)
        parameter.is_keyword_only = each.kind is inspect.Parameter.KEYWORD_ONLY
        parameters.append(parameter)
    return tuple(parameters), hints.get("return", Any)


def _refuse_misplaced_markers(parameter: MethodParameter) -> None:
    if _is_marker(parameter.default):
        place, marker, kind = "as its default value", parameter.default, parameter.type_name
    elif _is_marker(parameter.annotation):
        place, marker, kind = "in place of its type", parameter.annotation, "str"
    else:
        return
    name = marker.__name__ if isinstance(marker, type) else f"{type(marker).__name__}(...)"
    raise TypeError(
        f"{parameter.describe()} has {name} {place}. Markers ride in Annotated: "
        f"{parameter.name}: Annotated[{kind}, {name}]"
    )


def _is_marker(value: Any) -> bool:
    return issubclass(value, ParameterMarker) if isinstance(value, type) else isinstance(value, ParameterMarker)


def _peel(annotation: Any) -> tuple[Any, tuple[Any, ...], bool]:
    metadata: tuple[Any, ...] = ()
    optional = False
    while True:
        if get_origin(annotation) is Annotated:
            metadata += annotation.__metadata__
            annotation = get_args(annotation)[0]
            continue
        inner, has_none = without_none(bare(annotation) if _is_alias(annotation) else annotation)
        optional = optional or has_none
        if inner is annotation:
            return annotation, metadata, optional
        annotation = inner


def _is_alias(annotation: Any) -> bool:
    return type(annotation).__name__ == "TypeAliasType"


def _type_hints(function: Callable[..., Any], method_name: str) -> dict[str, Any]:
    target = getattr(function, "__func__", function)
    if not inspect.isfunction(target):
        target = type(function).__call__
    try:
        return get_type_hints(target, include_extras=True)
    except Exception as error:  # evaluating an annotation runs whatever is written there
        culprit = _culprit(target)
        where = f"the annotation of {culprit} of {method_name}" if culprit else f"the annotations of {method_name}"
        raise TypeError(
            f"Cannot resolve {where}: {error}. Names in annotations must be importable when the method is registered: "
            "defined in its module, not inside a function and not under TYPE_CHECKING alone"
        ) from error


def _culprit(function: Any) -> str | None:
    """Which annotation cannot be resolved."""
    for name, annotation in _raw_annotations(function).items():
        probe = types.FunctionType((lambda: None).__code__, getattr(function, "__globals__", {}))
        probe.__annotations__ = {name: annotation}
        try:
            get_type_hints(probe, include_extras=True)
        except Exception:  # the same error again, which the caller tells
            return "the return value" if name == "return" else f"parameter '{name}'"
    return None


def _raw_annotations(function: Any) -> dict[str, Any]:
    if sys.version_info >= (3, 14):
        import annotationlib

        return dict(annotationlib.get_annotations(function, format=annotationlib.Format.FORWARDREF))
    return getattr(function, "__annotations__", {})
