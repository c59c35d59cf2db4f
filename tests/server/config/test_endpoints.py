from __future__ import annotations

import pytest
from kit.handshakes import FakeUpgradeStrategy, make_request

from wellhead.server.config.endpoints import StompEndpointRegistry, WebSocketHandlerRegistry
from wellhead.server.decorators import WebSocketHandlerDecorator
from wellhead.server.handlers import TextWebSocketHandler
from wellhead.server.handshake.handler import DefaultHandshakeHandler
from wellhead.server.handshake.origin import OriginHandshakeInterceptor
from wellhead.server.subprotocol.error_handler import StompSubProtocolErrorHandler


class Interceptor:
    def __init__(self, verdict: bool = True) -> None:
        self.verdict = verdict
        self.asked = 0

    def before_handshake(self, request, response, handler, attributes) -> bool:
        self.asked += 1
        return self.verdict

    def after_handshake(self, request, response, handler, error) -> None:
        pass


def handlers_of(registration, handler=None) -> dict[str, object]:
    return dict(registration.request_handlers(handler or registration.handler))


# -- raw handlers


@pytest.mark.spec("CFG-01")
def test_handlers_with_their_paths():
    registry = WebSocketHandlerRegistry()
    first, second = TextWebSocketHandler(), TextWebSocketHandler()
    registry.add_handler(first, "/a", "/b").add_handler(second, "/c")
    assert [(each.handler, each.paths) for each in registry.registrations] == [(first, ("/a", "/b")), (second, ("/c",))]
    assert registry.order == 1
    assert registry.set_order(7) is registry
    assert registry.order == 7


@pytest.mark.spec("CFG-01")
def test_a_path_is_needed():
    with pytest.raises(ValueError, match="path"):
        WebSocketHandlerRegistry().add_handler(TextWebSocketHandler())


@pytest.mark.spec("CFG-01")
def test_the_same_handler_again_replaces_its_paths():
    registry, handler = WebSocketHandlerRegistry(), TextWebSocketHandler()
    registry.add_handler(handler, "/a")
    registry.add_handler(handler, "/b")
    assert [each.paths for each in registry.registrations] == [("/b",)]


@pytest.mark.spec("CFG-01", "HS-04", "HS-06")
def test_the_options_of_an_endpoint_reach_its_handshake():
    strategy, interceptor = FakeUpgradeStrategy(), Interceptor()
    registration = (
        WebSocketHandlerRegistry()
        .add_handler(TextWebSocketHandler(), "/a")
        .set_handshake_handler(DefaultHandshakeHandler(strategy))
        .add_interceptors(interceptor)
        .set_allowed_origins("https://example.org")
    )
    handler = handlers_of(registration)["/a"]
    assert handler.interceptors[0] is interceptor
    assert isinstance(handler.interceptors[-1], OriginHandshakeInterceptor)
    for origin, upgrades in (("https://evil.example", 0), ("https://example.org", 1)):
        handler.handle(make_request("/a", headers={"Origin": origin}))
        assert len(strategy.upgrades) == upgrades
    assert interceptor.asked == 2


@pytest.mark.spec("CFG-01", "HS-06")
@pytest.mark.parametrize(
    "options",
    [{"allowed_origins": ["https://a.example.org"]}, {"allowed_origin_patterns": ["https://*.example.org"]}],
)
def test_origins_may_be_given_at_once(options):
    strategy = FakeUpgradeStrategy()
    registration = WebSocketHandlerRegistry().add_handler(TextWebSocketHandler(), "/a", **options)
    registration.set_handshake_handler(DefaultHandshakeHandler(strategy))
    handlers_of(registration)["/a"].handle(make_request("/a", headers={"Origin": "https://a.example.org"}))
    assert len(strategy.upgrades) == 1


@pytest.mark.spec("CFG-01", "WSA-05")
def test_handlers_are_wrapped():
    handler = TextWebSocketHandler()
    found = handlers_of(WebSocketHandlerRegistry().add_handler(handler, "/a"))["/a"]
    assert found.handler is not handler
    assert WebSocketHandlerDecorator.unwrap(found.handler) is handler


# -- STOMP


@pytest.mark.spec("CFG-04")
def test_stomp_endpoints():
    registry = StompEndpointRegistry()
    registration = registry.add_endpoint("/a", "/b", allowed_origins=["*"]).add_interceptors(Interceptor())
    assert registry.endpoints == [registration]
    assert sorted(handlers_of(registration, TextWebSocketHandler())) == ["/a", "/b"]
    assert registration.allowed_origins == ("*",)
    with pytest.raises(ValueError, match="path"):
        registry.add_endpoint()


@pytest.mark.spec("CFG-04")
def test_settings_of_all_stomp_endpoints():
    registry = StompEndpointRegistry()
    assert (registry.order, registry.error_handler, registry.preserve_receive_order) == (1, None, True)
    error_handler = StompSubProtocolErrorHandler()
    chained = registry.set_order(3).set_error_handler(error_handler).set_preserve_receive_order(False)
    assert chained is registry
    assert (registry.order, registry.error_handler, registry.preserve_receive_order) == (3, error_handler, False)


# -- mistakes


@pytest.mark.spec("CFG-04", "HS-06")
def test_a_single_origin_may_be_given_as_it_is():
    origin, pattern = "https://example.org", "https://*.example.org"
    stomp = StompEndpointRegistry().add_endpoint("/ws", allowed_origins=origin, allowed_origin_patterns=pattern)
    raw = WebSocketHandlerRegistry().add_handler(
        TextWebSocketHandler(), "/raw", allowed_origins=origin, allowed_origin_patterns=pattern
    )
    for each in (stomp, raw):
        assert (each.allowed_origins, each.allowed_origin_patterns) == ((origin,), (pattern,))


@pytest.mark.spec("CFG-01", "CFG-04")
@pytest.mark.parametrize(
    "call",
    [
        lambda endpoint: StompEndpointRegistry().add_endpoint(["/ws"]),
        lambda endpoint: WebSocketHandlerRegistry().add_handler(TextWebSocketHandler(), ["/ws"]),
        lambda endpoint: endpoint.set_allowed_origins(["https://example.org"]),
        lambda endpoint: endpoint.set_allowed_origin_patterns(["https://*.example.org"]),
        lambda endpoint: endpoint.add_interceptors([Interceptor()]),
    ],
    ids=["endpoint", "handler", "origins", "patterns", "interceptors"],
)
def test_a_list_of_arguments_is_refused_at_once(call):
    with pytest.raises(TypeError, match="takes its arguments one by one, not in a list"):
        call(StompEndpointRegistry().add_endpoint("/ws"))


@pytest.mark.spec("CFG-01", "CFG-04")
@pytest.mark.parametrize(
    "call",
    [
        lambda endpoint: WebSocketHandlerRegistry().add_handler(TextWebSocketHandler, "/ws"),
        lambda endpoint: endpoint.set_handshake_handler(DefaultHandshakeHandler),
        lambda endpoint: endpoint.add_interceptors(Interceptor),
    ],
    ids=["handler", "handshake handler", "interceptors"],
)
def test_a_class_in_place_of_an_instance_is_refused_at_once(call):
    with pytest.raises(TypeError, match="is a class: .* takes an instance of it"):
        call(StompEndpointRegistry().add_endpoint("/ws"))
