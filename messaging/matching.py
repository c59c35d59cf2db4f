"""Destination patterns: which destination belongs to which mapping or subscription (DEST-01 to DEST-04).

This is not a station of the flow but what two of them ask: the annotated methods ("does `/room/{id}` take this SEND?")
and the subscription registry ("does `/topic/**` want this MESSAGE?"). It knows strings only: no messages, no headers.

How a pattern is compiled and matched is told in `pattern`.
"""

import re
from collections.abc import Callable
from functools import cmp_to_key
from typing import Any, Protocol, TypeAlias

from .pattern import CompiledPattern, client_segments, segments
from .pattern_program import charge

PatternComparator: TypeAlias = Callable[[str | None, str | None], int]

CACHE_LIMIT = 65_536
"""Number of cached patterns beyond which the cache of a matcher switches itself off."""

ACCESS_LIMIT = 1_000_000
"""Character accesses (steps, for patterns that need them counted one by one) after which a match gives up."""

CLIENT_PATTERN_LENGTH = 256
"""Characters that a pattern sent by a client may have."""

# Patterns of clients do not come here; still, what is long is compiled each time rather than fill the memory.
_CACHED_PATTERN_LENGTH = 1024


class PathMatcher(Protocol):
    """How destinations are matched against patterns. `AntPathMatcher` is one; users may bring their own."""

    __slots__ = ()

    @property
    def slash_separator(self) -> bool:
        """Whether destinations are cut at `/`, found out by combining (DEST-04)."""
        return self.combine("a", "a") == "a/a"

    def is_pattern(self, text: str) -> bool:
        """Whether `text` has to be matched; if not, comparing strings is enough."""

    def match(self, pattern: str, path: str) -> bool:
        """Whether `path` matches the whole `pattern`."""

    def match_start(self, pattern: str, path: str) -> bool:
        """Whether `path` could be the start of something that matches `pattern`."""

    def extract_uri_template_variables(self, pattern: str, path: str) -> dict[str, str]:
        """The values of the variables in `pattern`. Raises RuntimeError when `path` does not match."""

    def extract_path_within_pattern(self, pattern: str, path: str) -> str:
        """The part of `path` that wildcards of `pattern` stand for; empty when there are none."""

    def combine(self, pattern1: str, pattern2: str) -> str:
        """One pattern out of the pattern of a class and the pattern of its method."""

    def comparator(self, path: str) -> PatternComparator:
        """A comparison of patterns that match `path`: negative when the first is the more specific one."""

    def sort_key(self, path: str) -> Callable[[str | None], Any]:
        """The same as a key for `sorted` and `min`: the most specific pattern comes first."""
        return cmp_to_key(self.comparator(path))


