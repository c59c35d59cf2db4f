from typing import Any

import pytest
from kit.handshakes import FakeUpgradeStrategy, make_environ

from wellhead.server.handlers import TextWebSocketHandler, WebSocketHandler
from wellhead.server.handshake.mapping import WebSocketHandlerMapping
from wellhead.server.handshake.request import HandshakeRequest, HandshakeResponse
from wellhead.server.handshake.request_handler import WebSocketHttpRequestHandler


def find(mapping: WebSocketHandlerMapping[str], path: str) -> tuple[str, dict[str, str]] | None:
    found = mapping.match(make_environ(path))
    return None if found is None else (found[0], dict(found[1]))


PATTERNS = [
    "/chat",
    "/chat/{room}",
    "/chat/{room}/{user}",
    "/echo/**",
    "/echo/deep/**",
    "/t/{tenant}/ws/**",
    "/any/*/x",
]


@pytest.mark.spec("HS-07")
@pytest.mark.parametrize(
    ("path", "pattern", "variables"),
    [
        ("/chat", "/chat", {}),
        ("/chat/", None, {}),
        ("/Chat", None, {}),
        ("/chat/12", "/chat/{room}", {"room": "12"}),
        ("/chat/grüße", "/chat/{room}", {"room": "grüße"}),
        ("/chat/12/", None, {}),
        ("/chat/12/joe", "/chat/{room}/{user}", {"room": "12", "user": "joe"}),
        ("/chat/12/joe/x", None, {}),
        ("/echo", "/echo/**", {}),
        ("/echo/", "/echo/**", {}),
        ("/echo/a", "/echo/**", {}),
        ("/echo/a/b/c", "/echo/**", {}),
        ("/echo//a", "/echo/**", {}),
        ("/echoes", None, {}),
        ("/echo/deep", "/echo/deep/**", {}),
        ("/echo/deep/a", "/echo/deep/**", {}),
        ("/t/7/ws", "/t/{tenant}/ws/**", {"tenant": "7"}),
        ("/t/7/ws/", "/t/{tenant}/ws/**", {"tenant": "7"}),
        ("/t/7/ws/1/abc/xhr", "/t/{tenant}/ws/**", {"tenant": "7"}),
        ("/t/7/other", None, {}),
        ("/any/1/x", "/any/*/x", {}),
        ("/any/x", None, {}),
        ("/", None, {}),
        ("", None, {}),
    ],
)
def test_paths_are_found_by_pattern(path: str, pattern: str | None, variables: dict[str, str]) -> None:
    mapping = WebSocketHandlerMapping[str]()
    for each in PATTERNS:
        mapping.register(each, each)
    assert find(mapping, path) == (None if pattern is None else (pattern, variables))


@pytest.mark.spec("HS-07")
def test_the_more_specific_pattern_wins_whatever_the_order_of_registration() -> None:
    mapping = WebSocketHandlerMapping[str]()
    for each in ["/**", "/{a}/**", "/ws/**", "/ws/{a}", "/ws/a"]:
        mapping.register(each, each)
    assert find(mapping, "/ws/a") == ("/ws/a", {})
    assert find(mapping, "/ws/b") == ("/ws/{a}", {"a": "b"})
    assert find(mapping, "/ws/b/c") == ("/ws/**", {})
    assert find(mapping, "/x/y") == ("/**", {})


@pytest.mark.spec("HS-07")
def test_werkzeug_rules_work_and_variables_are_text() -> None:
    mapping = WebSocketHandlerMapping[str]()
    mapping.register("/n/<int:n>", "n")
    assert find(mapping, "/n/12") == ("n", {"n": "12"})
    assert find(mapping, "/n/x") is None


@pytest.mark.spec("HS-07")
def test_the_order_is_1_by_default_and_the_smaller_goes_first() -> None:
    mapping = WebSocketHandlerMapping[str]()
    assert mapping.order == 1
    mapping.register("/ws", "default")
    mapping.register("/**", "first", 0)
    mapping.register("/other", "last", order=2)
    assert find(mapping, "/ws") == ("first", {})
    assert find(mapping, "/other") == ("first", {})


@pytest.mark.spec("HS-07")
def test_a_later_order_serves_what_an_earlier_one_does_not() -> None:
    mapping = WebSocketHandlerMapping[str](order=5)
    mapping.register("/a", "five")
    mapping.register("/a", "six", 6)
    mapping.register("/b", "six", 6)
    assert find(mapping, "/a") == ("five", {})
    assert find(mapping, "/b") == ("six", {})


@pytest.mark.spec("HS-07")
def test_a_missing_slash_is_added() -> None:
    mapping = WebSocketHandlerMapping[str]()
    mapping.register("ws", "ws")
    assert find(mapping, "/ws") == ("ws", {})


@pytest.mark.spec("HS-07")
def test_a_pattern_is_taken_once() -> None:
    mapping = WebSocketHandlerMapping[str]()
    mapping.register("/ws", "one")
    mapping.register("/ws", "one")
    with pytest.raises(RuntimeError, match="mapped there already"):
        mapping.register("/ws", "two")


@pytest.mark.spec("HS-07")
@pytest.mark.parametrize("pattern", ["/a*", "/a/**/b", "/{a", "/{a:[a-z]+}", "/{}"])
def test_a_pattern_that_is_not_understood_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="Cannot map"):
        WebSocketHandlerMapping[str]().register(pattern, "x")


@pytest.mark.spec("HS-07")
@pytest.mark.parametrize(
    ("method", "upgrade", "found"),
    [
        ("GET", "websocket", True),
        ("GET", "WebSocket", True),
        ("GET", "h2c", False),
        ("GET", None, False),
        ("POST", "websocket", False),
    ],
)
def test_upgrade_match_leaves_other_requests_to_others(method: str, upgrade: str | None, found: bool) -> None:
    environ = make_environ("/ws", method=method, headers={"Upgrade": upgrade})
    mapping = WebSocketHandlerMapping[str](web_socket_upgrade_match=True)
    mapping.register("/ws", "ws")
    assert (mapping.match(environ) is not None) is found
    everything = WebSocketHandlerMapping[str]()
    everything.register("/ws", "ws")
    assert everything.match(environ) is not None


@pytest.mark.spec("HS-07")
def test_interceptors_see_the_variables_of_the_path_and_the_attributes_of_the_request() -> None:
    class RoomInterceptor:
        def before_handshake(
            self,
            request: HandshakeRequest,
            response: HandshakeResponse,
            handler: WebSocketHandler,
            attributes: dict[str, Any],
        ) -> bool:
            attributes["room"] = request.url_variables["room"]
            attributes["tenant"] = request.attributes["tenant"]
            return True

        def after_handshake(
            self,
            request: HandshakeRequest,
            response: HandshakeResponse,
            handler: WebSocketHandler,
            exception: Exception | None,
        ) -> None:
            """Nothing to do."""

    strategy = FakeUpgradeStrategy()
    environ = make_environ(
        "/chat/12", environ={"wellhead.upgrade": strategy, "wellhead.request_attributes": {"tenant": "acme"}}
    )
    mapping = WebSocketHandlerMapping[WebSocketHttpRequestHandler]()
    mapping.register("/chat/{room}", WebSocketHttpRequestHandler(TextWebSocketHandler(), None, [RoomInterceptor()]))
    found = mapping.match(environ)
    assert found is not None
    handler, variables = found
    assert handler.handle(HandshakeRequest(environ, variables)).upgraded
    assert strategy.upgrades[0].attributes == {"room": "12", "tenant": "acme"}
