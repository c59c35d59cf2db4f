"""STOMP's view of a message's headers, kept in step with the protocol-neutral ones (MSG-07)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any

from ..headers import CONTENT_TYPE
from ..message import Message
from ..mime import MimeType, parse_mime_type
from ..mutable_headers import MutableMessageHeaders
from ..native_headers import NATIVE_HEADERS
from ..simp.accessor import (
    DESTINATION,
    MESSAGE_TYPE,
    SESSION_ID,
    SUBSCRIPTION_ID,
    SimpMessageHeaderAccessor,
)
from ..simp.types import SimpMessageType
from .command import StompCommand

COMMAND = "stompCommand"
CREDENTIALS = "stompCredentials"

_message_ids = itertools.count()
next_message_number = _message_ids.__next__
"""The process-wide counter behind ``message-id``, from 0."""

_TYPES = {command: SimpMessageType[command.message_type_name] for command in StompCommand}
_INTEGER = re.compile(r"[+-]?[0-9]+")
_NAMES_OF_SUBSCRIPTION = {
    StompCommand.MESSAGE: "subscription",
    StompCommand.SUBSCRIBE: "id",
    StompCommand.UNSUBSCRIBE: "id",
}
_WITH_PASSCODE = frozenset((StompCommand.CONNECT, StompCommand.STOMP))
_WITH_ID = (SimpMessageType.SUBSCRIBE, SimpMessageType.UNSUBSCRIBE)


class StompPasscode:
    """A passcode that never shows itself in a log."""

    __slots__ = ("passcode",)

    def __init__(self, passcode: str) -> None:
        self.passcode = passcode

    def __repr__(self) -> str:
        return "[PROTECTED]"


def _native_property(name: str) -> Any:
    def read(self: StompHeaderAccessor) -> str | None:
        return self.get_first_native_header(name)

    def write(self: StompHeaderAccessor, value: str | None) -> None:
        self.set_native_header(name, value)

    return property(read, write, doc=f"The first ``{name}`` header, or None.")


class StompHeaderAccessor(SimpMessageHeaderAccessor):
    """Headers of a STOMP frame: the native ones as on the wire, and beside them the protocol-neutral ones."""

    __slots__ = ()

    def __init__(
        self,
        source: Message[Any] | StompCommand | SimpMessageType | None = None,
        *,
        native_headers: Mapping[str, Any] | None = None,
    ) -> None:
        """A command starts a new frame, with *native_headers* mapped to neutral ones; a message is wrapped, the
        other way round.
        """
        if isinstance(source, StompCommand):
            super().__init__(_TYPES[source], native_headers=native_headers)
            self._map[COMMAND] = source
            if self._native:
                self.update_simp_headers_from_stomp_headers()
        else:
            super().__init__(source, native_headers=native_headers)
            if isinstance(source, Message):
                self._update_stomp_headers_from_simp_headers()

    @classmethod
    def create(  # type: ignore[override]  # a STOMP accessor is made for a command
        cls, command: StompCommand, *, native_headers: Mapping[str, Any] | None = None
    ) -> StompHeaderAccessor:
        return cls(command, native_headers=native_headers)

    @classmethod
    def create_for_heartbeat(cls) -> StompHeaderAccessor:
        return cls(SimpMessageType.HEARTBEAT)

    def update_simp_headers_from_stomp_headers(self) -> None:
        """Fill the neutral headers from the native ones; runs on creation and again after decoding."""
        if self._native:
            _fill_simp_headers(self._map, self._native)

    def _update_stomp_headers_from_simp_headers(self) -> None:
        destination = self.destination
        if destination is not None:
            self.set_native_header("destination", destination)
        content_type = self._map.get(CONTENT_TYPE)
        if content_type is not None:
            self.set_native_header("content-type", str(content_type))
        self._update_native_subscription()
        self._modified = False

    def _update_native_subscription(self) -> None:
        subscription_id = self.subscription_id
        if subscription_id is not None:
            if self.command is StompCommand.MESSAGE:
                self.set_native_header("subscription", subscription_id)
            elif self.message_type in _WITH_ID:
                self.set_native_header("id", subscription_id)

    # -- what a frame becomes

    @property
    def command(self) -> StompCommand | None:
        return self._map.get(COMMAND)

    @property
    def is_heartbeat(self) -> bool:
        return self.message_type is SimpMessageType.HEARTBEAT

    def update_stomp_command_as_server_message(self) -> None:
        """Make this the MESSAGE frame that a subscriber gets, with ``subscription`` and ``message-id``.

        Raises RuntimeError for another type of message or for another command than none, SEND or MESSAGE.
        """
        self._expect_message_type()
        if self.command is None or self.command is StompCommand.SEND:
            self.set_header(COMMAND, StompCommand.MESSAGE)
        elif self.command is not StompCommand.MESSAGE:
            raise RuntimeError(f"Unexpected STOMP command {self.command.value}")
        if self.subscription_id is not None:
            self.set_native_header("subscription", self.subscription_id)
        if self.message_id is None:
            self.message_id = f"{self.session_id}-{next_message_number()}"

    def update_stomp_command_as_client_message(self) -> None:
        """Make this the SEND frame that a client writes.

        Raises RuntimeError for anything that is not a message to send.
        """
        self._expect_message_type()
        if self.command is None:
            self.set_header(COMMAND, StompCommand.SEND)
        elif self.command is not StompCommand.SEND:
            raise RuntimeError(f"Unexpected STOMP command {self.command.value}")

    def _expect_message_type(self) -> None:
        if self.message_type is not SimpMessageType.MESSAGE:
            shown = self.message_type.value if self.message_type else None
            raise RuntimeError(f"Unexpected message type {shown}")

    # -- setters that keep both sides in step

    @property
    def destination(self) -> str | None:
        return self._map.get(DESTINATION)

    @destination.setter
    def destination(self, value: str | None) -> None:
        self.set_header(DESTINATION, value)
        self.set_native_header("destination", value)

    @property
    def content_type(self) -> MimeType | None:
        value = self._map.get(CONTENT_TYPE)
        return parse_mime_type(value) if isinstance(value, str) else value

    @content_type.setter
    def content_type(self, value: MimeType | str | None) -> None:
        self.set_header(CONTENT_TYPE, value)
        self.set_native_header("content-type", None if value is None else str(value))

    @property
    def subscription_id(self) -> str | None:
        return self._map.get(SUBSCRIPTION_ID)

    @subscription_id.setter
    def subscription_id(self, value: str | None) -> None:
        self.set_header(SUBSCRIPTION_ID, value)
        if value is not None:
            self._update_native_subscription()

    # -- STOMP's own headers

    host = _native_property("host")
    login = _native_property("login")
    receipt = _native_property("receipt")
    receipt_id = _native_property("receipt-id")
    message = _native_property("message")
    message_id = _native_property("message-id")
    ack = _native_property("ack")
    nack = _native_property("nack")
    version = _native_property("version")

    @property
    def accept_version(self) -> set[str]:
        """The versions that a client speaks, as written between the commas. Never None, may be empty."""
        value = self.get_first_native_header("accept-version")
        return set(value.split(",")) if value else set()

    @accept_version.setter
    def accept_version(self, value: str) -> None:
        self.set_native_header("accept-version", value)

    @property
    def heartbeat(self) -> tuple[int, int]:
        """What the sender can do and wants, in milliseconds; (0, 0) without the header.

        Raises ValueError for garbage.
        """
        first, comma, second = (self.get_first_native_header("heart-beat") or "").partition(",")
        return (_integer(first), _integer(second)) if comma else (0, 0)

    @heartbeat.setter
    def heartbeat(self, value: tuple[int, int]) -> None:
        self.set_native_header("heart-beat", f"{value[0]},{value[1]}")

    @property
    def content_length(self) -> int | None:
        """Raises ValueError for garbage."""
        value = self.get_first_native_header("content-length")
        return _integer(value) if value is not None else None

    @content_length.setter
    def content_length(self, value: int) -> None:
        self.set_native_header("content-length", str(value))

    @property
    def passcode(self) -> str | None:
        """The real passcode, wherever it is kept."""
        credentials = self._map.get(CREDENTIALS)
        return credentials.passcode if isinstance(credentials, StompPasscode) else None

    @passcode.setter
    def passcode(self, value: str) -> None:
        self.set_native_header("passcode", value)
        if self._native:
            _protect_passcode(self._map, self._native)

    # -- log forms

    def _short_text(self, payload: object) -> str:
        return self._log_text(payload, short=True)

    def _detailed_text(self, payload: object) -> str:
        return self._log_text(payload, short=False)

    def _log_text(self, payload: object, *, short: bool) -> str:
        if self.is_heartbeat:
            return "heart-beat" if self.session_id is None else f"heart-beat in session {self.session_id}"
        session = f" session={self.session_id}"
        command = self.command
        match command:
            case StompCommand.SUBSCRIBE:
                return f"SUBSCRIBE {self.destination} id={self.subscription_id}{session}"
            case StompCommand.UNSUBSCRIBE:
                return f"UNSUBSCRIBE id={self.subscription_id}{session}"
            case StompCommand.SEND:
                return f"SEND {self.destination}{session}{self._shown_payload(payload, short)}"
            case StompCommand.CONNECT | StompCommand.STOMP:
                return f"{command.value}{self._shown_user()}{session}"
            case StompCommand.CONNECTED:
                return f"CONNECTED heart-beat=[{self.heartbeat[0]}, {self.heartbeat[1]}]{session}"
            case StompCommand.DISCONNECT:
                receipt = f" receipt={self.receipt}" if self.receipt is not None else ""
                return f"DISCONNECT{receipt}{session}"
            case None:
                return super()._short_text(payload) if short else super()._detailed_text(payload)
            case _:
                shown = f" {self._native}" if self._native else ""
                return f"{command.value}{shown}{session}{self._shown_user()}"

    def _shown_payload(self, payload: object, short: bool) -> str:
        if not isinstance(payload, bytes):
            raise RuntimeError(f"Expected byte array payload but got: {type(payload).__name__}")
        content_type = self.content_type
        shown = f" {content_type}" if content_type else ""
        return shown + (self._short_payload(payload) if short else self._detailed_payload(payload))


def headers_of_frame(command: StompCommand, native_headers: dict[str, list[str]]) -> MutableMessageHeaders:
    """The headers that ``StompHeaderAccessor.create`` makes, for the decoder: without an accessor before somebody asks
    for it, left mutable, and *native_headers* are taken over without a copy.
    """
    values: dict[str, Any] = {MESSAGE_TYPE: _TYPES[command], COMMAND: command}
    if native_headers:
        values[NATIVE_HEADERS] = native_headers
        _fill_simp_headers(values, native_headers)
    return MutableMessageHeaders(values, StompHeaderAccessor)


def headers_of_heartbeat() -> MutableMessageHeaders:
    """The same for what is no frame."""
    return MutableMessageHeaders({MESSAGE_TYPE: SimpMessageType.HEARTBEAT}, StompHeaderAccessor)


def _fill_simp_headers(values: dict[str, Any], native: dict[str, list[str]]) -> None:
    found = native.get("destination")
    if found:
        values[DESTINATION] = found[0]
    found = native.get("content-type")
    if found:
        values[CONTENT_TYPE] = parse_mime_type(found[0])
    command = values.get(COMMAND)
    if command in _NAMES_OF_SUBSCRIPTION:
        found = native.get(_NAMES_OF_SUBSCRIPTION[command])
        if found:
            values[SUBSCRIPTION_ID] = found[0]
    elif command in _WITH_PASSCODE:
        _protect_passcode(values, native)


def _protect_passcode(values: dict[str, Any], native: dict[str, list[str]]) -> None:
    found = native.get("passcode")
    if found and found[0] != "PROTECTED":
        values[CREDENTIALS] = StompPasscode(found[0])
        native["passcode"] = ["PROTECTED"]


def _integer(text: str) -> int:
    """As ``int``, but strict: neither blanks nor underscores. Raises ValueError."""
    if not _INTEGER.fullmatch(text):
        raise ValueError(f'Not an integer: "{text}"')
    return int(text)


__all__ = [
    "COMMAND",
    "CREDENTIALS",
    "MESSAGE_TYPE",
    "NATIVE_HEADERS",
    "SESSION_ID",
    "StompHeaderAccessor",
    "StompPasscode",
    "headers_of_frame",
    "headers_of_heartbeat",
    "next_message_number",
]
