"""Segments in which text, `*`, `?` and `{name}` are mixed, for those who only ask whether they match (DEST-01).

Each piece between two wildcards is placed as far left as it goes, which is always enough: no way is taken back. Nothing
is compiled, so that a client's pattern takes little more memory than its text. Variables are not bound; whoever needs
their values takes the machine of `pattern_program`.
"""

from .pattern_program import charge

_FAST = 256  # characters that are compared in the time of one step of the machine


class GlobSegment:
    """A segment without expressions."""

    __slots__ = ("_case_sensitive", "_least", "_pieces")

    def __init__(self, pieces: list[tuple[str, str]], case_sensitive: bool) -> None:
        """*pieces* as `split_segment` gives them."""
        between = [""]
        for kind, text in pieces:
            if kind in ("*", "{"):
                between.append("")
            else:
                between[-1] += text if case_sensitive else text.lower()
        self._case_sensitive = case_sensitive
        self._pieces = tuple(between)
        """What stands between wildcards; a `?` is any character, as text cannot have one."""
        self._least = sum(map(len, between))

    def match(self, text: str, variables: dict[str, str] | None, budget: list[int]) -> bool:
        if not self._case_sensitive:
            charge(budget, len(text) // _FAST)
            text = text.lower()
        charge(budget, 2)
        first, *middle = self._pieces
        if len(text) < self._least or not _is_at(first, text, 0, budget):
            return False
        if not middle:
            return len(text) == self._least
        last = middle.pop()
        end = len(text) - len(last)
        if not _is_at(last, text, end, budget):
            return False
        position = len(first)
        for piece in middle:
            position = _find(piece, text, position, end, budget)
            if position < 0:
                return False
        return True


def _is_at(piece: str, text: str, position: int, budget: list[int]) -> bool:
    """Whether *piece* matches there; the text is long enough."""
    if "?" not in piece:
        return text.startswith(piece, position)
    charge(budget, 1 + piece.count("?"))
    for part in piece.split("?"):
        if not text.startswith(part, position):
            return False
        position += len(part) + 1
    return True


def _find(piece: str, text: str, position: int, end: int, budget: list[int]) -> int:
    """Where the first place of *piece* in text[position:end] ends, or -1."""
    known = piece.lstrip("?")
    offset = len(piece) - len(known)
    known = known.partition("?")[0]
    while position + len(piece) <= end:
        start = position + offset
        at = text.find(known, start, end - len(piece) + offset + len(known))
        charge(budget, 1 + ((at if at >= 0 else end) - start) * len(known) // _FAST)
        if at < 0:
            return -1
        position = at - offset
        if _is_at(piece, text, position, budget):
            return position + len(piece)
        position += 1
    return -1
