"""The peers: which are left out and what is said, and that one is measured beside the floor and wellhead."""

from __future__ import annotations

import shlex
import shutil
import sys

import pytest

from benchmarks.client import compiler
from benchmarks.figures import Sample, against
from benchmarks.peers import compared, provision, rabbitmq
from benchmarks.processes import BenchmarkError, Contender

pytestmark = pytest.mark.modes("unpatched")

WEBSOCKETS = Contender(
    "websockets",
    shlex.join([sys.executable, str(provision.HERE / "websockets_broadcast.py"), "{port}"]),
    "/",
    provision.RAW,
)


def failing(*_: object) -> Contender:
    raise BenchmarkError("it is not here: apt-get install it")


@pytest.mark.integration
@pytest.mark.skipif(compiler() is None, reason="needs a C compiler: apt-get install gcc libc6-dev")
def test_a_peer_that_works_is_measured_and_one_that_is_missing_is_left_out(monkeypatch, capsys):
    monkeypatch.setattr(provision, "PEERS", {"missing": failing, "websockets": lambda: WEBSOCKETS})
    figures = list(compared.measure(compared.Plan(10, (4,), deliveries=400), 1))
    assert [(each.server, each.bad) for each in figures] == [("floor", 0), ("wellhead", 0), ("websockets", 0)]
    assert capsys.readouterr().out == "left out: missing: it is not here: apt-get install it\n"


def test_a_peer_that_does_not_work_is_left_out(monkeypatch, capsys):
    monkeypatch.setattr(provision, "PEERS", {"websockets": lambda: WEBSOCKETS})
    assert list(provision.available(failing)) == []
    assert capsys.readouterr().out.startswith("left out: websockets: it is not here")


def test_a_peer_that_fails_on_the_way_is_left_out_of_that_measurement_alone(capsys):
    broken = Contender("broken", "false", is_peer=True)
    assert against((broken,), 2, lambda server: Sample({})) == {}
    assert capsys.readouterr().out.count("left out: broken: the server 'broken' ended with 1") == 1
    with pytest.raises(BenchmarkError):
        against((Contender("broken", "false"),), 1, lambda server: Sample({}))


def test_what_the_system_lacks_is_said_with_the_command_that_brings_it(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(BenchmarkError, match="apt-get install nodejs npm"):
        provision.node_ws()
    with pytest.raises(BenchmarkError, match="apt-get install rabbitmq-server"):
        provision.rabbitmq_web_stomp()


def test_an_installation_that_fails_says_its_last_word():
    with pytest.raises(BenchmarkError, match=r"sh -c .*: no such package$"):
        provision.install("sh", "-c", "echo trying; echo no such package >&2; exit 1")


def test_an_installation_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(provision, "INSTALL_LIMIT_S", 0.01)
    with pytest.raises(BenchmarkError, match="not done after 0.01 s: "):
        provision.install("sleep", "20")


def test_rabbitmq_keeps_to_its_folder_and_the_loopback(tmp_path):
    environment = rabbitmq.environment_in(tmp_path, 15674, 4370)
    assert environment["HOME"] == str(tmp_path)
    assert environment["ERL_EPMD_ADDRESS"] == "127.0.0.1"
    text = (tmp_path / "rabbitmq.conf").read_text()
    assert "web_stomp.tcp.port = 15674" in text
    assert all("127.0.0.1" in line for line in text.splitlines() if ".tcp." in line and "ip" in line)
