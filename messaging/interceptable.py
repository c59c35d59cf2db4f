"""The send algorithm with its interceptors, shared by all channels (CH-01, CH-04)."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .channel import INDEFINITE_TIMEOUT, BroadcastMessages, ChannelInterceptor, MessageChannel
from .exceptions import MessageDeliveryError, MessagingError, is_passed_on, remark_on
from .message import Message

logger = logging.getLogger(__name__)

PreSend = Callable[[Message[Any], MessageChannel], "Message[Any] | None"]

_unnamed = itertools.count(1)
"""Numbers for channels without a name, which errors name to clients: no addresses."""


def overrides(interceptor: object, base: type, hook: str) -> bool:
    """Whether *interceptor* does something of its own in *hook*."""
    default = getattr(base, hook)
    return getattr(type(interceptor), hook, default) is not default or hook in getattr(interceptor, "__dict__", ())


class _Hooks:
    """The hooks that a list of interceptors really has: what one send needs, put in place by one assignment.

    Those whose completion may be called know their position in the list: it runs only for interceptors already passed.
    """

    __slots__ = ("completion", "completion_when_sent", "count", "plain", "post_send", "pre_send", "quiet")

    def __init__(self, interceptors: Sequence[ChannelInterceptor]) -> None:
        def hooks(name: str) -> tuple[tuple[int, Any], ...]:
            return tuple(
                (position, getattr(interceptor, name))
                for position, interceptor in enumerate(interceptors)
                if overrides(interceptor, ChannelInterceptor, name)
            )

        self.count = len(interceptors)
        self.pre_send: tuple[tuple[int, PreSend], ...] = hooks("pre_send")
        self.post_send = tuple(hook for _, hook in hooks("post_send"))
        self.completion = tuple(reversed(hooks("after_send_completion")))
        self.completion_when_sent = tuple(
            (position, hook)
            for position, hook in self.completion
            if not getattr(interceptors[position], "only_when_unsent", False)
        )
        self.plain = not self.post_send and not self.completion
        self.quiet = not self.post_send and not self.completion_when_sent
        """Nothing is to be called after a message that was sent."""


class AbstractMessageChannel:
    """A channel that runs interceptors around ``_send_internal``.

    Changing the interceptors while messages are sent is safe: each send uses the list as it was when it began.
    """

    may_veto = True
    """Whether an interceptor could keep a message from its subscribers."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name or f"{type(self).__name__}@{next(_unnamed)}"
        self._changing = threading.Lock()
        """Guards replacing the interceptors (and a subclass' subscribers) against another thread doing the same."""
        self._interceptors: tuple[ChannelInterceptor, ...] = ()
        self._hooks_changed()

    # -- interceptors

    @property
    def interceptors(self) -> tuple[ChannelInterceptor, ...]:
        """A snapshot, in the order of the calls. Never None, may be empty."""
        return self._interceptors

    def set_interceptors(self, interceptors: Iterable[ChannelInterceptor]) -> None:
        """Replace all."""
        with self._changing:
            self._replace(interceptors)

    def add_interceptor(self, interceptor: ChannelInterceptor, index: int | None = None) -> None:
        """Append, or insert at *index*."""
        with self._changing:
            changed = list(self._interceptors)
            changed.insert(len(changed) if index is None else index, interceptor)
            self._replace(changed)

    def remove_interceptor(self, interceptor: ChannelInterceptor | int) -> bool:
        """Remove one, or the one at an index; False when it was not there."""
        with self._changing:
            changed = list(self._interceptors)
            try:
                if isinstance(interceptor, int):
                    del changed[interceptor]
                else:
                    changed.remove(interceptor)
            except (ValueError, IndexError):
                return False
            self._replace(changed)
        return True

    def _replace(self, interceptors: Iterable[ChannelInterceptor]) -> None:
        self._interceptors = tuple(interceptors)
        self._hooks_changed()

    def _hooks_changed(self) -> None:
        """Work out once which hooks there are to call, so that a message pays only for these."""
        self._hooks = _Hooks(self._interceptors)
        self.freezes = any(getattr(each, "freezes", False) for each in self._interceptors)
        """Whether one of the interceptors makes the headers immutable, so that nobody need do it before."""

    # -- sending

    def send(self, message: Message[Any], timeout_ms: int = INDEFINITE_TIMEOUT) -> bool:
        """Send to the channel; False when an interceptor vetoed.

        Raises ValueError for None, MessageDeliveryError around any error that is not a MessagingError; those come
        as they are.
        """
        if message is None:
            raise ValueError("Message must not be null")
        hooks = self._hooks
        if not hooks.plain:
            return self._send_with_completion(message, timeout_ms, hooks)
        try:
            for _, hook in hooks.pre_send:
                changed = hook(message, self)
                if changed is None:
                    self._log_veto(hook, message)
                    return False
                message = changed
            return self._send_internal(message, timeout_ms)
        except MessagingError:
            raise
        except Exception as error:
            raise MessageDeliveryError(f"Failed to send message to {self}", message) from error

    def send_broadcast(
        self, broadcast: BroadcastMessages, recipients: Sequence[Any], failed: Callable[[Any], object]
    ) -> None:
        """Send to each recipient, in their order, its message of *broadcast*, as ``send`` does.

        One recipient does not keep the others from theirs: *failed* is called for it, with the error being handled.
        """
        for recipient in recipients:
            try:
                self.send(broadcast.message_for(recipient))
            except Exception:
                failed(recipient)

    def _send_with_completion(self, message: Message[Any], timeout_ms: int, hooks: _Hooks) -> bool:
        passed = hooks.count  # how many interceptors let the message pass
        sent = False
        try:
            for position, hook in hooks.pre_send:
                passed = position
                changed = hook(message, self)
                if changed is None:
                    self._log_veto(hook, message)
                    self._complete(hooks.completion, passed, message, False, None)
                    return False
                message = changed
            passed = hooks.count
            sent = self._send_internal(message, timeout_ms)
            for after in hooks.post_send:
                after(message, self, sent)
        except BaseException as error:  # a killed greenlet, too, must give back what its hooks took
            self._complete(hooks.completion, passed, message, sent, error)
            if isinstance(error, MessagingError) or not isinstance(error, Exception):
                raise
            raise MessageDeliveryError(f"Failed to send message to {self}", message) from error
        completion = hooks.completion_when_sent if sent else hooks.completion
        if completion:
            self._complete(completion, passed, message, sent, None)
        return sent

    def _complete_unsent(self, message: Message[Any], refused_at: int | None, error: BaseException | None) -> None:
        """*refused_at* is the place of the interceptor that did not let *message* pass; None: all of them did."""
        hooks = self._hooks
        if hooks.completion:
            passed = hooks.count if refused_at is None else refused_at
            self._complete(hooks.completion, passed, message, False, error)

    def _complete(
        self,
        hooks: tuple[tuple[int, Any], ...],
        passed: int,
        message: Message[Any],
        sent: bool,
        error: BaseException | None,
    ) -> None:
        for position, hook in hooks:
            if position < passed:
                try:
                    hook(message, self, sent, error)
                except BaseException as failure:  # the message is on its way: a failing hook must not say otherwise
                    if is_passed_on(failure):
                        raise
                    logger.exception("Exception from after_send_completion of %s%s", hook, remark_on(failure))

    def _log_veto(self, hook: PreSend, message: Message[Any]) -> None:
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("%s vetoed by %s", self, getattr(hook, "__self__", hook))

    def _send_internal(self, message: Message[Any], timeout_ms: int) -> bool:
        raise TypeError(f"{type(self).__name__} does not say how to send")

    def __str__(self) -> str:
        return f"{type(self).__name__}[{self.name}]"

    __repr__ = __str__
