from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wellhead.messaging.pattern import split_segment
from wellhead.messaging.pattern_glob import GlobSegment

pytestmark = pytest.mark.spec("DEST-01")


def glob(token: str, *, case_sensitive: bool = True) -> GlobSegment:
    return GlobSegment(split_segment(token), case_sensitive)


def expression(token: str) -> str:
    """The same for `re`."""
    return "".join(
        re.escape(text) if kind == "text" else "." if kind == "?" else ".*" for kind, text in split_segment(token)
    )


@settings(max_examples=1_000, deadline=None)
@given(
    st.lists(st.sampled_from(["a", "b", "ab", "*", "?", "{x}", "{", "\n"]), max_size=9).map("".join),
    st.text(alphabet="ab\n{?*", max_size=12),
)
def test_it_agrees_with_re(token: str, text: str) -> None:
    expected = re.fullmatch(expression(token), text, re.DOTALL) is not None
    assert glob(token).match(text, None, [10_000]) is expected


@pytest.mark.parametrize(
    ("token", "text", "expected"),
    [
        ("price.*", "price.stock", True),
        ("price.*", "price", False),
        ("*.html", ".html", True),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("a?", "a", False),
        ("a?c", "abc", True),
        ("a?c", "abcd", False),
        ("{a}-{b}", "1-2", True),
        ("{a}-{b}", "12", False),
        ("*a?b*", "xaab", True),
        ("*a?b*", "aaxb.", True),
        ("**??b*", "ab", False),
        ("*?*", "", False),
        ("*?*", "x", True),
    ],
)
def test_wildcards(token: str, text: str, expected: bool) -> None:
    assert glob(token).match(text, None, [100]) is expected


def test_case_may_not_count() -> None:
    assert glob("Price.*", case_sensitive=False).match("pRICE.x", None, [100])
    assert not glob("Price.*").match("pRICE.x", None, [100])


@pytest.mark.parametrize(
    ("token", "text"),
    [
        ("*" + "a*" * 100 + "b*", "a" * 60_000),
        ("*" + "a?" * 100 + "b*", "a" * 60_000),
        ("*b" + "a" * 90 + "*", "a" * 60_000),
        ("*?a" + "?" * 90 + "b*", "a" * 60_000),
    ],
)
def test_what_it_takes_is_counted(token: str, text: str) -> None:
    for steps in (10, 50):
        with pytest.raises(RuntimeError, match="Too many character accesses"):
            glob(token).match(text, None, [steps])
    budget = [10_000_000]
    assert not glob(token).match(text, None, budget)
    assert budget[0] < 10_000_000 - 100


def test_ordinary_ones_take_few_steps() -> None:
    for token, text in (("price.*", "price.stock"), ("*.html", "x.html"), ("{a}-{b}", "1-2"), ("a?c", "abc")):
        budget = [6]
        assert glob(token).match(text, None, budget)
