"""The mutable face of message headers, until they are frozen (MSG-04).

An accessor and the headers object that it hands out share one dict, and the headers know their accessor. So one
message can pass a pipeline whose stations still change its headers, without a copy, until the last station freezes
them. The accessor only has a weak reference to the headers: with a cycle every message would wait for the garbage
collector.
"""

from __future__ import annotations

import time
import uuid
import weakref
from collections.abc import Mapping
from typing import Any, Protocol, Self, TypeVar

from .headers import (
    CONTENT_TYPE,
    ERROR_CHANNEL,
    ID,
    ID_VALUE_NONE,
    REPLY_CHANNEL,
    TIMESTAMP,
    IdGenerator,
    MessageHeaders,
    _Ids,
)
from .message import Message
from .mime import MimeType, parse_mime_type
from .mutable_headers import MutableMessageHeaders as MutableMessageHeaders

A = TypeVar("A", bound="MessageHeaderAccessor")

_SHOWN = 80


class MessageHeaderAccessor:
    """Reads and changes headers; a subclass adds typed views.

    A new accessor has neither id nor timestamp, not even those of the headers that it was made from. Changing
    anything after the headers were frozen raises RuntimeError (``Already immutable``).
    """

    __slots__ = ("_headers", "_id_generator", "_leave_mutable", "_map", "_modified", "_mutable", "_timestamp")

    def __init__(self, source: Message[Any] | Mapping[str, Any] | None = None) -> None:
        """Start from a copy of the headers of *source* without id and timestamp, or empty."""
        if source is None:
            self._begin({})
        else:
            headers = source.headers if isinstance(source, Message) else source
            values = headers._copy() if isinstance(headers, MessageHeaders) else dict(headers)
            values.pop(ID, None)
            values.pop(TIMESTAMP, None)
            self._begin(values)

    def _begin(self, values: dict[str, Any]) -> None:
        """Start with *values*, which are this accessor's own from now on."""
        self._map = values
        self._headers: weakref.ref[MutableMessageHeaders] | None = None
        self._mutable = True
        self._leave_mutable = False
        self._modified = False
        self._timestamp = False
        self._id_generator: IdGenerator | None = None

    @classmethod
    def _of_headers(cls, headers: MutableMessageHeaders) -> Self:
        """The accessor of headers that were made without one."""
        self = cls.__new__(cls)
        MessageHeaderAccessor._begin(self, headers._map)
        self._headers = weakref.ref(headers)
        self._mutable = headers._mutable
        self._leave_mutable = True
        return self

    @staticmethod
    def _freeze(values: dict[str, Any]) -> None:
        """What freezing does to the values themselves."""

    @classmethod
    def wrap(cls, message: Message[Any]) -> Self:
        """An accessor of this class on a copy of the message's headers."""
        return cls(message)

    @classmethod
    def get_accessor(cls, message: Message[Any] | MessageHeaders) -> Self | None:
        """The live accessor of the message if it has one of this class, else None."""
        headers = message.headers if isinstance(message, Message) else message
        accessor = headers.accessor if isinstance(headers, MutableMessageHeaders) else None
        return accessor if isinstance(accessor, cls) else None

    @staticmethod
    def get_mutable_accessor(message: Message[Any]) -> MessageHeaderAccessor:
        """The live accessor while it can be changed, else a new one of the same class on a copy."""
        headers = message.headers
        if isinstance(headers, MutableMessageHeaders):
            return headers.accessor if headers.mutable else headers.accessor._create_for(message)
        return MessageHeaderAccessor(message)

    def _create_for(self, message: Message[Any]) -> MessageHeaderAccessor:
        return type(self).wrap(message)

    # -- life cycle

    @property
    def leave_mutable(self) -> bool:
        """Whether ``message_headers`` hands out headers without freezing them; may be set while mutable only."""
        return self._leave_mutable

    @leave_mutable.setter
    def leave_mutable(self, value: bool) -> None:
        self._check_mutable()
        self._leave_mutable = value

    @property
    def message_headers(self) -> MessageHeaders:
        """The live headers, frozen by this call unless ``leave_mutable`` is on."""
        if not self._leave_mutable:
            self.set_immutable()
        headers = self._headers() if self._headers is not None else None
        if headers is None:
            headers = MutableMessageHeaders(self._map, type(self), self)
            self._headers = weakref.ref(headers)
        return headers

    def set_immutable(self) -> None:
        """Freeze: make the id if one is wanted and missing, set the timestamp if it is switched on.

        Twice does nothing more.
        """
        if not self._mutable:
            return
        values = self._map
        if ID not in values:
            generated = self._generate_id()
            if generated is not None and generated is not ID_VALUE_NONE and generated != ID_VALUE_NONE:
                values[ID] = generated
        if self._timestamp and TIMESTAMP not in values:
            values[TIMESTAMP] = time.time_ns() // 1_000_000
        self._mutable = False

    def _generate_id(self) -> uuid.UUID | None:
        return (self._id_generator or _Ids.generate)()

    @property
    def is_mutable(self) -> bool:
        return self._mutable

    @property
    def is_modified(self) -> bool:
        """True once a header got another value than it had."""
        return self._modified

    @is_modified.setter
    def is_modified(self, value: bool) -> None:
        self._modified = value

    def enable_timestamp(self, enabled: bool = True) -> None:
        """Set the timestamp when the headers are frozen (off by default)."""
        self._timestamp = enabled

    def set_id_generator(self, generator: IdGenerator | None) -> None:
        """Make ids with *generator*; None means the process-wide one."""
        self._id_generator = generator

    def to_message_headers(self) -> MessageHeaders:
        """A detached copy as plain headers, with an id and a timestamp of its own."""
        return MessageHeaders(self.to_map())

    def to_map(self) -> dict[str, Any]:
        """A detached copy."""
        return self._map.copy()

    def _check_mutable(self) -> None:
        if not self._mutable:
            raise RuntimeError("Already immutable")

    # -- generic access

    def get_header(self, name: str, default: Any = None) -> Any:
        return self._map.get(name, default)

    def set_header(self, name: str, value: Any) -> None:
        """Set, or with None remove, one header.

        Raises ValueError for ``id`` and ``timestamp``, and for a reply or error channel that is neither a channel
        nor a name.
        """
        if not self._mutable:
            raise RuntimeError("Already immutable")
        if name in self._checked:
            value = self._check(name, value)
        if value is None:
            if name in self._map:
                del self._map[name]
                self._modified = True
        elif self._map.get(name) != value:
            self._map[name] = value
            self._modified = True

    _checked = frozenset((ID, TIMESTAMP, REPLY_CHANNEL, ERROR_CHANNEL))
    """The headers that ``set_header`` asks ``_check`` about."""

    def _check(self, name: str, value: Any) -> Any:
        """What to set for a value that was given; raises ValueError for one that is not allowed."""
        if self._is_read_only(name):
            raise ValueError(f"'{name}' header is read-only")
        if value is not None and not isinstance(value, str) and not callable(getattr(value, "send", None)):
            raise ValueError(f"'{name}' header value must be a MessageChannel or str")
        return value

    def set_header_if_absent(self, name: str, value: Any) -> None:
        if self._map.get(name) is None:
            self.set_header(name, value)

    def remove_header(self, name: str) -> None:
        if name and not self._is_read_only(name):
            self.set_header(name, None)

    def remove_headers(self, *patterns: str) -> None:
        """Remove all headers whose names match one of the patterns (``*`` stands for anything)."""
        for pattern in patterns:
            if "*" in pattern:
                for name in [name for name in self._map if _matches(pattern, name)]:
                    self.remove_header(name)
            else:
                self.remove_header(pattern)

    def copy_headers(self, headers: Mapping[str, Any] | None) -> None:
        """Take all headers over, replacing those of the same name; id and timestamp stay."""
        self._check_mutable()
        if headers:
            for name, value in headers.items():
                if not self._is_read_only(name):
                    self.set_header(name, value)

    def copy_headers_if_absent(self, headers: Mapping[str, Any] | None) -> None:
        """Take over the headers that are not there yet; id and timestamp stay."""
        self._check_mutable()
        if headers:
            for name, value in headers.items():
                if not self._is_read_only(name):
                    self.set_header_if_absent(name, value)

    def _is_read_only(self, name: str) -> bool:
        return name == ID or name == TIMESTAMP

    # -- the predefined headers

    @property
    def id(self) -> Any:
        return self._map.get(ID)

    @property
    def timestamp(self) -> int | None:
        """Epoch milliseconds, or None."""
        return self._map.get(TIMESTAMP)

    @property
    def content_type(self) -> MimeType | None:
        """The content type; a string is parsed, and raises InvalidMimeTypeError when it is none."""
        value = self._map.get(CONTENT_TYPE)
        return parse_mime_type(value) if isinstance(value, str) else value

    @content_type.setter
    def content_type(self, value: MimeType | str | None) -> None:
        self.set_header(CONTENT_TYPE, value)

    @property
    def reply_channel(self) -> Any:
        return self._map.get(REPLY_CHANNEL)

    @reply_channel.setter
    def reply_channel(self, value: Any) -> None:
        self.set_header(REPLY_CHANNEL, value)

    @property
    def error_channel(self) -> Any:
        return self._map.get(ERROR_CHANNEL)

    @error_channel.setter
    def error_channel(self, value: Any) -> None:
        self.set_header(ERROR_CHANNEL, value)

    # -- log forms: subclasses override the two `_text` methods

    def short_log_message(self, payload: object) -> str:
        """One line without control characters; a payload is cut after 80 characters or bytes (LOG-01)."""
        return neutralized(self._short_text(payload))

    def detailed_log_message(self, payload: object) -> str:
        """As the short one, with the whole payload."""
        return neutralized(self._detailed_text(payload))

    def _short_text(self, payload: object) -> str:
        return f"headers={self._map}{self._short_payload(payload)}"

    def _detailed_text(self, payload: object) -> str:
        return f"headers={self._map}{self._detailed_payload(payload)}"

    def _short_payload(self, payload: object) -> str:
        if isinstance(payload, str):
            return f" payload={payload}" if len(payload) < _SHOWN else f" payload={payload[:_SHOWN]}...(truncated)"
        if isinstance(payload, bytes):
            if not self._is_readable:
                return f" payload=byte[{len(payload)}]"
            text = payload[:_SHOWN].decode(self._charset, "replace")
            return f" payload={text}" if len(payload) < _SHOWN else f" payload={text}...(truncated)"
        text = str(payload)
        return f" payload={text}" if len(text) < _SHOWN else f" payload={type(payload).__name__}@{id(payload):x}"

    def _detailed_payload(self, payload: object) -> str:
        if isinstance(payload, bytes):
            text = payload.decode(self._charset, "replace") if self._is_readable else f"byte[{len(payload)}]"
            return f" payload={text}"
        return f" payload={payload}"

    @property
    def _charset(self) -> str:
        content_type = self.content_type
        return (content_type.charset if content_type else None) or "utf-8"

    @property
    def _is_readable(self) -> bool:
        content_type = self.content_type
        if content_type is None:
            return False
        subtype = content_type.subtype
        return content_type.type == "text" or (
            content_type.type == "application"
            and (subtype in ("json", "xml") or subtype.endswith("+json") or subtype.endswith("+xml"))
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__} [headers={self._map}]"


