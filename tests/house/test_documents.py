"""The documents: what they show is Python, what they link to is there."""

from __future__ import annotations

import ast
import re

import pytest
from house.markdown import blocks, documents
from house.source import ROOT

LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
PYTHON = [block for path in documents() for block in blocks(path) if block.language in ("python", "py")]


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.place)
def test_python_in_the_documents_compiles(block):
    padded = "\n" * block.line + block.text
    compile(padded, str(block.path), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_links_to_files_lead_somewhere(path):
    prose = re.sub(r"```.*?```", "", path.read_text("utf-8"), flags=re.S)
    targets = [match["target"].partition("#")[0] for match in LINK.finditer(prose)]
    files = [target for target in targets if target and not re.match(r"[a-z]+:", target)]
    assert [target for target in files if not (path.parent / target).exists()] == []


def test_blocks_are_read_with_their_language_and_line():
    text = "a\n\n```python\nx = 1\n```\n- b\n  ~~~ sh\n  make\n    test\n  ~~~\n````\n```\n````\n"
    found = [(block.line, block.language, block.text) for block in blocks(ROOT / "README.md", text)]
    assert found == [(3, "python", "x = 1\n"), (7, "sh", "make\n  test\n"), (11, "", "```\n")]
