"""The application object: wiring, options, life cycle, requests."""

from __future__ import annotations

import io
from concurrent.futures import Future
from typing import Annotated

import pytest
from kit.chat import FRAMES, Bystander, Chat, Config, WithExecutor, error_of, headers, make
from kit.handshakes import FakeUpgradeStrategy, make_environ
from kit.stomp import FakeRuntime, StompServer
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import BadRequest, HTTPException, ServiceUnavailable, Unauthorized
from werkzeug.wrappers import Response

from wellhead.messaging.converter.builtin import StringMessageConverter
from wellhead.messaging.exceptions import MethodArgumentNotValidError
from wellhead.messaging.handler.annotations import (
    Valid,
    message_exception_handler,
    message_mapping,
    send_to,
)
from wellhead.messaging.handler.arguments import HandlerMethodArgumentResolver
from wellhead.messaging.stomp.command import StompCommand
from wellhead.server.close import CloseStatus
from wellhead.server.config.app import WellheadApp
from wellhead.server.config.configurer import WebSocketConfigurer, WebSocketMessageBrokerConfigurer
from wellhead.server.handlers import TextWebSocketHandler
from wellhead.server.handshake.handler import DefaultHandshakeHandler
from wellhead.server.session import UserPrincipal


@pytest.fixture
def server():
    with make() as server:
        yield server


def test_disconnect_of_a_session(server):
    bystander = Bystander(server)
    client = server.connected("s9")
    assert server.app.disconnect("s9", status=CloseStatus.POLICY_VIOLATION) == 1
    assert client.closed_with == CloseStatus.POLICY_VIOLATION
    assert server.app.disconnect("s9") == 0
    assert bystander.is_well()


def test_disconnect_of_a_user(server):
    clients = [server.connected(principal=UserPrincipal(name)) for name in ("joe", "ann", "joe")]
    assert server.app.disconnect(user="joe") == 2
    assert [client.closed_with for client in clients] == [CloseStatus.NORMAL, None, CloseStatus.NORMAL]
    assert server.app.disconnect(user="nobody") == 0


@pytest.mark.spec("CFG-03", "LOG-01")
def test_destinations_of_nobody_are_told(server, caplog):
    client = server.connected("s9")
    client.send("SEND", destination="/room/7")
    client.send("SUBSCRIBE", id="1", destination="/app/nobody")
    server.app.template.convert_and_send("topic/room/7", "hi")
    assert [text.partition(":")[0] for text in caplog.messages] == [
        "Nobody takes MESSAGE to '/room/7' of session s9",
        "No method for SUBSCRIBE to '/app/nobody' of session s9",
        "Nobody takes what the application sends to 'topic/room/7'",
    ]


@pytest.mark.parametrize("arguments", [{}, {"session_id": "a", "user": "b"}])
def test_disconnect_needs_one_of_both(server, arguments):
    with pytest.raises(ValueError, match="Either"):
        server.app.disconnect(**arguments)


# -- the application object


@pytest.mark.spec("LIFE-01", "CFG-07")
def test_start_and_stop():
    app = WellheadApp(None, WithExecutor())
    runtime = FakeRuntime()
    assert not app.is_running
    app.start(runtime)
    app.start(FakeRuntime())
    assert app.is_running
    pool, futures = runtime.pools
    assert app.client_inbound_channel.executor is pool
    assert pool.name_prefix == "clientInboundChannel-"
    assert pool.limits["core_pool_size"] == 2
    app.stop()
    app.stop()
    assert not app.is_running
    assert pool.is_shut_down
    assert futures.is_shut_down
    assert app.client_inbound_channel.executor is None
    assert app.client_inbound_channel.subscribers == ()
    assert app.broker_channel.subscribers == ()
    assert app.client_outbound_channel.subscribers == ()
    assert runtime.scheduler.pending == []


