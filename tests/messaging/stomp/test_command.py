"""The table of STOMP commands (MSG-07)."""

from __future__ import annotations

import copy
import pickle

import pytest

from wellhead.messaging.stomp import frame
from wellhead.messaging.stomp.command import COMMANDS, StompCommand

# command, message type, destination required, subscription id required, body allowed
TABLE = [
    ("STOMP", "CONNECT", False, False, False),
    ("CONNECT", "CONNECT", False, False, False),
    ("DISCONNECT", "DISCONNECT", False, False, False),
    ("SUBSCRIBE", "SUBSCRIBE", True, True, False),
    ("UNSUBSCRIBE", "UNSUBSCRIBE", False, True, False),
    ("SEND", "MESSAGE", True, False, True),
    ("ACK", "OTHER", False, False, False),
    ("NACK", "OTHER", False, False, False),
    ("BEGIN", "OTHER", False, False, False),
    ("COMMIT", "OTHER", False, False, False),
    ("ABORT", "OTHER", False, False, False),
    ("CONNECTED", "OTHER", False, False, False),
    ("RECEIPT", "OTHER", False, False, False),
    ("MESSAGE", "MESSAGE", True, True, True),
    ("ERROR", "OTHER", False, False, True),
]


@pytest.mark.spec("MSG-07")
@pytest.mark.parametrize("text, type_name, destination, subscription_id, body", TABLE)
def test_command_has_the_type_and_the_requirements_of_the_table(
    text: str, type_name: str, destination: bool, subscription_id: bool, body: bool
) -> None:
    command = StompCommand(text)

    assert command is StompCommand[text] is COMMANDS[text]
    assert (command.value, str(command)) == (text, text)
    assert command.message_type_name == type_name
    assert command.requires_destination is destination
    assert command.requires_subscription_id is subscription_id
    assert command.body_allowed is body


@pytest.mark.spec("MSG-07")
def test_there_are_no_other_commands() -> None:
    assert [command.value for command in StompCommand] == [row[0] for row in TABLE]
    assert list(COMMANDS) == [row[0] for row in TABLE]


@pytest.mark.spec("STOMP-01")
@pytest.mark.parametrize("text", ["", "FOO", "send", "SEND "])
def test_unknown_text_is_no_command(text: str) -> None:
    with pytest.raises(ValueError):
        StompCommand(text)
    assert text not in COMMANDS


@pytest.mark.spec("MSG-07", "STOMP-01")
def test_frame_codec_knows_the_same_commands_and_bodies() -> None:
    assert set(COMMANDS) == frame.COMMANDS
    assert {text for text, command in COMMANDS.items() if command.body_allowed} == frame.WITH_BODY


@pytest.mark.spec("MSG-07")
def test_commands_are_singletons_with_a_hash_that_copies_share() -> None:
    for command in StompCommand:
        assert copy.deepcopy(command) is command
        assert pickle.loads(pickle.dumps(command)) is command
        assert {command: 1}[StompCommand(command.value)] == 1
