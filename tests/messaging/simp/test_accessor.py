import pytest

from wellhead.messaging.header_accessor import IdTimestampMessageHeaderInitializer, MessageHeaderAccessor
from wellhead.messaging.message import Message
from wellhead.messaging.simp import accessor as module
from wellhead.messaging.simp.accessor import SimpMessageHeaderAccessor
from wellhead.messaging.simp.types import SimpMessageType

pytestmark = pytest.mark.spec("MSG-06")


class Joe:
    name = "joe"


@pytest.mark.parametrize(
    ("constant", "name"),
    [
        ("MESSAGE_TYPE", "simpMessageType"),
        ("DESTINATION", "simpDestination"),
        ("SESSION_ID", "simpSessionId"),
        ("SESSION_ATTRIBUTES", "simpSessionAttributes"),
        ("SUBSCRIPTION_ID", "simpSubscriptionId"),
        ("USER", "simpUser"),
        ("CONNECT_MESSAGE", "simpConnectMessage"),
        ("DISCONNECT_MESSAGE", "simpDisconnectMessage"),
        ("HEARTBEAT", "simpHeartbeat"),
        ("ORIGINAL_DESTINATION", "simpOrigDestination"),
        ("IGNORE_ERROR", "simpIgnoreError"),
    ],
)
def test_header_names(constant, name):
    assert getattr(module, constant) == name


def test_creation():
    assert SimpMessageHeaderAccessor.create().message_type is SimpMessageType.MESSAGE
    accessor = SimpMessageHeaderAccessor.create(SimpMessageType.SUBSCRIBE, native_headers={"a": ["1"]})
    assert accessor.message_type is SimpMessageType.SUBSCRIBE
    assert accessor.get_native_header("a") == ["1"]


def test_type_if_not_set():
    accessor = SimpMessageHeaderAccessor()
    accessor.set_message_type_if_not_set(SimpMessageType.OTHER)
    accessor.set_message_type_if_not_set(SimpMessageType.MESSAGE)
    assert accessor.message_type is SimpMessageType.OTHER


def test_ids_and_timestamps_are_off():
    headers = SimpMessageHeaderAccessor.create().message_headers
    assert (headers.id, headers.timestamp) == (None, None)
    wrapped = SimpMessageHeaderAccessor.wrap(Message("x", {"a": 1})).message_headers
    assert (wrapped.id, wrapped.timestamp) == (None, None)


def test_ids_and_timestamps_can_be_switched_on():
    accessor = SimpMessageHeaderAccessor.create()
    accessor.set_id_generator(MessageHeaderAccessor()._generate_id)
    IdTimestampMessageHeaderInitializer(enable_timestamp=True).init_headers(accessor)
    headers = accessor.message_headers
    assert headers.id is not None
    assert headers.timestamp is not None


def test_typed_headers():
    user, attributes = Joe(), {}
    accessor = SimpMessageHeaderAccessor.create()
    accessor.destination = "/topic/a"
    accessor.session_id = "s1"
    accessor.subscription_id = "sub0"
    accessor.user = user
    accessor.session_attributes = attributes
    accessor.set_header("simpHeartbeat", (10, 20))
    headers = accessor.message_headers
    assert dict(headers) == {
        "simpMessageType": SimpMessageType.MESSAGE,
        "simpDestination": "/topic/a",
        "simpSessionId": "s1",
        "simpSubscriptionId": "sub0",
        "simpUser": user,
        "simpSessionAttributes": {},
        "simpHeartbeat": (10, 20),
    }
    assert headers["simpSessionAttributes"] is attributes
    assert accessor.heartbeat == (10, 20)
    read = SimpMessageHeaderAccessor.wrap(Message("x", headers))
    assert (read.destination, read.session_id, read.subscription_id) == ("/topic/a", "s1", "sub0")
    assert read.user is user
    assert read.session_attributes is attributes


def test_another_dict_of_attributes_is_taken_although_it_is_equal():
    accessor, attributes = SimpMessageHeaderAccessor.create(), {}
    accessor.session_attributes = {}
    accessor.session_attributes = attributes
    assert accessor.session_attributes is attributes
    accessor.session_attributes = None
    assert accessor.session_attributes is None


