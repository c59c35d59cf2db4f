"""Broadcasts through a channel: what interceptors see and may do, and which way the messages take."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.channels import HeldExecutor, RecordingChannel

from wellhead.messaging.broker.broadcast import Broadcast
from wellhead.messaging.broker.contract import Subscription
from wellhead.messaging.channel import (
    BroadcastHandler,
    ChannelInterceptor,
    ExecutorChannelInterceptor,
    MessageChannel,
    MessageHandler,
)
from wellhead.messaging.exceptions import MessageDeliveryError
from wellhead.messaging.executor import CallerRunsExecutor
from wellhead.messaging.header_accessor import MutableMessageHeaders
from wellhead.messaging.message import Message
from wellhead.messaging.simp.accessor import DESTINATION, SESSION_ID, SUBSCRIPTION_ID
from wellhead.messaging.subscribable import ExecutorSubscribableChannel, ImmutableMessageChannelInterceptor

SUBSCRIPTIONS = tuple(Subscription(f"s{number}", f"i{number}", "/topic/a") for number in range(6))
IDS = [each.session_id for each in SUBSCRIPTIONS]
FREEZE = ImmutableMessageChannelInterceptor()


class Whole:
    """Implements BroadcastHandler; ``log`` has each message that came alone, and the recipients of each broadcast."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.broadcasts: list[Sequence[Subscription]] = []
        self.messages: list[Message[Any]] = []

    def handle_message(self, message: Message[Any]) -> None:
        self.messages.append(message)
        self.log.append((session_of(message), message.payload))

    def handle_broadcast(self, broadcast: Broadcast, recipients: Sequence[Subscription]) -> None:
        self.broadcasts.append(recipients)
        self.log += [(each.session_id, broadcast.payload) for each in recipients]

    @property
    def together(self) -> list[str]:
        """Who got it as a part of the broadcast."""
        return [each.session_id for recipients in self.broadcasts for each in recipients]

    @property
    def alone(self) -> list[str]:
        return [session_of(message) for message in self.messages]


class Interceptor(ChannelInterceptor):
    """Sees messages, and acts on those of some sessions."""

    def __init__(self, act: Callable[[Message[Any]], Message[Any] | None] | None = None, *session_ids: str) -> None:
        self.act, self.session_ids = act, session_ids
        self.seen: list[str] = []

    def pre_send(self, message: Message[Any], channel: MessageChannel) -> Message[Any] | None:
        session_id = message.subscription.session_id if hasattr(message, "subscription") else session_of(message)
        self.seen.append(session_id)
        if self.act is not None and session_id in self.session_ids:
            return self.act(message)
        return message


def session_of(message: Message[Any]) -> str:
    return str(message.headers[SESSION_ID])


def look(message: Message[Any]) -> Message[Any]:
    assert message.headers[DESTINATION] == "/topic/a"
    return message


def change(message: Message[Any]) -> Message[Any]:
    return Message(b"changed", message.headers)


def replace(message: Message[Any]) -> Message[Any]:
    """Without a look into it."""
    subscription = message.subscription  # type: ignore[attr-defined]  # that of a broadcast has one
    return Message(b"changed", {SESSION_ID: subscription.session_id, SUBSCRIPTION_ID: subscription.id})


def change_headers(message: Message[Any]) -> Message[Any]:
    message.headers.accessor.set_header("mark", "here")  # type: ignore[attr-defined]  # they are mutable
    return message


def veto(message: Message[Any]) -> None:
    return None


def fail(message: Message[Any]) -> None:
    raise ZeroDivisionError("by the interceptor")


