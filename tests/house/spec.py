"""The catalogue of docs/specification.md held against the tests' spec marks: a matter of text, nothing is imported.

``python tests/house/spec.py`` (``make spec``) prints what has no test yet.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = ROOT / "docs" / "specification.md"
ROW = re.compile(r"^\| (?P<id>[A-Z]+-\d\d) \| (?P<meaning>[^|]+) \| (?P<where>[^|]+) \|$")
NOT_YET = "not yet"


@dataclass(frozen=True)
class Entry:
    """A row of the catalogue."""

    id: str
    meaning: str
    modules: tuple[str, ...]
    """Paths as ``messaging/stomp/frame.py``; none while the behaviour is not there yet."""


@dataclass(frozen=True)
class Mark:
    """An id in a ``pytest.mark.spec(...)``."""

    id: str
    path: Path
    line: int

    @property
    def place(self) -> str:
        return f"{self.path.relative_to(ROOT).as_posix()}:{self.line}"


def catalogue() -> dict[str, Entry]:
    """The entries by id, in the order of the document. Raises ValueError when an id has two rows."""
    entries: dict[str, Entry] = {}
    for line in CATALOGUE.read_text("utf-8").splitlines():
        if row := ROW.match(line):
            if row["id"] in entries:
                raise ValueError(f"docs/specification.md: {row['id']} has two rows")
            entries[row["id"]] = Entry(row["id"], row["meaning"].strip(), tuple(modules_in(row["where"])))
    return entries


def modules_in(where: str) -> list[str]:
    return [] if where.strip() == NOT_YET else re.findall(r"`([^`]+)`", where)


def marks() -> Iterator[Mark]:
    """Every spec mark of the tests: on functions and classes, in ``pytestmark`` and in ``pytest.param``."""
    for path in sorted((ROOT / "tests").rglob("*.py")):
        text = path.read_text("utf-8")
        if "mark.spec" in text:
            yield from marks_in(text, path)


def marks_in(text: str, path: Path) -> Iterator[Mark]:
    for node in ast.walk(ast.parse(text, str(path))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("mark.spec"):
            for argument in node.args:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield Mark(argument.value, path, argument.lineno)


def main() -> None:
    entries = catalogue()
    marked = {mark.id for mark in marks()}
    open_ids = [entry for entry in entries.values() if entry.id not in marked]
    for entry in open_ids:
        print(f"{entry.id:<9} {entry.meaning}{'' if entry.modules else f' ({NOT_YET})'}")
    print(f"{len(entries) - len(open_ids)} of {len(entries)} ids have a test", file=sys.stderr)


if __name__ == "__main__":
    main()
