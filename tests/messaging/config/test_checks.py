"""What is told of values that make no sense."""

from __future__ import annotations

from fractions import Fraction

import pytest

from wellhead.messaging.config.checks import at_least, objects, one_or_more, texts

pytestmark = pytest.mark.spec("CFG-06", "CFG-07")


@pytest.mark.parametrize("value", [3, 4, 3.5])
def test_a_number_that_is_large_enough_is_given_back(value):
    assert at_least(3, value, "size") == value


def test_a_smaller_number_is_told_with_its_name():
    with pytest.raises(ValueError, match="^size must be 3 or more, not 2$"):
        at_least(3, 2, "size")


@pytest.mark.parametrize("value", ["64k", None])
def test_what_is_no_number_is_told_with_its_name(value):
    with pytest.raises(TypeError, match=f"^size must be a number, not {value!r}$"):
        at_least(3, value, "size")


def test_texts_are_given_back():
    assert texts(("/a", "/b"), "call") == ("/a", "/b")
    assert texts((), "call") == ()


def test_a_list_of_texts_is_told_with_the_remedy():
    with pytest.raises(TypeError, match=r"^call takes its arguments one by one, not in a list: call\('/a', '/b'\)$"):
        texts((["/a", "/b"],), "call")


def test_something_else_than_a_text_is_told():
    with pytest.raises(TypeError, match="^call takes texts, not 1$"):
        texts(("/a", 1), "call")


def test_objects_are_given_back():
    things = [object(), len]
    assert objects(things, "call") is things


def test_a_list_of_objects_is_told_with_the_remedy():
    with pytest.raises(TypeError, match=r"^call takes its arguments one by one, not in a tuple: call\(1, 2\)$"):
        objects([(1, 2)], "call")


def test_a_class_in_place_of_an_object_is_told_with_the_remedy():
    with pytest.raises(TypeError, match=r"^Fraction is a class: call takes an instance of it, Fraction\(\)$"):
        objects([Fraction], "call")


@pytest.mark.parametrize(("given", "expected"), [("ab", ("ab",)), (["a", "b"], ("a", "b")), ((), ())])
def test_one_text_stands_for_itself(given, expected):
    assert one_or_more(given) == expected
