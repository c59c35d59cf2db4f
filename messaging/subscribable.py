"""The channel between all stations: calls every subscriber, in the sender's thread or through an executor
(CH-02, CH-03).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from .channel import (
    INDEFINITE_TIMEOUT,
    BroadcastMessages,
    CallableMessageHandler,
    ChannelInterceptor,
    ExecutorChannelInterceptor,
    MessageChannel,
    MessageHandler,
)
from .exceptions import MessageDeliveryError, MessagingError, TaskRejectedError, is_passed_on, remark_on
from .executor import Executor
from .header_accessor import MutableMessageHeaders
from .interceptable import AbstractMessageChannel, PreSend, overrides
from .message import Message

logger = logging.getLogger(__name__)

PreSendBroadcast = Callable[[BroadcastMessages, Sequence[Any], MessageChannel], Sequence[Any]]
HandleBroadcast = Callable[[Any, Sequence[Any]], object]

Subscriber = MessageHandler | Callable[[Message[Any]], object]


class ExecutorSubscribableChannel(AbstractMessageChannel):
    """Hands each message to all subscribers, in the order in which they subscribed.

    Without *executor* they run one after another in the sender's thread, and an error of one goes to the sender and
    keeps the later ones from running. With an executor there is a task for each subscriber, errors end there in a
    log line, and messages have no order among each other; a task that the executor rejects runs in the sender's
    thread.
    """

    def __init__(self, executor: Executor | None = None, *, name: str | None = None) -> None:
        self._executor = executor
        self._handlers: tuple[MessageHandler, ...] = ()
        super().__init__(name)

    @property
    def executor(self) -> Executor | None:
        """What runs the subscribers; None: the sender's thread. May be changed at any time."""
        return self._executor

    @executor.setter
    def executor(self, executor: Executor | None) -> None:
        with self._changing:  # else the path of a moment ago might be kept, without a new subscriber
            self._executor = executor
            self._choose_path()

    @property
    def subscribers(self) -> tuple[MessageHandler, ...]:
        """A snapshot, in the order of subscription."""
        return self._handlers

    def subscribe(self, handler: Subscriber) -> bool:
        """Add a handler (or a function); False when it was there already."""
        subscriber = _as_handler(handler)
        with self._changing:
            if subscriber in self._handlers:
                return False
            self._handlers = (*self._handlers, subscriber)
            self._choose_path()
        return True

    def unsubscribe(self, handler: Subscriber) -> bool:
        """Remove a handler; False when it was not there."""
        subscriber = _as_handler(handler)
        with self._changing:
            if subscriber not in self._handlers:
                return False
            self._handlers = tuple(each for each in self._handlers if each != subscriber)
            self._choose_path()
        return True

    def has_subscription(self, handler: Subscriber) -> bool:
        return _as_handler(handler) in self._handlers

    def _hooks_changed(self) -> None:
        super()._hooks_changed()
        base = ExecutorChannelInterceptor
        around = [each for each in self._interceptors if isinstance(each, base)]
        self._around: tuple[ExecutorChannelInterceptor, ...] = tuple(
            each
            for each in around
            if overrides(each, base, "before_handle") or overrides(each, base, "after_message_handled")
        )
        self._choose_path()

    # -- sending

    def _choose_path(self) -> None:
        """Work out whether messages may take the short path: nothing but ``pre_send`` hooks and the sender's thread."""
        hooks = self._hooks.pre_send
        freezes = bool(hooks) and getattr(hooks[-1][1], "__func__", None) is ImmutableMessageChannelInterceptor.pre_send
        before = tuple(hooks[:-1] if freezes else hooks)
        self.may_veto = bool(before)
        own_way = type(self)._send_internal is not ExecutorSubscribableChannel._send_internal
        plain = self._hooks.quiet and self._executor is None and not self._around and not own_way
        self._short = (before, freezes, self._handlers) if plain else None
        whole = getattr(self._handlers[0], "handle_broadcast", None) if len(self._handlers) == 1 else None
        self._whole = (self._broadcast_hooks(before), whole) if plain and whole is not None else None
        write = getattr(self._handlers[0], "handle_heartbeats", None) if len(self._handlers) == 1 else None
        self.write_heartbeats: Callable[[Sequence[str]], bool] | None = write if plain and not before else None
        """Has heart-beats written to the sessions of these ids; None when somebody wants to see the messages. False
        when nothing was done, and each has to be sent as a message.
        """
        deaf = all(getattr(each, "ignores_heartbeats", False) for each in self._handlers)
        self.wants_heartbeats = not (plain and not before and deaf)
        """Whether anybody would see a heart-beat: an interceptor, or a subscriber without ``ignores_heartbeats``."""

    def _broadcast_hooks(self, before: Sequence[tuple[int, PreSend]]) -> tuple[PreSendBroadcast, ...] | None:
        """What stands for these ``pre_send`` hooks when a broadcast is sent as a whole; None when one has no such."""
        base, hooks = ChannelInterceptor, [self._interceptors[position] for position, _ in before]
        if any(not overrides(each, base, "pre_send_broadcast") for each in hooks):
            return None
        return tuple(each.pre_send_broadcast for each in hooks)

    def send(self, message: Message[Any], timeout_ms: int = INDEFINITE_TIMEOUT) -> bool:
        """As every channel. What a broadcast costs for each recipient is spent here and behind, so that most channels
        take a short path that does the same with fewer calls.
        """
        short = self._short
        if short is None or message is None:
            return super().send(message, timeout_ms)
        before, freezes, handlers = short
        if before:
            passed = self._pass_hooks(before, message)
            if passed is None:
                return False
            message = passed
        self._deliver(message, freezes, handlers)
        return True

    def send_broadcast(
        self, broadcast: BroadcastMessages, recipients: Sequence[Any], failed: Callable[[Any], object]
    ) -> None:
        """As every channel. A subscriber that takes broadcasts as a whole gets this one so, and messages are made for
        interceptors alone; what an interceptor looked into goes its own way.
        """
        whole = self._whole
        if whole is None:
            super().send_broadcast(broadcast, recipients, failed)
            return
        broadcast_hooks, handle_broadcast = whole
        if broadcast_hooks is None:
            self._send_each(broadcast, recipients, failed, handle_broadcast)
            return
        try:
            for hook in broadcast_hooks:
                recipients = hook(broadcast, recipients, self)
        except Exception:
            for recipient in recipients:
                failed(recipient)
            return
        handle_broadcast(broadcast, recipients)

    def _send_each(
        self,
        broadcast: BroadcastMessages,
        recipients: Sequence[Any],
        failed: Callable[[Any], object],
        handle_broadcast: HandleBroadcast,
    ) -> None:
        """Let the interceptors see each message, and hand over together what they left as it was."""
        short = self._short
        if short is None:  # changed just now
            super().send_broadcast(broadcast, recipients, failed)
            return
        before, freezes, handlers = short
        message_for = broadcast.message_for
        unseen: list[Any] = []
        for recipient in recipients:
            made = message_for(recipient)
            try:
                message = self._pass_hooks(before, made)
                if message is made and made._headers is None:
                    unseen.append(recipient)
                elif message is not None:
                    handle_broadcast(broadcast, unseen)  # first, for the order within a session
                    unseen = []
                    self._deliver(message, freezes, handlers)
            except Exception:
                failed(recipient)
            except BaseException:  # a killed greenlet: those before get theirs
                handle_broadcast(broadcast, unseen)
                raise
        # The same object where it can be: by it the subscriber knows the recipients of the last broadcast again.
        handle_broadcast(broadcast, recipients if len(unseen) == len(recipients) else unseen)

    def _pass_hooks(self, before: tuple[tuple[int, PreSend], ...], message: Message[Any]) -> Message[Any] | None:
        """The message that all ``pre_send`` hooks let pass, or None."""
        position: int | None = None
        try:
            for position, hook in before:
                changed = hook(message, self)
                if changed is None:
                    self._log_veto(hook, message)
                    self._complete_unsent(message, position, None)
                    return None
                message = changed
        except BaseException as error:  # a killed greenlet, too, must be told of
            self._complete_unsent(message, position, error)
            if isinstance(error, MessagingError) or not isinstance(error, Exception):
                raise
            raise MessageDeliveryError(f"Failed to send message to {self}", message) from error
        return message

    def _deliver(self, message: Message[Any], freezes: bool, handlers: tuple[MessageHandler, ...]) -> None:
        """Freeze and hand to all subscribers, in this thread."""
        handler: MessageHandler | None = None
        try:
            if freezes:
                headers = message._headers
                if headers.__class__ is MutableMessageHeaders:
                    headers.freeze()
            for handler in handlers:
                handler.handle_message(message)
        except BaseException as error:
            self._complete_unsent(message, None, error)
            if isinstance(error, MessagingError) or not isinstance(error, Exception):
                raise
            if handler is not None:
                raise self._handling_error(message, handler) from error
            raise MessageDeliveryError(f"Failed to send message to {self}", message) from error

    def _send_internal(self, message: Message[Any], timeout_ms: int) -> bool:
        executor = self._executor
        if executor is None and not self._around:
            for handler in self._handlers:
                try:
                    handler.handle_message(message)
                except MessagingError:
                    raise
                except Exception as error:
                    raise self._handling_error(message, handler) from error
            return True
        for handler in self._handlers:
            task = SendTask(self, message, handler)
            if executor is None:
                task()
            else:
                try:
                    executor.execute(task)
                except TaskRejectedError:
                    task()
        return True

    def _handling_error(self, message: Message[Any], handler: MessageHandler) -> MessageDeliveryError:
        # Differs from Spring, where a client is told all of it, with the session's attributes and its user.
        return MessageDeliveryError(
            f"Failed to handle {message} to {self} in {handler}",
            message,
            client_description=f"Failed to handle message to {self}",
        )


