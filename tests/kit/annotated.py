"""Controllers between real channels that remember what was sent."""

from __future__ import annotations

from typing import Any

from wellhead.messaging.converter.composite import default_converters
from wellhead.messaging.message import Message
from wellhead.messaging.simp.accessor import SimpMessageHeaderAccessor
from wellhead.messaging.simp.annotated import SimpAnnotationMethodMessageHandler
from wellhead.messaging.simp.template import SimpMessagingTemplate
from wellhead.messaging.simp.types import SimpMessageType

from .channels import RecordingChannel

JSON = "application/json"


class User:
    """A principal."""

    def __init__(self, name: str) -> None:
        self.name = name


def client_message(
    destination: str | None,
    payload: Any = b"{}",
    *,
    kind: SimpMessageType = SimpMessageType.MESSAGE,
    session_id: str | None = "s1",
    attributes: dict[str, Any] | None = None,
    user: Any = None,
    subscription_id: str | None = None,
    native: dict[str, list[str]] | None = None,
    leave_mutable: bool = False,
    **headers: Any,
) -> Message[Any]:
    """A message as it comes from a client."""
    accessor = SimpMessageHeaderAccessor(kind, native_headers=native)
    accessor.destination = destination
    accessor.session_id = session_id
    accessor.session_attributes = {} if attributes is None else attributes
    accessor.user = user
    accessor.subscription_id = subscription_id
    for name, value in headers.items():
        accessor.set_header(name, value)
    accessor.leave_mutable = leave_mutable
    return Message(payload, accessor.message_headers)


class Controllers:
    """The annotated station with its three channels."""

    def __init__(self, *controllers: Any, destination_prefixes: tuple[str, ...] = ("/app",), **options: Any) -> None:
        self.inbound = RecordingChannel()
        self.outbound = RecordingChannel()
        self.broker = RecordingChannel()
        self.template = SimpMessagingTemplate(self.broker, message_converter=default_converters())
        self.handler = SimpAnnotationMethodMessageHandler(
            self.inbound, self.outbound, self.template, destination_prefixes=destination_prefixes, **options
        )
        for each in controllers:
            self.handler.register(each)
        self.handler.start()

    def send(self, destination: str | None, payload: Any = b"{}", **options: Any) -> None:
        self.inbound.send(client_message(destination, payload, **options))

    def subscribe(self, destination: str | None, *, subscription_id: str | None = "sub1", **options: Any) -> None:
        self.send(destination, b"", kind=SimpMessageType.SUBSCRIBE, subscription_id=subscription_id, **options)

    @property
    def replies(self) -> list[tuple[str, Any]]:
        """Destination and payload of all that went to the broker."""
        return [(each.headers["simpDestination"], each.payload) for each in self.broker.messages]
