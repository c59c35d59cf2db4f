"""Headers of simple messaging (MSG-06)."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any, Self

from ..message import Message
from ..mutable_headers import MutableMessageHeaders
from ..native_headers import NativeMessageHeaderAccessor
from .types import Principal, SimpMessageType

MESSAGE_TYPE = "simpMessageType"
DESTINATION = "simpDestination"
SESSION_ID = "simpSessionId"
SESSION_ATTRIBUTES = "simpSessionAttributes"
SUBSCRIPTION_ID = "simpSubscriptionId"
USER = "simpUser"
CONNECT_MESSAGE = "simpConnectMessage"
DISCONNECT_MESSAGE = "simpDisconnectMessage"
HEARTBEAT = "simpHeartbeat"
ORIGINAL_DESTINATION = "simpOrigDestination"
"""The destination that the client subscribed with: a native header."""
IGNORE_ERROR = "simpIgnoreError"

UserChangeCallback = Callable[[Principal | None], None]


class SimpMessageHeaderAccessor(NativeMessageHeaderAccessor):
    """Typed access to the headers above; ids and timestamps are off."""

    __slots__ = ("_user_callback",)

    def __init__(
        self,
        source: Message[Any] | Mapping[str, Any] | SimpMessageType | None = None,
        *,
        native_headers: Mapping[str, Any] | None = None,
    ) -> None:
        """Start from a message's headers, or anew with a type of message."""
        self._user_callback: UserChangeCallback | None = None
        if isinstance(source, SimpMessageType):
            self._begin({MESSAGE_TYPE: source})
            self._begin_native(native_headers or None)
        else:
            super().__init__(source, native_headers=native_headers)

    @classmethod
    def create(
        cls, message_type: SimpMessageType = SimpMessageType.MESSAGE, *, native_headers: Mapping[str, Any] | None = None
    ) -> SimpMessageHeaderAccessor:
        return SimpMessageHeaderAccessor(message_type, native_headers=native_headers)

    @classmethod
    def _of_headers(cls, headers: MutableMessageHeaders) -> Self:
        self = super()._of_headers(headers)
        self._user_callback = None
        return self

    def set_immutable(self) -> None:
        if self._mutable and self._id_generator is None and not self._timestamp:  # the base class has nothing to make
            self._freeze(self._map)
            self._mutable = False
        else:
            super().set_immutable()

    def _generate_id(self) -> uuid.UUID | None:
        return self._id_generator() if self._id_generator is not None else None

    # -- typed headers

    @property
    def message_type(self) -> SimpMessageType | None:
        return self._map.get(MESSAGE_TYPE)

    def set_message_type_if_not_set(self, message_type: SimpMessageType) -> None:
        if self._map.get(MESSAGE_TYPE) is None:
            self.set_header(MESSAGE_TYPE, message_type)

    @property
    def destination(self) -> str | None:
        return self._map.get(DESTINATION)

    @destination.setter
    def destination(self, value: str | None) -> None:
        self.set_header(DESTINATION, value)

    @property
    def subscription_id(self) -> str | None:
        return self._map.get(SUBSCRIPTION_ID)

    @subscription_id.setter
    def subscription_id(self, value: str | None) -> None:
        self.set_header(SUBSCRIPTION_ID, value)

    @property
    def session_id(self) -> str | None:
        return self._map.get(SESSION_ID)

    @session_id.setter
    def session_id(self, value: str | None) -> None:
        self.set_header(SESSION_ID, value)

    @property
    def session_attributes(self) -> dict[str, Any] | None:
        """The live attributes of the session, shared by all its messages."""
        return self._map.get(SESSION_ATTRIBUTES)

    @session_attributes.setter
    def session_attributes(self, value: dict[str, Any] | None) -> None:
        self._check_mutable()
        if value is None:
            self.set_header(SESSION_ATTRIBUTES, None)
        else:
            self._map[SESSION_ATTRIBUTES] = value  # the dict itself, even when an equal one is there
            self._modified = True

    @property
    def user(self) -> Principal | None:
        return self._map.get(USER)

    @user.setter
    def user(self, value: Principal | None) -> None:
        """Sets the header and tells whoever asked for changes of the user: on CONNECT, the session (SPH-03)."""
        self.set_header(USER, value)
        if self._user_callback is not None:
            self._user_callback(value)

    def add_user_change_callback(self, callback: UserChangeCallback) -> None:
        """Call *callback* whenever the user is set; several are called in the order in which they were added."""
        earlier = self._user_callback
        if earlier is None:
            self._user_callback = callback
        else:

            def chained(user: Principal | None) -> None:
                earlier(user)
                callback(user)

            self._user_callback = chained

    @property
    def heartbeat(self) -> tuple[int, int] | None:
        return self._map.get(HEARTBEAT)

    # -- log forms

    def _short_text(self, payload: object) -> str:
        if self.message_type is None:
            return super()._short_text(payload)
        attributes = self.session_attributes
        shown = f" attributes[{len(attributes)}]" if attributes is not None else ""
        return f"{self._base_log_message()}{shown}{self._short_payload(payload)}"

    def _detailed_text(self, payload: object) -> str:
        if self.message_type is None:
            return super()._detailed_text(payload)
        attributes, native = self.session_attributes, self._native
        shown = f" attributes={attributes}" if attributes else ""
        shown += f" nativeHeaders={native}" if native else ""
        return f"{self._base_log_message()}{shown}{self._detailed_payload(payload)}"

    def _base_log_message(self) -> str:
        text = str((self.message_type or SimpMessageType.OTHER).value)
        if self.destination is not None:
            text += f" destination={self.destination}"
        if self.subscription_id is not None:
            text += f" subscriptionId={self.subscription_id}"
        return f"{text} session={self.session_id}{self._shown_user()}"

    def _shown_user(self) -> str:
        user = self.user
        return f" user={user.name}" if user is not None else ""


# -- the same headers without an accessor


def simp_headers(values: dict[str, Any]) -> MutableMessageHeaders:
    """Headers that can still be changed, without an accessor before somebody asks for it; *values* are taken over."""
    return MutableMessageHeaders(values, SimpMessageHeaderAccessor)


def message_type_of(headers: Mapping[str, Any]) -> SimpMessageType | None:
    """The type of message in any header mapping."""
    value: SimpMessageType | None = headers.get(MESSAGE_TYPE)
    return value


def destination_of(headers: Mapping[str, Any]) -> str | None:
    """The destination in any header mapping."""
    value: str | None = headers.get(DESTINATION)
    return value


def subscription_id_of(headers: Mapping[str, Any]) -> str | None:
    """The subscription id in any header mapping."""
    value: str | None = headers.get(SUBSCRIPTION_ID)
    return value


def session_id_of(headers: Mapping[str, Any]) -> str | None:
    """The session id in any header mapping."""
    value: str | None = headers.get(SESSION_ID)
    return value


def session_attributes_of(headers: Mapping[str, Any]) -> dict[str, Any] | None:
    """The live attributes of the session in any header mapping."""
    value: dict[str, Any] | None = headers.get(SESSION_ATTRIBUTES)
    return value


def user_of(headers: Mapping[str, Any]) -> Principal | None:
    """The user in any header mapping."""
    value: Principal | None = headers.get(USER)
    return value


def heartbeat_of(headers: Mapping[str, Any]) -> tuple[int, int] | None:
    """The pair of heart-beat intervals in milliseconds in any header mapping."""
    value: tuple[int, int] | None = headers.get(HEARTBEAT)
    return value
