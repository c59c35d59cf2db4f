"""The machine for pattern segments in which text, wildcards and expressions are mixed (DEST-01).

A segment becomes a program: characters and tests that read one character, splits where there are two ways, marks for
the ends of variables. `run` takes the ways in the order in which `re` would, and none of them twice from the same
position: its work is bounded by the size of the program times the length of the text.
"""

import math
import re
import sys
from typing import Any, TypeAlias

_MAX_PROGRAM = 5_000  # instructions of one segment, counted repetitions written out
_MAX_NESTING = 30  # groups within groups
_RE_STEPS = 16_384  # worst case up to which `re` may do the work

_CHAR, _TEST, _ASSERT, _SPLIT, _JUMP, _POSITION, _LOOK = range(7)
_Code: TypeAlias = list[tuple[int, Any, Any]]


def charge(budget: list[int], accesses: int) -> None:
    budget[0] -= accesses
    if budget[0] < 0:
        raise RuntimeError("Too many character accesses while matching a path: the pattern is too complex for it")


class Fragment:
    """A piece of a program, and how many ways lead through it at most: factor * (length of the text + 1) ** power."""

    __slots__ = ("code", "factor", "power")

    def __init__(self, code: _Code, power: int = 0, factor: float = 1) -> None:
        if len(code) > _MAX_PROGRAM:
            raise ValueError("A pattern segment is too large")
        self.code = code
        self.power = power
        self.factor = factor

    def provable_length(self) -> int:
        """Up to which length of the text `re` needs no more than _RE_STEPS; -1 when for none."""
        rounds = _RE_STEPS / (self.factor * max(1, len(self.code)))
        if rounds < 1:
            return -1
        return int(rounds ** (1 / self.power)) - 1 if self.power else sys.maxsize


MARK = Fragment([(_POSITION, None, None)])


def literal(char: str, flags: int) -> Fragment:
    if flags & re.IGNORECASE:
        return Fragment([(_TEST, re.compile(re.escape(char), flags).match, None)])
    return Fragment([(_CHAR, char, None)])


def sequence(fragments: list[Fragment]) -> Fragment:
    code: _Code = []
    for fragment in fragments:
        code += fragment.code
    return Fragment(code, sum(f.power for f in fragments), math.prod(f.factor for f in fragments))


def _either(one: Fragment, two: Fragment) -> Fragment:
    code = [(_SPLIT, 1, len(one.code) + 2), *one.code, (_JUMP, len(two.code) + 1, None), *two.code]
    return Fragment(code, max(one.power, two.power), one.factor + two.factor)


def _repeat(fragment: Fragment, least: int, most: int | None, lazy: bool) -> Fragment:
    body, size = fragment.code, len(fragment.code) + 1
    if max(least, most or 0) * size > _MAX_PROGRAM:
        raise ValueError("A pattern segment is too large")
    into, past = (size + (most is None), 1) if lazy else (1, size + (most is None))
    code = body * least
    if most is None:
        code = [*code, (_SPLIT, into, past), *body, (_JUMP, -size, None)]
    else:
        code = [*code, *[(_SPLIT, into, past), *body] * (most - least)]
    if len(body) == 1 and fragment.factor == 1:
        return Fragment(code, 1, 1) if most is None else Fragment(code, 0, most - least + 1)
    if most == 1:
        return Fragment(code, fragment.power, fragment.factor + 1)
    return Fragment(code, 0, math.inf)


def program_size(program: _Code) -> int:
    """Its instructions, with those of what it looks ahead for."""
    return len(program) + sum(program_size(one) for kind, one, _ in program if kind == _LOOK)


def run(program: _Code, text: str, start: int, budget: list[int], *, whole: bool) -> tuple[int, ...] | None:
    """The positions at the marks of the first way through `program`, or None. Tries in the same order as `re`."""
    seen: set[int] = set()
    ways: list[tuple[int, int, tuple[int, ...]]] = [(0, start, ())]
    end, stride = len(program), len(text) + 1
    while ways:
        at, position, marks = ways.pop()
        while at < end:
            budget[0] -= 1
            if budget[0] < 0:
                charge(budget, 0)
            kind, one, two = program[at]
            if kind == _CHAR or kind == _TEST:
                if position + 1 == stride or not (text[position] == one if kind == _CHAR else one(text, position)):
                    break
                position += 1
                at += 1
            elif kind == _SPLIT:
                choice = at * stride + position
                if choice in seen:
                    break
                seen.add(choice)
                ways.append((at + two, position, marks))
                at += one
            elif kind == _JUMP:
                at += one
            elif kind == _POSITION:
                marks += (position,)
                at += 1
            else:
                held = one(text, position) if kind == _ASSERT else run(one, text, position, budget, whole=False)
                if (held is not None) is two:
                    break
                at += 1
        else:
            if not whole or position + 1 == stride:
                return marks
    return None


