"""Selectors: a small, safe boolean expression over the headers of a message (SB-05).

Station: the broker asks the selector of a subscription whether a message is wanted. Text in, yes or no out; this module
knows no messages: what a header name means is the caller's `lookup`.

The language, a subset of SpEL (Differs from Spring: nothing beyond this table is evaluated):

    headers.foo   headers['foo']   headers["foo"]     the header `foo`, null when absent
    foo                                               null: the message has no other properties, and reading
                                                      `foo.bar` or `headers.foo.bar` is an error while evaluating
    'it''s'  "text"  42  -1.5  1e3  true  false  null literals; the quote is doubled to be part of a string
    ==  !=  <  >  <=  >=      eq  ne  lt  gt  le  ge  comparison, one at a time: `a < b < c` is an error
    !   not                                           negation; binds tighter than comparison: `!(a == b)`
    &&  and                                           conjunction, binds tighter than disjunction
    ||  or                                            disjunction
    ( )                                               grouping

Words may be written in any case, names of headers are left as they are. Not supported, and refused when compiling:
`matches`, `between`, `instanceof`, arithmetic, `?:`, assignment, method calls, types, beans, collections.

Values are compared as follows. Strings with strings by characters; numbers with numbers by value. Native headers are
strings, so a string that looks like a number is taken as one beside a number, and `true` or `false` beside a boolean
(Differs from Spring: SpEL finds these unequal). null equals null alone and is less than everything else. Other mixed
values are unequal, and ordering them is an error. Where a boolean is needed, the strings true/on/yes/1 and
false/off/no/0 are converted; anything else is an error. An error while evaluating means: does not match.
"""

import logging
import operator
import re
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

logger = logging.getLogger(__name__)

MAX_SELECTOR_LENGTH = 4096
"""Characters of a selector; clients choose the text."""

MAX_SELECTOR_DEPTH = 32
"""Parentheses and negations within each other."""

Lookup: TypeAlias = Callable[[str], object]
"""The value of the header with this name; None when there is none."""

_Node: TypeAlias = Callable[[Lookup], object]


class SelectorSyntaxError(ValueError):
    """A text that is no selector. `position` is the index of the character where it stops being one."""

    def __init__(self, reason: str, position: int) -> None:
        super().__init__(f"{reason} at position {position}")
        self.position = position


class Selector:
    """A compiled selector, an immutable value without state: any thread may use it."""

    __slots__ = ("_node", "_text")

    def __init__(self, text: str, node: _Node) -> None:
        """Made by `compile_selector`."""
        self._text = text
        self._node = node

    @property
    def text(self) -> str:
        return self._text

    def matches(self, lookup: Lookup) -> bool:
        """Whether the expression is true of these headers. Never raises: an error while evaluating gives False."""
        try:
            return _as_boolean(self._node(lookup))
        except Exception as error:  # Values of headers are arbitrary objects: whatever their comparison raises is "no".
            logger.debug("Failed to evaluate selector %r: %s", self._text, error)
            return False

    def __repr__(self) -> str:
        return f"<Selector {self._text!r}>"


def compile_selector(text: str) -> Selector:
    """The selector that `text` tells.

    Raises SelectorSyntaxError when it is none, is longer than 4,096 characters or nested deeper than 32 levels.
    """
    if len(text) > MAX_SELECTOR_LENGTH:
        raise SelectorSyntaxError(f"Selector is longer than {MAX_SELECTOR_LENGTH} characters", MAX_SELECTOR_LENGTH)
    return Selector(text, _Parser(text).parse())


# --- Text to tokens ---


class _Token(NamedTuple):
    kind: str
    """"name", "number", "string", "end", or the operator itself."""
    text: str
    position: int


