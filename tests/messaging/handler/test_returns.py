"""Values that come later."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any

import pytest

from wellhead.messaging.handler import returns
from wellhead.messaging.handler.method import HandlerMethod
from wellhead.messaging.handler.returns import is_future, reply_function, when_done
from wellhead.messaging.message import Message


class Result:
    """What gevent's AsyncResult and Greenlet look like from here."""

    def __init__(self) -> None:
        self.value: Any = None
        self.exception: BaseException | None = None
        self.links: list[Callable[[Any], object]] = []

    def rawlink(self, callback: Callable[[Any], object]) -> None:
        self.links.append(callback)

    def successful(self) -> bool:
        return self.exception is None

    def finish(self) -> None:
        for each in self.links:
            each(self)


class LinkedItem:
    """A payload that only sounds like one."""

    rawlink = "https://example.org"


def outcome(future: Any, finish: Callable[[], object]) -> list[Any]:
    seen: list[Any] = []
    when_done(future, lambda value, error: seen.append((value, error)))
    finish()
    return seen


@pytest.mark.spec("ANN-06")
def test_what_is_a_future() -> None:
    assert is_future(Future())
    assert is_future(Result())
    for each in (LinkedItem(), "text", {"add_done_callback": 1}, None):
        assert not is_future(each)


@pytest.mark.spec("ANN-06")
@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_a_bounded_number_of_classes_is_remembered(extra: int) -> None:
    returns.no_futures.clear()
    for number in range(returns._KNOWN_LIMIT + extra):
        assert not is_future(type(f"C{number}", (), {})())
    assert len(returns.no_futures) == (returns._KNOWN_LIMIT + extra if extra <= 0 else 1)


@pytest.mark.spec("ANN-06")
def test_gevents_own_results_are_futures() -> None:
    event = pytest.importorskip("gevent.event")
    greenlet = pytest.importorskip("gevent").Greenlet
    assert is_future(event.AsyncResult())
    assert is_future(greenlet(lambda: None))


@pytest.mark.spec("ANN-06")
def test_a_future_of_the_standard_library() -> None:
    error = ValueError("x")
    future: Future[str] = Future()
    assert outcome(future, lambda: future.set_result("a")) == [("a", None)]
    assert outcome(future, lambda: None) == [("a", None)]
    failing: Future[str] = Future()
    assert outcome(failing, lambda: failing.set_exception(error)) == [(None, error)]


@pytest.mark.spec("ANN-06")
def test_a_cancelled_future_is_a_failure() -> None:
    future: Future[str] = Future()
    ((value, error),) = outcome(future, future.cancel)
    assert value is None
    assert isinstance(error, CancelledError)


@pytest.mark.spec("ANN-06")
def test_a_result_of_gevents_kind() -> None:
    result = Result()
    result.value = "a"
    assert outcome(result, result.finish) == [("a", None)]
    failed = Result()
    failed.exception = ValueError("x")
    assert outcome(failed, failed.finish) == [(None, failed.exception)]


@pytest.mark.spec("ANN-06")
def test_a_killed_greenlet_has_no_value() -> None:
    killed = Result()
    killed.value = GeneratorExit()
    assert outcome(killed, killed.finish) == [(None, None)]


@pytest.mark.spec("ANN-06")
def test_without_a_handler_for_the_return_value() -> None:
    def say() -> str:
        return "a"

    def nothing() -> None: ...

    reply = reply_function(HandlerMethod(say), [])
    assert reply is not None
    with pytest.raises(RuntimeError, match=r"No handler for return value type \[str\]"):
        reply("a", Message("x"))
    assert reply_function(HandlerMethod(nothing), []) is None
