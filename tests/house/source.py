"""The library's source as the house tests see it: files, import names, what each imports. Standard library only."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("messaging", "server")


@dataclass(frozen=True)
class Import:
    """One name of one import statement, made absolute: ``from ..message import Message`` has a module and a name."""

    module: str
    name: str | None
    line: int
    relative: bool = False
    lazy: bool = False
    """Inside a function: happens when it is called."""
    types_only: bool = False
    """Under ``if TYPE_CHECKING``: never happens."""

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]


@dataclass(frozen=True)
class Module:
    """One file of the library."""

    name: str
    path: Path
    imports: tuple[Import, ...]

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    @property
    def package(self) -> str:
        """``messaging`` or ``server``."""
        return self.name.split(".")[1]

    @property
    def folder(self) -> str:
        """The import name of the package that it lies in."""
        return self.name if self.is_package else self.name.rpartition(".")[0]

    @property
    def place(self) -> str:
        """The file as a person writes it: ``messaging/stomp/frame.py``."""
        return self.path.relative_to(ROOT).as_posix()


@cache
def library() -> Mapping[str, Module]:
    """Every module of the library by its import name."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return {module.name: module for module in map(read_module, paths)}


def read_module(path: Path) -> Module:
    name = import_name(path)
    folder = name if path.name == "__init__.py" else name.rpartition(".")[0]
    tree = ast.parse(path.read_text("utf-8"), str(path))
    return Module(name, path, tuple(imports_in(tree, folder)))


def import_name(path: Path) -> str:
    """``server/runtime/codec.py`` is ``wellhead.server.runtime.codec``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("wellhead", *(parts[:-1] if parts[-1] == "__init__" else parts)))


def imports_in(tree: ast.AST, folder: str, *, lazy: bool = False, types_only: bool = False) -> Iterator[Import]:
    """The imports of *tree*, which lies in the package *folder*, in the order of the file."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, None, node.lineno, lazy=lazy, types_only=types_only)
        elif isinstance(node, ast.ImportFrom):
            module = absolute(node, folder)
            for alias in node.names:
                yield Import(module, alias.name, node.lineno, node.level > 0, lazy, types_only)
        elif isinstance(node, ast.If) and is_type_checking(node.test):
            for child in node.body:
                yield from imports_in(wrap(child), folder, lazy=lazy, types_only=True)
            for child in node.orelse:
                yield from imports_in(wrap(child), folder, lazy=lazy, types_only=types_only)
        else:
            inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports_in(node, folder, lazy=inside, types_only=types_only)


def wrap(statement: ast.stmt) -> ast.Module:
    return ast.Module([statement], [])


def absolute(node: ast.ImportFrom, folder: str) -> str:
    if not node.level:
        return node.module or ""
    parts = folder.split(".")
    base = parts[: len(parts) - node.level + 1]
    return ".".join([*base, node.module] if node.module else base)


def is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else test.id if isinstance(test, ast.Name) else ""
    return name == "TYPE_CHECKING"


def imported_modules(module: Module) -> Iterator[Module]:
    """The modules of the library that are imported when *module* is."""
    modules = library()
    for item in module.imports:
        target = modules.get(f"{item.module}.{item.name}") or modules.get(item.module)
        if target is not None and not item.types_only and not item.lazy:
            yield target


def find_cycle(graph: Mapping[str, Iterable[str]]) -> list[str] | None:
    """The nodes of one cycle, the first of them again at the end; None when there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        cycle: list[str] = error.args[1]
        return cycle[::-1]
    return None
