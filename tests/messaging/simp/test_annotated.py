"""Controllers between the channels: which messages arrive, what methods get, what becomes of errors."""

from __future__ import annotations

import dataclasses
import logging
import types
from asyncio import CancelledError
from collections.abc import Callable
from concurrent.futures import Future
from typing import Annotated, Any, Protocol, TypedDict

import msgspec
import pydantic
import pytest
from kit.annotated import JSON, Controllers, User, client_message
from kit.channels import HeldExecutor

from wellhead.messaging.converter.builtin import SimpleMessageConverter
from wellhead.messaging.exceptions import (
    MessageDeliveryError,
    MessageHandlingError,
    MethodArgumentNotValidError,
    TaskRejectedError,
)
from wellhead.messaging.handler.annotations import (
    DestinationVariable,
    Header,
    Headers,
    Payload,
    Valid,
    controller_advice,
    message_exception_handler,
    message_mapping,
    send_to,
    send_to_user,
    subscribe_mapping,
)
from wellhead.messaging.handler.invocation import LOOKUP_DESTINATION, TEMPLATE_VARIABLES
from wellhead.messaging.handler.method import HandlerMethod
from wellhead.messaging.handler.parameters import MethodParameter
from wellhead.messaging.headers import MessageHeaders
from wellhead.messaging.matching import AntPathMatcher
from wellhead.messaging.message import Message
from wellhead.messaging.simp.accessor import SimpMessageHeaderAccessor
from wellhead.messaging.simp.attributes import current_attributes, current_attributes_or_none
from wellhead.messaging.simp.types import Principal, SimpMessageType
from wellhead.messaging.told import MAX_TOLD


@dataclasses.dataclass
class Line:
    text: str


class Typed(TypedDict):
    text: str


class Struct(msgspec.Struct):
    text: str


class Model(pydantic.BaseModel):
    text: str


class Member(Principal):
    """A principal of the application's own."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def name(self) -> str:
        return self._name


class Seen:
    """A controller that keeps what its methods were given."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def see(self, *values: Any) -> None:
        self.seen.append(values if len(values) != 1 else values[0])


class Chat(Seen):
    @message_mapping("/say")
    def say(self, body: bytes) -> None:
        self.see(body)

    @subscribe_mapping("/say")
    def subscribed(self) -> None:
        self.see("subscribed")

    @message_mapping("/room/{room}/{number}")
    def room(
        self,
        room: Annotated[str, DestinationVariable],
        number: Annotated[int, DestinationVariable("number")],
        message: Message[Any],
    ) -> None:
        self.see(room, number, message)


@message_mapping("/function")
def function(body: Annotated[str, Payload]) -> str:
    return body


# -- which messages arrive


@pytest.mark.spec("ANN-01")
@pytest.mark.parametrize(
    ("destination", "prefixes", "arrives"),
    [
        ("/app/say", ("/app",), True),
        ("/app/say", ("/app/",), True),
        ("/other/say", ("/app", "/other"), True),
        ("/application/say", ("/app",), False),
        ("/say", ("/app",), False),
        ("/app", ("/app",), False),
        ("/topic/say", ("/app",), False),
        ("/say", (), True),
        (None, (), False),
        (None, ("/app",), False),
    ],
)
def test_destinations_with_a_prefix_arrive(destination: str | None, prefixes: tuple[str, ...], arrives: bool) -> None:
    chat = Chat()
    Controllers(chat, destination_prefixes=prefixes).send(destination, b"hi")
    assert chat.seen == ([b"hi"] if arrives else [])


@pytest.mark.spec("ANN-01")
def test_prefixes_get_a_trailing_slash() -> None:
    assert Controllers(Chat(), destination_prefixes=("/app", "/b/")).handler.destination_prefixes == ("/app/", "/b/")


@pytest.mark.spec("ANN-01", "ANN-02")
@pytest.mark.parametrize("kind", SimpMessageType)
def test_only_message_and_subscribe_arrive(kind: SimpMessageType) -> None:
    chat = Chat()
    Controllers(chat).send("/app/say", b"hi", kind=kind, subscription_id="sub1")
    expected = {SimpMessageType.MESSAGE: [b"hi"], SimpMessageType.SUBSCRIBE: ["subscribed"]}
    assert chat.seen == expected.get(kind, [])


@pytest.mark.spec("ANN-01")
def test_it_is_subscribed_to_the_inbound_channel_alone_while_it_runs() -> None:
    chat = Chat()
    controllers = Controllers(chat)
    handler = controllers.handler
    handler.start()
    assert handler.is_running
    assert controllers.inbound.subscribers == (handler,)
    assert controllers.broker.subscribers == controllers.outbound.subscribers == ()
    handler.stop()
    handler.stop()
    assert not handler.is_running
    controllers.send("/app/say", b"hi")
    assert chat.seen == []


@pytest.mark.spec("ANN-01")
def test_the_message_has_its_lookup_destination_and_its_variables() -> None:
    chat = Chat()
    Controllers(chat).send("/app/room/hall/5", b"hi", native={"x": ["1"]})
    ((room, number, message),) = chat.seen
    assert (room, number) == ("hall", 5)
    assert message.headers[LOOKUP_DESTINATION] == "/room/hall/5"
    assert message.headers[TEMPLATE_VARIABLES] == {"room": "hall", "number": "5"}
    assert message.headers["nativeHeaders"] == {"x": ["1"]}
    assert message.headers["simpSessionId"] == "s1"


