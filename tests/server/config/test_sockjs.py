"""SockJS as an application registers it."""

import dataclasses

import pytest
from kit.scheduling import ManualTaskScheduler
from kit.serving import RecordingHandler

from wellhead.server.close import CloseStatus, EndReason
from wellhead.server.config.endpoints import StompEndpointRegistry, WebSocketHandlerRegistry
from wellhead.server.config.sockjs import SockJsServiceRegistration
from wellhead.server.handshake.handler import DefaultHandshakeHandler
from wellhead.server.handshake.origin import OriginHandshakeInterceptor
from wellhead.server.sockjs.frame import messages_frame
from wellhead.server.sockjs.options import CLIENT_LIBRARY_URL, JsonSockJsMessageCodec, SockJsOptions
from wellhead.server.sockjs.request_handler import SockJsHttpRequestHandler
from wellhead.server.sockjs.xhr import XhrSendTransport, XhrTransport

DEFAULT_TRANSPORTS = ["xhr", "xhr_send", "xhr_streaming", "eventsource", "htmlfile", "websocket"]


class Interceptor:
    def before_handshake(self, request, response, handler, attributes):
        return True

    def after_handshake(self, request, response, handler, exception): ...


def make_service(registration):
    return registration.make_service(ManualTaskScheduler())


@pytest.mark.spec("SJS-01")
def test_the_defaults():
    options = SockJsOptions()
    assert options.client_library_url == CLIENT_LIBRARY_URL
    assert CLIENT_LIBRARY_URL == "https://cdn.jsdelivr.net/npm/sockjs-client@1/dist/sockjs.min.js"
    assert options.stream_bytes_limit == 128 * 1024
    assert options.session_cookie_needed is not False
    assert (options.heartbeat_ms, options.disconnect_delay_ms) == (25_000, 5_000)
    assert options.http_message_cache_size == 100
    assert (options.web_socket_enabled, options.suppress_cors, options.jsonp_enabled) == (True, False, False)
    assert isinstance(options.message_codec, JsonSockJsMessageCodec)
    service = make_service(SockJsServiceRegistration())
    assert list(service.transports) == DEFAULT_TRANSPORTS
    assert (service.policy.allowed_origins, service.policy.allowed_origin_patterns) == ((), ())


@pytest.mark.spec("SJS-01")
@pytest.mark.parametrize(
    "name", ["stream_bytes_limit", "max_body_size", "disconnect_delay_ms", "http_message_cache_size"]
)
def test_options_that_must_be_positive(name):
    assert getattr(SockJsOptions(**{name: 1}), name) == 1
    with pytest.raises(ValueError, match=name):
        SockJsOptions(**{name: 0})


@pytest.mark.spec("SJS-01")
def test_a_negative_heartbeat_is_refused():
    assert SockJsOptions(heartbeat_ms=0).heartbeat_ms == 0
    with pytest.raises(ValueError, match="heartbeat_ms"):
        SockJsOptions(heartbeat_ms=-1)


@pytest.mark.spec("CFG-02")
def test_every_option_has_a_setter():
    codec, scheduler, interceptor = JsonSockJsMessageCodec(), ManualTaskScheduler(), Interceptor()
    registration = (
        SockJsServiceRegistration()
        .set_client_library_url("/sockjs.js")
        .set_stream_bytes_limit(1)
        .set_session_cookie_needed(False)
        .set_heartbeat_time(2)
        .set_disconnect_delay(3)
        .set_http_message_cache_size(4)
        .set_web_socket_enabled(False)
        .set_jsonp_enabled(True)
        .set_suppress_cors(True)
        .set_max_body_size(5)
        .set_message_codec(codec)
        .set_task_scheduler(scheduler)
        .set_interceptors(interceptor)
    )
    expected = SockJsOptions(
        client_library_url="/sockjs.js", stream_bytes_limit=1, session_cookie_needed=False, heartbeat_ms=2,
        disconnect_delay_ms=3, http_message_cache_size=4, web_socket_enabled=False, jsonp_enabled=True,
        suppress_cors=True, max_body_size=5, message_codec=codec,
    )  # fmt: skip
    assert registration.options == expected
    changed = {
        field.name
        for field in dataclasses.fields(SockJsOptions)
        if field.name == "message_codec" or getattr(expected, field.name) != getattr(SockJsOptions(), field.name)
    }
    assert changed == {field.name for field in dataclasses.fields(SockJsOptions)}
    service = registration.make_service(None)
    assert service.timers.now_ms == scheduler.now_ms
    assert service.interceptors[0] is interceptor
    assert list(service.transports) == [*DEFAULT_TRANSPORTS, "jsonp", "jsonp_send"]


