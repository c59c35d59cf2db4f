"""Patterns of class and method, placeholders, the best match, ambiguity, the dot as separator."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from wellhead.messaging.handler.mapping import (
    CACHE_LIMIT,
    CACHED_LENGTH,
    MappingInfo,
    MappingRegistry,
    combine_patterns,
    resolve_placeholders,
)
from wellhead.messaging.handler.marks import MappingKind
from wellhead.messaging.matching import AntPathMatcher

MESSAGE, SUBSCRIBE = MappingKind.MESSAGE, MappingKind.SUBSCRIBE


def registry(*patterns: tuple[str, ...] | str, separator: str = "/") -> MappingRegistry[str]:
    """A registry in which each handler is the name of its patterns."""
    made: MappingRegistry[str] = MappingRegistry(AntPathMatcher(separator))
    for each in patterns:
        names = (each,) if isinstance(each, str) else each
        made.add(MappingInfo(MESSAGE, names), " ".join(names))
    return made


def found(made: MappingRegistry[str], destination: str) -> str | None:
    match = made.find(MESSAGE, destination)
    return None if match is None else match.handler


@pytest.mark.spec("ANN-02")
@pytest.mark.parametrize(
    ("prefixes", "patterns", "expected"),
    [
        (["/a"], ["/b"], ["/a/b"]),
        (["a"], ["b"], ["/a/b"]),
        (["/a", "/b"], ["/c", "/d"], ["/a/c", "/a/d", "/b/c", "/b/d"]),
        ([], ["/c", "/d"], ["/c", "/d"]),
        (["/a"], [], ["/a"]),
        (["/a"], [""], ["/a"]),
        ([], [], []),
    ],
)
def test_prefixes_and_patterns_are_combined(prefixes: list[str], patterns: list[str], expected: list[str]) -> None:
    assert combine_patterns(prefixes, patterns, AntPathMatcher()) == expected


@pytest.mark.spec("DEST-04")
def test_with_a_dot_patterns_are_left_as_written() -> None:
    assert combine_patterns(["red"], ["blue.{c}"], AntPathMatcher(".")) == ["red.blue.{c}"]
    assert combine_patterns([], ["a"], AntPathMatcher(".")) == ["a"]


@pytest.mark.spec("ANN-02")
def test_placeholders() -> None:
    known = {"room": "hall", "x": ""}
    assert resolve_placeholders("/a/${room}/{room}/${x}${y:z}", known) == "/a/hall/{room}/z"
    assert resolve_placeholders("/a/${room}", known.get) == "/a/hall"
    assert resolve_placeholders("/a/${y:}", None) == "/a/"
    for placeholders in (known, known.get, None):
        with pytest.raises(ValueError, match="""Could not resolve placeholder 'y' in value "/a/\\${y}\""""):
            resolve_placeholders("/a/${y}", placeholders)


@pytest.mark.spec("ANN-02")
def test_equal_mappings_are_ambiguous_at_startup() -> None:
    made = registry(("/a", "/b"))
    with pytest.raises(RuntimeError, match=r"Ambiguous mapping found\. Cannot map other to .*There is already /a /b"):
        made.add(MappingInfo(MESSAGE, ["/b", "/a"]), "other")
    made.add(MappingInfo(SUBSCRIBE, ["/a", "/b"]), "of another kind")
    made.add(MappingInfo(MESSAGE, ["/a"]), "fewer patterns")


@pytest.mark.spec("ANN-03")
def test_a_destination_that_is_mapped_directly_leaves_patterns_out() -> None:
    made = registry("/a/*", "/a/b", "/**")
    assert found(made, "/a/b") == "/a/b"
    assert found(made, "/a/c") == "/a/*"
    assert found(made, "/c") == "/**"


@pytest.mark.spec("ANN-03")
def test_a_direct_mapping_of_another_kind_does_not_count() -> None:
    made = registry("/a/*")
    made.add(MappingInfo(SUBSCRIBE, ["/a/b"]), "subscribe")
    assert found(made, "/a/b") == "/a/*"
    match = made.find(SUBSCRIBE, "/a/b")
    assert match is not None
    assert match.handler == "subscribe"
    assert made.find(SUBSCRIBE, "/a/c") is None


@pytest.mark.spec("ANN-03")
def test_direct_mappings_compete_only_among_each_other() -> None:
    made = registry(("/a/b", "/x"), "/a/{y}")
    assert found(made, "/a/b") == "/a/b /x"


@pytest.mark.spec("ANN-03")
@pytest.mark.parametrize(
    ("patterns", "destination", "best"),
    [
        (("/{x}/b", "/*/*", "/**"), "/a/b", "/{x}/b"),
        (("/a/*", "/a/**"), "/a/b", "/a/*"),
        (("/**", "/a/**"), "/a/b", "/a/**"),
        (("/x/{a}", "/{a}/{b}"), "/x/y", "/x/{a}"),
        ((("/a/*", "/a/**"), "/a/*"), "/a/b", "/a/* /a/**"),
        (("/a/*", "/a/?"), "/a/b", "/a/?"),
    ],
)
def test_the_best_match_wins(patterns: tuple[str, ...], destination: str, best: str) -> None:
    assert found(registry(*patterns), destination) == best
    assert found(registry(*reversed(patterns)), destination) == best


