"""How marks of overridden methods and of classes come together along the order of the bases."""

from __future__ import annotations

from typing import Any

import pytest

from wellhead.messaging.handler.annotations import (
    controller_advice,
    message_exception_handler,
    message_mapping,
    send_to,
    send_to_user,
    subscribe_mapping,
)
from wellhead.messaging.handler.controllers import marked_functions
from wellhead.messaging.handler.marks import NO_MARKS, MappingKind, marks_of, method_marks


@controller_advice(order=1)
@message_mapping("/base")
@send_to("/topic/base")
class Base:
    @message_mapping("/a")
    @send_to("/topic/a")
    def a(self) -> Any: ...

    @message_exception_handler(ValueError)
    @send_to_user("/queue/errors")
    def failed(self) -> Any: ...

    def plain(self) -> None: ...


class Left(Base):
    @send_to("/topic/left")
    def a(self) -> Any: ...


class Right(Base):
    @subscribe_mapping("/right")
    @send_to("/topic/right")
    def a(self) -> Any: ...

    @message_exception_handler(KeyError)
    def failed(self) -> Any: ...


class Both(Left, Right):
    def a(self) -> Any: ...


class Disabled(Left):
    a = None  # type: ignore[assignment]  # it is not to be mapped any more


class Afresh(Disabled):
    @subscribe_mapping("/afresh")
    def a(self) -> Any: ...  # type: ignore[override]  # as it was before


class Unmarked(Disabled):
    def a(self) -> Any: ...  # type: ignore[override]  # as it was before


@pytest.mark.spec("ANN-02", "ANN-07")
def test_each_mark_comes_from_the_first_in_the_order_of_the_bases() -> None:
    marks = method_marks(Both, "a")
    assert marks.mappings == {MappingKind.MESSAGE: ("/a",), MappingKind.SUBSCRIBE: ("/right",)}
    assert (marks.send_to, marks.send_to_user) == (("/topic/left",), None)
    assert method_marks(Left, "a").mappings == {MappingKind.MESSAGE: ("/a",)}


@pytest.mark.spec("ANN-07", "ANN-08")
def test_an_exception_handler_that_is_overridden_keeps_where_its_reply_goes() -> None:
    marks = method_marks(Right, "failed")
    assert marks.exception_types == (KeyError,)
    assert marks.send_to_user is not None and marks.send_to_user.destinations == ("/queue/errors",)


@pytest.mark.spec("ANN-02")
def test_merging_changes_neither_level() -> None:
    method_marks(Both, "a").mappings.clear()
    assert method_marks(Both, "a").mappings == {MappingKind.MESSAGE: ("/a",), MappingKind.SUBSCRIBE: ("/right",)}
    assert method_marks(Base, "a").send_to == ("/topic/a",)


@pytest.mark.spec("ANN-02")
def test_none_hides_what_is_above_it_and_nothing_below() -> None:
    assert method_marks(Disabled, "a") is NO_MARKS
    assert method_marks(Unmarked, "a") is NO_MARKS
    marks = method_marks(Afresh, "a")
    assert (marks.mappings, marks.send_to) == ({MappingKind.SUBSCRIBE: ("/afresh",)}, None)
    assert [each.function.__name__ for each in marked_functions(Disabled())] == ["failed"]


@pytest.mark.spec("ANN-02", "ANN-07", "ANN-08")
def test_marks_of_a_class_are_completed_by_those_of_its_bases() -> None:
    @message_mapping("/sub")
    class Sub(Base):
        pass

    marks = marks_of(Sub)
    assert (marks.mappings, marks.send_to) == ({MappingKind.MESSAGE: ("/sub",)}, ("/topic/base",))
    assert marks.advice is marks_of(Base).advice is not None
    assert marks_of(Base).mappings == {MappingKind.MESSAGE: ("/base",)}


@pytest.mark.spec("ANN-02")
def test_a_base_that_is_marked_later_counts_as_well() -> None:
    class Early:
        pass

    @send_to("/topic/sub")
    class Sub(Early):
        pass

    message_mapping("/early")(Early)
    assert marks_of(Sub).mappings == {MappingKind.MESSAGE: ("/early",)}


@pytest.mark.spec("ANN-02")
def test_what_has_no_marks_has_the_same_none() -> None:
    assert method_marks(Base, "plain") is method_marks(Base, "missing") is marks_of(object) is marks_of(len) is NO_MARKS