_QUANTIFIER = re.compile(r"([*+?]|\{(\d*)(,?)(\d*)\})([?+]?)", re.ASCII)
_CLASS = re.compile(r"\[\^?\]?(?:[^\]\\]|\\.)*\]", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|[^0-9xuUN])", re.DOTALL)


class RegexParser:
    """Compiles the regex of a variable. What it does not know is refused; `re` judges single characters."""

    __slots__ = ("_depth", "_flags", "_position", "capturing", "text")

    def __init__(self, text: str, flags: int) -> None:
        self.text = text
        self.capturing = False
        self._flags = flags
        self._position = 0
        self._depth = 0

    def parse(self) -> Fragment:
        fragment = self._alternatives()
        if self._position < len(self.text):
            raise self._error("unbalanced parenthesis")
        return fragment

    def _alternatives(self) -> Fragment:
        branches = [self._branch()]
        while self._skip("|"):
            branches.append(self._branch())
        fragment = branches.pop()
        while branches:
            fragment = _either(branches.pop(), fragment)
        return fragment

    def _branch(self) -> Fragment:
        fragments = []
        while self._position < len(self.text) and self.text[self._position] not in "|)":
            fragments.append(self._quantified(self._atom()))
        return sequence(fragments)

    def _quantified(self, fragment: Fragment) -> Fragment:
        found = _QUANTIFIER.match(self.text, self._position)
        if found is None or found[1] == "{}":
            return fragment
        self._position = found.end()
        if found[5] == "+" or _QUANTIFIER.match(self.text, self._position):
            raise self._error("possessive or multiple quantifiers are not supported")
        if found[1] in "*+?":
            least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}[found[1]]
        else:
            least = int(found[2] or 0)
            most = (int(found[4]) if found[4] else None) if found[3] else least
        if most is not None and most < least:
            raise self._error("min repeat greater than max repeat")
        return _repeat(fragment, least, most, found[5] == "?")

    def _atom(self) -> Fragment:
        char = self.text[self._position]
        if char == "(":
            return self._group()
        if char in "[\\":
            found = (_CLASS if char == "[" else _ESCAPE).match(self.text, self._position)
            if found is None:
                raise self._error("unterminated set or unsupported escape")
            self._position = found.end()
            return self._single(found[0])
        self._position += 1
        if char in "*+?":
            raise self._error("nothing to repeat")
        return self._single(char) if char in ".^$" else literal(char, self._flags)

    def _single(self, source: str) -> Fragment:
        matcher = re.compile(source, self._flags).match
        is_assertion = source in ("^", "$", "\\b", "\\B", "\\A", "\\Z")
        return Fragment([(_ASSERT, matcher, False) if is_assertion else (_TEST, matcher, None)])

    def _group(self) -> Fragment:
        self._position += 1
        look = next((kind for kind in ("?=", "?!") if self._skip(kind)), None)
        if look is None and not self._skip("?:"):
            self.capturing = True
            named = re.compile(r"\?P<\w+>").match(self.text, self._position)
            self._position = named.end() if named else self._position
            if self.text.startswith("?", self._position):
                raise self._error("unsupported group")
        self._depth += 1
        if self._depth > _MAX_NESTING:
            raise self._error("too many nested groups")
        inner = self._alternatives()
        self._depth -= 1
        if not self._skip(")"):
            raise self._error("missing )")
        return inner if look is None else Fragment([(_LOOK, inner.code, look == "?!")], 0, math.inf)

    def _skip(self, text: str) -> bool:
        found = self.text.startswith(text, self._position)
        self._position += len(text) * found
        return found

    def _error(self, reason: str) -> ValueError:
        return ValueError(
            f"Invalid regex '{self.text[:100]}' in a pattern segment: {reason} at position {self._position}"
        )
