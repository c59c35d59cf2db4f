"""Messages to users: the resolver and the handler (USR-01, USR-02)."""

from __future__ import annotations

from typing import Any

import pytest
from kit.channels import RecordingChannel
from kit.chat import Bystander, error_of, make

from wellhead.messaging.events import ApplicationEvents, SessionConnectedEvent, SessionDisconnectEvent
from wellhead.messaging.exceptions import MessageHandlingError
from wellhead.messaging.message import Message
from wellhead.messaging.simp.accessor import SimpMessageHeaderAccessor
from wellhead.messaging.simp.types import SimpMessageType
from wellhead.messaging.subscribable import ExecutorSubscribableChannel
from wellhead.messaging.user.destination import DefaultUserDestinationResolver, UserDestinationMessageHandler
from wellhead.messaging.user.registry import DefaultSimpUserRegistry
from wellhead.server.session import UserPrincipal


class User:
    def __init__(self, name: str) -> None:
        self.name = name


def message(
    message_type: SimpMessageType,
    destination: str | None,
    *,
    session: str | None = None,
    user: Any = None,
    native: dict[str, list[str]] | None = None,
) -> Message[bytes]:
    accessor = SimpMessageHeaderAccessor(message_type, native_headers=native)
    accessor.destination = destination
    accessor.session_id = session
    accessor.user = user
    return Message(b"payload", accessor.message_headers)


@pytest.fixture
def events() -> ApplicationEvents:
    return ApplicationEvents()


@pytest.fixture
def registry(events: ApplicationEvents) -> DefaultSimpUserRegistry:
    registry = DefaultSimpUserRegistry(events)
    for name, session in (("joe", "s1"), ("joe", "s2"), ("ann/lee", "s3")):
        events.publish(SessionConnectedEvent(message(SimpMessageType.CONNECT_ACK, None, session=session), User(name)))
    return registry


def targets(resolver: DefaultUserDestinationResolver, sent: Message[Any]) -> set[str] | None:
    result = resolver.resolve_destination(sent)
    return None if result is None else set(result.target_destinations)


@pytest.mark.spec("USR-02")
@pytest.mark.parametrize("message_type", [SimpMessageType.SUBSCRIBE, SimpMessageType.UNSUBSCRIBE])
def test_a_subscription_goes_to_the_clients_own_session(
    registry: DefaultSimpUserRegistry, message_type: SimpMessageType
) -> None:
    resolver = DefaultUserDestinationResolver(registry)
    result = resolver.resolve_destination(message(message_type, "/user/queue/x", session="s9", user=User("joe")))
    assert result is not None
    assert result.target_destinations == ("/queue/x-users9",)
    assert result.subscribe_destination == "/user/queue/x"


@pytest.mark.spec("USR-02")
@pytest.mark.parametrize(
    ("destination", "session", "expected"),
    [
        ("/user/joe/queue/x", None, {"/queue/x-users1", "/queue/x-users2"}),
        ("/user/joe/queue/x", "s2", {"/queue/x-users2"}),
        ("/user/joe/queue/x", "s3", {"/queue/x-users1", "/queue/x-users2"}),
        ("/user/ann%2Flee/queue/x", None, {"/queue/x-users3"}),
        ("/user/s7/queue/x", "s7", {"/queue/x-users7"}),
        ("/user/nobody/queue/x", None, set()),
        ("/topic/x", None, None),
    ],
)
def test_a_message_goes_to_the_sessions_of_its_user(
    registry: DefaultSimpUserRegistry, destination: str, session: str | None, expected: set[str] | None
) -> None:
    resolver = DefaultUserDestinationResolver(registry)
    assert targets(resolver, message(SimpMessageType.MESSAGE, destination, session=session)) == expected


@pytest.mark.spec("USR-02")
def test_other_types_of_message_are_ignored(registry: DefaultSimpUserRegistry) -> None:
    resolver = DefaultUserDestinationResolver(registry)
    assert resolver.resolve_destination(message(SimpMessageType.CONNECT, "/user/joe/queue/x")) is None
    assert resolver.resolve_destination(message(SimpMessageType.UNSUBSCRIBE, None, session="s1")) is None