@pytest.mark.spec("CFG-02")
def test_transports_replace_all_or_those_of_their_name():
    mine, other = XhrTransport(), XhrSendTransport()
    service = make_service(SockJsServiceRegistration().set_transport_handlers(mine, other))
    assert list(service.transports.values()) == [mine, other]
    service = make_service(SockJsServiceRegistration().set_transport_handler_overrides(mine))
    assert list(service.transports) == DEFAULT_TRANSPORTS
    assert service.transports["xhr"] is mine
    both = SockJsServiceRegistration().set_transport_handlers(mine).set_transport_handler_overrides(mine)
    with pytest.raises(RuntimeError, match="Specify either TransportHandlers or TransportHandler overrides, not both"):
        make_service(both)


@pytest.mark.spec("CFG-02")
def test_a_scheduler_is_needed():
    with pytest.raises(RuntimeError, match="task scheduler"):
        SockJsServiceRegistration().make_service(None)


@pytest.mark.spec("CFG-02")
def test_a_codec_of_ones_own_is_used():
    from kit.streams import Service

    class Shouting(JsonSockJsMessageCodec):
        @staticmethod
        def encode(messages):
            return messages_frame([text.upper() for text in messages])

    service = Service(RecordingHandler(lambda session, message: session.send_message(message)),
                      options={"message_codec": Shouting()})  # fmt: skip
    service.poll()
    service.send(b'["a"]')
    assert service.poll().body == b'a["A"]\n'


@pytest.mark.spec("CFG-01", "CFG-02", "CFG-04")
@pytest.mark.parametrize(
    "path, pattern", [("/echo", "/echo/**"), ("/echo/", "/echo/**"), ("/{room}/ws", "/{room}/ws/**")]
)
def test_sockjs_takes_the_path_and_all_below(path, pattern):
    registration = StompEndpointRegistry().add_endpoint(path, "/other")
    registration.with_sockjs(heartbeat_ms=7)
    found = list(registration.request_handlers(RecordingHandler(), ManualTaskScheduler()))
    assert [each[0] for each in found] == [pattern, "/other/**"]
    assert all(isinstance(each[1], SockJsHttpRequestHandler) for each in found)
    assert found[0][1].service is found[1][1].service
    assert found[0][1].service.options.heartbeat_ms == 7


@pytest.mark.spec("CFG-01", "CFG-02")
def test_with_sockjs_takes_a_snapshot():
    first, late, handshake_handler = Interceptor(), Interceptor(), DefaultHandshakeHandler()
    endpoint = WebSocketHandlerRegistry().add_handler(RecordingHandler(), "/echo")
    endpoint.add_interceptors(first).set_allowed_origins("http://a.example").set_handshake_handler(handshake_handler)
    registration = endpoint.with_sockjs()
    endpoint.add_interceptors(late).set_allowed_origins("http://b.example")
    service = make_service(registration)
    assert service.policy.allowed_origins == ("http://a.example",)
    assert service.policy.allow_credentials
    assert service.interceptors[0] is first and len(service.interceptors) == 2
    assert isinstance(service.interceptors[1], OriginHandshakeInterceptor)
    assert registration.handshake_handler is handshake_handler


@pytest.mark.spec("CFG-02", "HS-06")
def test_the_origin_star_is_refused_with_what_to_do_instead():
    endpoint = WebSocketHandlerRegistry().add_handler(RecordingHandler(), "/echo", allowed_origins=["*"])
    with pytest.raises(ValueError, match="allowed_origin_patterns"):
        endpoint.with_sockjs()
    endpoint.set_allowed_origins().set_allowed_origin_patterns("*").with_sockjs()


@pytest.mark.spec("SJS-14", "LIFE-01")
def test_when_the_application_stops_sessions_between_two_polls_end_too():
    from kit.streams import Service

    service = Service(RecordingHandler())
    registration = SockJsServiceRegistration()
    registration.close_sessions()
    registration._service = service.service
    service.poll()
    registration.close_sessions()
    assert service.handler.named("closed") == [("closed", 1001, EndReason.SERVER_STOPPED)]
    assert service.session.close_status == CloseStatus.GOING_AWAY


@pytest.mark.spec("CFG-02", "HS-06")
def test_a_single_origin_may_be_given_as_it_is():
    registration = SockJsServiceRegistration(allowed_origins="https://example.org", allowed_origin_patterns="https://*")
    assert registration.policy.allowed_origins == ("https://example.org",)
    assert registration.policy.allowed_origin_patterns == ("https://*",)


@pytest.mark.spec("CFG-02")
@pytest.mark.parametrize("setter", ["set_interceptors", "set_transport_handlers", "set_transport_handler_overrides"])
def test_a_list_of_arguments_is_refused_at_once(setter):
    with pytest.raises(TypeError, match=f"^{setter} takes its arguments one by one, not in a list"):
        getattr(SockJsServiceRegistration(), setter)([Interceptor()])
