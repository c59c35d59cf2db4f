import threading

import pytest
from kit.channels import HeldExecutor, RecordingChannel

from wellhead.messaging.exceptions import MessageDeliveryError
from wellhead.messaging.message import Message
from wellhead.messaging.simp.accessor import SimpMessageHeaderAccessor
from wellhead.messaging.simp.measured import MAX_QUEUED_BYTES, MeasuredMessageChannelDecorator
from wellhead.messaging.simp.ordered import configure_interceptor
from wellhead.messaging.simp.types import SimpMessageType

pytestmark = pytest.mark.spec("CH-05")


def message_of(payload, session="s1", native=None):
    accessor = SimpMessageHeaderAccessor(SimpMessageType.MESSAGE, native_headers=native)
    accessor.session_id = session
    accessor.leave_mutable = True
    return Message(payload, accessor.message_headers)


def prepared(executor, handler):
    channel = RecordingChannel(executor)
    channel.subscribe(handler)
    configure_interceptor(channel, True)
    return channel


class TestLimit:
    def test_default(self):
        measured = MeasuredMessageChannelDecorator(prepared(None, print))
        assert measured.max_queued_bytes == MAX_QUEUED_BYTES == 16 * 1024 * 1024

    @pytest.mark.parametrize(("sizes", "taken"), [([4, 5], 2), ([5, 5], 2), ([5, 6], 1), ([20], 1), ([20, 1], 1)])
    def test_the_limit_of_bytes_lets_one_message_wait_whatever_its_size(self, sizes, taken):
        executor, errors = HeldExecutor(), []
        measured = MeasuredMessageChannelDecorator(prepared(executor, lambda m: None), max_queued_bytes=10)
        measured.send(message_of(b"in flight, and more than ten", "s7"))
        for size in sizes:
            try:
                measured.send(message_of(b"x" * size, "s7"))
            except MessageDeliveryError as error:
                errors.append(error.description)
        assert (measured.queued, measured.queued_bytes) == (taken, sum(sizes[:taken]))
        assert len(errors) == len(sizes) - taken
        for text in errors:
            waiting = sizes[0]
            assert text == f"Session s7 has {waiting} bytes waiting to be sent in order, which is the limit"
        executor.run_all()
        assert measured.queued_bytes == 0

    def test_the_limit_of_messages_is_that_of_the_base(self):
        executor = HeldExecutor()
        measured = MeasuredMessageChannelDecorator(prepared(executor, lambda m: None), max_queued=1)
        for _ in range(2):
            measured.send(message_of(b"x"))
        with pytest.raises(MessageDeliveryError, match="has 1 messages waiting"):
            measured.send(message_of(b"x"))
        assert measured.queued_bytes == 1

    @pytest.mark.parametrize("native", [{str(number): [""] for number in range(100)}, {"a": [""] * 100}])
    def test_native_headers_count_whatever_their_payload(self, native):
        executor = HeldExecutor()
        measured = MeasuredMessageChannelDecorator(prepared(executor, lambda m: None), max_queued_bytes=50_000)
        for _ in range(3):
            measured.send(message_of(b"", native=native))
        assert 40_000 < measured.queued_bytes <= 50_000
        with pytest.raises(MessageDeliveryError, match="bytes waiting"):
            measured.send(message_of(b"", native=native))
        executor.run_all()
        assert measured.queued_bytes == 0

    def test_what_is_dropped_counts_no_more(self):
        measured = MeasuredMessageChannelDecorator(prepared(HeldExecutor(), lambda m: None))
        for _ in range(3):
            measured.send(message_of(b"x"))
        measured.finish(lambda: None)
        assert measured.send(message_of(b"x")) is False
        assert measured.queued_bytes == 2
        measured.cut_short()
        assert (measured.queued, measured.queued_bytes) == (0, 0)


class TestCrowding:
    def crowded(self, executor, limits):
        def note(channel):
            told.append(channel.is_crowded)

        told = []
        measured = MeasuredMessageChannelDecorator(
            prepared(executor, lambda m: None), crowded_from=limits, on_crowding=note
        )
        return measured, told

    @pytest.mark.parametrize("limits", [(4, 1_000), (1_000, 4)])
    def test_it_begins_at_the_limit_and_ends_at_half(self, limits):
        executor = HeldExecutor()
        measured, told = self.crowded(executor, limits)
        for number in range(6):  # the first one is in flight
            measured.send(message_of(b"x"))
            assert (measured.is_crowded, told) == ((True, [True]) if number >= 4 else (False, []))
        for left in (4, 3):
            executor.run_next()
            assert (measured.queued, told) == (left, [True])
        executor.run_next()
        assert (measured.queued, told) == (2, [True, False])
        executor.run_all()
        for _ in range(5):
            measured.send(message_of(b"x"))
        assert told == [True, False, True]

    def test_a_message_that_does_not_wait_crowds_nobody(self):
        measured, told = self.crowded(HeldExecutor(), (1, 10))
        measured.send(message_of(b"x" * 20))
        assert not measured.is_crowded
        assert not any(told)

    def test_without_limits_nobody_is_told(self):
        executor = HeldExecutor()
        measured, told = self.crowded(executor, None)
        for _ in range(100):
            measured.send(message_of(b"x"))
        executor.run_all()
        assert told == []

    def test_whoever_is_told_last_sees_how_it_is(self, executor):
        """With several threads the news may come in any order; what they look at may not."""
        seen, handled = [], []
        lock = threading.Lock()

        def note(channel):
            with lock:
                seen.append(channel.is_crowded)

        measured = MeasuredMessageChannelDecorator(
            prepared(executor, lambda m: handled.append(m.payload)), crowded_from=(3, 1_000), on_crowding=note
        )
        for number in range(2_000):
            measured.send(message_of(number))
        assert executor.shutdown()
        assert handled == list(range(2_000))
        assert not measured.is_crowded
        assert not seen or seen[-1] is False