@pytest.mark.spec("LIFE-01")
def test_who_listens_where():
    app = WellheadApp(None, Config())
    app.start(FakeRuntime())
    inbound = {type(each).__name__ for each in app.client_inbound_channel.subscribers}
    assert inbound == {
        "SimpAnnotationMethodMessageHandler",
        "UserDestinationMessageHandler",
        "SimpleBrokerMessageHandler",
    }
    assert len(app.broker_channel.subscribers) == 2  # users and the broker
    assert [repr(each) for each in app.client_outbound_channel.subscribers] == ["SubProtocolWebSocketHandler"]
    app.stop()


@pytest.mark.spec("LIFE-01")
def test_an_application_can_start_again():
    app = WellheadApp(None, Config(), controllers=[Chat()])
    for _ in range(2):
        with StompServer(app) as server:
            assert Bystander(server).is_well()


@pytest.mark.spec("LIFE-01", "LOG-01")
def test_an_application_that_nobody_started_says_so(caplog):
    app = WellheadApp(lambda environ, start_response: [b"page"], Config())
    assert call(app, make_environ("/ws")) == ("503 Service Unavailable", b"The application is not started.")
    assert "/ws: this WellheadApp is not started" in caplog.text
    assert call(app, make_environ("/page"))[1] == b"page"
    app.start(FakeRuntime())
    app.stop()
    assert not call(app, make_environ("/ws"))[0].startswith("503")  # It is ending: clients may still ask for the rest.


@pytest.mark.spec("LIFE-01", "TPL-03", "LOG-01")
def test_what_is_published_before_the_start_is_lost_and_told_once(caplog):
    app = WellheadApp(None, Config())
    for _ in range(2):
        app.template.convert_and_send("/topic/a", "hi")
    [line] = caplog.messages
    assert line.startswith("Nobody hears what is sent to '/topic/a'")
    app.start(FakeRuntime())
    app.template.convert_and_send("/topic/a", "hi")
    app.stop()
    assert caplog.messages == [line]


@pytest.mark.spec("CFG-07", "LIFE-01")
def test_an_executor_of_the_application_is_left_as_it_is():
    pool = FakeRuntime().executor("mine-")

    class Own(Config):
        def configure_client_outbound_channel(self, registration) -> None:
            registration.executor(pool)

    app = WellheadApp(None, Own())
    app.start(FakeRuntime())
    assert app.client_outbound_channel.executor is pool
    app.stop()
    assert not pool.is_shut_down


@pytest.mark.spec("ANN-06", "CFG-07")
def test_what_a_future_brings_is_sent_by_a_pool_of_its_own():
    future: Future[str] = Future()

    @message_mapping("/later")
    @send_to("/topic/later")
    def later() -> Future[str]:
        return future

    with StompServer(WellheadApp(None, Config(), controllers=[later])) as server:
        client = server.connected()
        client.subscribe("/topic/later")
        client.send("SEND", destination="/app/later")
        [futures] = server.runtime.pools
        assert futures.name_prefix == "futures-"
        future.set_result("done")
        assert client.received() == []
        assert len(futures.tasks) == 1
        server.run_tasks()
        assert [message.body for message in client.received()] == [b"done"]


@pytest.mark.spec("CFG-07", "REG-01")
def test_a_session_can_have_so_many_subscriptions_as_the_broker_is_told():
    class Few(Config):
        def configure_message_broker(self, registry) -> None:
            registry.enable_simple_broker("/topic").set_max_subscriptions_per_session(2)

    with make(config=Few) as server:
        client = server.connected()
        for number in range(3):
            client.subscribe("/topic/a", str(number))
            assert (client.closed_with is None) is (number < 2)
        assert "2 subscriptions" in error_of(client)["message"]


@pytest.mark.spec("CFG-08")
def test_beans_by_name():
    app = WellheadApp()
    for name in (
        "client_inbound_channel",
        "client_outbound_channel",
        "broker_channel",
        "simp_annotation_method_message_handler",
        "simple_broker_message_handler",
        "user_destination_message_handler",
        "message_broker_task_scheduler",
        "broker_messaging_template",
        "broker_message_converter",
        "user_destination_resolver",
        "user_registry",
        "sub_protocol_web_socket_handler",
        "stomp_web_socket_handler_mapping",
        "web_socket_message_broker_stats",
    ):
        assert getattr(app, name) is not None
    assert app.template is app.broker_messaging_template
    assert app.stats is app.web_socket_message_broker_stats


