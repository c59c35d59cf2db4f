"""Broadcasts through all stations from the broker to the sessions: whatever happens meanwhile, each session gets
everything once and in order.
"""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.brokers import application_message
from kit.flushing import FakeFrameWritingSession, FakeNonBlockingSession, ManualFlusher
from kit.sessions import FakeWebSocketSession
from kit.stomp_socket import stomp

from wellhead.messaging.broker.simple import SimpleBrokerMessageHandler
from wellhead.messaging.channel import ChannelInterceptor
from wellhead.messaging.message import Message
from wellhead.messaging.simp.accessor import SESSION_ID, SUBSCRIPTION_ID
from wellhead.messaging.stomp.frame import StompFrame
from wellhead.messaging.stomp.frame_parser import FrameParser
from wellhead.messaging.subscribable import ExecutorSubscribableChannel, ImmutableMessageChannelInterceptor
from wellhead.server.close import CloseStatus, EndReason
from wellhead.server.message import TextMessage
from wellhead.server.subprotocol.endpoint import SubProtocolWebSocketHandler
from wellhead.server.subprotocol.mailing import MANY, BroadcastMailing
from wellhead.server.subprotocol.stomp import StompSubProtocolHandler

SESSIONS = 24
TOPICS = {"a": range(20), "b": range(4, 24), "few": range(2, 2 + MANY - 1)}
"""Who subscribes to what at first; a few more have a pattern that matches all of them."""


