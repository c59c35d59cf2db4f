import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wellhead.messaging.broker.selector import (
    MAX_SELECTOR_DEPTH,
    MAX_SELECTOR_LENGTH,
    SelectorSyntaxError,
    compile_selector,
)

pytestmark = pytest.mark.spec("SB-05")

HEADERS: dict[str, object] = {
    "foo": "bar",
    "count": "5",
    "price": "10.5",
    "flag": "true",
    "quote": "it's",
    "content-length": "3",
    "eq": "word",
    "size": 7,
    "urgent": True,
    "kind": {"a": 1},
}


def matches(text: str) -> bool:
    return compile_selector(text).matches(HEADERS.get)


@pytest.mark.parametrize(
    "text",
    [
        "headers.foo == 'bar'",
        "headers['foo'] == \"bar\"",
        "headers . foo=='bar'",
        "headers.foo eq 'bar'",
        "headers.foo EQ 'bar'",
        "headers.foo != 'baz'",
        "headers.foo ne 'baz'",
        "headers.quote == 'it''s'",
        'headers.quote == "it\'s"',
        "headers['content-length'] == 3",
        "headers.eq == 'word'",
        "headers.count < 6 and headers.count gt 4 and headers.count <= 5 and headers.count >= 5",
        "headers.count lt 6 && headers.count le 5 && headers.count ge 5.0",
        "headers.count == 5",
        "5 == headers.count",
        "headers.count > -1e3",
        "headers.price == 10.50",
        "headers.size == 7 and headers.size > headers.count",
        "headers.absent == null",
        "headers.foo != NULL",
        "headers.absent < 5",
        "headers.absent < 'a'",
        "headers.flag",
        "headers.flag == true",
        "headers.urgent",
        "headers.urgent == True",
        "!(headers.foo == 'baz')",
        "not (headers.foo == 'baz')",
        "not not headers.urgent",
        "false or headers.foo == 'bar'",
        "true || true && false",
        "(true || false) && true",
        "true or headers.kind > 1",
        "foo == null",
        "headers != null",
        "'10' < '9'",
        "true != 1",
    ],
)
def test_expression_that_is_true(text: str) -> None:
    assert matches(text) is True


@pytest.mark.parametrize(
    "text",
    [
        "headers.foo == 'baz'",
        "headers.foo == 'BAR'",
        "headers.FOO == 'bar'",
        "headers.absent == 'bar'",
        "headers.absent > 5",
        "headers.foo == 5",
        "true && false",
        "(true || true) && false",
        "not true",
        "true == 1",
        "foo == 'x'",
        "1 == '1_0'",
        "'nan' == 1",
    ],
)
def test_expression_that_is_false(text: str) -> None:
    assert matches(text) is False


@pytest.mark.parametrize(
    "text",
    [
        "headers.foo",
        "headers.count",
        "headers.absent",
        "!headers.foo",
        "!headers.absent",
        "headers",
        "'text'",
        "1",
        "null",
        "headers.foo < 5",
        "headers.foo > 5",
        "headers.foo >= 5",
        "!headers.absent == null || true",  # negation binds tighter than comparison, and null is no boolean
        "headers.kind > 1",
        "headers.kind < 'a'",
        "headers.urgent < 5",
        "payload.name == null",
        "headers.foo.length == null",
        "headers.foo == 'bar' and headers.foo",
    ],
)
def test_evaluation_error_or_non_true_is_no_match(text: str) -> None:
    assert matches(text) is False


def test_failing_lookup_is_no_match() -> None:
    def lookup(name: str) -> object:
        raise KeyError(name)

    assert compile_selector("headers.foo == null").matches(lookup) is False


def test_failing_comparison_of_a_header_value_is_no_match() -> None:
    class Stubborn:
        def __eq__(self, other: object) -> bool:
            raise RuntimeError("no")

        __hash__ = None  # type: ignore[assignment]  # unhashable, as Python makes it

    assert compile_selector("headers.foo != 'a'").matches(lambda name: Stubborn()) is False


