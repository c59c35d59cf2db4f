from __future__ import annotations

import logging
import threading

import pytest
from kit.sessions import FakeWebSocketSession

from wellhead.server.close import CloseStatus, EndReason
from wellhead.server.concurrent import ConcurrentWebSocketSessionDecorator, OverflowStrategy, SendState
from wellhead.server.exceptions import SessionLimitExceededError
from wellhead.server.message import TextMessage

LIMIT_MS = 10_000
JOIN_S = 10


class Clock:
    now_ms = 0.0

    def __call__(self) -> float:
        return self.now_ms


class Held:
    """A session whose peer does not read, with a thread that waits in its send."""

    def __init__(self, **options) -> None:
        self.clock = Clock()
        self.session = FakeWebSocketSession("s1")
        self.session.hold_sends()
        self.decorator = decorator(self.session, now_ms=self.clock, **options)
        self.thread = threading.Thread(target=self.decorator.send_message, args=(TextMessage("first"),))
        self.thread.start()
        assert self.session.sending.wait(JOIN_S)

    def release(self) -> None:
        self.session.release_sends()
        self.thread.join(JOIN_S)
        assert not self.thread.is_alive()


@pytest.fixture
def held():
    made = []

    def make(**options) -> Held:
        made.append(Held(**options))
        return made[-1]

    yield make
    for each in made:
        each.release()


def decorator(session, **options) -> ConcurrentWebSocketSessionDecorator:
    options = {"send_time_limit_ms": LIMIT_MS, "buffer_size_limit": 100, **options}
    return ConcurrentWebSocketSessionDecorator(session, **options)


# -- sending


@pytest.mark.spec("CDS-01")
def test_without_another_sender_a_message_is_written_at_once():
    session = FakeWebSocketSession()
    each = decorator(session)
    each.send_message(TextMessage("a"))
    assert session.sent_payloads == ["a"]
    assert (each.buffer_size, each.time_since_send_started_ms) == (0, 0)


@pytest.mark.spec("CDS-01")
def test_who_finds_another_sender_leaves_its_message_and_goes_on(held):
    blocked = held()
    blocked.decorator.send_message(TextMessage("second"))
    blocked.decorator.send_message(TextMessage("\u20ac"))
    assert blocked.session.sent == []
    assert blocked.decorator.buffer_size == 9
    blocked.clock.now_ms = 7
    assert blocked.decorator.time_since_send_started_ms == 7
    blocked.release()
    assert blocked.session.sent_payloads == ["first", "second", "\u20ac"]
    assert (blocked.decorator.buffer_size, blocked.decorator.time_since_send_started_ms) == (0, 0)


