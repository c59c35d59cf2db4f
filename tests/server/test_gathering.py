from __future__ import annotations

import gc
import logging
import threading

import pytest
from kit.flushing import FakeNonBlockingSession, ManualFlusher
from kit.sessions import FakeWebSocketSession

from wellhead.server.close import CloseStatus, EndReason
from wellhead.server.concurrent import ConcurrentWebSocketSessionDecorator, OverflowStrategy, SendState
from wellhead.server.exceptions import SessionLimitExceededError
from wellhead.server.flush import message_of
from wellhead.server.gathering import GatheringWebSocketSessionDecorator, concurrent_session
from wellhead.server.message import TextMessage

LIMIT_MS = 10_000


@pytest.fixture
def session() -> FakeNonBlockingSession:
    return FakeNonBlockingSession("s1")


def gathering(session: FakeNonBlockingSession, **options) -> GatheringWebSocketSessionDecorator:
    options = {"send_time_limit_ms": LIMIT_MS, "buffer_size_limit": 100, **options}
    return GatheringWebSocketSessionDecorator(session, **options)


def blocked(session: FakeNonBlockingSession, **options) -> GatheringWebSocketSessionDecorator:
    """One whose peer has stopped reading after the first byte."""
    decorator = gathering(session, **options)
    session.blocked = True
    decorator.send_message(TextMessage("x"))
    session.flusher.turn()
    assert session.pending_bytes == 1
    return decorator


# -- sending


@pytest.mark.spec("CDS-01")
def test_what_comes_in_one_turn_goes_out_in_one_write_in_order(session):
    decorator = gathering(session)
    for text in "abc":
        decorator.send_message(TextMessage(text))
    assert session.sent == []
    session.flusher.turn()
    assert [[message.payload for message in write] for write in session.writes] == [["a", "b", "c"]]
    assert session.flusher.requests == 1


@pytest.mark.spec("CDS-01")
def test_a_flush_while_a_text_is_being_queued_loses_nothing(session):
    """Any object that is made may collect garbage; Python code that runs then lets another thread in: the loop's."""
    decorator = gathering(session, buffer_size_limit=1_000_000)
    thresholds = gc.get_threshold()

    def loop_has_its_turn(phase, info):
        session.flusher.turn()

    gc.callbacks.append(loop_has_its_turn)
    gc.set_threshold(1)
    try:
        for number in range(5_000):  # more than the pairs that CPython keeps for later use
            decorator.send_text(b"%d " % number, b"x")
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(loop_has_its_turn)
    session.flusher.turn()
    sent = [message_of(each) for write in session.writes for each in write]
    assert [message.payload for message in sent] == [f"{number} x" for number in range(5_000)]
    assert len(session.writes) > 1


@pytest.mark.spec("CDS-01")
def test_each_turn_asks_the_flusher_again(session):
    decorator = gathering(session)
    for text in "ab":
        decorator.send_message(TextMessage(text))
        session.flusher.turn()
    assert session.sent_payloads == ["a", "b"]
    assert session.flusher.requests == 2
    session.flusher.turn()
    assert len(session.writes) == 2


@pytest.mark.spec("CDS-01", "CDS-04")
def test_the_buffer_size_is_that_of_what_waits(session):
    decorator = gathering(session)
    decorator.send_message(TextMessage("ab"))
    decorator.send_message(TextMessage("\u20ac"))
    assert decorator.buffer_size == 5
    session.flusher.turn()
    assert decorator.buffer_size == 0
    assert decorator.time_since_send_started_ms == 0


@pytest.mark.spec("CDS-01")
def test_what_comes_while_the_peer_does_not_read_goes_out_when_it_does(session):
    decorator = blocked(session)
    for text in "ab":
        decorator.send_message(TextMessage(text))
        session.flusher.turn()
    assert session.sent == []
    session.flusher.advance(5)
    assert decorator.time_since_send_started_ms == 5
    session.take()
    assert session.sent_payloads == ["x", "a", "b"]
    assert decorator.time_since_send_started_ms == 0
    assert session.flusher.timers.pending == []


@pytest.mark.spec("CDS-04")
def test_the_callback_runs_after_queueing_and_before_writing(session):
    decorator = gathering(session)
    seen = []
    decorator.message_callback = lambda message: seen.append(
        (message.payload, decorator.buffer_size, len(session.sent))
    )
    decorator.send_message(TextMessage("ab"))
    session.flusher.turn()
    assert seen == [("ab", 2, 0)]


