"""Peers that vanish, many at once: all are ended, and the loop looks at its other sockets and timers in between."""

from __future__ import annotations

import logging

import gevent
import pytest
from gevent.event import Event
from kit.serving import RecordingHandler, echo, running_server, websocket_app

from wellhead.server.close import EndReason
from wellhead.server.runtime import vanished
from wellhead.server.runtime.flusher import SESSIONS_PER_TURN
from wellhead.server.runtime.vanished import VanishedPeers

TIMEOUT = 10
GONE = EOFError("gone")


@pytest.mark.spec("WSA-01")
def test_a_few_are_ended_in_the_turn_in_which_they_vanish() -> None:
    loop = gevent.get_hub().loop
    ended: list[Exception] = []
    peers = VanishedPeers(loop)
    for _ in range(SESSIONS_PER_TURN):
        peers.add(ended.append, GONE)
    assert not ended
    turn = Event()
    loop.run_callback(turn.set)
    assert turn.wait(TIMEOUT)
    assert ended == [GONE] * SESSIONS_PER_TURN


@pytest.mark.spec("WSA-01")
def test_of_many_some_are_ended_in_each_turn_and_timers_run_in_between() -> None:
    loop = gevent.get_hub().loop
    ended: list[Exception] = []
    seen: list[int] = []
    done = Event()
    timer = loop.timer(0.0)

    def look() -> None:
        seen.append(len(ended))
        if len(ended) < 2 * SESSIONS_PER_TURN + 1:
            timer.start(look)
        else:
            done.set()

    peers = VanishedPeers(loop)
    for _ in range(2 * SESSIONS_PER_TURN + 1):
        peers.add(ended.append, GONE)
    timer.start(look)
    assert done.wait(TIMEOUT)
    assert {SESSIONS_PER_TURN, 2 * SESSIONS_PER_TURN} <= set(seen)


@pytest.mark.spec("WSA-01")
def test_who_vanishes_while_others_are_ended_has_its_turn_too(caplog: pytest.LogCaptureFixture) -> None:
    done = Event()
    peers = VanishedPeers(gevent.get_hub().loop)

    def fail(error: Exception) -> None:
        peers.add(lambda error: done.set(), GONE)
        raise error

    with caplog.at_level(logging.ERROR):
        peers.add(fail, GONE)
        assert done.wait(TIMEOUT)
    assert "fail" in caplog.text


@pytest.mark.spec("WSA-01")
def test_every_handler_hears_once_that_its_peer_vanished(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vanished, "SESSIONS_PER_TURN", 1)
    handler = RecordingHandler(echo)
    with running_server(websocket_app(handler)) as running:
        clients = [running.client() for _ in range(5)]
        for client in clients:
            client.send("here")
            assert client.receive() == "here"
        for client in clients:
            client.socket.close()
        handler.wait_for("closed", len(clients))
        running.stop()
    assert handler.named("closed") == [("closed", 1006, EndReason.CLIENT_VANISHED)] * 5
