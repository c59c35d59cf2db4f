import uuid

import pytest
from kit.sessions import FakeWebSocketSession

from wellhead.server.close import CloseStatus
from wellhead.server.message import BinaryMessage, PingMessage, PongMessage, TextMessage, WebSocketMessage
from wellhead.server.session import UserPrincipal


class UnknownMessage(WebSocketMessage[bytes]):
    __slots__ = ()

    def __init__(self) -> None:
        self._is_last = True

    @property
    def payload(self) -> bytes:
        return b""

    @property
    def payload_length(self) -> int:
        return 0

    def as_bytes(self) -> bytes:
        return b""

    def _shown_payload(self) -> tuple[str, bool]:
        return "", False


class KindsSession(FakeWebSocketSession):
    """Notes which hook was called."""

    def __init__(self) -> None:
        super().__init__()
        self.hooks: list[str] = []

    def _send_text(self, message: TextMessage) -> None:
        self.hooks.append("text")

    def _send_binary(self, message: BinaryMessage) -> None:
        self.hooks.append("binary")

    def _send_ping(self, message: PingMessage) -> None:
        self.hooks.append("ping")

    def _send_pong(self, message: PongMessage) -> None:
        self.hooks.append("pong")


@pytest.mark.spec("WSA-01")
def test_the_id_is_the_text_of_a_random_uuid() -> None:
    ids = {FakeWebSocketSession().id for _ in range(100)}
    assert len(ids) == 100
    assert all(uuid.UUID(text).version == 4 and str(uuid.UUID(text)) == text for text in ids)


@pytest.mark.spec("WSA-01")
def test_an_id_can_be_given() -> None:
    assert FakeWebSocketSession("abc").id == "abc"


@pytest.mark.spec("WSA-01")
def test_attributes_are_copied_without_empty_keys_and_values() -> None:
    given = {"a": 1, "none": None, None: 2, "zero": 0, "": "x"}
    session = FakeWebSocketSession(attributes=given)  # type: ignore[arg-type]  # A key of None is the point.
    assert session.attributes == {"a": 1, "zero": 0, "": "x"}
    session.attributes["b"] = 2
    assert "b" not in given
    assert FakeWebSocketSession().attributes == {}


@pytest.mark.spec("WSA-01", "WSA-02")
@pytest.mark.parametrize(
    ("message", "hook"),
    [
        (TextMessage("a"), "text"),
        (BinaryMessage(b"a"), "binary"),
        (PingMessage(), "ping"),
        (PongMessage(), "pong"),
    ],
)
def test_each_kind_of_message_goes_to_its_hook(message: WebSocketMessage[bytes], hook: str) -> None:
    session = KindsSession()
    session.send_message(message)
    assert session.hooks == [hook]


@pytest.mark.spec("WSA-01")
def test_an_unknown_kind_of_message_raises() -> None:
    with pytest.raises(RuntimeError, match="Unexpected WebSocketMessage type"):
        FakeWebSocketSession().send_message(UnknownMessage())


@pytest.mark.spec("WSA-01")
def test_closing_defaults_to_normal_and_a_second_close_does_nothing() -> None:
    session = FakeWebSocketSession()
    assert session.is_open
    session.close()
    session.close(CloseStatus.SERVER_ERROR)
    assert not session.is_open
    assert session.closed_with == [CloseStatus.NORMAL]


@pytest.mark.spec("WSA-01")
def test_closing_after_the_peer_did_does_nothing() -> None:
    session = FakeWebSocketSession()
    session.vanish()
    session.close()
    assert session.closed_with == []


@pytest.mark.spec("WSA-01")
def test_user_principals_are_equal_by_name() -> None:
    assert UserPrincipal("joe").name == "joe"
    assert UserPrincipal("joe") == UserPrincipal("joe")
    assert hash(UserPrincipal("joe")) == hash(UserPrincipal("joe"))
    assert UserPrincipal("joe") != UserPrincipal("ann")
    assert UserPrincipal("joe") != "joe"
