import pytest

from wellhead.server.handshake import extension as module
from wellhead.server.handshake.extension import (
    LONGEST_KNOWN,
    WebSocketExtension,
    WebSocketHttpHeaders,
    parse_extensions,
    parse_tokens,
)


@pytest.mark.spec("WSA-06")
@pytest.mark.parametrize(
    ("header", "extensions"),
    [
        (None, []),
        ("", []),
        (" , ,", []),
        ("foo", [WebSocketExtension("foo")]),
        ("foo, bar", [WebSocketExtension("foo"), WebSocketExtension("bar")]),
        (
            "x-test-extension ; foo=bar ; bar=baz, other",
            [WebSocketExtension("x-test-extension", {"foo": "bar", "bar": "baz"}), WebSocketExtension("other")],
        ),
        (
            "permessage-deflate; client_max_window_bits; server_max_window_bits=10",
            [
                WebSocketExtension(
                    "permessage-deflate", {"client_max_window_bits": None, "server_max_window_bits": "10"}
                )
            ],
        ),
        ('a; b="10"; c=', [WebSocketExtension("a", {"b": "10", "c": ""})]),
        ("a; =x; ;", [WebSocketExtension("a")]),
        ("; a=b", []),
    ],
)
def test_header_is_parsed(header: str | None, extensions: list[WebSocketExtension]) -> None:
    assert parse_extensions(header) == extensions


@pytest.mark.spec("WSA-06")
@pytest.mark.parametrize("length", [LONGEST_KNOWN, LONGEST_KNOWN + 1])
def test_a_header_means_the_same_each_time_and_long_ones_are_not_kept(length: int) -> None:
    header = "a; b=".ljust(length, "c")
    module._parse_known.cache_clear()
    first = parse_extensions(header)
    assert first == [WebSocketExtension("a", {"b": "c" * (length - 5)})]
    first.clear()  # The caller's own.
    assert parse_extensions(header) == [WebSocketExtension("a", {"b": "c" * (length - 5)})]
    assert module._parse_known.cache_info().currsize == int(length <= LONGEST_KNOWN)


@pytest.mark.spec("WSA-06")
def test_parameters_keep_their_order_and_are_read_only() -> None:
    [extension] = parse_extensions("a; z=1; b=2")
    assert list(extension.parameters.items()) == [("z", "1"), ("b", "2")]
    with pytest.raises(TypeError):
        extension.parameters["z"] = "2"  # type: ignore[index]  # That it fails is the point.


@pytest.mark.spec("WSA-06")
def test_parameter_names_compare_without_case() -> None:
    extension = WebSocketExtension("a", {"Foo": "bar", "Flag": None})
    assert extension == WebSocketExtension("a", {"fOO": "bar", "flag": None})
    assert hash(extension) == hash(WebSocketExtension("a", {"fOO": "bar", "flag": None}))
    assert extension.parameter("FOO") == "bar"
    assert extension.has_parameter("FLAG")
    assert extension.parameter("flag") is None
    assert not extension.has_parameter("other")
    assert extension != WebSocketExtension("a", {"foo": "BAR", "flag": None})


@pytest.mark.spec("WSA-06")
def test_extension_names_compare_with_case() -> None:
    assert WebSocketExtension("a") != WebSocketExtension("A")
    assert WebSocketExtension("a") == WebSocketExtension("a", {})


@pytest.mark.spec("WSA-06")
def test_an_extension_needs_a_name() -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        WebSocketExtension("")


@pytest.mark.spec("WSA-06")
def test_text_form_is_that_of_the_header() -> None:
    extension = WebSocketExtension("a", {"b": "c", "d": None})
    assert str(extension) == "a; b=c; d"
    assert parse_extensions(str(extension)) == [extension]


@pytest.mark.spec("WSA-06")
def test_headers_give_typed_access() -> None:
    headers = WebSocketHttpHeaders(
        [
            ("sec-websocket-protocol", "v12.stomp, v11.stomp"),
            ("Sec-WebSocket-Protocol", "v10.stomp"),
            ("Sec-WebSocket-Extensions", "a; b=1"),
            ("Sec-WebSocket-Extensions", "c"),
            ("Sec-WebSocket-Key", "k"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Accept", "x"),
        ]
    )
    assert headers.sec_websocket_protocol == ["v12.stomp", "v11.stomp", "v10.stomp"]
    assert headers.sec_websocket_extensions == [WebSocketExtension("a", {"b": "1"}), WebSocketExtension("c")]
    assert headers.sec_websocket_key == "k"
    assert headers.sec_websocket_version == "13"
    assert headers.sec_websocket_accept == "x"


@pytest.mark.spec("WSA-06")
def test_absent_headers_read_as_nothing() -> None:
    headers = WebSocketHttpHeaders()
    assert headers.sec_websocket_protocol == []
    assert headers.sec_websocket_extensions == []
    assert headers.sec_websocket_key is None
    assert headers.sec_websocket_version is None
    assert headers.sec_websocket_accept is None


@pytest.mark.spec("WSA-06")
def test_headers_are_set_and_removed_through_the_properties() -> None:
    headers = WebSocketHttpHeaders()
    headers.sec_websocket_protocol = ["a", "b"]
    headers.sec_websocket_extensions = [WebSocketExtension("x", {"y": "1"}), WebSocketExtension("z")]
    headers.sec_websocket_key = "k"
    headers.sec_websocket_version = "13"
    headers.sec_websocket_accept = "acc"
    assert dict(headers) == {
        "Sec-WebSocket-Protocol": "a, b",
        "Sec-WebSocket-Extensions": "x; y=1, z",
        "Sec-WebSocket-Key": "k",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Accept": "acc",
    }
    headers.sec_websocket_protocol = []
    headers.sec_websocket_extensions = []
    headers.sec_websocket_key = None
    headers.sec_websocket_version = None
    headers.sec_websocket_accept = None
    assert dict(headers) == {}


@pytest.mark.spec("WSA-06")
def test_tokens_are_trimmed_and_never_empty() -> None:
    assert parse_tokens(" keep-alive ,Upgrade,, ") == ["keep-alive", "Upgrade"]
    assert parse_tokens(None) == []
