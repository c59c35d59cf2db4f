from __future__ import annotations

import os
from typing import Any

import pytest

from wellhead.messaging.channel import ChannelInterceptor
from wellhead.messaging.config.channels import ChannelRegistration, TaskExecutorRegistration
from wellhead.messaging.executor import CallerRunsExecutor, PooledExecutor
from wellhead.messaging.threads import ThreadPoolTaskExecutor


class Factory:
    """Makes pools of native threads and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def executor(self, name_prefix: str, **limits: Any) -> PooledExecutor:
        self.asked.append("greenlets")
        return ThreadPoolTaskExecutor(thread_name_prefix=name_prefix, **limits)

    def thread_executor(self, name_prefix: str, **limits: Any) -> PooledExecutor:
        self.asked.append("threads")
        return ThreadPoolTaskExecutor(thread_name_prefix=name_prefix, **limits)


@pytest.mark.spec("CH-06", "CFG-07")
@pytest.mark.parametrize("name", ["clientInboundChannel", "clientOutboundChannel", "brokerChannel"])
def test_the_defaults_of_a_pool(name):
    registration = ChannelRegistration(name).task_executor()
    assert registration == TaskExecutorRegistration(
        thread_name_prefix=f"{name}-",
        pool_size=(os.cpu_count() or 1) * 2,
        max_size=None,
        queue=10_000,
        keep_alive=60,
        native_threads=False,
    )


@pytest.mark.spec("CH-06", "CFG-07")
@pytest.mark.parametrize(
    ("method", "argument", "attribute"),
    [
        ("core_pool_size", 3, "pool_size"),
        ("max_pool_size", 9, "max_size"),
        ("keep_alive_seconds", 1.5, "keep_alive"),
        ("queue_capacity", 7, "queue"),
        ("use_native_threads", True, "native_threads"),
    ],
)
def test_what_can_be_set_of_a_pool(method, argument, attribute):
    registration = TaskExecutorRegistration("x-")
    assert getattr(registration, method)(argument) is registration
    untouched = TaskExecutorRegistration("x-")
    changed = {each: getattr(registration, each) for each in TaskExecutorRegistration.__slots__}
    assert changed == {each: getattr(untouched, each) for each in TaskExecutorRegistration.__slots__} | {
        attribute: argument
    }


@pytest.mark.spec("CFG-07")
@pytest.mark.parametrize(
    ("method", "lowest"),
    [("core_pool_size", 0), ("max_pool_size", 1), ("keep_alive_seconds", 0), ("queue_capacity", 0)],
)
def test_numbers_that_make_no_sense(method, lowest):
    registration = TaskExecutorRegistration()
    getattr(registration, method)(lowest)
    getattr(registration, method)(lowest + 1)
    with pytest.raises(ValueError, match=f"^{method} must be {lowest} or more, not {lowest - 1}$"):
        getattr(registration, method)(lowest - 1)


@pytest.mark.spec("CFG-07")
def test_a_registration_reads_like_a_sentence():
    channel = ChannelRegistration("clientInboundChannel")
    channel.task_executor().core_pool_size(4).max_pool_size(8).keep_alive_seconds(10).queue_capacity(100)
    assert channel.task_executor() is channel.task_executor()
    assert channel.task_executor() == TaskExecutorRegistration("clientInboundChannel-", 4, 8, 100, 10)


@pytest.mark.spec("CH-06")
def test_without_a_word_there_is_no_executor():
    factory = Factory()
    assert ChannelRegistration("brokerChannel").make_executor(factory) is None
    assert factory.asked == []


@pytest.mark.spec("CH-06", "CFG-07")
@pytest.mark.parametrize(("native", "kind"), [(False, "greenlets"), (True, "threads")])
def test_the_factory_makes_the_pool_that_was_asked_for(native, kind):
    channel, factory = ChannelRegistration("brokerChannel"), Factory()
    registration = channel.task_executor().core_pool_size(1).max_pool_size(2).queue_capacity(0).keep_alive_seconds(3)
    registration.use_native_threads(native)
    made = channel.make_executor(factory)
    assert factory.asked == [kind]
    assert isinstance(made, ThreadPoolTaskExecutor)
    assert (made.core_pool_size, made.max_pool_size, made.queue_capacity) == (1, 2, 0)
    assert made.keep_alive_seconds == 3
    assert made.thread_name_prefix == "brokerChannel-"


@pytest.mark.spec("CH-06", "CFG-07")
@pytest.mark.parametrize("order", [0, 1])
def test_an_executor_of_ones_own_wins_and_is_left_as_it_is(order):
    channel, factory, mine = ChannelRegistration("clientInboundChannel"), Factory(), CallerRunsExecutor()
    steps: list[Any] = [channel.task_executor, lambda: channel.executor(mine)]
    for step in steps[::-1] if order else steps:
        step()
    assert channel.make_executor(factory) is mine
    assert factory.asked == []


@pytest.mark.spec("CFG-07")
def test_interceptors_are_appended():
    channel = ChannelRegistration("clientInboundChannel")
    one, two, three = ChannelInterceptor(), ChannelInterceptor(), ChannelInterceptor()
    assert channel.interceptors(one, two).interceptors(three) is channel
    assert channel.registered_interceptors == [one, two, three]


@pytest.mark.spec("CFG-07")
def test_interceptors_are_instances_one_by_one():
    channel = ChannelRegistration("c")
    with pytest.raises(TypeError, match="^interceptors takes its arguments one by one, not in a list"):
        channel.interceptors([ChannelInterceptor()])
    with pytest.raises(TypeError, match=r"^ChannelInterceptor is a class: interceptors takes an instance of it"):
        channel.interceptors(ChannelInterceptor)
    assert channel.registered_interceptors == []
