import pytest
from kit.channels import HeldExecutor

from wellhead.messaging.channel import ChannelInterceptor, ExecutorChannelInterceptor
from wellhead.messaging.exceptions import MessageDeliveryError, MessageHandlingError, TaskRejectedError, describe
from wellhead.messaging.executor import CallerRunsExecutor
from wellhead.messaging.header_accessor import MessageHeaderAccessor
from wellhead.messaging.message import Message
from wellhead.messaging.subscribable import ExecutorSubscribableChannel, ImmutableMessageChannelInterceptor

MESSAGE = Message("first")


class Handler:
    def __init__(self, name="handler", log=None, error=None):
        self.name, self.error = name, error
        self.log = [] if log is None else log

    def handle_message(self, message):
        self.log.append((self.name, message.payload))
        if self.error is not None:
            raise self.error

    def __repr__(self):
        return self.name


class Around(ExecutorChannelInterceptor):
    def __init__(self, name, log, *, before=None, after_error=None):
        self.name, self.log, self.before, self.after_error = name, log, before, after_error

    def before_handle(self, message, channel, handler):
        self.log.append(("before", self.name, message.payload, handler.name))
        return self.before(message) if self.before is not None else message

    def after_message_handled(self, message, channel, handler, error):
        self.log.append(("after", self.name, message.payload, handler.name, error))
        if self.after_error is not None:
            raise self.after_error


class RejectingExecutor:
    def execute(self, task):
        raise TaskRejectedError("full")


@pytest.mark.spec("CH-02")
class TestDispatch:
    def test_subscribing_tells_whether_something_changed(self):
        channel, handler = ExecutorSubscribableChannel(), Handler()
        assert channel.subscribe(handler) is True
        assert channel.subscribe(handler) is False
        assert channel.has_subscription(handler)
        assert channel.unsubscribe(handler) is True
        assert channel.unsubscribe(handler) is False
        assert channel.subscribers == ()

    def test_functions_can_subscribe(self):
        channel, got = ExecutorSubscribableChannel(), []
        assert channel.subscribe(got.append) is True
        assert channel.subscribe(got.append) is False
        channel.send(MESSAGE)
        assert got == [MESSAGE]
        assert channel.unsubscribe(got.append) is True

    def test_subscribers_are_called_in_the_order_of_subscribing(self):
        channel, log = ExecutorSubscribableChannel(), []
        for name in "bac":
            channel.subscribe(Handler(name, log))
        assert channel.send(MESSAGE) is True
        assert log == [("b", "first"), ("a", "first"), ("c", "first")]

    def test_sent_without_subscribers_too(self):
        assert ExecutorSubscribableChannel().send(MESSAGE) is True

    def test_changes_while_sending_count_for_the_next_message(self):
        channel, log = ExecutorSubscribableChannel(), []
        late, second = Handler("late", log), Handler("second", log)

        def change(message):
            channel.unsubscribe(second)
            channel.subscribe(late)

        channel.subscribe(change)
        channel.subscribe(second)
        channel.send(MESSAGE)
        channel.send(MESSAGE)
        assert log == [("second", "first"), ("late", "first")]

    @pytest.mark.parametrize("interceptors", [[], [ExecutorChannelInterceptor()]])
    def test_an_error_reaches_the_sender_and_later_subscribers_do_not_run(self, interceptors):
        channel, log = ExecutorSubscribableChannel(), []
        channel.set_interceptors(interceptors)
        error = MessageHandlingError("no")
        channel.subscribe(Handler("a", log, error))
        channel.subscribe(Handler("b", log))
        with pytest.raises(MessageHandlingError) as raised:
            channel.send(MESSAGE)
        assert raised.value is error
        assert log == [("a", "first")]

    def test_a_task_for_each_subscriber(self):
        executor, log = HeldExecutor(), []
        channel = ExecutorSubscribableChannel(executor)
        channel.subscribe(Handler("a", log, ValueError("bad")))
        channel.subscribe(Handler("b", log))
        assert channel.send(MESSAGE) is True
        assert log == []
        with pytest.raises(MessageDeliveryError):
            executor.run_next()
        executor.run_next()
        assert log == [("a", "first"), ("b", "first")]

    def test_messages_have_no_order_among_each_other(self):
        executor, log = HeldExecutor(), []
        channel = ExecutorSubscribableChannel(executor)
        channel.subscribe(Handler("a", log))
        channel.send(Message(1))
        channel.send(Message(2))
        executor.tasks.pop()()
        executor.tasks.pop()()
        assert log == [("a", 2), ("a", 1)]

    def test_what_the_executor_rejects_runs_in_the_sender(self):
        channel, log = ExecutorSubscribableChannel(RejectingExecutor()), []
        channel.subscribe(Handler("a", log))
        channel.subscribe(Handler("b", log))
        assert channel.send(MESSAGE) is True
        assert log == [("a", "first"), ("b", "first")]

    def test_a_rejection_inside_a_handler_does_not_run_it_twice(self):
        channel, log = ExecutorSubscribableChannel(CallerRunsExecutor()), []
        channel.subscribe(Handler("a", log, TaskRejectedError("inner")))
        with pytest.raises(MessageDeliveryError):
            channel.send(MESSAGE)
        assert log == [("a", "first")]