@pytest.mark.spec("USR-02")
def test_a_subscription_without_session_is_ignored(
    registry: DefaultSimpUserRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    resolver = DefaultUserDestinationResolver(registry)
    assert resolver.resolve_destination(message(SimpMessageType.SUBSCRIBE, "/user/queue/x")) is None
    assert "No session id" in caplog.text


@pytest.mark.spec("USR-02")
def test_what_cannot_be_a_users_destination_is_refused(registry: DefaultSimpUserRegistry) -> None:
    resolver = DefaultUserDestinationResolver(registry)
    with pytest.raises(ValueError, match="Expected destination pattern"):
        resolver.resolve_destination(message(SimpMessageType.MESSAGE, "/user/joe"))
    with pytest.raises(ValueError, match="%2F"):
        resolver.resolve_destination(
            message(SimpMessageType.SUBSCRIBE, "/user/queue/x", session="s1", user=User("a%2Fb"))
        )


@pytest.mark.spec("USR-02")
@pytest.mark.parametrize("session", ["*", "**", "s?", "{id}", "{id:.+}", "a/b", "/", "#", ">"])
@pytest.mark.parametrize("message_type", [SimpMessageType.SUBSCRIBE, SimpMessageType.MESSAGE])
def test_a_session_id_that_would_make_a_pattern_of_the_destination_is_refused(
    registry: DefaultSimpUserRegistry, message_type: SimpMessageType, session: str
) -> None:
    destination = "/user/queue/x"
    if message_type is SimpMessageType.MESSAGE:
        destination = f"/user/{session.replace('/', '%2F')}/queue/x"
    with pytest.raises(ValueError, match="^Invalid character in session id: ") as refused:
        DefaultUserDestinationResolver(registry).resolve_destination(
            message(message_type, destination, session=session)
        )
    assert repr(session) in str(refused.value)


@pytest.mark.spec("USR-02")
@pytest.mark.parametrize(
    ("message_type", "destination", "options"),
    [
        (SimpMessageType.MESSAGE, "/user/joe/user/joe/queue/x", {}),
        (SimpMessageType.MESSAGE, "/user/nobody/user/joe/queue/x", {}),
        (SimpMessageType.MESSAGE, "/user/s7/user/s7/queue/x", {}),
        (SimpMessageType.SUBSCRIBE, "/user/user/queue/x", {}),
        (SimpMessageType.MESSAGE, "user/joe/user/joe/x", {"prefix": "user", "remove_leading_slash": True}),
    ],
)
def test_a_user_destination_within_a_user_destination_is_refused(
    registry: DefaultSimpUserRegistry, message_type: SimpMessageType, destination: str, options: dict[str, Any]
) -> None:
    resolver = DefaultUserDestinationResolver(registry, **options)
    sent = message(message_type, destination, session="s7")
    with pytest.raises(MessageHandlingError, match="^A user destination must not lead to another one: ") as refused:
        resolver.resolve_destination(sent)
    assert refused.value.failed_message is sent


@pytest.mark.spec("USR-02")
def test_the_word_of_the_prefix_may_come_further_behind(registry: DefaultSimpUserRegistry) -> None:
    resolver = DefaultUserDestinationResolver(registry)
    sent = message(SimpMessageType.MESSAGE, "/user/joe/queue/user/joe/x", session="s1")
    assert targets(resolver, sent) == {"/queue/user/joe/x-users1"}


@pytest.mark.spec("USR-02")
def test_the_leading_slash_is_removed_for_brokers_without_it(registry: DefaultSimpUserRegistry) -> None:
    resolver = DefaultUserDestinationResolver(registry, remove_leading_slash=True)
    assert targets(resolver, message(SimpMessageType.MESSAGE, "/user/ann%2Flee/queue.x")) == {"queue.x-users3"}


@pytest.mark.spec("USR-02")
def test_another_naming_scheme_is_one_method(registry: DefaultSimpUserRegistry) -> None:
    class Dotted(DefaultUserDestinationResolver):
        def get_target_destination(self, source: str, actual: str, session_id: str, user: str | None) -> str:
            return f"{actual}.{user}.{session_id}"

    assert targets(Dotted(registry), message(SimpMessageType.MESSAGE, "/user/ann%2Flee/q")) == {"/q.ann/lee.s3"}


@pytest.fixture
def wired(registry: DefaultSimpUserRegistry) -> tuple[ExecutorSubscribableChannel, RecordingChannel]:
    inbound, broker = ExecutorSubscribableChannel(), ExecutorSubscribableChannel()
    target = RecordingChannel()
    handler = UserDestinationMessageHandler(inbound, broker, DefaultUserDestinationResolver(registry), target=target)
    handler.start()
    return inbound, target


@pytest.mark.spec("USR-01")
def test_the_message_sent_on_tells_where_it_was_meant_to_go(
    wired: tuple[ExecutorSubscribableChannel, RecordingChannel],
) -> None:
    inbound, target = wired
    inbound.send(
        message(
            SimpMessageType.MESSAGE, "/user/joe/queue/x", session="s2", native={"receipt": ["7"], "colour": ["red"]}
        )
    )
    [sent] = target.messages
    accessor = SimpMessageHeaderAccessor(sent)
    assert accessor.destination == "/queue/x-users2"
    assert accessor.get_first_native_header("simpOrigDestination") == "/user/queue/x"
    assert accessor.get_first_native_header("colour") == "red"
    assert accessor.session_id == "s2"
    assert accessor.get_first_native_header("receipt") is None
    assert sent.payload == b"payload"


@pytest.mark.spec("USR-01")
@pytest.mark.parametrize("depth", [2, 12])
def test_one_message_does_not_multiply_by_nesting(registry: DefaultSimpUserRegistry, depth: int) -> None:
    inbound, broker = ExecutorSubscribableChannel(), RecordingChannel()
    UserDestinationMessageHandler(inbound, broker, DefaultUserDestinationResolver(registry)).start()
    with pytest.raises(MessageHandlingError):
        inbound.send(message(SimpMessageType.MESSAGE, "/user/joe" * depth + "/queue/x"))
    assert broker.messages == []


@pytest.mark.spec("USR-01", "SPH-05")
def test_the_client_is_told_what_is_wrong_with_a_nested_destination() -> None:
    with make() as server:
        bystander = Bystander(server)
        mallory = [server.connected(principal=UserPrincipal("mallory")) for _ in range(2)]
        mallory[0].subscribe("/user/queue/x")
        mallory[1].send("SEND", b"x", destination="/user/mallory/user/mallory/queue/x")
        assert error_of(mallory[1])["message"] == "A user destination must not lead to another one: /user/..."
        assert mallory[0].received() == []
        assert bystander.is_well()


@pytest.mark.spec("USR-01")
def test_each_message_sent_on_has_headers_of_its_own(
    wired: tuple[ExecutorSubscribableChannel, RecordingChannel],
) -> None:
    inbound, target = wired
    source = Message(
        b"payload", {**message(SimpMessageType.MESSAGE, "/user/joe/queue/x").headers, "nativeHeaders": {"a": ["1"]}}
    )
    inbound.send(source)
    one, two = target.messages
    for each in (one, two):
        assert "id" not in each.headers and "timestamp" not in each.headers
    accessor = SimpMessageHeaderAccessor.get_accessor(one)
    assert accessor is not None and accessor.is_mutable
    accessor.add_native_header("a", "2")
    assert one.headers["nativeHeaders"]["a"] == ["1", "2"]
    assert two.headers["nativeHeaders"]["a"] == source.headers["nativeHeaders"]["a"] == ["1"]


@pytest.mark.spec("USR-01")
def test_what_is_not_for_users_and_users_without_sessions_send_nothing(
    wired: tuple[ExecutorSubscribableChannel, RecordingChannel],
) -> None:
    inbound, target = wired
    inbound.send(message(SimpMessageType.MESSAGE, "/topic/x"))
    inbound.send(message(SimpMessageType.MESSAGE, "/user/nobody/queue/x"))
    assert target.messages == []


@pytest.mark.spec("USR-01")
def test_after_stop_nothing_is_sent_on(registry: DefaultSimpUserRegistry) -> None:
    inbound, target = ExecutorSubscribableChannel(), RecordingChannel()
    handler = UserDestinationMessageHandler(
        inbound, ExecutorSubscribableChannel(), DefaultUserDestinationResolver(registry), target=target
    )
    handler.start()
    handler.start()
    assert handler.is_running
    handler.stop()
    inbound.send(message(SimpMessageType.MESSAGE, "/user/joe/queue/x"))
    assert target.messages == []


@pytest.mark.spec("USR-03")
def test_a_user_is_gone_with_the_last_session(events: ApplicationEvents, registry: DefaultSimpUserRegistry) -> None:
    def end(session: str) -> None:
        events.publish(SessionDisconnectEvent(message(SimpMessageType.DISCONNECT, None), session, None))

    end("s1")
    joe = registry.get_user("joe")
    assert joe is not None
    assert {session.id for session in joe.sessions} == {"s2"}
    end("s2")
    assert registry.get_user("joe") is None
    assert not joe.has_sessions
    assert registry.user_count == 1
