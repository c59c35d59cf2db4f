from typing import Any
from urllib.parse import quote

import pytest
from kit.handshakes import make_request

from wellhead.server.handshake.request import HandshakeRequest, HandshakeResponse
from wellhead.server.session import UserPrincipal


@pytest.mark.spec("HS-01")
@pytest.mark.parametrize(
    ("request_", "uri"),
    [
        (make_request("/ws"), "http://localhost:8080/ws"),
        (make_request("/ws?a=1&b=%20"), "http://localhost:8080/ws?a=1&b=%20"),
        (make_request("/a b/ü%41"), "http://localhost:8080/a%20b/%C3%BC%2541"),
        (make_request("/ws", scheme="https"), "https://localhost:8080/ws"),
        (make_request("/ws", headers={"Host": None}), "http://server.local:8080/ws"),
        (make_request("/ws", headers={"Host": None}, environ={"SERVER_PORT": "80"}), "http://server.local/ws"),
        (
            make_request("/ws", scheme="https", headers={"Host": None}, environ={"SERVER_PORT": "443"}),
            "https://server.local/ws",
        ),
        (make_request("/ws", environ={"SCRIPT_NAME": "/app"}), "http://localhost:8080/app/ws"),
    ],
)
def test_uri_is_that_of_the_client(request_: HandshakeRequest, uri: str) -> None:
    assert request_.uri == uri
    assert request_.uri is request_.uri


@pytest.mark.spec("WSA-06")
def test_what_needs_no_escape_is_told_from_what_does() -> None:
    for code in range(256):
        path = f"/a{chr(code)}b"
        environ = {"wsgi.url_scheme": "http", "HTTP_HOST": "h", "PATH_INFO": path}
        assert HandshakeRequest(environ).uri == "http://h" + quote(path, "/!$&'()*+,;=:@", "latin-1")


@pytest.mark.spec("HS-01")
def test_a_uri_cannot_break_a_log_line() -> None:
    request = make_request("/ws\r\nforged", environ={"QUERY_STRING": "a\r\nb"})
    assert request.uri == "http://localhost:8080/ws%0D%0Aforged?a%0D%0Ab"
    assert "\n" not in repr(request)


def test_path_and_method() -> None:
    request = make_request("/grüße", method="POST")
    assert (request.method, request.path) == ("POST", "/grüße")
    assert make_request(environ={"PATH_INFO": "/\xff"}).path == "/\ufffd"


def test_headers_are_found_by_name_in_any_case() -> None:
    request = make_request(headers={"X-One": "1"}, environ={"CONTENT_TYPE": "text/plain", "CONTENT_LENGTH": "0"})
    assert request.header("x-ONE") == "1"
    assert request.header("Content-Type") == "text/plain"
    assert request.header("content-length") == "0"
    assert request.header("X-Two") is None
    assert request.headers["x-one"] == "1"
    with pytest.raises(TypeError):
        request.headers["x-one"] = "2"


def test_origin_is_none_when_absent_or_empty() -> None:
    assert make_request().origin is None
    assert make_request(headers={"Origin": ""}).origin is None
    assert make_request(headers={"Origin": "http://a"}).origin == "http://a"


def test_cookies() -> None:
    assert dict(make_request().cookies) == {}
    assert dict(make_request(headers={"Cookie": "a=1; b=2"}).cookies) == {"a": "1", "b": "2"}


@pytest.mark.spec("HS-03")
def test_principal_comes_from_the_middleware_or_the_server() -> None:
    joe = UserPrincipal("joe")
    assert make_request().principal is None
    assert make_request(environ={"REMOTE_USER": ""}).principal is None
    assert make_request(environ={"REMOTE_USER": "ann"}).principal == UserPrincipal("ann")
    assert make_request(environ={"REMOTE_USER": "ann", "wellhead.principal": joe}).principal is joe


@pytest.mark.spec("HS-07")
def test_attributes_are_shared_through_the_environ() -> None:
    request = make_request(environ={"wellhead.request_attributes": {"a": 1}})
    assert request.attributes == {"a": 1}
    fresh = make_request()
    fresh.attributes["b"] = 2
    assert HandshakeRequest(fresh.environ).attributes == {"b": 2}


def test_addresses() -> None:
    request = make_request()
    assert request.remote_address == ("10.0.0.7", 40000)
    assert request.local_address == ("server.local", 8080)
    assert make_request(environ={"REMOTE_ADDR": ""}).remote_address is None
    assert make_request(environ={"REMOTE_PORT": None}).remote_address == ("10.0.0.7", 0)


def test_a_werkzeug_request_is_made_once_and_on_demand() -> None:
    request = make_request("/ws?a=1")
    assert request.wsgi_request.args["a"] == "1"
    assert request.wsgi_request is request.wsgi_request


def test_response_defaults() -> None:
    response = HandshakeResponse()
    assert (response.status, response.body, response.upgraded, response.header_list) == (200, b"", False, [])


@pytest.mark.parametrize(
    ("status", "line"), [(200, "200 OK"), (403, "403 Forbidden"), (426, "426 Upgrade Required"), (799, "799 Unknown")]
)
def test_response_is_answered_over_wsgi(status: int, line: str) -> None:
    started: list[Any] = []
    response = HandshakeResponse()
    response.refuse(status, "why")
    response.headers["X-One"] = "1"
    body = b"".join(response.to_wsgi(lambda *args: started.append(args)))
    assert body == b"why"
    assert started == [(line, [("Content-Type", "text/plain;charset=UTF-8"), ("X-One", "1"), ("Content-Length", "3")])]


def test_response_without_content_has_no_length() -> None:
    started: list[Any] = []
    assert list(HandshakeResponse(204).to_wsgi(lambda *args: started.append(args))) == []
    assert started == [("204 No Content", [])]


@pytest.mark.spec("HS-01", "SJS-02")
def test_a_head_request_has_the_headers_of_the_body_and_not_the_body() -> None:
    response = HandshakeResponse()
    response.refuse(404, "Not Found")
    started: list[Any] = []
    assert list(response.to_wsgi(lambda *arguments: started.append(arguments), is_head=True)) == []
    assert list(response.to_wsgi(lambda *arguments: started.append(arguments))) == [b"Not Found"]
    assert started[0] == started[1]
    assert ("Content-Length", "9") in started[0][1]
