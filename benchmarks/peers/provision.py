"""Which peers can run here, and how the packages that they need come into build/benchmarks/peers.

System packages are never installed: a line says which command would.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from ..processes import BUILD, PYTHON, BenchmarkError, Contender, shown
from . import rabbitmq

HERE = Path(__file__).parent
FOLDER = BUILD / "peers"
INSTALL_LIMIT_S = 180.0
RAW = ("--proto", "raw")


def python_socketio() -> Contender:
    python = python_with("python-socketio", "python-socketio>=5.11,<6", "gevent>=24.10", "gevent-websocket>=0.10.1")
    command = shlex.join([str(python), str(HERE / "python_socketio.py"), "{port}"])
    path = "/socket.io/?EIO=4&transport=websocket"
    speaks = ("--proto", "engineio", "--event", "pub")
    return Contender("python-socketio", command, path, speaks, share=0.5, is_peer=True)


def websockets() -> Contender:
    python = python_with("websockets", "websockets>=14,<18")
    command = shlex.join([str(python), str(HERE / "websockets_broadcast.py"), "{port}"])
    return Contender("websockets", command, "/", RAW, is_peer=True)


def node_ws() -> Contender:
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise BenchmarkError("node or npm is not here: apt-get install nodejs npm")
    folder = FOLDER / "node"
    if not (folder / "node_modules" / "ws").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}\n', "utf-8")
        install("npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--loglevel=error", "ws@8")
    command = shlex.join(["node", str(HERE / "ws_broadcast.mjs"), "{port}", str(folder)])
    return Contender("node ws", command, "/", RAW, is_peer=True)


def rabbitmq_web_stomp() -> Contender:
    if rabbitmq.program() is None:
        raise BenchmarkError("rabbitmq-server is not here: apt-get install rabbitmq-server")
    speaks = ("--protocol", "v12.stomp", "--vhost", "/")
    command = f"{PYTHON} -m benchmarks.peers.rabbitmq {{port}}"
    return Contender("RabbitMQ", command, "/ws", speaks, share=0.1, start_limit_s=90, is_peer=True)


PEERS: dict[str, Callable[[], Contender]] = {
    "python-socketio": python_socketio,
    "websockets": websockets,
    "node ws": node_ws,
    "RabbitMQ": rabbitmq_web_stomp,
}


def available(prove: Callable[[Contender], object]) -> Iterator[Contender]:
    """The peers that can be brought and that *prove* raises no BenchmarkError for; a line for each that is left out."""
    for name, bring in PEERS.items():
        try:
            peer = bring()
            prove(peer)
        except BenchmarkError as error:
            print(f"left out: {name}: {error}", flush=True)
            continue
        yield peer


def python_with(name: str, *requirements: str) -> Path:
    """The Python of the peers' environment, with what *name* requires. Raises BenchmarkError."""
    environment = FOLDER / "python"
    python, mark = environment / "bin" / "python", environment / f".has-{name}"
    wanted = " ".join(requirements)
    if not mark.exists() or mark.read_text("utf-8") != wanted:
        if not python.exists():
            install(sys.executable, "-m", "venv", str(environment))
        install(str(python), "-m", "pip", "install", "--disable-pip-version-check", "-q", *requirements)
        mark.write_text(wanted, "utf-8")
    return python


def install(*command: str) -> None:
    """Run it. Raises BenchmarkError with the command and its last word when it fails."""
    text = shlex.join([shown(Path(command[0])), *command[1:]])
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=INSTALL_LIMIT_S
        )
    except subprocess.TimeoutExpired:
        raise BenchmarkError(f"not done after {INSTALL_LIMIT_S:g} s: {text}") from None
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines() or [f"ended with {done.returncode}"]
        raise BenchmarkError(f"{text}: {lines[-1]}")
