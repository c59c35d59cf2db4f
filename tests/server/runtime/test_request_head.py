"""The head of a request: what is taken, and what is refused with which status."""

from __future__ import annotations

import pytest

from wellhead.server.runtime.request_head import (
    MAX_HEAD,
    MAX_HEADERS,
    MAX_REQUEST_LINE,
    BadRequestError,
    check_beginning,
    parse_head,
)


def head(*lines: str, first: str = "GET /a?b=c HTTP/1.1") -> bytes:
    return "\r\n".join([first, *lines]).encode("latin-1")


def refused(data: bytes) -> int:
    with pytest.raises(BadRequestError) as raised:
        parse_head(data)
    return raised.value.status


@pytest.mark.spec("HS-02")
def test_a_head_is_method_target_version_and_headers_under_their_wsgi_keys() -> None:
    parsed = parse_head(head("Host: example.org", "x-one:1", "X-Two: \t a b\t ", "Content-Type: text/plain"))
    assert (parsed.method, parsed.target, parsed.version) == ("GET", "/a?b=c", "HTTP/1.1")
    assert parsed.environ == {
        "HTTP_HOST": "example.org",
        "HTTP_X_ONE": "1",
        "HTTP_X_TWO": "a b",
        "CONTENT_TYPE": "text/plain",
    }
    assert parsed.request_line == "GET /a?b=c HTTP/1.1"
    assert parsed.content_length is None
    assert not parsed.chunked


@pytest.mark.spec("HS-02")
def test_a_head_without_headers() -> None:
    assert parse_head(b"GET / HTTP/1.0").environ == {}


@pytest.mark.spec("HS-02")
@pytest.mark.parametrize(
    "lines, key, value",
    [
        (("X-A: 1", "x-a: 2"), "HTTP_X_A", "1, 2"),
        (("Cookie: a=1", "Cookie: b=2"), "HTTP_COOKIE", "a=1; b=2"),
        (("Content-Length: 5", "Content-Length: 5"), "CONTENT_LENGTH", "5"),
        (("Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: b, c"), "HTTP_SEC_WEBSOCKET_PROTOCOL", "a, b, c"),
    ],
)
def test_repeated_headers_are_joined(lines: tuple[str, ...], key: str, value: str) -> None:
    assert parse_head(head(*lines)).environ[key] == value


@pytest.mark.spec("HS-02")
def test_names_with_underscores_are_dropped() -> None:
    assert parse_head(head("X_User: admin", "X-User: me")).environ == {"HTTP_X_USER": "me"}


@pytest.mark.spec("HS-02")
@pytest.mark.parametrize(
    "first",
    [
        "",
        "GET",
        "GET /",
        "GET / HTTP/2.0",
        "GET / HTTP/0.9",
        "GET / HTTP/1.10",
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 ",
        " GET / HTTP/1.1",
        "GET /\x00 HTTP/1.1",
        "G{T / HTTP/1.1",
        "\x16\x03\x01\x02\x00\x01",
        "GET /\nX: y HTTP/1.1",
    ],
)
def test_request_lines_that_are_none(first: str) -> None:
    assert refused(head("Host: a", first=first)) == 400


@pytest.mark.spec("HS-02")
@pytest.mark.parametrize(
    "line",
    [
        "no colon",
        "",
        ": no name",
        "Name : blank before the colon",
        " folded: line",
        "\tfolded",
        "Na(me: parenthesis",
        "Name: nul\x00",
        "Name: bare\rreturn",
        "Name: bare\nfeed",
        "Name: \x7f",
        "N\xe4me: not ASCII",
    ],
)
def test_malformed_headers(line: str) -> None:
    assert refused(head("Host: a", line)) == 400


