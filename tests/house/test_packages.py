"""What is installed and under which names: setup.cfg, the typing markers, and who may not be imported."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
from pathlib import Path

import pytest
from house.source import PACKAGES, ROOT, library

SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")


def python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run *code* with *folder* as the current one, which is then on the path as for every user."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=50)


def test_setup_cfg_lists_every_package():
    listed = SETUP["options"]["packages"].split()
    folders = [module.name for module in library().values() if module.is_package]
    assert listed == sorted(folders)


def test_every_folder_with_modules_is_a_package():
    folders = {path.parent for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_the_packages_say_that_they_are_typed(package):
    assert SETUP["options.package_data"][f"wellhead.{package}"] == "py.typed"
    assert (ROOT / package / "py.typed").is_file()


@pytest.mark.parametrize("place", ["checkout", "elsewhere"])
@pytest.mark.parametrize("package", PACKAGES)
def test_the_package_is_imported_from_anywhere(package, place, tmp_path):
    code = f"import wellhead.{package} as package; print(package.__name__)"
    result = python(code, ROOT if place == "checkout" else tmp_path)
    assert (result.stdout.strip(), result.stderr) == (f"wellhead.{package}", "")


@pytest.mark.parametrize("package", PACKAGES)
def test_a_name_is_imported_from_the_top_of_the_package(package, tmp_path):
    result = python(f"from wellhead.{package} import __doc__ as text; print(bool(text))", tmp_path)
    assert (result.stdout.strip(), result.stderr) == ("True", "")


@pytest.mark.parametrize("name", ["messaging", "server", "messaging.stomp", "server.runtime"])
def test_the_folder_itself_is_refused_with_the_right_name(name):
    result = python(f"import {name}", ROOT)
    package = name.partition(".")[0]
    assert result.returncode == 1
    assert f"ImportError: import it as wellhead.{package}: the folder {package}/ is only the source" in result.stderr


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_leaves_gevent_to_the_runtime(package, tmp_path):
    code = f"import sys, wellhead.{package}; print('gevent' in sys.modules)"
    result = python(code, tmp_path)
    assert (result.stdout.strip(), result.stderr) == ("False", "")
