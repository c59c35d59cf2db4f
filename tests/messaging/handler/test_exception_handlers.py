"""Which method is for an exception, and to whom an advice applies."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import pytest

from wellhead.messaging.handler.annotations import controller_advice, message_exception_handler
from wellhead.messaging.handler.exception_handlers import Advice, ExceptionHandlerMethod, ExceptionHandlerMethodResolver
from wellhead.messaging.handler.marks import marks_of
from wellhead.messaging.handler.method import HandlerMethod, InvocableHandlerMethod


@message_exception_handler(LookupError)
def on_lookup() -> None: ...


@message_exception_handler(KeyError)
def on_key() -> None: ...


@message_exception_handler()
def on_parameters(error: OSError | ArithmeticError, cause: UnicodeError, other: int) -> None: ...


@message_exception_handler()
def on_nothing(other: int) -> None: ...


@message_exception_handler(LookupError, EOFError)
def on_lookup_too() -> None: ...


def resolver(*functions: Callable[..., Any]) -> ExceptionHandlerMethodResolver:
    return ExceptionHandlerMethodResolver(
        ExceptionHandlerMethod(InvocableHandlerMethod(HandlerMethod(each), []), None) for each in functions
    )


def resolved(made: ExceptionHandlerMethodResolver, error: BaseException) -> Any:
    method = made.resolve(error)
    return None if method is None else method.invocable.method.function


def caused_by(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


@pytest.mark.spec("ANN-08")
def test_the_closest_ancestor_first() -> None:
    made = resolver(on_lookup, on_key)
    assert resolved(made, KeyError()) is on_key
    assert resolved(made, IndexError()) is on_lookup
    assert resolved(made, LookupError()) is on_lookup
    assert resolved(made, ValueError()) is None
    assert resolved(resolver(), ValueError()) is None


@pytest.mark.spec("ANN-08")
def test_then_the_direct_cause() -> None:
    made = resolver(on_lookup, on_key)
    assert resolved(made, caused_by(ValueError(), KeyError())) is on_key
    assert resolved(made, caused_by(IndexError(), KeyError())) is on_lookup
    assert resolved(made, caused_by(ValueError(), caused_by(TypeError(), KeyError()))) is None


@pytest.mark.spec("ANN-08")
def test_types_come_from_the_parameters_where_none_are_listed() -> None:
    made = resolver(on_parameters)
    for error in (OSError(), ZeroDivisionError(), UnicodeError()):
        assert resolved(made, error) is on_parameters
    assert resolved(made, ValueError()) is None


@pytest.mark.spec("ANN-08")
def test_no_types_at_all_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="No exception types mapped to on_nothing"):
        resolver(on_nothing)


@pytest.mark.spec("ANN-08")
def test_a_type_claimed_twice_is_an_error() -> None:
    with pytest.raises(
        RuntimeError, match=r"Ambiguous @ExceptionHandler method mapped for \[LookupError\]: .*on_lookup"
    ):
        resolver(on_lookup, on_lookup_too)


class Chat: ...


class Club(Chat): ...


def advice(mark: Any) -> Advice:
    @mark
    class Errors: ...

    return Advice(marks_of(Errors).advice, resolver())


@pytest.mark.spec("ANN-08")
@pytest.mark.parametrize(
    ("mark", "applies"),
    [
        (controller_advice(), True),
        (controller_advice(__name__), True),
        (controller_advice(__name__[:-1]), False),
        (controller_advice("elsewhere"), False),
        (controller_advice(types=[Chat]), True),
        (controller_advice(types=[Club]), False),
        (controller_advice("elsewhere", types=[Chat]), True),
        (controller_advice(applies_to=lambda controller: isinstance(controller, Chat)), True),
        (controller_advice(applies_to=lambda controller: False), False),
    ],
)
def test_an_advice_applies_by_package_type_or_predicate(mark: Any, applies: bool) -> None:
    assert advice(mark).applies_to(Chat()) is applies


@pytest.mark.spec("ANN-08")
def test_the_package_of_functions_and_modules() -> None:
    made = advice(controller_advice("shop"))
    module = types.ModuleType("shop.orders")
    assert made.applies_to(module)
    function = types.FunctionType((lambda: None).__code__, {"__name__": "shop.orders"})
    assert made.applies_to(function)
    assert not made.applies_to(types.ModuleType("shopping"))


@pytest.mark.spec("ANN-08")
def test_lower_orders_come_first_and_none_last() -> None:
    orders = [advice(controller_advice(order=order)).order for order in (5, -1, None)]
    assert orders[1] < orders[0] < orders[2]
