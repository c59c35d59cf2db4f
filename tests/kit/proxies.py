"""nginx and HAProxy as processes of the test's own: all files in one folder, unprivileged ports."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import random
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kit.needs import program

_STARTS_WITHIN_S = 20.0

_NGINX = """
user {user} {group};
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 256; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{http}
}}
"""


@contextmanager
def nginx(folder: Path, http: str, *ports: int) -> Iterator[None]:
    """Run nginx with *http* as its block of that name until the block is left; it listens on *ports* when it begins."""
    # The workers are who we are: the folder is ours alone.
    user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    configuration = folder / "nginx.conf"
    configuration.write_text(_NGINX.format(folder=folder, http=http, user=user, group=group))
    command = [str(program("nginx")), "-p", str(folder), "-c", str(configuration), "-e", str(folder / "error.log")]
    with _running(command, ports):
        yield


@contextmanager
def haproxy(folder: Path, sections: str, *ports: int) -> Iterator[None]:
    """Run HAProxy with *sections* until the block is left; it listens on *ports* when it begins."""
    configuration = folder / "haproxy.cfg"
    configuration.write_text(sections)
    with _running([str(program("haproxy")), "-db", "-f", str(configuration)], ports):
        yield


@contextmanager
def _running(command: list[str], ports: Sequence[int]) -> Iterator[None]:
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        for port in ports:
            _wait_for(process, port)
        yield
    finally:
        process.terminate()
        process.communicate(timeout=15)


def free_ports(count: int) -> list[int]:
    """Below those that the system gives to whoever asks for any port: nobody gets one of them before it is used."""
    first_given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    candidates = list(range(first_given // 2, first_given))
    random.shuffle(candidates)
    listeners: list[socket.socket] = []
    while len(listeners) < count:
        try:
            listeners.append(socket.create_server(("127.0.0.1", candidates.pop())))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def _wait_for(process: subprocess.Popen[str], port: int) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN_S
    while True:
        if process.poll() is not None:
            raise AssertionError(f"{process.args} ended with {process.returncode}: {process.communicate()[1]}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)