@pytest.mark.spec("CH-03")
@pytest.mark.parametrize("executor", [None, CallerRunsExecutor()])
class TestAroundHandling:
    def test_once_for_each_subscriber_and_after_in_reverse(self, executor):
        log = []
        channel = ExecutorSubscribableChannel(executor)
        channel.set_interceptors([Around("a", log), Around("b", log)])
        channel.subscribe(Handler("h1", log))
        channel.subscribe(Handler("h2", log))
        channel.send(MESSAGE)
        each = [
            [
                ("before", "a", "first", handler),
                ("before", "b", "first", handler),
                (handler, "first"),
                ("after", "b", "first", handler, None),
                ("after", "a", "first", handler, None),
            ]
            for handler in ("h1", "h2")
        ]
        assert log == each[0] + each[1]

    def test_the_message_can_be_replaced_for_one_subscriber(self, executor):
        log = []
        channel = ExecutorSubscribableChannel(executor)
        channel.add_interceptor(Around("a", log, before=lambda m: Message(m.payload + "!")))
        channel.subscribe(Handler("h1", log))
        channel.subscribe(Handler("h2", log))
        channel.send(MESSAGE)
        assert [entry for entry in log if entry[0] in ("h1", "h2")] == [("h1", "first!"), ("h2", "first!")]
        assert log[2][:3] == ("after", "a", "first!")

    def test_none_leaves_the_handler_out(self, executor):
        log = []
        channel = ExecutorSubscribableChannel(executor)
        channel.set_interceptors([Around("a", log), Around("b", log), Around("c", log, before=lambda m: None)])
        channel.subscribe(Handler("h", log))
        assert channel.send(MESSAGE) is True
        assert [entry[:2] for entry in log] == [
            ("before", "a"),
            ("before", "b"),
            ("before", "c"),
            ("after", "b"),
            ("after", "a"),
        ]
        assert log[-1][4] is None

    def test_after_gets_the_error_of_the_handler(self, executor):
        log, error = [], ValueError("bad")
        channel = ExecutorSubscribableChannel(executor)
        channel.add_interceptor(Around("a", log))
        handler = Handler("h", log, error)
        channel.subscribe(handler)
        with pytest.raises(MessageDeliveryError) as raised:
            channel.send(MESSAGE)
        assert log[-1] == ("after", "a", "first", "h", error)
        assert raised.value.__cause__ is error
        assert raised.value.description == f"Failed to handle {MESSAGE} to {channel} in h"
        assert raised.value.failed_message is MESSAGE

    def test_errors_are_wrapped_without_interceptors_too(self, executor):
        channel = ExecutorSubscribableChannel(executor)
        channel.subscribe(Handler("h", error=ValueError("bad")))
        with pytest.raises(MessageDeliveryError, match="Failed to handle"):
            channel.send(MESSAGE)

    @pytest.mark.spec("SPH-05")
    @pytest.mark.parametrize("intercepted", [False, True])
    def test_a_client_is_told_neither_the_message_nor_the_handler(self, executor, intercepted):
        channel = ExecutorSubscribableChannel(executor, name="inbound")
        if intercepted:
            channel.add_interceptor(Around("a", []))
        channel.subscribe(Handler("object at 0x7f", error=ValueError("bad")))
        with pytest.raises(MessageDeliveryError) as raised:
            channel.send(Message("x", {"simpSessionAttributes": {"token": "t0ps3cret"}}))
        assert describe(raised.value) == "Failed to handle message to ExecutorSubscribableChannel[inbound]"
        assert "t0ps3cret" in str(raised.value)  # the log's

    def test_an_interrupt_in_after_is_passed_on(self, executor):
        channel = ExecutorSubscribableChannel(executor)
        channel.add_interceptor(Around("a", [], after_error=KeyboardInterrupt()))
        channel.subscribe(Handler("h"))
        with pytest.raises(KeyboardInterrupt):
            channel.send(MESSAGE)

    def test_messaging_errors_come_as_they_are(self, executor):
        log, error = [], MessageHandlingError("no")
        for interceptors in ([], [Around("a", log)]):
            channel = ExecutorSubscribableChannel(executor)
            channel.set_interceptors(interceptors)
            channel.subscribe(Handler("h", error=error))
            with pytest.raises(MessageHandlingError) as raised:
                channel.send(MESSAGE)
            assert raised.value is error

    @pytest.mark.spec("LOG-01")
    @pytest.mark.parametrize("late", [ValueError("late"), SystemExit("late"), GeneratorExit("late")])
    def test_an_error_of_after_is_logged_and_swallowed(self, executor, caplog, late):
        log = []
        channel = ExecutorSubscribableChannel(executor)
        channel.set_interceptors([Around("a", log), Around("b", log, after_error=late)])
        channel.subscribe(Handler("h", log))
        assert channel.send(MESSAGE) is True
        assert log[-1][:2] == ("after", "a")
        assert [record.levelname for record in caplog.records] == ["ERROR"]

    def test_after_runs_when_the_task_is_killed(self, executor):
        class Killed(BaseException):
            pass

        log = []
        channel = ExecutorSubscribableChannel(executor)
        channel.add_interceptor(Around("a", log))
        channel.subscribe(Handler("h", log, Killed()))
        with pytest.raises(Killed):
            channel.send(MESSAGE)
        assert log[-1][:2] == ("after", "a")

    def test_an_interceptor_that_only_looks_afterwards(self, executor):
        class After(ExecutorChannelInterceptor):
            seen: list = []

            def after_message_handled(self, message, channel, handler, error):
                self.seen.append(message.payload)

        channel = ExecutorSubscribableChannel(executor)
        channel.add_interceptor(After())
        channel.subscribe(Handler())
        channel.send(MESSAGE)
        assert After.seen == ["first"]
        After.seen.clear()

    def test_removed_interceptors_are_not_called_and_the_index_is_kept(self, executor):
        log = []
        channel = ExecutorSubscribableChannel(executor)
        first, second = Around("a", log), Around("b", log)
        channel.add_interceptor(second)
        channel.add_interceptor(first, 0)
        channel.subscribe(Handler("h"))
        channel.send(MESSAGE)
        assert [entry[1] for entry in log] == ["a", "b", "b", "a"]
        log.clear()
        channel.remove_interceptor(first)
        channel.send(MESSAGE)
        assert [entry[1] for entry in log] == ["b", "b"]


