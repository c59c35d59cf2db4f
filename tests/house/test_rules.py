"""The rules of tests/conftest.py: modes leave tests out, and a skip fails a run in CI."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from house.source import ROOT

SUITE = """
import pytest
from gevent import monkey

def test_passes(): pass

@pytest.mark.skip(reason="needs chromium: apt-get install chromium")
def test_skipped(): pass

@pytest.mark.xfail(reason="known")
def test_known_to_fail(): assert False

@pytest.mark.modes("patched")
def test_patched(): assert monkey.is_module_patched("socket")

@pytest.mark.modes("threads", "unpatched")
def test_not_patched(): assert not monkey.is_module_patched("socket")
"""


@pytest.fixture
def run(tmp_path):
    """Run SUITE under our conftest in a process of its own; gives the exit status and the output."""
    suite = tmp_path / "test_suite.py"
    suite.write_text(SUITE)

    def run(*arguments: str, mode: str = "unpatched", ci: bool = False, launcher: bool = True) -> tuple[int, str]:
        path = [str(ROOT / "tests"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        environ = os.environ | {"WELLHEAD_TEST_MODE": mode, "PYTHONPATH": os.pathsep.join(filter(None, path))}
        environ["CI"] = "true" if ci else ""
        start = [str(ROOT / "tests" / "run.py")] if launcher else ["-m", "pytest"]
        command = [sys.executable, *start, "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path)]
        command += ["-p", "conftest", "-p", "no:cacheprovider", "-q", "--noconftest", str(suite), *arguments]
        done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=50)
        return done.returncode, done.stdout + done.stderr

    return run


def test_a_skip_is_no_failure_at_home(run):
    status, output = run()
    assert (status, "2 passed, 1 skipped, 1 deselected, 1 xfailed" in output) == (0, True), output


def test_a_skip_fails_in_ci_and_is_listed(run):
    status, output = run(ci=True)
    assert status == 1
    assert "test_suite.py::test_skipped: needs chromium: apt-get install chromium" in output


def test_ci_passes_without_a_skip(run):
    status, output = run("-k", "not skipped", ci=True)
    assert status == 0, output


@pytest.mark.parametrize("mode", ["patched", "threads"])
def test_each_mode_runs_its_own_tests(run, mode):
    status, output = run(mode=mode)
    assert (status, "2 passed, 1 skipped, 1 deselected, 1 xfailed" in output) == (0, True), output


def test_patching_too_late_is_refused(run):
    status, output = run(mode="patched", launcher=False)
    assert status == pytest.ExitCode.USAGE_ERROR
    assert "python tests/run.py" in output


def test_an_unknown_mode_is_refused(run):
    status, output = run(mode="greenlets")
    assert status == pytest.ExitCode.USAGE_ERROR
    assert "not one of unpatched, patched, threads" in output
