"""A compiled destination pattern and its segments (DEST-01): what `AntPathMatcher` matches paths against.

Theory of operation. A pattern is compiled once: cut into segments, the segments cut into blocks at each `**`. The first
block is anchored at the start of the path, the last one at its end, blocks between are placed as far left as they go,
which is always enough. Most segments are plain strings or a lone `*` or `{name}`. The others become a program for a
small machine, see `pattern_program`, that never takes the same choice at the same position twice, so that no pattern,
not even one sent by a client, can make it backtrack without end. Where arithmetic shows that the `re` module needs few
steps for a text, `re` does the work instead.

What an attempt costs is taken off a budget, a list of one number: the character accesses that are left.

Patterns of clients are compiled by `client_segments`: to less memory, and so that each step of theirs is counted.
"""

import re
from collections.abc import Callable
from itertools import chain
from typing import Protocol, TypeAlias

from .pattern_glob import GlobSegment
from .pattern_program import MARK, Fragment, RegexParser, charge, literal, program_size, run, sequence

CLIENT_PROGRAM_LIMIT = 128
"""Instructions that the expressions of one client's pattern may have in all."""

_WILD = re.compile(r"[*?{]")
_LONG = 16  # segments beyond which even plain ones are worth counting


class _Segment(Protocol):
    __slots__ = ()

    def match(self, text: str, variables: dict[str, str] | None, budget: list[int]) -> bool: ...


SegmentCompiler: TypeAlias = Callable[[str], str | _Segment]


class CompiledPattern:
    """Segments in blocks: `/a/**/b/*/**/c` has the head `a`, one middle block `b *` and the tail `c`."""

    __slots__ = (
        "cost",
        "head",
        "is_literal",
        "leading",
        "lone_star_last",
        "middle",
        "prefix",
        "subtree",
        "tail",
        "trailing",
    )

    def __init__(
        self, pattern: str, tokens: list[str], separator: str, compile_segment: SegmentCompiler, exact_prefix: bool
    ) -> None:
        blocks: list[list[str | _Segment]] = [[]]
        for token in tokens:
            if token == "**":
                blocks.append([])
            else:
                blocks[-1].append(compile_segment(token))
        self.leading = pattern.startswith(separator)
        self.trailing = pattern.endswith(separator)
        self.head = blocks[0]
        self.middle = [block for block in blocks[1:-1] if block]
        self.tail = blocks[-1] if len(blocks) > 1 else None
        is_cheap = not self.middle and len(tokens) <= _LONG and all(map(_is_cheap, chain.from_iterable(blocks)))
        self.cost = 0 if is_cheap else 1 + len(tokens) // 4
        """What to take off the budget of an attempt for its plain segments; 0 where all are and they are few."""
        self.lone_star_last = len(blocks) == 1 and bool(tokens) and tokens[-1] == "*"
        literals = 0
        while literals < len(self.head) and isinstance(self.head[literals], str):
            literals += 1
        self.is_literal = literals == len(tokens)
        self.prefix: str | None = None
        """How a path without empty segments has to start; None when that is not known to the letter."""
        self.subtree: str | None = None
        """Set for `/a/b/**` and its like: how all paths start that match, besides the prefix itself."""
        if exact_prefix:
            self.prefix = (separator if self.leading else "") + separator.join(tokens[:literals])
            if self.tail == [] and not self.middle and literals == len(self.head):
                self.subtree = self.prefix + separator if literals else self.prefix

    def match(self, parts: list[str], trailing: bool, variables: dict[str, str] | None, budget: list[int]) -> bool:
        head, tail = self.head, self.tail
        if tail is None:
            if len(parts) == len(head):
                return trailing is self.trailing and _match_block(head, parts, variables, budget)
            is_short = self.lone_star_last and trailing and len(parts) == len(head) - 1
            return is_short and _match_block(head, parts, variables, budget)
        end = len(parts) - len(tail)
        if end < len(head) or not _match_block(head, parts, variables, budget):
            return False
        if tail and (trailing is not self.trailing or not _match_block(tail, parts[end:], variables, budget)):
            return False
        position = len(head)
        for block in self.middle:
            position = _find_block(block, parts, position, end, variables, budget)
            if position < 0:
                return False
        return True

    def match_start(self, parts: list[str], trailing: bool, budget: list[int]) -> bool:
        if not _match_block(self.head, parts, None, budget):
            return False
        if self.tail is None and len(parts) >= len(self.head):
            return len(parts) == len(self.head) and trailing is self.trailing
        return True


