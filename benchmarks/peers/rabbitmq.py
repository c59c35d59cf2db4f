"""RabbitMQ with web-stomp on the loopback alone: ``python -m benchmarks.peers.rabbitmq PORT``.

A node of its own, with a folder and a port mapper of its own, so that whatever RabbitMQ runs here otherwise is left
alone. It ends with this process.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from ..processes import BUILD, free_port

PROGRAMS = ("/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server")
"""The first is Debian's, without its change of user."""
CONFIGURATION = """\
listeners.tcp.local = 127.0.0.1:{amqp}
stomp.listeners.tcp.local = 127.0.0.1:{stomp}
web_stomp.tcp.ip = 127.0.0.1
web_stomp.tcp.port = {port}
web_stomp.tcp.backlog = 4096
stomp.default_user = guest
stomp.default_pass = guest
vm_memory_high_watermark.relative = 0.8
disk_free_limit.absolute = 10MB
log.file = false
log.console = true
log.console.level = warning
"""


def program() -> str | None:
    """Where rabbitmq-server is; None when it or Erlang's port mapper is not here."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None) if shutil.which("epmd") else None


def main() -> None:
    server, mapper_port = program(), free_port()
    assert server is not None
    with tempfile.TemporaryDirectory(dir=BUILD, ignore_cleanup_errors=True) as folder:
        environment = environment_in(Path(folder), int(sys.argv[1]), mapper_port)
        mapper = subprocess.Popen(["epmd", "-address", "127.0.0.1", "-port", str(mapper_port)], env=environment)
        # A session of its own, so that all of it can be ended at once: a node that misses its port mapper starts one.
        node = subprocess.Popen([server], env=environment, cwd=folder, start_new_session=True)

        def stop(*_: object) -> None:
            with suppress(ProcessLookupError):
                os.killpg(node.pid, signal.SIGKILL)

        signal.signal(signal.SIGTERM, stop)
        try:
            status = node.wait()
        finally:
            stop()
            mapper.kill()
            mapper.wait()
    sys.exit(0 if status == -signal.SIGKILL else 1)


def environment_in(folder: Path, port: int, mapper_port: int) -> dict[str, str]:
    """What a node gets that keeps everything in *folder*; writes its configuration there."""
    text = CONFIGURATION.format(port=port, amqp=free_port(), stomp=free_port())
    (folder / "rabbitmq.conf").write_text(text, "utf-8")
    (folder / "enabled_plugins").write_text("[rabbitmq_web_stomp].\n", "utf-8")
    idle = "+sbwt none +sbwtdcpu none +sbwtdio none"  # An idle scheduler does not spin: its CPU time is not counted.
    return os.environ | {
        "HOME": str(folder),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(mapper_port),
        "RABBITMQ_NODENAME": f"benchmark{port}@localhost",
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-kernel inet_dist_use_interface {{127,0,0,1}} {idle}",
    }


if __name__ == "__main__":
    main()
