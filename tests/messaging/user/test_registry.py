"""The registry of connected users (USR-03)."""

from __future__ import annotations

from typing import Any

import pytest

from wellhead.messaging.broker.subscriptions import MAX_SUBSCRIPTIONS_PER_SESSION
from wellhead.messaging.events import (
    ApplicationEvents,
    SessionConnectedEvent,
    SessionDisconnectEvent,
    SessionSubscribeEvent,
    SessionUnsubscribeEvent,
)
from wellhead.messaging.message import Message
from wellhead.messaging.simp.accessor import CONNECT_MESSAGE, SimpMessageHeaderAccessor
from wellhead.messaging.simp.types import SimpMessageType
from wellhead.messaging.user.registry import DefaultSimpUserRegistry

pytestmark = pytest.mark.spec("USR-03")


class User:
    def __init__(self, name: str) -> None:
        self.name = name


class Renamed(User):
    destination_user_name = "known-as"


def message(session: str, *, id: str | None = None, destination: str | None = None) -> Message[Any]:
    accessor = SimpMessageHeaderAccessor(SimpMessageType.OTHER)
    accessor.session_id = session
    accessor.subscription_id = id
    accessor.destination = destination
    return Message(b"", accessor.message_headers)


def test_a_session_is_known_from_connected_on() -> None:
    events = ApplicationEvents()
    registry = DefaultSimpUserRegistry(events)
    events.publish(SessionSubscribeEvent(message("s1", id="0", destination="/topic/early"), User("joe")))
    events.publish(SessionConnectedEvent(message("s1"), User("joe")))
    events.publish(SessionSubscribeEvent(message("s1", id="1", destination="/topic/a"), User("joe")))
    joe = registry.get_user("joe")
    assert joe is not None
    session = joe.get_session("s1")
    assert session is not None
    assert session.user is joe
    assert [(each.id, each.destination, each.session) for each in session.subscriptions] == [("1", "/topic/a", session)]
    assert registry.users == {joe}
    assert registry.user_count == 1


@pytest.mark.parametrize("ended_first", [True, False])
def test_a_session_that_ended_before_its_beginning_was_told_does_not_stay(ended_first: bool) -> None:
    attributes: dict[str, Any] = {}

    def end() -> None:
        over = with_attributes("s1", attributes)
        events.publish(SessionDisconnectEvent(over, "s1", "status", User("joe"), "reason"))  # type: ignore[arg-type]

    events = ApplicationEvents()
    registry = DefaultSimpUserRegistry(events)
    connected = SimpMessageHeaderAccessor(SimpMessageType.CONNECT_ACK)
    connected.session_id = "s1"
    connected.set_header(CONNECT_MESSAGE, with_attributes("s1", attributes))
    if ended_first:
        events.connect(SessionConnectedEvent, lambda event: end())
    events.publish(SessionConnectedEvent(Message(b"", connected.message_headers), User("joe")))
    assert registry.user_count == (not ended_first)
    end()
    assert registry.user_count == 0
    assert registry.users == frozenset()


def with_attributes(session: str, attributes: dict[str, Any]) -> Message[Any]:
    accessor = SimpMessageHeaderAccessor(SimpMessageType.OTHER)
    accessor.session_id = session
    accessor.session_attributes = attributes
    return Message(b"", accessor.message_headers)


def test_subscriptions_are_found_and_forgotten() -> None:
    events = ApplicationEvents()
    registry = DefaultSimpUserRegistry(events)
    for session, name in (("s1", "joe"), ("s2", "ann")):
        events.publish(SessionConnectedEvent(message(session), User(name)))
        events.publish(SessionSubscribeEvent(message(session, id="0", destination="/topic/a")))
    found = registry.find_subscriptions(lambda each: each.destination == "/topic/a")
    assert {each.session.user.name for each in found} == {"joe", "ann"}
    events.publish(SessionUnsubscribeEvent(message("s1", id="0")))
    found = registry.find_subscriptions(lambda each: each.destination == "/topic/a")
    assert {each.session.id for each in found} == {"s2"}


def kept(registry: DefaultSimpUserRegistry, session: str) -> set[str]:
    return {each.id for each in registry.find_subscriptions(lambda each: each.session.id == session)}


@pytest.mark.parametrize(("asked", "warnings"), [(2, 0), (3, 0), (4, 1), (9, 1)])
def test_a_session_has_a_limited_number_of_subscriptions(
    asked: int, warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    events = ApplicationEvents()
    registry = DefaultSimpUserRegistry(events, max_subscriptions_per_session=3)
    for session in ("s1", "s2"):
        events.publish(SessionConnectedEvent(message(session), User("joe")))
    for number in range(asked):
        for _ in range(2):  # the second with the same id is ignored, and no reason to warn
            events.publish(SessionSubscribeEvent(message("s1", id=str(number), destination="/nobody/takes/it")))
    assert kept(registry, "s1") == {"0", "1", "2"} & set(map(str, range(asked)))
    texts = ["Session s1 has more than 3 subscriptions, or too long ones: these are not registered"] * warnings
    assert [record.getMessage() for record in caplog.records] == texts
    events.publish(SessionSubscribeEvent(message("s2", id="0", destination="/topic/a")))
    assert kept(registry, "s2") == {"0"}, "the limit is that of a session"


def test_below_the_limit_again_a_session_is_followed_again() -> None:
    events = ApplicationEvents()
    registry = DefaultSimpUserRegistry(events, max_subscriptions_per_session=1)
    events.publish(SessionConnectedEvent(message("s1"), User("joe")))
    for id in "ab":
        events.publish(SessionSubscribeEvent(message("s1", id=id, destination="/topic/a")))
    events.publish(SessionUnsubscribeEvent(message("s1", id="a")))
    events.publish(SessionSubscribeEvent(message("s1", id="c", destination="/topic/a")))
    assert kept(registry, "s1") == {"c"}


def test_what_is_too_long_for_a_broker_is_not_kept(caplog: pytest.LogCaptureFixture) -> None:
    events = ApplicationEvents()
    registry = DefaultSimpUserRegistry(events)
    events.publish(SessionConnectedEvent(message("s1"), User("joe")))
    for id, destination in (("a", "/a" * 600), ("b" * 1_025, "/a"), ("c", "/a" * 512)):
        events.publish(SessionSubscribeEvent(message("s1", id=id, destination=destination)))
    assert kept(registry, "s1") == {"c"}
    assert len(caplog.records) == 1


def test_the_limit_is_the_brokers_by_default() -> None:
    assert DefaultSimpUserRegistry(ApplicationEvents()).max_subscriptions_per_session == MAX_SUBSCRIPTIONS_PER_SESSION


def test_sessions_without_user_are_not_tracked() -> None:
    events = ApplicationEvents()
    registry = DefaultSimpUserRegistry(events)
    events.publish(SessionConnectedEvent(message("s1"), None))
    assert registry.users == frozenset()


def test_a_user_is_known_by_the_destination_name() -> None:
    events = ApplicationEvents()
    registry = DefaultSimpUserRegistry(events)
    events.publish(SessionConnectedEvent(message("s1"), Renamed("joe")))
    assert registry.get_user("joe") is None
    assert registry.get_user("known-as") is not None


def test_applications_hear_of_an_event_before_the_registry_does() -> None:
    events = ApplicationEvents()
    registry = DefaultSimpUserRegistry(events)
    seen: list[Any] = []
    events.connect(SessionConnectedEvent, lambda event: seen.append(registry.get_user("joe")))
    events.publish(SessionConnectedEvent(message("s1"), User("joe")))
    assert seen == [None]
    assert registry.get_user("joe") is not None
