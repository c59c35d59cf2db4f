"""The directions that the library's modules keep; docs/architecture.md draws them."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable

from house.source import Import, Module, find_cycle, imported_modules, library

MESSAGING_MAY_IMPORT = {"blinker", "msgspec"}
MESSAGING_MAY_IMPORT_LAZILY = {"pydantic"}

STANDARD_LATER = {"annotationlib"}
"""Modules of the standard library that the oldest Python we run on does not have."""

GEVENT = {"gevent", "geventwebsocket"}
LOCKS = "wellhead.messaging.locks"
"""Nothing of messaging is in it."""
GEVENT_IS_AT_HOME_IN = ("server/runtime/", "server/__main__.py")

PURE_CODECS = (
    "messaging/stomp/frame.py",
    "messaging/stomp/frame_parser.py",
    "messaging/stomp/plain_frames.py",
    "server/sockjs/frame.py",
)

RAW_FOLDERS = ("server/handshake/", "server/sockjs/")
"""With the modules that lie in server/ itself: what raw handlers need, and they need no messaging."""
RAW_EXCEPTIONS = {"server/__main__.py"}
"""Lie in server/ itself and are not of the lower half."""


def modules(*, packages: bool = True) -> list[Module]:
    return [module for module in library().values() if packages or not module.is_package]


def offences(among: Iterable[Module], wrong: Callable[[Module, Import], bool]) -> list[str]:
    return [
        f"{module.place}:{item.line}: imports {item.module}{'.' + item.name if item.name else ''}"
        for module in among
        for item in module.imports
        if wrong(module, item)
    ]


def is_standard(item: Import) -> bool:
    return item.top in sys.stdlib_module_names | STANDARD_LATER


def is_ours(item: Import) -> bool:
    return item.top == "wellhead"


def test_messaging_imports_itself_the_standard_library_blinker_and_msgspec():
    def wrong(_: Module, item: Import) -> bool:
        if is_ours(item):
            return not f"{item.module}.".startswith("wellhead.messaging.")
        if item.lazy or item.types_only:
            return not (is_standard(item) or item.top in MESSAGING_MAY_IMPORT | MESSAGING_MAY_IMPORT_LAZILY)
        return not (is_standard(item) or item.top in MESSAGING_MAY_IMPORT)

    assert offences([module for module in modules() if module.package == "messaging"], wrong) == []


def test_gevent_appears_in_the_runtime_alone():
    elsewhere = [module for module in modules() if not module.place.startswith(GEVENT_IS_AT_HOME_IN)]
    assert offences(elsewhere, lambda _, item: item.top in GEVENT) == []


def test_pure_codecs_import_the_standard_library_alone():
    codecs = [module for module in modules() if module.place in PURE_CODECS]
    assert codecs
    names = {module.name for module in codecs}
    assert offences(codecs, lambda _, item: not is_standard(item) and item.module not in names) == []


def test_the_lower_half_of_the_server_needs_no_messaging():
    def is_lower(module: Module) -> bool:
        if module.place in RAW_EXCEPTIONS or module.is_package:
            return False
        return module.folder == "wellhead.server" or module.place.startswith(RAW_FOLDERS)

    def wrong(_: Module, item: Import) -> bool:
        is_messaging = f"{item.module}.{item.name}.".startswith("wellhead.messaging.")
        return is_messaging and not item.types_only and item.module != LOCKS

    assert offences(filter(is_lower, modules()), wrong) == []


def test_inside_the_library_imports_are_relative():
    forbidden = {"wellhead", "messaging", "server"}
    assert offences(modules(), lambda _, item: not item.relative and item.top in forbidden) == []


def test_names_are_imported_from_the_module_that_owns_them():
    found = library()

    def wrong(_: Module, item: Import) -> bool:
        target = found.get(item.module)
        return target is not None and target.is_package and f"{item.module}.{item.name}" not in found

    assert offences(modules(), wrong) == []


def test_every_imported_module_of_the_library_exists():
    found = library()

    def wrong(_: Module, item: Import) -> bool:
        return is_ours(item) and item.module not in found

    assert offences(modules(), wrong) == []


def test_no_star_imports():
    assert offences(modules(), lambda _, item: item.name == "*") == []


def test_modules_have_no_cycle():
    graph = {module.name: [target.name for target in imported_modules(module)] for module in modules(packages=False)}
    assert find_cycle(graph) is None


def test_folders_have_no_cycle():
    graph: dict[str, set[str]] = defaultdict(set)
    for module in modules(packages=False):
        for target in imported_modules(module):
            if node(target) != node(module):
                graph[node(module)].add(node(target))
    assert find_cycle(graph) is None


def node(module: Module) -> str:
    """The folder; ``__main__`` stands for itself, since it lies below everything and starts everything."""
    return module.name if module.name.endswith(".__main__") else module.folder


def test_folders_are_one_deep():
    assert [module.place for module in modules() if module.place.count("/") > 2] == []
