"""Several converters as one, and the list that a broker configuration begins with (CONV-03, CONV-04)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..message import Message
from ..mime import APPLICATION_JSON
from .base import AbstractMessageConverter
from .builtin import ByteArrayMessageConverter, StringMessageConverter
from .content_type import DefaultContentTypeResolver
from .contract import MessageConverter, PreparingMessageConverter
from .json import JsonMessageConverter

REMEMBERED_CLASSES = 1024
"""How many classes of payloads, and how many targets, a composite knows the converters of."""

Reader = Callable[[Message[Any], Any, Any], Any]
"""As ``from_message``."""
Writer = Callable[[Any, Mapping[str, Any] | None, Any], Message[Any] | None]
"""As ``to_message``."""


class CompositeMessageConverter:
    """Asks its converters one after another; the first result that is not None wins."""

    def __init__(self, converters: Iterable[MessageConverter]) -> None:
        """Raises ValueError for no converter at all."""
        self.converters = tuple(converters)

    @property
    def converters(self) -> tuple[MessageConverter, ...]:
        """In the order in which they are asked. Never empty."""
        return self._converters

    @converters.setter
    def converters(self, converters: tuple[MessageConverter, ...]) -> None:
        if not converters:
            raise ValueError("Converters must not be empty")
        self._converters = converters
        self._writers: dict[type, tuple[Writer, ...]] = {}
        """For classes of payloads of late: what may make messages of them."""
        self._readers: dict[Any, tuple[Reader, ...]] = {}
        """For targets of late: what may make them of payloads."""

    def from_message(self, message: Message[Any], target: Any, hint: Any = None) -> Any:
        try:
            readers = self._readers[target]
        except KeyError:
            readers = self._readers_for(target)
            _remember(self._readers, target, readers)
        except TypeError:  # an annotation that cannot be hashed
            readers = self._readers_for(target)
        for read in readers:
            result = read(message, target, hint)
            if result is not None:
                return result
        return None

    def to_message(
        self, payload: Any, headers: Mapping[str, Any] | None = None, hint: Any = None
    ) -> Message[Any] | None:
        payload_class = payload.__class__
        try:
            writers = self._writers[payload_class]
        except KeyError:
            writers = self._writers_for(payload_class)
            _remember(self._writers, payload_class, writers)
        for write in writers:
            result = write(payload, headers, hint)
            if result is not None:
                return result
        return None

    def prepare_target(self, target: Any, hint: Any = None) -> None:
        """Raises TypeError when all converters that are for *target* do: any other may yet take what comes."""
        refused: TypeError | None = None
        for each in self._converters:
            if _reader(each, target) is None:
                continue
            if not isinstance(each, PreparingMessageConverter):
                return
            try:
                each.prepare_target(target, hint)
            except TypeError as error:
                refused = refused or error
            else:
                return
        if refused is not None:
            raise refused

    def _readers_for(self, target: Any) -> tuple[Reader, ...]:
        return tuple(read for each in self._converters if (read := _reader(each, target)) is not None)

    def _writers_for(self, payload_class: type) -> tuple[Writer, ...]:
        return tuple(write for each in self._converters if (write := _writer(each, payload_class)) is not None)

    def __repr__(self) -> str:
        return f"CompositeMessageConverter[converters={[type(each).__name__ for each in self.converters]}]"


def _remember(known: dict[Any, tuple[Any, ...]], key: Any, found: tuple[Any, ...]) -> None:
    if len(known) >= REMEMBERED_CLASSES:
        known.clear()
    known[key] = found


def _reader(converter: MessageConverter, target: Any) -> Reader | None:
    """What makes *target* of payloads; None where the converter would only ask what it supports."""
    if isinstance(converter, AbstractMessageConverter):
        if type(converter).from_message is AbstractMessageConverter.from_message:
            return converter._read if converter.supports(target) else None
    return converter.from_message


def _writer(converter: MessageConverter, payload_class: type) -> Writer | None:
    """What makes messages of payloads of this class; None where the converter would only ask what it supports."""
    if isinstance(converter, AbstractMessageConverter):
        if type(converter).to_message is AbstractMessageConverter.to_message:
            return converter._write if converter.supports(payload_class) else None
    return converter.to_message


def default_converters(
    custom: Iterable[MessageConverter] = (), *, register_defaults: bool = True
) -> CompositeMessageConverter:
    """The application's own converters, then text, bytes and JSON (CONV-04).

    Where the content type is missing, JSON is assumed; but ``str`` and ``bytes`` are served by the converters before.
    Raises ValueError when *register_defaults* is off and there is no custom one.
    """
    converters = list(custom)
    if register_defaults:
        converters.append(StringMessageConverter())
        converters.append(ByteArrayMessageConverter())
        converters.append(JsonMessageConverter(content_type_resolver=DefaultContentTypeResolver(APPLICATION_JSON)))
    return CompositeMessageConverter(converters)