class AntPathMatcher(PathMatcher):
    """Ant-style patterns: `?` one character, `*` any within a segment, `**` any segments, `{name}`, `{name:regex}`.

    `regex` is in Python's syntax (so `\\d` knows all of Unicode) without capturing groups, back references,
    look-behind, inline flags and possessive quantifiers, and cannot contain the separator. A segment with a regex or
    with mixed wildcards is limited to 5,000 instructions, roughly its length with counted repetitions written out.
    Empty segments count for nothing: `//` equals `/` (DEST-01).

    `trim_tokens` strips white space around segments. `access_limit` is the guard against denial of service: a match
    that needs more raises RuntimeError.

    Compiled patterns are cached; the cache switches itself off for good beyond 65,536 patterns. Any thread may use it.
    Whatever the path, matching raises ValueError when a regex of the pattern is malformed or a segment too large.
    """

    # Differs from Spring: the access limit is for the whole path, not for each segment, and a step that reads no
    # character counts as well: Spring leaves a pattern of thousands of segments unguarded.

    __slots__ = (
        "_access_limit",
        "_caching",
        "_case_sensitive",
        "_patterns",
        "_separator",
        "_separator_twice",
        "_trim_tokens",
    )

    def __init__(
        self,
        separator: str = "/",
        *,
        case_sensitive: bool = True,
        trim_tokens: bool = False,
        access_limit: int = ACCESS_LIMIT,
    ) -> None:
        if not separator:
            raise ValueError("'separator' must not be empty")
        self._separator = separator
        self._separator_twice = separator * 2
        self._case_sensitive = case_sensitive
        self._trim_tokens = trim_tokens
        self._access_limit = access_limit
        self._caching = True
        self._patterns: dict[str, CompiledPattern] = {}

    @property
    def separator(self) -> str:
        return self._separator

    @property
    def caching(self) -> bool:
        """Whether compiled patterns are still cached; once False it stays so."""
        return self._caching

    def is_pattern(self, text: str) -> bool:
        """Contains `*` or `?`, or a `{` followed later by `}` (DEST-01)."""
        if "*" in text or "?" in text:
            return True
        opening = text.find("{")
        return opening >= 0 and text.find("}", opening) >= 0

    def match(self, pattern: str, path: str) -> bool:
        """Whether `path` matches the whole `pattern` (DEST-01).

        Both must agree on a leading separator and, with two exceptions, on a trailing one: a final lone `*` matches a
        path that ends in the separator, a final `**` does not care.

        Raises ValueError for a malformed regex, RuntimeError beyond `access_limit`.
        """
        compiled = self._patterns.get(pattern) or self._compile(pattern)
        if compiled.is_literal and pattern == path:
            return True
        return self._match(compiled, path, None)

    def match_start(self, pattern: str, path: str) -> bool:
        """Whether `path` could be the start of something that matches `pattern`. Raises as `match` does."""
        compiled = self._patterns.get(pattern) or self._compile(pattern)
        if path.startswith(self._separator) is not compiled.leading:
            return False
        return compiled.match_start(self._tokens(path), path.endswith(self._separator), [self._access_limit])

    def extract_uri_template_variables(self, pattern: str, path: str) -> dict[str, str]:
        """The values of the variables in `pattern`; never None, empty when it has none.

        Raises RuntimeError when `path` does not match, ValueError when a regex of the pattern has capturing groups.
        """
        variables: dict[str, str] = {}
        if not self._match(self._patterns.get(pattern) or self._compile(pattern), path, variables):
            raise RuntimeError(f'Pattern "{pattern}" is not a match for "{path}"')
        return variables

    def extract_path_within_pattern(self, pattern: str, path: str) -> str:
        """The part of `path` from the first segment with `*` or `?` in `pattern` on; empty when there is none.

        `path` is not checked against `pattern`. A pattern that starts with the wildcard gives a leading separator.
        """
        for index, token in enumerate(self._tokens(pattern)):
            if "*" in token or "?" in token:
                rest = self._separator.join(self._tokens(path)[index:])
                return (
                    self._separator + rest if rest and index == 0 and not pattern.startswith(self._separator) else rest
                )
        return ""

    def combine(self, pattern1: str, pattern2: str) -> str:
        """One pattern out of two, as told by the table of DEST-02.

        Raises ValueError when both end in a file extension and the extensions differ: `/*.html` and `/*.txt`.
        """
        if not pattern1.strip():
            return pattern2 if pattern2.strip() else ""
        if not pattern2.strip():
            return pattern1
        has_variable = "{" in pattern1
        if pattern1 != pattern2 and not has_variable and self.match(pattern1, pattern2):
            return pattern2
        if pattern1.endswith(self._separator + "*"):
            return self._join(pattern1[: -len(self._separator) - 1], pattern2)
        extension_at = pattern1.find("*.")
        whole = pattern1.endswith(self._separator + "**") or has_variable or extension_at < 0 or self._separator == "."
        return self._join(pattern1, pattern2) if whole else _combine_extensions(pattern1, pattern2, extension_at)

    def comparator(self, path: str) -> PatternComparator:
        """The order of DEST-03. None, like the catch-all pattern, comes last; 0 means that neither is more specific."""

        def compare(pattern1: str | None, pattern2: str | None) -> int:
            return _compare(
                _Specificity(pattern1, path, self._separator), _Specificity(pattern2, path, self._separator)
            )

        return compare

    def compile_for_client(self, pattern: str, *, with_regex: bool = False) -> CompiledPattern:
        """A pattern that somebody sent, for `match_for_client`; not cached: it lives as long as the caller keeps it.

        Raises ValueError when it has more than 256 characters, when it has an expression although *with_regex* is
        False, when an expression is malformed, and when all of them have more than 128 instructions.
        """
        if len(pattern) > CLIENT_PATTERN_LENGTH:
            raise ValueError(f"a pattern can have {CLIENT_PATTERN_LENGTH} characters and no more")
        exact_prefix = self._case_sensitive and not self._trim_tokens
        compiler = client_segments(self._case_sensitive, with_regex)
        return CompiledPattern(pattern, self._tokens(pattern), self._separator, compiler, exact_prefix)

    def match_for_client(self, compiled: CompiledPattern, path: "CutPath", budget: list[int]) -> bool:
        """As `match`. What it takes is taken off *budget*; raises RuntimeError when that is not enough."""
        if path.leading is not compiled.leading:
            return False
        if compiled.prefix is not None and path.is_plain:
            if not path.text.startswith(compiled.prefix):
                return False
            if compiled.subtree is not None:
                return path.text.startswith(compiled.subtree) or path.text == compiled.prefix
        if compiled.cost:
            charge(budget, compiled.cost)
        return compiled.match(path.parts, path.trailing, None, budget)

    def _match(self, compiled: CompiledPattern, path: str, variables: dict[str, str] | None) -> bool:
        if path.startswith(self._separator) is not compiled.leading:
            return False
        # A cheap look before the path is cut: without empty segments the literal start must be there to the letter.
        if compiled.prefix is not None and self._separator_twice not in path:
            if not path.startswith(compiled.prefix):
                return False
            if compiled.subtree is not None:
                return path.startswith(compiled.subtree) or path == compiled.prefix
        return compiled.match(self._tokens(path), path.endswith(self._separator), variables, [self._access_limit])

    def _tokens(self, text: str) -> list[str]:
        if self._trim_tokens:
            return [token for token in map(str.strip, text.split(self._separator)) if token]
        return [token for token in text.split(self._separator) if token]

    def _join(self, path1: str, path2: str) -> str:
        separator = self._separator
        if path1.endswith(separator) and path2.startswith(separator):
            return path1 + path2[len(separator) :]
        if path1.endswith(separator) or path2.startswith(separator):
            return path1 + path2
        return path1 + separator + path2

    def _compile(self, pattern: str) -> CompiledPattern:
        exact_prefix = self._case_sensitive and not self._trim_tokens
        compiler = segments(self._case_sensitive)
        compiled = CompiledPattern(pattern, self._tokens(pattern), self._separator, compiler, exact_prefix)
        if self._caching and len(pattern) <= _CACHED_PATTERN_LENGTH:
            if len(self._patterns) < CACHE_LIMIT:
                self._patterns[pattern] = compiled
            else:
                self._caching = False
                self._patterns.clear()
        return compiled


