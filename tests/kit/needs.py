"""Marks for tests that need a program or packages beside Python; the skip tells what is missing and how to get it.

    @needs_chromium
    def test_a_page_in_a_browser() -> None: ...

In CI (the variable CI is set) a skip fails the run: conftest.py sees to that.
"""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

CLIENTS = Path(__file__).resolve().parent.parent / "clients"
"""The folder of the JavaScript clients: package.json and, once installed, node_modules."""


def needs_program(name: str, *, install: str) -> pytest.MarkDecorator:
    """Skip unless the program *name* is on the path; *install* is the command that brings it."""
    return pytest.mark.skipif(program(name) is None, reason=f"needs {name}: {install}")


def needs_python_package(name: str, *, install: str) -> pytest.MarkDecorator:
    """Skip unless the top-level package *name* can be imported."""
    return pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"needs the package {name}: {install}")


def needs_npm_package(name: str) -> pytest.MarkDecorator:
    """Skip unless node is there and the npm package *name* lies in tests/clients/node_modules."""
    found = program("node") is not None and (CLIENTS / "node_modules" / name).is_dir()
    install = "apt-get install nodejs npm && npm ci --prefix tests/clients"
    return pytest.mark.skipif(not found, reason=f"needs node and the npm package {name}: {install}")


def program(*names: str) -> str | None:
    """The path of the first of *names* that is on the path, or None.

    Servers live in /usr/sbin, which is not on everybody's path.
    """
    for name in names:
        found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
        if found:
            return found
    return None


needs_node = needs_program("node", install="apt-get install nodejs npm")
needs_chromium = needs_program("chromium", install="apt-get install chromium")
needs_nginx = needs_program("nginx", install="apt-get install nginx")
needs_haproxy = needs_program("haproxy", install="apt-get install haproxy")
needs_stompjs = needs_npm_package("@stomp/stompjs")
needs_legacy_stompjs = needs_npm_package("stompjs")
needs_sockjs_client = needs_npm_package("sockjs-client")
needs_playwright = needs_npm_package("playwright-core")
