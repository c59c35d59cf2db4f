"""Message headers: a read-only mapping that travels with a payload (MSG-01)."""

from __future__ import annotations

import os
import random
import time
import uuid
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, ValuesView
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, overload

ID = "id"
TIMESTAMP = "timestamp"
CONTENT_TYPE = "contentType"
REPLY_CHANNEL = "replyChannel"
ERROR_CHANNEL = "errorChannel"
NATIVE_HEADERS = "nativeHeaders"

ID_VALUE_NONE = uuid.UUID(int=0)
"""The id that stands for "no id": headers made with it have none."""

T = TypeVar("T")
IdGenerator = Callable[[], uuid.UUID]

_random = random.Random(os.urandom(32))
if hasattr(os, "register_at_fork"):  # or all workers of a forking server would make the same ids
    os.register_at_fork(after_in_child=lambda: _random.seed(os.urandom(32)))


def pseudo_random_id() -> uuid.UUID:
    """A random (version 4) id from a fast generator that was seeded once from a secure one. Not for secrets."""
    return uuid.UUID(int=_random.getrandbits(128), version=4)


class _Ids:
    """The id generator that all headers of the process use."""

    generate: IdGenerator = staticmethod(pseudo_random_id)


def set_id_generator(generator: IdGenerator | None) -> None:
    """Replace the generator of all message ids; None brings the default back."""
    _Ids.generate = staticmethod(generator or pseudo_random_id)


if TYPE_CHECKING:
    _MappingBase = Mapping[str, Any]
else:  # A registered class and not a subclass: isinstance of an abstract base costs seven times as much, per message.
    _MappingBase = object


@Mapping.register
class MessageHeaders(_MappingBase):
    """A read-only mapping of header names to values.

    Made from a plain mapping, the headers get an ``id`` and a ``timestamp`` of their own, whatever the mapping
    held. The id is only generated when somebody asks for it: it costs more than the rest of a message.
    """

    __slots__ = ("_map", "_unmade")
    _unmade: str | None
    """The header that is only made when somebody looks at it: the id, if any."""
    _map: dict[str, Any]
    """Everything but what is unmade. Stations on the hot path read this instead of calling ``get``."""

    def __init__(
        self, headers: Mapping[str, Any] | None = None, *, id: uuid.UUID | None = None, timestamp: int | None = None
    ) -> None:
        """*id* None means a fresh one, ``ID_VALUE_NONE`` none at all; *timestamp* (epoch ms) None means now,
        negative none.
        """
        if headers is None:
            values: dict[str, Any] = {}
        elif isinstance(headers, MessageHeaders):
            values = headers._copy()
        else:
            values = dict(headers)
        values.pop(ID, None)
        values.pop(TIMESTAMP, None)
        if id is not None and id != ID_VALUE_NONE:
            values[ID] = id
        if timestamp is None:
            values[TIMESTAMP] = time.time_ns() // 1_000_000
        elif timestamp >= 0:
            values[TIMESTAMP] = timestamp
        self._map = values
        self._unmade = ID if id is None else None

    def _complete(self) -> dict[str, Any]:
        """All values, with the id made if it is still to be made."""
        if self._unmade is not None:
            generated = _Ids.generate()
            if generated != ID_VALUE_NONE:
                self._map.setdefault(ID, generated)  # the first of two threads wins, and both see its id
            self._unmade = None
        return self._map

    def _copy(self) -> dict[str, Any]:
        """All values but an id that is still to be made, which need not be: it would not be taken over."""
        return self._map.copy()

    def __getitem__(self, name: str) -> Any:
        if name == self._unmade:
            self._complete()
        return self._map[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._complete())

    def __len__(self) -> int:
        return len(self._complete())

    def __contains__(self, name: object) -> bool:
        return name in (self._complete() if name == ID else self._map)

    # The views of a proxy are read-only, down to their `mapping`, and quicker than those that Mapping makes.

    def keys(self) -> KeysView[str]:
        return MappingProxyType(self._complete()).keys()

    def values(self) -> ValuesView[Any]:
        return MappingProxyType(self._complete()).values()

    def items(self) -> ItemsView[str, Any]:
        return MappingProxyType(self._complete()).items()

    @overload
    def get(self, name: str, default: Any = None, /) -> Any: ...
    @overload
    def get(self, name: str, default: Any = None, /, *, type: type[T]) -> T | None: ...
    def get(self, name: str, default: Any = None, /, *, type: type[Any] | None = None) -> Any:
        """The value, or *default* when absent.

        Raises ValueError when *type* is given and the value is of another type.
        """
        if name == self._unmade:
            self._complete()
        value = self._map.get(name, default)
        if type is not None and value is not None and not isinstance(value, type):
            raise ValueError(
                f"Incorrect type specified for header '{name}'. "
                f"Expected [{type.__name__}] but actual type is [{value.__class__.__name__}]"
            )
        return value

    @property
    def id(self) -> uuid.UUID | None:
        value: uuid.UUID | None = self.get(ID)
        return value

    @property
    def timestamp(self) -> int | None:
        """Epoch milliseconds, or None."""
        value: int | None = self.get(TIMESTAMP)
        return value

    @property
    def reply_channel(self) -> Any:
        return self.get(REPLY_CHANNEL)

    @property
    def error_channel(self) -> Any:
        return self.get(ERROR_CHANNEL)

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("MessageHeaders is immutable")

    __reversed__ = None
    __setitem__ = __delitem__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __eq__(self, other: object) -> bool:
        if isinstance(other, MessageHeaders):
            return self._complete() == other._complete()
        return self._complete() == other if isinstance(other, dict) else NotImplemented

    def __hash__(self) -> int:
        return hash(frozenset(self._complete()))  # of the names alone: values need not be hashable

    def __repr__(self) -> str:
        return repr(self._complete())

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what can be pickled; the rest is left out with a debug line."""
        return _restore, (_picklable(self._complete()),)


def _picklable(values: dict[str, Any]) -> dict[str, Any]:
    import logging
    import pickle

    kept = {}
    for name, value in values.items():
        if isinstance(value, MappingProxyType):
            value = dict(value)
        try:
            pickle.dumps(value)
        except Exception:  # whatever a value raises while being pickled means that it cannot be
            logging.getLogger(__name__).debug("Header '%s' is left out: it cannot be serialized", name)
        else:
            kept[name] = value
    return kept


def _restore(values: dict[str, Any]) -> MessageHeaders:
    return MessageHeaders(values, id=values.get(ID, ID_VALUE_NONE), timestamp=values.get(TIMESTAMP, -1))