class Client:
    """One end of a session: what it got, and whether it was closed."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.subscriptions: dict[str, str] = {}
        self.expected: list[str] = []
        self.is_over = False
        self._parser = FrameParser(max_buffered_bytes=10_000_000)
        self._read = 0
        self._got: list[str] = []

    @property
    def id(self) -> str:
        return str(self.session.id)

    def got(self) -> list[str]:
        """Bodies of messages and ids of receipts."""
        for message in self.session.sent[self._read :]:
            for frame in self._parser.receive_frames(message.as_bytes()):
                if isinstance(frame, StompFrame) and frame.command != "CONNECTED":
                    headers = dict(frame.headers)
                    self._got.append(headers.get("receipt-id") or f"{headers['subscription']}:{frame.body.decode()}")
        self._read = len(self.session.sent)
        return self._got

    def matching(self, topic: str) -> list[str]:
        """Ids of the subscriptions, as the broker orders them."""
        exact = [id for id, each in self.subscriptions.items() if each == topic]
        return exact + [id for id, each in self.subscriptions.items() if each == "*"]


class Meddler(ChannelInterceptor):
    """Looks into what goes to some sessions, changes it, or does not let it pass."""

    def __init__(self) -> None:
        self.looks: set[str] = set()
        self.changes: set[str] = set()
        self.vetoes: set[str] = set()

    def pre_send(self, message: Message[Any], channel: object) -> Message[Any] | None:
        session_id = message.subscription.session_id if hasattr(message, "subscription") else None
        if session_id in self.vetoes:
            return None
        if session_id in self.changes:
            return Message(b"changed " + message.payload, message.headers)
        if session_id in self.looks:
            assert message.headers[SESSION_ID] == session_id
        return message


class World:
    """A broker, its channels, an endpoint and sessions that a test moves by hand."""

    def __init__(self, *kinds: type[Any], sessions: int = SESSIONS, **options: Any) -> None:
        self.flusher = ManualFlusher()
        self.inbound = ExecutorSubscribableChannel(name="inbound")
        self.outbound = ExecutorSubscribableChannel(name="outbound")
        self.broker_channel = ExecutorSubscribableChannel(name="broker")
        self.freezing = ImmutableMessageChannelInterceptor()
        for channel in (self.inbound, self.outbound, self.broker_channel):
            channel.add_interceptor(self.freezing)
        self.endpoint = SubProtocolWebSocketHandler(self.inbound, self.outbound, **options)
        self.stomp = StompSubProtocolHandler()
        self.endpoint.add_protocol_handler(self.stomp)
        self.broker = SimpleBrokerMessageHandler(self.inbound, self.outbound, self.broker_channel, ("/topic",))
        self.endpoint.start()
        self.broker.start()
        self.meddler = Meddler()
        self.meddles = False
        kinds = kinds or (FakeFrameWritingSession,)
        self.clients = [self.connect(f"s{number}", kinds[number % len(kinds)]) for number in range(sessions)]
        self.turn()

    def connect(self, session_id: str, kind: type[Any] = FakeFrameWritingSession) -> Client:
        options = {} if kind is FakeWebSocketSession else {"flusher": self.flusher}
        client = Client(kind(session_id, **options))
        self.endpoint.after_connection_established(client.session)
        self.tell(client, "CONNECT", accept_version="1.2", host="localhost")
        return client

    def tell(self, client: Client, command: str, body: bytes = b"", **headers: str) -> None:
        self.endpoint.handle_message(client.session, TextMessage(stomp(command, body, **headers)))

    # -- steps

    def subscribe(self, number: int, topic: str, id: str, receipt: bool = False) -> None:
        client = self.clients[number]
        if client.is_over or id in client.subscriptions:
            return
        extra = {"receipt": f"receipt-{len(client.expected)}"} if receipt else {}
        self.tell(client, "SUBSCRIBE", id=id, destination=f"/topic/{topic}", **extra)
        client.subscriptions[id] = topic
        client.expected += extra.values()

    def unsubscribe(self, number: int, id: str) -> None:
        client = self.clients[number]
        if not client.is_over and client.subscriptions.pop(id, None) is not None:
            self.tell(client, "UNSUBSCRIBE", id=id)

    def publish(self, topic: str, body: str, sender: int | None = None) -> None:
        """From the application, or by a client, who asks for a receipt."""
        for client in self.clients:
            if not client.is_over and not (self.meddles and client.id in self.meddler.vetoes):
                changed = "changed " if self.meddles and client.id in self.meddler.changes else ""
                client.expected += [f"{id}:{changed}{body}" for id in client.matching(topic)]
        if sender is None or self.clients[sender].is_over:
            self.broker_channel.send(application_message(f"/topic/{topic}", body.encode()))
        else:
            client = self.clients[sender]
            receipt = f"receipt-{len(client.expected)}"
            client.expected.append(receipt)
            self.tell(client, "SEND", body.encode(), destination=f"/topic/{topic}", receipt=receipt)

    def direct(self, number: int, body: str) -> None:
        client = self.clients[number]
        if not client.is_over:
            client.expected.append(f"direct:{body}")
        headers = {SESSION_ID: client.id, SUBSCRIPTION_ID: "direct"}
        self.outbound.send(application_message("/topic/direct", body.encode(), **headers))

    def disconnect(self, number: int) -> None:
        client = self.clients[number]
        if not client.is_over:
            client.is_over = True
            self.tell(client, "DISCONNECT")

    def vanish(self, number: int) -> None:
        client = self.clients[number]
        if not client.is_over:
            client.is_over = True
            client.session.vanish()
            self.endpoint.after_connection_closed(
                client.session, CloseStatus.NO_CLOSE_FRAME.with_cause(EndReason.CLIENT_VANISHED)
            )

    def meddle(self, on: bool) -> None:
        if on != self.meddles:
            self.meddles = on
            self.outbound.set_interceptors([self.meddler, self.freezing] if on else [self.freezing])

    def turn(self) -> None:
        self.flusher.turn()
        for client in self.clients if hasattr(self, "clients") else ():
            if client.session.closed_with and not client.is_over:
                client.is_over = True
            if client.session.closed_with:
                self.endpoint.after_connection_closed(client.session, client.session.closed_with[0])

    # -- what came of it

    def is_well(self) -> bool:
        """Whether nobody got anything wrong, twice or out of order, so far."""
        for client in self.clients:
            got = client.got()
            assert got == client.expected[: len(got)], client.id
        return True

    def is_complete(self) -> bool:
        """Whether in the end everybody got everything."""
        self.turn()
        for client in self.clients:
            if hasattr(client.session, "take"):
                client.session.take()
        self.turn()
        assert self.flusher.mailing is None
        assert self.is_well()
        return all(client.got() == client.expected for client in self.clients if client.session.is_open)


def someone(*names: str) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.tuples(st.sampled_from(names), st.integers(0, SESSIONS - 1))


topics = st.sampled_from([*TOPICS])
published = st.tuples(st.just("publish"), topics, st.one_of(st.none(), st.integers(0, SESSIONS - 1)))
Steps = st.lists(
    st.one_of(
        published,
        published,
        st.tuples(st.just("write"), st.integers(1, SESSIONS)),
        someone("direct", "disconnect", "vanish", "block", "take", "refuse frames"),
        someone("look", "change", "veto"),
        st.tuples(st.just("subscribe"), st.integers(0, SESSIONS - 1), st.sampled_from([*TOPICS, "*"]), st.booleans()),
        st.tuples(st.just("unsubscribe"), st.integers(0, SESSIONS - 1), st.sampled_from([*TOPICS, "*"])),
        st.tuples(st.just("meddle"), st.booleans()),
        st.just(("turn",)),
    ),
    max_size=50,
)


def walk(world: World, steps: list[tuple[Any, ...]]) -> None:
    for topic, numbers in TOPICS.items():
        for number in numbers:
            world.subscribe(number, topic, topic)
    for count, (step, *arguments) in enumerate(steps):
        number = arguments[0] if arguments else None
        body = f"{count}"
        if step == "publish":
            world.publish(arguments[0], body, arguments[1])
        elif step == "direct":
            world.direct(arguments[0], body)
        elif step == "subscribe":
            world.subscribe(arguments[0], arguments[1], arguments[1], arguments[2])
        elif step == "unsubscribe":
            world.unsubscribe(arguments[0], arguments[1])
        elif step == "write":
            world.flusher.write_mailing(arguments[0])
        elif step == "block":
            world.clients[arguments[0]].session.blocked = True
        elif step == "take":
            world.clients[arguments[0]].session.take()
        elif step == "refuse frames":
            world.clients[arguments[0]].session.takes_frames = False
        elif step in ("look", "change", "veto"):
            getattr(world.meddler, {"look": "looks", "change": "changes", "veto": "vetoes"}[step]).add(f"s{number}")
        else:
            getattr(world, step)(*arguments)
        assert world.is_well()
    assert world.is_complete()


@pytest.mark.spec("SB-03", "CDS-01", "SWS-04")
@given(Steps)
@settings(deadline=None)
def test_each_session_gets_everything_once_and_in_order(steps: list[tuple[Any, ...]]) -> None:
    walk(World(FakeFrameWritingSession, FakeFrameWritingSession, FakeNonBlockingSession), steps)


# -- which way a broadcast takes


@pytest.fixture
def world() -> World:
    world = World()
    for number in range(SESSIONS):
        world.subscribe(number, "a", "a")
    world.flusher.requests = 0
    return world


def is_mailed(world: World) -> bool:
    """Whether what was just published is kept once."""
    return isinstance(world.flusher.mailing, BroadcastMailing) and world.flusher.requests == 0


@pytest.mark.spec("SB-03")
@pytest.mark.parametrize(("count", "is_many"), [(MANY - 1, False), (MANY, True), (MANY + 1, True)])
def test_a_broadcast_to_many_is_kept_once(world: World, count: int, is_many: bool) -> None:
    for number in range(count):
        world.subscribe(number, "c", "c")
    world.turn()
    world.flusher.requests = 0
    world.publish("c", "hello")
    assert is_mailed(world) is is_many
    assert world.is_complete()


@pytest.mark.spec("SB-03", "CH-04")
def test_an_interceptor_that_does_not_look_costs_nobody_the_short_way(world: World) -> None:
    world.meddle(True)
    world.publish("a", "1")
    world.publish("a", "2")
    assert is_mailed(world)
    world.turn()
    assert [client.session.frame_writes for client in world.clients] == [1] * SESSIONS
    assert world.is_complete()


@pytest.mark.spec("SB-03", "CH-04")
def test_what_an_interceptor_changes_keeps_its_place(world: World) -> None:
    world.publish("a", "1")
    world.meddle(True)
    world.meddler.changes.add("s20")
    world.publish("a", "2")
    world.meddle(False)
    world.publish("a", "3")
    assert world.is_complete()
    assert world.clients[20].got() == ["a:1", "a:changed 2", "a:3"]


@pytest.mark.spec("SB-03")
def test_bytes_that_are_no_text_come_between_texts(world: World) -> None:
    world.publish("a", "1")
    world.broker_channel.send(application_message("/topic/a", b"\xff"))
    world.publish("a", "2")
    world.turn()
    for client in world.clients:
        first, binary, last = client.session.sent[-3:]
        assert binary.as_bytes().endswith(b"\n\n\xff\0")
        assert first.as_bytes().endswith(b"\n\n1\0")
        assert last.as_bytes().endswith(b"\n\n2\0")


@pytest.mark.spec("SWS-01", "SWS-04")
def test_with_a_second_protocol_each_message_goes_by_its_handler(world: World) -> None:
    class Other(StompSubProtocolHandler):
        @property
        def supported_protocols(self) -> list[str]:
            return ["other"]

    world.endpoint.add_protocol_handler(Other())
    world.publish("a", "1")
    assert world.flusher.mailing is None
    assert world.is_complete()
    world.endpoint.set_protocol_handlers([world.stomp])
    world.flusher.requests = 0
    world.publish("a", "2")
    assert is_mailed(world)
    assert world.is_complete()
    world.endpoint.default_protocol_handler = Other()
    world.publish("a", "3")
    assert world.flusher.mailing is None
    assert world.is_complete()


@pytest.mark.spec("SWS-02")
@pytest.mark.parametrize("first", [FakeFrameWritingSession, FakeWebSocketSession])
def test_sessions_of_several_loops_or_none_get_theirs_without_a_mailing(first: type[Any]) -> None:
    second = FakeWebSocketSession if first is FakeFrameWritingSession else FakeFrameWritingSession
    world = World(first, second)
    for number in range(SESSIONS):
        world.subscribe(number, "a", "a")
    world.publish("a", "1")
    assert world.flusher.mailing is None
    world.direct(3, "2")
    assert world.is_complete()


@pytest.mark.spec("SWS-02")
def test_a_session_of_another_loop_that_comes_between_is_no_trouble(world: World) -> None:
    world.publish("a", "1")
    world.clients.append(world.connect("plain", FakeWebSocketSession))
    world.subscribe(SESSIONS, "a", "a")
    world.publish("a", "2")
    assert world.is_complete()
    assert world.clients[-1].got() == ["a:2"]


@pytest.mark.spec("SB-03", "CDS-01")
def test_a_thread_publishes_after_what_was_published_before(world: World) -> None:
    world.publish("a", "1")
    thread = threading.Thread(target=lambda: world.publish("a", "2"))
    thread.start()
    world.flusher.turn_until_ended(thread)
    world.publish("a", "3")
    assert world.is_complete()


@pytest.mark.spec("SB-03", "CDS-01")
def test_a_thread_closes_a_session_after_what_was_published(world: World) -> None:
    world.publish("a", "1")
    thread = threading.Thread(target=lambda: world.endpoint.close_session("s5"))
    thread.start()
    world.flusher.turn_until_ended(thread)
    assert world.is_complete()
    assert world.clients[5].got() == ["a:1"]
    assert world.clients[5].session.closed_with == [CloseStatus.NORMAL]


@pytest.mark.spec("SWS-05")
def test_stopping_delivers_what_was_published(world: World) -> None:
    world.publish("a", "1")
    world.publish("a", "2")
    world.endpoint.stop()
    for client in world.clients:
        assert client.got() == ["a:1", "a:2"]
        assert client.session.closed_with == [CloseStatus.GOING_AWAY]


# -- failures


def fill(world: World, number: int, limit: int) -> None:
    """The session does not read, and its buffer is as full as it may be."""
    session, concurrent = world.clients[number].session, world.endpoint._sessions[f"s{number}"].session
    session.blocked = True
    concurrent.buffer_size_limit = limit
    concurrent.send_text(b"", b"x")
    world.turn()
    concurrent.send_text(b"", b"x" * limit)


@pytest.mark.spec("SWS-04", "CDS-02")
@pytest.mark.parametrize("settle", [False, True])
def test_a_session_that_is_too_slow_for_a_mailing_is_ended_and_nobody_else(world: World, settle: bool) -> None:
    world.publish("a", "1")
    world.turn()
    fill(world, 5, 100)
    world.publish("a", "2")
    if settle:
        world.flusher.settle()
    world.turn()
    assert world.clients[5].session.closed_with == [CloseStatus.SESSION_NOT_RELIABLE]
    assert world.clients[5].session.closed_with[0].because is EndReason.SEND_BUFFER_LIMIT
    assert world.endpoint.stats.limit_exceeded == 1
    assert "s5" not in world.endpoint._sessions
    for client in world.clients:
        assert client.got() == (["a:1"] if client.id == "s5" else ["a:1", "a:2"])


@pytest.mark.spec("SWS-04")
@pytest.mark.parametrize("settle", [False, True])
@pytest.mark.parametrize("sends", ["broadcast", "direct"])
def test_what_a_listener_sends_when_a_session_ends_comes_last(world: World, settle: bool, sends: str) -> None:
    """The listener hears of it while the mailing is written, or settled."""
    fill(world, 5, 100)

    def left(message: Message[Any]) -> None:
        world.clients[5].is_over = True
        if sends == "broadcast":
            world.publish("a", "left")
        else:
            world.direct(20, "left")
            world.direct(2, "left")

    world.inbound.subscribe(left)
    world.publish("a", "1")
    world.publish("a", "2")
    if settle:
        world.flusher.settle()
    world.turn()
    world.inbound.unsubscribe(left)
    assert world.is_complete()
    assert world.clients[20].expected[-1].endswith(":left")


@pytest.mark.spec("SWS-04")
def test_a_session_that_cannot_be_written_to_is_closed_and_nobody_else(world: World) -> None:
    world.clients[5].session.send_error = OSError("broken")
    world.publish("a", "1")
    world.turn()
    assert world.clients[5].session.closed_with == [CloseStatus.PROTOCOL_ERROR]
    assert all(client.got() == client.expected for client in world.clients if client.id != "s5")


@pytest.mark.spec("CDS-02")
def test_what_one_turn_publishes_is_bounded_for_who_does_not_read(world: World) -> None:
    """As much as goes to the kernel and to a buffer at once, and not all that there is in a turn."""
    session = world.clients[5].session
    session.blocked = True
    body = "x" * 10_000
    for _ in range(300):
        world.broker_channel.send(application_message("/topic/a", body.encode()))
    world.turn()
    assert session.closed_with == [CloseStatus.SESSION_NOT_RELIABLE]
    assert session.pending_bytes <= 2 * world.endpoint.send_buffer_size_limit
    assert len(world.clients[6].session.sent) >= 300
