"""The servers under test as processes: starting and stopping them, their CPU time and memory. Linux: it reads /proc."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "benchmarks"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
STOP_LIMIT_S = 20.0


class BenchmarkError(Exception):
    """The measurement cannot go on; the message is one line for a person."""


@dataclass(frozen=True)
class Contender:
    """A server that can be measured."""

    name: str
    command: str
    """How it is started, from the root of the checkout; ``{port}`` is replaced."""
    path: str = "/ws"
    """Where it fans out."""
    options: tuple[str, ...] = ("--protocol", "v12.stomp")
    """How the sink speaks to it there."""
    share: float = 1.0
    """How much of the load is enough for a figure: less for one that takes long."""
    start_limit_s: float = 30.0
    is_peer: bool = False
    """Where it fails it is left out, and a line says so; the others go on."""


PYTHON = shlex.quote(sys.executable)
FLOOR = Contender("floor", f"{PYTHON} -m benchmarks.floor {{port}}")
WELLHEAD = Contender("wellhead", f"{PYTHON} -m wellhead.server samples.conformance:app --port {{port}}")
TICKING = Contender("ticking", f"{PYTHON} -m wellhead.server benchmarks.ticking_app:app --port {{port}}")
COUNTING = Contender("2 interceptors", f"{PYTHON} -m wellhead.server benchmarks.counting_app:app --port {{port}}")
COUNTING_BROADCASTS = Contender(
    "2 interceptors of broadcasts", f"{PYTHON} -m wellhead.server benchmarks.counting_app:of_broadcasts --port {{port}}"
)


class Server:
    """A running contender."""

    def __init__(self, contender: Contender, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
        self.contender = contender
        self.port = port
        self.process = process
        self.log = log

    def url(self, path: str) -> str:
        return f"ws://127.0.0.1:{self.port}{path}"

    def ask(self, path: str) -> dict[str, float]:
        """What a benchmark's own application tells at *path*, which is JSON."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=STOP_LIMIT_S) as answer:
            found: dict[str, float] = json.load(answer)
        return found

    def check(self) -> None:
        """Raises BenchmarkError when it has ended."""
        status = self.process.poll()
        if status is not None:
            raise BenchmarkError(f"the server {self.contender.name!r} ended with {status}: see {shown(self.log)}")

    def cpu_s(self) -> float:
        return cpu_s(self.process.pid)

    def memory_kib(self) -> int:
        return memory_kib(self.process.pid)

    def settled_memory_kib(self, limit_s: float = 5.0) -> int:
        """The memory once it has not changed for half a second; what it is after *limit_s* otherwise."""
        deadline = time.monotonic() + limit_s
        readings = [self.memory_kib()]
        while time.monotonic() < deadline and (len(readings) < 3 or len(set(readings[-3:])) > 1):
            time.sleep(0.25)
            readings.append(self.memory_kib())
        return readings[-1]

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self, limit_s: float = STOP_LIMIT_S) -> int:
        """The exit status. Raises BenchmarkError when it does not end in time."""
        try:
            return self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            message = f"the server {self.contender.name!r} has not stopped within {limit_s:g} s of SIGTERM"
            raise BenchmarkError(message) from None


@contextmanager
def running(contender: Contender) -> Iterator[Server]:
    """The contender on a free port of the loopback; it listens when the block begins and is gone when it is left."""
    BUILD.mkdir(parents=True, exist_ok=True)
    port = free_port()
    log = BUILD / f"{contender.name.replace(' ', '-')}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            shlex.split(contender.command.replace("{port}", str(port))),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(contender, port, process, log)
    try:
        _wait_until_it_listens(server)
        yield server
        if process.poll() not in (None, 0):
            server.check()
    finally:
        _end(process)


def _wait_until_it_listens(server: Server) -> None:
    limit_s = server.contender.start_limit_s
    deadline = time.monotonic() + limit_s
    while True:
        server.check()
        try:
            socket.create_connection(("127.0.0.1", server.port), 1).close()
            break
        except OSError:
            if time.monotonic() > deadline:
                name, log = server.contender.name, shown(server.log)
                raise BenchmarkError(f"the server {name!r} does not listen after {limit_s:g} s: see {log}") from None
            time.sleep(0.05)
    time.sleep(0.3)


def _end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL for what does not hear it: to its own session, so only to what we started."""
    for number, limit_s in ((signal.SIGTERM, STOP_LIMIT_S), (signal.SIGKILL, 5.0)):
        if process.poll() is not None:
            return
        os.killpg(process.pid, number)
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            continue


def cpu_s(root: int) -> float:
    """User and system time of the tree of processes, with that of children that have ended."""
    ticks = 0
    for pid in _tree(root):
        try:
            fields = _stat(pid)
        except OSError:
            continue  # Ended since we looked; its parent has the time then.
        ticks += sum(map(int, fields[11:15]))
    return ticks / TICKS_PER_S


def memory_kib(root: int) -> int:
    """Resident memory of the tree of processes. Buffers of sockets are the kernel's, and not in it."""
    total = 0
    for pid in _tree(root):
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    return total


def _tree(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                parent = int(_stat(int(name))[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(name))
    found: list[int] = []
    todo = [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, ())
    return found


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; before it comes a name that may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def shown(path: Path) -> str:
    """A path as a person in the checkout writes it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