@pytest.mark.spec("CDS-01")
def test_many_threads_keep_each_their_order_and_lose_nothing():
    session = FakeWebSocketSession()
    each = decorator(session, buffer_size_limit=1_000_000)

    def send(name: str) -> None:
        for number in range(200):
            each.send_message(TextMessage(f"{name}{number}"))

    threads = [threading.Thread(target=send, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(JOIN_S)
    for name in "abcd":
        assert [text for text in session.sent_payloads if text[0] == name] == [f"{name}{n}" for n in range(200)]
    assert each.buffer_size == 0


@pytest.mark.spec("CDS-01")
def test_an_error_of_the_session_goes_to_the_one_who_writes_and_the_next_one_can_write():
    session = FakeWebSocketSession()
    each = decorator(session)
    session.send_error = OSError("gone")
    with pytest.raises(OSError, match="gone"):
        each.send_message(TextMessage("a"))
    assert each.time_since_send_started_ms == 0
    session.send_error = None
    each.send_message(TextMessage("b"))
    assert session.sent_payloads == ["b"]


# -- limits


@pytest.mark.spec("CDS-02")
@pytest.mark.parametrize("size", [99, 100])
def test_a_buffer_up_to_the_limit_is_fine(held, size):
    blocked = held()
    blocked.decorator.send_message(TextMessage("y" * size))
    blocked.release()
    assert len(blocked.session.sent) == 2


@pytest.mark.spec("CDS-02")
def test_a_byte_over_the_limit_ends_the_session(held):
    blocked = held()
    blocked.decorator.send_message(TextMessage("y" * 100))
    with pytest.raises(SessionLimitExceededError) as raised:
        blocked.decorator.send_message(TextMessage("z"))
    assert str(raised.value) == "Buffer size 101 bytes for session 's1' exceeds the allowed limit 100"
    assert raised.value.status == CloseStatus.SESSION_NOT_RELIABLE
    assert raised.value.status.because is EndReason.SEND_BUFFER_LIMIT
    blocked.decorator.send_message(TextMessage("ignored"))
    blocked.release()
    assert blocked.session.sent_payloads == ["first"]


@pytest.mark.spec("CDS-02")
@pytest.mark.parametrize("ms", [LIMIT_MS - 1, LIMIT_MS])
def test_a_write_may_take_up_to_the_limit(held, ms):
    blocked = held()
    blocked.clock.now_ms = ms
    blocked.decorator.send_message(TextMessage("second"))
    blocked.release()
    assert blocked.session.sent_payloads == ["first", "second"]


@pytest.mark.spec("CDS-02")
def test_who_finds_a_write_that_takes_longer_ends_the_session(held):
    blocked = held()
    blocked.clock.now_ms = LIMIT_MS + 1
    with pytest.raises(SessionLimitExceededError) as raised:
        blocked.decorator.send_message(TextMessage("second"))
    assert str(raised.value) == "Send time 10001 (ms) for session 's1' exceeded the allowed limit 10000"
    assert raised.value.status == CloseStatus.SESSION_NOT_RELIABLE
    assert raised.value.status.because is EndReason.SEND_TIME_LIMIT


@pytest.mark.spec("CDS-02")
def test_nobody_else_sending_means_that_no_limit_is_looked_at():
    session = FakeWebSocketSession()
    decorator(session).send_message(TextMessage("y" * 1000))
    assert len(session.sent) == 1


@pytest.mark.spec("CDS-02")
def test_the_strategy_drop_discards_the_oldest_until_the_rest_fits(held, caplog):
    blocked = held(overflow_strategy=OverflowStrategy.DROP)
    with caplog.at_level(logging.DEBUG):
        for text in ("a" * 50, "b" * 50, "c" * 51):
            blocked.decorator.send_message(TextMessage(text))
    assert blocked.decorator.buffer_size == 51
    assert "Dropped 2 messages of session s1" in caplog.text
    blocked.release()
    assert blocked.session.sent_payloads == ["first", "c" * 51]


@pytest.mark.spec("CDS-02")
@pytest.mark.parametrize(("size", "kept"), [(99, 2), (100, 2), (101, 1)])
def test_the_strategy_drop_at_the_limit(held, size, kept):
    blocked = held(overflow_strategy=OverflowStrategy.DROP)
    blocked.decorator.send_message(TextMessage("a" * 50))
    blocked.decorator.send_message(TextMessage("b" * (size - 50)))
    blocked.release()
    assert len(blocked.session.sent) == 1 + kept


@pytest.mark.spec("CDS-02")
def test_the_strategy_drop_keeps_what_fits_exactly(held):
    blocked = held(overflow_strategy=OverflowStrategy.DROP)
    for text in ("a" * 50, "b" * 50, "c" * 50):
        blocked.decorator.send_message(TextMessage(text))
    assert blocked.decorator.buffer_size == 100


# -- closing


@pytest.mark.spec("CDS-03")
def test_a_close_is_passed_on_once():
    session = FakeWebSocketSession()
    each = decorator(session)
    each.close(CloseStatus.GOING_AWAY)
    each.close(CloseStatus.NORMAL)
    each.send_message(TextMessage("late"))
    assert session.closed_with == [CloseStatus.GOING_AWAY]
    assert session.sent == []
    assert each.send_state is SendState.CLOSING


@pytest.mark.spec("CDS-03")
def test_what_is_queued_when_the_close_begins_is_not_sent(held):
    blocked = held()
    blocked.decorator.send_message(TextMessage("second"))
    blocked.decorator.close(CloseStatus.NORMAL)
    blocked.release()
    assert blocked.session.sent_payloads == ["first"]
    assert blocked.session.closed_with == [CloseStatus.NORMAL]


@pytest.mark.spec("CDS-03")
@pytest.mark.parametrize(("ms", "status"), [(LIMIT_MS, 1000), (LIMIT_MS + 1, 4500)])
def test_a_close_looks_at_the_limits(held, ms, status):
    blocked = held()
    blocked.clock.now_ms = ms
    blocked.decorator.close(CloseStatus.NORMAL)
    assert [each.code for each in blocked.session.closed_with] == [status]


@pytest.mark.spec("CDS-03")
def test_a_close_after_a_limit_was_exceeded_names_that_limit(held):
    blocked = held()
    blocked.clock.now_ms = LIMIT_MS + 1
    with pytest.raises(SessionLimitExceededError):
        blocked.decorator.send_message(TextMessage("second"))
    blocked.decorator.close(CloseStatus.PROTOCOL_ERROR)
    assert blocked.session.closed_with == [CloseStatus.SESSION_NOT_RELIABLE]
    assert blocked.session.closed_with[0].because is EndReason.SEND_TIME_LIMIT


@pytest.mark.spec("CDS-03")
def test_closes_at_the_same_time_are_one():
    session = FakeWebSocketSession()
    each = decorator(session)
    barrier = threading.Barrier(4)

    def close() -> None:
        barrier.wait(JOIN_S)
        each.close()

    threads = [threading.Thread(target=close) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(JOIN_S)
    assert session.closed_with == [CloseStatus.NORMAL]


# -- the callback


@pytest.mark.spec("CDS-04")
def test_the_callback_runs_after_queueing_and_before_writing():
    session = FakeWebSocketSession()
    each = decorator(session)
    seen = []
    each.message_callback = lambda message: seen.append((message.payload, each.buffer_size, len(session.sent)))
    each.send_message(TextMessage("ab"))
    assert seen == [("ab", 2, 0)]
    assert session.sent_payloads == ["ab"]
    assert each.message_callback is not None