def test_none_removes():
    accessor = SimpMessageHeaderAccessor.create()
    accessor.destination = "/topic/a"
    accessor.destination = None
    assert dict(accessor.message_headers) == {"simpMessageType": SimpMessageType.MESSAGE}


@pytest.mark.parametrize("make", [dict, lambda values: Message("x", values).headers])
def test_reading_any_mapping_without_an_accessor(make):
    user, attributes = Joe(), {}
    headers = make(
        {
            "simpMessageType": SimpMessageType.MESSAGE,
            "simpDestination": "/topic/a",
            "simpSessionId": "s1",
            "simpSubscriptionId": "sub0",
            "simpUser": user,
            "simpSessionAttributes": attributes,
            "simpHeartbeat": (1, 2),
        }
    )
    assert module.message_type_of(headers) is SimpMessageType.MESSAGE
    assert module.destination_of(headers) == "/topic/a"
    assert module.session_id_of(headers) == "s1"
    assert module.subscription_id_of(headers) == "sub0"
    assert module.user_of(headers) is user
    assert module.session_attributes_of(headers) is attributes
    assert module.heartbeat_of(headers) == (1, 2)
    assert module.destination_of({}) is None


class TestUserChange:
    def test_callbacks_run_in_the_order_of_registration(self):
        accessor, calls = SimpMessageHeaderAccessor.create(), []
        for name in "abc":
            accessor.add_user_change_callback(lambda user, name=name: calls.append((name, user)))
        user = Joe()
        accessor.user = user
        assert calls == [("a", user), ("b", user), ("c", user)]
        assert accessor.user is user

    def test_none_is_told_too(self):
        accessor, calls = SimpMessageHeaderAccessor.create(), []
        accessor.add_user_change_callback(calls.append)
        accessor.user = None
        assert calls == [None]

    def test_an_interceptor_reaches_the_callback_through_the_message(self):
        accessor, calls = SimpMessageHeaderAccessor.create(SimpMessageType.CONNECT), []
        accessor.leave_mutable = True
        accessor.add_user_change_callback(calls.append)
        message = Message(b"", accessor.message_headers)
        user = Joe()
        SimpMessageHeaderAccessor.get_accessor(message).user = user
        assert calls == [user]
        assert message.headers["simpUser"] is user


class TestLogForms:
    def accessor(self):
        accessor = SimpMessageHeaderAccessor.create(native_headers={"a": ["1"]})
        accessor.destination = "/topic/a"
        accessor.subscription_id = "s1"
        accessor.session_id = "x"
        accessor.user = Joe()
        accessor.session_attributes = {"k": 1, "l": 2}
        return accessor

    def test_short(self):
        assert self.accessor().short_log_message("text") == (
            "MESSAGE destination=/topic/a subscriptionId=s1 session=x user=joe attributes[2] payload=text"
        )

    def test_detailed(self):
        assert self.accessor().detailed_log_message("text" * 30) == (
            "MESSAGE destination=/topic/a subscriptionId=s1 session=x user=joe attributes={'k': 1, 'l': 2} "
            "nativeHeaders={'a': ['1']} payload=" + "text" * 30
        )

    def test_what_is_missing_is_left_out(self):
        accessor = SimpMessageHeaderAccessor.create(SimpMessageType.CONNECT)
        assert accessor.short_log_message(b"abc") == "CONNECT session=None payload=byte[3]"
        assert accessor.detailed_log_message(b"abc") == "CONNECT session=None payload=byte[3]"

    def test_without_a_type_it_is_the_general_form(self):
        assert SimpMessageHeaderAccessor({"a": 1}).short_log_message("x") == "headers={'a': 1} payload=x"
        assert SimpMessageHeaderAccessor({"a": 1}).detailed_log_message("x") == "headers={'a': 1} payload=x"

    @pytest.mark.spec("LOG-01")
    def test_a_destination_cannot_forge_a_line(self):
        accessor = SimpMessageHeaderAccessor.create()
        accessor.destination = "/topic/a\nERROR all is lost"
        assert "\n" not in accessor.short_log_message("x")
        assert r"destination=/topic/a\nERROR all is lost" in accessor.detailed_log_message("x")
