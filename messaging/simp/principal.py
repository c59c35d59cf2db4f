"""The user as an argument of an annotated method (ANN-04)."""

from __future__ import annotations

from typing import Any

from ..exceptions import MethodArgumentTypeMismatchError
from ..handler.arguments import ArgumentGetter, BindingResolver
from ..handler.invocation import header_of
from ..handler.parameters import MethodParameter
from ..message import Message
from .accessor import USER
from .types import Principal


class PrincipalMethodArgumentResolver(BindingResolver):
    """Parameters of the type ``Principal`` or of a class that inherits it, and those annotated with it.

    Any protocol of that name will do: ``wellhead.server`` has one, too. A class of one's own that does not inherit
    ``Principal`` is told by ``Annotated[Member, Principal]``. Without a user the value is None: that is no error.
    """

    def supports_parameter(self, parameter: MethodParameter) -> bool:
        annotation = parameter.annotation
        if isinstance(annotation, type) and any(map(_is_principal, annotation.__mro__)):
            return True
        return any(isinstance(each, type) and _is_principal(each) for each in parameter.metadata)

    def bind(self, parameter: MethodParameter) -> ArgumentGetter:
        expected = parameter.annotation
        if not isinstance(expected, type) or _is_principal(expected) or not _can_be_asked(expected):
            return _user
        expected_type: type = expected

        def get(message: Message[Any]) -> Any:
            user = header_of(message, USER)
            if user is not None and not isinstance(user, expected_type):
                raise MethodArgumentTypeMismatchError(
                    f"Could not resolve method parameter at index {parameter.index} in {parameter.method_name}: "
                    f"the user is a {type(user).__qualname__}, not a {parameter.type_name}",
                    message,
                )
            return user

        return get


def _is_principal(kind: type) -> bool:
    """Whether this is ``Principal`` itself: ours, or the protocol of the same name that the server half has."""
    return kind is Principal or (kind.__name__ == "Principal" and bool(getattr(kind, "_is_protocol", False)))


def _can_be_asked(kind: type) -> bool:
    """Whether ``isinstance`` takes this class: not ``Any``, and of protocols only those that are made for it."""
    return kind is not Any and (
        not getattr(kind, "_is_protocol", False) or getattr(kind, "_is_runtime_protocol", False)
    )


def _user(message: Message[Any]) -> Any:
    return header_of(message, USER)
