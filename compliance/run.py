"""Runs the WebSocket compliance cases of the Autobahn test suite against the server and prints what came out.

    python compliance/run.py                        all 517 cases against samples.conformance
    python compliance/run.py --cases "6.*,7.*"      some of them
    python compliance/run.py --server "CMD {port}"  another server; --url alone: one that is already running

The suite needs Python 2.7. Where there is one (on PATH or under pyenv), the suite is installed once into a virtual
environment of its own in build/compliance/; where there is none, one line says so and the run counts as skipped.
Exit status 1: a case failed, a connection was not closed cleanly, more than 12 cases were NON-STRICT, or cases are
missing from the report. Reports, one page for each case, are in build/compliance/reports/index.html.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "compliance"
CONSTRAINTS = Path(__file__).with_name("constraints.txt")
SUITE = "autobahntestsuite==25.10.1"
SERVER = f"{shlex.quote(sys.executable)} -m wellhead.server samples.conformance:app --port {{port}}"
URL = "ws://127.0.0.1:{port}/raw"
AGENT = "wellhead"
ALL_CASES = 517
MAX_NON_STRICT = 12
GOOD = ("OK", "NON-STRICT", "INFORMATIONAL")
CLEAN = ("OK", "INFORMATIONAL")


class SetUpError(Exception):
    """The suite or the server could not be brought up; the message says where to look."""


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    python = find_python27()
    if python is None:
        print("skipped: the compliance cases need Python 2.7 (python2.7 on PATH, or pyenv install 2.7.18)")
        return 0
    try:
        suite = install_suite(python)
        port = free_port()
        with running_server(options.server, port):
            verdicts = run_cases(suite, options.url.format(port=port), options.cases, options.time_limit_s)
    except SetUpError as exc:
        print(f"compliance: {exc}", file=sys.stderr)
        return 1
    return report(verdicts, expected=ALL_CASES if options.cases == ["*"] else 1)


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="compliance", description="The WebSocket compliance cases (Autobahn).")
    parser.add_argument("--cases", default="*", help="which, separated by commas: 1.*,2.10 (default: all)")
    parser.add_argument("--server", help=f"command that serves on {{port}} (default: {SERVER})")
    parser.add_argument("--url", help=f"where it is tested (default: {URL}); alone: nothing is started")
    parser.add_argument("--time-limit-s", type=int, default=3600, help="for the whole run (default: 3600)")
    options = parser.parse_args(arguments)
    options.cases = [case.strip() for case in options.cases.split(",") if case.strip()]
    if options.server is None and options.url is None:
        options.server = SERVER
    options.url = options.url or URL
    return options


# The suite.


def find_python27() -> str | None:
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    candidates = [shutil.which("python2.7"), shutil.which("python2")]
    candidates += sorted(map(str, pyenv.glob("versions/2.7*/bin/python2.7")), reverse=True)
    return next((python for python in candidates if python and is_python27(python)), None)


def is_python27(python: str) -> bool:
    """A name alone is not enough: a shim of pyenv may stand for nothing."""
    code = "import sys; sys.exit(sys.version_info[:2] != (2, 7))"
    return subprocess.run([python, "-c", code], stderr=subprocess.DEVNULL).returncode == 0


def install_suite(python: str) -> Path:
    """The suite's command. Installed when it is not there yet or its versions have changed."""
    home = BUILD / "python2.7"
    mark = home / "installed.txt"
    wanted = f"{SUITE}\n{CONSTRAINTS.read_text()}"
    if not mark.exists() or mark.read_text() != wanted:
        shutil.rmtree(home, ignore_errors=True)
        tool = BUILD / "tool"
        pip = "-m pip --disable-pip-version-check -q install".split()
        # The last virtualenv that can make environments of Python 2.7 runs on Python 3.
        logged("install", sys.executable, "-m", "venv", "--clear", str(tool))
        logged("install", str(tool / "bin/python"), *pip, "virtualenv<20.22", "setuptools")
        logged("install", str(tool / "bin/python"), "-m", "virtualenv", "-q", "-p", python, str(home))
        logged("install", str(home / "bin/python"), *pip, "-c", str(CONSTRAINTS), SUITE)
        mark.write_text(wanted)
    return home / "bin" / "wstest"


def run_cases(suite: Path, url: str, cases: list[str], time_limit_s: int) -> dict[str, dict[str, str]]:
    """Each case's verdicts: ``behavior`` of the connection and ``behaviorClose`` of its end."""
    reports = BUILD / "reports"
    shutil.rmtree(reports, ignore_errors=True)
    specification = BUILD / "cases.json"
    servers = [{"agent": AGENT, "url": url}]
    specification.write_text(json.dumps({"outdir": str(reports), "servers": servers, "cases": cases}))
    logged("wstest", str(suite), "-m", "fuzzingclient", "-s", str(specification), time_limit_s=time_limit_s)
    index = reports / "index.json"
    if not index.exists():
        raise SetUpError(f"the suite wrote no report, see {shown(BUILD / 'wstest.log')}")
    verdicts: dict[str, dict[str, str]] = json.loads(index.read_text()).get(AGENT, {})
    return verdicts


def logged(log: str, *command: str, time_limit_s: int | None = None) -> None:
    BUILD.mkdir(parents=True, exist_ok=True)
    path = BUILD / f"{log}.log"
    with path.open("w") as output:
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, timeout=time_limit_s
            )
        except subprocess.TimeoutExpired:
            raise SetUpError(f"not done after {time_limit_s} s, see {shown(path)}") from None
    if done.returncode:
        raise SetUpError(f"{shlex.join(command)} ended with {done.returncode}, see {shown(path)}")


# The server.


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running_server(command: str | None, port: int) -> Iterator[None]:
    if command is None:
        yield
        return
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "server.log").open("w") as output:
        words = [word.replace("{port}", str(port)) for word in shlex.split(command)]
        server = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            wait_until_serving(server, port)
            yield
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def wait_until_serving(server: subprocess.Popen[bytes], port: int, limit_s: float = 30.0) -> None:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SetUpError(f"the server does not answer on port {port}, see {shown(BUILD / 'server.log')}")


# The result.


def report(verdicts: dict[str, dict[str, str]], *, expected: int) -> int:
    """Prints each case that is not good and one line for all. Returns the exit status."""
    counts = Counter(verdict["behavior"] for verdict in verdicts.values())
    failed = sorted((case for case, v in verdicts.items() if v["behavior"] not in GOOD), key=in_order)
    unclean = sorted((case for case, v in verdicts.items() if v["behaviorClose"] not in CLEAN), key=in_order)
    for case in sorted({*failed, *unclean}, key=in_order):
        print(f"case {case}: {verdicts[case]['behavior']}, close {verdicts[case]['behaviorClose']}")
    print(
        f"{len(verdicts)} cases: {', '.join(f'{counts[good]} {good}' for good in GOOD)}, "
        f"{len(failed)} failed, {len(unclean)} unclean ({shown(BUILD / 'reports' / 'index.html')})"
    )
    if len(verdicts) < expected:
        print(f"cases are missing: {expected} expected, see {shown(BUILD / 'wstest.log')}")
        return 1
    return 1 if failed or unclean or counts["NON-STRICT"] > MAX_NON_STRICT else 0


def in_order(case: str) -> tuple[int, ...]:
    return tuple(map(int, case.split(".")))


def shown(path: Path) -> str:
    return os.path.relpath(path)


if __name__ == "__main__":
    sys.exit(main())
