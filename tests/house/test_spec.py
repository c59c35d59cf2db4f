"""docs/specification.md, the tests and the modules say the same."""

from __future__ import annotations

from pathlib import Path

from house.source import ROOT
from house.spec import Mark, catalogue, marks, marks_in

IDS = 130


def test_the_catalogue_is_whole():
    assert len(catalogue()) == IDS


def test_every_marked_id_is_in_the_catalogue():
    entries = catalogue()
    assert [f"{mark.place}: {mark.id}" for mark in marks() if mark.id not in entries] == []


def test_every_module_of_the_catalogue_exists():
    named = [(entry.id, module) for entry in catalogue().values() for module in entry.modules]
    assert [pair for pair in named if not (ROOT / pair[1]).is_file()] == []


def test_what_has_a_test_names_its_module():
    entries = catalogue()
    marked = {mark.id for mark in marks()} & entries.keys()
    assert sorted(id_ for id_ in marked if not entries[id_].modules) == []


def test_marks_are_found_wherever_pytest_takes_them():
    text = """
pytestmark = pytest.mark.spec("A-01")
@pytest.mark.spec("B-01", "B-02")
class TestB:
    @mark.spec("C-01")
    @pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.spec("D-01"))])
    def test(self): "pytest.mark.spec('E-01')"
"""
    found = sorted(marks_in(text, Path("x.py")), key=lambda mark: mark.id)
    assert found == [
        Mark("A-01", Path("x.py"), 2),
        Mark("B-01", Path("x.py"), 3),
        Mark("B-02", Path("x.py"), 3),
        Mark("C-01", Path("x.py"), 5),
        Mark("D-01", Path("x.py"), 6),
    ]