@pytest.mark.spec("ANN-01")
@pytest.mark.parametrize("leave_mutable", [False, True])
def test_the_accessor_is_mutable_during_handling_and_frozen_afterwards(leave_mutable: bool) -> None:
    class Controller(Seen):
        @message_mapping("/a")
        def a(self, accessor: SimpMessageHeaderAccessor) -> None:
            accessor.set_header("mine", 1)
            self.see(accessor)

    controller = Controller()
    Controllers(controller).send("/app/a", leave_mutable=leave_mutable)
    (accessor,) = controller.seen
    assert accessor.get_header("mine") == 1
    assert not accessor.is_mutable


@pytest.mark.spec("ANN-01", "SCOPE-01")
def test_session_attributes_are_bound_during_the_call() -> None:
    class Controller(Seen):
        @message_mapping("/a")
        def a(self) -> None:
            attributes = current_attributes()
            attributes.set_attribute("x", 1)
            self.see(attributes.session_id)

    controller, live = Controller(), {}
    Controllers(controller).send("/app/a", attributes=live)
    assert (controller.seen, live) == (["s1"], {"x": 1})
    assert current_attributes_or_none() is None


@pytest.mark.spec("ANN-01")
def test_session_attributes_are_unbound_after_an_error() -> None:
    class Controller:
        @message_mapping("/a")
        def a(self) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Controllers(Controller()).handler.handle_message(client_message("/app/a"))
    assert current_attributes_or_none() is None


@pytest.mark.spec("ANN-01")
@pytest.mark.parametrize(
    ("missing", "text"), [("simpSessionId", "No session id in"), ("simpSessionAttributes", "No session attributes in")]
)
def test_a_message_without_a_session_is_an_error(missing: str, text: str) -> None:
    headers = {name: value for name, value in client_message("/app/say").headers.items() if name != missing}
    handler = Controllers(Chat()).handler
    with pytest.raises(RuntimeError, match=text):
        handler.handle_message(Message(b"hi", headers))
    handler.handle_message(Message(b"hi", {**headers, "simpDestination": "/app/nobody"}))


# -- mapping


@pytest.mark.spec("ANN-02")
def test_the_class_gives_prefixes_for_both_kinds() -> None:
    @message_mapping("/a", "b")
    class Controller(Seen):
        @message_mapping("/x", "y")
        def message(self) -> None: ...

        @subscribe_mapping("z")
        def subscribe(self) -> None: ...

        @message_mapping()
        def bare(self) -> None: ...

    mapped = Controllers(Controller()).handler.handler_methods
    patterns = {(info.kind.value, info.patterns): method.name.rpartition(".")[2] for info, method in mapped.items()}
    assert patterns == {
        ("MESSAGE", ("/a/x", "/a/y", "/b/x", "/b/y")): "message",
        ("SUBSCRIBE", ("/a/z", "/b/z")): "subscribe",
        ("MESSAGE", ("/a", "/b")): "bare",
    }


@pytest.mark.spec("ANN-02")
def test_a_method_without_any_destination_is_not_registered() -> None:
    class Controller:
        @message_mapping()
        def nothing(self) -> None: ...

    assert Controllers(Controller()).handler.handler_methods == {}


@pytest.mark.spec("ANN-02")
def test_placeholders_are_resolved_at_registration() -> None:
    @message_mapping("/${area}")
    class Controller:
        @message_mapping("/${name:x}")
        @send_to("/topic/${area}")
        def a(self) -> str:
            return "a"

    controllers = Controllers(Controller(), placeholders={"area": "home"})
    controllers.send("/app/home/x")
    assert controllers.replies == [("/topic/home", b"a")]
    with pytest.raises(ValueError, match="Could not resolve placeholder 'area'"):
        Controllers(Controller())


@pytest.mark.spec("ANN-02")
def test_an_ambiguous_mapping_fails_at_registration() -> None:
    controllers = Controllers(Chat())
    with pytest.raises(RuntimeError, match=r"Ambiguous mapping found\. Cannot map Chat\.say"):
        controllers.handler.register(Chat())


@pytest.mark.spec("ANN-02")
def test_of_a_controller_that_is_refused_no_method_is_mapped() -> None:
    class HalfGood:
        @message_mapping("/good")
        def good(self) -> str:
            return "good"

        @message_mapping("/say")
        def say(self) -> None: ...

    controllers = Controllers(Chat())
    before = controllers.handler.handler_methods
    with pytest.raises(RuntimeError, match="Ambiguous mapping found"):
        controllers.handler.register(HalfGood())
    assert controllers.handler.handler_methods == before
    controllers.send("/app/good")
    assert controllers.replies == []
    controllers.handler.register(function)
    controllers.send("/app/function", b"hi")
    assert controllers.replies == [("/topic/function", b"hi")]


@controller_advice()
class RefusedAdvice(Seen):
    @message_mapping("/new")
    def new(self) -> str:
        return "new"

    @message_exception_handler(Exception)
    def failed(self, error: Exception) -> str:
        return "by a refused advice"

    @message_mapping("/room/${nobody}")
    def unknown(self) -> None: ...


@pytest.mark.spec("ANN-02", "ANN-08")
def test_an_advice_that_is_refused_handles_no_errors() -> None:
    controllers = Controllers(Failing(KeyError("own")))
    with pytest.raises(ValueError, match="Could not resolve placeholder 'nobody'"):
        controllers.handler.register(RefusedAdvice())
    controllers.send("/app/new")
    controllers.send("/app/fail/1")
    assert controllers.replies == []


