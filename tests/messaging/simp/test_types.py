import pytest

from wellhead.messaging.simp.types import (
    DestinationUserNameProvider,
    Principal,
    SimpMessageType,
    destination_user_name,
)

pytestmark = pytest.mark.spec("MSG-06")


class Joe:
    name = "joe"


class JoeSmith:
    name = "joe"
    destination_user_name = "joe/smith"


def test_the_types():
    assert [each.name for each in SimpMessageType] == [
        "CONNECT",
        "CONNECT_ACK",
        "MESSAGE",
        "SUBSCRIBE",
        "UNSUBSCRIBE",
        "HEARTBEAT",
        "DISCONNECT",
        "DISCONNECT_ACK",
        "OTHER",
    ]
    assert all(each.name == each.value for each in SimpMessageType)
    assert {SimpMessageType.MESSAGE: 1}[SimpMessageType("MESSAGE")] == 1


def test_principals():
    assert isinstance(Joe(), Principal)
    assert not isinstance(object(), Principal)
    assert isinstance(JoeSmith(), DestinationUserNameProvider)
    assert not isinstance(Joe(), DestinationUserNameProvider)


@pytest.mark.spec("ANN-07")
def test_the_name_that_messages_go_to():
    assert destination_user_name(Joe()) == "joe"
    assert destination_user_name(JoeSmith()) == "joe/smith"