@pytest.mark.spec("CFG-03")
def test_several_configurers_are_applied_in_turn():
    class Other(WebSocketMessageBrokerConfigurer):
        def configure_message_broker(self, registry) -> None:
            registry.set_application_destination_prefixes("/other")

        def configure_message_converters(self, converters) -> bool:
            converters.append(StringMessageConverter())
            return False

    app = WellheadApp(None, Config(), Other())
    assert app.simp_annotation_method_message_handler.destination_prefixes == ("/other/",)
    assert app.simple_broker_message_handler.destination_prefixes == ("/topic", "/queue")
    assert [type(each) for each in app.broker_message_converter.converters] == [StringMessageConverter]


class Answer:
    pass


@pytest.mark.spec("CFG-03", "ANN-09")
def test_argument_resolvers_of_the_application():
    class AnswerResolver(HandlerMethodArgumentResolver):
        def supports_parameter(self, parameter) -> bool:
            return parameter.annotation is Answer

        def resolve_argument(self, parameter, message):
            return "42"

    class Resolving(Config):
        def add_argument_resolvers(self, resolvers) -> None:
            resolvers.append(AnswerResolver())

    class Asking:
        @message_mapping("/ask")
        @send_to("/topic/a")
        def ask(self, answer: Answer):
            return answer

    with StompServer(WellheadApp(None, Resolving(), controllers=[Asking()])) as server:
        client = server.connected()
        client.subscribe("/topic/a")
        client.send("SEND", destination="/app/ask")
        assert [message.body for message in client.received()] == [b"42"]


class Upper:
    """What a method returns, for the handler below."""

    def __init__(self, text: str) -> None:
        self.text = text


class UpperHandler:
    def __init__(self) -> None:
        self.seen = []

    def supports_return_type(self, method) -> bool:
        return method.return_parameter.annotation is Upper

    def handle_return_value(self, value, method, message) -> None:
        self.seen.append(value.text.upper())


class Upping:
    @message_mapping("/upper")
    def upper(self, text: str) -> Upper:
        return Upper(text)


@pytest.mark.spec("CFG-03", "ANN-09")
def test_return_value_handlers_of_the_application():
    handler = UpperHandler()

    class Handling(Config):
        def add_return_value_handlers(self, handlers) -> None:
            handlers.append(handler)

    with StompServer(WellheadApp(None, Handling(), controllers=[Upping()])) as server:
        server.connected().send("SEND", b"a", destination="/app/upper")
    assert handler.seen == ["A"]


class Refusing:
    def validate(self, value, groups):
        return ["too long"]


class Checked:
    @message_mapping("/checked")
    @send_to("/topic/a")
    def check(self, text: Annotated[str, Valid()]) -> str:
        return text

    @message_exception_handler(MethodArgumentNotValidError)
    @send_to("/topic/a")
    def refuse(self, error: MethodArgumentNotValidError) -> str:
        return ",".join(error.errors)


@pytest.mark.spec("CFG-08", "ANN-05")
def test_the_validator_of_the_application():
    with StompServer(WellheadApp(None, Config(), controllers=[Checked()], validator=Refusing())) as server:
        client = server.connected()
        client.subscribe("/topic/a")
        client.send("SEND", b"x", destination="/app/checked")
        assert [message.body for message in client.received()] == [b"too long"]


@pytest.mark.spec("CFG-06", "ANN-08")
def test_unhandled_errors_can_be_told():
    class Telling(Config):
        def configure_message_broker(self, registry) -> None:
            super().configure_message_broker(registry)
            registry.set_report_unhandled_errors(True)

    with make(config=Telling) as server:
        client = server.connected()
        client.subscribe("/user/queue/errors")
        client.send("SEND", destination="/app/fail")
        assert [message.body for message in client.received()] == [b'{"message":"by zero"}']