@pytest.mark.spec("ANN-02", "ANN-08")
def test_an_advice_whose_order_compares_with_no_other_is_refused_whole() -> None:
    class Ordered(Seen):
        @message_mapping("/new")
        def new(self) -> str:
            return "new"

    controllers = Controllers(Failing(KeyError("own")), First())
    mistaken: Any = "first"
    with pytest.raises(TypeError):
        controllers.handler.register(controller_advice(order=mistaken)(Ordered)())
    controllers.send("/app/new")
    assert controllers.replies == []


@pytest.mark.spec("ANN-02")
def test_functions_and_modules_are_controllers_too() -> None:
    module = types.ModuleType("chat")
    source = (
        "from wellhead.messaging.handler.annotations import message_mapping, message_exception_handler\n"
        "from wellhead.messaging.handler.annotations import send_to as imported\n"
        "@message_mapping('/module')\n"
        "def module(): raise ValueError('x')\n"
        "@message_exception_handler(ValueError)\n"
        "def failed(error): return str(error)\n"
    )
    exec(source, module.__dict__)
    controllers = Controllers(function, module)
    controllers.send("/app/function", b"hi")
    controllers.send("/app/module", b"hi")
    assert controllers.replies == [("/topic/function", b"hi"), ("/topic/module", b"x")]


@pytest.mark.spec("ANN-02")
def test_one_method_may_be_mapped_for_both_kinds() -> None:
    class Controller:
        @message_mapping("/a")
        @subscribe_mapping("/a")
        def a(self) -> str:
            return "a"

    controllers = Controllers(Controller())
    controllers.send("/app/a")
    controllers.subscribe("/app/a")
    assert controllers.replies == [("/topic/a", b"a")]
    assert [each.payload for each in controllers.outbound.messages] == [b"a"]


@pytest.mark.spec("ANN-04")
def test_an_annotation_that_cannot_be_resolved_is_told_at_registration() -> None:
    class Controller:
        @message_mapping("/a")
        def a(self, x: Unknown) -> None: ...  # type: ignore[name-defined]  # noqa: F821  (the mistake)

    with pytest.raises(TypeError, match=r"parameter 'x' of .*Controller\.a: name 'Unknown' is not defined"):
        Controllers(Controller())


# -- selection


@pytest.mark.spec("ANN-03", "LOG-01")
def test_no_match_is_a_debug_line_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    controllers = Controllers(Chat())
    with caplog.at_level(logging.DEBUG):
        for _ in range(2):
            controllers.send("/app/nobody")
    line, told = "No matching message handler methods.", "No method for MESSAGE to '/app/nobody' of session s1"
    assert [each[1:] for each in caplog.record_tuples] == [
        (logging.DEBUG, line),
        (logging.WARNING, told),
        (logging.DEBUG, line),
    ]
    assert controllers.broker.messages == controllers.outbound.messages == []


@pytest.mark.spec("ANN-03", "LOG-01")
@pytest.mark.parametrize("options", [{"destination_prefixes": ()}, {"other_prefixes": ("/",)}])
def test_no_match_where_others_may_take_it_is_a_debug_line(
    caplog: pytest.LogCaptureFixture, options: dict[str, Any]
) -> None:
    with caplog.at_level(logging.DEBUG):
        Controllers(Chat(), **options).send("/app/nobody")
    assert [record.levelno for record in caplog.records] == [logging.DEBUG]


@pytest.mark.spec("ANN-01", "LOG-01")
def test_a_destination_with_nobodys_prefix_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    controllers = Controllers(Chat(), other_prefixes=("/topic", "/user/"))
    for destination in ("/say", "/say", "/topic/say", "/user/queue/say"):
        controllers.send(destination)
    assert caplog.messages == [
        "Nobody takes MESSAGE to '/say' of session s1: for methods it has to begin with /app/, for others with "
        "/topic or /user/"
    ]


@pytest.mark.spec("ANN-01", "LOG-01")
def test_only_so_many_destinations_are_told(caplog: pytest.LogCaptureFixture) -> None:
    controllers = Controllers(Chat())
    for number in range(MAX_TOLD + 10):
        controllers.send(f"/app/nobody/{number}")
    assert len(caplog.messages) == MAX_TOLD


# -- mistakes that are told at registration


class Mistaken:
    @message_mapping("/room/{room}/{number:[0-9]+}")
    def room(self, room: str, number: Any, line: Line) -> None: ...

    @message_mapping("/fields")
    def fields(self, name: str, text: str) -> None: ...

    @message_mapping("/{room}/misspelt")
    def misspelt(self, rom: Annotated[str, DestinationVariable]) -> None: ...

    @message_mapping("/app/again")
    def again(self) -> None: ...

    @send_to("/topic/never")
    def never(self) -> None: ...

    @message_mapping("/fine/{line}")
    def fine(self, line: Annotated[Line, Payload], raw: Annotated[bytes, Payload]) -> None: ...


@pytest.mark.spec("ANN-02", "ANN-04", "LOG-01")
def test_what_is_most_likely_a_mistake_is_told_at_registration(caplog: pytest.LogCaptureFixture) -> None:
    Controllers(Mistaken())
    pattern = "/room/{room}/{number:[0-9]+}"
    assert caplog.messages == [
        "Mistaken.never says where its reply goes, but no @message_mapping, @subscribe_mapping or "
        "@message_exception_handler says when it is called",
        *(
            f"parameter '{name}' of Mistaken.room is the payload, not the variable of {pattern}: for that write "
            f"{name}: Annotated[str, DestinationVariable]"
            for name in ("room", "number")
        ),
        "Parameters 'name', 'text' of Mistaken.fields each get the whole payload, not a field of it: for fields write "
        "one dataclass, for other things a marker in Annotated",
        "parameter 'rom' of Mistaken.misspelt wants the variable {rom}, which /{room}/misspelt has not: no message "
        "will reach the method",
        "Mistaken.again is mapped to /app/again, and clients have to send to /app/app/again: the prefix is no part of "
        "a mapping",
    ]