class MessageHeaderInitializer(Protocol):
    """Prepares each new accessor of a component."""

    def init_headers(self, accessor: MessageHeaderAccessor) -> None: ...


class IdTimestampMessageHeaderInitializer:
    """Chooses how new accessors make ids and timestamps; without any option it changes nothing."""

    def __init__(
        self,
        *,
        id_generator: IdGenerator | None = None,
        enable_timestamp: bool = False,
        disable_id_generation: bool = False,
    ) -> None:
        self.id_generator: IdGenerator | None = (lambda: ID_VALUE_NONE) if disable_id_generation else id_generator
        self.timestamp = enable_timestamp

    def init_headers(self, accessor: MessageHeaderAccessor) -> None:
        if self.id_generator is not None:
            accessor.set_id_generator(self.id_generator)
        accessor.enable_timestamp(self.timestamp)


def neutralized(text: str) -> str:
    """*text* fit for one line of a log: what cannot be printed is escaped, so that a client cannot forge a line
    (LOG-01).
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)


def _matches(pattern: str, name: str) -> bool:
    """Whether *name* fits a pattern with ``*`` as its only wildcard."""
    first, *rest = pattern.split("*")
    if not rest:
        return name == pattern
    last = rest.pop()
    if not name.startswith(first) or len(name) < len(first) + len(last) or not name.endswith(last):
        return False
    start, end = len(first), len(name) - len(last)
    for part in rest:
        found = name.find(part, start, end)
        if found < 0:
            return False
        start = found + len(part)
    return True