class Line:
    """A channel, its one subscriber, and a broadcast that is sent to all subscriptions."""

    def __init__(self, *interceptors: ChannelInterceptor, channel: ExecutorSubscribableChannel | None = None) -> None:
        self.channel = channel or ExecutorSubscribableChannel(name="outbound")
        self.channel.set_interceptors(interceptors)
        self.handler = Whole()
        self.channel.subscribe(self.handler)
        self.failed: list[str] = []
        self.errors: list[BaseException | None] = []

    def send(self, payload: bytes = b"hello") -> None:
        def failed(recipient: Subscription) -> None:
            self.failed.append(recipient.session_id)
            self.errors.append(sys.exc_info()[1])

        broadcast = Broadcast(Message(payload, {DESTINATION: "/topic/a"}))
        self.channel.send_broadcast(broadcast, SUBSCRIPTIONS, failed)

    @property
    def got(self) -> list[str]:
        return [session_id for session_id, _ in self.handler.log]


def test_the_contract() -> None:
    assert isinstance(Whole(), BroadcastHandler)
    assert isinstance(Whole(), MessageHandler)


# -- the short way


@pytest.mark.spec("CH-02", "SB-03")
@pytest.mark.parametrize("interceptors", [(), (FREEZE,)], ids=["none", "freezing"])
def test_without_interceptors_a_broadcast_goes_as_a_whole(interceptors: tuple[ChannelInterceptor, ...]) -> None:
    line = Line(*interceptors)
    line.send()
    assert line.handler.broadcasts == [SUBSCRIPTIONS]
    assert line.handler.broadcasts[0] is SUBSCRIPTIONS
    assert line.handler.messages == []


@pytest.mark.spec("CH-01", "SB-03")
def test_an_interceptor_sees_each_message_and_if_it_does_not_look_it_costs_nothing() -> None:
    interceptor = Interceptor()
    line = Line(interceptor, FREEZE)
    line.send()
    assert interceptor.seen == IDS
    assert line.handler.broadcasts == [SUBSCRIPTIONS]
    assert line.handler.broadcasts[0] is SUBSCRIPTIONS, "by the same object it is known again"


@pytest.mark.spec("CH-01", "SB-03")
@pytest.mark.parametrize("act", [look, change_headers, change, replace])
def test_what_an_interceptor_looks_into_goes_its_own_way_in_its_place(act: Any) -> None:
    line = Line(Interceptor(act, "s2", "s3"))
    line.send()
    assert line.got == IDS
    assert line.handler.alone == ["s2", "s3"]
    assert line.handler.together == ["s0", "s1", "s4", "s5"]
    assert line.handler.messages[0].payload == (b"changed" if act in (change, replace) else b"hello")
    assert line.handler.messages[0].headers[SUBSCRIPTION_ID] == "i2"
    assert line.handler.messages[0].headers.get("mark") == ("here" if act is change_headers else None)


@pytest.mark.spec("CH-01", "SB-03")
def test_what_an_interceptor_does_not_let_pass_is_not_sent() -> None:
    last = Interceptor()
    line = Line(Interceptor(veto, "s0", "s3", "s5"), last)
    line.send()
    assert last.seen == line.got == ["s1", "s2", "s4"]
    assert line.failed == []


@pytest.mark.spec("CH-01", "SB-03")
def test_nothing_is_sent_when_all_is_vetoed() -> None:
    line = Line(Interceptor(veto, *IDS))
    line.send()
    assert line.got == []


@pytest.mark.spec("CH-01", "SB-03")
def test_an_error_of_an_interceptor_is_told_once_and_the_others_go_on() -> None:
    line = Line(Interceptor(fail, "s2"))
    line.send()
    assert line.failed == ["s2"]
    assert isinstance(line.errors[0], MessageDeliveryError)
    assert isinstance(line.errors[0].__cause__, ZeroDivisionError)
    assert line.got == ["s0", "s1", "s3", "s4", "s5"]


@pytest.mark.spec("CH-01", "SB-03")
def test_an_error_of_the_subscriber_with_a_message_of_its_own_is_told_once() -> None:
    line = Line(Interceptor(look, "s2"))

    def broken(message: Message[Any]) -> None:
        raise ZeroDivisionError("by the subscriber")

    line.handler.handle_message = broken  # type: ignore[method-assign]  # a fault
    line.send()
    assert line.failed == ["s2"]
    assert line.got == ["s0", "s1", "s3", "s4", "s5"]