@pytest.mark.spec("ANN-03")
def test_a_tie_travels_to_the_channel() -> None:
    class Controller(Seen):
        @message_mapping("/{a}")
        def a(self) -> None: ...

        @message_mapping("/{b}")
        def b(self) -> None: ...

        @message_exception_handler(RuntimeError)
        def never(self) -> None:
            self.see("never")

    controller = Controller()
    controllers = Controllers(controller)
    with pytest.raises(MessageDeliveryError) as caught:
        controllers.send("/app/x")
    assert "Ambiguous handler methods mapped for destination '/x'" in str(caught.value.__cause__)
    assert controller.seen == []


# -- the dot as separator


@pytest.mark.spec("DEST-04")
def test_with_a_dot_as_separator() -> None:
    @message_mapping("red")
    class Controller(Seen):
        @message_mapping("blue.{c}")
        def a(self, c: Annotated[str, DestinationVariable], message: Message[Any]) -> str:
            self.see(c, message.headers[LOOKUP_DESTINATION])
            return "x"

    controller = Controller()
    controllers = Controllers(controller, path_matcher=AntPathMatcher("."))
    controllers.send("/app/red.blue.green")
    assert controller.seen == [("green", "red.blue.green")]
    assert controllers.replies == [("/topic/red.blue.green", b"x")]
    assert controllers.handler.destination_prefixes == ("/app/",)


@pytest.mark.spec("DEST-04")
@pytest.mark.parametrize(("separator", "lookup"), [("/", "/x"), (".", "x")])
def test_the_lookup_destination_keeps_its_slash_only_with_slashes(separator: str, lookup: str) -> None:
    handler = Controllers(Chat(), path_matcher=AntPathMatcher(separator)).handler
    assert handler.lookup_destination("/app/x") == lookup


# -- arguments


class Everything(Seen):
    @message_mapping("/all/{room}")
    def everything(
        self,
        token: Annotated[str, Header("x-token")],
        headers: Annotated[dict[str, Any], Headers],
        message_headers: MessageHeaders,
        accessor: SimpMessageHeaderAccessor,
        room: Annotated[str, DestinationVariable],
        user: Principal | None,
        message: Message[Line],
        line: Line,
        *,
        same: Annotated[dict[str, str], Payload],
    ) -> None:
        self.see(token, headers, message_headers, accessor, room, user, message, line, same)

    @message_mapping("/who")
    def who(self, user: Principal, member: Member, other: Annotated[User | None, Principal]) -> None:
        self.see(user, member, other)


class ServerHalf:
    """The server half has a protocol and a class of its own, which stand on no messaging."""

    class Principal(Protocol):
        @property
        def name(self) -> str: ...

    class UserPrincipal(Principal):
        name = "joe"


class Users(Seen):
    @message_mapping("/users")
    def users(
        self,
        user: ServerHalf.Principal,
        same: ServerHalf.UserPrincipal,
        other: Annotated[Any, ServerHalf.Principal],
    ) -> None:
        self.see(user, same, other)


@pytest.mark.spec("ANN-04")
def test_any_protocol_called_principal_is_the_user() -> None:
    controller, user = Users(), ServerHalf.UserPrincipal()
    Controllers(controller).send("/app/users", user=user)
    assert controller.seen == [(user, user, user)]


@pytest.mark.spec("ANN-04")
def test_every_kind_of_argument() -> None:
    controller, user = Everything(), User("joe")
    controllers = Controllers(controller)
    body = b'{"text":"hi"}'
    controllers.send("/app/all/hall", body, user=user, native={"x-token": ["t"]}, contentType=JSON)
    ((token, headers, message_headers, accessor, room, seen_user, message, line, same),) = controller.seen
    assert (token, room, seen_user, line, same) == ("t", "hall", user, Line("hi"), {"text": "hi"})
    assert headers["simpSessionId"] == message_headers["simpSessionId"] == accessor.session_id == "s1"
    assert message.payload == Line("hi")
    assert SimpMessageHeaderAccessor.get_accessor(message) is accessor


@pytest.mark.spec("ANN-04")
def test_a_missing_principal_is_no_error() -> None:
    controller = Everything()
    controllers = Controllers(controller)
    controllers.send("/app/who")
    assert controller.seen == [(None, None, None)]


@pytest.mark.spec("ANN-04")
def test_a_principal_of_another_class_is_a_mismatch(caplog: pytest.LogCaptureFixture) -> None:
    controller = Everything()
    controllers = Controllers(controller)
    controllers.send("/app/who", user=Member("joe"))
    assert controller.seen == []
    assert "the user is a Member, not a" in str(caplog.records[-1].exc_info)


class Payloads(Seen):
    @message_mapping("/data")
    def data(self, body: Annotated[Line, Payload]) -> None:
        self.see(body)

    @message_mapping("/typed")
    def typed(self, body: Typed) -> None:
        self.see(body)

    @message_mapping("/struct")
    def struct(self, body: Struct) -> None:
        self.see(body)

    @message_mapping("/model")
    def model(self, body: Model) -> None:
        self.see(body)

    @message_mapping("/dict")
    def dict(self, body: dict[str, Any]) -> None:
        self.see(body)

    @message_mapping("/str")
    def str(self, body: str) -> None:
        self.see(body)

    @message_mapping("/bytes")
    def bytes(self, body: bytes) -> None:
        self.see(body)

    @message_mapping("/untyped")
    def untyped(self, body) -> None:  # type: ignore[no-untyped-def]  # the raw payload
        self.see(body)

    @message_exception_handler(Exception)
    def failed(self, error: Exception) -> None:
        self.see(error)