@pytest.mark.spec("ANN-03")
def test_the_variables_are_those_of_the_best_pattern() -> None:
    match = registry(("/{whole}", "/{one}-{two}")).find(MESSAGE, "/a-b")
    assert match is not None
    assert match.variables == {"one": "a", "two": "b"} or match.variables == {"whole": "a-b"}
    best = registry(("/x/{a}", "/{b}/{c}")).find(MESSAGE, "/x/y")
    assert best is not None
    assert best.variables == {"a": "y"}


@pytest.mark.spec("ANN-03")
def test_a_tie_is_an_error() -> None:
    made = registry("/a/{x}", "/a/{y}")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="Ambiguous handler methods mapped for destination '/a/b'"):
            made.find(MESSAGE, "/a/b")


@pytest.mark.spec("ANN-03")
def test_no_match() -> None:
    assert found(registry("/a"), "/b") is None
    assert found(registry(), "/b") is None


@pytest.mark.spec("ANN-03")
def test_a_new_mapping_is_found_for_a_destination_asked_before() -> None:
    made = registry("/**")
    assert found(made, "/a") == "/**"
    made.add(MappingInfo(MESSAGE, ["/a"]), "new")
    assert found(made, "/a") == "new"


@pytest.mark.spec("ANN-03")
@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_answers_are_remembered_for_a_bounded_number_of_destinations(extra: int) -> None:
    made = registry("/{x}")
    for number in range(CACHE_LIMIT + extra):
        match = made.find(MESSAGE, f"/{number}")
        assert match is not None
        assert match.variables == {"x": str(number)}
    assert len(made.matches[MESSAGE]) == min(CACHE_LIMIT, CACHE_LIMIT + extra)


@pytest.mark.spec("ANN-03")
@pytest.mark.parametrize(("length", "kept"), [(CACHED_LENGTH - 1, 1), (CACHED_LENGTH, 1), (CACHED_LENGTH + 1, 0)])
def test_long_destinations_are_not_remembered(length: int, kept: int) -> None:
    made = registry("/{x}")
    assert found(made, "/".ljust(length, "a")) == "/{x}"
    assert len(made.matches[MESSAGE]) == kept


@pytest.mark.spec("DEST-04")
def test_with_a_dot_destinations_are_matched_by_dots() -> None:
    match = registry("red.blue.{c}", separator=".").find(MESSAGE, "red.blue.green")
    assert match is not None
    assert match.variables == {"c": "green"}


@pytest.mark.spec("ANN-02")
def test_patterns_are_for_what_the_lookup_leaves_of_a_destination() -> None:
    asked: list[str] = []

    def lookup(destination: str) -> str | None:
        asked.append(destination)
        return destination.removeprefix("/app") if destination.startswith("/app/") else None

    made: MappingRegistry[str] = MappingRegistry(AntPathMatcher(), lookup)
    made.add(MappingInfo(MESSAGE, ["/room/{room}"]), "say")
    for _ in range(2):
        match = made.find(MESSAGE, "/app/room/7")
        assert match is not None
        assert (match.handler, match.lookup_destination, match.variables) == ("say", "/room/7", {"room": "7"})
        assert made.find(MESSAGE, "/room/7") is None
    assert asked == ["/app/room/7", "/room/7"]


class SlowMatcher(AntPathMatcher):
    """Lets a test do something while a destination is being matched."""

    meanwhile: Callable[[], None] | None = None

    def match(self, pattern: str, path: str) -> bool:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return super().match(pattern, path)


@pytest.mark.spec("ANN-02")
def test_an_answer_found_while_another_mapping_was_added_is_not_remembered() -> None:
    matcher = SlowMatcher()
    made: MappingRegistry[str] = MappingRegistry(matcher)
    made.add(MappingInfo(MESSAGE, ["/{x}"]), "early")
    matcher.meanwhile = lambda: made.add(MappingInfo(MESSAGE, ["/late"]), "late")
    assert found(made, "/late") == "early"
    assert found(made, "/late") == "late"


@pytest.mark.spec("ANN-02")
def test_what_is_added_together_is_found_from_the_end_on_or_not_at_all() -> None:
    made = registry("/a")

    def handlers(*names: str) -> Iterator[tuple[MappingInfo, str]]:
        for name in names:
            yield MappingInfo(MESSAGE, [f"/{name}"]), name
            assert (found(made, f"/{name}"), len(made.mappings)) == (None, before)

    before = 1
    made.add_all(handlers("b", "c"))
    assert (found(made, "/b"), found(made, "/c")) == ("b", "c")
    before = 3
    with pytest.raises(RuntimeError, match="already b mapped"):
        made.add_all([(MappingInfo(MESSAGE, ["/d"]), "d"), (MappingInfo(MESSAGE, ["/b"]), "other")])
    assert (found(made, "/d"), len(made.mappings)) == (None, 3)
    with pytest.raises(ZeroDivisionError):
        made.add_all((MappingInfo(MESSAGE, [f"/{1 // left}"]), "d") for left in (1, 0))
    assert (found(made, "/1"), len(made.mappings)) == (None, 3)
    made.add_all(handlers("d"))
    assert found(made, "/d") == "d"


@pytest.mark.spec("ANN-02")
def test_the_mappings_are_a_snapshot() -> None:
    made = registry("/a")
    before = made.mappings
    made.add(MappingInfo(MESSAGE, ["/b"]), "b")
    assert (len(before), len(made.mappings)) == (1, 2)
    before.clear()
    assert found(made, "/a") == "/a"
