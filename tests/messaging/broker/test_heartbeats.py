from __future__ import annotations

import weakref
from typing import Any

import pytest
from kit.brokers import Rig, User
from kit.scheduling import ManualTaskScheduler

from wellhead.messaging.broker.heartbeats import DEFAULT_HEARTBEAT_MS, IDLE_CLOCK, MARGIN, BrokerHeartbeats, SessionLife
from wellhead.messaging.broker.simple import SESSIONS_AT_ONCE
from wellhead.messaging.channel import ChannelInterceptor
from wellhead.messaging.message import Message
from wellhead.messaging.simp.accessor import DISCONNECT_MESSAGE, MESSAGE_TYPE, SESSION_ID, USER
from wellhead.messaging.simp.types import SimpMessageType
from wellhead.messaging.stomp.command import StompCommand
from wellhead.messaging.stomp.headers import StompHeaderAccessor

pytestmark = pytest.mark.spec("SB-04")


def heartbeats(*values: Any) -> Rig:
    return Rig(scheduler=True, heartbeat_ms=values)


def beat(rig: Rig, session_id: str) -> None:
    accessor = StompHeaderAccessor.create_for_heartbeat()
    accessor.session_id = session_id
    rig.inbound.send(Message(b"\n", accessor.message_headers))


def written(rig: Rig, ms: float, step: float = 1_000) -> list[tuple[float, str]]:
    """When, and of what type, messages went out while the clock moved on by *ms*."""
    start, found = rig.scheduler.now_ms(), []
    while rig.scheduler.now_ms() < start + ms:
        rig.scheduler.advance(step)
        found += [(rig.scheduler.now_ms(), message.headers[MESSAGE_TYPE].value) for message in rig.outbound.take()]
    return found


# -- values


@pytest.mark.parametrize(
    ("given", "scheduler", "values", "period"),
    [
        (None, False, None, 0),
        (None, True, (10_000, 10_000), 10_000),
        ((0, 0), True, (0, 0), 0),
        ((0, 0), False, (0, 0), 0),
        ([15_000, 16_000], True, (15_000, 16_000), 15_000),
        ((16_000, 15_000), True, (16_000, 15_000), 15_000),
        ((0, 16_000), True, (0, 16_000), 16_000),
        ((15_000, 0), True, (15_000, 0), 15_000),
    ],
)
def test_values_and_the_period_of_the_task(given, scheduler, values, period):
    beats = BrokerHeartbeats(given, ManualTaskScheduler() if scheduler else None)
    assert beats.values == values
    assert beats.period_ms == period


def test_defaults():
    assert (DEFAULT_HEARTBEAT_MS, MARGIN) == ((10_000, 10_000), 3)
    assert Rig().broker.heartbeat_ms is None
    assert Rig(scheduler=True).broker.heartbeat_ms == (10_000, 10_000)


@pytest.mark.parametrize("values", [(), (1,), (1, 2, 3), (-1, 0), (0, -1)])
def test_values_that_are_no_heartbeat(values):
    with pytest.raises(ValueError, match="^Invalid heart-beat: ") as caught:
        heartbeats(*values)
    assert str(caught.value) == f"Invalid heart-beat: {list(values)}"


@pytest.mark.parametrize("values", [(1, 0), (0, 1), (10_000, 10_000)])
def test_values_without_a_scheduler_fail_at_the_start(values):
    rig = Rig(heartbeat_ms=values, start=False)
    with pytest.raises(ValueError, match="^Heartbeat values configured but no TaskScheduler provided$"):
        rig.broker.start()
    assert not rig.broker.is_running
    assert not rig.broker.is_broker_available


def test_no_heartbeats_need_no_scheduler():
    rig = Rig(heartbeat_ms=(0, 0))
    assert rig.broker.is_running


@pytest.mark.spec("SB-04", "LIFE-02")
def test_the_task_runs_from_start_to_stop():
    rig = Rig(scheduler=True, start=False)
    assert rig.scheduler.pending == []
    rig.broker.start()
    [task] = rig.scheduler.pending
    assert (task.due_ms, task.period_ms) == (10_000, 10_000)
    rig.broker.stop()
    assert rig.scheduler.pending == []
    rig.broker.start()
    assert len(rig.scheduler.pending) == 1


@pytest.mark.parametrize("values", [(0, 0)])
def test_without_heartbeats_there_is_no_task(values):
    assert heartbeats(*values).scheduler.pending == []