class OnlyWhenUnsent(Interceptor):
    """Whose completion is for what was not sent: the short way stays."""

    only_when_unsent = True

    def __init__(self) -> None:
        super().__init__()
        self.completed: list[tuple[str, bool, BaseException | None]] = []

    def after_send_completion(
        self, message: Message[Any], channel: MessageChannel, sent: bool, error: BaseException | None
    ) -> None:
        self.completed.append((session_of(message), sent, error))


@pytest.mark.spec("CH-01", "CH-04", "SB-03")
@pytest.mark.parametrize("act", [veto, fail])
def test_who_has_let_a_message_pass_hears_that_it_was_not_sent(act: Any) -> None:
    first, last = OnlyWhenUnsent(), OnlyWhenUnsent()
    line = Line(first, Interceptor(act, "s2"), last, FREEZE)
    line.send()
    [(session_id, sent, error)] = first.completed
    assert (session_id, sent) == ("s2", False)
    assert isinstance(error, ZeroDivisionError) is (act is fail)
    assert last.completed == []
    assert line.handler.together == ["s0", "s1", "s3", "s4", "s5"]


class Killed(BaseException):
    """As gevent kills a greenlet."""


@pytest.mark.spec("CH-01", "SB-03")
def test_a_kill_passes_through_after_those_before_were_told_and_got_theirs() -> None:
    def kill(message: Message[Any]) -> None:
        raise Killed

    first = OnlyWhenUnsent()
    line = Line(first, Interceptor(kill, "s2"))
    with pytest.raises(Killed):
        line.send()
    assert [(session_id, sent, type(error)) for session_id, sent, error in first.completed] == [("s2", False, Killed)]
    assert line.failed == []
    assert line.got == ["s0", "s1"]


@pytest.mark.spec("CH-04", "SB-03")
def test_what_was_looked_into_is_frozen_before_the_subscriber_gets_it() -> None:
    line = Line(Interceptor(look, "s1"), FREEZE)
    line.send()
    [message] = line.handler.messages
    assert isinstance(message.headers, MutableMessageHeaders)
    assert not message.headers.mutable


@pytest.mark.spec("CH-04", "SB-03")
def test_what_nobody_froze_can_be_changed_by_the_subscriber() -> None:
    line = Line(Interceptor(look, "s1"))
    line.send()
    [message] = line.handler.messages
    assert isinstance(message.headers, MutableMessageHeaders)
    assert message.headers.mutable


@pytest.mark.spec("CH-04", "SB-03")
def test_an_interceptor_behind_the_freezing_one_sees_what_is_frozen() -> None:
    frozen: list[bool] = []

    def ask(message: Message[Any]) -> Message[Any]:
        headers = message.headers
        assert isinstance(headers, MutableMessageHeaders)
        frozen.append(not headers.mutable)
        return message

    line = Line(Interceptor(look, "s1"), FREEZE, Interceptor(ask, "s1"))
    line.send()
    assert frozen == [True]


@pytest.mark.spec("CH-04", "SB-03")
def test_an_interceptor_that_is_added_meanwhile_is_for_the_next_broadcast() -> None:
    late = Interceptor()

    def add(message: Message[Any]) -> Message[Any]:
        line.channel.add_interceptor(late)
        return message

    line = Line(Interceptor(add, "s2"))
    line.send(b"1")
    assert late.seen == []
    line.channel.remove_interceptor(0)
    line.send(b"2")
    assert late.seen == IDS
    assert line.handler.log == [*((id, b"1") for id in IDS), *((id, b"2") for id in IDS)]


# -- the general way


class After(ChannelInterceptor):
    def __init__(self) -> None:
        self.seen: list[tuple[str, bool]] = []

    def post_send(self, message: Message[Any], channel: MessageChannel, sent: bool) -> None:
        self.seen.append((session_of(message), sent))


