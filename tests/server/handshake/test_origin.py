import logging
from typing import Any

import pytest
from kit.handshakes import make_request

from wellhead.server.handlers import TextWebSocketHandler
from wellhead.server.handshake.interceptors import HttpSessionHandshakeInterceptor
from wellhead.server.handshake.origin import (
    OriginHandshakeInterceptor,
    OriginPolicy,
    is_same_origin,
    with_origin_check,
)
from wellhead.server.handshake.request import HandshakeResponse


@pytest.mark.spec("HS-06")
@pytest.mark.parametrize(
    ("allowed", "origin", "answer"),
    [
        ([], "https://a.com", None),
        (["https://a.com"], "https://a.com", "https://a.com"),
        (["https://a.com"], None, None),
        (["https://a.com"], "", None),
        (["https://a.com"], "  ", None),
        (["https://a.com/"], "https://a.com", "https://a.com"),
        (["https://a.com"], "https://a.com/", "https://a.com/"),
        (["https://A.com"], "HTTPS://a.COM", "HTTPS://a.COM"),
        (["https://a.com"], "http://a.com", None),
        (["https://a.com"], "https://a.com:8443", None),
        (["https://a.com"], "https://b.a.com", None),
        (["https://a.com", "https://b.com"], "https://b.com", "https://b.com"),
        (["*"], "https://any.com", "*"),
        (["*"], "null", "*"),
        (["https://a.com"], "null", None),
    ],
)
def test_allowed_origins_are_compared_whole(allowed: list[str], origin: str | None, answer: str | None) -> None:
    assert OriginPolicy(allowed).check(origin) == answer


@pytest.mark.spec("HS-06")
@pytest.mark.parametrize(
    ("pattern", "origin", "allowed"),
    [
        ("*", "https://any.com", True),
        ("*", "null", True),
        ("https://*.domain1.com", "https://www.domain1.com", True),
        ("https://*.domain1.com", "https://a.b.domain1.com", True),
        ("https://*.domain1.com", "https://domain1.com", False),
        ("https://*.domain1.com", "https://www.domain1.com:8080", False),
        ("https://*.domain1.com", "http://www.domain1.com", False),
        ("https://*.domain1.com", "https://www.domain1xcom", False),
        ("https://*.domain1.com", "https://www.domain1.com.evil.com", False),
        ("https://*.domain1.com/", "https://www.domain1.com/", True),
        ("https://*.domain1.com:[8080,8081]", "https://www.domain1.com:8080", True),
        ("https://*.domain1.com:[8080,8081]", "https://www.domain1.com:8081", True),
        ("https://*.domain1.com:[8080,8081]", "https://www.domain1.com:8082", False),
        ("https://*.domain1.com:[8080,8081]", "https://www.domain1.com:80801", False),
        ("https://*.domain1.com:[8080,8081]", "https://www.domain1.com", False),
        ("https://*.domain1.com:[8080]", "https://www.domain1.com:8080", True),
        ("https://*.domain1.com:[*]", "https://www.domain1.com:9", True),
        ("https://*.domain1.com:[*]", "https://www.domain1.com", True),
        ("https://*.domain1.com:[*]", "https://www.domain1.com:x", False),
        ("http://localhost:*", "http://localhost:5173", True),
        ("https://*.Domain1.com", "HTTPS://www.domain1.COM", True),
    ],
)
def test_patterns(pattern: str, origin: str, allowed: bool) -> None:
    assert OriginPolicy(allowed_origin_patterns=[pattern]).check(origin) == (origin if allowed else None)


@pytest.mark.spec("HS-06")
def test_any_origin_and_credentials_do_not_go_together() -> None:
    policy = OriginPolicy(["*"], allow_credentials=True)
    with pytest.raises(ValueError, match="allowed_origin_patterns"):
        policy.check("https://a.com")
    assert policy.check(None) is None
    by_pattern = OriginPolicy(allowed_origin_patterns=["*"], allow_credentials=True)
    assert by_pattern.check("https://a.com") == "https://a.com"


