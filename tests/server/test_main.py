"""``python -m wellhead.server``: what it says, and with which code it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from kit.certificate import certificate
from kit.serving import TIMEOUT, RawClient

from wellhead.server.__main__ import CannotStartError, load_application, main

APP = """
import socket
from gevent import monkey

class App:
    def __init__(self):
        self.patched = monkey.is_module_patched("socket")
    def start(self, runtime):
        print("started", flush=True)
    def stop(self):
        print("stopped", flush=True)
    def __call__(self, environ, start_response):
        body = repr(self.patched).encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

app = App()
number = 3
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "served_here.py").write_text(APP)
    (tmp_path / "broken_here.py").write_text("import no_such_module_anywhere\n")
    return tmp_path


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


@contextmanager
def command(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The running command, and the line that says where it listens."""
    process = subprocess.Popen(
        [sys.executable, "-m", "wellhead.server", *arguments],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        while "listens on" not in (line := process.stderr.readline()):
            assert line, "it ended"
        yield process, line
    finally:
        if process.poll() is None:
            process.terminate()  # Not kill: the reloader has a child to take along.
        process.communicate(timeout=TIMEOUT)


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and stderr of a command that does not get to serve."""
    done = subprocess.run(
        [sys.executable, "-m", "wellhead.server", *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT * 3,
    )
    return done.returncode, done.stderr


def ask(port: int) -> bytes:
    with RawClient(port, handshake=False) as client:
        client.send_bytes(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        return client.receive_all()


@pytest.mark.spec("LIFE-01")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal_and_then_stops_gracefully(folder: Path, number: signal.Signals) -> None:
    with command(folder, "served_here:app", "--port", "0") as (process, line):
        assert line.startswith("wellhead listens on http://127.0.0.1:")
        assert ask(int(line.rpartition(":")[2])).endswith(b"\r\n\r\nTrue")
        process.send_signal(number)
        output, errors = process.communicate(timeout=TIMEOUT)
        assert process.returncode == 0
        assert output.split() == ["started", "stopped"]
        assert '"GET / HTTP/1.1" 200' in errors
        assert "Traceback" not in errors


@pytest.mark.spec("LIFE-01")
def test_it_can_leave_the_standard_library_alone(folder: Path) -> None:
    with command(folder, "served_here", "--port", "0", "--no-patch") as (process, line):
        assert ask(int(line.rpartition(":")[2])).endswith(b"\r\n\r\nFalse")
        process.terminate()
        assert process.wait(TIMEOUT) == 0


@pytest.mark.spec("LIFE-01")
def test_it_serves_over_tls(folder: Path) -> None:
    with command(folder, "served_here:app", "--port", "0", "--certfile", certificate()) as (process, line):
        assert line.startswith("wellhead listens on https://127.0.0.1:")
        process.terminate()
        assert process.wait(TIMEOUT) == 0


@pytest.mark.spec("LIFE-01")
def test_it_starts_anew_when_a_source_file_changes(folder: Path) -> None:
    with command(folder, "served_here:app", "--port", "0", "--reload") as (process, line):
        assert "wellhead listens on" in line
        assert process.stderr is not None
        changed = folder / "served_here.py"
        changed.write_text(APP.replace("repr(self.patched)", "'changed'"))
        os.utime(changed, (2_000_000_000, 2_000_000_000))
        while "wellhead listens on" not in (line := process.stderr.readline()):
            assert line, "it ended"
        assert ask(int(line.rpartition(":")[2])).endswith(b"changed")


@pytest.mark.spec("LIFE-01")
def test_a_port_in_use_is_one_line(folder: Path) -> None:
    with command(folder, "served_here:app", "--port", "0") as (_, line):
        port = line.rpartition(":")[2].strip()
        for more in ((), ("--reload",)):
            code, errors = run(folder, "served_here:app", "--port", port, *more)
            assert code == 2
            assert errors.splitlines()[-1] == f"Error: port {port} of 127.0.0.1 is in use"
            assert errors.count("\n") == 1 + len(more)  # The reloader says that it restarts.


@pytest.mark.spec("LIFE-01")
@pytest.mark.parametrize(
    "arguments, line",
    [
        (("no_such_module:app",), "there is no module 'no_such_module'"),
        (("served_here.py",), "there is no module 'served_here.py'"),
        (("served_here.sub:app",), "there is no module 'served_here.sub'"),
        (("served_here:nothing",), "module 'served_here' has no 'nothing'"),
        (("served_here:app.nothing",), "module 'served_here' has no 'app.nothing'"),
        (("served_here:number",), "'served_here:number' is no WSGI application: a int cannot be called"),
        ((":app",), "':app' names no module"),
        (("served_here:app", "--keyfile", "x"), "--keyfile needs --certfile"),
        (("served_here:app", "--certfile", "missing.pem"), "cannot serve with certificate missing.pem"),
        (("served_here:app", "--host", "192.0.2.1"), "cannot listen on 192.0.2.1:8080"),
    ],
)
def test_what_is_wrong_with_the_arguments_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], line: str
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    result = CliRunner().invoke(main, [*arguments, "--no-patch"])
    assert result.exit_code == 2
    assert result.output.startswith(f"Error: {line}")
    assert result.output.count("\n") == 1


@pytest.mark.spec("LIFE-01")
def test_an_error_within_the_application_keeps_its_traceback(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(ModuleNotFoundError, match="no_such_module_anywhere"):
        load_application("broken_here:app")


@pytest.mark.spec("LIFE-01")
def test_load_application_finds_dotted_attributes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(folder)
    assert load_application("served_here:app.stop").__name__ == "stop"
    with pytest.raises(CannotStartError):
        load_application("served_here:app.patched")