@pytest.mark.spec("HS-02")
@pytest.mark.parametrize(
    "lines, status",
    [
        (("Content-Length: 5", "Content-Length: 6"), 400),
        (("Content-Length: -1",), 400),
        (("Content-Length: +1",), 400),
        (("Content-Length: 1, 1",), 400),
        (("Content-Length: \xb2",), 400),
        (("Content-Length: " + "9" * 19,), 400),
        (("Content-Length: 5", "Transfer-Encoding: chunked"), 400),
        (("Transfer-Encoding: gzip, chunked",), 501),
        (("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 501),
        (("Host: a", "Host: b"), 400),
        (("Sec-WebSocket-Key: a", "Sec-WebSocket-Key: b"), 400),
    ],
)
def test_what_two_parsers_could_read_differently_is_refused(lines: tuple[str, ...], status: int) -> None:
    assert refused(head(*lines, first="POST / HTTP/1.1")) == status


@pytest.mark.spec("HS-02")
def test_the_length_of_the_body() -> None:
    assert parse_head(head("Content-Length: 0")).content_length == 0
    assert parse_head(head("Content-Length: 12")).content_length == 12
    assert parse_head(head("Transfer-Encoding: Chunked")).chunked
    assert refused(head("Transfer-Encoding: chunked", first="POST / HTTP/1.0")) == 501


@pytest.mark.spec("HS-02")
def test_a_request_for_websocket_has_no_body() -> None:
    upgrade = "Upgrade: WebSocket"
    assert parse_head(head(upgrade, "Content-Length: 0")).content_length == 0
    for framing in ("Content-Length: 1", "Transfer-Encoding: chunked"):
        assert refused(head(framing, upgrade)) == 400
        assert not parse_head(head(framing, upgrade, first="POST / HTTP/1.1")).wants_websocket


@pytest.mark.spec("HS-02")
def test_an_empty_line_before_the_request_is_passed_over() -> None:
    lines = [f"X-{number}: y" for number in range(MAX_HEADERS)]
    assert parse_head(b"\r\n" + head(*lines)).request_line == "GET /a?b=c HTTP/1.1"
    assert refused(b"\r\n" + head(*lines, "X: y")) == 431
    data = b"\r\n" + head("X: y")
    for size in range(1, len(data)):
        check_beginning(data[:size])
    assert refused(b"") == 400
    assert refused(b"\r\n") == 400


@pytest.mark.spec("HS-02")
def test_the_limits_of_a_head() -> None:
    lines = [f"X-{number}: y" for number in range(MAX_HEADERS + 1)]
    assert len(parse_head(head(*lines[: MAX_HEADERS - 1])).environ) == MAX_HEADERS - 1
    assert len(parse_head(head(*lines[:MAX_HEADERS])).environ) == MAX_HEADERS
    assert refused(head(*lines)) == 431

    line = "GET / HTTP/1.1"
    for extra in (-1, 0):
        assert parse_head(head(first="GET /" + "a" * (MAX_REQUEST_LINE - len(line) + extra) + " HTTP/1.1"))
    assert refused(head(first="GET /" + "a" * (MAX_REQUEST_LINE - len(line) + 1) + " HTTP/1.1")) == 414

    rest = MAX_HEAD - len(head("X: "))
    for extra in (-1, 0):
        assert parse_head(head("X: " + "y" * (rest + extra)))
    assert refused(head("X: " + "y" * (rest + 1))) == 431


@pytest.mark.spec("HS-02")
@pytest.mark.parametrize(
    "lines, first, wanted",
    [
        (("Upgrade: websocket",), "GET / HTTP/1.1", True),
        (("Upgrade: WebSocket",), "GET / HTTP/1.1", True),
        (("Upgrade: h2c",), "GET / HTTP/1.1", False),
        (("Upgrade: websocket",), "POST / HTTP/1.1", False),
        ((), "GET / HTTP/1.1", False),
    ],
)
def test_who_wants_a_websocket(lines: tuple[str, ...], first: str, wanted: bool) -> None:
    assert parse_head(head(*lines, first=first)).wants_websocket is wanted


@pytest.mark.spec("HS-02")
@pytest.mark.parametrize(
    "lines, version, kept",
    [
        ((), "1.1", True),
        (("Connection: close",), "1.1", False),
        (("Connection: Close, x",), "1.1", False),
        ((), "1.0", False),
        (("Connection: Keep-Alive",), "1.0", True),
    ],
)
def test_who_keeps_the_connection(lines: tuple[str, ...], version: str, kept: bool) -> None:
    assert parse_head(head(*lines, first=f"GET / HTTP/{version}")).keeps_alive is kept


@pytest.mark.spec("HS-02")
def test_a_good_head_is_never_refused_before_its_end() -> None:
    data = head("Host: example.org", "X: y") + b"\r\n\r\n"
    for size in range(1, len(data)):
        check_beginning(data[:size])


@pytest.mark.spec("HS-02")
@pytest.mark.parametrize(
    "beginning, status",
    [
        (b"\x16\x03\x01", 400),
        (b"\r\n\r", 400),
        (b"\rG", 400),
        (b"\r\n\x16", 400),
        (b"\n", 400),
        (b"GET\t", 400),
        (b"G" * 33, 400),
        (b"GET / HTTP/1.1\n", 400),
        (b"hello there\r\n", 400),
        (b"GET /" + b"a" * MAX_REQUEST_LINE, 414),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * (MAX_HEADERS + 2), 431),
        (b"GET / HTTP/1.1\r\na: " + b"b" * MAX_HEAD, 431),
    ],
)
def test_garbage_is_refused_at_once(beginning: bytes, status: int) -> None:
    with pytest.raises(BadRequestError) as raised:
        check_beginning(beginning)
    assert raised.value.status == status
