"""The server as people start it: ``python -m wellhead.server module:app`` in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kit.serving import TIMEOUT

ROOT = Path(__file__).resolve().parents[2]
"""The checkout: what the samples are imported from."""
_LISTENS = re.compile(r"wellhead listens on https?://.+:(\d+)$")
_START_TIMEOUT = 40.0
"""A machine that has other work, and modules that nobody has compiled yet."""
_STOP_TIMEOUT = 15.0


class ServerProgram:
    """A process that listens on 127.0.0.1 once this is made. What it writes to stderr is kept in ``lines``."""

    def __init__(self, app: str, *options: str, folder: Path = ROOT, port: int = 0) -> None:
        self.process = subprocess.Popen(
            server_command(app, *options, "--port", str(port)),
            cwd=folder,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        self.lines: list[str] = []
        self.port = 0
        self._listens = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not (self._listens.wait(_START_TIMEOUT) and self.port):
            self.stop()
            raise AssertionError("the server did not start:\n" + "\n".join(self.lines))

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> int:
        """Ask it to end as a supervisor does, and wait for that. Returns the exit code. Harmless twice."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            code = self.process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("the server did not end:\n" + "\n".join(self.lines)) from None
        finally:
            self._reader.join(TIMEOUT)
        return code

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            for line in stream:
                self.lines.append(line.rstrip())
                found = _LISTENS.match(self.lines[-1])
                if found:
                    self.port = int(found[1])
                    self._listens.set()
        self._listens.set()


def server_command(*arguments: str) -> list[str]:
    """The command line of the server, for this Python."""
    return [sys.executable, "-m", "wellhead.server", "--host", "127.0.0.1", *arguments]


@contextmanager
def server_program(app: str, *options: str, folder: Path = ROOT, port: int = 0) -> Iterator[ServerProgram]:
    """Serve *app* of *folder*, by default on a free port, until the block is left."""
    program = ServerProgram(app, *options, folder=folder, port=port)
    try:
        yield program
    finally:
        program.stop()
