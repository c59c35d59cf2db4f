import base64
import logging
from typing import Any

import pytest
from kit.handshakes import FakeUpgradeStrategy, make_request

from wellhead.server.decorators import decorate
from wellhead.server.exceptions import HandshakeFailureError
from wellhead.server.handlers import TextWebSocketHandler, WebSocketHandler
from wellhead.server.handshake.handler import DefaultHandshakeHandler
from wellhead.server.handshake.request import HandshakeRequest, HandshakeResponse
from wellhead.server.session import Principal, UserPrincipal


class StompLike(TextWebSocketHandler):
    sub_protocols = ("v10.stomp", "v12.stomp")


def shake(
    request: HandshakeRequest,
    *,
    handler: WebSocketHandler | None = None,
    strategy: FakeUpgradeStrategy | None = None,
    supported_protocols: tuple[str, ...] = (),
) -> tuple[bool, HandshakeResponse, FakeUpgradeStrategy]:
    strategy = strategy or FakeUpgradeStrategy()
    response = HandshakeResponse()
    handshake = DefaultHandshakeHandler(strategy, supported_protocols=supported_protocols)
    done = handshake.do_handshake(request, response, handler or TextWebSocketHandler(), {"a": 1})
    return done, response, strategy


REFUSED = [
    ({"Upgrade": None}, 400, 'Can "Upgrade" only to "WebSocket".'),
    ({"Upgrade": ""}, 400, 'Can "Upgrade" only to "WebSocket".'),
    ({"Upgrade": "h2c"}, 400, 'Can "Upgrade" only to "WebSocket".'),
    ({"Upgrade": "websocket,websocket"}, 400, 'Can "Upgrade" only to "WebSocket".'),
    ({"Upgrade": "websocket, h2c"}, 400, 'Can "Upgrade" only to "WebSocket".'),
    ({"Connection": None}, 400, '"Connection" must be "upgrade".'),
    ({"Connection": "keep-alive"}, 400, '"Connection" must be "upgrade".'),
    ({"Connection": "no-upgrade"}, 400, '"Connection" must be "upgrade".'),
    ({"Sec-WebSocket-Key": None}, 400, '"Sec-WebSocket-Key" is missing.'),
    ({"Sec-WebSocket-Key": ""}, 400, '"Sec-WebSocket-Key" is missing.'),
    ({"Sec-WebSocket-Version": None}, 426, ""),
    ({"Sec-WebSocket-Version": "8"}, 426, ""),
    ({"Sec-WebSocket-Version": "013"}, 426, ""),
    ({"Sec-WebSocket-Version": "13, 8"}, 426, ""),
    ({"Sec-WebSocket-Version": "13,13"}, 426, ""),
]


@pytest.mark.spec("HS-02")
@pytest.mark.parametrize(("headers", "status", "body"), REFUSED)
def test_a_bad_request_is_answered_and_not_upgraded(
    headers: dict[str, str | None], status: int, body: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "wellhead.server.handshake.handler"):
        done, response, strategy = shake(make_request(headers=headers))
    assert not done
    assert (response.status, response.body.decode()) == (status, body)
    assert not response.upgraded
    assert strategy.upgrades == []
    assert [record.levelno for record in caplog.records] == [logging.DEBUG]


@pytest.mark.spec("HS-02")
def test_a_wrong_version_is_told_the_right_one() -> None:
    _, response, _ = shake(make_request(headers={"Sec-WebSocket-Version": "8"}))
    assert response.headers["Sec-WebSocket-Version"] == "13"


@pytest.mark.spec("HS-02")
@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "get"])
def test_another_method_is_not_allowed(method: str) -> None:
    done, response, strategy = shake(make_request(method=method))
    assert not done
    assert response.status == 405
    assert set(response.headers["Allow"].split(", ")) == {"GET", "CONNECT"}
    assert strategy.upgrades == []


