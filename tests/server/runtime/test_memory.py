"""Memory goes back to the system after a crowd has left, and only then."""

from __future__ import annotations

import weakref
from types import SimpleNamespace
from typing import Any

import pytest
from kit.scheduling import ManualTaskScheduler

from wellhead.server.runtime import memory
from wellhead.server.runtime.memory import CROWD, LOOK_EVERY_MS, QUIET_LOOKS, MemoryReturn, give_memory_back

pytestmark = pytest.mark.spec("LIFE-01")


class FakeServer:
    """Has what ``MemoryReturn`` looks at."""

    def __init__(self) -> None:
        self.scheduler = ManualTaskScheduler()
        self.state = SimpleNamespace(value="started")
        self.runtime: Any = SimpleNamespace(
            connections=set(), flusher=SimpleNamespace(call_later=self.scheduler.schedule)
        )
        self.handlers: set[int] = set()
        self.waiting: list[int] = []

    def hold(self, connections: int) -> None:
        self.runtime.connections = set(range(connections))

    def look(self, times: int = 1) -> None:
        self.scheduler.advance(times * LOOK_EVERY_MS)


@pytest.fixture
def given_back(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    calls: list[object] = []
    monkeypatch.setattr(memory, "give_memory_back", calls.append)
    return calls


def started() -> FakeServer:
    server = FakeServer()
    MemoryReturn(server).start()  # type: ignore[arg-type]  # as much of a server as is needed
    return server


def test_it_is_given_back_soon_after_a_crowd_has_left_and_when_its_workers_have_ended(given_back: list[object]) -> None:
    server = started()
    server.hold(4 * CROWD)
    server.look()
    server.hold(CROWD)
    server.look()
    assert len(given_back) == 1
    server.look(QUIET_LOOKS[-1] - 2)
    assert len(given_back) == 1
    server.look()
    assert len(given_back) == 2
    server.look(100)
    assert len(given_back) == 2, "nobody has left since"


@pytest.mark.parametrize(
    ("most", "stay"), [(CROWD - 1, 0), (4 * CROWD, CROWD + 1)], ids=["too few have left", "too many stay"]
)
def test_it_is_kept_otherwise(given_back: list[object], most: int, stay: int) -> None:
    server = started()
    server.hold(most)
    server.look()
    server.hold(stay)
    server.look(20)
    assert given_back == []


def test_all_kinds_of_connections_count(given_back: list[object]) -> None:
    server = started()
    server.hold(CROWD - 2)
    server.handlers, server.waiting = {1}, [1]
    server.look()
    server.hold(0)
    server.handlers, server.waiting = set(), []
    server.look()
    assert len(given_back) == 1


def test_a_crowd_that_comes_back_starts_anew(given_back: list[object]) -> None:
    server = started()
    server.hold(4 * CROWD)
    server.look()
    server.hold(0)
    server.look(2)
    server.hold(4 * CROWD)
    server.look(20)
    assert len(given_back) == 1
    server.hold(0)
    server.look(20)
    assert len(given_back) == 3


def test_it_ends_with_the_server(given_back: list[object]) -> None:
    server = started()
    server.state.value = "stopping"
    server.look()
    assert server.scheduler.pending == []


def test_giving_back_collects_garbage_and_trims_once() -> None:
    class Cycle:
        pass

    cycle: Any = Cycle()
    cycle.itself = cycle
    gone = weakref.ref(cycle)
    del cycle
    trimmed: list[int] = []
    give_memory_back(trimmed.append)
    assert gone() is None
    assert trimmed == [0]
    give_memory_back(None)