@pytest.mark.spec("CFG-06", "SB-03")
@pytest.mark.parametrize(("names", "rides"), [(None, False), ((), True), (("colour",), True)])
def test_which_headers_ride_on_the_message(names, rides):
    class Choosing(Config):
        def configure_message_broker(self, registry) -> None:
            broker = registry.enable_simple_broker("/topic")
            if names is not None:
                broker.set_control_headers(*names)

    with make(config=Choosing) as server:
        client = server.connected()
        client.subscribe("/topic/a")
        client.send("SEND", destination="/topic/a", receipt="r", colour="red")
        [message] = [frame for frame in client.received() if frame.command == "MESSAGE"]
        assert ("receipt" in headers(message)) is rides
        assert ("colour" in headers(message)) is (names != ("colour",))


@pytest.mark.spec("CFG-06", "CH-05")
@pytest.mark.parametrize(("preserve", "tasks"), [(False, 2), (True, 1)])
def test_publish_order(preserve, tasks):
    class Publishing(Config):
        def configure_message_broker(self, registry) -> None:
            super().configure_message_broker(registry)
            registry.set_preserve_publish_order(preserve)

        def configure_client_outbound_channel(self, registration) -> None:
            registration.task_executor()

    with make(config=Publishing) as server:
        client = server.open()
        client.send("CONNECT", accept_version="1.2")
        client.subscribe("/topic/a")
        server.run_tasks()
        client.received()
        for number in range(2):
            server.app.template.convert_and_send("/topic/a", str(number))
        assert len(server.runtime.pools[0].tasks) == tasks
        server.run_tasks()
        assert [message.body for message in client.received()] == [b"0", b"1"]


@pytest.mark.spec("CFG-06")
def test_without_a_broker_a_simple_one_takes_everything():
    with StompServer(WellheadApp()) as server:
        client = server.connected()
        client.subscribe("/any")
        server.app.template.convert_and_send("/any", "x")
        assert [message.body for message in client.received()] == [b"x"]


@pytest.mark.spec("CFG-04", "SPH-07")
def test_receive_order_is_kept_by_default_and_can_be_left_to_chance():
    class Unordered(WithExecutor):
        def register_stomp_endpoints(self, registry) -> None:
            registry.add_endpoint("/ws")
            registry.set_preserve_receive_order(False)

    for config, tasks in ((WithExecutor, 3), (Unordered, 6)):
        with make(config=config) as server:
            client = server.open()
            client.send_bytes(FRAMES[StompCommand.CONNECT] + FRAMES[StompCommand.SUBSCRIBE])
            assert len(server.runtime.pools[0].tasks) == tasks
            server.run_tasks()


@pytest.mark.spec("CFG-05")
def test_limits_reach_the_endpoint():
    class Limited(Config):
        def configure_web_socket_transport(self, registration) -> None:
            registration.set_send_time_limit(1).set_send_buffer_size_limit(2).set_time_to_first_message(3)
            registration.set_message_size_limit(4)

    app = WellheadApp(None, Limited())
    endpoint = app.sub_protocol_web_socket_handler
    assert (endpoint.send_time_limit_ms, endpoint.send_buffer_size_limit) == (1, 2)
    assert endpoint.time_to_first_message_ms == 3
    assert app.stomp_sub_protocol_handler.message_size_limit == 4


# -- WSGI


class Echo(TextWebSocketHandler):
    pass


class Raw(WebSocketConfigurer):
    def __init__(self, strategy: FakeUpgradeStrategy) -> None:
        self.strategy = strategy

    def register_web_socket_handlers(self, registry) -> None:
        registry.add_handler(Echo(), "/echo").set_handshake_handler(DefaultHandshakeHandler(self.strategy))


def call(app: WellheadApp, environ: dict) -> tuple[str, bytes]:
    answers = []
    body = app({"wsgi.input": io.BytesIO(), **environ}, lambda status, headers, *rest: answers.append(status))
    return (answers[0] if answers else ""), b"".join(body)


def site(environ, start_response):
    start_response("200 OK", [])
    return [b"page of " + environ["PATH_INFO"].encode()]