class Completes(ChannelInterceptor):
    def __init__(self) -> None:
        self.seen: list[tuple[str, bool]] = []

    def after_send_completion(
        self, message: Message[Any], channel: MessageChannel, sent: bool, error: BaseException | None
    ) -> None:
        self.seen.append((session_of(message), sent))


@pytest.mark.spec("CH-01", "SB-03")
@pytest.mark.parametrize("kind", [After, Completes])
def test_who_is_to_be_told_of_each_message_is_told(kind: type[Any]) -> None:
    interceptor = kind()
    line = Line(interceptor)
    line.send()
    assert interceptor.seen == [(id, True) for id in IDS]
    assert line.handler.alone == IDS
    assert line.handler.broadcasts == []


class Around(ExecutorChannelInterceptor):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def before_handle(self, message: Message[Any], channel: MessageChannel, handler: Any) -> Message[Any] | None:
        self.seen.append(session_of(message))
        return message


@pytest.mark.spec("CH-03", "SB-03")
def test_who_stands_around_the_subscriber_sees_each_message() -> None:
    around = Around()
    line = Line(around)
    line.send()
    assert around.seen == line.handler.alone == IDS


@pytest.mark.spec("CH-02", "CH-06", "SB-03")
def test_with_an_executor_each_message_is_a_task() -> None:
    executor = HeldExecutor()
    line = Line(channel=ExecutorSubscribableChannel(executor))
    line.send()
    assert line.got == []
    assert len(executor.tasks) == 6
    executor.run_all()
    assert line.handler.alone == IDS
    line.channel.executor = None
    line.send()
    assert line.handler.broadcasts == [SUBSCRIPTIONS]


@pytest.mark.spec("CH-02", "SB-03")
def test_a_second_subscriber_gets_each_message_too() -> None:
    line, other = Line(), Whole()
    line.channel.subscribe(other)
    line.send()
    assert line.handler.alone == other.alone == IDS
    assert line.handler.messages[0] is other.messages[0]
    line.channel.unsubscribe(other)
    line.send()
    assert line.handler.broadcasts == [SUBSCRIPTIONS]
    assert other.broadcasts == []


@pytest.mark.spec("CH-02", "SB-03")
def test_a_subscriber_that_knows_nothing_of_broadcasts_gets_messages() -> None:
    channel, got = ExecutorSubscribableChannel(), []
    channel.subscribe(got.append)
    channel.send_broadcast(Broadcast(Message(b"hello", {})), SUBSCRIPTIONS, lambda recipient: None)
    assert [session_of(message) for message in got] == IDS


@pytest.mark.spec("CH-02", "SB-03")
def test_without_a_subscriber_nothing_happens() -> None:
    ExecutorSubscribableChannel().send_broadcast(Broadcast(Message(b"", {})), SUBSCRIPTIONS, pytest.fail)


@pytest.mark.spec("CH-01", "SB-03")
def test_a_channel_with_a_way_of_its_own_is_asked_for_each_message(caplog: pytest.LogCaptureFixture) -> None:
    channel = RecordingChannel()
    line = Line(channel=channel)
    line.send()
    assert [session_of(message) for message in channel.messages] == line.handler.alone == IDS
    channel.error = ZeroDivisionError("no way")
    with caplog.at_level(logging.CRITICAL):
        line.send()
    assert line.failed == IDS


Acts = {"look": look, "change": change, "veto": veto, "fail": fail, "change headers": change_headers}


