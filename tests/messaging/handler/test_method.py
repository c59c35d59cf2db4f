"""Reading a method once: annotations, names, what cannot be a handler."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Annotated, Any

import pytest

from wellhead.messaging.exceptions import MethodArgumentResolutionError
from wellhead.messaging.handler.annotations import Header, Payload
from wellhead.messaging.handler.method import HandlerMethod, InvocableHandlerMethod
from wellhead.messaging.handler.parameters import MethodParameter
from wellhead.messaging.message import Message

if TYPE_CHECKING:
    from decimal import Decimal


class Chat:
    def say(self, line: Annotated[str, Payload], *, user: Annotated[str | None, Header] = "joe") -> str:
        return f"{user}: {line}"

    def typo(self, line: str, room: Annotated[Rom, Payload]) -> None:  # type: ignore[name-defined] # noqa: F821  (the mistake)
        pass

    def only_for_checkers(self, amount: Decimal) -> None:
        pass

    def bad_return(self) -> Rom:  # type: ignore[name-defined]  # noqa: F821  (the mistake)
        pass

    async def later(self) -> None:
        pass

    def stream(self):  # type: ignore[no-untyped-def]
        yield 1

    def stream_void(self) -> None:  # type: ignore[misc]  # the mistake
        yield 1

    def default(self, token: str = Header("token")) -> None:  # type: ignore[assignment]  # the mistake
        pass

    def default_class(self, line: str, *, token=Header) -> None:  # type: ignore[no-untyped-def]  # the mistake
        pass

    def bare(self, x: Header) -> None:
        pass

    def bare_optional(self, x: Header | None = None) -> None:
        pass

    def many(self, *args: Any, **kwargs: Any) -> Any:
        return args, kwargs


class Constant:
    def __init__(self, name: str, value: Any) -> None:
        self.name, self.value = name, value

    def supports_parameter(self, parameter: MethodParameter) -> bool:
        return parameter.name == self.name

    def resolve_argument(self, parameter: MethodParameter, message: Message[Any]) -> Any:
        return self.value


@pytest.mark.spec("ANN-04")
def test_annotations_may_be_strings() -> None:
    method = HandlerMethod(Chat().say, owner=Chat())
    line, user = method.parameters
    assert (line.name, line.annotation, line.index) == ("line", str, 0)
    assert (user.annotation, user.is_optional, user.default, user.is_keyword_only) == (str, True, "joe", True)
    assert method.return_parameter.annotation is str
    assert str(method) == "Chat.say"


@pytest.mark.spec("ANN-04")
@pytest.mark.parametrize(
    ("name", "culprit"),
    [
        ("typo", "the annotation of parameter 'room' of Chat.typo: name 'Rom' is not defined"),
        (
            "only_for_checkers",
            "the annotation of parameter 'amount' of Chat.only_for_checkers: name 'Decimal' is not defined",
        ),
        ("bad_return", "the annotation of the return value of Chat.bad_return"),
    ],
)
def test_an_unknown_annotation_is_told_at_registration(name: str, culprit: str) -> None:
    with pytest.raises(TypeError) as caught:
        HandlerMethod(getattr(Chat(), name), owner=Chat())
    assert str(caught.value).startswith(f"Cannot resolve {culprit}")


@pytest.mark.spec("ANN-06")
def test_coroutine_functions_are_refused() -> None:
    with pytest.raises(TypeError, match="Chat.later is a coroutine function"):
        HandlerMethod(Chat().later, owner=Chat())


@pytest.mark.spec("ANN-06")
@pytest.mark.parametrize("name", ["stream", "stream_void"])
def test_generator_functions_are_refused(name: str) -> None:
    with pytest.raises(TypeError, match=f"^Chat.{name} is a generator function: calling it runs nothing of it"):
        HandlerMethod(getattr(Chat(), name), owner=Chat())


@pytest.mark.spec("ANN-04")
@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "default",
            "parameter 'token' of Chat.default has Header(...) as its default value. Markers ride in Annotated: "
            "token: Annotated[str, Header(...)]",
        ),
        (
            "default_class",
            "parameter 'token' of Chat.default_class has Header as its default value. Markers ride in Annotated: "
            "token: Annotated[typing.Any, Header]",
        ),
        (
            "bare",
            "parameter 'x' of Chat.bare has Header in place of its type. Markers ride in Annotated: "
            "x: Annotated[str, Header]",
        ),
        (
            "bare_optional",
            "parameter 'x' of Chat.bare_optional has Header in place of its type. Markers ride in Annotated: "
            "x: Annotated[str, Header]",
        ),
    ],
)
def test_markers_outside_of_annotated_are_refused_with_the_remedy(name: str, text: str) -> None:
    with pytest.raises(TypeError) as caught:
        HandlerMethod(getattr(Chat(), name), owner=Chat())
    assert str(caught.value) == text


@pytest.mark.spec("ANN-04")
def test_star_arguments_get_nothing() -> None:
    invocable = InvocableHandlerMethod(HandlerMethod(Chat().many), [])
    assert invocable.invoke(Message("x")) == ((), {})


@pytest.mark.spec("ANN-04")
def test_the_first_resolver_that_supports_a_parameter_wins() -> None:
    resolvers = [Constant("line", 1), Constant("line", 2), Constant("user", 3)]
    invocable = InvocableHandlerMethod(HandlerMethod(Chat().say), resolvers)
    assert invocable.invoke(Message("x")) == "3: 1"


@pytest.mark.spec("ANN-04")
@pytest.mark.parametrize("count", range(6))
@pytest.mark.parametrize("keywords", range(3))
def test_any_number_of_arguments_comes_in_the_order_of_the_parameters(count: int, keywords: int) -> None:
    asked: list[str] = []

    class Asked(Constant):
        def resolve_argument(self, parameter: MethodParameter, message: Message[Any]) -> Any:
            asked.append(self.name)
            return super().resolve_argument(parameter, message)

    names = [f"p{number}" for number in range(count)]
    more = [f"k{number}" for number in range(keywords)]
    signature = ", ".join([*names, "*", *more] if more else names)
    values = ", ".join([*names, *more])
    function = eval(f"lambda {signature}: [{values}]")
    resolvers = [Asked(each, each.upper()) for each in reversed([*names, *more])]
    invocable = InvocableHandlerMethod(HandlerMethod(function), resolvers)
    assert invocable.call(Message("x")) == [each.upper() for each in [*names, *more]]
    assert asked == [*names, *more]


@pytest.mark.spec("ANN-04")
def test_no_resolver_at_all_is_an_error_of_the_call() -> None:
    invocable = InvocableHandlerMethod(HandlerMethod(Chat().say, owner=Chat()), [Constant("line", 1)])
    with pytest.raises(MethodArgumentResolutionError) as caught:
        invocable.invoke(Message("x"))
    expected = "Could not resolve method parameter at index 1 in Chat.say: No suitable resolver"
    assert caught.value.description == expected


@pytest.mark.spec("ANN-04")
def test_provided_arguments_are_filled_by_type_before_anything_else() -> None:
    def handle(error: ValueError, method: HandlerMethod, line: Annotated[Any, Payload], *, cause: KeyError) -> Any:
        return error, method, line, cause

    method = HandlerMethod(Chat().say)
    target = HandlerMethod(_unwrapped(handle))
    resolvers = [Constant(name, name) for name in ("error", "method", "line", "cause")]
    error, cause = ValueError("a"), KeyError("b")
    invocable = InvocableHandlerMethod(target, resolvers)
    assert invocable.invoke(Message("x"), (error, cause, method)) == (error, method, "line", cause)
    assert invocable.invoke(Message("x"), (cause,)) == ("error", "method", "line", cause)


def _unwrapped(function: Any) -> Any:
    function.__annotations__ = {
        "error": ValueError,
        "method": HandlerMethod,
        "line": Annotated[Any, Payload],
        "cause": KeyError,
    }
    return function


@pytest.mark.spec("ANN-04")
def test_a_wrapped_function_keeps_its_parameters() -> None:
    def traced(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return wrapper

    method = HandlerMethod(traced(Chat().say))
    assert [each.name for each in method.parameters] == ["line", "user"]
