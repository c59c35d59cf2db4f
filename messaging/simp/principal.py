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

    A class of one's own that does not inherit ``Principal`` is told by ``Annotated[Member, Principal]``. Without a user
    the value is None: that is no error.
    """

    def supports_parameter(self, parameter: MethodParameter) -> bool:
        annotation = parameter.annotation
        return Principal in parameter.metadata or (isinstance(annotation, type) and Principal in annotation.__mro__)

    def bind(self, parameter: MethodParameter) -> ArgumentGetter:
        expected = parameter.annotation
        if expected is Principal or not isinstance(expected, type):
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


def _user(message: Message[Any]) -> Any:
    return header_of(message, USER)
