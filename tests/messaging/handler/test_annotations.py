"""Decorators only mark; markers work with and without parentheses."""

from __future__ import annotations

from typing import Annotated, Any

import pytest

from wellhead.messaging.handler.annotations import (
    DestinationVariable,
    Header,
    Headers,
    ParameterMarker,
    Payload,
    Valid,
    Validated,
    controller_advice,
    message_exception_handler,
    message_mapping,
    send_to,
    send_to_user,
    subscribe_mapping,
)
from wellhead.messaging.handler.controllers import marked_functions
from wellhead.messaging.handler.marks import MappingKind, marks_of, method_marks
from wellhead.messaging.handler.parameters import MethodParameter


class Base:
    @message_mapping("/a")
    @send_to("/topic/a")
    def a(self) -> str:
        return "base"


class Override(Base):
    def a(self) -> str:
        return "override"


@send_to("/topic/base")
class Marked:
    pass


@send_to_user("/queue/sub")
class MarkedSub(Marked):
    pass


@pytest.mark.spec("ANN-02")
def test_decorators_give_back_the_same_function_and_class() -> None:
    def function() -> str:
        return "still callable"

    class Controller:
        pass

    decorators: tuple[Any, ...] = (
        message_mapping("/a"),
        subscribe_mapping("/a"),
        send_to("/a"),
        send_to_user("/a"),
        message_exception_handler(ValueError),
    )
    for decorate in decorators:
        assert decorate(function) is function
    assert function() == "still callable"
    for decorate in (message_mapping("/a"), send_to("/a"), send_to_user("/a"), controller_advice()):
        assert decorate(Controller) is Controller


@pytest.mark.spec("ANN-02")
def test_marks_of_an_overridden_method_are_inherited() -> None:
    (found,) = marked_functions(Override())
    assert found.function() == "override"
    assert found.marks.mappings == {MappingKind.MESSAGE: ("/a",)}
    assert method_marks(Override, "a") is method_marks(Base, "a")


class Renamed(Base):
    @message_mapping("/b")
    def a(self) -> str:
        return "renamed"


class AlsoForSubscriptions(Renamed):
    @subscribe_mapping("/c")
    @send_to_user("/queue/c")
    def a(self) -> str:
        return "also for subscriptions"


class WithoutIt(Base):
    a = None  # type: ignore[assignment]  # it is not to be mapped any more

    @message_mapping("/other")
    def other(self) -> None: ...


@pytest.mark.spec("ANN-02", "ANN-07")
def test_an_override_says_anew_what_it_wants_otherwise_and_inherits_the_rest() -> None:
    marks = method_marks(Renamed, "a")
    assert (marks.mappings, marks.send_to) == ({MappingKind.MESSAGE: ("/b",)}, ("/topic/a",))
    marks = method_marks(AlsoForSubscriptions, "a")
    assert marks.mappings == {MappingKind.MESSAGE: ("/b",), MappingKind.SUBSCRIBE: ("/c",)}
    assert marks.send_to == ("/topic/a",)
    assert marks.send_to_user is not None
    assert method_marks(Base, "a").mappings == {MappingKind.MESSAGE: ("/a",)}


@pytest.mark.spec("ANN-02")
def test_a_method_that_a_subclass_sets_to_none_is_not_mapped() -> None:
    assert [each.marks.mappings for each in marked_functions(WithoutIt())] == [{MappingKind.MESSAGE: ("/other",)}]


@pytest.mark.spec("ANN-07")
def test_marking_a_subclass_leaves_its_base_alone() -> None:
    assert marks_of(MarkedSub).send_to == ("/topic/base",)
    assert marks_of(MarkedSub).send_to_user is not None
    assert marks_of(Marked).send_to_user is None


@pytest.mark.spec("ANN-02")
def test_forgotten_parentheses_are_told() -> None:
    for decorate in (message_mapping, subscribe_mapping, send_to, send_to_user, controller_advice):
        with pytest.raises(TypeError, match=rf"written with parentheses: @{decorate.__name__}\(\.\.\.\)"):
            decorate(lambda: None)  # type: ignore[arg-type]  # the mistake that the error is about
    with pytest.raises(
        TypeError, match=r"takes types of exceptions and is written with .* or @message_exception_handler\(\)"
    ):
        message_exception_handler(lambda: None)  # type: ignore[arg-type]  # as above


@pytest.mark.spec("ANN-02")
def test_subscribe_mapping_is_not_for_classes() -> None:
    with pytest.raises(TypeError, match="subscribe_mapping is for methods"):
        subscribe_mapping("/a")(Marked)


@pytest.mark.spec("ANN-02")
def test_a_class_in_place_of_an_instance_is_told() -> None:
    with pytest.raises(TypeError, match=r"Base is a class: register an instance of it, Base\(\)"):
        marked_functions(Base)


@pytest.mark.spec("ANN-02")
def test_something_without_marked_methods_is_refused() -> None:
    for each in (object(), len, Marked()):
        with pytest.raises(ValueError, match="has no method for messages, subscriptions or exceptions"):
            marked_functions(each)


@pytest.mark.spec("ANN-04")
@pytest.mark.parametrize("marker", [Payload, Header, Headers, DestinationVariable, Valid, Validated])
def test_a_marker_may_be_written_as_a_class(marker: Any) -> None:
    as_class = MethodParameter("x", Annotated[int, marker])
    as_instance = MethodParameter("x", Annotated[int, marker()])
    for each in (as_class, as_instance):
        assert isinstance(each.marker(marker), marker)
        assert isinstance(each.marker(marker), ParameterMarker)
        assert each.annotation is int
        assert each.is_marked


@pytest.mark.spec("ANN-04")
def test_optional_is_peeled_inside_and_outside() -> None:
    for annotation in (
        Annotated[int | None, Header],
        Annotated[int, Header] | None,
        Annotated[int | None, "x", Header],
    ):
        parameter = MethodParameter("x", annotation)
        assert (parameter.annotation, parameter.is_optional) == (int, True)
        assert parameter.marker(Header) is not None
    assert not MethodParameter("x", int | str).is_optional


@pytest.mark.spec("ANN-02", "ANN-07")
@pytest.mark.parametrize("decorator", [message_mapping, subscribe_mapping, send_to, send_to_user])
def test_destinations_are_given_one_by_one(decorator: Any) -> None:
    name = decorator.__name__
    with pytest.raises(TypeError) as caught:
        decorator(["/a", "/b"])
    assert str(caught.value) == f"{name} takes strings one by one, not in a list: @{name}('/a', '/b')"
