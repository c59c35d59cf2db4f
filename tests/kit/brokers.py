"""A simple broker between real channels, with clients that speak messages and a clock that is moved by hand."""

from __future__ import annotations

from typing import Any

from kit.channels import RecordingChannel
from kit.scheduling import ManualTaskScheduler
from wellhead.messaging.broker.simple import SimpleBrokerMessageHandler
from wellhead.messaging.events import ApplicationEvents
from wellhead.messaging.executor import Executor
from wellhead.messaging.message import Message
from wellhead.messaging.simp.accessor import (
    HEARTBEAT,
    MESSAGE_TYPE,
    SESSION_ID,
    SUBSCRIPTION_ID,
    SimpMessageHeaderAccessor,
)
from wellhead.messaging.simp.types import SimpMessageType
from wellhead.messaging.stomp.command import StompCommand
from wellhead.messaging.stomp.headers import COMMAND, headers_of_frame
from wellhead.messaging.subscribable import ExecutorSubscribableChannel, ImmutableMessageChannelInterceptor


class User:
    def __init__(self, name: str) -> None:
        self.name = name


def frame(
    command: StompCommand,
    session_id: str | None,
    native: dict[str, str | list[str]] | None = None,
    *,
    payload: Any = b"",
    **headers: Any,
) -> Message[Any]:
    """What the protocol handler sends to the inbound channel for one frame; *headers* by their names in messages."""
    values = {name: [each] if isinstance(each, str) else list(each) for name, each in (native or {}).items()}
    accessor = headers_of_frame(command, values).accessor
    accessor.session_id = session_id
    for name, value in headers.items():
        accessor.set_header(name, value)
    return Message(payload, accessor.message_headers)


def application_message(destination: str | None, payload: Any = b"hello", **headers: Any) -> Message[Any]:
    """What a template sends to the broker channel; *headers* by their names in messages."""
    accessor = SimpMessageHeaderAccessor(SimpMessageType.MESSAGE)
    accessor.destination = destination
    for name, value in headers.items():
        accessor.set_header(name, value)
    return Message(payload, accessor.message_headers)


class Rig:
    """A started broker for /topic and /queue. What goes out to clients is in ``outbound.messages``."""

    def __init__(
        self,
        *prefixes: str,
        outbound_executor: Executor | None = None,
        start: bool = True,
        scheduler: bool = False,
        **options: Any,
    ) -> None:
        self.inbound = ExecutorSubscribableChannel(name="inbound")
        self.outbound = RecordingChannel(outbound_executor, name="outbound")
        self.application = ExecutorSubscribableChannel(name="broker")
        for channel in (self.inbound, self.outbound, self.application):
            channel.set_interceptors([ImmutableMessageChannelInterceptor()])
        self.scheduler = ManualTaskScheduler()
        self.events = ApplicationEvents()
        if scheduler:
            options["task_scheduler"] = self.scheduler
        self.broker = SimpleBrokerMessageHandler(
            self.inbound,
            self.outbound,
            self.application,
            prefixes or ("/topic", "/queue"),
            events=self.events,
            **options,
        )
        if start:
            self.broker.start()

    # -- clients

    def client(self, command: StompCommand, session_id: str, native: Any = None, **headers: Any) -> Message[Any]:
        message = frame(command, session_id, native, **headers)
        self.inbound.send(message)
        return message

    def connect(self, session_id: str, heartbeat: tuple[int, int] | None = None, **headers: Any) -> Message[Any]:
        if heartbeat is not None:
            headers[HEARTBEAT] = heartbeat
        return self.client(StompCommand.CONNECT, session_id, {"accept-version": "1.2"}, **headers)

    def subscribe(self, session_id: str, id: str, destination: str, **native: str) -> Message[Any]:
        return self.client(StompCommand.SUBSCRIBE, session_id, {"id": id, "destination": destination, **native})

    def joined(self, session_id: str, id: str, destination: str) -> None:
        """Connected and subscribed; what went out meanwhile is forgotten."""
        self.connect(session_id)
        self.subscribe(session_id, id, destination)
        self.outbound.take()

    def send(
        self, session_id: str, destination: str, payload: Any = b"hello", native: Any = None, **headers: Any
    ) -> None:
        named = {"destination": destination, **(native or {})}
        self.client(StompCommand.SEND, session_id, named, payload=payload, **headers)

    # -- the application

    def publish(self, destination: str | None, payload: Any = b"hello", **headers: Any) -> None:
        self.application.send(application_message(destination, payload, **headers))

    # -- what came out

    def received(self) -> list[tuple[str, str]]:
        """Session and subscription of each message that subscribers got since the last call."""
        return [
            (message.headers[SESSION_ID], message.headers[SUBSCRIPTION_ID])
            for message in self.outbound.take()
            if message.headers[MESSAGE_TYPE] is SimpMessageType.MESSAGE
        ]

    def answers(self) -> list[tuple[Any, str | None, dict[str, str]]]:
        """Command (or type), session and first native headers of everything that went out since the last call."""
        return [
            (
                message.headers.get(COMMAND) or message.headers[MESSAGE_TYPE],
                message.headers.get(SESSION_ID),
                {name: values[0] for name, values in (message.headers.get("nativeHeaders") or {}).items()},
            )
            for message in self.outbound.take()
        ]
