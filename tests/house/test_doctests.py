"""The examples in the library's docstrings. (pytest's --doctest-modules would import the folders by other names.)"""

from __future__ import annotations

import doctest
import importlib

import pytest
from house.source import library

RUNS_A_SERVER = ("wellhead.server.__main__",)
"""Patches the standard library on import, as a program may and a module may not."""


@pytest.mark.parametrize("name", [name for name in library() if name not in RUNS_A_SERVER])
def test_examples_in_docstrings(name):
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert failed == 0