class SendTask:
    """One message on its way to one subscriber, with the interceptors around it (CH-03)."""

    __slots__ = ("channel", "handler", "message")

    def __init__(self, channel: ExecutorSubscribableChannel, message: Message[Any], handler: MessageHandler) -> None:
        self.channel = channel
        self.message = message
        self.handler = handler

    def __call__(self) -> None:
        around = self.channel._around
        if around:
            self._run_with_interceptors(around)
            return
        try:
            self.handler.handle_message(self.message)
        except MessagingError:
            raise
        except Exception as error:
            raise self.channel._handling_error(self.message, self.handler) from error

    def _run_with_interceptors(self, around: tuple[ExecutorChannelInterceptor, ...]) -> None:
        channel, handler = self.channel, self.handler
        applied: list[ExecutorChannelInterceptor] = []
        try:
            for interceptor in around:
                message = interceptor.before_handle(self.message, channel, handler)
                if message is None:
                    logger.debug("%s left out %s", interceptor, handler)
                    self._after(applied, None)
                    return
                self.message = message
                applied.append(interceptor)
            handler.handle_message(self.message)
        except BaseException as error:  # a killed greenlet, too, must give back what its hooks took
            self._after(applied, error)
            if isinstance(error, MessagingError) or not isinstance(error, Exception):
                raise
            raise channel._handling_error(self.message, handler) from error
        self._after(applied, None)

    def _after(self, applied: list[ExecutorChannelInterceptor], error: BaseException | None) -> None:
        for interceptor in reversed(applied):
            try:
                interceptor.after_message_handled(self.message, self.channel, self.handler, error)
            except BaseException as failure:  # the message was handled: a failing hook must not say otherwise
                if is_passed_on(failure):
                    raise
                logger.exception("Exception from after_message_handled of %s%s", interceptor, remark_on(failure))


class ImmutableMessageChannelInterceptor(ChannelInterceptor):
    """Freezes headers that are still mutable: the last interceptor, so that the ones before it may change them
    (CH-04).
    """

    freezes = True

    def pre_send(self, message: Message[Any], channel: object) -> Message[Any] | None:
        headers = message.live_headers()
        if headers.__class__ is MutableMessageHeaders and headers.mutable:
            headers.freeze()
        return message


def _as_handler(handler: Subscriber) -> MessageHandler:
    return handler if isinstance(handler, MessageHandler) else CallableMessageHandler(handler)
