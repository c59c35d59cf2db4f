"""Deadlines of connections that have not sent a head yet; what they send is tested over sockets, see test_handler."""

from __future__ import annotations

from typing import Any

import pytest
from kit.flushing import ManualFlusher

from wellhead.server.runtime import accepting
from wellhead.server.runtime.accepting import WaitingConnections


class Rig:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.flusher = ManualFlusher()
        self.waiting = WaitingConnections(self.flusher, 100)  # type: ignore[arg-type]  # has what is used of it
        self.late: list[str] = []
        monkeypatch.setattr(accepting, "monotonic", self.now_s)

    def now_s(self) -> float:
        return self.flusher.now_ms() / 1000.0

    def begin(self, name: str) -> Any:
        connection = Waiting(self, name)
        self.waiting.add(connection)  # type: ignore[arg-type]  # has what is used of it
        return connection


class Waiting:
    def __init__(self, rig: Rig, name: str) -> None:
        self.rig = rig
        self.name = name
        self.since = rig.now_s()

    def too_late(self) -> None:
        self.rig.late.append(self.name)
        self.rig.waiting.discard(self)  # type: ignore[arg-type]  # has what is used of it


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(monkeypatch)


@pytest.mark.spec("HS-01")
def test_each_has_its_own_deadline_and_all_have_one_timer(rig: Rig) -> None:
    for name in ("a", "b", "c"):
        rig.begin(name)
        rig.flusher.timers.advance(10)
    assert len(rig.flusher.timers.pending) == 1
    rig.flusher.timers.advance(69)  # 99 ms after the first
    assert rig.late == []
    rig.flusher.timers.advance(2)
    assert rig.late == ["a"]
    rig.flusher.timers.advance(8)  # 109 ms
    assert rig.late == ["a"]
    rig.flusher.timers.advance(3)
    assert rig.late == ["a", "b"]
    rig.flusher.timers.advance(10)
    assert rig.late == ["a", "b", "c"]
    assert not rig.flusher.timers.pending
    assert len(rig.waiting) == 0


@pytest.mark.spec("HS-01")
def test_one_that_waits_no_more_is_not_late(rig: Rig) -> None:
    first = rig.begin("a")
    rig.waiting.discard(first)
    rig.waiting.discard(first)
    rig.flusher.timers.advance(50)
    rig.begin("b")
    rig.flusher.timers.advance(99)
    assert rig.late == []
    rig.flusher.timers.advance(3)
    assert rig.late == ["b"]


@pytest.mark.spec("HS-01")
def test_one_with_a_deadline_of_its_own_is_left_alone(rig: Rig) -> None:
    connection = rig.begin("a")
    rig.waiting.set_apart(connection)
    rig.begin("b")
    rig.flusher.timers.advance(300)
    assert rig.late == ["b"]
    assert list(rig.waiting) == [connection]
    rig.waiting.discard(connection)
    assert len(rig.waiting) == 0