def _is_cheap(segment: str | _Segment) -> bool:
    return isinstance(segment, str | _AnyPart)


def _match_block(
    block: list[str | _Segment], parts: list[str], variables: dict[str, str] | None, budget: list[int]
) -> bool:
    """Whether segments and parts match one by one; what one of them has more is not looked at."""
    for segment, part in zip(block, parts, strict=False):
        if isinstance(segment, str):
            if segment != part:
                return False
        elif not segment.match(part, variables, budget):
            return False
    return True


def _find_block(
    block: list[str | _Segment],
    parts: list[str],
    start: int,
    end: int,
    variables: dict[str, str] | None,
    budget: list[int],
) -> int:
    """Where the first place of `block` in parts[start:end] ends, or -1."""
    for position in range(start, end - len(block) + 1):
        charge(budget, len(block))
        if _match_block(block, parts[position : position + len(block)], variables, budget):
            return position + len(block)
    return -1


class _AnyPart(_Segment):
    """A lone `*` or `{name}`."""

    __slots__ = ("_name",)

    def __init__(self, name: str | None) -> None:
        self._name = name

    def match(self, text: str, variables: dict[str, str] | None, budget: list[int]) -> bool:
        if variables is not None and self._name is not None:
            variables[_checked_name(self._name)] = text
        return True


class _AnyCase(_Segment):
    """A segment without wildcards, for matchers that ignore case."""

    __slots__ = ("_folded",)

    def __init__(self, text: str) -> None:
        self._folded = text.lower()

    def match(self, text: str, variables: dict[str, str] | None, budget: list[int]) -> bool:
        return text.lower() == self._folded


class _Compound(_Segment):
    """A segment in which text, wildcards and variables are mixed."""

    __slots__ = ("_capturing", "_names", "_program", "_re_length", "_re_match", "_token")

    def __init__(self, token: str, case_sensitive: bool, size_limit: int | None = None) -> None:
        """With *size_limit* the program has so many instructions at most, and `re` does none of the work: what it needs
        is not counted.
        """
        try:
            self._build(token, re.DOTALL if case_sensitive else re.DOTALL | re.IGNORECASE, size_limit)
        except (re.error, OverflowError) as error:
            raise ValueError(f"Invalid regex in the pattern segment {token}: {error}") from error

    def _build(self, token: str, flags: int, size_limit: int | None) -> None:
        self._token = token
        self._names: list[str] = []
        self._capturing = False
        fragments: list[Fragment] = []
        source = ""
        for kind, text in split_segment(token):
            if kind == "text":
                fragments.extend(literal(char, flags) for char in text)
                source += re.escape(text)
            elif kind == "{":
                name, colon, regex = text.partition(":")
                parser = RegexParser(regex if colon else ".*", flags)
                fragments += [MARK, parser.parse(), MARK]
                source += f"({parser.text})"
                self._names.append(name)
                self._capturing = self._capturing or parser.capturing
            else:
                wildcard = "." if kind == "?" else ".*"
                fragments.append(RegexParser(wildcard, flags).parse())
                source += wildcard
        whole = sequence(fragments)
        self._program = whole.code
        if size_limit is not None:
            if self.size > size_limit:
                raise ValueError(f"The expressions of a pattern are too large, {size_limit} instructions are left")
            self._re_length = -1
            return
        self._re_length = whole.provable_length()
        self._re_match = re.compile(source, flags).fullmatch

    @property
    def size(self) -> int:
        return program_size(self._program)

    def match(self, text: str, variables: dict[str, str] | None, budget: list[int]) -> bool:
        if len(text) <= self._re_length:
            charge(budget, len(text))
            found = self._re_match(text)
            if found is None:
                return False
            if variables is not None and self._names:
                self._bind(variables, list(found.groups()))
            return True
        marks = run(self._program, text, 0, budget, whole=True)
        if marks is None:
            return False
        if variables is not None and self._names:
            self._bind(variables, [text[marks[i] : marks[i + 1]] for i in range(0, len(marks), 2)])
        return True

    def _bind(self, variables: dict[str, str], values: list[str]) -> None:
        if self._capturing:
            raise ValueError(
                f"The number of capturing groups in the pattern segment {self._token} does not match the number of URI "
                "template variables it defines, which can occur if capturing groups are used in a URI template regex. "
                "Use non-capturing groups instead."
            )
        for name, value in zip(self._names, values, strict=True):
            variables[_checked_name(name)] = value


