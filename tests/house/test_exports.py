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
    return {item.name: item.module for item in module.imports if item.relative and item.name and not item.lazy}


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


def test_init_says_what_the_package_is_and_reexports(package):
    tree = ast.parse(package.path.read_text("utf-8"))
    assert ast.get_docstring(tree), f"{package.place} says nothing"
    allowed = (is_guard, is_all, is_reexport, is_for_annotations, is_door)
    others = [f"{package.place}:{node.lineno}" for node in tree.body[1:] if not any(rule(node) for rule in allowed)]
    assert others == [], "an __init__ only re-exports, each name in the form 'X as X'"


@pytest.mark.parametrize("name", TOP)
def test_the_top_packages_carry_the_guard(name):
    assert any(is_guard(node) for node in ast.parse(library()[name].path.read_text("utf-8")).body)


def is_reexport(node: ast.stmt) -> bool:
    if not isinstance(node, ast.ImportFrom) or not node.level:
        return False
    return all(alias.asname == alias.name and alias.name[0] != "_" for alias in node.names)


def is_for_annotations(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module in ("__future__", "typing")


def is_door(node: ast.stmt) -> bool:
    """A documented function that imports what it stands for when it is called, calls it, and does nothing else."""
    if not isinstance(node, ast.FunctionDef) or len(node.body) != 3 or not ast.get_docstring(node):
        return False
    owner, call = node.body[1:]
    return isinstance(owner, ast.ImportFrom) and isinstance(call, ast.Expr | ast.Return)


def is_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).startswith("__name__ != 'wellhead.")


def is_all(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]
