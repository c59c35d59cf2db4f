from __future__ import annotations

import pytest

from wellhead.messaging.exceptions import MessagingError
from wellhead.messaging.message import Message
from wellhead.messaging.stomp.command import StompCommand
from wellhead.messaging.stomp.encoder import StompEncoder
from wellhead.messaging.stomp.headers import StompHeaderAccessor
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
