"""The negotiation of permessage-deflate, as offers of browsers and of RFC 7692 ask for it."""

from __future__ import annotations

import zlib

import pytest

from wellhead.server.runtime.deflate import DeflateParameters, PerMessageDeflate, negotiate_deflate

Offer = tuple[str, list[tuple[str, str | None]]]


def offer(*parameters: str) -> Offer:
    pairs: list[tuple[str, str | None]] = []
    for parameter in parameters:
        name, equals, value = parameter.partition("=")
        pairs.append((name, value if equals else None))
    return "permessage-deflate", pairs


CHEAP = "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12"

# offer, answer of a server with default options, windows of server and client
ACCEPTED = [
    pytest.param(offer(), CHEAP, 12, 15, id="bare"),
    pytest.param(offer("client_max_window_bits"), CHEAP + "; client_max_window_bits=12", 12, 12, id="browser"),
    pytest.param(offer("client_max_window_bits=9"), CHEAP + "; client_max_window_bits=9", 12, 9, id="client 9"),
    pytest.param(offer("client_max_window_bits=15"), CHEAP + "; client_max_window_bits=12", 12, 12, id="client 15"),
    pytest.param(offer("client_max_window_bits=8"), CHEAP + "; client_max_window_bits=8", 12, 8, id="client 8"),
    pytest.param(offer("server_max_window_bits=9"), CHEAP.replace("12", "9"), 9, 15, id="server 9"),
    pytest.param(offer("server_max_window_bits=15"), CHEAP, 12, 15, id="server 15"),
    pytest.param(offer("server_no_context_takeover", "client_no_context_takeover"), CHEAP, 12, 15, id="no context"),
]


@pytest.mark.parametrize(("asked", "header", "server_bits", "client_bits"), ACCEPTED)
def test_an_offer_is_answered_with_what_keeps_an_idle_connection_cheap(
    asked: Offer, header: str, server_bits: int, client_bits: int
) -> None:
    assert negotiate_deflate([asked]) == (
        header,
        DeflateParameters(
            server_no_context_takeover=True,
            client_no_context_takeover=True,
            server_max_window_bits=server_bits,
            client_max_window_bits=client_bits,
        ),
    )


PASSED_OVER = [
    [],
    [("x-webkit-deflate-frame", [])],
    [offer("unknown")],
    [offer("server_max_window_bits")],
    [offer("server_max_window_bits=7")],
    [offer("server_max_window_bits=8")],
    [offer("server_max_window_bits=16")],
    [offer("server_max_window_bits=09")],
    [offer("client_max_window_bits=16")],
    [offer("server_no_context_takeover=1")],
    [offer("client_no_context_takeover", "client_no_context_takeover")],
]


@pytest.mark.parametrize("offers", PASSED_OVER)
def test_an_offer_that_cannot_be_served_means_no_compression(offers: list[Offer]) -> None:
    assert negotiate_deflate(offers) is None


def test_the_first_offer_that_can_be_served_is_taken() -> None:
    offers: list[Offer] = [
        ("other", [("server_max_window_bits", "9")]),
        offer("server_max_window_bits=8"),
        offer("server_max_window_bits=10"),
        offer(),
    ]
    answer = negotiate_deflate(offers)
    assert answer is not None
    assert answer[1].server_max_window_bits == 10


def test_context_and_windows_are_kept_when_the_server_wants_them() -> None:
    answer = negotiate_deflate(
        [offer("client_max_window_bits")],
        server_no_context_takeover=False,
        client_no_context_takeover=False,
        server_max_window_bits=15,
        client_max_window_bits=15,
        compression_level=1,
        memory_level=9,
        min_payload_bytes=7,
    )
    assert answer == (
        "permessage-deflate; server_max_window_bits=15; client_max_window_bits=15",
        DeflateParameters(compression_level=1, memory_level=9, min_payload_bytes=7),
    )


def test_what_the_client_asks_of_the_server_is_granted() -> None:
    answer = negotiate_deflate(
        [offer("server_no_context_takeover", "client_no_context_takeover", "server_max_window_bits=9")],
        server_no_context_takeover=False,
        client_no_context_takeover=False,
        server_max_window_bits=15,
        client_max_window_bits=15,
    )
    assert answer is not None
    assert answer[1].server_no_context_takeover
    assert answer[1].client_no_context_takeover
    assert answer[1].server_max_window_bits == 9


@pytest.mark.parametrize("options", [{"server_max_window_bits": 8}, {"client_max_window_bits": 16}])
def test_windows_out_of_range_are_a_mistake_of_the_configuration(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be between"):
        negotiate_deflate([], **options)  # type: ignore[arg-type]  # the windows alone are passed


def test_equal_agreements_make_equal_frames() -> None:
    first, second = (negotiate_deflate([offer("client_max_window_bits")]) for _ in range(2))
    assert first is not None and second is not None
    assert first[1] == second[1] and hash(first[1]) == hash(second[1])
    assert PerMessageDeflate(first[1]).compress(b"news" * 50) == PerMessageDeflate(second[1]).compress(b"news" * 50)


def test_the_server_compresses_within_the_window_that_was_agreed() -> None:
    payload = bytes(range(256)) * 8  # repeats at a distance of 256, within 512
    far = bytes(i >> 3 & 0xFF for i in range(2048)) * 2
    data = PerMessageDeflate(DeflateParameters(server_max_window_bits=9)).compress(payload + far) + b"\x00\x00\xff\xff"
    assert zlib.decompressobj(-9).decompress(data) == payload + far
