"""Keeps the messages of one session in order on a channel that handles messages side by side (CH-05)."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from ..channel import INDEFINITE_TIMEOUT, ExecutorChannelInterceptor, MessageChannel, MessageHandler
from ..exceptions import MessageDeliveryError
from ..locks import allocate_reentrant_lock
from ..message import Message
from ..subscribable import ExecutorSubscribableChannel
from .accessor import SimpMessageHeaderAccessor, session_id_of

logger = logging.getLogger(__name__)

NEXT_MESSAGE_TASK = "simpNextMessageTask"
"""Header with what is to be called when a message was handled, or is safe to be followed by the next."""

MAX_QUEUED = 10_000
"""How many messages of one session may wait by default: far beyond any burst, and some MiB at most for a session
that is stuck.
"""

ErrorCallback = Callable[[Message[Any], Exception], object]


class OrderedMessageChannelDecorator:
    """Sends the messages of one session one at a time: the next goes out when all subscribers are done with the one
    before.

    Messages need a mutable SimpMessageHeaderAccessor (else ValueError), and the channel the interceptor that
    ``configure_interceptor`` adds. ``send`` returns True always: errors of the channel are logged (or given to
    *error_callback*, in place of the log), a vetoed message is dropped, and the next one is sent. An interceptor that
    sends another message in a message's place has to copy the headers, or order is lost. More than
    *max_queued* waiting messages raise MessageDeliveryError. Any thread may send.
    """

    def __init__(
        self,
        channel: MessageChannel,
        *,
        max_queued: int = MAX_QUEUED,
        error_callback: ErrorCallback | None = None,
        log: logging.Logger = logger,
    ) -> None:
        self.channel = channel
        self.max_queued = max_queued
        self._error_callback = error_callback
        self._log = log
        self._lock = allocate_reentrant_lock()
        """Guards all below and the tasks' state; held for a few instructions, never while sending."""
        self._waiting: deque[_NextMessageTask] = deque()
        self._in_flight: _NextMessageTask | None = None
        self._finished = False
        self._has_lost = False
        self._last: Callable[[], object] | None = None

    @property
    def queued(self) -> int:
        """Messages that wait, without the one in flight."""
        return len(self._waiting)

    def send(self, message: Message[Any], timeout_ms: int = INDEFINITE_TIMEOUT) -> bool:
        """As above; False after ``finish``."""
        accessor = SimpMessageHeaderAccessor.get_accessor(message)
        if accessor is None or not accessor.is_mutable:
            raise ValueError("Expected mutable SimpMessageHeaderAccessor")
        task = _NextMessageTask(self, message, timeout_ms)
        accessor.set_header(NEXT_MESSAGE_TASK, task)
        with self._lock:
            # Differs from Spring: the queue is bounded, in case the channel's executor cannot keep up.
            full = len(self._waiting) >= self.max_queued or self._finished
            if not full:
                self._waiting.append(task)
        if full:
            if self._finished:
                return False
            raise self._full(message, f"{self.max_queued} messages")
        self._send_waiting()
        return True

    def finish(self, last: Callable[[], object]) -> None:
        """Take no more messages, and call *last* when those that were sent before are done: now, or by whoever handles
        the last of them. It must not raise.
        """
        with self._lock:
            self._finished = True
            self._last = last
        self._send_waiting()

    def cut_short(self) -> None:
        """After ``finish``: drop what waits, and do not wait for what is in flight. Harmless when all is done."""
        with self._lock:
            dropped = len(self._waiting)
            self._waiting.clear()
            last, self._last = self._last, None
        if dropped:
            self._log.debug("Dropped %d messages that waited to be sent in order", dropped)
        if last is not None:
            last()

    def _send_waiting(self) -> None:
        """Send until there is nothing to send, or a message is on its way that somebody else will finish.

        A loop and not a recursion: on a channel without executor all of a long queue may be sent by one call.
        """
        while True:
            with self._lock:
                if self._in_flight is not None:
                    return
                if not self._waiting:
                    last, self._last = self._last, None
                    break
                task = self._in_flight = self._waiting.popleft()
            if not self._hand_over(task):
                self._release(task)
            with self._lock:
                task.sender_left = True
                if not task.released:
                    return
        if last is not None:
            last()

    def _hand_over(self, task: _NextMessageTask) -> bool:
        """Send through the channel; False when nobody will call the task any more."""
        # Differs from Spring: subscribers are counted for each message. A session whose decorator was made with
        # another number of them would wait for ever.
        task.outstanding = _subscriber_count(self.channel)
        try:
            return self.channel.send(task.message, task.timeout_ms) and task.outstanding is not None
        except Exception as error:  # the sender may be long gone: the callback is who can be told
            self._report(task.message, error)
            return False
        except BaseException:  # the greenlet was killed: what waits behind its message must not wait for another send
            self._release(task)
            self._send_waiting()
            raise

    def _full(self, message: Message[Any], waiting: str) -> MessageDeliveryError:
        session = session_id_of(message.headers)
        return MessageDeliveryError(
            f"Session {session} has {waiting} waiting to be sent in order, which is the limit", message
        )

    def _report(self, message: Message[Any], error: Exception) -> None:
        try:
            if self._error_callback is None:
                self._log.error("Failed to send %s", message, exc_info=error)
            else:
                self._error_callback(message, error)
        except Exception:  # the session's next message must still find its way
            self._log.exception("Failed to report that %s could not be sent", message)

    def _handled(self, task: _NextMessageTask, *, early: bool) -> None:
        """One subscriber is done; *early*: it goes on, but the next message may follow."""
        with self._lock:
            counts = not task.is_early
            task.is_early = early
            if counts:
                task.outstanding = (task.outstanding or 1) - 1
            done = task.outstanding == 0
        if done and self._release(task):
            self._send_waiting()

    def _lost(self, task: _NextMessageTask) -> None:
        """An interceptor sent another message in its place, by which nobody will find the task."""
        level = logging.DEBUG if self._has_lost else logging.WARNING  # once: it is the same for all that follow
        self._has_lost = True
        self._log.log(
            level, "An interceptor on %s left out the header %s: order is lost", self.channel, NEXT_MESSAGE_TASK
        )
        if self._release(task):
            self._send_waiting()

    def _release(self, task: _NextMessageTask) -> bool:
        """Let the next message go; True when its sender has left, so that somebody else has to send it."""
        with self._lock:
            if task.released:
                return False
            task.released = True
            if self._in_flight is task:
                self._in_flight = None
            return task.sender_left