@pytest.mark.spec("HS-02")
@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_connect_is_for_http_2(version: str) -> None:
    done, response, strategy = shake(make_request(method="CONNECT", environ={"SERVER_PROTOCOL": version}))
    assert (done, response.status, strategy.upgrades) == (False, 405, [])


@pytest.mark.spec("HS-02")
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Upgrade": "WebSocket"},
        {"Upgrade": "WEBSOCKET"},
        {"Connection": "upgrade"},
        {"Connection": "UPGRADE"},
        {"Connection": "keep-alive, Upgrade"},
    ],
)
def test_a_good_request_is_upgraded(headers: dict[str, str | None]) -> None:
    handler = TextWebSocketHandler()
    done, response, strategy = shake(make_request(headers=headers), handler=handler)
    assert done
    assert response.upgraded
    [upgrade] = strategy.upgrades
    assert upgrade.handler is handler
    assert upgrade.attributes == {"a": 1}
    assert (upgrade.sub_protocol, list(upgrade.extensions), upgrade.user) == (None, [], None)


@pytest.mark.spec("HS-02")
def test_connect_needs_neither_upgrade_nor_connection_nor_key() -> None:
    bare: dict[str, str | None] = {"Upgrade": None, "Connection": None, "Sec-WebSocket-Key": None}
    http_2 = {"SERVER_PROTOCOL": "HTTP/2.0"}
    done, _, _ = shake(make_request(method="CONNECT", headers=bare, environ=http_2))
    assert done
    older: dict[str, str | None] = {**bare, "Sec-WebSocket-Version": "12"}
    _, response, _ = shake(make_request(method="CONNECT", headers=older, environ=http_2))
    assert response.status == 426


def _key(length: int) -> str:
    return base64.b64encode(b"\xfb" * length).decode()


@pytest.mark.spec("HS-02")
@pytest.mark.parametrize(
    "key",
    [
        _key(15),
        _key(17),
        _key(18),
        "x",
        "not base64 at all !!!!!!",
        _key(16)[:-2],
        _key(16)[:-1] + "A",
        _key(16).replace("+", "-"),
        f"{_key(16)}, {_key(16)}",
        "\xfc" * 24,
    ],
)
def test_a_key_must_be_the_base64_of_16_bytes(key: str) -> None:
    done, response, _ = shake(make_request(headers={"Sec-WebSocket-Key": key}))
    assert not done
    assert response.status == 400
    assert response.body == b'"Sec-WebSocket-Key" must be the base64 of 16 bytes.'


@pytest.mark.spec("HS-02")
def test_any_16_bytes_make_a_key() -> None:
    assert shake(make_request(headers={"Sec-WebSocket-Key": _key(16)}))[0]


class NoOrigin(DefaultHandshakeHandler):
    def is_valid_origin(self, request: HandshakeRequest) -> bool:
        return False


@pytest.mark.spec("HS-02")
def test_the_origin_hook_refuses_with_403() -> None:
    strategy, response = FakeUpgradeStrategy(), HandshakeResponse()
    assert not NoOrigin(strategy).do_handshake(make_request(), response, TextWebSocketHandler(), {})
    assert response.status == 403
    assert strategy.upgrades == []


@pytest.mark.spec("HS-02")
def test_the_checks_come_in_order() -> None:
    """A request with every fault, repaired one by one, is refused for the next fault each time."""
    faults: dict[str, str | None] = dict.fromkeys(
        ("Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version"), None
    )
    statuses = []
    for method, repaired in [("POST", 0), ("GET", 0), ("GET", 1), ("GET", 2), ("GET", 3), ("GET", 4)]:
        response = HandshakeResponse()
        headers = dict(list(faults.items())[repaired:])
        NoOrigin(FakeUpgradeStrategy()).do_handshake(
            make_request(method=method, headers=headers), response, TextWebSocketHandler(), {}
        )
        statuses.append((response.status, response.body.decode()))
    assert statuses == [
        (405, ""),
        (400, 'Can "Upgrade" only to "WebSocket".'),
        (400, '"Connection" must be "upgrade".'),
        (400, '"Sec-WebSocket-Key" is missing.'),
        (426, ""),
        (403, ""),
    ]


