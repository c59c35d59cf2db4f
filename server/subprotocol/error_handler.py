"""The hook that shapes ERROR frames (SPH-05)."""

from __future__ import annotations

from ...messaging.exceptions import describe
from ...messaging.message import Message
from ...messaging.stomp.command import StompCommand
from ...messaging.stomp.headers import StompHeaderAccessor


class StompSubProtocolErrorHandler:
    """Makes the ERROR that a client gets: the error's text, and ``receipt-id`` when the frame asked for a receipt.

    Override ``handle_internal`` to change it. Never put a stack trace in: it goes to the client.
    """

    def handle_client_message_processing_error(
        self, client_message: Message[bytes] | None, error: BaseException
    ) -> Message[bytes] | None:
        """What to send, or None to send nothing and leave the session open. *client_message* is None when it was no
        STOMP.
        """
        accessor = StompHeaderAccessor.create(StompCommand.ERROR)
        accessor.message = describe(error) or None
        client_accessor = None
        if client_message is not None:
            client_accessor = StompHeaderAccessor.get_accessor(client_message) or StompHeaderAccessor.wrap(
                client_message
            )
            accessor.receipt_id = client_accessor.receipt
        return self.handle_internal(accessor, b"", error, client_accessor)

    def handle_error_message_to_client(self, error_message: Message[bytes]) -> Message[bytes] | None:
        """May replace an ERROR that a broker sent; None keeps it."""
        accessor = StompHeaderAccessor.get_accessor(error_message) or StompHeaderAccessor.wrap(error_message)
        return self.handle_internal(accessor, error_message.payload, None, None)

    def handle_internal(
        self,
        error_accessor: StompHeaderAccessor,
        payload: bytes,
        cause: BaseException | None,
        client_accessor: StompHeaderAccessor | None,
    ) -> Message[bytes] | None:
        """For subclasses: the message from what was prepared."""
        if error_accessor.is_mutable:
            error_accessor.leave_mutable = True
        return Message(payload, error_accessor.message_headers)
