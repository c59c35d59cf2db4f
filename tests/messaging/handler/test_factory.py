"""Handler methods on their own."""

from __future__ import annotations

from typing import Annotated, Any

import pytest

from wellhead.messaging.converter.composite import default_converters
from wellhead.messaging.exceptions import MethodArgumentNotValidError, MethodArgumentResolutionError
from wellhead.messaging.handler.annotations import Header, Headers, Payload, Valid
from wellhead.messaging.handler.factory import DefaultMessageHandlerMethodFactory
from wellhead.messaging.handler.parameters import MethodParameter
from wellhead.messaging.message import Message


class Tenant:
    pass


class TenantResolver:
    def supports_parameter(self, parameter: MethodParameter) -> bool:
        return parameter.annotation is Tenant

    def resolve_argument(self, parameter: MethodParameter, message: Message[Any]) -> Any:
        return message.headers["tenant"]


class Never:
    def validate(self, value: Any, groups: tuple[Any, ...]) -> list[str]:
        return ["never"]


def everything(
    number: Annotated[int, Header],
    headers: Annotated[dict[str, Any], Headers],
    message: Message[Any],
    tenant: Tenant,
    payload: Annotated[int, Payload],
    same: int,
) -> Any:
    return number, headers["number"], message, tenant, payload, same


def validated(payload: Annotated[int, Valid]) -> int:
    return payload


@pytest.mark.spec("ANN-09")
def test_headers_message_custom_payload() -> None:
    tenant = Tenant()
    factory = DefaultMessageHandlerMethodFactory(custom_argument_resolvers=[TenantResolver()])
    message = Message("5", {"number": "7", "tenant": tenant})
    invocable = factory.create_invocable_handler_method(everything)
    assert invocable.invoke(message) == (7, "7", message, tenant, 5, 5)


@pytest.mark.spec("ANN-09")
def test_converter_and_validator_can_be_set() -> None:
    factory = DefaultMessageHandlerMethodFactory(message_converter=default_converters(), validator=Never())
    with pytest.raises(MethodArgumentNotValidError, match="never"):
        factory.create_invocable_handler_method(validated).invoke(Message(b"5"))


@pytest.mark.spec("ANN-09")
def test_the_whole_list_can_be_replaced() -> None:
    factory = DefaultMessageHandlerMethodFactory(argument_resolvers=[TenantResolver()])
    with pytest.raises(MethodArgumentResolutionError, match="No suitable resolver"):
        factory.create_invocable_handler_method(validated).invoke(Message(b"5"))
