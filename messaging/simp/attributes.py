"""The attributes of a session, and those of the session whose message is being handled (SCOPE-01)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar, Token
from typing import Any

from ..exceptions import is_passed_on
from ..locks import allocate_lock
from ..message import Message
from .accessor import SESSION_ATTRIBUTES, SESSION_ID
from .mutex import SessionMutex

logger = logging.getLogger(__name__)

_PREFIX = "wellhead.messaging.simp.SimpAttributes."
MUTEX = _PREFIX + "MUTEX"
COMPLETED = _PREFIX + "COMPLETED"
DESTRUCTION_CALLBACK = _PREFIX + "DESTRUCTION_CALLBACK."
"""Reserved keys of the dict of attributes; the last one is followed by the name of an attribute."""

DestructionCallback = Callable[[], object]

_completing = allocate_lock()
"""Guards the step of any session from alive to completed, which no callback must miss; held for two look-ups."""


class SimpAttributes:
    """A view of a session's attributes, which all messages of the session share. Views are cheap: the dict holds
    all state.

    One read or write of an attribute is safe from any thread; what must not come between several needs ``mutex``.
    """

    __slots__ = ("_attributes", "_session_id")

    def __init__(self, session_id: str, attributes: dict[str, Any]) -> None:
        """Raises ValueError for None."""
        if session_id is None:
            raise ValueError("'session_id' is required")
        if attributes is None:
            raise ValueError("'attributes' is required")
        self._session_id = session_id
        self._attributes = attributes

    @classmethod
    def from_message(cls, message: Message[Any]) -> SimpAttributes:
        """The attributes of the message's session.

        Raises RuntimeError for a message without session id or attributes.
        """
        headers = message.headers._map
        session_id = headers.get(SESSION_ID)
        if session_id is None:
            raise RuntimeError(f"No session id in {message}")
        attributes = headers.get(SESSION_ATTRIBUTES)
        if attributes is None:
            raise RuntimeError(f"No session attributes in {message}")
        return cls(session_id, attributes)

    @property
    def session_id(self) -> str:
        return self._session_id

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all attributes, without the reserved keys."""
        return tuple(name for name in list(self._attributes) if not name.startswith(_PREFIX))

    @property
    def mutex(self) -> AbstractContextManager[Any]:
        """The session's re-entrant lock, the same for each view: it keeps threads apart, and greenlets too.

        The end of the session does not wait for whoever holds it.
        """
        mutex: AbstractContextManager[Any] | None = self._attributes.get(MUTEX)
        return self._attributes.setdefault(MUTEX, SessionMutex()) if mutex is None else mutex

    @property
    def is_session_completed(self) -> bool:
        return COMPLETED in self._attributes

    def get_attribute(self, name: str, default: Any = None) -> Any:
        return self._attributes.get(name, default)

    def set_attribute(self, name: str, value: Any) -> None:
        self._attributes[name] = value

    def remove_attribute(self, name: str) -> None:
        """Remove an attribute and its destruction callback, which does not run. Does nothing when there is none."""
        self._attributes.pop(name, None)
        self._attributes.pop(DESTRUCTION_CALLBACK + name, None)

    def register_destruction_callback(self, name: str, callback: DestructionCallback) -> None:
        """Call *callback* when the session ends; one for each attribute, a second replaces the first.

        Raises RuntimeError when the session has ended already.
        """
        with _completing:
            if self.is_session_completed:
                raise RuntimeError(f"Session id={self._session_id} already completed")
            self._attributes[DESTRUCTION_CALLBACK + name] = callback

    def session_completed(self) -> None:
        """Run the destruction callbacks, each once; a second call does nothing. Their errors are logged.

        They run without the mutex, and find the session completed. Who holds the mutex is not waited for: this runs on
        the loop's thread.
        """
        # Differs from Spring, which waits for the mutex.
        with _completing:
            if self.is_session_completed:
                return
            self._attributes[COMPLETED] = True
        keys = [key for key in list(self._attributes) if key.startswith(DESTRUCTION_CALLBACK)]
        for key, callback in [(key, self._attributes.pop(key, None)) for key in keys]:
            try:
                if callback is not None:  # else removed with its attribute just now
                    callback()
            except BaseException as error:  # one attribute's clean-up must not cost the others theirs
                if is_passed_on(error):
                    raise
                logger.exception(
                    "Uncaught error in destruction callback of %s, session %s",
                    key.removeprefix(DESTRUCTION_CALLBACK),
                    self._session_id,
                )


_current: ContextVar[SimpAttributes | None] = ContextVar("wellhead.messaging.simp.current_attributes", default=None)

bind = _current.set
"""``token = bind(attributes)`` makes attributes (or None) the current ones in this thread or greenlet."""

unbind: Callable[[Token[SimpAttributes | None]], None] = _current.reset
"""``unbind(token)`` brings back what was there before."""


@contextmanager
def bound(attributes: SimpAttributes) -> Generator[SimpAttributes]:
    """Make *attributes* the current ones inside a ``with`` block."""
    token = bind(attributes)
    try:
        yield attributes
    finally:
        unbind(token)


current_attributes_or_none: Callable[[], SimpAttributes | None] = _current.get
"""The attributes of the session whose message is being handled here, or None."""


def current_attributes() -> SimpAttributes:
    """The attributes of the session whose message is being handled here.

    They are there in inbound interceptors' ``pre_send``, in receivers of events, and in annotated methods; they do
    not follow into threads or greenlets that these start. Raises RuntimeError elsewhere.
    """
    attributes = _current.get()
    if attributes is None:
        raise RuntimeError(
            "No thread-bound SimpAttributes found. This code does not run while a message of a client is handled, "
            "or it runs in a thread or greenlet of its own."
        )
    return attributes
