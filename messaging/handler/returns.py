"""What becomes of the value that a handler method returns: the contract, and values that come later (ANN-06)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from ..message import Message
from .method import HandlerMethod

ReplyFunction = Callable[[Any, Message[Any]], None]
"""Takes a value (never None) and the message that it answers."""
Completion = Callable[[Any, BaseException | None], None]
"""Takes what a future came to: its value, or its error."""


class HandlerMethodReturnValueHandler(Protocol):
    """Does something with return values: the contract of what applications add (ANN-09)."""

    def supports_return_type(self, method: HandlerMethod) -> bool:
        """Whether this handler is for what *method* returns; asked once, at registration."""
        ...

    def handle_return_value(self, value: Any, method: HandlerMethod, message: Message[Any]) -> None:
        """Deal with *value*, never None; what this raises goes to the exception handlers."""
        ...


class BindingReturnValueHandler(ABC):
    """A handler that does the thinking once."""

    @abstractmethod
    def supports_return_type(self, method: HandlerMethod) -> bool: ...

    @abstractmethod
    def bind(self, method: HandlerMethod) -> ReplyFunction:
        """What to do with the values of *method*."""

    def handle_return_value(self, value: Any, method: HandlerMethod, message: Message[Any]) -> None:
        self.bind(method)(value, message)


def reply_function(method: HandlerMethod, handlers: Sequence[HandlerMethodReturnValueHandler]) -> ReplyFunction | None:
    """What the first fitting handler does; None for a method declared to return None.

    Raises RuntimeError (at the call, as there may never be one) when no handler fits.
    """
    if method.is_void:
        return None
    for handler in handlers:
        if handler.supports_return_type(method):
            if isinstance(handler, BindingReturnValueHandler):
                return handler.bind(method)
            return partial(_handle, handler, method)

    def refuse(value: Any, message: Message[Any]) -> None:
        raise RuntimeError(f"No handler for return value type [{type(value).__qualname__}] of {method}")

    return refuse


def _handle(handler: HandlerMethodReturnValueHandler, method: HandlerMethod, value: Any, message: Message[Any]) -> None:
    handler.handle_return_value(value, method, message)


_KNOWN_LIMIT = 1024
no_futures: set[type] = set()
"""Classes of values of late that do not come later: looking for attributes that are missing is slow."""


def is_future(value: Any) -> bool:
    """Whether a value comes later: futures of ``concurrent.futures`` and their like, gevent's results and greenlets."""
    cls = value.__class__
    if cls in no_futures:
        return False
    if hasattr(cls, "add_done_callback") or (hasattr(cls, "rawlink") and hasattr(cls, "successful")):
        return True
    if len(no_futures) >= _KNOWN_LIMIT:
        no_futures.clear()
    no_futures.add(cls)
    return False


def when_done(future: Any, completion: Completion) -> None:
    """Call *completion* once when *future* is done, at once if it is done already.

    It runs where the future is completed: in the thread that does it, or for gevent's results in the hub.
    """
    if hasattr(future, "add_done_callback"):
        future.add_done_callback(lambda done: _complete_future(done, completion))
    else:
        future.rawlink(lambda done: _complete_greenlet(done, completion))


def _complete_future(future: Any, completion: Completion) -> None:
    try:
        error = future.exception()
    except BaseException as cancelled:  # a cancelled future raises; that is its outcome, not ours
        error = cancelled
    completion(None if error is not None else future.result(), error)


def _complete_greenlet(done: Any, completion: Completion) -> None:
    value = done.value
    # a greenlet that was killed has its GreenletExit as its value
    completion(None if isinstance(value, BaseException) else value, done.exception)