@pytest.mark.spec("CH-03")
def test_hooks_run_where_the_handler_does():
    executor, log = HeldExecutor(), []
    channel = ExecutorSubscribableChannel(executor)
    channel.add_interceptor(Around("a", log))
    channel.subscribe(Handler("h", log))
    channel.send(MESSAGE)
    assert log == []
    executor.run_all()
    assert [entry[0] for entry in log] == ["before", "h", "after"]


@pytest.mark.spec("CH-04")
class TestImmutableMessageChannelInterceptor:
    def test_freezes_after_the_other_interceptors_changed_headers(self):
        class Changes(ChannelInterceptor):
            def pre_send(self, message, channel):
                MessageHeaderAccessor.get_accessor(message).set_header("a", 1)
                return message

        accessor = MessageHeaderAccessor()
        accessor.leave_mutable = True
        message = Message("x", accessor.message_headers)
        channel, got = ExecutorSubscribableChannel(), []
        channel.set_interceptors([Changes(), ImmutableMessageChannelInterceptor()])
        channel.subscribe(got.append)
        channel.send(message)
        assert got == [message]
        assert got[0].headers["a"] == 1
        assert not accessor.is_mutable

    def test_a_channel_says_whether_one_of_its_interceptors_freezes(self):
        class Freezes(ImmutableMessageChannelInterceptor):
            pass

        channel = ExecutorSubscribableChannel()
        assert not channel.freezes
        channel.set_interceptors([ChannelInterceptor()])
        assert not channel.freezes
        for freezing in (ImmutableMessageChannelInterceptor(), Freezes()):
            channel.add_interceptor(freezing)
            assert channel.freezes
            channel.remove_interceptor(freezing)
            assert not channel.freezes

    def test_plain_and_frozen_headers_pass(self):
        interceptor, channel = ImmutableMessageChannelInterceptor(), ExecutorSubscribableChannel()
        frozen = Message("x", MessageHeaderAccessor().message_headers)
        for message in (MESSAGE, frozen):
            assert interceptor.pre_send(message, channel) is message

    def test_headers_that_nobody_made_yet_are_left_alone(self):
        class Lazy(Message):
            headers = property(lambda self: pytest.fail("the headers were made"))

            def live_headers(self):
                return None

        message = Lazy("x")
        assert ImmutableMessageChannelInterceptor().pre_send(message, ExecutorSubscribableChannel()) is message


@pytest.mark.spec("CH-02")
def test_the_path_is_chosen_under_the_lock_that_subscribing_takes():
    chosen = []

    class Watched(ExecutorSubscribableChannel):
        def _choose_path(self):
            chosen.append(self._changing.locked())
            super()._choose_path()

    channel = Watched()
    chosen.clear()
    channel.executor = CallerRunsExecutor()
    channel.subscribe(Handler())
    assert chosen == [True, True]


@pytest.mark.spec("CH-04")
def test_an_interceptor_added_twice_completes_for_its_first_place_when_it_vetoes_in_its_second():
    completed = []

    class PassesOnce(ChannelInterceptor):
        only_when_unsent = True
        calls = 0

        def pre_send(self, message, channel):
            self.calls += 1
            return message if self.calls == 1 else None

        def after_send_completion(self, message, channel, sent, error):
            completed.append((sent, error))

    channel = ExecutorSubscribableChannel()
    twice = PassesOnce()
    channel.set_interceptors([twice, twice])
    assert channel.send(MESSAGE) is False
    assert completed == [(False, None)]