@pytest.mark.spec("CFG-01", "HS-07")
def test_requests_to_an_endpoint_are_handshakes_and_others_go_to_the_site():
    strategy = FakeUpgradeStrategy()
    app = WellheadApp(site, Raw(strategy))
    assert call(app, make_environ("/other")) == ("200 OK", b"page of /other")
    assert call(app, make_environ("/echo")) == ("", b"")
    assert len(strategy.upgrades) == 1


@pytest.mark.spec("CFG-01", "HS-01")
def test_a_refused_handshake_is_a_plain_answer():
    app = WellheadApp(site, Raw(FakeUpgradeStrategy()))
    status, _ = call(app, make_environ("/echo", headers={"Origin": "http://evil.example"}))
    assert status.startswith("403")


def test_without_a_site_other_requests_are_not_found():
    status, _ = call(WellheadApp(), make_environ("/other"))
    assert status.startswith("404")


@pytest.mark.spec("HS-01", "LOG-01")
def test_a_handshake_that_fails_is_logged_and_answered(caplog):
    strategy = FakeUpgradeStrategy()
    strategy.error = ZeroDivisionError("by zero")
    status, body = call(WellheadApp(None, Raw(strategy)), make_environ("/echo"))
    assert status.startswith("500")
    assert b"by zero" not in body
    assert "Handshake failed for '/echo" in caplog.text


