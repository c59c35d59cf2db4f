"""The client side: builds sink.c, runs it against a server, reads the server's CPU and memory between its phases."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .processes import BUILD, ROOT, BenchmarkError, Server

SOURCE = Path(__file__).with_name("sink.c")
SPARE_FILES = 200


@dataclass
class Run:
    """One run of the sink: what it said, and the server's CPU seconds and KiB at the phases where they were read."""

    said: dict[str, Any]
    cpu_s: dict[str, float]
    memory_kib: dict[str, int]

    def cpu_between(self, first: str, second: str) -> float:
        return self.cpu_s[second] - self.cpu_s[first]

    @property
    def bad(self) -> int:
        """Deliveries that are missing, late or doubled, errors, and connections that were lost."""
        said = self.said
        missing = said["expected"] - said["deliveries"] if said["expected"] else 0
        wrong = ("gaps", "late", "twice", "errors", "closed", "failed")
        return int(max(0, missing) + sum(said[key] for key in wrong))

    @property
    def problem(self) -> str:
        """Why something is bad, as far as the sink knows; may be empty."""
        return str(self.said["last_error"])


def compiler() -> list[str] | None:
    """The command of the C compiler: $CC or cc; None when there is none."""
    command = shlex.split(os.environ.get("CC", "")) or ["cc"]
    return command if shutil.which(command[0]) else None


def build_sink() -> Path:
    """The sink's program, in build/benchmarks; compiled when there is none of this source. Raises BenchmarkError."""
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]
    target = BUILD / f"sink-{digest}"
    if target.exists():
        return target
    command = compiler()
    if command is None:
        raise BenchmarkError("there is no C compiler (cc, or what $CC says): apt-get install gcc libc6-dev")
    BUILD.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        program = Path(folder) / "sink"
        done = subprocess.run([*command, "-O2", "-o", program, SOURCE], capture_output=True, text=True)
        if done.returncode:
            first = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip())
            raise BenchmarkError(f"sink.c does not compile: {first}")
        program.replace(target)
    return target


def check_file_limit(connections: int) -> None:
    """Raises BenchmarkError when a process may not have so many connections. Both sides raise their own limit."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < connections + SPARE_FILES:
        wanted = connections + SPARE_FILES
        raise BenchmarkError(f"{connections} connections need ulimit -Hn {wanted}, and it is {hard}: try --quick")


def run_sink(
    server: Server,
    path: str,
    *options: object,
    at: dict[str, Callable[[], object]] | None = None,
    memory: bool = False,
) -> Run:
    """Run the sink against *server* with *options*.

    CPU is read at each phase; with *memory* that, too, once it has settled. *at* has what else to do at a phase, after
    that. Raises BenchmarkError when the server or the sink ends before its time.
    """
    command = [str(part) for part in (build_sink(), *options, server.url(path))]
    return run_client(server, command, at=at, memory=memory)


def run_client(
    server: Server,
    command: list[str],
    *,
    at: dict[str, Callable[[], object]] | None = None,
    memory: bool = False,
) -> Run:
    """As `run_sink`, with any program that names its phases as the sink does."""
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        run = _follow(process, server, at or {}, memory)
        complaint = process.stderr.read().strip() if process.stderr else ""
        status = process.wait(10)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                pipe.close()
    if run is None or status:
        server.check()
        raise BenchmarkError(
            complaint.splitlines()[-1] if complaint else f"{Path(command[0]).name}: ended with {status}"
        )
    return run


def _follow(
    process: subprocess.Popen[str], server: Server, at: dict[str, Callable[[], object]], memory: bool
) -> Run | None:
    cpu_s: dict[str, float] = {}
    memory_kib: dict[str, int] = {}
    assert process.stdin and process.stdout
    for line in process.stdout:
        if line.startswith("{"):
            return Run(json.loads(line), cpu_s, memory_kib)
        phase = line.strip()
        if memory and phase in ("CONNECTING", "READY"):
            memory_kib[phase] = server.settled_memory_kib()
        cpu_s[phase] = server.cpu_s()
        if phase in at:
            at[phase]()
        try:
            process.stdin.write("\n")
            process.stdin.flush()
        except BrokenPipeError:
            break  # It has ended; what it complained about is on stderr.
    return None
