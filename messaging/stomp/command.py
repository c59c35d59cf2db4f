"""The STOMP commands and what each of them implies (MSG-07).

Stands beside the frame codec: the codec knows commands as plain text, everything above it uses this table. Imports only
the standard library.
"""

from __future__ import annotations

import enum

from ..enums import plain_members

# Command -> the name of its simp message type; OTHER where there is none.
_MESSAGE_TYPES = {
    "STOMP": "CONNECT",
    "CONNECT": "CONNECT",
    "DISCONNECT": "DISCONNECT",
    "SUBSCRIBE": "SUBSCRIBE",
    "UNSUBSCRIBE": "UNSUBSCRIBE",
    "SEND": "MESSAGE",
    "MESSAGE": "MESSAGE",
}


@plain_members
class StompCommand(enum.Enum):
    """A STOMP command of any version. ``value`` is the text on the wire, which is case sensitive.

    ``StompCommand(text)`` looks one up and raises ValueError for an unknown one; ``COMMANDS.get(text)`` is quicker.
    What is "required" is a classification only: nothing here refuses a SEND without a destination.
    """

    STOMP = "STOMP"
    CONNECT = "CONNECT"
    DISCONNECT = "DISCONNECT"
    SUBSCRIBE = "SUBSCRIBE"
    UNSUBSCRIBE = "UNSUBSCRIBE"
    SEND = "SEND"
    ACK = "ACK"
    NACK = "NACK"
    BEGIN = "BEGIN"
    COMMIT = "COMMIT"
    ABORT = "ABORT"
    CONNECTED = "CONNECTED"
    RECEIPT = "RECEIPT"
    MESSAGE = "MESSAGE"
    ERROR = "ERROR"

    message_type_name: str
    """The name of the simp message type that a message of this command has."""
    requires_destination: bool
    requires_subscription_id: bool
    body_allowed: bool
    """False: a frame of this command with a body is refused by the decoder."""

    def __init__(self, wire_text: str) -> None:
        self.message_type_name = _MESSAGE_TYPES.get(wire_text, "OTHER")
        self.requires_destination = wire_text in ("SUBSCRIBE", "SEND", "MESSAGE")
        self.requires_subscription_id = wire_text in ("SUBSCRIBE", "UNSUBSCRIBE", "MESSAGE")
        self.body_allowed = wire_text in ("SEND", "MESSAGE", "ERROR")

    # Members are singletons; the hash of enum.Enum is Python code, which a dict look-up on the hot path would pay for.
    __hash__ = object.__hash__

    def __str__(self) -> str:
        return str(self.value)


COMMANDS: dict[str, StompCommand] = {command.value: command for command in StompCommand}
"""All commands by their text on the wire."""
