import pytest
from kit.handshakes import SAMPLE_KEY, FakeUpgradeStrategy, make_request

from wellhead.server.exceptions import HandshakeFailureError
from wellhead.server.handlers import TextWebSocketHandler
from wellhead.server.handshake.request import HandshakeRequest, HandshakeResponse
from wellhead.server.handshake.upgrade import EnvironUpgradeStrategy, accept_key


@pytest.mark.spec("HS-02")
def test_accept_key_of_the_rfc() -> None:
    assert accept_key(SAMPLE_KEY) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def upgrade(request: HandshakeRequest) -> HandshakeResponse:
    response = HandshakeResponse()
    EnvironUpgradeStrategy().upgrade(
        request,
        response,
        handler=TextWebSocketHandler(),
        sub_protocol="v12.stomp",
        extensions=[],
        user=None,
        attributes={"a": 1},
    )
    return response


@pytest.mark.spec("HS-02")
def test_the_servers_strategy_is_found_in_the_environ() -> None:
    strategy = FakeUpgradeStrategy(extensions=["x"])
    request = make_request(environ={"wellhead.upgrade": strategy})
    assert [extension.name for extension in EnvironUpgradeStrategy().supported_extensions(request)] == ["x"]
    assert upgrade(request).upgraded
    assert strategy.upgrades[0].sub_protocol == "v12.stomp"
    assert strategy.upgrades[0].attributes == {"a": 1}


@pytest.mark.spec("HS-01")
def test_a_server_that_cannot_upgrade_is_named_with_those_that_can() -> None:
    request = make_request(environ={"SERVER_SOFTWARE": "WSGIServer/0.2"})
    with pytest.raises(HandshakeFailureError, match=r"WSGIServer/0\.2.*python -m wellhead\.server"):
        upgrade(request)
    with pytest.raises(HandshakeFailureError):
        EnvironUpgradeStrategy().supported_extensions(request)


@pytest.mark.spec("HS-02")
def test_version_13_alone_is_supported() -> None:
    assert EnvironUpgradeStrategy().supported_versions == ("13",)