BODY = b'{"text":"hi"}'


@pytest.mark.spec("ANN-05")
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("data", Line("hi")),
        ("typed", {"text": "hi"}),
        ("struct", Struct("hi")),
        ("model", Model(text="hi")),
        ("dict", {"text": "hi"}),
        ("str", BODY.decode()),
        ("bytes", BODY),
        ("untyped", BODY),
    ],
)
def test_payloads(name: str, expected: Any) -> None:
    controller = Payloads()
    Controllers(controller).send(f"/app/{name}", BODY)
    assert controller.seen == [expected]


@pytest.mark.spec("ANN-05", "ANN-08")
@pytest.mark.parametrize("name", ["data", "typed", "struct", "model"])
def test_a_payload_that_does_not_fit_names_the_field_and_what_was_expected(name: str) -> None:
    controller = Payloads()
    Controllers(controller).send(f"/app/{name}", b'{"text":5}')
    (error,) = controller.seen
    assert error.description.startswith("Could not read JSON: ")
    assert "$.text" in error.description
    assert "Expected `str`, got `int`" in error.description or "valid string" in error.description


@pytest.mark.spec("ANN-05", "ANN-08")
def test_an_empty_payload_takes_the_route_of_exceptions() -> None:
    controller = Payloads()
    Controllers(controller).send("/app/data", b"")
    (error,) = controller.seen
    assert isinstance(error, MethodArgumentNotValidError)
    assert error.errors == ("Payload value must not be empty",)


# -- return values


@pytest.mark.spec("ANN-06")
def test_nothing_is_sent_for_none() -> None:
    class Controller:
        @message_mapping("/void")
        def void(self) -> None:
            return "not looked at"  # type: ignore[return-value]  # declared to return nothing

        @message_mapping("/none")
        def none(self) -> str | None:
            return None

        @message_mapping("/untyped")
        def untyped(self):  # type: ignore[no-untyped-def]  # has a value all the same
            return "a"

    controllers = Controllers(Controller())
    for name in ("void", "none", "untyped"):
        controllers.send(f"/app/{name}")
    assert controllers.replies == [("/topic/untyped", b"a")]


class Later(Seen):
    def __init__(self) -> None:
        super().__init__()
        self.future: Future[Any] = Future()

    @message_mapping("/later")
    @send_to("/topic/later")
    def later(self) -> Future[Any]:
        return self.future

    @subscribe_mapping("/later")
    def subscribe_later(self) -> Future[Any]:
        return self.future

    @message_exception_handler(ValueError)
    @send_to("/topic/errors")
    def failed(self, error: ValueError) -> str:
        return f"failed: {error}"


@pytest.mark.spec("ANN-06")
def test_a_future_is_answered_when_it_is_done() -> None:
    controller = Later()
    controllers = Controllers(controller)
    controllers.send("/app/later")
    controllers.subscribe("/app/later")
    assert controllers.replies == []
    controller.future.set_result(Line("a"))
    assert controllers.replies == [("/topic/later", b'{"text":"a"}')]
    assert [each.payload for each in controllers.outbound.messages] == [b'{"text":"a"}']


@pytest.mark.spec("ANN-06")
def test_a_future_of_none_is_not_answered() -> None:
    controller = Later()
    controllers = Controllers(controller)
    controllers.send("/app/later")
    controller.future.set_result(None)
    assert controllers.replies == []


@pytest.mark.spec("ANN-06")
def test_a_future_of_a_future_is_waited_for_again() -> None:
    controller, inner = Later(), Future[Any]()
    controllers = Controllers(controller)
    controllers.send("/app/later")
    controller.future.set_result(inner)
    assert controllers.replies == []
    inner.set_result("a")
    assert controllers.replies == [("/topic/later", b"a")]


@pytest.mark.spec("ANN-06", "ANN-08")
def test_a_failed_future_takes_the_route_of_exceptions() -> None:
    controller = Later()
    controllers = Controllers(controller)
    controllers.send("/app/later")
    wrapper = RuntimeError("wrapper")
    wrapper.__cause__ = ValueError("x")
    controller.future.set_exception(wrapper)
    assert controllers.replies == [("/topic/errors", b"failed: x")]


@pytest.mark.spec("ANN-06")
def test_what_follows_a_future_can_be_given_to_an_executor() -> None:
    executor, controller = HeldExecutor(), Later()
    controllers = Controllers(controller, future_executor=executor)
    controllers.send("/app/later")
    controller.future.set_result("a")
    assert controllers.replies == []
    executor.run_next()
    assert controllers.replies == [("/topic/later", b"a")]


@pytest.mark.spec("ANN-06")
def test_a_full_executor_does_not_lose_the_answer() -> None:
    class Full:
        def execute(self, task: Callable[[], object]) -> None:
            raise TaskRejectedError("full")

    controller = Later()
    controllers = Controllers(controller, future_executor=Full())
    controllers.send("/app/later")
    controller.future.set_result("a")
    assert controllers.replies == [("/topic/later", b"a")]


