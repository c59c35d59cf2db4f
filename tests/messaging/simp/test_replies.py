"""Where return values go: the table of ANN-07 row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from kit.annotated import Controllers, User, client_message

from wellhead.messaging.exceptions import MissingSessionUserError
from wellhead.messaging.handler.annotations import (
    DestinationVariable,
    message_exception_handler,
    message_mapping,
    send_to,
    send_to_user,
    subscribe_mapping,
)
from wellhead.messaging.handler.method import HandlerMethod
from wellhead.messaging.header_accessor import MessageHeaderAccessor
from wellhead.messaging.message import Message
from wellhead.messaging.mime import APPLICATION_JSON
from wellhead.messaging.simp.accessor import SimpMessageHeaderAccessor
from wellhead.messaging.simp.replies import SendToMethodReturnValueHandler
from wellhead.messaging.simp.types import SimpMessageType


@dataclass
class Line:
    text: str


class Joe(User):
    """A principal that is addressed by another name."""

    @property
    def destination_user_name(self) -> str:
        return "joe@home"


class Replies:
    @message_mapping("/plain")
    def plain(self) -> str:
        return "a"

    @message_mapping("/sent")
    @send_to("/topic/1", "/topic/2")
    def sent(self) -> str:
        return "a"

    @message_mapping("/sent-empty")
    @send_to()
    def sent_empty(self) -> str:
        return "a"

    @message_mapping("/user")
    @send_to_user("/queue/1", "/queue/2")
    def user(self) -> str:
        return "a"

    @message_mapping("/user-empty")
    @send_to_user()
    def user_empty(self) -> str:
        return "a"

    @message_mapping("/user-one")
    @send_to_user("/queue/1", broadcast=False)
    def user_one(self) -> str:
        return "a"

    @message_mapping("/both")
    @send_to("/topic/1")
    @send_to_user("/queue/1")
    def both(self) -> str:
        return "a"

    @subscribe_mapping("/subscribed")
    def subscribed(self) -> Line:
        return Line("a")

    @subscribe_mapping("/subscribed-sent")
    @send_to("/topic/1")
    def subscribed_sent(self) -> str:
        return "a"

    @subscribe_mapping("/subscribed-user")
    @send_to_user("/queue/1")
    def subscribed_user(self) -> str:
        return "a"

    @message_mapping("/vars/{room}/{n}")
    @send_to("/topic/{room}/x/{n}")
    @send_to_user("/queue/{n}")
    def variables(self, room: Annotated[str, DestinationVariable]) -> str:
        return "a"

    @message_mapping("/unknown")
    @send_to("/topic/{room}")
    def unknown(self) -> str:
        return "a"

    @message_exception_handler(ValueError, RuntimeError, MissingSessionUserError)
    def failed(self, error: Exception) -> None:
        self.error = error


def replies(name: str, **options: Any) -> list[tuple[str, Any]]:
    controllers = Controllers(Replies())
    controllers.send(f"/app/{name}", **options)
    assert controllers.outbound.messages == []
    return controllers.replies


JOE = User("joe")


@pytest.mark.spec("ANN-07")
@pytest.mark.parametrize(
    ("name", "destinations"),
    [
        ("plain", ["/topic/plain"]),
        ("sent", ["/topic/1", "/topic/2"]),
        ("sent-empty", ["/topic/sent-empty"]),
        ("user", ["/user/joe/queue/1", "/user/joe/queue/2"]),
        ("user-empty", ["/user/joe/queue/user-empty"]),
        ("both", ["/user/joe/queue/1", "/topic/1"]),
        ("vars/hall/5", ["/user/joe/queue/5", "/topic/hall/x/5"]),
        ("unknown", []),
    ],
)
def test_messages_are_answered_through_the_broker(name: str, destinations: list[str]) -> None:
    assert replies(name, user=JOE) == [(each, b"a") for each in destinations]


@pytest.mark.spec("ANN-07")
@pytest.mark.parametrize(
    ("name", "destination"),
    [("subscribed-sent", "/topic/1"), ("subscribed-user", "/user/joe/queue/1")],
)
def test_marked_subscriptions_are_answered_through_the_broker(name: str, destination: str) -> None:
    controllers = Controllers(Replies())
    controllers.subscribe(f"/app/{name}", user=JOE)
    assert controllers.replies == [(destination, b"a")]
    assert controllers.outbound.messages == []


@pytest.mark.spec("ANN-07")
def test_a_subscription_is_answered_directly() -> None:
    controllers = Controllers(Replies())
    controllers.subscribe("/app/subscribed", subscription_id="sub7")
    assert controllers.broker.messages == []
    (message,) = controllers.outbound.messages
    accessor = SimpMessageHeaderAccessor(message)
    assert message.payload == b'{"text":"a"}'
    assert accessor.message_type is SimpMessageType.MESSAGE
    assert (accessor.session_id, accessor.subscription_id) == ("s1", "sub7")
    assert accessor.destination == "/app/subscribed"
    assert accessor.content_type == APPLICATION_JSON


@pytest.mark.spec("ANN-07")
def test_a_subscription_without_its_id_cannot_be_answered() -> None:
    controller = Replies()
    controllers = Controllers(controller)
    controllers.subscribe("/app/subscribed", subscription_id=None)
    assert isinstance(controller.error, RuntimeError)
    assert str(controller.error).startswith("No simpSubscriptionId in ")
    assert controllers.outbound.messages == []


@pytest.mark.spec("ANN-07")
def test_an_unknown_variable_is_an_error() -> None:
    controller = Replies()
    Controllers(controller).send("/app/unknown")
    assert str(controller.error) == "Could not resolve placeholder 'room' in value \"/topic/{room}\""


@pytest.mark.spec("ANN-07")
def test_variables_are_filled_in_as_they_are() -> None:
    class Rooms:
        @message_mapping("/{room}/{a b}")
        @send_to("/topic/100%/{a b}/%s/{room}/{room}", "/topic/{room}", "/topic/%d")
        def say(self) -> str:
            return "a"

        @message_mapping("/unknown/{room}")
        @send_to("/topic/{room}/{b}/{c}")
        def unknown(self) -> str:
            return "a"

        @message_exception_handler(ValueError)
        def failed(self, error: ValueError) -> None:
            self.error = error

    controller = Rooms()
    controllers = Controllers(controller)
    controllers.send("/app/7%s/{x}")
    assert [destination for destination, _ in controllers.replies] == [
        "/topic/100%/{x}/%s/7%s/7%s",
        "/topic/7%s",
        "/topic/%d",
    ]
    controllers.send("/app/unknown/7")
    assert str(controller.error) == "Could not resolve placeholder 'b' in value \"/topic/{room}/{b}/{c}\""


@pytest.mark.spec("ANN-07")
def test_no_lookup_destination_is_an_error() -> None:
    class Nowhere:
        def convert_and_send(self, destination: Any, payload: Any, /, headers: Any = None) -> None: ...

        def convert_and_send_to_user(self, user: str, destination: str, payload: Any, headers: Any = None) -> None: ...

    def say() -> str:
        return "a"

    handler = SendToMethodReturnValueHandler(Nowhere(), annotation_required=False)
    with pytest.raises(RuntimeError, match="No lookup destination header in"):
        handler.handle_return_value("a", HandlerMethod(say), client_message("/app/a"))


@pytest.mark.spec("ANN-07")
@pytest.mark.parametrize(
    ("user", "name"), [(User("joe"), "joe"), (Joe("joe"), "joe@home"), (User("a/b"), "a%2Fb"), (None, "s1")]
)
def test_the_name_of_the_user(user: Any, name: str) -> None:
    assert replies("user-one", user=user) == [(f"/user/{name}/queue/1", b"a")]


@pytest.mark.spec("ANN-07")
@pytest.mark.parametrize(
    ("name", "user", "session_id"),
    [
        ("plain", JOE, "s1"),
        ("sent", JOE, "s1"),
        ("user", JOE, None),
        ("user", None, "s1"),
        ("user-one", JOE, "s1"),
        ("user-one", None, "s1"),
    ],
)
def test_which_replies_carry_the_session(name: str, user: Any, session_id: str | None) -> None:
    controllers = Controllers(Replies())
    controllers.send(f"/app/{name}", user=user)
    assert controllers.broker.last.headers.get("simpSessionId") == session_id


@pytest.mark.spec("ANN-07")
def test_both_marks_carry_the_session_each_in_its_way() -> None:
    controllers = Controllers(Replies())
    controllers.send("/app/both", user=JOE)
    assert [each.headers.get("simpSessionId") for each in controllers.broker.messages] == [None, "s1"]


@pytest.mark.spec("ANN-07")
def test_neither_user_nor_session() -> None:
    headers = {name: value for name, value in client_message("/app/user").headers.items() if name != "simpSessionId"}
    controllers = Controllers(Replies())
    mapped = next(each for each in controllers.handler.handler_methods.values() if each.name == "Replies.user")
    handler = SendToMethodReturnValueHandler(controllers.template)
    with pytest.raises(MissingSessionUserError) as caught:
        handler.handle_return_value("a", mapped, Message(b"x", headers))
    assert caught.value.description == 'No "user" header in message'


@send_to("/topic/class")
class OnClass:
    @message_mapping("/own")
    @send_to("/topic/method")
    def own(self) -> str:
        return "a"

    @message_mapping("/own-user")
    @send_to_user("/queue/method")
    def own_user(self) -> str:
        return "a"

    @message_mapping("/empty")
    @send_to_user()
    def empty(self) -> str:
        return "a"

    @message_mapping("/none")
    def none(self) -> str:
        return "a"

    @subscribe_mapping("/subscribed")
    def subscribed(self) -> str:
        return "a"


@send_to_user()
class EmptyOnClass:
    @message_mapping("/empty")
    @send_to()
    def empty(self) -> str:
        return "a"

    @message_mapping("/none")
    def none(self) -> str:
        return "a"


@pytest.mark.spec("ANN-07")
@pytest.mark.parametrize(
    ("controller", "name", "destination"),
    [
        (OnClass(), "own", "/topic/method"),
        (OnClass(), "own-user", "/user/joe/queue/method"),
        (OnClass(), "empty", "/topic/class"),
        (OnClass(), "none", "/topic/class"),
        (EmptyOnClass(), "empty", "/topic/empty"),
        (EmptyOnClass(), "none", "/user/joe/queue/none"),
    ],
)
def test_only_one_level_of_marks_decides(controller: Any, name: str, destination: str) -> None:
    controllers = Controllers(controller)
    controllers.send(f"/app/{name}", user=JOE)
    assert controllers.replies == [(destination, b"a")]


@pytest.mark.spec("ANN-06", "ANN-07")
def test_marks_of_the_class_count_for_subscriptions() -> None:
    controllers = Controllers(OnClass())
    controllers.subscribe("/app/subscribed")
    assert controllers.replies == [("/topic/class", b"a")]
    assert controllers.outbound.messages == []


@pytest.mark.spec("ANN-06")
def test_replies_have_fresh_headers() -> None:
    controllers = Controllers(Replies())
    controllers.send("/app/plain", native={"receipt": ["1"], "x": ["2"]}, mine=1)
    headers = controllers.broker.last.headers
    assert set(headers) == {"simpMessageType", "conversionHint", "simpSessionId", "contentType", "simpDestination"}
    assert headers["conversionHint"].annotation is str


@pytest.mark.spec("ANN-06")
def test_native_headers_pass_where_a_filter_admits_them() -> None:
    controllers = Controllers(Replies())
    controllers.handler.add_header_filter(lambda name: name == "x")
    controllers.handler.add_header_filter(lambda name: name.startswith("y"))
    native = {"x": ["1", "2"], "y-1": ["3"], "receipt": ["4"]}
    controllers.send("/app/plain", native=native)
    controllers.subscribe("/app/subscribed", native=native)
    for message in (controllers.broker.last, controllers.outbound.last):
        assert message.headers["nativeHeaders"] == {"x": ["1", "2"], "y-1": ["3"]}


@pytest.mark.spec("ANN-04")
def test_a_changed_accessor_does_not_affect_the_reply() -> None:
    class Controller:
        @message_mapping("/a")
        def a(self, accessor: SimpMessageHeaderAccessor) -> str:
            accessor.set_header("mine", 1)
            accessor.session_id = "other"
            return "a"

    controllers = Controllers(Controller())
    controllers.send("/app/a")
    assert "mine" not in controllers.broker.last.headers
    assert controllers.broker.last.headers["simpSessionId"] == "other"  # read from the message as it is now


@pytest.mark.spec("ANN-09")
def test_a_header_initializer_prepares_the_headers_of_replies() -> None:
    class Initializer:
        def init_headers(self, accessor: MessageHeaderAccessor) -> None:
            accessor.set_header("origin", "here")

    controllers = Controllers(Replies(), header_initializer=Initializer())
    controllers.send("/app/plain")
    controllers.subscribe("/app/subscribed")
    assert controllers.broker.last.headers["origin"] == controllers.outbound.last.headers["origin"] == "here"
