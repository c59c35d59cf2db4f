import random
import threading

import pytest
from kit.channels import HeldExecutor, RecordingChannel

from wellhead.messaging.channel import ChannelInterceptor, ExecutorChannelInterceptor
from wellhead.messaging.exceptions import MessageDeliveryError, TaskRejectedError
from wellhead.messaging.executor import CallerRunsExecutor
from wellhead.messaging.message import Message
from wellhead.messaging.simp.accessor import SimpMessageHeaderAccessor
from wellhead.messaging.simp.ordered import (
    MAX_QUEUED,
    NEXT_MESSAGE_TASK,
    OrderedMessageChannelDecorator,
    configure_interceptor,
    next_message_task,
    supports_ordered_messages,
)
from wellhead.messaging.subscribable import ExecutorSubscribableChannel
from wellhead.messaging.threads import ThreadPoolTaskExecutor

pytestmark = pytest.mark.spec("CH-05")


def message_of(payload, session="s1"):
    accessor = SimpMessageHeaderAccessor.create()
    accessor.session_id = session
    accessor.leave_mutable = True
    return Message(payload, accessor.message_headers)


class Veto(ChannelInterceptor):
    def __init__(self, payload, error=None):
        self.payload, self.error = payload, error

    def pre_send(self, message, channel):
        if message.payload != self.payload:
            return message
        if self.error is not None:
            raise self.error
        return None


def prepared(executor, *handlers):
    channel = RecordingChannel(executor)
    for handler in handlers:
        channel.subscribe(handler)
    configure_interceptor(channel, True)
    return channel


class TestConfiguration:
    def test_an_interceptor_at_index_0(self):
        channel, other = ExecutorSubscribableChannel(), ChannelInterceptor()
        channel.add_interceptor(other)
        assert not supports_ordered_messages(channel)
        configure_interceptor(channel, True)
        configure_interceptor(channel, True)
        assert len(channel.interceptors) == 2
        assert channel.interceptors[1] is other
        assert supports_ordered_messages(channel)

    def test_switching_off_removes_it(self):
        channel = ExecutorSubscribableChannel()
        configure_interceptor(channel, True)
        configure_interceptor(channel, False)
        configure_interceptor(channel, False)
        assert channel.interceptors == ()

    def test_another_kind_of_channel(self):
        text = "^An ExecutorSubscribableChannel is required for 'preservePublishOrder'$"
        with pytest.raises(ValueError, match=text):
            configure_interceptor(object(), True)
        configure_interceptor(object(), False)
        assert not supports_ordered_messages(object())