@pytest.mark.spec("ANN-06")
def test_gevents_results_are_answered_when_they_are_done() -> None:
    gevent = pytest.importorskip("gevent")
    event = pytest.importorskip("gevent.event")
    result = event.AsyncResult()

    class Controller:
        @message_mapping("/result")
        def result(self) -> Any:
            return result

        @message_mapping("/greenlet")
        def greenlet(self) -> Any:
            return gevent.spawn(lambda: "b")

    controllers = Controllers(Controller())
    controllers.send("/app/result")
    assert controllers.replies == []
    result.set("a")
    gevent.sleep(0)
    controllers.send("/app/greenlet")
    while len(controllers.replies) < 2:
        gevent.sleep(0)
    assert controllers.replies == [("/topic/result", b"a"), ("/topic/greenlet", b"b")]


# -- exceptions


class Failing(Seen):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    @message_mapping("/fail/{x}")
    def fail(self, x: Annotated[str, DestinationVariable]) -> str:
        raise self.error


class Handling(Failing):
    @message_exception_handler(LookupError)
    @send_to_user("/queue/errors")
    def on_lookup(
        self,
        error: LookupError,
        method: HandlerMethod,
        user: Principal,
        x: Annotated[str, DestinationVariable],
        body: Annotated[str, Payload],
    ) -> str:
        self.see(error, method.name, user, x, body)
        return "sorry"

    @message_exception_handler(OSError)
    def on_os(self, cause: OSError, own: Message[Any]) -> str:
        self.see(cause, own)
        return "default"

    @message_exception_handler(MessageHandlingError)
    def on_wrapped(self, error: MessageHandlingError) -> None:
        self.see(error)

    @message_exception_handler(ArithmeticError)
    def on_arithmetic(self) -> str:
        raise ValueError("handlers fail, too")

    @message_exception_handler(UnicodeError)
    def later(self) -> Future[str]:
        return Future()


