"""What a session keeps of its handshake, and what sessions share of it."""

from __future__ import annotations

from typing import Any

import pytest
from kit.serving import RawClient, RecordingHandler, running_server, websocket_app

from wellhead.server.runtime import facts
from wellhead.server.runtime.facts import HandshakeFacts, HandshakenSession, shared


class Session(HandshakenSession):
    is_open = True  # type: ignore[assignment]  # a constant will do

    def _send_text(self, message: Any) -> None: ...
    def _send_binary(self, message: Any) -> None: ...
    def _send_ping(self, message: Any) -> None: ...
    def _send_pong(self, message: Any) -> None: ...
    def _close(self, status: Any) -> None: ...


@pytest.mark.spec("WSA-01")
@pytest.mark.parametrize("address", [("127.0.0.1", 4711), ("::1", 0), ("fe80::1%eth0", 65_535), ("a host", 1), None])
def test_the_remote_address_is_what_it_was(address: tuple[str, int] | None) -> None:
    assert Session(HandshakeFacts("/", remote_address=address)).remote_address == address


@pytest.mark.spec("WSA-01")
def test_equal_texts_become_one_object() -> None:
    first, second = ("".join(["ws", "://"]) for _ in range(2))
    assert first is not second
    assert shared(first) is shared(second)


@pytest.mark.spec("WSA-01")
@pytest.mark.parametrize(("length", "is_shared"), [(1023, True), (1024, True), (1025, False)])
def test_long_texts_are_not_kept(length: int, is_shared: bool) -> None:
    first, second = ("".join(["x" * (length - 1), "y"]) for _ in range(2))
    assert (shared(first) is shared(second)) is is_shared
    assert shared(first) == first


@pytest.mark.spec("WSA-01")
@pytest.mark.parametrize(("others", "is_kept"), [(1022, True), (1023, True), (1024, False)])
def test_few_texts_are_kept(monkeypatch: pytest.MonkeyPatch, others: int, is_kept: bool) -> None:
    texts: dict[str, str] = {}
    monkeypatch.setattr(facts, "_texts", texts)
    shared("first")
    for number in range(others):
        shared(f"other {number}")
    assert ("first" in texts) is is_kept
    assert len(texts) <= 1024


@pytest.mark.spec("WSA-01")
@pytest.mark.parametrize("header", ["Cookie", "Authorization"])
def test_sessions_share_what_they_agree_in_and_secrets_are_kept_by_none_but_their_own(
    monkeypatch: pytest.MonkeyPatch, header: str
) -> None:
    texts: dict[str, str] = {}
    monkeypatch.setattr(facts, "_texts", texts)
    handler = RecordingHandler()
    with running_server(websocket_app(handler)) as running:
        for count, headers in enumerate(((), (), ((header, "secret"),)), 1):
            with RawClient(running.port, "/ws", headers=headers):
                handler.wait_for("established", count)
        with RawClient(running.port, "/ws?token=secret"):
            handler.wait_for("established", 4)
        first, second, third, fourth = handler.sessions
        assert first._header_text is second._header_text
        assert first.uri is second.uri is third.uri
        assert third.handshake_headers[header] == "secret"
        assert fourth.uri.endswith("/ws?token=secret")
    assert not any("secret" in text for text in texts)
