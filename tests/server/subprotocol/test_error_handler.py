from __future__ import annotations

from typing import Any

import pytest
from kit.chat import Chat, Config
from kit.stomp import StompServer

from wellhead.messaging.exceptions import MessagingError
from wellhead.messaging.handler.annotations import message_mapping
from wellhead.messaging.message import Message
from wellhead.messaging.stomp.command import StompCommand
from wellhead.messaging.stomp.encoder import StompEncoder
from wellhead.messaging.stomp.headers import StompHeaderAccessor
from wellhead.server.config.app import WellheadApp
from wellhead.server.subprotocol.error_handler import StompSubProtocolErrorHandler


def frame(command: StompCommand, payload: bytes = b"", **native: str) -> Message[bytes]:
    accessor = StompHeaderAccessor.create(command, native_headers={name: [value] for name, value in native.items()})
    return Message(payload, accessor.message_headers)


def encoded(message: Message[bytes] | None) -> bytes:
    assert message is not None
    return StompEncoder().encode(message)


@pytest.mark.spec("SPH-05")
@pytest.mark.parametrize(
    ("client_message", "expected"),
    [
        (None, b"ERROR\nmessage:fake exception\ncontent-length:0\n\n\0"),
        (frame(StompCommand.SEND, b"x"), b"ERROR\nmessage:fake exception\ncontent-length:0\n\n\0"),
        (
            frame(StompCommand.SEND, b"x", receipt="123"),
            b"ERROR\nmessage:fake exception\nreceipt-id:123\ncontent-length:0\n\n\0",
        ),
    ],
)
def test_an_error_has_the_text_and_the_receipt(client_message, expected):
    handler = StompSubProtocolErrorHandler()
    assert (
        encoded(handler.handle_client_message_processing_error(client_message, ValueError("fake exception")))
        == expected
    )


@pytest.mark.spec("SPH-05")
def test_the_message_that_failed_is_not_told():
    error = MessagingError("no", frame(StompCommand.SEND, b"secret"))
    handled = StompSubProtocolErrorHandler().handle_client_message_processing_error(None, error)
    assert encoded(handled) == b"ERROR\nmessage:no\ncontent-length:0\n\n\0"


@pytest.mark.spec("SPH-05")
def test_an_error_that_shows_messages_or_addresses_has_no_text():
    error = RuntimeError(f"No session id in {frame(StompCommand.SEND, b'secret')}")
    handled = StompSubProtocolErrorHandler().handle_client_message_processing_error(None, error)
    assert encoded(handled) == b"ERROR\n\n\0"


@pytest.mark.spec("SPH-05")
def test_an_error_of_the_broker_is_kept():
    error = frame(StompCommand.ERROR, b"body", message="no")
    handled = StompSubProtocolErrorHandler().handle_error_message_to_client(error)
    assert encoded(handled) == b"ERROR\nmessage:no\ncontent-length:4\n\nbody\0"


class Shaping(StompSubProtocolErrorHandler):
    def __init__(self) -> None:
        self.seen = []

    def handle_internal(self, error_accessor, payload, cause, client_accessor):
        self.seen.append((payload, cause, client_accessor))
        if error_accessor.is_mutable:
            error_accessor.set_native_header("code", "7")
        return super().handle_internal(error_accessor, b"shaped", cause, client_accessor)


@pytest.mark.spec("SPH-05")
def test_a_subclass_shapes_what_was_prepared():
    handler, error = Shaping(), ValueError("no")
    client = frame(StompCommand.SEND)
    handled = handler.handle_client_message_processing_error(client, error)
    assert encoded(handled) == b"ERROR\nmessage:no\ncode:7\ncontent-length:6\n\nshaped\0"
    [(payload, cause, client_accessor)] = handler.seen
    assert (payload, cause, client_accessor.command) == (b"", error, StompCommand.SEND)
    handler.handle_error_message_to_client(frame(StompCommand.ERROR, b"body"))
    assert handler.seen[1] == (b"body", None, None)


class Secretive:
    name = "joe"

    def __repr__(self) -> str:
        return "Secretive(password=hunter2)"


class Ambiguous:
    @message_mapping("/q/{a}/z")
    def a(self) -> None: ...

    @message_mapping("/q/{b}/z")
    def b(self) -> None: ...


@pytest.mark.spec("SPH-05", "CH-03")
@pytest.mark.parametrize("with_handler", [False, True])
def test_a_client_learns_nothing_of_its_session_from_an_error(with_handler: bool, caplog: Any) -> None:
    class Handling(Config):
        def register_stomp_endpoints(self, registry: Any) -> None:
            super().register_stomp_endpoints(registry)
            if with_handler:
                registry.set_error_handler(StompSubProtocolErrorHandler())

    with StompServer(WellheadApp(None, Handling(), controllers=[Chat(), Ambiguous()])) as server:
        client = server.connected(principal=Secretive(), attributes={"token": "s3cret"})
        client.send("SEND", b"x", destination="/app/q/1/z")
        [error] = client.received()
    assert (error.command, dict(error.headers), error.body) == (
        "ERROR",
        {
            "message": "Failed to handle message to ExecutorSubscribableChannel[clientInboundChannel]",
            "content-length": "0",
        },
        b"",
    )
    assert "s3cret" in caplog.text and "hunter2" in caplog.text  # that is where to look for it
