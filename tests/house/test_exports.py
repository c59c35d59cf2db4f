"""The packages' __init__ files: they re-export names on purpose, and nothing else happens in them."""

from __future__ import annotations

import ast
import importlib

import pytest
from house.source import Module, library

PACKAGES = [module for module in library().values() if module.is_package]
TOP = ("wellhead.messaging", "wellhead.server")


def reexports(module: Module) -> dict[str, str]:
    """Name to owner of every ``from .owner import X as X``."""
    return {item.name: item.module for item in module.imports if item.relative and item.name}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "package" in metafunc.fixturenames:
        metafunc.parametrize("package", PACKAGES, ids=lambda module: module.name)


def test_every_reexported_name_exists(package):
    imported = importlib.import_module(package.name)
    for name, owner in reexports(package).items():
        assert getattr(imported, name) is getattr(importlib.import_module(owner), name)


def test_every_name_in_all_exists(package):
    imported = importlib.import_module(package.name)
    assert [name for name in getattr(imported, "__all__", ()) if not hasattr(imported, name)] == []


def test_init_has_a_docstring_the_guard_and_reexports(package):
    tree = ast.parse(package.path.read_text("utf-8"))
    assert ast.get_docstring(tree), f"{package.place} says nothing"
    statements = [node for node in tree.body[1:] if not is_guard(node) and not is_all(node)]
    others = [f"{package.place}:{node.lineno}" for node in statements if not is_reexport(node)]
    assert others == [], "an __init__ only re-exports, each name in the form 'X as X'"


@pytest.mark.parametrize("name", TOP)
def test_the_top_packages_carry_the_guard(name):
    assert any(is_guard(node) for node in ast.parse(library()[name].path.read_text("utf-8")).body)


def is_reexport(node: ast.stmt) -> bool:
    if not isinstance(node, ast.ImportFrom):
        return False
    if node.module == "__future__":
        return True
    return node.level > 0 and all(alias.asname == alias.name and alias.name[0] != "_" for alias in node.names)


def is_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).startswith("__name__ != 'wellhead.")


def is_all(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]
