"""What an application may want to know: sessions come and go, the broker comes and goes (EVT-01)."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from blinker import Signal

from .exceptions import is_passed_on, remark_on
from .message import Message

if TYPE_CHECKING:
    from .simp.types import Principal

logger = logging.getLogger(__name__)

E = TypeVar("E")
R = TypeVar("R", bound=Callable[[Any], object])


class SessionEvent:
    """Something about a session; ``message`` is the one that it is about, ``user`` the session's user or None."""

    __slots__ = ("message", "user")

    def __init__(self, message: Message[Any], user: Principal | None = None) -> None:
        self.message = message
        self.user = user

    def __repr__(self) -> str:
        return f"{type(self).__name__}[{self.message}]"


class SessionConnectEvent(SessionEvent):
    """The inbound channel took a CONNECT; the broker has not answered yet."""

    __slots__ = ()


class SessionConnectedEvent(SessionEvent):
    """CONNECTED is about to be written: the session is there."""

    __slots__ = ()


class SessionSubscribeEvent(SessionEvent):
    """The inbound channel took a SUBSCRIBE; the broker need not know the subscription yet: see
    SessionSubscribedEvent.
    """

    __slots__ = ()


class SessionSubscribedEvent(SessionEvent):
    """The simple broker has registered a subscription: what is published from now on reaches it."""

    # Differs from Spring: it has no such event.
    __slots__ = ()


class SessionUnsubscribeEvent(SessionEvent):
    """The inbound channel took an UNSUBSCRIBE."""

    __slots__ = ()


class SessionDisconnectEvent(SessionEvent):
    """A session ended, however it did; once for each session."""

    __slots__ = ("close_status", "reason", "session_id")

    def __init__(
        self,
        message: Message[Any],
        session_id: str,
        close_status: Any,
        user: Principal | None = None,
        reason: Any = None,
    ) -> None:
        super().__init__(message, user)
        self.session_id = session_id
        self.close_status = close_status
        """The status that the connection was closed with."""
        self.reason = reason
        """Why the session ended: the member of an enum, or None."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}[sessionId={self.session_id}, {self.close_status}, reason={self.reason}]"


class BrokerAvailabilityEvent:
    """A broker became available, or stopped to be; while it is not, publishing fails or is lost."""

    __slots__ = ("available", "broker")

    def __init__(self, available: bool, broker: Any) -> None:
        self.available = available
        self.broker = broker

    def __repr__(self) -> str:
        return f"{type(self).__name__}[available={self.available}, {self.broker}]"


class ApplicationEvents:
    """Brings events to their receivers, which are called with the event, in the publisher's thread, in the order of
    connecting.

    A receiver of a class gets the events of its subclasses, too. What a receiver raises is logged and goes no
    further. Receivers may connect and disconnect at any time, from any thread; a publication under way calls those
    that were there when it began.
    """

    def __init__(self) -> None:
        self._first: dict[type, Signal] = {}
        self._last: dict[type, Signal] = {}

    def connect(self, event_type: type, receiver: R, *, last: bool = False, weak: bool = False) -> R:
        """Call *receiver* with each event of *event_type*; twice does nothing more. Returns the receiver.

        With *last* it comes after all that are connected without; with *weak* it is forgotten when nobody else
        holds it.
        """
        return _signal(self._last if last else self._first, event_type).connect(receiver, weak=weak)

    def disconnect(self, event_type: type, receiver: Callable[[Any], object]) -> None:
        """Do not call *receiver* with events of *event_type* any more. Harmless when it was not connected."""
        for signals in (self._first, self._last):
            signal = signals.get(event_type)
            if signal is not None:
                signal.disconnect(receiver)

    def on(self, event_type: type, *, last: bool = False) -> Callable[[R], R]:
        """``connect`` as a decorator."""

        def decorate(receiver: R) -> R:
            return self.connect(event_type, receiver, last=last)

        return decorate

    def has_receivers(self, event_type: type) -> bool:
        """Whether anybody listens: what builds an event only for receivers asks first."""
        first, last = self._first, self._last
        for base in event_type.__mro__:
            signal = first.get(base)
            if signal is not None and signal.receivers:
                return True
            signal = last.get(base)
            if signal is not None and signal.receivers:
                return True
        return False

    def publish(self, event: object) -> None:
        """Call all receivers of the event's class and of its base classes."""
        if not self.has_receivers(type(event)):
            return
        for receiver in [*_receivers(self._first, type(event)), *_receivers(self._last, type(event))]:
            try:
                receiver(event)
            except BaseException as error:  # an event is news: who tells it must not suffer from who hears it
                if is_passed_on(error):
                    raise
                logger.exception("Error publishing %s%s", event, remark_on(error))


def _signal(signals: dict[type, Signal], event_type: type) -> Signal:
    signal = signals.get(event_type)
    return signals.setdefault(event_type, Signal()) if signal is None else signal


def _receivers(signals: dict[type, Signal], event_type: type) -> Iterator[Callable[[Any], object]]:
    """In the order of connecting, which blinker's own look-up does not keep."""
    for base in event_type.__mro__:
        signal = signals.get(base)
        if signal is not None and signal.receivers:
            for receiver in tuple(signal.receivers.values()):
                alive = receiver() if isinstance(receiver, weakref.ref) else receiver
                if alive is not None:
                    yield alive