def test_right_side_is_not_evaluated_when_the_left_side_decides() -> None:
    asked: list[str] = []

    def lookup(name: str) -> object:
        asked.append(name)
        return "true"

    assert compile_selector("headers.a or headers.b").matches(lookup)
    assert not compile_selector("!headers.c and headers.d").matches(lookup)
    assert asked == ["a", "c"]


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 0),
        ("  ", 2),
        ("headers.foo ==", 14),
        ("headers.foo = 'bar'", 11),
        ("headers.foo === 'bar'", 14),
        ("== 'bar'", 0),
        ("headers.foo 'bar'", 12),
        ("headers.", 8),
        ("headers[foo] == 'bar'", 8),
        ("headers['foo' == 'bar'", 14),
        ("headers.content-length == 3", 15),
        ("headers.foo == 'bar", 14),
        ('headers.foo == "bar', 14),
        ("(headers.foo == 'bar'", 21),
        ("headers.foo == 'bar')", 20),
        ("headers.a < headers.b < headers.c", 22),
        ("headers.foo.toString() == 'bar'", 20),
        ("headers.foo() == 'bar'", 11),
        ("T(java.lang.Runtime) == null", 1),
        ("new Object() == null", 0),
        ("@bean == null", 0),
        ("headers.foo + 'a' == 'bara'", 11),
        ("-headers.count == -5", 1),
        ("headers.foo ? true : false", 11),
        ("{1, 2} == null", 0),
        ("12abc == 1", 0),
        ("1. == 1", 0),
        ("true and", 8),
        ("not", 3),
    ],
)
def test_unparsable_text_is_a_syntax_error_with_its_position(text: str, position: int) -> None:
    with pytest.raises(SelectorSyntaxError) as caught:
        compile_selector(text)
    assert caught.value.position == position
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("word", ["matches", "between", "instanceof", "Matches", "div", "mod"])
def test_operator_outside_the_subset_is_named_in_the_error(word: str) -> None:
    with pytest.raises(SelectorSyntaxError, match=f"'{word}' is not supported at position 12"):
        compile_selector(f"headers.foo {word} 'b.*'")


@pytest.mark.parametrize(("length", "accepted"), [(-1, True), (0, True), (1, False)])
def test_length_is_limited(length: int, accepted: bool) -> None:
    assert MAX_SELECTOR_LENGTH == 4096
    text = "true".ljust(MAX_SELECTOR_LENGTH + length)
    if accepted:
        assert matches(text)
    else:
        with pytest.raises(SelectorSyntaxError, match="longer than 4096"):
            compile_selector(text)


@pytest.mark.parametrize(("opening", "closing"), [("(", ")"), ("!", "")])
@pytest.mark.parametrize(("levels", "accepted"), [(31, True), (32, True), (33, False)])
def test_nesting_is_limited(opening: str, closing: str, levels: int, accepted: bool) -> None:
    assert MAX_SELECTOR_DEPTH == 32
    text = opening * levels + "true" + closing * levels
    if accepted:
        assert matches(text) is (opening == "(" or levels % 2 == 0)
    else:
        with pytest.raises(SelectorSyntaxError, match="nested deeper than 32"):
            compile_selector(text)


def test_parentheses_and_negations_count_together() -> None:
    assert matches("!(" * 16 + "true" + ")" * 16)
    with pytest.raises(SelectorSyntaxError):
        compile_selector("!" + "!(" * 16 + "true" + ")" * 16)


def test_long_flat_chain_needs_no_nesting() -> None:
    assert matches(" and ".join(["true"] * 400))
    assert matches("(true)&&" * 400 + "true")


def test_selector_tells_its_text() -> None:
    selector = compile_selector("headers.foo == 'bar'")
    assert selector.text == "headers.foo == 'bar'"
    assert repr(selector) == "<Selector \"headers.foo == 'bar'\">"


@settings(deadline=None)
@given(st.text(alphabet="headers.fo[]'\"=!<>&|()-12 truenl", max_size=40))
def test_any_text_compiles_or_is_a_syntax_error(text: str) -> None:
    try:
        selector = compile_selector(text)
    except SelectorSyntaxError as error:
        assert 0 <= error.position <= len(text)
    else:
        assert selector.matches(HEADERS.get) in (True, False)


@settings(deadline=None)
@given(st.text(max_size=20), st.sampled_from("'\""))
def test_any_string_survives_quoting(value: str, quote: str) -> None:
    literal = quote + value.replace(quote, quote * 2) + quote
    assert compile_selector(f"headers.x == {literal}").matches(lambda name: value)


@settings(deadline=None)
@given(st.integers(), st.integers())
def test_numeric_strings_compare_as_numbers(header: int, literal: int) -> None:
    def check(sign: str) -> bool:
        return compile_selector(f"headers.x {sign} {literal}").matches(lambda name: str(header))

    assert check("==") is (header == literal)
    assert check("!=") is (header != literal)
    assert check("<") is (header < literal)
    assert check(">=") is (header >= literal)


_expressions = st.recursive(
    st.sampled_from(["true", "false"]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]} and {pair[1]})"),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]} or {pair[1]})"),
        inner.map(lambda text: f"(not {text})"),
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.lists(_expressions, min_size=1, max_size=4), st.sampled_from([" and ", " or "]))
def test_boolean_algebra_is_that_of_python(parts: list[str], word: str) -> None:
    text = word.join(parts)
    expected = eval(text.replace("true", "True").replace("false", "False"))
    assert matches(text) is expected