def caused_by(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


@pytest.mark.spec("ANN-08")
def test_a_method_of_the_controller_handles_its_exceptions() -> None:
    error, user = KeyError("k"), User("joe")
    controller = Handling(error)
    controllers = Controllers(controller)
    controllers.send("/app/fail/1", b"hi", user=user)
    assert controller.seen == [(error, "Handling.fail", user, "1", "hi")]
    assert controllers.replies == [("/user/joe/queue/errors", b"sorry")]


@pytest.mark.spec("ANN-08")
def test_the_direct_cause_is_matched_and_given() -> None:
    cause = FileNotFoundError("f")
    controller = Handling(caused_by(RuntimeError("r"), cause))
    controllers = Controllers(controller)
    controllers.send("/app/fail/1", b"hi")
    assert controller.seen[0][0] is cause
    assert controllers.replies == [("/topic/fail/1", b"default")]


@pytest.mark.spec("ANN-08")
def test_what_is_no_exception_is_wrapped_first() -> None:
    class Timeout(BaseException):
        pass

    error = Timeout("t")
    controller = Handling(error)
    Controllers(controller).send("/app/fail/1", b"hi")
    (wrapped,) = controller.seen
    assert isinstance(wrapped, MessageHandlingError)
    assert wrapped.__cause__ is error
    assert wrapped.failed_message is not None


@pytest.mark.spec("ANN-08")
def test_an_interrupt_is_not_a_failure_of_the_method() -> None:
    controller = Handling(KeyboardInterrupt())
    handler = Controllers(controller).handler
    with pytest.raises(KeyboardInterrupt):
        handler.handle_message(client_message("/app/fail/1"))
    assert controller.seen == []


@pytest.mark.spec("ANN-08")
@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), CancelledError()])
def test_what_would_end_the_program_elsewhere_is_a_failure_of_the_method(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    controller = Handling(error)
    Controllers(controller).send("/app/fail/1", b"hi")
    (wrapped,) = controller.seen
    assert wrapped.__cause__ is error
    exits = [record.getMessage() for record in caplog.records if "does not end the server" in record.getMessage()]
    assert len(exits) == isinstance(error, SystemExit)
    assert all("SystemExit(3)" in each and "Handling.fail" in each and "session=s1" in each for each in exits)


class Leaving(Failing):
    """Its method fails, and then so does what handles that."""

    @message_exception_handler(Exception)
    def failed(self) -> None:
        raise self.error


@pytest.mark.spec("ANN-08")
@pytest.mark.parametrize("error", [SystemExit("bye"), GeneratorExit(), CancelledError()])
def test_an_exception_handler_that_raises_what_is_no_exception_is_logged(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    controllers = Controllers(Leaving(error))
    controllers.send("/app/fail/1")
    assert caplog.records[-1].getMessage().startswith("Error while processing handler method exception (session=s1")
    assert controllers.replies == []


@pytest.mark.spec("ANN-08")
def test_an_interrupt_in_an_exception_handler_is_passed_on() -> None:
    class Interrupted(Failing):
        @message_exception_handler(ValueError)
        def failed(self) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Controllers(Interrupted(ValueError())).handler.handle_message(client_message("/app/fail/1"))


@pytest.mark.spec("ANN-06", "ANN-08")
@pytest.mark.parametrize("error", [SystemExit("bye"), GeneratorExit()])
def test_a_late_reply_that_raises_what_is_no_exception_takes_the_same_route(error: BaseException) -> None:
    future: Future[str] = Future()

    class Later(Handling):
        @message_mapping("/later")
        def later_on(self) -> Future[str]:
            return future

    class Refusing:
        def supports_return_type(self, method: HandlerMethod) -> bool:
            return True

        def handle_return_value(self, value: Any, method: HandlerMethod, message: Message[Any]) -> None:
            raise error

    controller = Later(ValueError())
    Controllers(controller, return_value_handlers=[Refusing()]).send("/app/later", b"hi")
    future.set_result("now")
    (wrapped,) = controller.seen
    assert wrapped.__cause__ is error


@pytest.mark.spec("ANN-08")
def test_a_killed_greenlet_ends() -> None:
    greenlet_exit = pytest.importorskip("gevent").GreenletExit
    with pytest.raises(greenlet_exit):
        Controllers(Handling(greenlet_exit())).handler.handle_message(client_message("/app/fail/1"))


@pytest.mark.spec("ANN-08", "LOG-01")
def test_without_a_handler_there_is_an_error_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    controllers = Controllers(Failing(ValueError("v")))
    controllers.send("/app/fail/1", user=User("joe"))
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == "Unhandled exception from message handler method (session=s1 destination=/app/fail/1)"
    assert "ValueError('v')" in str(record.exc_info)
    assert controllers.broker.messages == controllers.outbound.messages == []


@pytest.mark.spec("ANN-08")
@pytest.mark.parametrize("error", [ZeroDivisionError(), UnicodeError()])
def test_a_failing_handler_is_logged(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    controllers = Controllers(Handling(error))
    controllers.send("/app/fail/1", b"hi")
    (record,) = caplog.records
    assert record.getMessage().startswith("Error while processing handler method exception")
    assert controllers.replies == []


@pytest.mark.spec("ANN-08")
def test_errors_of_replies_take_the_same_route() -> None:
    class Controller(Seen):
        @message_mapping("/a")
        @send_to("/topic/{unknown}")
        def a(self) -> str:
            return "a"

        @message_exception_handler()
        def failed(self, error: ValueError) -> None:
            self.see(str(error))

    controller = Controller()
    Controllers(controller).send("/app/a")
    assert controller.seen == ["Could not resolve placeholder 'unknown' in value \"/topic/{unknown}\""]


@pytest.mark.spec("ANN-08")
def test_handlers_are_checked_at_registration() -> None:
    class Twice(Failing):
        @message_exception_handler(ValueError)
        def one(self) -> None: ...

        @message_exception_handler(ValueError)
        def two(self) -> None: ...

    class Untyped(Failing):
        @message_exception_handler()
        def one(self) -> None: ...

    with pytest.raises(RuntimeError, match="Ambiguous @ExceptionHandler method mapped for"):
        Controllers(Twice(ValueError()))
    with pytest.raises(RuntimeError, match="No exception types mapped to"):
        Controllers(Untyped(ValueError()))


@controller_advice(order=2)
class Second(Seen):
    @message_exception_handler(Exception)
    def failed(self, error: Exception) -> str:
        self.see(error)
        return "second"


@controller_advice(order=1)
class First(Seen):
    @message_exception_handler(LookupError)
    def failed(self, error: LookupError) -> str:
        self.see(error)
        return "first"


@controller_advice(types=[Chat])
class ForChat(First):
    pass


@pytest.mark.spec("ANN-08")
@pytest.mark.parametrize(
    ("controller", "expected"),
    [
        (Failing(KeyError()), [b"first"]),
        (Failing(ValueError()), [b"second"]),
        (Failing(caused_by(ValueError(), KeyError())), [b"first"]),
        (Handling(FileNotFoundError()), [b"default"]),
    ],
)
def test_advice_comes_after_the_controller_in_its_order(controller: Failing, expected: list[bytes]) -> None:
    controllers = Controllers(ForChat(), Second(), controller, First())
    controllers.send("/app/fail/1", b"hi")
    assert [payload for _, payload in controllers.replies] == expected


@pytest.mark.spec("ANN-08", "LOG-01")
@pytest.mark.parametrize("failure", [AttributeError("nope"), SystemExit("nope")])
@pytest.mark.parametrize("handled", [False, True])
def test_a_condition_that_raises_leaves_its_advice_out(
    failure: BaseException, handled: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def condition(controller: Any) -> bool:
        raise failure

    @controller_advice(applies_to=condition, order=0)
    class Broken(First):
        pass

    controllers = Controllers(Failing(KeyError("own")), Broken(), *([Second()] if handled else []))
    controllers.send("/app/fail/1")
    assert [payload for _, payload in controllers.replies] == ([b"second"] if handled else [])
    texts = [record.getMessage().partition(" (")[0] for record in caplog.records]
    assert texts[0].startswith("Condition of an advice failed for Failing.fail: left out")
    assert texts[1:] == ([] if handled else ["Unhandled exception from message handler method"])


@pytest.mark.spec("ANN-08")
def test_a_function_for_exceptions_serves_all_controllers() -> None:
    @message_exception_handler(ValueError)
    def failed(error) -> str:  # type: ignore[no-untyped-def]  # an untyped parameter is the exception
        return str(error)

    controllers = Controllers(failed, Failing(ValueError("v")))
    controllers.send("/app/fail/1")
    assert controllers.replies == [("/topic/fail/1", b"v")]


@pytest.mark.spec("ANN-08")
@pytest.mark.parametrize(
    ("user", "destination"), [(User("joe"), "/user/joe/queue/errors"), (None, "/user/s1/queue/errors")]
)
def test_unhandled_errors_are_reported_where_that_is_switched_on(user: Any, destination: str) -> None:
    controllers = Controllers(Failing(ValueError("v")), report_unhandled_errors=True)
    controllers.send("/app/fail/1", user=user)
    (message,) = controllers.broker.messages
    assert (message.headers["simpDestination"], message.payload) == (destination, b'{"message":"v"}')
    assert message.headers["simpSessionId"] == "s1"


@pytest.mark.spec("ANN-08")
def test_a_report_tells_no_message_and_no_trace() -> None:
    silent = Controllers(Failing(ValueError()), report_unhandled_errors=True)
    silent.send("/app/fail/1")
    assert silent.replies == [("/user/s1/queue/errors", b'{"message":"ValueError"}')]
    described = Controllers(Failing(MessageHandlingError("d", Message("secret"))), report_unhandled_errors=True)
    described.send("/app/fail/1")
    assert described.replies == [("/user/s1/queue/errors", b'{"message":"d"}')]


@pytest.mark.spec("ANN-08")
def test_a_report_shows_no_message_where_the_error_does() -> None:
    class Chatty(Seen):
        @subscribe_mapping("/a")
        def a(self) -> str:
            return "a"

    controllers = Controllers(Chatty(), report_unhandled_errors=True)
    controllers.subscribe("/app/a", subscription_id=None)
    assert controllers.replies == [("/user/s1/queue/errors", b'{"message":"RuntimeError"}')]


@pytest.mark.spec("ANN-08")
def test_a_report_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    controllers = Controllers(Failing(ValueError()), report_unhandled_errors=True)
    controllers.broker.accept = False
    controllers.send("/app/fail/1")
    assert [each.getMessage().partition(" (")[0] for each in caplog.records] == [
        "Unhandled exception from message handler method",
        "Could not report an unhandled exception",
    ]


# -- extension points


class Tenant:
    pass


class TenantResolver:
    def supports_parameter(self, parameter: MethodParameter) -> bool:
        return parameter.annotation in (Tenant, str)

    def resolve_argument(self, parameter: MethodParameter, message: Message[Any]) -> Any:
        return f"tenant of {message.headers['simpSessionId']}"


class Keeper:
    """A return value handler that keeps strings."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    def supports_return_type(self, method: HandlerMethod) -> bool:
        return method.return_parameter.annotation is str

    def handle_return_value(self, value: Any, method: HandlerMethod, message: Message[Any]) -> None:
        self.kept.append((value, method.name.rpartition(".")[2], message.headers[LOOKUP_DESTINATION]))


class Extended(Seen):
    @message_mapping("/plain")
    def plain(self, tenant: Tenant, line: str, token: Annotated[str, Header]) -> str:
        self.see(tenant, line, token)
        return "plain"

    @message_mapping("/marked")
    @send_to("/topic/marked")
    def marked(self) -> str:
        return "marked"

    @subscribe_mapping("/subscribe")
    def subscribe(self) -> str:
        return "subscribe"

    @message_mapping("/number")
    def number(self) -> int:
        return 5


@pytest.mark.spec("ANN-09", "ANN-04")
def test_custom_argument_resolvers_come_before_the_payload_and_after_the_rest() -> None:
    controller = Extended()
    controllers = Controllers(controller, custom_argument_resolvers=[TenantResolver()])
    controllers.send("/app/plain", b"hi", native={"token": ["t"]})
    assert controller.seen == [("tenant of s1", "tenant of s1", "t")]


@pytest.mark.spec("ANN-09", "ANN-06")
def test_custom_return_value_handlers_come_before_the_default_and_after_the_rest() -> None:
    keeper = Keeper()
    controllers = Controllers(
        Extended(), custom_return_value_handlers=[keeper], custom_argument_resolvers=[TenantResolver()]
    )
    controllers.send("/app/plain", b"hi", native={"token": ["t"]})
    controllers.send("/app/marked")
    controllers.subscribe("/app/subscribe")
    controllers.send("/app/number")
    assert keeper.kept == [("plain", "plain", "/plain")]
    assert controllers.replies == [("/topic/marked", b"marked"), ("/topic/number", b"5")]
    assert [each.payload for each in controllers.outbound.messages] == [b"subscribe"]


@pytest.mark.spec("ANN-09")
def test_whole_lists_can_be_replaced() -> None:
    class Controller(Seen):
        @message_mapping("/a")
        def a(self, x: str) -> str:
            self.see(x)
            return "a"

    keeper, controller = Keeper(), Controller()
    controllers = Controllers(controller, argument_resolvers=[TenantResolver()], return_value_handlers=[keeper])
    controllers.send("/app/a", b"hi")
    assert controller.seen == ["tenant of s1"]
    assert keeper.kept == [("a", "a", "/a")]


@pytest.mark.spec("ANN-09")
def test_conversion_validator_and_converter_can_be_set() -> None:
    class Conversion:
        def convert(self, value: Any, target: Any) -> Any:
            return target(f"{value}0")

    class Never:
        def validate(self, value: Any, groups: tuple[Any, ...]) -> list[str]:
            return [f"never {value}"]

    class Controller(Seen):
        @message_mapping("/{x}")
        def a(self, x: Annotated[int, DestinationVariable]) -> None:
            self.see(x)

        @message_mapping("/valid")
        def valid(self, line: Annotated[bytes, Valid]) -> None: ...

        @message_mapping("/converted")
        def converted(self, line: Line) -> None: ...

        @message_exception_handler(Exception)
        def failed(self, error: Exception) -> None:
            self.see(str(error).partition(",")[0])

    controller = Controller()
    controllers = Controllers(
        controller, conversion_service=Conversion(), validator=Never(), message_converter=SimpleMessageConverter()
    )
    controllers.send("/app/5")
    controllers.send("/app/valid", b"v")
    controllers.send("/app/converted", b"v")
    number, invalid, unconverted = controller.seen
    assert number == 50
    assert invalid.endswith("1 error(s): [never b'v']")
    assert unconverted.startswith("Cannot convert from [bytes] to [")