@pytest.mark.spec("HS-06")
@pytest.mark.parametrize(
    ("scheme", "host", "origin", "same"),
    [
        ("http", "localhost:8080", None, True),
        ("http", "localhost:8080", "", True),
        ("http", "localhost:8080", "http://localhost:8080", True),
        ("http", "localhost:8080", "http://localhost:8081", False),
        ("http", "localhost:8080", "https://localhost:8080", False),
        ("http", "localhost:8080", "http://other:8080", False),
        ("http", "mydomain1.example", "http://mydomain1.example:80", True),
        ("http", "mydomain1.example:80", "http://mydomain1.example", True),
        ("http", "mydomain1.example:80", "http://mydomain1.example:8080", False),
        ("https", "mydomain1.example", "https://mydomain1.example:443", True),
        ("https", "mydomain1.example:443", "https://mydomain1.example", True),
        ("https", "mydomain1.example", "http://mydomain1.example", False),
        ("ws", "mydomain1.example:80", "ws://mydomain1.example", True),
        ("wss", "mydomain1.example", "wss://mydomain1.example:443", True),
        ("http", "MyDomain1.example", "http://mydomain1.EXAMPLE", True),
        ("http", "[::1]:8080", "http://[::1]:8080", True),
        ("http", "localhost", "null", False),
        ("http", "localhost", "http://localhost:99999", False),
        ("http", "localhost", "http://localhost:x", False),
        ("http", "localhost", "http://[", False),
        ("http", "localhost", "localhost", False),
    ],
)
def test_same_origin_compares_scheme_host_and_port(scheme: str, host: str, origin: str | None, same: bool) -> None:
    request = make_request(scheme=scheme, headers={"Host": host, "Origin": origin})
    assert is_same_origin(request) is same


@pytest.mark.spec("HS-06")
def test_forwarded_headers_are_not_read() -> None:
    forged = {
        "Origin": "https://evil.com",
        "X-Forwarded-Host": "evil.com",
        "X-Forwarded-Proto": "https",
        "Forwarded": "host=evil.com;proto=https",
    }
    assert not is_same_origin(make_request(headers=forged))


def intercept(policy: OriginPolicy | None, **headers: str | None) -> tuple[bool, HandshakeResponse]:
    response, attributes = HandshakeResponse(), dict[str, Any]()
    interceptor = OriginHandshakeInterceptor(policy)
    request = make_request(headers=dict(headers))
    passed = interceptor.before_handshake(request, response, TextWebSocketHandler(), attributes)
    interceptor.after_handshake(request, response, TextWebSocketHandler(), None)
    return passed, response


@pytest.mark.spec("HS-06")
def test_by_default_only_the_same_origin_may_connect(caplog: pytest.LogCaptureFixture) -> None:
    assert intercept(None)[0]
    assert intercept(None, Origin="http://localhost:8080")[0]
    passed, response = intercept(None, Origin="http://foreign.example")
    assert not passed
    assert response.status == 403
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "http://foreign.example" in caplog.records[0].getMessage()


@pytest.mark.spec("HS-06")
def test_allowed_origins_and_patterns_may_connect_as_well() -> None:
    policy = OriginPolicy(["https://a.com"], ["https://*.b.com"])
    assert intercept(policy, Origin="https://a.com")[0]
    assert intercept(policy, Origin="https://x.b.com")[0]
    assert intercept(policy, Origin="http://localhost:8080")[0]
    assert intercept(OriginPolicy(["*"]), Origin="https://x.c.com")[0]
    assert intercept(policy, Origin="https://x.c.com")[1].status == 403


@pytest.mark.spec("HS-04", "HS-06")
def test_the_origin_check_is_always_the_last_interceptor() -> None:
    first, second, policy = HttpSessionHandshakeInterceptor(), HttpSessionHandshakeInterceptor(), OriginPolicy()
    *others, last = with_origin_check([first, second], policy)
    assert others == [first, second]
    assert isinstance(last, OriginHandshakeInterceptor)
    assert last.policy is policy
