"""stomp.py over WebSocket, which uses websocket-client."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kit.needs import needs_python_package
from kit.programs import ServerProgram
from kit.serving import TIMEOUT

pytestmark = [
    pytest.mark.integration,
    pytest.mark.modes("unpatched"),
    needs_python_package("stomp", install="pip install stomp.py"),
    needs_python_package("websocket", install="pip install websocket-client"),
]

BEATS = 10
PATIENCE = 10
"""Intervals without a heart-beat until the client gives up. Its own one and a half are little on a busy machine."""
MESSAGES = 1_000
ALL_BYTES = bytes(range(256))
TEXT = "Grüße, Ελληνικά, 漢字, \U0001f600\U0010ffff, e\u0301, \u2028"
AWKWARD = "co:lon back\\slash line\nfeed"
VERSIONS = ("1.0", "1.1", "1.2")


class Client:
    """A connection of stomp.py, and the listener that keeps what came."""

    def __init__(self, port: int, version: str = "1.2", *, heartbeats: tuple[int, int] = (0, 0), binary: bool = False):
        self.events: list[tuple[str, Any]] = []
        self._changed = threading.Condition()
        self.connection = make_connection(port, version, heartbeats, binary)
        self.connection.set_listener("test", self)
        self.on_connect: Callable[[], None] = lambda: None

    def connect(self) -> Client:
        self.connection.connect()
        self.wait_for("connected")
        return self

    def subscribe(self, destination: str) -> str:
        """Returns the subscription's id, once the server has taken it."""
        subscription = uuid.uuid4().hex
        self.connection.subscribe(destination, id=subscription, headers={"receipt": f"sub {subscription}"})
        self.wait_for("receipt", lambda frame: frame.headers["receipt-id"] == f"sub {subscription}")
        return subscription

    def send(self, destination: str, body: str | bytes, **headers: str) -> None:
        self.connection.send(destination, body, headers=headers)

    def disconnect(self) -> None:
        """With a receipt, as stomp.py always does."""
        self.connection.disconnect(receipt="bye")
        self.wait_for("disconnected")

    def wait_for(self, kind: str, matches: Callable[[Any], bool] = lambda frame: True, *, count: int = 1) -> Any:
        """The *count*-th event of this kind that matches, once it has come."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.seen(kind, matches)) >= count, 3 * TIMEOUT):
                raise AssertionError(f"{len(self.seen(kind, matches))} of {count} {kind}: {self.events[-5:]}")
            return self.seen(kind, matches)[count - 1]

    def seen(self, kind: str, matches: Callable[[Any], bool] = lambda frame: True) -> list[Any]:
        return [frame for each, frame in self.events if each == kind and matches(frame)]

    @property
    def bodies(self) -> list[bytes]:
        return [frame.body for frame in self.seen("message")]

    def _add(self, kind: str, frame: Any = None) -> None:
        with self._changed:
            self.events.append((kind, frame))
            self._changed.notify_all()

    # What stomp.py calls, in its thread.

    def on_connected(self, frame: Any) -> None:
        self._add("connected", frame)
        self.on_connect()

    def on_message(self, frame: Any) -> None:
        self._add("message", frame)

    def on_receipt(self, frame: Any) -> None:
        self._add("receipt", frame)

    def on_error(self, frame: Any) -> None:
        self._add("error", frame)

    def on_heartbeat(self) -> None:
        self._add("heart-beat received")

    def on_send(self, frame: Any) -> None:
        if frame.cmd is None:
            self._add("heart-beat sent")

    def on_disconnected(self) -> None:
        self._add("disconnected")


def make_connection(port: int, version: str, heartbeats: tuple[int, int], binary: bool) -> Any:
    """What stomp.WSStompConnection does, which is for 1.2 alone."""
    from stomp import connect, protocol
    from stomp.adapter.ws import WSTransport

    base: Any = getattr(connect, f"StompConnection{version.replace('.', '')}")
    speaks: Any = getattr(protocol, f"Protocol{version.replace('.', '')}")

    class Connection(base):  # type: ignore[misc]  # stomp.py has no types
        def __init__(self) -> None:
            transport = WSTransport([("127.0.0.1", port)], ws_path="/ws", auto_decode=False, binary_mode=binary)
            connect.BaseConnection.__init__(self, transport)
            beats = {"heartbeats": heartbeats, "heart_beat_receive_scale": PATIENCE}
            speaks.__init__(self, transport, **({} if version == "1.0" else beats))

    return Connection()


@pytest.fixture
def connect(server: ServerProgram) -> Iterator[Callable[..., Client]]:
    """Makes connected clients."""
    clients: list[Client] = []

    def make(version: str = "1.2", **options: Any) -> Client:
        clients.append(Client(server.port, version, **options))
        return clients[-1].connect()

    yield make
    for client in clients:
        if client.connection.is_connected():
            client.disconnect()


@pytest.fixture(scope="module", autouse=True)
def beating(server: ServerProgram) -> Iterator[Client]:
    """A client with heart-beats of a second, which goes on while the other tests run."""
    client = Client(server.port, heartbeats=(1_000, 1_000)).connect()
    yield client
    client.disconnect()


@pytest.fixture
def destination() -> str:
    return f"/topic/{uuid.uuid4().hex}"


@pytest.mark.spec("SPH-06", "SWS-01")
@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_connects_and_gets_its_message(
    connect: Callable[..., Client], destination: str, version: str
) -> None:
    client = connect(version)
    assert client.seen("connected")[0].headers["version"] == version
    subscription = client.subscribe(destination)
    client.send(destination, "hello")
    message = client.wait_for("message")
    assert (message.body, message.headers["subscription"]) == (b"hello", subscription)
    assert message.headers["destination"] == destination
    client.disconnect()
    assert [frame.headers["receipt-id"] for frame in client.seen("receipt")][-1] == "bye"
    assert client.seen("error") == []


@pytest.mark.spec("SB-03", "SB-06", "SPH-07")
def test_thousand_messages_arrive_in_order(connect: Callable[..., Client], destination: str) -> None:
    client = connect()
    client.subscribe(destination)
    for number in range(MESSAGES):
        client.send(destination, str(number))
    client.send(destination, "end")
    client.wait_for("message", count=MESSAGES + 1)
    assert client.bodies == [*(b"%d" % number for number in range(MESSAGES)), b"end"]


@pytest.mark.spec("ANN-02", "ANN-07", "SPH-07")
def test_thousand_messages_through_a_controller_arrive_in_order(connect: Callable[..., Client]) -> None:
    client = connect()
    name = uuid.uuid4().hex
    client.subscribe(f"/topic/echo/{name}")
    for number in range(MESSAGES):
        client.send(f"/app/echo/{name}", str(number))
    client.send(f"/app/echo/{name}", "end")
    client.wait_for("message", count=MESSAGES + 1)
    assert client.bodies == [*(b"%d" % number for number in range(MESSAGES)), b"end"]


@pytest.mark.spec("SPH-06", "SB-03")
def test_every_frame_gets_its_receipt(connect: Callable[..., Client], destination: str) -> None:
    client = connect()
    subscription = client.subscribe(destination)
    client.send(destination, "one", receipt="sent")
    client.connection.unsubscribe(subscription, headers={"receipt": "left"})
    client.send(destination, "two", receipt="sent to nobody")
    client.disconnect()
    receipts = [frame.headers["receipt-id"] for frame in client.seen("receipt")]
    assert receipts == [f"sub {subscription}", "sent", "left", "sent to nobody", "bye"]
    assert client.bodies == [b"one"]


@pytest.mark.spec("STOMP-01", "STOMP-02", "SPH-04")
def test_bodies_of_all_bytes(connect: Callable[..., Client], destination: str) -> None:
    client = connect(binary=True)
    client.subscribe(destination)
    client.send(destination, ALL_BYTES * 3, **{"content-type": "application/octet-stream"})
    message = client.wait_for("message")
    assert message.body == ALL_BYTES * 3
    assert message.headers["content-length"] == "768"


@pytest.mark.spec("STOMP-01", "STOMP-02")
def test_unicode(connect: Callable[..., Client], destination: str) -> None:
    client = connect()
    client.subscribe(f"{destination}/größe-😀")
    client.send(f"{destination}/größe-😀", TEXT, **{"x-größe-😀": "漢字 \U0001f600"})
    message = client.wait_for("message")
    assert message.body.decode() == TEXT
    assert message.headers["x-größe-😀"] == "漢字 \U0001f600"
    assert message.headers["destination"] == f"{destination}/größe-😀"


@pytest.mark.spec("STOMP-01", "STOMP-02")
@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_headers_with_escapes(connect: Callable[..., Client], destination: str, version: str) -> None:
    client = connect(version)
    client.subscribe(destination)
    # stomp.py escapes values and unescapes both.
    client.send(destination, "escapes", value=AWKWARD, **{"na\\cme\\nof \\\\ two": "x"})
    message = client.wait_for("message")
    assert message.headers["value"] == AWKWARD
    assert message.headers["na:me\nof \\ two"] == "x"


@pytest.mark.spec("STOMP-03", "SPH-01")
def test_body_of_60_kilobytes(connect: Callable[..., Client], destination: str) -> None:
    client = connect()
    client.subscribe(destination)
    text = "0123456789abcdef" * (60 * 1024 // 16)
    client.send(destination, text)
    assert client.wait_for("message").body.decode() == text


@pytest.mark.spec("SPH-08", "SB-02")
def test_reconnect_and_subscribe_anew(connect: Callable[..., Client], destination: str) -> None:
    client = connect()

    def greet() -> None:
        client.connection.subscribe(destination, id="0")
        client.send(destination, f"hello {len(client.seen('connected'))}")

    client.on_connect = greet
    greet()
    client.wait_for("message")
    for count in (2, 3):
        client.send("/app/drop-me", "")
        client.wait_for("disconnected", count=count - 1)
        client.connection.connect()
        client.wait_for("message", count=count)
    assert client.bodies == [b"hello 1", b"hello 2", b"hello 3"]


@pytest.mark.spec("SPH-05")
def test_error_frame_says_why(connect: Callable[..., Client]) -> None:
    client = connect()
    client.connection.begin("tx-1")
    error = client.wait_for("error")
    assert error.headers["message"] == "BEGIN is not supported by the simple broker"
    client.wait_for("disconnected")


@pytest.mark.spec("SB-04", "SPH-02")
def test_heart_beats_both_ways_for_ten_seconds(beating: Client) -> None:
    """The last one: it waits for what began with the first."""
    assert beating.seen("connected")[0].headers["heart-beat"] == "1000,1000"
    beating.wait_for("heart-beat received", count=BEATS)
    beating.wait_for("heart-beat sent", count=BEATS + 1)  # Told before it is sent: then the one before is on its way.
    beating.subscribe("/app/heartbeats")
    assert int(beating.wait_for("message").body) >= BEATS
    assert beating.seen("disconnected") == beating.seen("error") == []
