"""The tables of docs/architecture.md that name code: what they name is there."""

from __future__ import annotations

import importlib
import re

import pytest
from house.source import ROOT

TEXT = (ROOT / "docs" / "architecture.md").read_text("utf-8")
CLASSES = re.findall(r"^\| `.+ \| `(?P<name>wellhead\.[\w.]+)` \|$", TEXT, re.M)
LOCKS = re.findall(r"^\| `(?P<owner>\w+)\.(?P<lock>_\w+)` \|", TEXT, re.M)


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_of_the_table_exists(name):
    module, _, attribute = name.rpartition(".")
    assert hasattr(importlib.import_module(module), attribute)


def test_the_table_was_found():
    assert len(CLASSES) > 90
    assert len(set(CLASSES)) == len(CLASSES)


@pytest.mark.parametrize(("owner", "lock"), LOCKS)
def test_a_lock_of_the_table_exists(owner, lock):
    sources = [path.read_text("utf-8") for top in ("messaging", "server") for path in (ROOT / top).rglob("*.py")]
    [source] = [text for text in sources if re.search(rf"^class {owner}\b", text, re.M)]
    assert re.search(rf"self\.{lock}\b.*= .*[Ll]ock\(\)", source)


def test_there_are_locks_in_the_table():
    assert len(LOCKS) >= 7


def test_the_differences_are_marked_in_the_code():
    marks = [
        path
        for top in ("messaging", "server")
        for path in (ROOT / top).rglob("*.py")
        if "Differs from Spring" in path.read_text("utf-8")
    ]
    rows = TEXT[TEXT.index("## Differs from Spring") : TEXT.index("## Spring's classes")].count("\n| ") - 2
    assert len(marks) > 15
    assert rows > 15
