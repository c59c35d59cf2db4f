import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import combinations
from re import _parser as sre_parse  # what `re` itself makes of a pattern
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wellhead.messaging import pattern_program
from wellhead.messaging.matching import ACCESS_LIMIT, CACHE_LIMIT, AntPathMatcher, CutPath, PathMatcher

MATCHER = AntPathMatcher()
DOTTED = AntPathMatcher(".")


@contextmanager
def without_re() -> Iterator[AntPathMatcher]:
    """A matcher that leaves nothing to `re`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pattern_program, "_RE_STEPS", 0)
        yield AntPathMatcher()


@pytest.mark.spec("DEST-01")
@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        # literal
        ("test", "test", True),
        ("/test", "/test", True),
        ("https://example.org", "https://example.org", True),
        ("", "", True),
        ("/", "/", True),
        ("/a", "/b", False),
        ("/a", "/A", False),
        ("/a/b", "/a/bc", False),
        # leading separator
        ("/test", "test", False),
        ("test", "/test", False),
        ("*", "/a", False),
        ("/**", "a", False),
        ("**", "/a", False),
        ("", "/", False),
        # trailing separator
        ("/a", "/a/", False),
        ("/a/", "/a", False),
        ("/a/", "/a/", True),
        ("/a/*", "/a/b/", False),
        ("/a/*/", "/a/b/", True),
        ("/a/*/", "/a/b", False),
        ("/a/{x}", "/a/", False),
        ("/a/*", "/a/", True),
        ("/a/*/", "/a/", True),
        ("/*", "/", True),
        ("/a/b*", "/a/", False),
        ("/a/*", "/a", False),
        ("/a/**", "/a/", True),
        ("/a/**", "/a/b/", True),
        ("/a/**/", "/a/b", True),
        ("/a/**/", "/a", True),
        ("/**/a", "/x/a/", False),
        ("/**/a/", "/x/a/", True),
        ("/**/a/", "/x/a", False),
        ("/**/*", "/a/", False),
        # empty segments
        ("/a/b", "/a//b", True),
        ("/a//b", "/a/b", True),
        ("/a", "//a", True),
        ("//a//b", "/a/b", True),
        ("/a/**", "//a//b", True),
        ("/a/**", "//b", False),
        ("/", "//", True),
        # ?
        ("t?st", "test", True),
        ("??st", "test", True),
        ("tes?", "test", True),
        ("te??", "test", True),
        ("?es?", "test", True),
        ("tes?", "tes", False),
        ("tes?", "testt", False),
        ("tes?", "tsst", False),
        ("/?", "/a", True),
        ("/?/a", "/a/a", True),
        ("/a?b", "/a/b", False),
        # *
        ("*", "test", True),
        ("*", "", False),
        ("test*", "test", True),
        ("test*", "testTest", True),
        ("test/*", "test/Test", True),
        ("test/*", "test/t", True),
        ("*test*", "AnothertestTest", True),
        ("*test", "Anothertest", True),
        ("*.*", "test.", True),
        ("*.*", "test.test.test", True),
        ("test*aaa", "testblaaaa", True),
        ("test*", "tst", False),
        ("test*", "test/t", False),
        ("test/*", "test", False),
        ("*test*", "tsttst", False),
        ("*.*", "tsttst", False),
        ("test*aaa", "test", False),
        ("test*aaa", "testblaaab", False),
        ("/a/*", "/a/b", True),
        ("/a/*", "/a/b/c", False),
        ("/a/*/c", "/a/c", False),
        ("/a/*/c", "/a/b/c", True),
        ("/*.html", "/x.html", True),
        ("/*.html", "/x.htm", False),
        ("/a**b", "/axxb", True),
        ("/a**b", "/a/b", False),
        ("/a.b", "/axb", False),
        ("/a+*", "/a+b", True),
        ("/a+*", "/aab", False),
        ("/*", "/a\nb", True),
        # **
        ("/**", "/", True),
        ("/**", "/a/b", True),
        ("**", "a/b", True),
        ("**", "", True),
        ("/a/**", "/a", True),
        ("/a/**", "/a/b", True),
        ("/a/**", "/a/b/c", True),
        ("/a/**", "/ab", False),
        ("/a/**", "/b", False),
        ("/a/**/**", "/a", True),
        ("/*/**", "/testing/testing", True),
        ("/**/*", "/testing/testing", True),
        ("/bla/**/bla", "/bla/testing/testing/bla", True),
        ("/bla/**/bla", "/bla/bla", True),
        ("/bla/**/bla", "/bla", False),
        ("/bla/**/**/bla", "/bla/testing/testing/bla/bla", True),
        ("/bla/**/bla", "/bla/testing/bla/x", False),
        ("/*bla*/**/bla/**", "/XXXblaXXXX/testing/testing/bla/testing/testing/", True),
        ("/*bla*/**/bla/*", "/XXXblaXXXX/testing/testing/bla/testing", True),
        ("/*bla*/**/bla/**", "/XXXblaXXXX/testing/testing/bla/testing/testing.jpg", True),
        ("*bla*/**/bla/*", "XXXblaXXXX/testing/testing/bla/testing/testing", False),
        ("/x/x/**/bla", "/x/x/x/", False),
        ("/**/a/b/**/c", "/a/a/b/x/c", True),
        ("/**/a/b/**/c", "/a/x/b/x/c", False),
        ("/foo/bar/**", "/foo/bar", True),
        ("/foo/bar/**/", "/foo/bar", True),
        # variables
        ("/{bla}.*", "/testing.html", True),
        ("/{bla}", "//x\ny", True),
        ("/{a}-{b}", "/1-2", True),
        ("/{a}-{b}", "/12", False),
        ("/{a}", "/1/2", False),
        ("/{id:\\d+}", "/12", True),
        ("/{id:\\d+}", "/12a", False),
        ("/{id:\\d{2}}", "/12", True),
        ("/{id:\\d{2}}", "/123", False),
        ("/{x:a|bc}d", "/bcd", True),
        ("/{x:a|bc}d", "/bc", False),
        ("/{x:(a)}", "/a", True),
        ("/{}", "/{}", True),
        ("/{x", "/{x", True),
        ("/x}", "/x}", True),
        ("/{a{b}", "/{ac", True),
        ("/{x:[{]}", "/{x:[ab", True),
        ("/{x:\\{a}", "/{a", True),
    ],
)
def test_match(pattern: str, path: str, expected: bool) -> None:
    assert MATCHER.match(pattern, path) is expected
    with without_re() as matcher:
        assert matcher.match(pattern, path) is expected
    if len(pattern) <= 256:
        assert client_match(pattern, path) is expected


@pytest.mark.spec("DEST-01")
@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("/a/b", "/a", True),
        ("/a/b", "/a/b", True),
        ("/a/b", "/a/b/", False),
        ("/a/b", "/a/b/c", False),
        ("/a/b", "/b", False),
        ("/a/b", "a", False),
        ("/a/**", "/a/x/y", True),
        ("/a/**/c", "/a/x/y", True),
        ("/a/**/c", "/b", False),
        ("/*/c", "/a", True),
        ("/a", "", False),
    ],
)
def test_match_start(pattern: str, path: str, expected: bool) -> None:
    assert MATCHER.match_start(pattern, path) is expected


@pytest.mark.spec("DEST-01")
def test_case_is_told_apart_unless_switched_off() -> None:
    relaxed = AntPathMatcher(case_sensitive=False)
    assert relaxed.match("/Foo/B*r/{x:[a-c]+}", "/fOO/bxR/ABC")
    assert not relaxed.match("/foo", "/bar")
    assert client_match("/Foo/B*r/{x:[a-c]+}/{y}", "/fOO/bxR/ABC/Y", matcher=relaxed)
    assert relaxed.extract_uri_template_variables("/FOO/{Name}-X", "/foo/Value-x") == {"Name": "Value"}
    assert not MATCHER.match("/Foo/b*", "/Foo/Bar")
    with without_re():
        assert AntPathMatcher(case_sensitive=False).match("/B*r/{x:[a-c]+}", "/bxR/ABC")


@pytest.mark.spec("DEST-01")
def test_tokens_are_trimmed_only_when_asked() -> None:
    trimming = AntPathMatcher(trim_tokens=True)
    assert trimming.match("/ a /b", "/a/ b ")
    assert trimming.match("/a/ /b", "/a/b")
    assert client_match("/ a /b*", "/a/ bc ", matcher=trimming)
    assert trimming.extract_uri_template_variables("/{x}", "/ 1 ") == {"x": "1"}
    assert not MATCHER.match("/ a /b", "/a/b")


@pytest.mark.spec("DEST-01")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/a", False),
        ("", False),
        ("/*", True),
        ("/a?", True),
        ("/**", True),
        ("/{a}", True),
        ("/{a}/b", True),
        ("/{a", False),
        ("/a}", False),
        ("/}a{", False),
        ("/}{}", True),
    ],
)
def test_is_pattern(text: str, expected: bool) -> None:
    assert MATCHER.is_pattern(text) is expected


@pytest.mark.spec("DEST-01")
@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("/a", "/a", {}),
        ("/{a}-{b}", "/1-2", {"a": "1", "b": "2"}),
        ("/{a}-{b}", "/1-2-3", {"a": "1-2", "b": "3"}),
        ("/{a}-{b}", "/-", {"a": "", "b": ""}),
        ("/hotels/{hotel}", "/hotels/1", {"hotel": "1"}),
        ("/h?tels/{hotel}", "/hotels/1", {"hotel": "1"}),
        ("/hotels/{hotel}/bookings/{booking}", "/hotels/1/bookings/2", {"hotel": "1", "booking": "2"}),
        ("/**/hotels/**/{hotel}", "/foo/hotels/bar/1", {"hotel": "1"}),
        ("/**/{a}/x/**", "/1/2/x/3", {"a": "2"}),
        ("/{page}.html", "/42.html", {"page": "42"}),
        ("/{page}.*", "/42.html", {"page": "42"}),
        ("/A-{B}-C", "/A-b-C", {"B": "b"}),
        ("/{name}.{extension}", "/test.html", {"name": "test", "extension": "html"}),
        (
            "{symbolicName:[\\w\\.]+}-{version:[\\w\\.]+}.jar",
            "com.example-1.0.0.jar",
            {"symbolicName": "com.example", "version": "1.0.0"},
        ),
        (
            "{n:[\\w\\.]+}-sources-{v:\\d+\\.\\d+(?:\\.\\d+)?(?:-\\w+)?}.jar",
            "com.example-sources-1.0-SNAPSHOT.jar",
            {"n": "com.example", "v": "1.0-SNAPSHOT"},
        ),
        ("/{a:.*?}{b:\\d*}", "/x12", {"a": "x", "b": "12"}),
        ("/{year:\\d{4}}-{month:\\d{1,2}}", "/2024-7", {"year": "2024", "month": "7"}),
        ("/{slug:(?:[a-z]+-)*[a-z]+}", "/a-long-slug", {"slug": "a-long-slug"}),
        ("/{x:(?=a)\\w+}{y:(?!b)\\w}$", "/abc$", {"x": "ab", "y": "c"}),
        ("/{a:}", "/x", None),
        ("/{a}", "/1/2", None),
        ("/a", "/b", None),
    ],
)
def test_extract_variables(pattern: str, path: str, expected: dict[str, str] | None) -> None:
    with without_re() as counting:
        for matcher in (MATCHER, counting):
            if expected is None:
                with pytest.raises(RuntimeError, match="is not a match for"):
                    matcher.extract_uri_template_variables(pattern, path)
            else:
                assert matcher.extract_uri_template_variables(pattern, path) == expected


@pytest.mark.spec("DEST-01")
@pytest.mark.parametrize("pattern", ["/web/{id:foo(bar)?}", "/web/{id:(?P<x>foo)}", "/web/{id:((foo))}"])
def test_capturing_group_is_refused_when_extracting(pattern: str) -> None:
    with without_re() as counting:
        for matcher in (MATCHER, counting):
            with pytest.raises(ValueError, match="The number of capturing groups in the pattern segment"):
                matcher.extract_uri_template_variables(pattern, "/web/foo")


@pytest.mark.spec("DEST-01")
def test_variable_over_several_segments_is_refused_when_extracting() -> None:
    for pattern in ("/web/{*foobar}", "/web/x{*foobar}"):
        with pytest.raises(ValueError, match=r"Capturing patterns \(\*foobar\) are not supported"):
            MATCHER.extract_uri_template_variables(pattern, "/web/xfoo")


@pytest.mark.spec("DEST-01")
@pytest.mark.parametrize(
    "regex",
    [
        "[", "[z-a]", "(?:a", "a)", "*", "a**", "a++", "a{2}{3}", "a{3,2}", "(?i)a", "(?i:a)", "(?<=a)b", "(?<!a)b",
        "(?>a)", "(a)\\1", "(?P<x>a)(?P=x)", "\\q", "a{9999}", "(?:(?:a{99}){99}){99}", "(?:" * 31 + ")" * 31,
    ],
)  # fmt: skip
def test_regex_that_is_malformed_or_unsupported_is_refused_whatever_the_path(regex: str) -> None:
    pattern = "/{x:" + regex + "}"
    for path in ("", "/a", "/a/b"):
        with pytest.raises(ValueError, match="pattern segment"):
            MATCHER.match(pattern, path)


@pytest.mark.spec("DEST-01")
@pytest.mark.parametrize(("length", "accepted"), [(4_999, True), (5_000, True), (5_001, False)])
def test_size_of_a_compound_segment_is_limited(length: int, accepted: bool) -> None:
    pattern = "?" * length
    if accepted:
        assert MATCHER.match(pattern, "x" * length)
    else:
        with pytest.raises(ValueError, match="too large"):
            MATCHER.match(pattern, "x" * length)


@pytest.mark.spec("DEST-01")
def test_group_may_be_nested_thirty_deep() -> None:
    assert MATCHER.match("/{x:" + "(?:" * 30 + "a" + ")" * 30 + "}", "/a")


@pytest.mark.spec("DEST-01")
@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("/docs/commit.html", "/docs/commit.html", ""),
        ("/docs/*", "/docs/cvs/commit", "cvs/commit"),
        ("/docs/cvs/*.html", "/docs/cvs/commit.html", "commit.html"),
        ("/docs/**", "/docs/cvs/commit", "cvs/commit"),
        ("/docs/**/*.html", "/docs/cvs/commit.html", "cvs/commit.html"),
        ("/*.html", "/commit.html", "commit.html"),
        ("*.html", "/commit.html", "/commit.html"),
        ("*", "/commit.html", "/commit.html"),
        ("**/commit.*", "/docs/cvs/commit.html", "/docs/cvs/commit.html"),
        ("/d?cs/*", "/docs/cvs/commit", "docs/cvs/commit"),
        ("/docs/c?s/*.html", "/docs/cvs/commit.html", "cvs/commit.html"),
        ("/docs/{x}/*", "/docs/cvs/commit", "commit"),
        ("/docs/*", "/docs", ""),
        ("*", "", ""),
    ],
)
def test_extract_path_within_pattern(pattern: str, path: str, expected: str) -> None:
    assert MATCHER.extract_path_within_pattern(pattern, path) == expected


# --- Limits ---


@pytest.mark.spec("DEST-01")
def test_access_limit_is_a_million() -> None:
    assert ACCESS_LIMIT == 1_000_000
    assert MATCHER.match("/*?", "/" + "x" * 50_000)
    with pytest.raises(RuntimeError, match="Too many character accesses"):
        MATCHER.match("/*?", "/" + "x" * 400_000)


@pytest.mark.spec("DEST-01")
@pytest.mark.parametrize(("accesses", "accepted"), [(9, True), (10, True), (11, False)])
@pytest.mark.parametrize(
    ("pattern", "make_path"),
    [
        ("/x*", lambda accesses: "/" + "x" * accesses),
        ("/*?/?*", lambda accesses: "/xxxxx/" + "x" * (accesses - 5)),
        ("/**/b/**", lambda accesses: "/a" * accesses),
        ("/**/x*y/**", lambda accesses: "/" + "x" * (accesses - 1)),
    ],
)
def test_match_gives_up_beyond_the_access_limit(
    pattern: str, make_path: Callable[[int], str], accesses: int, accepted: bool
) -> None:
    matcher = AntPathMatcher(access_limit=10)
    path = make_path(accesses)
    if accepted:
        matcher.match(pattern, path)
    else:
        with pytest.raises(RuntimeError, match="Too many character accesses"):
            matcher.match(pattern, path)
        with pytest.raises(RuntimeError, match="Too many character accesses"):
            matcher.extract_uri_template_variables(pattern, path)


@pytest.mark.spec("DEST-01")
@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/" + "*a" * 300 + "b", "/" + "a" * 600),
        ("/{x:(?:a+)+b}", "/" + "a" * 5_000),
        ("/{x:(?:a|aa|a?)*b}", "/" + "a" * 5_000),
        ("/{x:(?:(?:a*)*)*b}", "/" + "a" * 5_000),
        ("/{x:(?=(?:a+)+b)+a*}", "/" + "a" * 40),
        ("/{x:(?:a+a+)?b}", "/" + "a" * 5_000),
        ("/{x:.*.*.*.*.*.*.*=.*}", "/" + "a" * 5_000),
        ("/" + "{" * 30_000, "/a"),
    ],
)
def test_no_pattern_backtracks_without_end(pattern: str, path: str) -> None:
    assert MATCHER.match(pattern, path) is False


@pytest.mark.spec("DEST-01")
def test_many_segments_between_double_wildcards_are_counted() -> None:
    with pytest.raises(RuntimeError, match="Too many character accesses"):
        MATCHER.match("/**" + "/a" * 2_000 + "/b/**", "/a" * 6_000)


@pytest.mark.spec("DEST-01")
def test_cache_switches_itself_off_beyond_its_limit() -> None:
    assert CACHE_LIMIT == 65_536
    matcher = AntPathMatcher()
    for number in range(CACHE_LIMIT):
        matcher.match(f"{number}", "x")
    assert matcher.caching
    assert matcher.match("0", "0")
    assert matcher.caching
    assert matcher.match("/one/more/*", "/one/more/x")
    assert not matcher.caching
    assert matcher.match("0", "0")
    assert matcher.match("/{a}", "/x")
    assert not matcher.caching


@pytest.mark.spec("DEST-01")
def test_same_text_means_another_pattern_for_another_matcher() -> None:
    assert AntPathMatcher(".").match("a.*", "a.b.c") is False
    assert MATCHER.match("a.*", "a.b.c") is True


# --- Patterns of clients ---


def client_match(pattern: str, path: str, *, matcher: AntPathMatcher = MATCHER, steps: int = 10_000) -> bool:
    compiled = matcher.compile_for_client(pattern, with_regex=True)
    return matcher.match_for_client(compiled, CutPath(matcher, path), [steps])


@pytest.mark.spec("DEST-01")
@pytest.mark.parametrize(("length", "accepted"), [(255, True), (256, True), (257, False)])
def test_length_of_a_clients_pattern_is_limited(length: int, accepted: bool) -> None:
    pattern = "/" + "x" * (length - 2) + "*"
    if accepted:
        assert client_match(pattern, "/" + "x" * length)
    else:
        with pytest.raises(ValueError, match="can have 256 characters and no more"):
            MATCHER.compile_for_client(pattern)


@pytest.mark.spec("DEST-01")
@pytest.mark.parametrize(
    ("pattern", "has_regex"),
    [("/{a}", False), ("/{a}-{b}", False), ("/a:b/*", False), ("/{a:b", False), ("/{a:b}", True), ("/x{a:}*", True)],
)
def test_expressions_of_clients_are_refused_unless_switched_on(pattern: str, has_regex: bool) -> None:
    MATCHER.compile_for_client(pattern, with_regex=True)
    if has_regex:
        with pytest.raises(ValueError, match=r"\{name:regex\} are switched off"):
            MATCHER.compile_for_client(pattern)
    else:
        MATCHER.compile_for_client(pattern)


@pytest.mark.spec("DEST-01")
@pytest.mark.parametrize(
    ("pattern", "accepted"),
    [
        ("/{a:b{125}}", True),
        ("/{a:b{126}}", True),  # with the marks around the variable
        ("/{a:b{127}}", False),
        ("/{a:b{62}}/{c:d{62}}", True),
        ("/{a:b{62}}/{c:d{63}}", False),
        ("/{a:(?=b{124})b}", True),
        ("/{a:(?=b{125})b}", False),
    ],
)
def test_the_expressions_of_a_clients_pattern_are_small_together(pattern: str, accepted: bool) -> None:
    if accepted:
        MATCHER.compile_for_client(pattern, with_regex=True)
    else:
        with pytest.raises(ValueError, match="too large"):
            MATCHER.compile_for_client(pattern, with_regex=True)
    MATCHER.match(pattern, "/b")


@pytest.mark.spec("DEST-01")
def test_patterns_of_clients_are_not_cached_and_steps_in_re_are_none_of_theirs() -> None:
    matcher = AntPathMatcher()
    assert client_match("/{a:.*.*.*}", "/abc", matcher=matcher)
    assert matcher._patterns == {}
    with pytest.raises(RuntimeError, match="Too many character accesses"):
        client_match("/{a:.*.*.*b}", "/aaaaaa", steps=50)


# --- Against a naive reference ---


def naive_glob(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return naive_glob(pattern[1:], text) or (bool(text) and naive_glob(pattern, text[1:]))
    return bool(text) and pattern[0] in ("?", text[0]) and naive_glob(pattern[1:], text[1:])


def naive_segments(pattern: list[str], path: list[str]) -> bool:
    if not pattern:
        return not path
    if pattern[0] == "**":
        return naive_segments(pattern[1:], path) or (bool(path) and naive_segments(pattern, path[1:]))
    return bool(path) and naive_glob(pattern[0], path[0]) and naive_segments(pattern[1:], path[1:])


def naive_match(pattern: str, path: str) -> bool:
    if pattern.startswith("/") is not path.startswith("/"):
        return False
    wanted, found = [p for p in pattern.split("/") if p], [p for p in path.split("/") if p]
    if wanted and wanted[-1] == "*" and "**" not in wanted and path.endswith("/"):
        if naive_segments(wanted[:-1], found):
            return True
    if wanted and wanted[-1] == "**":
        return naive_segments(wanted, found)
    return pattern.endswith("/") is path.endswith("/") and naive_segments(wanted, found)


@pytest.mark.spec("DEST-01")
@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(["/", "/", "a", "b", "*", "**", "?", "/**/"]), max_size=9).map("".join),
    st.text(alphabet="//ab", max_size=9),
)
def test_match_agrees_with_a_naive_reference(pattern: str, path: str) -> None:
    if re.search(r"\*{3,}", pattern):
        return
    expected = naive_match(pattern, path)
    assert MATCHER.match(pattern, path) is expected
    assert client_match(pattern, path) is expected
    if expected and path:
        assert MATCHER.match_start(pattern, path)
    with without_re() as matcher:
        assert matcher.match(pattern, path) is expected


_QUANTIFIERS = ["*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{0,2}?", "{1,}", "{,2}"]
_regexes = st.recursive(
    st.sampled_from(["a", "b", ".", "[ab]", "[^a]", "\\w", "\\.", "\\b", ""]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
        st.tuples(inner, st.sampled_from(_QUANTIFIERS)).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
        inner.map(lambda text: f"(?={text})"),
        inner.map(lambda text: f"(?!{text})"),
    ),
    max_leaves=6,
)


@pytest.mark.spec("DEST-01")
@settings(max_examples=300, deadline=None)
@given(_regexes, _regexes, st.text(alphabet="ab.-", min_size=1, max_size=8))
def test_machine_agrees_with_re(first: str, second: str, text: str) -> None:
    found = re.compile(f"({first})-?({second})").fullmatch(text)
    pattern = "{x:" + first + "}{o:-?}{y:" + second + "}"
    with without_re() as matcher:
        assert matcher.match(pattern, text) is (found is not None)
        if found is not None and not repeats_nothing(f"{first}{second}"):
            variables = matcher.extract_uri_template_variables(pattern, text)
            assert (variables["x"], variables["y"]) == found.groups()


def repeats_nothing(regex: str) -> bool:
    """Whether something is repeated that can be empty: an empty turn ends the repetition for some engines, and is none
    for others, so that what matches is the same and which variable gets what is not.
    """

    def is_empty_repetition(part: Any) -> bool:
        operation, arguments = part
        if str(operation).endswith("_REPEAT") and arguments[1] > 1 and arguments[2].getwidth()[0] == 0:
            return True
        return any(is_empty_repetition(each) for inner in subpatterns(arguments) for each in inner)

    return any(is_empty_repetition(part) for part in sre_parse.parse(regex))


def subpatterns(arguments: Any) -> Iterator[Any]:
    if isinstance(arguments, sre_parse.SubPattern):
        yield arguments
    elif isinstance(arguments, (tuple, list)):
        for each in arguments:
            yield from subpatterns(each)


@pytest.mark.parametrize(
    ("regex", "expected"),
    [("(?:a*)*", True), ("(?:b|(?:a?){2})", True), ("(?:a*)?", False), ("(?=(?:a*)+)", True), ("(?:ab)*a?", False)],
)
def test_repetitions_of_nothing_are_found(regex: str, expected: bool) -> None:
    assert repeats_nothing(regex) is expected


# --- combine ---


@pytest.mark.spec("DEST-02")
@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("", "", ""),
        (" ", " ", ""),
        ("", "/x", "/x"),
        ("/x", "", "/x"),
        ("/hotels", "/bookings", "/hotels/bookings"),
        ("/hotels", "bookings", "/hotels/bookings"),
        ("/hotels/", "/bookings", "/hotels/bookings"),
        ("/hotels/", "bookings", "/hotels/bookings"),
        ("/hotels/*", "/booking", "/hotels/booking"),
        ("/hotels/*", "booking", "/hotels/booking"),
        ("/hotels/*", "{hotel}", "/hotels/{hotel}"),
        ("/hotels/*", "/{hotel}", "/hotels/{hotel}"),
        ("/hotels/**", "/booking", "/hotels/**/booking"),
        ("/hotels/**", "booking", "/hotels/**/booking"),
        ("/hotels/**", "{hotel}", "/hotels/**/{hotel}"),
        ("/hotels", "{id}", "/hotels/{id}"),
        ("/hotels", "/{id}.*", "/hotels/{id}.*"),
        ("/hotels/*/booking", "{booking}", "/hotels/*/booking/{booking}"),
        ("/hotels/**", "/hotels/1", "/hotels/1"),
        ("/*.html", "/hotel", "/hotel.html"),
        ("/*.html", "/hotel.html", "/hotel.html"),
        ("/*.html", "/hotel.*", "/hotel.html"),
        ("/*.*", "/*.html", "/*.html"),
        ("/a*.*", "/b", "/b"),
        ("/**", "/x", "/x"),
        ("/**", "/*.html", "/*.html"),
        ("/*", "/x", "/x"),
        ("/{foo}", "/bar", "/{foo}/bar"),
        ("/{foo:.*}", "/bar", "/{foo:.*}/bar"),
        ("/{foo}.*", "/bar", "/{foo}.*/bar"),
        ("/user", "/user", "/user/user"),
        ("/", "/hotel", "/hotel"),
        ("/**", "/**", "/**/**"),
    ],
)
def test_combine(first: str, second: str, expected: str) -> None:
    assert MATCHER.combine(first, second) == expected


@pytest.mark.spec("DEST-02")
def test_combine_refuses_two_extensions() -> None:
    with pytest.raises(ValueError, match=re.escape("Cannot combine patterns: /*.html vs /*.txt")):
        MATCHER.combine("/*.html", "/*.txt")


@pytest.mark.spec("DEST-02", "DEST-04")
@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("a", "b", "a.b"),
        ("a.", ".b", "a.b"),
        ("a.*", "b", "a.b"),
        ("a.**", "b", "a.**.b"),
        ("red", "blue.{c}", "red.blue.{c}"),
        ("x*.html", "y.txt", "x*.html.y.txt"),
    ],
)
def test_combine_with_dots(first: str, second: str, expected: str) -> None:
    assert DOTTED.combine(first, second) == expected


# --- comparator ---


@pytest.mark.spec("DEST-03")
@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        # 1. null and the catch-all come last
        (None, None, 0),
        (None, "/hotels/new", 1),
        ("/**", "/**", 0),
        ("/**", None, 0),
        ("/**", "/hotels/*", 1),
        ("/**", "/hotels/**", 1),
        # 2. equal to the path comes first
        ("/hotels/new", "/hotels/new", 0),
        ("/hotels/new", "/hotels/*", -1),
        ("/hotels/new", "/hotels/newer", -1),
        # 3. of two prefix patterns the longer
        ("/hotels/**", "/hotels/foo/**", 1),
        ("/hotels/{hotel}/**", "/hotels/**", -1),
        # 4. a prefix pattern loses to a pattern without any **
        ("/hotels/foo/bar/**", "/{hotel}", 1),
        ("/hotels/*/*/*/*", "/hotels/**", -1),
        # 5. the lower total of variables, * and twice **
        ("/hotels/{hotel}", "/hotels/{hotel}/bookings/{booking}", -1),
        ("/hotels/{hotel}/bookings/{booking}/cutomers/{customer}", "/**/cutomers/{customer}", -1),
        ("/hotels/*", "/hotels/*/bookings/*", -1),
        ("/**/{x}/y", "/*/{x}/y", 1),
        # 6. the longer, each variable counting as one character
        ("/hotels/*", "/hot*", -1),
        ("/{verylongname}", "/ab*", 1),
        ("/{x:\\d{4}}", "/ab{y}", 1),
        ("/hotels/{hotel}", "/hotels/{hotel}.*", 1),
        # 7. fewer *
        ("/hotels/*", "/hotels/{hotel}", 1),
        ("/*/**/x", "/{y}/**/x", 1),
        # otherwise equal
        ("/hotels/{hotel}", "/hotels/{motel}", 0),
        ("/*/a", "/*/b", 0),
    ],
)
def test_comparator(first: str | None, second: str | None, expected: int) -> None:
    compare = MATCHER.comparator("/hotels/new")

    def sign(number: int) -> int:
        return (number > 0) - (number < 0)

    assert sign(compare(first, second)) == expected
    assert sign(compare(second, first)) == -expected


@pytest.mark.spec("DEST-03")
@pytest.mark.parametrize(
    "patterns",
    [
        ["/hotels/new", "/hotels/n*", "/hotels/{hotel}", "/hotels/*", "/*/{x}", "/hotels/**", "/**"],
        ["/hotels/new", "/hotels/new.*", "/hotels/{hotel}.*", "/hotels/{hotel}"],
        ["/hotels/ne*", "/hotels/n*", "/hotels/*", "/*/*", "/hotels/n/**", "/hotels/**", None],
    ],
)
def test_sort_key_puts_the_most_specific_pattern_first(patterns: list[str | None]) -> None:
    assert sorted(reversed(patterns), key=MATCHER.sort_key("/hotels/new")) == patterns
    compare = MATCHER.comparator("/hotels/new")
    assert all(compare(one, two) < 0 for one, two in combinations(patterns, 2))


@pytest.mark.spec("DEST-03", "DEST-04")
def test_comparator_with_dots_counts_a_final_star() -> None:
    compare = DOTTED.comparator("red.blue")
    assert compare("red.*", "red.{c}") > 0
    assert compare("red.blue", "red.*") < 0
    assert compare("red.**", "red.*") > 0
    assert compare(".**", "red.**") > 0


# --- separator ---


@pytest.mark.spec("DEST-04")
def test_dots_separate_segments() -> None:
    assert DOTTED.match("red.blue.{c}", "red.blue.green")
    assert DOTTED.extract_uri_template_variables("red.blue.{c}", "red.blue.green") == {"c": "green"}
    assert DOTTED.match("price.stock.*", "price.stock.ibm")
    assert not DOTTED.match("price.*", "price.stock.ibm")
    assert DOTTED.match("price.**", "price.stock.ibm")
    assert DOTTED.match("price.**", "price")
    assert DOTTED.match("a/*", "a/b")
    assert not DOTTED.match("a.b", ".a.b")
    assert DOTTED.extract_path_within_pattern("a.*", "a.b.c") == "b.c"


@pytest.mark.spec("DEST-04")
def test_separator_is_found_out_by_combining() -> None:
    assert MATCHER.slash_separator is True
    assert DOTTED.slash_separator is False
    assert DOTTED.separator == "."


@pytest.mark.spec("DEST-04")
def test_longer_separator() -> None:
    matcher = AntPathMatcher("::")
    assert matcher.match("a::*", "a::b")
    assert matcher.match("a::**", "a::b::c")
    assert not matcher.match("a::*", "a::b::c")
    assert matcher.combine("a::*", "b") == "a::b"


def test_empty_separator_is_refused() -> None:
    with pytest.raises(ValueError, match="separator"):
        AntPathMatcher("")


def test_ant_path_matcher_is_a_path_matcher() -> None:
    matcher: PathMatcher = MATCHER
    assert min(["/**", "/a"], key=matcher.sort_key("/a")) == "/a"