class TestOrder:
    def test_one_message_is_in_flight_at_a_time(self):
        executor, got = HeldExecutor(), []
        channel = prepared(executor, lambda m: got.append(m.payload))
        ordered = OrderedMessageChannelDecorator(channel)
        for number in range(3):
            assert ordered.send(message_of(number)) is True
        assert len(executor.tasks) == 1
        assert ordered.queued == 2
        for number in range(3):
            executor.run_next()
            assert got == list(range(number + 1))
        assert not executor.tasks

    def test_the_next_one_waits_for_all_subscribers(self):
        executor, got = HeldExecutor(), []
        channel = prepared(executor, lambda m: got.append(("a", m.payload)), lambda m: got.append(("b", m.payload)))
        ordered = OrderedMessageChannelDecorator(channel)
        ordered.send(message_of(1))
        ordered.send(message_of(2))
        second = executor.tasks.pop()
        executor.run_next()
        assert not executor.tasks
        second()
        assert len(executor.tasks) == 2
        executor.run_all()
        assert got == [("a", 1), ("b", 1), ("a", 2), ("b", 2)]

    def test_a_failing_handler_lets_the_next_one_go(self):
        executor, got = HeldExecutor(), []

        def handle(message):
            got.append(message.payload)
            raise ValueError("bad")

        ordered = OrderedMessageChannelDecorator(prepared(executor, handle))
        ordered.send(message_of(1))
        ordered.send(message_of(2))
        for _ in range(2):
            with pytest.raises(MessageDeliveryError):
                executor.run_next()
        assert got == [1, 2]

    def test_a_handler_that_is_left_out_lets_the_next_one_go(self):
        class LeaveOut(ExecutorChannelInterceptor):
            def before_handle(self, message, channel, handler):
                return None

        executor = HeldExecutor()
        channel = prepared(executor, lambda m: None)
        channel.add_interceptor(LeaveOut())
        ordered = OrderedMessageChannelDecorator(channel)
        ordered.send(message_of(1))
        ordered.send(message_of(2))
        executor.run_next()
        assert len(executor.tasks) == 1

    def test_sessions_do_not_wait_for_each_other(self):
        executor = HeldExecutor()
        channel = prepared(executor, lambda m: None)
        OrderedMessageChannelDecorator(channel).send(message_of(1, "s1"))
        OrderedMessageChannelDecorator(channel).send(message_of(2, "s2"))
        assert len(executor.tasks) == 2

    def test_messages_that_are_sent_while_one_is_handled(self):
        got = []

        def handle(message):
            if message.payload == 0:
                for number in range(1, 4):
                    ordered.send(message_of(number))
            got.append(message.payload)

        ordered = OrderedMessageChannelDecorator(prepared(None, handle))
        ordered.send(message_of(0))
        assert got == [0, 1, 2, 3]

    @pytest.mark.parametrize("executor", [None, CallerRunsExecutor()])
    def test_a_long_queue_is_no_deep_stack(self, executor):
        got = []

        def handle(message):
            if message.payload == 0:
                for number in range(1, 5_000):
                    ordered.send(message_of(number))
            got.append(message.payload)

        ordered = OrderedMessageChannelDecorator(prepared(executor, handle))
        ordered.send(message_of(0))
        assert got == list(range(5_000))

    def test_without_subscribers_nothing_waits(self):
        channel = prepared(HeldExecutor())
        ordered = OrderedMessageChannelDecorator(channel)
        ordered.send(message_of(1))
        ordered.send(message_of(2))
        assert [m.payload for m in channel.messages] == [1, 2]
        assert ordered.queued == 0

    def test_subscribers_may_come_and_go(self):
        executor, got = HeldExecutor(), []
        channel = prepared(executor, lambda m: got.append(m.payload), print)
        ordered = OrderedMessageChannelDecorator(channel)
        channel.unsubscribe(print)
        for number in (1, 2):
            ordered.send(message_of(number))
        executor.run_all()
        assert got == [1, 2]

    def test_from_many_threads_on_many_threads(self):
        pool, got, done = ThreadPoolTaskExecutor(core_pool_size=4), {}, threading.Event()
        sessions, count = 8, 50
        total = []

        def handle(message):
            if random.random() < 0.1:
                done.wait(0.0001)
            got.setdefault(message.headers["simpSessionId"], []).append(message.payload)
            total.append(1)
            if len(total) == sessions * count:
                done.set()

        channel = prepared(pool, handle)

        def publish(session):
            ordered = OrderedMessageChannelDecorator(channel)
            for number in range(count):
                ordered.send(message_of(number, session))

        threads = [threading.Thread(target=publish, args=(f"s{n}",)) for n in range(sessions)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert done.wait(10)
        assert pool.shutdown()
        assert got == {f"s{n}": list(range(count)) for n in range(sessions)}

    def test_a_rejecting_executor_keeps_the_order_too(self):
        class Rejecting:
            def execute(self, task):
                raise TaskRejectedError("full")

        got = []
        ordered = OrderedMessageChannelDecorator(prepared(Rejecting(), lambda m: got.append(m.payload)))
        for number in range(3):
            ordered.send(message_of(number))
        assert got == [0, 1, 2]


class TestEarlyRelease:
    """What the outbound side does as soon as the message is in the session's send buffer (CDS-04)."""

    def test_the_next_message_goes_while_the_first_is_still_handled(self):
        executor, got = HeldExecutor(), []

        def handle(message):
            next_message_task(message)()
            got.append((message.payload, len(executor.tasks)))

        ordered = OrderedMessageChannelDecorator(prepared(executor, handle))
        for number in (1, 2):
            ordered.send(message_of(number))
        executor.run_all()
        assert got == [(1, 1), (2, 0)]
        assert ordered.queued == 0

    def test_another_sender_does_not_wait_for_a_handler_that_blocks_after_it(self):
        got = []

        def handle(message):
            got.append(message.payload)
            next_message_task(message)()
            if message.payload == 1:  # what another thread does while this one blocks in its socket
                ordered.send(message_of(2))
                assert got == [1, 2]

        ordered = OrderedMessageChannelDecorator(prepared(None, handle))
        ordered.send(message_of(1))
        assert got == [1, 2]

    def test_released_twice_counts_once(self):
        executor, got = HeldExecutor(), []
        ordered = OrderedMessageChannelDecorator(prepared(executor, lambda m: got.append(m.payload)))
        messages = [message_of(number) for number in range(3)]
        for message in messages:
            ordered.send(message)
        task = next_message_task(messages[0])
        for _ in range(3):
            task()
        assert len(executor.tasks) == 2
        executor.run_all()
        assert got == [0, 1, 2]

    def test_a_subscriber_that_goes_on_is_counted_once(self):
        executor, got = HeldExecutor(), []

        def queue(message):
            got.append(("queued", message.payload))
            next_message_task(message)()

        ordered = OrderedMessageChannelDecorator(prepared(executor, queue, lambda m: got.append(("read", m.payload))))
        for number in (1, 2):
            ordered.send(message_of(number))
        executor.run_next()
        assert (got, ordered.queued) == ([("queued", 1)], 1)  # the other subscriber has not begun
        executor.run_all()
        assert got == [("queued", 1), ("read", 1), ("queued", 2), ("read", 2)]

    def test_an_early_word_after_the_others_are_done_lets_the_next_message_go(self):
        executor, got = HeldExecutor(), []

        def queue(message):
            next_message_task(message)()
            got.append((message.payload, ordered.queued))

        channel = prepared(executor, lambda m: None, queue)
        ordered = OrderedMessageChannelDecorator(channel)
        for number in (1, 2):
            ordered.send(message_of(number))
        executor.run_all()
        assert got == [(1, 0), (2, 0)]


class TestOtherMessages:
    """Sent by an interceptor in place of the session's."""

    class Replacing(ChannelInterceptor):
        def __init__(self, headers_of):
            self.headers_of = headers_of

        def pre_send(self, message, channel):
            return Message(message.payload * 10, self.headers_of(message))

    @pytest.mark.parametrize("executor", [None, HeldExecutor()])
    def test_without_the_headers_all_are_sent_and_the_log_says_why_not_in_order(self, executor, caplog):
        got = []
        channel = prepared(executor, lambda m: got.append(m.payload))
        channel.add_interceptor(self.Replacing(lambda message: {}))
        ordered = OrderedMessageChannelDecorator(channel)
        for number in (1, 2, 3):
            ordered.send(message_of(number))
        if executor is not None:
            executor.run_all()
        assert (got, ordered.queued) == ([10, 20, 30], 0)
        assert "left out the header simpNextMessageTask: order is lost" in caplog.text

    def test_with_the_headers_order_is_kept(self, caplog):
        executor, got = HeldExecutor(), []
        channel = prepared(executor, lambda m: got.append(m.payload))
        channel.add_interceptor(self.Replacing(lambda message: message.headers))
        ordered = OrderedMessageChannelDecorator(channel)
        for number in (1, 2):
            ordered.send(message_of(number))
        assert (len(executor.tasks), ordered.queued) == (1, 1)
        executor.run_all()
        assert got == [10, 20]
        assert caplog.records == []

    def test_what_the_channel_sends_meanwhile_is_no_replacement(self, caplog):
        executor = HeldExecutor()
        channel = prepared(executor, lambda m: None)

        class Tells(ChannelInterceptor):
            def pre_send(self, message, channel):
                if message.payload == 1:
                    OrderedMessageChannelDecorator(channel).send(message_of("news", "s2"))
                    channel.send(Message("to all"))
                return message

        channel.add_interceptor(Tells())
        ordered = OrderedMessageChannelDecorator(channel)
        for number in (1, 2):
            ordered.send(message_of(number))
        assert (len(executor.tasks), ordered.queued) == (3, 1)
        assert caplog.records == []


class TestMessages:
    def test_the_header(self):
        message = message_of(1)
        assert next_message_task(message) is None
        OrderedMessageChannelDecorator(prepared(HeldExecutor(), print)).send(message)
        assert NEXT_MESSAGE_TASK == "simpNextMessageTask"
        assert next_message_task(message) is message.headers[NEXT_MESSAGE_TASK]

    def test_headers_that_nobody_made_have_no_task(self):
        class Lazy(Message):
            def live_headers(self):
                return None

        assert next_message_task(Lazy("x")) is None

    @pytest.mark.parametrize(
        "message", [Message("x"), Message("x", SimpMessageHeaderAccessor.create().message_headers)]
    )
    def test_a_mutable_accessor_is_needed(self, message):
        ordered = OrderedMessageChannelDecorator(prepared(None))
        with pytest.raises(ValueError, match="^Expected mutable SimpMessageHeaderAccessor$"):
            ordered.send(message)

    def test_messages_sent_past_the_decorator_do_not_disturb_it(self):
        got = []
        channel = prepared(None, lambda m: got.append(m.payload))
        channel.send(Message("direct"))
        OrderedMessageChannelDecorator(channel).send(message_of("ordered"))
        assert got == ["direct", "ordered"]


class TestFailures:
    def test_a_veto_drops_the_message_and_the_next_one_goes(self):
        got = []
        channel = prepared(None, lambda m: got.append(m.payload))
        channel.add_interceptor(Veto(1))
        ordered = OrderedMessageChannelDecorator(channel)
        assert [ordered.send(message_of(number)) for number in (1, 2)] == [True, True]
        assert got == [2]

    @pytest.mark.spec("LOG-01")
    def test_an_error_is_logged_and_the_next_one_goes(self, caplog):
        got = []
        channel = prepared(None, lambda m: got.append(m.payload))
        channel.add_interceptor(Veto(1, ValueError("bad")))
        ordered = OrderedMessageChannelDecorator(channel)
        assert [ordered.send(message_of(number)) for number in (1, 2)] == [True, True]
        assert got == [2]
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        assert caplog.messages[0].startswith("Failed to send GenericMessage")

    def test_a_callback_can_be_told_instead(self, caplog):
        told = []
        channel = prepared(None, lambda m: None)
        channel.add_interceptor(Veto(1, MessageDeliveryError("no")))
        ordered = OrderedMessageChannelDecorator(channel, error_callback=lambda m, e: told.append((m.payload, str(e))))
        ordered.send(message_of(1))
        assert told == [(1, "no")]
        assert caplog.records == []

    def test_a_callback_that_fails_is_logged(self, caplog):
        def fail(message, error):
            raise ValueError("worse")

        got = []
        channel = prepared(None, lambda m: got.append(m.payload))
        channel.add_interceptor(Veto(1, MessageDeliveryError("no")))
        ordered = OrderedMessageChannelDecorator(channel, error_callback=fail)
        ordered.send(message_of(1))
        ordered.send(message_of(2))
        assert got == [2]
        assert "Failed to report" in caplog.text

    def test_a_killed_sender_does_not_stop_the_session(self):
        class Killed(BaseException):
            pass

        got = []
        channel = prepared(None, lambda m: got.append(m.payload))
        channel.add_interceptor(Veto(1, Killed()))
        ordered = OrderedMessageChannelDecorator(channel)
        with pytest.raises(Killed):
            ordered.send(message_of(1))
        ordered.send(message_of(2))
        assert got == [2]

    @pytest.mark.spec("CH-05")
    def test_what_waits_behind_the_message_of_a_killed_sender_is_sent(self):
        class Killed(BaseException):
            pass

        class QueuesMoreAndDies(ChannelInterceptor):
            def pre_send(self, message, channel):
                if message.payload == 1:
                    ordered.send(message_of(2))
                    ordered.send(message_of(3))
                    raise Killed
                return message

        got = []
        channel = prepared(None, lambda m: got.append(m.payload))
        channel.add_interceptor(QueuesMoreAndDies())
        ordered = OrderedMessageChannelDecorator(channel)
        with pytest.raises(Killed):
            ordered.send(message_of(1))
        assert (got, ordered.queued) == ([2, 3], 0)


class TestLimit:
    def test_default(self):
        assert OrderedMessageChannelDecorator(ExecutorSubscribableChannel()).max_queued == MAX_QUEUED == 10_000

    @pytest.mark.parametrize(("waiting", "refused"), [(2, 0), (3, 0), (4, 1)])
    def test_one_more_than_the_limit_raises(self, waiting, refused):
        executor, got, errors = HeldExecutor(), [], []
        ordered = OrderedMessageChannelDecorator(prepared(executor, lambda m: got.append(m.payload)), max_queued=3)
        ordered.send(message_of("in flight", "s7"))
        for number in range(waiting):
            try:
                ordered.send(message_of(number, "s7"))
            except MessageDeliveryError as error:
                errors.append(error)
        assert len(errors) == refused
        assert ordered.queued == min(waiting, 3)
        for error in errors:
            assert error.description == "Session s7 has 3 messages waiting to be sent in order, which is the limit"
            assert error.failed_message.payload == 3
        executor.run_all()
        assert got == ["in flight", *range(min(waiting, 3))]


class TestFinish:
    def test_the_last_word_comes_when_all_is_handled(self):
        executor, got = HeldExecutor(), []
        ordered = OrderedMessageChannelDecorator(prepared(executor, lambda m: got.append(m.payload)))
        for number in range(3):
            ordered.send(message_of(number))
        ordered.finish(lambda: got.append("last"))
        assert ordered.send(message_of("late")) is False
        for number in range(2):
            executor.run_next()
            assert got == list(range(number + 1))
        executor.run_all()
        assert got == [0, 1, 2, "last"]
        ordered.cut_short()
        assert got == [0, 1, 2, "last"]

    def test_it_comes_at_once_when_there_is_nothing_to_wait_for(self):
        executor, got = HeldExecutor(), []
        ordered = OrderedMessageChannelDecorator(prepared(executor, lambda m: got.append(m.payload)))
        ordered.send(message_of(1))
        executor.run_all()
        ordered.finish(lambda: got.append("last"))
        assert got == [1, "last"]

    def test_cut_short_it_waits_for_nothing_and_comes_once(self):
        executor, got = HeldExecutor(), []
        ordered = OrderedMessageChannelDecorator(prepared(executor, lambda m: got.append(m.payload)))
        for number in range(3):
            ordered.send(message_of(number))
        ordered.finish(lambda: got.append("last"))
        ordered.cut_short()
        ordered.cut_short()
        assert got == ["last"]
        assert ordered.queued == 0
        executor.run_all()
        assert got == ["last", 0]  # which was in flight