@pytest.mark.parametrize(
    ("server", "client", "read_timeout", "write_interval"),
    [
        ((10_000, 10_000), (10_000, 10_000), 30_000, 10_000),
        ((10_000, 10_000), (20_000, 5_000), 60_000, 10_000),
        ((10_000, 10_000), (5_000, 20_000), 30_000, 20_000),
        ((1, 2), (3, 4), 9, 4),
        ((4, 3), (2, 1), 9, 4),
        # one side says nothing: off
        ((10_000, 10_000), (0, 0), 0, 0),
        ((10_000, 10_000), (0, 10_000), 0, 10_000),
        ((10_000, 10_000), (10_000, 0), 30_000, 0),
        ((10_000, 0), (10_000, 10_000), 0, 10_000),
        ((0, 10_000), (10_000, 10_000), 30_000, 0),
        ((0, 0), (10_000, 10_000), 0, 0),
        (None, (10_000, 10_000), 0, 0),
        ((10_000, 10_000), None, 0, 0),
        ((10_000, 10_000), (-1, -1), 0, 0),
    ],
)
def test_what_is_agreed_on_with_a_client(server, client, read_timeout, write_interval):
    assert BrokerHeartbeats(server, None).agree(client) == (read_timeout, write_interval)


# -- reading


def silent_after(rig: Rig) -> float | None:
    """When the client is taken for dead; None: not within five minutes."""
    ends = [at for at, kind in written(rig, 300_000) if kind == "DISCONNECT_ACK"]
    return ends[0] if ends else None


def test_a_silent_client_is_disconnected():
    rig = heartbeats(0, 10_000)
    user = User("joe")
    rig.connect("s1", (10_000, 0), **{USER: user})
    rig.subscribe("s1", "a", "/topic/x")
    rig.outbound.take()
    rig.scheduler.advance(30_000)
    assert rig.outbound.take() == [], "exactly three intervals are not longer than three intervals"
    rig.scheduler.advance(10_000)
    [message] = rig.outbound.take()
    assert message.headers[MESSAGE_TYPE] is SimpMessageType.DISCONNECT_ACK
    assert message.headers[SESSION_ID] == "s1"
    assert message.headers[USER] is user
    assert DISCONNECT_MESSAGE not in message.headers
    assert rig.broker.session_count == 0
    assert rig.broker.subscription_registry.subscriptions_of("s1") == ()
    assert written(rig, 60_000) == [], "once"


@pytest.mark.spec("SB-04", "LOG-01")
def test_the_reason_is_in_the_log(caplog):
    caplog.set_level("INFO", "wellhead.messaging.broker.simple")
    rig = heartbeats(0, 10_000)
    rig.connect("s1", (10_000, 0))
    rig.scheduler.advance(40_000)
    assert "No messages received in session s1 for 30000 ms: closing" in caplog.text


@pytest.mark.parametrize(
    "sign",
    [
        beat,
        lambda rig, session_id: rig.send(session_id, "/topic/x"),
        lambda rig, session_id: rig.send(session_id, "/app/x"),
        lambda rig, session_id: rig.subscribe(session_id, "a", "/topic/x"),
        lambda rig, session_id: rig.client(StompCommand.UNSUBSCRIBE, session_id, {"id": "a"}),
        lambda rig, session_id: rig.connect(session_id),
        lambda rig, session_id: rig.client(StompCommand.RECEIPT, session_id),
    ],
)
def test_every_message_of_the_client_is_a_sign_of_life(sign):
    rig = heartbeats(0, 10_000)
    rig.connect("s1", (10_000, 0))
    for _ in range(10):
        rig.scheduler.advance(25_000)
        sign(rig, "s1")
    assert rig.broker.session_count == 1
    rig.outbound.take()
    assert silent_after(rig) == 250_000 + 40_000


@pytest.mark.parametrize(
    "no_sign",
    [
        lambda rig: rig.publish("/topic/x"),
        lambda rig: rig.publish("/topic/x", **{SESSION_ID: "s1"}),
        lambda rig: beat(rig, "s2"),
        lambda rig: rig.send("s2", "/topic/x"),
    ],
)
def test_what_others_say_is_none(no_sign):
    rig = heartbeats(0, 10_000)
    rig.connect("s1", (10_000, 0))
    rig.connect("s2")
    rig.subscribe("s1", "a", "/topic/x")
    rig.scheduler.advance(25_000)
    no_sign(rig)
    rig.scheduler.advance(15_000)
    assert [*rig.broker._sessions] == ["s2"]