@pytest.mark.spec("CH-01", "SB-03")
@given(
    st.lists(st.tuples(st.sampled_from([*Acts]), st.sets(st.sampled_from(IDS))), max_size=4),
    st.booleans(),
)
@settings(deadline=None)
def test_both_ways_come_to_the_same(acts: list[tuple[str, set[str]]], freezes: bool) -> None:
    """The general way is taken for a second subscriber's sake."""
    short, general = (
        Line(*[Interceptor(Acts[act], *ids) for act, ids in acts], *([FREEZE] if freezes else [])) for _ in range(2)
    )
    general.channel.subscribe(lambda message: None)
    short.send()
    general.send()
    assert short.handler.log == general.handler.log
    assert short.failed == general.failed
    assert [each.seen for each in short.channel.interceptors if isinstance(each, Interceptor)] == [
        each.seen for each in general.channel.interceptors if isinstance(each, Interceptor)
    ]
    assert general.handler.broadcasts == []


class Counter(ChannelInterceptor):
    """Counts recipients, and may choose among them."""

    def __init__(self, *, keep: int | None = None, error: Exception | None = None) -> None:
        self.keep, self.error = keep, error
        self.messages = 0
        self.broadcasts: list[tuple[Any, Any, Any]] = []

    def pre_send(self, message: Message[Any], channel: MessageChannel) -> Message[Any]:
        self.messages += 1
        return message

    def pre_send_broadcast(self, broadcast: Any, recipients: Sequence[Any], channel: MessageChannel) -> Sequence[Any]:
        self.broadcasts.append((broadcast, recipients, channel))
        if self.error is not None:
            raise self.error
        return recipients if self.keep is None else recipients[: self.keep]


@pytest.mark.spec("CH-04", "SB-03")
def test_interceptors_that_need_no_messages_see_a_broadcast_as_a_whole() -> None:
    first, second = Counter(), Counter()
    line = Line(first, second, ImmutableMessageChannelInterceptor())
    line.send()
    for each in (first, second):
        ((broadcast, recipients, channel),) = each.broadcasts
        assert isinstance(broadcast, Broadcast)
        assert recipients is SUBSCRIPTIONS
        assert channel is line.channel
        assert each.messages == 0
    assert line.handler.broadcasts == [SUBSCRIPTIONS]
    assert line.handler.broadcasts[0] is SUBSCRIPTIONS
    line.channel.send(Message("for one", {SESSION_ID: "s1"}))
    assert (first.messages, len(first.broadcasts)) == (1, 1)


@pytest.mark.spec("CH-04", "SB-03")
@pytest.mark.parametrize("keep", [0, 1, 2])
def test_they_choose_among_the_recipients(keep: int) -> None:
    first, second = Counter(keep=keep), Counter()
    line = Line(first, second)
    line.send()
    assert line.got == IDS[:keep]
    assert [list(recipients) for _, recipients, _ in second.broadcasts] == [list(SUBSCRIPTIONS[:keep])]


@pytest.mark.spec("CH-04", "SB-03")
@pytest.mark.parametrize("other", ["a hook for messages", "an executor", "a hook afterwards", "a second subscriber"])
def test_else_they_see_each_message(other: str) -> None:
    class Afterwards(ChannelInterceptor):
        def post_send(self, message: Message[Any], channel: MessageChannel, sent: bool) -> None: ...

    class Before(ChannelInterceptor):
        def pre_send(self, message: Message[Any], channel: MessageChannel) -> Message[Any]:
            return message

    counter = Counter()
    line = Line(counter)
    if other == "a hook for messages":
        line.channel.add_interceptor(Before())
    elif other == "an executor":
        line.channel.executor = CallerRunsExecutor()
    elif other == "a hook afterwards":
        line.channel.add_interceptor(Afterwards())
    else:
        line.channel.subscribe(lambda message: None)
    line.send()
    assert (counter.messages, counter.broadcasts) == (len(IDS), [])
    assert sorted(line.got) == sorted(IDS)


@pytest.mark.spec("CH-04", "SB-03")
def test_when_one_of_them_fails_all_recipients_are_told_of() -> None:
    error = ZeroDivisionError("by the interceptor")
    line = Line(Counter(keep=2), Counter(error=error))
    line.send()
    assert line.got == []
    assert line.failed == IDS[:2]
    assert line.errors == [error, error]