@pytest.mark.spec("HS-02")
def test_what_the_client_sent_cannot_break_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "wellhead.server.handshake.handler"):
        shake(make_request(headers={"Upgrade": "a\nERROR forged"}))
    assert "\n" not in caplog.records[0].getMessage()


@pytest.mark.spec("HS-03")
@pytest.mark.parametrize(
    ("requested", "accepted"),
    [
        (None, None),
        ("", None),
        ("v12.stomp", "v12.stomp"),
        ("v11.stomp, v12.stomp, v10.stomp", "v12.stomp"),
        ("v10.stomp, v12.stomp", "v10.stomp"),
        ("V12.Stomp", "V12.Stomp"),
        ("MQTT", "MQTT"),
        ("unknown", None),
    ],
)
def test_the_first_requested_protocol_that_is_offered_is_echoed(requested: str | None, accepted: str | None) -> None:
    done, response, strategy = shake(
        make_request(headers={"Sec-WebSocket-Protocol": requested}),
        handler=decorate(StompLike()),
        supported_protocols=("Mqtt",),
    )
    assert done
    assert response.upgraded
    assert strategy.upgrades[0].sub_protocol == accepted


@pytest.mark.spec("HS-03")
def test_configured_protocols_are_lower_cased_also_later() -> None:
    handler = DefaultHandshakeHandler(FakeUpgradeStrategy(), supported_protocols=["ABC"])
    assert handler.supported_protocols == ("abc",)
    handler.supported_protocols = ("DEF",)
    assert handler.select_protocol(["Def"], TextWebSocketHandler()) == "Def"
    assert handler.select_protocol(["abc"], TextWebSocketHandler()) is None


@pytest.mark.spec("HS-03")
def test_requested_extensions_are_kept_in_order_if_supported() -> None:
    _, _, strategy = shake(
        make_request(headers={"Sec-WebSocket-Extensions": "c; x=1, unknown, A, a; y"}),
        strategy=FakeUpgradeStrategy(extensions=["a", "b", "c"]),
    )
    assert [str(extension) for extension in strategy.upgrades[0].extensions] == ["c; x=1", "a; y"]


@pytest.mark.spec("HS-03", "SEC-01")
def test_the_user_is_that_of_the_request() -> None:
    _, _, strategy = shake(make_request(environ={"REMOTE_USER": "joe"}))
    assert strategy.upgrades[0].user == UserPrincipal("joe")


@pytest.mark.spec("HS-03")
def test_the_user_can_be_assigned() -> None:
    class Assigning(DefaultHandshakeHandler):
        def determine_user(
            self, request: HandshakeRequest, handler: WebSocketHandler, attributes: dict[str, Any]
        ) -> Principal | None:
            return UserPrincipal(f"guest-{attributes['n']}")

    strategy = FakeUpgradeStrategy()
    Assigning(strategy).do_handshake(make_request(), HandshakeResponse(), TextWebSocketHandler(), {"n": 7})
    assert strategy.upgrades[0].user == UserPrincipal("guest-7")


@pytest.mark.spec("HS-01", "HS-02")
def test_by_default_the_server_says_how_to_upgrade() -> None:
    handler, strategy, response = DefaultHandshakeHandler(), FakeUpgradeStrategy(), HandshakeResponse()
    request = make_request(environ={"wellhead.upgrade": strategy})
    assert handler.do_handshake(request, response, TextWebSocketHandler(), {})
    assert len(strategy.upgrades) == 1
    with pytest.raises(HandshakeFailureError):
        handler.do_handshake(make_request(), HandshakeResponse(), TextWebSocketHandler(), {})