@pytest.mark.parametrize(("server", "client"), [((0, 10_000), (0, 10_000)), ((10_000, 0), (10_000, 10_000))])
def test_a_client_that_promised_nothing_may_be_silent(server, client):
    rig = heartbeats(*server)
    rig.connect("s1", client)
    assert silent_after(rig) is None


def test_without_heartbeats_in_connect_the_client_may_be_silent():
    rig = heartbeats(10_000, 10_000)
    rig.connect("s1")
    assert silent_after(rig) is None


@pytest.mark.parametrize("at", [29_999, 30_000, 30_001])
def test_bytes_count_when_they_are_read_not_when_they_are_handled(at):
    """The session's messages wait behind a handler that takes its time, while its bytes come in."""
    idle_ms = float(at)
    rig = heartbeats(0, 10_000)
    rig.connect("s1", (10_000, 0), **{IDLE_CLOCK: lambda: idle_ms})
    rig.scheduler.advance(100_000)
    assert rig.broker.session_count == (0 if at > 30_000 else 1)
    idle_ms = 50_000
    rig.scheduler.advance(10_000)
    assert rig.broker.session_count == 0


def test_the_idle_clock_is_asked_only_when_messages_are_overdue():
    asked: list[float] = []
    rig = heartbeats(0, 10_000)

    def clock() -> float:
        asked.append(rig.scheduler.now_ms())
        return 0

    rig.connect("s1", (10_000, 0), **{IDLE_CLOCK: clock})
    rig.scheduler.advance(100_000)
    assert asked == [40_000, 80_000], "what it said the first time counts as a message"


def test_the_idle_clock_is_let_go_when_silence_does_not_matter():
    class Clock:
        def __call__(self) -> float:
            return 50_000

    kept, let_go = Clock(), Clock()
    gone = weakref.ref(let_go)
    overdue = SessionLife(0, 30_000, 0, kept)
    silent = SessionLife(0, 0, 10_000, let_go)
    del let_go
    assert gone() is None
    assert overdue.is_silent(30_001)
    assert not silent.is_silent(1_000_000)


# -- writing


def test_an_idle_session_gets_heartbeats_at_every_tick():
    rig = heartbeats(10_000, 0)
    user = User("joe")
    rig.connect("s1", (0, 10_000), **{USER: user})
    rig.outbound.take()
    rig.scheduler.advance(10_000)
    [message] = rig.outbound.take()
    assert message.headers[MESSAGE_TYPE] is SimpMessageType.HEARTBEAT
    assert message.headers[SESSION_ID] == "s1"
    assert message.headers[USER] is user
    assert written(rig, 30_000) == [(20_000, "HEARTBEAT"), (30_000, "HEARTBEAT"), (40_000, "HEARTBEAT")]


@pytest.mark.parametrize(
    ("interval", "busy_at", "beats"),
    [
        # The period is 10 s: a tick writes when the interval would be over before the next one.
        (10_000, 0, [10_000, 20_000, 30_000, 40_000]),
        (10_000, 1_000, [10_000, 20_000, 30_000, 40_000]),
        (15_000, 0, [10_000, 20_000, 30_000, 40_000]),
        (15_000, 5_000, [20_000, 30_000, 40_000]),
        (15_000, 4_000, [10_000, 20_000, 30_000, 40_000]),
        (20_000, 0, [20_000, 30_000, 40_000]),
        (25_000, 0, [20_000, 30_000, 40_000]),
        (25_000, 5_000, [30_000, 40_000]),
        (30_000, 0, [30_000, 40_000]),
    ],
)
def test_no_interval_passes_in_silence(interval, busy_at, beats):
    """Differs from Spring, which looks back only."""
    rig = heartbeats(10_000, 0)
    rig.connect("s1", (0, interval))
    rig.subscribe("s1", "a", "/topic/x")
    rig.scheduler.advance(busy_at)
    rig.publish("/topic/x")
    rig.outbound.take()
    rest = written(rig, 40_000 - busy_at)
    assert rest == [(at, "HEARTBEAT") for at in beats]
    times = [busy_at, *beats]
    assert max(after - before for before, after in zip(times, beats, strict=False)) <= interval


def test_a_busy_session_gets_no_heartbeats():
    rig = heartbeats(10_000, 0)
    rig.connect("s1", (0, 20_000))
    rig.subscribe("s1", "a", "/topic/x")
    rig.outbound.take()
    kinds = []
    for _ in range(12):
        rig.publish("/topic/x")
        kinds += written(rig, 5_000)
    assert [kind for _, kind in kinds] == ["MESSAGE"] * 12


