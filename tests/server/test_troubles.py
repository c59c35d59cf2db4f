"""What goes wrong in a session: what its client gets, what the log says, and that nobody else notices."""

from __future__ import annotations

import logging

import pytest
from kit.chat import FRAMES, Bystander, Config, WithExecutor, error_of, make

from wellhead.messaging.channel import ChannelInterceptor
from wellhead.messaging.events import SessionDisconnectEvent
from wellhead.messaging.exceptions import MessagingError
from wellhead.messaging.simp.accessor import SimpMessageHeaderAccessor
from wellhead.messaging.stomp.command import StompCommand
from wellhead.messaging.stomp.headers import COMMAND
from wellhead.server.close import CloseStatus, EndReason


@pytest.fixture
def server():
    with make() as server:
        yield server


# -- mistakes of clients


MISTAKES = {
    "an unknown command": (b"NONSENSE\n\n\0", "Unknown STOMP command: 'NONSENSE'"),
    "a bad escape": (b"SEND\na:\\x\n\n\0", "Illegal escape sequence"),
    "a bad header": (b"SEND\nnonsense\n\n\0", "Illegal header"),
    "a payload where there may be none": (b"SUBSCRIBE\nid:0\n\nbody\0", "shouldn't have a payload"),
    "a wrong length": (b"SEND\ndestination:/a\ncontent-length:1\n\nabc\0", "null octet"),
    "a bad content type": (b"SEND\ndestination:/app/a\ncontent-type:x\n\n\0", "mime type"),
    "bytes that are no text": (b"SEND\n\xff:a\n\n\0", "UTF-8"),
    "a second CONNECT": (b"CONNECT\naccept-version:1.2\n\n\0", "Session already exists"),
    "an acknowledgement": (b"ACK\nid:1\n\n\0", "ACK is not supported"),
    "a transaction": (b"BEGIN\ntransaction:1\n\n\0", "BEGIN is not supported"),
}