@pytest.mark.spec("CDS-01")
def test_foreign_threads_keep_each_their_order_and_lose_nothing(session):
    decorator = gathering(session, buffer_size_limit=1_000_000)

    def send(name: str) -> None:
        for number in range(200):
            decorator.send_message(TextMessage(f"{name}{number}"))

    threads = [threading.Thread(target=send, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    session.flusher.turn_until_ended(*threads)
    for name in "abcd":
        assert [text for text in session.sent_payloads if text[0] == name] == [f"{name}{n}" for n in range(200)]
    assert decorator.buffer_size == 0


@pytest.mark.spec("CDS-01")
def test_a_message_that_cannot_be_written_closes_the_session(session, caplog):
    decorator = gathering(session)
    session.send_error = ValueError("no such text")
    with caplog.at_level(logging.DEBUG):
        decorator.send_message(TextMessage("a"))
        session.flusher.turn()
    assert session.closed_with == [CloseStatus.PROTOCOL_ERROR]
    assert "s1" in caplog.text


# -- the buffer limit


@pytest.mark.spec("CDS-02")
@pytest.mark.parametrize("size", [99, 100])
def test_a_buffer_up_to_the_limit_is_fine(session, size):
    decorator = blocked(session)
    decorator.send_message(TextMessage("y" * size))
    assert decorator.send_state is SendState.OPEN
    session.take()
    assert len(session.sent) == 2


@pytest.mark.spec("CDS-02")
def test_a_byte_over_the_limit_ends_the_session(session):
    decorator = blocked(session)
    decorator.send_message(TextMessage("y" * 100))
    with pytest.raises(SessionLimitExceededError) as raised:
        decorator.send_message(TextMessage("z"))
    assert str(raised.value) == "Buffer size 101 bytes for session 's1' exceeds the allowed limit 100"
    assert raised.value.status == CloseStatus.SESSION_NOT_RELIABLE
    assert raised.value.status.because is EndReason.SEND_BUFFER_LIMIT
    assert decorator.send_state is SendState.LIMIT_EXCEEDED


@pytest.mark.spec("CDS-01", "CDS-02")
def test_after_a_limit_was_exceeded_sending_is_ignored(session):
    decorator = blocked(session)
    with pytest.raises(SessionLimitExceededError):
        decorator.send_message(TextMessage("y" * 101))
    decorator.send_message(TextMessage("z"))
    session.take()
    session.flusher.turn()
    assert session.sent_payloads == ["x"]


@pytest.mark.spec("CDS-02")
def test_a_burst_within_one_turn_does_not_end_a_session_whose_peer_reads(session):
    decorator = gathering(session)
    for _ in range(10):
        decorator.send_message(TextMessage("y" * 60))
    session.flusher.turn()
    assert len(session.sent) == 10
    assert decorator.send_state is SendState.OPEN


@pytest.mark.spec("CDS-02")
def test_a_burst_from_a_foreign_thread_is_flushed_on_the_loop_before_it_is_judged(session):
    decorator = gathering(session)
    flushed_on = []
    try_send = session.try_send

    def noting(messages, drained):
        flushed_on.append(threading.get_ident())
        return try_send(messages, drained)

    session.try_send = noting
    thread = threading.Thread(target=lambda: [decorator.send_message(TextMessage("y" * 60)) for _ in range(10)])
    thread.start()
    session.flusher.turn_until_ended(thread)
    assert len(session.sent) == 10
    assert set(flushed_on) == {threading.get_ident()}


@pytest.mark.spec("CDS-02")
def test_what_another_thread_left_in_the_buffer_is_judged_by_the_loop(session):
    ends = []
    decorator = blocked(session, limit_callback=lambda session, error: ends.append((session, str(error))))
    decorator.buffer_text(b"a" * 100, b"", judge=False)
    session.flusher.advance(1)
    assert ends == []
    for _ in range(2):
        decorator.buffer_text(b"b", b"", judge=False)
    session.flusher.advance(1)
    text = "Buffer size 102 bytes for session 's1' exceeds the allowed limit 100"
    assert ends == [(decorator, text)]
    assert decorator.send_state is SendState.LIMIT_EXCEEDED


@pytest.mark.spec("CDS-02")
def test_a_burst_that_another_thread_left_in_the_buffer_ends_nobody_who_reads(session):
    decorator = gathering(session)
    for _ in range(3):
        decorator.buffer_message(TextMessage("y" * 60), judge=False)
    session.flusher.advance(1)
    assert (len(session.sent), decorator.send_state) == (3, SendState.OPEN)


@pytest.mark.spec("CDS-02")
def test_the_strategy_drop_discards_the_oldest_until_the_rest_fits(session, caplog):
    decorator = blocked(session, overflow_strategy=OverflowStrategy.DROP)
    with caplog.at_level(logging.DEBUG):
        for text in ("a" * 50, "b" * 50, "c" * 51):
            decorator.send_message(TextMessage(text))
    assert decorator.buffer_size == 51
    session.take()
    assert session.sent_payloads == ["x", "c" * 51]
    assert "Dropped 2 messages of session s1" in caplog.text
    assert decorator.send_state is SendState.OPEN


@pytest.mark.spec("CDS-02")
@pytest.mark.parametrize(("size", "kept"), [(99, 2), (100, 2), (101, 1)])
def test_the_strategy_drop_at_the_limit(session, size, kept):
    decorator = blocked(session, overflow_strategy=OverflowStrategy.DROP)
    decorator.send_message(TextMessage("a" * 50))
    decorator.send_message(TextMessage("b" * (size - 50)))
    session.take()
    assert len(session.sent) == 1 + kept


@pytest.mark.spec("CDS-02")
def test_a_foreign_thread_drops_on_the_loop(session, caplog):
    caplog.set_level(logging.DEBUG)
    decorator = blocked(session, overflow_strategy=OverflowStrategy.DROP)
    thread = threading.Thread(target=lambda: [decorator.send_message(TextMessage("y" * 60)) for _ in range(10)])
    thread.start()
    session.flusher.turn_until_ended(thread)
    assert decorator.buffer_size == 60
    assert {record.thread for record in caplog.records if "Dropped" in record.message} == {threading.get_ident()}


# -- the time limit


@pytest.mark.spec("CDS-02", "LIFE-02")
@pytest.mark.parametrize("ms", [LIMIT_MS - 1, LIMIT_MS])
def test_a_peer_may_take_nothing_up_to_the_limit(session, ms):
    decorator = blocked(session)
    session.flusher.advance(ms)
    assert session.closed_with == []
    assert decorator.send_state is SendState.OPEN


@pytest.mark.spec("CDS-02", "LIFE-02")
def test_after_the_limit_the_session_is_closed_without_anybody_sending(session, caplog):
    blocked(session)
    session.flusher.advance(LIMIT_MS + 1)
    assert session.closed_with == [CloseStatus.SESSION_NOT_RELIABLE]
    assert session.closed_with[0].because is EndReason.SEND_TIME_LIMIT
    assert f"Send time {LIMIT_MS + 1} (ms) for session 's1' exceeded the allowed limit {LIMIT_MS}" in caplog.text


@pytest.mark.spec("CDS-02")
def test_the_limit_callback_hears_of_it_in_place_of_the_close(session):
    heard = []
    decorator = blocked(session, limit_callback=lambda *args: heard.append(args))
    session.flusher.advance(LIMIT_MS + 1)
    [(who, error)] = heard
    assert who is decorator
    assert error.status.because is EndReason.SEND_TIME_LIMIT
    assert session.closed_with == []


@pytest.mark.spec("CDS-02")
def test_a_peer_that_takes_a_little_gets_another_limit(session):
    decorator = gathering(session)
    session.blocked = True
    decorator.send_message(TextMessage("x" * 10))
    session.flusher.turn()
    session.flusher.advance(LIMIT_MS)
    session.take(1)
    session.flusher.advance(LIMIT_MS)
    assert session.closed_with == []
    session.flusher.advance(LIMIT_MS)
    assert session.closed_with == [CloseStatus.SESSION_NOT_RELIABLE]


@pytest.mark.spec("CDS-02")
def test_the_timer_goes_when_the_peer_has_taken_everything(session):
    decorator = blocked(session)
    session.take()
    session.flusher.advance(10 * LIMIT_MS)
    assert decorator.send_state is SendState.OPEN


# -- closing


@pytest.mark.spec("CDS-03", "SPH-05")
def test_what_is_queued_goes_out_before_the_close(session):
    decorator = gathering(session)
    order = []
    session.try_send = lambda messages, drained: order.extend(message.payload for message in messages) or True
    session._close = lambda status: order.append(status)
    decorator.send_message(TextMessage("ERROR"))
    decorator.close(CloseStatus.PROTOCOL_ERROR)
    assert order == ["ERROR", CloseStatus.PROTOCOL_ERROR]


@pytest.mark.spec("CDS-03")
def test_a_close_while_the_peer_does_not_read_hands_over_what_is_queued(session):
    decorator = blocked(session)
    decorator.send_message(TextMessage("ERROR"))
    decorator.close()
    assert [[message.payload for message in write] for write in session.writes] == [["x"], ["ERROR"]]
    assert session.closed_with == [CloseStatus.NORMAL]
    session.take()
    session.flusher.advance(10 * LIMIT_MS)
    assert session.closed_with == [CloseStatus.NORMAL]


@pytest.mark.spec("CDS-03")
def test_a_close_as_not_reliable_writes_nothing_more(session):
    decorator = blocked(session)
    decorator.send_message(TextMessage("lost"))
    decorator.close(CloseStatus.SESSION_NOT_RELIABLE)
    assert len(session.writes) == 1
    assert session.closed_with == [CloseStatus.SESSION_NOT_RELIABLE]


@pytest.mark.spec("CDS-03")
def test_repeated_closes_and_sends_after_a_close_are_ignored(session):
    decorator = gathering(session)
    decorator.close(CloseStatus.GOING_AWAY)
    decorator.close(CloseStatus.NORMAL)
    decorator.send_message(TextMessage("late"))
    session.flusher.turn()
    assert session.closed_with == [CloseStatus.GOING_AWAY]
    assert session.sent == []


@pytest.mark.spec("CDS-03")
@pytest.mark.parametrize(("ms", "code"), [(LIMIT_MS, 1000), (LIMIT_MS + 1, 4500)])
def test_a_close_looks_at_the_limits(session, ms, code):
    decorator = blocked(session)
    session.flusher.timers.pending[0].cancel()  # the close is to notice it first
    session.flusher.advance(ms)
    decorator.close(CloseStatus.NORMAL)
    assert [status.code for status in session.closed_with] == [code]


@pytest.mark.spec("CDS-03")
def test_a_close_after_a_limit_was_exceeded_names_that_limit(session):
    decorator = blocked(session)
    with pytest.raises(SessionLimitExceededError):
        decorator.send_message(TextMessage("y" * 101))
    decorator.close(CloseStatus.PROTOCOL_ERROR)
    assert session.closed_with == [CloseStatus.SESSION_NOT_RELIABLE]
    assert session.closed_with[0].because is EndReason.SEND_BUFFER_LIMIT


@pytest.mark.spec("CDS-03")
def test_a_close_from_a_foreign_thread_happens_on_the_loop(session):
    decorator = gathering(session)
    decorator.send_message(TextMessage("bye"))
    threads = [threading.Thread(target=decorator.close) for _ in range(3)]
    for thread in threads:
        thread.start()
    session.flusher.turn_until_ended(*threads)
    assert session.sent_payloads == ["bye"]
    assert session.closed_with == [CloseStatus.NORMAL]


# -- which decorator


def test_the_decorator_fits_the_session():
    assert type(concurrent_session(FakeNonBlockingSession())) is GatheringWebSocketSessionDecorator
    assert type(concurrent_session(FakeWebSocketSession())) is ConcurrentWebSocketSessionDecorator


def test_the_decorator_passes_everything_else_on(session):
    decorator = concurrent_session(session, send_time_limit_ms=1, buffer_size_limit=2)
    assert (decorator.id, decorator.uri, decorator.attributes) == (session.id, session.uri, session.attributes)
    assert (decorator.send_time_limit_ms, decorator.buffer_size_limit) == (1, 2)
    assert isinstance(session.flusher, ManualFlusher)


@pytest.mark.spec("CDS-03", "SB-03")
@pytest.mark.parametrize(("status", "settled"), [(CloseStatus.SESSION_NOT_RELIABLE, 0), (CloseStatus.NORMAL, 1)])
def test_a_close_leaves_the_others_their_mailing_when_nothing_goes_out_before_it(session, status, settled):
    class Mailing:
        settled = 0

        def settle(self):
            self.settled += 1

    mailing = session.flusher.mailing = Mailing()
    gathering(session).close(status)
    assert mailing.settled == settled
    assert [each.code for each in session.closed_with] == [status.code]