def test_messages_that_were_vetoed_are_no_sign_of_life():
    class Veto(ChannelInterceptor):
        def pre_send(self, message, channel):
            return None if message.headers[MESSAGE_TYPE] is SimpMessageType.MESSAGE else message

    rig = heartbeats(10_000, 0)
    rig.outbound.add_interceptor(Veto(), 0)
    rig.connect("s1", (0, 30_000))
    rig.subscribe("s1", "0", "/topic/a")
    rig.outbound.take()
    beats = 0
    for _ in range(120):
        rig.publish("/topic/a", b"x")
        beats += len(written(rig, 1_000))
    assert beats >= 4


@pytest.mark.parametrize(("server", "client"), [((10_000, 0), (10_000, 0)), ((0, 10_000), (0, 10_000))])
def test_a_client_that_wants_none_gets_none(server, client):
    rig = heartbeats(*server)
    rig.connect("s1", client)
    rig.outbound.take()
    assert written(rig, 100_000) == []


def test_both_directions_of_many_sessions():
    rig = heartbeats(10_000, 10_000)
    rig.connect("talks", (10_000, 10_000))
    rig.connect("silent", (10_000, 0))
    rig.connect("listens", (0, 10_000))
    rig.outbound.take()
    for _ in range(4):
        beat(rig, "talks")
        rig.scheduler.advance(10_000)
    told = [(message.headers[MESSAGE_TYPE].value, message.headers[SESSION_ID]) for message in rig.outbound.take()]
    assert told.count(("HEARTBEAT", "talks")) == 4
    assert told.count(("HEARTBEAT", "listens")) == 4
    assert told.count(("DISCONNECT_ACK", "silent")) == 1
    assert len(told) == 9


def test_many_sessions_are_looked_after_in_slices_at_the_same_time():
    rig = heartbeats(10_000, 0)
    ids = [f"s{number}" for number in range(2 * SESSIONS_AT_ONCE + 1)]
    for session_id in ids:
        rig.connect(session_id, (0, 10_000))
    rig.outbound.take()
    schedule, slices = rig.scheduler.schedule, []

    def noting(task, delay_ms):
        slices.append(len(rig.outbound.messages))
        return schedule(task, delay_ms)

    rig.scheduler.schedule = noting
    rig.scheduler.advance(10_000)
    assert slices == [SESSIONS_AT_ONCE, 2 * SESSIONS_AT_ONCE]
    assert [message.headers[SESSION_ID] for message in rig.outbound.take()] == ids


def test_a_session_that_cannot_be_written_to_does_not_keep_the_others_waiting():
    rig = heartbeats(10_000, 0)
    for session_id in ("s1", "s2"):
        rig.connect(session_id, (0, 10_000))
    rig.outbound.error = RuntimeError("closed")
    rig.scheduler.advance(10_000)
    assert [message.headers[SESSION_ID] for message in rig.outbound.failed] == ["s1", "s2"]


def test_an_interval_of_hundreds_of_digits_does_not_keep_the_others_waiting():
    rig = heartbeats(10_000, 10_000)
    rig.connect("s1", (10**400, 10**400))
    rig.connect("s2", (0, 10_000))
    rig.outbound.take()
    rig.scheduler.advance(10_000)
    assert [message.headers[SESSION_ID] for message in rig.outbound.take()] == ["s2"]


class Interrupted(ChannelInterceptor):
    """Has a timeout of its own that nobody catches, as gevent's, for one session."""

    def pre_send(self, message, channel):
        if message.headers[SESSION_ID] == "s1" and message.headers[MESSAGE_TYPE] is not SimpMessageType.CONNECT_ACK:
            raise BaseException("timed out")
        return message


@pytest.mark.parametrize("promised", [0, 1_000])
def test_a_session_whose_interceptor_was_interrupted_does_not_keep_the_others_waiting(caplog, promised):
    rig = heartbeats(10_000, 10_000)
    rig.outbound.add_interceptor(Interrupted(), 0)
    rig.connect("s1", (promised, 10_000))
    rig.connect("s2", (0, 10_000))
    rig.outbound.take()
    for _ in range(5):
        rig.scheduler.advance(10_000)
        assert [message.headers[SESSION_ID] for message in rig.outbound.take()] == ["s2"]
    assert "Failed to look after session s1" in caplog.text