_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(?![\w.])
      | (?P<name>[A-Za-z_$][\w$]*)
      | (?P<string>'(?:[^']|'')*'|"(?:[^"]|"")*")
      | (?P<operator>==|!=|<=|>=|&&|\|\||[<>!().\[\]-])
      | (?P<end>\Z)
    )""",
    re.VERBOSE,
)

_WORDS = {
    "and": "&&",
    "or": "||",
    "not": "!",
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "gt": ">",
    "le": "<=",
    "ge": ">=",
}
_REFUSED_WORDS = frozenset({"matches", "between", "instanceof", "div", "mod", "new"})
_LITERALS: dict[str, object] = {"true": True, "false": False, "null": None}


def _tokenize(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    while not tokens or tokens[-1].kind != "end":
        found = _TOKEN.match(text, position)
        if found is None or found.lastgroup is None:
            raise SelectorSyntaxError("Unexpected character or unterminated string", position)
        position = found.end()
        word = found[found.lastgroup]
        kind = word if found.lastgroup == "operator" else found.lastgroup
        # After a dot every word is the name of a header.
        if kind == "name" and not (tokens and tokens[-1].kind == "."):
            kind = _WORDS.get(word.lower(), "name")
        tokens.append(_Token(kind, word, found.start(found.lastgroup)))
    return tokens


# --- Tokens to functions ---


class _Parser:
    """Recursive descent: disjunction, conjunction, comparison, negation, value."""

    __slots__ = ("_at", "_depth", "_tokens")

    def __init__(self, text: str) -> None:
        self._tokens = _tokenize(text)
        self._at = 0
        self._depth = 0

    def parse(self) -> _Node:
        node = self._disjunction()
        self._expect("end")
        return node

    def _disjunction(self) -> _Node:
        nodes = [self._conjunction()]
        while self._skip("||"):
            nodes.append(self._conjunction())
        return nodes[0] if len(nodes) == 1 else lambda lookup: any(_as_boolean(node(lookup)) for node in nodes)

    def _conjunction(self) -> _Node:
        nodes = [self._comparison()]
        while self._skip("&&"):
            nodes.append(self._comparison())
        return nodes[0] if len(nodes) == 1 else lambda lookup: all(_as_boolean(node(lookup)) for node in nodes)

    def _comparison(self) -> _Node:
        left = self._negation()
        compare = _COMPARISONS.get(self._tokens[self._at].kind)
        if compare is None:
            return left
        self._at += 1
        right = self._negation()
        return lambda lookup: compare(left(lookup), right(lookup))

    def _negation(self) -> _Node:
        if not self._skip("!"):
            return self._value()
        self._enter()
        inner = self._negation()
        self._depth -= 1
        return lambda lookup: not _as_boolean(inner(lookup))

    def _value(self) -> _Node:
        token = self._next()
        if token.kind == "(":
            self._enter()
            inner = self._disjunction()
            self._depth -= 1
            self._expect(")")
            return inner
        if token.kind == "string":
            quote = token.text[0]
            return _constant(token.text[1:-1].replace(quote * 2, quote))
        if token.kind == "number":
            return _constant(_to_number(token.text))
        if token.kind == "-":
            return _constant(_to_number("-" + self._expect("number").text))
        if token.kind == "name" and token.text.lower() not in _REFUSED_WORDS:
            return self._name(token)
        raise _unexpected(token)

    def _name(self, token: _Token) -> _Node:
        if token.text.lower() in _LITERALS:
            return _constant(_LITERALS[token.text.lower()])
        names = self._path()
        if token.text != "headers":
            return _unreadable if names else _constant(None)
        if not names:
            return _constant(_ALL_HEADERS)
        return _unreadable if len(names) > 1 else lambda lookup: lookup(names[0])

    def _path(self) -> list[str]:
        """The names read one from another, as in `.foo['bar']`."""
        names: list[str] = []
        while True:
            if self._skip("."):
                names.append(self._expect("name").text)
            elif self._skip("["):
                literal = self._expect("string").text
                names.append(literal[1:-1].replace(literal[0] * 2, literal[0]))
                self._expect("]")
            else:
                return names

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > MAX_SELECTOR_DEPTH:
            raise SelectorSyntaxError(
                f"Selector is nested deeper than {MAX_SELECTOR_DEPTH} levels", self._tokens[self._at - 1].position
            )

    def _next(self) -> _Token:
        token = self._tokens[self._at]
        self._at += token.kind != "end"
        return token

    def _skip(self, kind: str) -> bool:
        found = self._tokens[self._at].kind == kind
        self._at += found
        return found

    def _expect(self, kind: str) -> _Token:
        token = self._next()
        if token.kind != kind:
            raise _unexpected(token)
        return token


def _unexpected(token: _Token) -> SelectorSyntaxError:
    if token.kind == "end":
        return SelectorSyntaxError("Unexpected end of selector", token.position)
    hint = "is not supported" if token.text.lower() in _REFUSED_WORDS else "is unexpected"
    return SelectorSyntaxError(f"{token.text!r} {hint}", token.position)


def _constant(value: object) -> _Node:
    return lambda lookup: value


# --- Values ---


class _EvaluationError(Exception):
    """The values do not fit the operator."""


_ALL_HEADERS = object()  # `headers` by itself: not null and nothing else


def _unreadable(lookup: Lookup) -> object:
    raise _EvaluationError("Properties can be read from 'headers' alone")


_Number: TypeAlias = int | float
_NUMBER = re.compile(r"[+-]?[0-9]{1,300}(?:\.[0-9]{1,300})?(?:[eE][+-]?[0-9]{1,3})?")
_BOOLEANS = {
    "true": True,
    "on": True,
    "yes": True,
    "1": True,
    "false": False,
    "off": False,
    "no": False,
    "0": False,
}


def _to_number(text: str) -> _Number:
    return int(text) if text.lstrip("+-").isdigit() else float(text)


def _as_boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in _BOOLEANS:
        return _BOOLEANS[value.strip().lower()]
    raise _EvaluationError(f"{type(value).__name__} is no boolean")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _coerced(value: object, beside: object) -> object:
    """A string as what the value beside it is, where it looks like one."""
    if isinstance(value, str):
        if _is_number(beside) and _NUMBER.fullmatch(value):
            return _to_number(value)
        if isinstance(beside, bool) and value.lower() in ("true", "false"):
            return value.lower() == "true"
    return value


def _equal(left: object, right: object) -> bool:
    left, right = _coerced(left, right), _coerced(right, left)
    if isinstance(left, bool) is not isinstance(right, bool):
        return False  # Python holds that True equals 1
    return bool(left == right)


def _ordering(holds: Callable[[int, int], bool]) -> Callable[[object, object], bool]:
    def compare(left: object, right: object) -> bool:
        return holds(_order(left, right), 0)

    return compare


def _order(left: object, right: object) -> int:
    """Negative, 0 or positive, as `left` is less than, equal to or greater than `right`."""
    if left is None or right is None:
        return (left is not None) - (right is not None)
    left, right = _coerced(left, right), _coerced(right, left)
    if isinstance(left, str) and isinstance(right, str):
        return (left > right) - (left < right)
    same_kind = isinstance(left, bool) is isinstance(right, bool)
    if same_kind and isinstance(left, (int, float)) and isinstance(right, (int, float)):
        return (left > right) - (left < right)
    raise _EvaluationError(f"{type(left).__name__} and {type(right).__name__} have no order")


_COMPARISONS: dict[str, Callable[[object, object], bool]] = {
    "==": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "<": _ordering(operator.lt),
    ">": _ordering(operator.gt),
    "<=": _ordering(operator.le),
    ">=": _ordering(operator.ge),
}
