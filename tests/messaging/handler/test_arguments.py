"""Arguments from headers and variables."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import pytest

from wellhead.messaging.converter.conversion import DefaultConversionService
from wellhead.messaging.exceptions import MessageConversionError, MessageHandlingError
from wellhead.messaging.handler.annotations import DestinationVariable, Header, Headers
from wellhead.messaging.handler.arguments import (
    DestinationVariableMethodArgumentResolver,
    HeaderMethodArgumentResolver,
    HeadersMethodArgumentResolver,
)
from wellhead.messaging.handler.invocation import LOOKUP_DESTINATION, TEMPLATE_VARIABLES, InvocationMessage
from wellhead.messaging.handler.parameters import NO_DEFAULT, MethodParameter
from wellhead.messaging.header_accessor import MessageHeaderAccessor
from wellhead.messaging.headers import MessageHeaders
from wellhead.messaging.message import Message
from wellhead.messaging.native_headers import NATIVE_HEADERS, NativeMessageHeaderAccessor
from wellhead.messaging.simp.accessor import SimpMessageHeaderAccessor
from wellhead.messaging.stomp.decoder import BufferingStompDecoder, StompDecoder


class Colour(enum.Enum):
    RED = "red"


def parameter(annotation: Any, name: str = "x", default: Any = NO_DEFAULT) -> MethodParameter:
    return MethodParameter(name, annotation, method_name="Chat.say", default=default)


def header(annotation: Any, message: Message[Any], default: Any = NO_DEFAULT) -> Any:
    resolver = HeaderMethodArgumentResolver(DefaultConversionService())
    assert resolver.supports_parameter(parameter(annotation))
    return resolver.bind(parameter(annotation, default=default))(message)


def variable(annotation: Any, variables: dict[str, str] | None) -> Any:
    resolver = DestinationVariableMethodArgumentResolver(DefaultConversionService())
    assert resolver.supports_parameter(parameter(annotation))
    headers = {} if variables is None else {TEMPLATE_VARIABLES: variables}
    return resolver.resolve_argument(parameter(annotation), Message("p", headers))


def message(native: Mapping[str, list[str]] | None = None, **headers: Any) -> Message[Any]:
    return Message("p", {**headers, "nativeHeaders": native} if native is not None else headers)


@pytest.mark.spec("ANN-04")
@pytest.mark.parametrize(
    ("annotation", "given", "expected"),
    [
        (Annotated[str, Header], message(x="top"), "top"),
        (Annotated[str, Header("y")], message(x="top", y="named"), "named"),
        (Annotated[str, Header], message({"x": ["native"]}), "native"),
        (Annotated[str, Header], message({"x": ["native"]}, x="top"), "top"),
        (Annotated[str, Header("nativeHeaders.x")], message({"x": ["native"]}, x="top"), "native"),
        (Annotated[list[str], Header], message({"x": ["a", "b"]}), ["a", "b"]),
        (Annotated[Any, Header], message({"x": ["a", "b"]}), ["a", "b"]),
        (Annotated[list[str], Header], message({"x": ["a"]}), ["a"]),
        (Annotated[int, Header], message({"x": ["5"]}), 5),
        (Annotated[float, Header], message({"x": ["1.5"]}), 1.5),
        (Annotated[bool, Header], message({"x": ["true"]}), True),
        (Annotated[Colour, Header], message({"x": ["red"]}), Colour.RED),
        (Annotated[uuid.UUID, Header], message({"x": [str(uuid.UUID(int=1))]}), uuid.UUID(int=1)),
        (Annotated[int, Header(default=7)], message(), 7),
        (Annotated[int, Header(default="7")], message(), 7),
        (Annotated[int, Header(default=7)], message({"x": [""]}), 7),
        (Annotated[str, Header], message({"x": [""]}), ""),
        (Annotated[str, Header(required=False)], message(), None),
        (Annotated[str | None, Header], message(), None),
        (Annotated[int | None, Header], message({"x": ["5"]}), 5),
        (Annotated[str, Header("nativeHeaders.x", required=False)], message(x="top"), None),
    ],
)
def test_headers(annotation: Any, given: Message[Any], expected: Any) -> None:
    assert header(annotation, given) == expected


@pytest.mark.spec("ANN-04")
def test_the_default_of_the_parameter_is_a_default_of_the_header() -> None:
    assert header(Annotated[int, Header], message(), default=7) == 7
    assert header(Annotated[int, Header], message({"x": [""]}), default=7) == 7
    assert header(Annotated[int, Header], message({"x": ["5"]}), default=7) == 5
    assert header(Annotated[int, Header], message(), default=None) is None


@pytest.mark.spec("ANN-04")
def test_a_missing_header_is_an_error() -> None:
    with pytest.raises(MessageHandlingError) as caught:
        header(Annotated[int, Header("y")], message())
    assert caught.value.description == "Missing header 'y' for method parameter type [int]"
    assert caught.value.failed_message is not None


@pytest.mark.spec("ANN-04")
def test_a_header_of_another_type_is_an_error_that_names_both() -> None:
    with pytest.raises(
        MessageConversionError, match="Cannot convert header 'x' for parameter 'x' of Chat.say: Expected"
    ):
        header(Annotated[int, Header], message({"x": ["five"]}))


@pytest.mark.spec("ANN-04")
def test_variables() -> None:
    assert variable(Annotated[str, DestinationVariable], {"x": "5"}) == "5"
    assert variable(Annotated[str, DestinationVariable("y")], {"x": "5", "y": "6"}) == "6"
    assert variable(Annotated[int, DestinationVariable], {"x": "5"}) == 5
    assert variable(Annotated[Colour, DestinationVariable()], {"x": "red"}) is Colour.RED
    assert variable(Annotated[Any, DestinationVariable()], {"x": "red"}) == "red"


@pytest.mark.spec("ANN-04")
@pytest.mark.parametrize("variables", [None, {}, {"y": "5"}])
@pytest.mark.parametrize(
    "annotation", [Annotated[str, DestinationVariable], Annotated[str | None, DestinationVariable]]
)
def test_a_missing_variable_is_always_an_error(variables: dict[str, str] | None, annotation: Any) -> None:
    with pytest.raises(MessageHandlingError, match=r"Missing path template variable 'x' .*\[str\]"):
        variable(annotation, variables)


@pytest.mark.spec("ANN-04")
def test_a_variable_of_another_type_is_an_error_that_names_both() -> None:
    with pytest.raises(MessageConversionError, match="Cannot convert destination variable 'x' for parameter 'x'"):
        variable(Annotated[int, DestinationVariable], {"x": "five"})


def headers(annotation: Any, given: Message[Any]) -> Any:
    resolver = HeadersMethodArgumentResolver()
    assert resolver.supports_parameter(parameter(annotation))
    return resolver.bind(parameter(annotation))(given)


@pytest.mark.spec("ANN-04")
def test_all_headers_with_the_native_ones_nested() -> None:
    given = message({"a": ["1"]}, x=1)
    for annotation in (Annotated[dict[str, Any], Headers], Annotated[dict, Headers()]):
        found = headers(annotation, given)
        assert type(found) is dict
        assert (found["x"], found["nativeHeaders"]) == (1, {"a": ["1"]})
    for annotation in (Annotated[Mapping[str, Any], Headers], MessageHeaders, Annotated[Any, Headers]):
        assert headers(annotation, given) is given.headers


@pytest.mark.spec("ANN-04")
def test_headers_need_a_mapping() -> None:
    with pytest.raises(TypeError, match="Headers on parameter 'x' of Chat.say needs a mapping, not int"):
        HeadersMethodArgumentResolver().bind(parameter(Annotated[int, Headers]))


@pytest.mark.spec("ANN-04")
def test_the_accessor_of_the_message_if_it_is_of_that_type_else_a_new_one() -> None:
    accessor = SimpMessageHeaderAccessor()
    given = Message("p", accessor.message_headers)
    for kind in (MessageHeaderAccessor, NativeMessageHeaderAccessor, SimpMessageHeaderAccessor):
        assert headers(kind, given) is accessor
    other = headers(SimpMessageHeaderAccessor, message(simpSessionId="s1"))
    assert type(other) is SimpMessageHeaderAccessor
    assert other.session_id == "s1"


@pytest.mark.spec("ANN-04")
def test_other_types_are_not_headers() -> None:
    for annotation in (dict, dict[str, Any], Mapping, Any, str, Callable):
        assert not HeadersMethodArgumentResolver().supports_parameter(parameter(annotation))


@pytest.mark.spec("ANN-01")
def test_headers_of_an_invocation_are_built_when_somebody_looks() -> None:
    accessor = SimpMessageHeaderAccessor()
    accessor.session_id = "s1"
    invocation = InvocationMessage(Message("p", accessor.message_headers), "/x", {"x": "5"})
    assert header(Annotated[str, Header("simpSessionId")], invocation) == "s1"
    assert header(Annotated[str, Header(LOOKUP_DESTINATION)], invocation) == "/x"
    assert header(Annotated[dict[str, str], Header(TEMPLATE_VARIABLES)], invocation) == {"x": "5"}
    assert invocation.live_headers() is None
    assert invocation.headers[LOOKUP_DESTINATION] == "/x"
    assert invocation.headers[TEMPLATE_VARIABLES] == {"x": "5"}
    assert invocation.headers["simpSessionId"] == "s1"
    assert invocation.live_headers() is invocation.headers
    assert LOOKUP_DESTINATION not in invocation.original.headers
    live = headers(SimpMessageHeaderAccessor, invocation)
    assert live.is_mutable
    invocation.freeze()
    assert not live.is_mutable


@pytest.mark.spec("ANN-04")
def test_all_native_headers_are_the_message_s_own_though_frames_with_one_head_share_them() -> None:
    decoder = BufferingStompDecoder(StompDecoder())
    decoded = [each for _ in range(3) for each in decoder.decode(b"SEND\ndestination:/a\nx:1\n\n\0")]
    annotation = Annotated[dict[str, list[str]], Header(NATIVE_HEADERS)]
    for given in decoded:
        found = header(annotation, InvocationMessage(given, "/a", {}))
        assert found == {"destination": ["/a"], "x": ["1"]}
        found["x"].append("2")
