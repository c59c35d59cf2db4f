import pytest

from wellhead.messaging.channel import ChannelInterceptor
from wellhead.messaging.exceptions import MessageDeliveryError, MessageHandlingError
from wellhead.messaging.interceptable import AbstractMessageChannel
from wellhead.messaging.message import Message

MESSAGE = Message("first")


class Channel(AbstractMessageChannel):
    def __init__(self, log=None, error=None, result=True):
        super().__init__("test")
        self.log = [] if log is None else log
        self.error = error
        self.result = result

    def _send_internal(self, message, timeout_ms):
        self.log.append(("send", message.payload, timeout_ms))
        if self.error is not None:
            raise self.error
        return self.result


class Recorder(ChannelInterceptor):
    """Writes down each call; replaces, vetoes or raises where it is told to."""

    def __init__(self, name, log, *, pre=None, post_error=None, completion_error=None):
        self.name, self.log = name, log
        self.pre, self.post_error, self.completion_error = pre, post_error, completion_error

    def pre_send(self, message, channel):
        self.log.append(("pre", self.name, message.payload))
        return self.pre(message) if self.pre is not None else message

    def post_send(self, message, channel, sent):
        self.log.append(("post", self.name, message.payload, sent))
        if self.post_error is not None:
            raise self.post_error

    def after_send_completion(self, message, channel, sent, error):
        self.log.append(("completion", self.name, message.payload, sent, error))
        if self.completion_error is not None:
            raise self.completion_error


class PreSendOnly(ChannelInterceptor):
    def __init__(self, pre):
        self.pre = pre

    def pre_send(self, message, channel):
        return self.pre(message)


def raising(error):
    def pre(message):
        raise error

    return pre


def channel_with(*options, error=None, result=True):
    """A channel with recorders a, b, c …, all writing to the channel's log."""
    channel = Channel(error=error, result=result)
    for name, kwargs in zip("abcd", options, strict=False):
        channel.add_interceptor(Recorder(name, channel.log, **kwargs))
    return channel


@pytest.mark.spec("CH-01")
class TestSending:
    def test_none_is_refused(self):
        with pytest.raises(ValueError, match="Message must not be null"):
            Channel().send(None)

    def test_without_interceptors(self):
        channel = Channel()
        assert channel.send(MESSAGE) is True
        assert channel.send(MESSAGE, 5) is True
        assert channel.log == [("send", "first", -1), ("send", "first", 5)]

    def test_hooks_run_in_order_and_completion_in_reverse(self):
        channel = channel_with({}, {})
        assert channel.send(MESSAGE) is True
        assert channel.log == [
            ("pre", "a", "first"),
            ("pre", "b", "first"),
            ("send", "first", -1),
            ("post", "a", "first", True),
            ("post", "b", "first", True),
            ("completion", "b", "first", True, None),
            ("completion", "a", "first", True, None),
        ]

    def test_each_pre_send_gets_what_the_one_before_returned(self):
        channel = channel_with({"pre": lambda m: Message("second")}, {"pre": lambda m: Message("third")})
        channel.send(MESSAGE)
        assert [entry[2] for entry in channel.log if entry[0] == "pre"] == ["first", "second"]
        assert ("send", "third", -1) in channel.log
        assert ("completion", "a", "third", True, None) in channel.log

    def test_what_the_channel_returns_is_what_everybody_is_told(self):
        channel = channel_with({}, result=False)
        assert channel.send(MESSAGE) is False
        assert channel.log[-2:] == [("post", "a", "first", False), ("completion", "a", "first", False, None)]

    def test_a_veto_completes_those_already_passed_in_reverse(self):
        channel = channel_with({}, {}, {"pre": lambda m: None}, {})
        assert channel.send(MESSAGE) is False
        assert channel.log == [
            ("pre", "a", "first"),
            ("pre", "b", "first"),
            ("pre", "c", "first"),
            ("completion", "b", "first", False, None),
            ("completion", "a", "first", False, None),
        ]

    def test_a_veto_without_other_hooks(self, caplog):
        caplog.set_level("DEBUG")
        channel = Channel()
        channel.add_interceptor(PreSendOnly(lambda m: None))
        assert channel.send(MESSAGE) is False
        assert channel.log == []
        assert [record.levelname for record in caplog.records] == ["DEBUG"]

    def test_an_error_of_pre_send_completes_those_already_passed(self):
        error = ValueError("bad")
        channel = channel_with({}, {}, {"pre": raising(error)})
        with pytest.raises(MessageDeliveryError) as raised:
            channel.send(MESSAGE)
        assert raised.value.__cause__ is error
        assert [entry[:2] for entry in channel.log] == [
            ("pre", "a"),
            ("pre", "b"),
            ("pre", "c"),
            ("completion", "b"),
            ("completion", "a"),
        ]
        assert channel.log[-1] == ("completion", "a", "first", False, error)

    @pytest.mark.parametrize("options", [(), ({},)])
    def test_other_errors_are_wrapped(self, options):
        error = KeyError("x")
        channel = channel_with(*options, error=error)
        with pytest.raises(MessageDeliveryError) as raised:
            channel.send(MESSAGE)
        assert raised.value.description == f"Failed to send message to {channel}"
        assert raised.value.failed_message is MESSAGE
        assert raised.value.__cause__ is error
        assert channel.log[-1] == (("completion", "a", "first", False, error) if options else ("send", "first", -1))

    @pytest.mark.parametrize("options", [(), ({},)])
    def test_messaging_errors_come_as_they_are(self, options):
        error = MessageHandlingError("no", Message("other"))
        with pytest.raises(MessageHandlingError) as raised:
            channel_with(*options, error=error).send(MESSAGE)
        assert raised.value is error

    def test_the_error_names_the_message_that_was_sent(self):
        channel = channel_with({"pre": lambda m: Message("second")}, error=KeyError())
        with pytest.raises(MessageDeliveryError) as raised:
            channel.send(MESSAGE)
        assert raised.value.failed_message.payload == "second"

    def test_an_error_of_post_send_is_one_of_sending(self):
        error = ValueError("late")
        channel = channel_with({"post_error": error}, {})
        with pytest.raises(MessageDeliveryError):
            channel.send(MESSAGE)
        assert [entry[:2] for entry in channel.log[-3:]] == [("post", "a"), ("completion", "b"), ("completion", "a")]
        assert channel.log[-1][3:] == (True, error)

    @pytest.mark.spec("LOG-01")
    @pytest.mark.parametrize("late", [ValueError("late"), SystemExit("late"), GeneratorExit("late")])
    def test_an_error_of_completion_is_logged_and_swallowed(self, caplog, late):
        channel = channel_with({}, {"completion_error": late})
        assert channel.send(MESSAGE) is True
        assert channel.log[-1][:2] == ("completion", "a")
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        assert "after_send_completion" in caplog.text

    def test_an_interrupt_in_completion_is_passed_on(self):
        with pytest.raises(KeyboardInterrupt):
            channel_with({"completion_error": KeyboardInterrupt()}).send(MESSAGE)

    @pytest.mark.spec("SPH-05")
    def test_a_channel_without_a_name_shows_no_address(self):
        channels = [AbstractMessageChannel(), AbstractMessageChannel()]
        assert channels[0].name != channels[1].name
        assert not any(f"{id(each):x}" in str(each) for each in channels)

    def test_completion_runs_when_the_task_is_killed(self):
        class Killed(BaseException):
            pass

        channel = channel_with({}, error=Killed())
        with pytest.raises(Killed):
            channel.send(MESSAGE)
        assert channel.log[-1][:2] == ("completion", "a")

    def test_only_overridden_hooks_are_called(self):
        class CompletionOnly(ChannelInterceptor):
            calls: list = []

            def after_send_completion(self, message, channel, sent, error):
                self.calls.append(sent)

        channel = Channel()
        channel.add_interceptor(CompletionOnly())
        channel.add_interceptor(PreSendOnly(lambda m: None))
        channel.add_interceptor(CompletionOnly())
        assert channel.send(MESSAGE) is False
        assert CompletionOnly.calls == [False]

    def test_a_hook_set_on_the_instance_counts(self):
        interceptor = ChannelInterceptor()
        interceptor.pre_send = lambda message, channel: None
        channel = Channel()
        channel.add_interceptor(interceptor)
        assert channel.send(MESSAGE) is False


