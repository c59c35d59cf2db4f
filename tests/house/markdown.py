"""The code blocks of the documents. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from house.source import ROOT

FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,}) *(?P<language>[^\s`{]*)")


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, its text without the document's indentation, and the line it starts on."""

    path: Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.path.relative_to(ROOT).as_posix()}:{self.line}"


def documents() -> list[Path]:
    """README.md and the pages of docs/."""
    return [path for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if path.is_file()]


def blocks(path: Path, text: str | None = None) -> Iterator[Block]:
    """The blocks of *path*, or of *text* as if it stood there."""
    closing, language, start, lines = "", "", 0, list[str]()
    for number, line in enumerate((path.read_text("utf-8") if text is None else text).splitlines(), 1):
        if closing:
            if line.strip().startswith(closing):
                yield Block(path, start, language, dedent("\n".join(lines) + "\n"))
                closing = ""
            else:
                lines.append(line)
        elif fence := FENCE.match(line):
            closing, language, start, lines = fence["fence"], fence["language"].lower(), number, []
    assert not closing, f"{path.name}:{start}: a code block that never ends"