class CutPath:
    """A path that many patterns of one matcher are held against: cut once, and only when one of them looks inside."""

    __slots__ = ("_parts", "is_plain", "leading", "matcher", "text", "trailing")

    def __init__(self, matcher: AntPathMatcher, text: str) -> None:
        self.text = text
        self.leading = text.startswith(matcher.separator)
        self.trailing = text.endswith(matcher.separator)
        self.is_plain = matcher.separator * 2 not in text
        """Without empty segments."""
        self.matcher = matcher
        self._parts: list[str] | None = None

    @property
    def parts(self) -> list[str]:
        if self._parts is None:
            self._parts = self.matcher._tokens(self.text)
        return self._parts


def _combine_extensions(pattern1: str, pattern2: str, extension_at: int) -> str:
    extension1 = pattern1[extension_at + 1 :]
    name, dot, rest = pattern2.partition(".")
    extension2 = dot + rest
    if extension1 == ".*":
        return name + extension2
    if extension2 not in ("", ".*"):
        raise ValueError(f"Cannot combine patterns: {pattern1} vs {pattern2}")
    return name + extension1


_VARIABLE = re.compile(r"\{(?:[^{}]|\{[^{}]*\})+\}")


class _Specificity:
    """What DEST-03 compares of one pattern."""

    __slots__ = ("doubles", "is_last", "is_path", "is_prefix", "length", "singles", "total", "variables")

    def __init__(self, pattern: str | None, path: str, separator: str) -> None:
        text = pattern or ""
        self.is_last = pattern is None or pattern == separator + "**"
        self.is_path = pattern == path
        self.is_prefix = text.endswith(separator + "**")
        self.variables = text.count("{")
        self.doubles = text.count("**")
        # The `.*` at the end of `/x.*` stands for a file extension and does not count as a wildcard.
        # Differs from Spring: with separator `.` it is a segment like any other and counts.
        is_extension = text.endswith(".*") and separator != "."
        self.singles = text.count("*") - 2 * self.doubles - is_extension
        self.total = self.variables + self.singles + 2 * self.doubles
        self.length = len(_VARIABLE.sub("#", text))


def _compare(one: _Specificity, two: _Specificity) -> int:
    if one.is_last or two.is_last:
        return one.is_last - two.is_last
    if one.is_path or two.is_path:
        return two.is_path - one.is_path
    if one.is_prefix and two.is_prefix:
        return two.length - one.length
    if one.is_prefix and not two.doubles:
        return 1
    if two.is_prefix and not one.doubles:
        return -1
    return (
        one.total - two.total or two.length - one.length or one.singles - two.singles or one.variables - two.variables
    )