@pytest.mark.spec("SPH-02", "SPH-05", "LOG-01")
@pytest.mark.parametrize(("data", "text"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_gets_an_error_a_log_line_and_harms_nobody(server, caplog, data, text):
    bystander = Bystander(server)
    client = server.connected("s9")
    with caplog.at_level(logging.INFO):
        client.send_bytes(data)
    assert text in error_of(client)["message"]
    assert [record for record in caplog.records if "s9" in record.getMessage()] != []
    assert bystander.is_well()


@pytest.mark.spec("SPH-02", "LOG-01")
@pytest.mark.parametrize("data", [b"SEND\ndestination:/app/room/7\n\nhi\0", b"\n", b"DISCONNECT\n\n\0"])
def test_nothing_may_come_before_connect(server, caplog, data):
    bystander = Bystander(server)
    client = server.open("s9")
    client.send_bytes(data)
    assert error_of(client)["message"] == "Unknown session: s9"
    assert "s9" in caplog.text
    assert bystander.is_well()


@pytest.mark.spec("SPH-01", "STOMP-03", "LOG-01")
@pytest.mark.parametrize(("size", "fits"), [(65_535, True), (65_536, True), (65_537, False)])
@pytest.mark.parametrize("pieces", [1, 3])
def test_the_size_limit_of_frames(server, caplog, size, fits, pieces):
    bystander = Bystander(server)
    client = server.connected("s9")
    client.subscribe("/topic/big")
    head = b"SEND\ndestination:/topic/big\n\n"
    data = head + b"x" * (size - len(head) - 1) + b"\0"
    assert len(data) == size
    for number in range(pieces):
        client.send_bytes(data[number * size // pieces : (number + 1) * size // pieces])
    if fits:
        [message] = client.received()
        assert len(message.body) == size - len(head) - 1
    elif pieces == 1 or not fits:
        assert "buffer size limit of 65536 bytes" in error_of(client)["message"]
        assert "s9" in caplog.text
    assert bystander.is_well()


# -- what goes wrong inside


@pytest.mark.spec("ANN-08", "LOG-01")
@pytest.mark.parametrize(
    ("destination", "body", "said"),
    [("/app/room/7", b"{nonsense", "s9"), ("/app/room/7", b'{"count":"many"}', "s9"), ("/app/fail", b"", "by zero")],
)
def test_an_error_in_a_controller_is_logged_and_nobody_hears(server, caplog, destination, body, said):
    bystander = Bystander(server)
    client = server.connected("s9")
    client.send("SEND", body, destination=destination, content_type="application/json")
    assert client.received() == []
    assert client.closed_with is None
    records = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert any("session=s9" in record.getMessage() and destination in record.getMessage() for record in records)
    assert bystander.is_well()


@pytest.mark.spec("ANN-08")
def test_an_error_with_a_handler_is_answered(server):
    client = server.connected()
    client.subscribe("/topic/errors")
    client.send("SEND", destination="/app/handled")
    assert [message.body for message in client.received()] == [b"handled handled"]


class Hook(ChannelInterceptor):
    """Lets *act* have a say on each frame of *command* of the session s9."""

    def __init__(self, command: StompCommand, act) -> None:
        self.command = command
        self.act = act

    def pre_send(self, message, channel):
        session_id = SimpMessageHeaderAccessor.get_accessor(message).session_id
        ours = message.headers.get(COMMAND) is self.command and session_id == "s9"
        return self.act(message) if ours else message


def veto(message) -> None:
    return None


def refuse(message) -> None:
    raise MessagingError("Access Denied")


def fail(message) -> None:
    raise ZeroDivisionError("by zero")


DENIED = "Access Denied"
FAILED = "Failed to send message to ExecutorSubscribableChannel[clientInboundChannel]"


@pytest.mark.spec("SPH-02", "SPH-05", "SPH-07", "EVT-01", "LOG-01")
@pytest.mark.parametrize("config", [Config, WithExecutor])
@pytest.mark.parametrize("command", FRAMES)
@pytest.mark.parametrize(("act", "text"), [(refuse, DENIED), (fail, FAILED)])
def test_an_interceptor_that_raises(caplog, config, command, act, text):
    with make(Hook(command, act), config=config) as server, caplog.at_level(logging.DEBUG):
        client = server.open("s9")
        for each in FRAMES:
            client.send_bytes(FRAMES[each])
            server.run_tasks()
            if each is command:
                break
        assert error_of(client)["message"] == text
        said = [record for record in caplog.records if "s9" in record.getMessage() and text in record.getMessage()]
        assert len(said) == 1


@pytest.mark.spec("SPH-02", "SPH-07", "LOG-01")
@pytest.mark.parametrize("config", [Config, WithExecutor])
@pytest.mark.parametrize("command", [StompCommand.SUBSCRIBE, StompCommand.SEND])
def test_an_interceptor_that_vetoes_is_silent(caplog, config, command):
    with make(Hook(command, veto), config=config) as server, caplog.at_level(logging.DEBUG):
        client = server.open("s9")
        for each in FRAMES.values():
            client.send_bytes(each)
            server.run_tasks()
        assert [frame.command for frame in client.received()] == ["CONNECTED"]
        assert client.closed_with is None
        assert f"vetoed {command.value} of session s9" in caplog.text


@pytest.mark.spec("SPH-02", "SPH-07", "LOG-01")
@pytest.mark.parametrize("config", [Config, WithExecutor])
def test_an_interceptor_that_vetoes_connect_ends_the_session(caplog, config):
    with make(Hook(StompCommand.CONNECT, veto), config=config) as server, caplog.at_level(logging.DEBUG):
        client = server.open("s9")
        client.send_bytes(b"".join(FRAMES.values()))
        server.run_tasks()
        assert error_of(client)["message"] == "CONNECT was refused"
        assert "vetoed CONNECT of session s9" in caplog.text


@pytest.mark.spec("SPH-05")
def test_errors_harm_nobody_else():
    with make(Hook(StompCommand.SEND, refuse)) as server:
        bystander = Bystander(server)
        client = server.connected("s9")
        client.send_bytes(FRAMES[StompCommand.SEND])
        assert error_of(client)["message"] == DENIED
        assert bystander.is_well()


@pytest.mark.spec("SWS-04", "CDS-02", "EVT-01", "LOG-01")
@pytest.mark.parametrize("payload", ["x" * 65_536, b"x" * 65_536], ids=["text", "binary"])
def test_a_client_that_does_not_read_is_ended_and_harms_nobody(server, caplog, payload):
    ended = []
    server.app.events.connect(SessionDisconnectEvent, ended.append)
    slow, quick = server.connected("s9"), server.connected()
    for client in (slow, quick):
        client.subscribe("/topic/big")
    slow.session.blocked = True
    for _ in range(20):
        server.app.template.convert_and_send("/topic/big", payload)
        assert len(quick.received()) == 1
    server.runtime.scheduler.advance(0)  # a worker tells of it
    assert slow.closed_with == CloseStatus.SESSION_NOT_RELIABLE
    assert [(event.session_id, event.reason) for event in ended] == [("s9", EndReason.SEND_BUFFER_LIMIT)]
    assert "Terminating 's9'" in caplog.text
    assert server.app.stats.web_socket_session_stats.limit_exceeded == 1