class _NextMessageTask:
    """What the header holds. To be called by a subscriber as soon as the next message may follow, though it is not done
    yet; that it is done need not be told.
    """

    __slots__ = ("_decorator", "is_early", "message", "outstanding", "released", "sender_left", "timeout_ms")

    def __init__(self, decorator: OrderedMessageChannelDecorator, message: Message[Any], timeout_ms: int) -> None:
        self._decorator = decorator
        self.message = message
        self.timeout_ms = timeout_ms
        self.outstanding: int | None = None
        """How many subscribers are not done; None: there are none."""
        self.is_early = False
        """Whether a subscriber was counted that is not done: the next one that is, is taken for it."""
        self.released = False
        self.sender_left = False

    def __call__(self) -> None:
        self._decorator._handled(self, early=True)

    def handled(self) -> None:
        """A subscriber is done."""
        self._decorator._handled(self, early=False)

    def lost(self) -> None:
        """No subscriber will be done."""
        self._decorator._lost(self)


_Sends = tuple["_NextMessageTask | None", "_Sends | None"]
_sends: ContextVar[_Sends | None] = ContextVar("wellhead_ordered_sends", default=None)
"""The task of the message that this thread or greenlet is sending, and what it was sending when it began with that."""


class OrderingChannelInterceptor(ExecutorChannelInterceptor):
    """Tells the task of each message that it was handled, or that it never will be."""

    def pre_send(self, message: Message[Any], channel: object) -> Message[Any]:
        task = next_message_task(message)
        _sends.set((task if isinstance(task, _NextMessageTask) else None, _sends.get()))
        return message

    def post_send(self, message: Message[Any], channel: object, sent: bool) -> None:
        sends = _sends.get()
        # Differs from Spring, where a session whose message was replaced gets nothing any more.
        if sent and sends is not None and sends[0] is not None and next_message_task(message) is None:
            sends[0].lost()

    def after_send_completion(
        self, message: Message[Any], channel: object, sent: bool, error: BaseException | None
    ) -> None:
        sends = _sends.get()
        if sends is not None:
            _sends.set(sends[1])

    def after_message_handled(
        self, message: Message[Any], channel: MessageChannel, handler: MessageHandler, error: BaseException | None
    ) -> None:
        task = next_message_task(message)
        if isinstance(task, _NextMessageTask):
            task.handled()


def next_message_task(message: Message[Any]) -> Callable[[], object] | None:
    """What lets the session's next message go, or None for a message that was not sent in order."""
    headers = message.live_headers()
    if headers is None:
        return None
    task: Callable[[], object] | None = headers.get(NEXT_MESSAGE_TASK)
    return task


def supports_ordered_messages(channel: MessageChannel) -> bool:
    """Whether ``configure_interceptor`` has been there."""
    return any(isinstance(each, OrderingChannelInterceptor) for each in getattr(channel, "interceptors", ()))


def configure_interceptor(channel: MessageChannel, preserve: bool) -> None:
    """Prepare *channel* for ordered messages, at index 0 of its interceptors, or undo that. Twice does nothing more.

    Raises ValueError when another channel than an ExecutorSubscribableChannel is to preserve the order.
    """
    if not isinstance(channel, ExecutorSubscribableChannel):
        if preserve:
            raise ValueError("An ExecutorSubscribableChannel is required for 'preservePublishOrder'")
        return
    if preserve and not supports_ordered_messages(channel):
        channel.add_interceptor(OrderingChannelInterceptor(), 0)
    elif not preserve:
        for each in channel.interceptors:
            if isinstance(each, OrderingChannelInterceptor):
                channel.remove_interceptor(each)


def _subscriber_count(channel: MessageChannel) -> int | None:
    """How many subscribers will say that they are done; None when there is none."""
    subscribers = getattr(channel, "subscribers", None)
    return 1 if subscribers is None else len(subscribers) or None