class Aborting:
    """An interceptor that raises, beside one that hears of it."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.heard = []

    def before_handshake(self, request, response, handler, attributes) -> bool:
        if attributes:
            raise self.error
        attributes["first"] = True
        return True

    def after_handshake(self, request, response, handler, exception) -> None:
        self.heard.append((type(exception).__name__, exception.__cause__))


class Guarded(WebSocketConfigurer):
    """A raw endpoint, and one with SockJS."""

    def __init__(self, interceptor: Aborting) -> None:
        self.interceptor = interceptor

    def register_web_socket_handlers(self, registry) -> None:
        for path in ("/raw", "/echo"):
            registration = registry.add_handler(Echo(), path)
            registration.add_interceptors(self.interceptor, self.interceptor)
            if path == "/echo":
                registration.set_allowed_origins("https://pages.example").with_sockjs()


GUARDED = [("GET", "/raw"), ("GET", "/echo/websocket"), ("GET", "/echo/0/s1/websocket"), ("POST", "/echo/0/s1/xhr")]


@pytest.mark.spec("HS-01", "HS-04", "SJS-02")
@pytest.mark.parametrize(("method", "path"), GUARDED)
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadRequest(), "400 Bad Request"),
        (Unauthorized("Who are you?"), "401 Unauthorized"),
        (HTTPException(response=Response("Who are you?", 499)), "499 Unknown"),
    ],
)
def test_an_interceptor_may_answer_with_an_exception_of_werkzeug(method, path, error, status, caplog):
    interceptor = Aborting(error)
    answer, body = call(WellheadApp(None, Guarded(interceptor)), make_environ(path, method=method))
    assert answer == status
    assert error.code == 400 or b"Who are you?" in body
    assert interceptor.heard == [("HandshakeFailureError", error)]
    assert caplog.records == []


@pytest.mark.spec("HS-04", "SJS-15")
def test_a_page_of_another_origin_may_read_what_an_interceptor_answers():
    error = Unauthorized("Who are you?", www_authenticate=[WWWAuthenticate("basic"), WWWAuthenticate("bearer")])
    environ = make_environ("/echo/0/s1/xhr", method="POST", headers={"Origin": "https://pages.example"})
    app, answers = WellheadApp(None, Guarded(Aborting(error))), []
    body = b"".join(app(environ, lambda status, headers, *rest: answers.append((status, headers))))
    status, headers = answers[0]
    assert status == "401 Unauthorized"
    assert b"Who are you?" in body
    assert headers.count(("Access-Control-Allow-Origin", "https://pages.example")) == 1
    assert headers.count(("Content-Length", str(len(body)))) == 1
    assert [value for name, value in headers if name == "WWW-Authenticate"] == ["Basic", "Bearer"]
    assert [value for name, value in headers if name == "Content-Type"] == ["text/html; charset=utf-8"]


@pytest.mark.spec("HS-01", "HS-04", "SJS-02")
@pytest.mark.parametrize(("method", "path"), GUARDED)
@pytest.mark.parametrize(
    "error",
    [
        HTTPException("no status"),
        HTTPException(response=Response(status=399)),
        ServiceUnavailable(),
        HTTPException(response=Response(status=500)),
    ],
)
def test_of_the_exceptions_of_werkzeug_only_those_that_blame_the_client_are_answers(method, path, error, caplog):
    interceptor = Aborting(error)
    answer = call(WellheadApp(None, Guarded(interceptor)), make_environ(path, method=method))
    assert answer == ("500 Internal Server Error", b"Handshake failed")
    assert interceptor.heard == [("HandshakeFailureError", error)]
    assert f"Handshake failed for {path!r}" in caplog.text


# -- what is configured by mistake, and what is not


@pytest.mark.spec("CFG-01", "CFG-03")
@pytest.mark.parametrize(
    ("arguments", "options", "remedy"),
    [
        ((Config(),), {}, "Config comes after it"),
        ((None, Config), {}, "Config is a class"),
        ((None, [Config()]), {}, "one by one, not in a list"),
        ((None, Config()), {"controllers": Chat()}, r"controllers takes several: controllers=\[\.\.\.\], not <"),
    ],
)
def test_mistakes_in_the_arguments_are_told_when_the_application_is_made(arguments, options, remedy):
    with pytest.raises(TypeError, match=remedy):
        WellheadApp(*arguments, **options)


@pytest.mark.spec("CFG-03")
@pytest.mark.parametrize(
    "method", ["add_argument_resolvers", "add_return_value_handlers", "configure_message_converters"]
)
def test_a_class_in_place_of_an_instance_is_told_when_the_application_is_made(method):
    config = Config()
    setattr(config, method, lambda things: things.append(StringMessageConverter))
    with pytest.raises(TypeError, match=f"^StringMessageConverter is a class: {method} takes an instance of it"):
        WellheadApp(None, config)


@pytest.mark.spec("CFG-06")
def test_prefixes_without_leading_slash_are_told_in_the_log(caplog):
    class Slashless(Config):
        def configure_message_broker(self, registry) -> None:
            registry.enable_simple_broker("topic")

    WellheadApp(None, Slashless())
    assert [record.getMessage()[:41] for record in caplog.records] == ['The prefix "topic" has no leading slash: ']


@pytest.mark.spec("CFG-06", "USR-03")
def test_the_limit_of_subscriptions_is_that_of_the_registry_of_users_too():
    class Limited(Config):
        def configure_message_broker(self, registry) -> None:
            registry.enable_simple_broker("/topic").set_max_subscriptions_per_session(2)

    with StompServer(WellheadApp(None, Limited())) as server:
        client = server.connected(principal=UserPrincipal("joe"))
        for number in range(5):
            client.subscribe("/app/nobody", str(number))
        found = server.app.user_registry.find_subscriptions(lambda each: True)
        assert {each.id for each in found} == {"0", "1"}
        assert client.closed_with is None


class Placed:
    @message_mapping("/${area}/{room}")
    @send_to("/topic/${area}/${kind:plain}")
    def say(self, text: str) -> str:
        return text


@pytest.mark.spec("ANN-02", "ANN-07")
@pytest.mark.parametrize("placeholders", [{"area": "home"}, {"area": "home"}.get])
def test_placeholders_of_mappings_get_their_values(placeholders):
    with StompServer(WellheadApp(None, Config(), controllers=[Placed()], placeholders=placeholders)) as server:
        client = server.connected()
        client.subscribe("/topic/home/plain")
        client.send("SEND", b"hi", destination="/app/home/1", content_type="text/plain")
        assert [frame.body for frame in client.received()] == [b"hi"]


@pytest.mark.spec("ANN-02")
def test_a_placeholder_without_value_is_told_when_the_application_is_made():
    with pytest.raises(ValueError, match="Could not resolve placeholder 'area'"):
        WellheadApp(None, Config(), controllers=[Placed()])