@pytest.mark.spec("CH-04")
class TestManagement:
    def test_list_order_is_the_order(self):
        a, b, c = ChannelInterceptor(), ChannelInterceptor(), ChannelInterceptor()
        channel = Channel()
        channel.add_interceptor(b)
        channel.add_interceptor(a, 0)
        channel.add_interceptor(c, 1)
        assert channel.interceptors == (a, c, b)

    def test_setting_replaces(self):
        a, b = ChannelInterceptor(), ChannelInterceptor()
        channel = Channel()
        channel.add_interceptor(a)
        channel.set_interceptors([b])
        assert channel.interceptors == (b,)

    def test_removing_by_object_and_by_index(self):
        a, b, c = ChannelInterceptor(), ChannelInterceptor(), ChannelInterceptor()
        channel = Channel()
        channel.set_interceptors([a, b, c])
        assert channel.remove_interceptor(b) is True
        assert channel.remove_interceptor(b) is False
        assert channel.remove_interceptor(1) is True
        assert channel.remove_interceptor(1) is False
        assert channel.interceptors == (a,)

    def test_removed_interceptors_are_not_called(self):
        channel = channel_with({}, {})
        channel.remove_interceptor(0)
        channel.send(MESSAGE)
        assert {entry[1] for entry in channel.log if entry[0] != "send"} == {"b"}

    def test_interceptors_are_read_only(self):
        assert isinstance(Channel().interceptors, tuple)

    def test_a_send_uses_the_interceptors_that_were_there_when_it_began(self):
        channel = Channel()

        def drop_all(message):
            channel.set_interceptors([])
            return message

        channel.add_interceptor(Recorder("a", channel.log, pre=drop_all))
        channel.add_interceptor(Recorder("b", channel.log))
        channel.send(MESSAGE)
        assert [entry[:2] for entry in channel.log] == [
            ("pre", "a"),
            ("pre", "b"),
            ("send", "first"),
            ("post", "a"),
            ("post", "b"),
            ("completion", "b"),
            ("completion", "a"),
        ]


def test_the_text_form_has_the_name():
    assert str(Channel()) == repr(Channel()) == "Channel[test]"
    assert AbstractMessageChannel().name.startswith("AbstractMessageChannel@")


@pytest.mark.spec("CH-01")
@pytest.mark.parametrize(
    ("channel", "told"),
    [(Channel(), []), (Channel(result=False), [None]), (Channel(error=MessageHandlingError("no")), ["no"])],
)
def test_completion_only_when_unsent_is_not_called_for_a_message_that_was_sent(channel, told):
    log = []
    interceptor = Recorder("a", log)
    interceptor.only_when_unsent = True
    channel.add_interceptor(interceptor)
    try:
        channel.send(MESSAGE)
    except MessageHandlingError:
        pass  # it is what the hook is told
    completions = [entry for entry in log if entry[0] == "completion"]
    assert [str(error) if error else None for *_, error in completions] == told
    assert all(sent is False for _, _, _, sent, _ in completions)