def _checked_name(name: str) -> str:
    if name.startswith("*"):
        raise ValueError(f"Capturing patterns ({name}) are not supported by the AntPathMatcher")
    return name


def segments(case_sensitive: bool) -> SegmentCompiler:
    """Compiles the patterns of the application."""

    def compile_segment(token: str) -> str | _Segment:
        return _simple(token, split_segment(token), case_sensitive) or _Compound(token, case_sensitive)

    return compile_segment


def client_segments(case_sensitive: bool, with_regex: bool) -> SegmentCompiler:
    """Compiles one pattern of a client; raises ValueError when it is more than a client may ask for."""
    room = CLIENT_PROGRAM_LIMIT

    def compile_segment(token: str) -> str | _Segment:
        nonlocal room
        if case_sensitive and not _WILD.search(token):
            return token
        pieces = split_segment(token)
        if not any(kind == "{" and ":" in text for kind, text in pieces):
            return _simple(token, pieces, case_sensitive) or GlobSegment(pieces, case_sensitive)
        if not with_regex:
            raise ValueError("expressions as in {name:regex} are switched off for subscriptions")
        compound = _Compound(token, case_sensitive, room)
        room -= compound.size
        return compound

    return compile_segment


def _simple(token: str, pieces: list[tuple[str, str]], case_sensitive: bool) -> str | _Segment | None:
    """A segment without mixed wildcards."""
    if all(kind == "text" for kind, _ in pieces):
        return token if case_sensitive else _AnyCase(token)
    if len(pieces) == 1:
        kind, text = pieces[0]
        if kind == "*":
            return _AnyPart(None)
        if kind == "{" and ":" not in text:
            return _AnyPart(text)
    return None


def split_segment(token: str) -> list[tuple[str, str]]:
    """The pieces of a segment, each with its kind: "text", "?", "*" or "{". Braces without a partner are text."""
    closing: dict[int, int] = {}
    opened: list[int] = []
    index = 0
    while index < len(token):
        if token[index] == "\\" and opened:
            index += 1
        elif token[index] == "{":
            opened.append(index)
        elif token[index] == "}" and opened:
            closing[opened.pop()] = index
        index += 1
    pieces: list[tuple[str, str]] = []
    index = start = 0
    while index < len(token):
        kind, end = token[index], index + 1
        if kind == "*":
            while token[end : end + 1] == "*":
                end += 1
        elif kind == "{" and closing.get(index, 0) > end:
            end = closing[index] + 1
        elif kind != "?":
            index = end
            continue
        if index > start:
            pieces.append(("text", token[start:index]))
        pieces.append((kind, token[index + 1 : end - 1] if kind == "{" else kind))
        index = start = end
    if index > start:
        pieces.append(("text", token[start:]))
    return pieces
