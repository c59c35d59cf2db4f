import gc

import pytest

from wellhead.messaging.message import Message
from wellhead.messaging.mime import InvalidMimeTypeError, MimeType
from wellhead.messaging.native_headers import NATIVE_HEADERS
from wellhead.messaging.simp.accessor import SimpMessageHeaderAccessor
from wellhead.messaging.simp.types import SimpMessageType
from wellhead.messaging.stomp.command import StompCommand
from wellhead.messaging.stomp.headers import (
    CREDENTIALS,
    StompHeaderAccessor,
    StompPasscode,
    headers_of_frame,
    next_message_number,
)

pytestmark = pytest.mark.spec("MSG-07")


class Joe:
    name = "joe"


def frame(command, **native):
    headers = {name.replace("_", "-"): [value] for name, value in native.items()}
    return StompHeaderAccessor.create(command, native_headers=headers)


class TestCreation:
    @pytest.mark.parametrize(
        ("command", "message_type"),
        [
            ("STOMP", "CONNECT"),
            ("CONNECT", "CONNECT"),
            ("DISCONNECT", "DISCONNECT"),
            ("SUBSCRIBE", "SUBSCRIBE"),
            ("UNSUBSCRIBE", "UNSUBSCRIBE"),
            ("SEND", "MESSAGE"),
            ("ACK", "OTHER"),
            ("NACK", "OTHER"),
            ("BEGIN", "OTHER"),
            ("COMMIT", "OTHER"),
            ("ABORT", "OTHER"),
            ("CONNECTED", "OTHER"),
            ("RECEIPT", "OTHER"),
            ("MESSAGE", "MESSAGE"),
            ("ERROR", "OTHER"),
        ],
    )
    def test_the_command_gives_the_type(self, command, message_type):
        accessor = StompHeaderAccessor.create(StompCommand(command))
        assert accessor.command is StompCommand(command)
        assert accessor.message_type is SimpMessageType(message_type)
        headers = accessor.message_headers
        assert headers["stompCommand"] is StompCommand(command)

    def test_heartbeat(self):
        accessor = StompHeaderAccessor.create_for_heartbeat()
        assert accessor.is_heartbeat
        assert accessor.message_type is SimpMessageType.HEARTBEAT
        assert accessor.command is None
        assert not StompHeaderAccessor.create(StompCommand.SEND).is_heartbeat

    def test_a_frozen_one_is_copied_in_its_class(self):
        message = Message(b"", frame(StompCommand.SEND, destination="/a").message_headers)
        copied = StompHeaderAccessor.get_mutable_accessor(message)
        assert type(copied) is StompHeaderAccessor
        assert copied.command is StompCommand.SEND


class TestNativeToSimp:
    @pytest.mark.parametrize("command", list(StompCommand))
    def test_destination_and_content_type_for_all(self, command):
        accessor = frame(command, destination="/d", content_type="application/json")
        assert accessor.get_header("simpDestination") == accessor.destination == "/d"
        assert accessor.get_header("contentType") == MimeType("application", "json")

    @pytest.mark.parametrize("command", list(StompCommand))
    def test_subscription_for_messages_alone(self, command):
        expected = "s1" if command is StompCommand.MESSAGE else None
        assert frame(command, subscription="s1").subscription_id == expected

    @pytest.mark.parametrize("command", list(StompCommand))
    def test_id_for_subscribe_and_unsubscribe_alone(self, command):
        expected = "s1" if command in (StompCommand.SUBSCRIBE, StompCommand.UNSUBSCRIBE) else None
        assert frame(command, id="s1").subscription_id == expected

    @pytest.mark.parametrize("command", list(StompCommand))
    def test_passcode_for_connect_and_stomp_alone(self, command):
        accessor = frame(command, passcode="secret")
        if command in (StompCommand.CONNECT, StompCommand.STOMP):
            assert accessor.get_native_header("passcode") == ["PROTECTED"]
            assert accessor.passcode == "secret"
            assert accessor.get_header("stompCredentials").passcode == "secret"
        else:
            assert accessor.get_native_header("passcode") == ["secret"]
            assert accessor.passcode is None

    def test_an_empty_passcode_is_one(self):
        assert frame(StompCommand.CONNECT, passcode="").passcode == ""

    def test_bad_content_type(self):
        with pytest.raises(InvalidMimeTypeError):
            frame(StompCommand.SEND, content_type="no type")

    def test_it_runs_again_when_it_is_told_to(self):
        accessor = StompHeaderAccessor.create(StompCommand.SEND)
        accessor.add_native_header("destination", "/late")
        assert accessor.destination is None
        accessor.update_simp_headers_from_stomp_headers()
        assert accessor.destination == "/late"

    def test_the_first_of_repeated_headers_counts(self):
        native = {"destination": ["/a", "/b"], "receipt": ["1", "2"]}
        accessor = StompHeaderAccessor.create(StompCommand.SEND, native_headers=native)
        assert accessor.destination == "/a"
        assert accessor.receipt == "1"
        assert accessor.get_native_header("receipt") == ["1", "2"]

    @pytest.mark.spec("LOG-01")
    def test_credentials_do_not_show_themselves(self):
        accessor = frame(StompCommand.CONNECT, login="joe", passcode="secret")
        message = Message(b"", accessor.message_headers)
        for text in (str(message), repr(accessor), str(accessor.to_map()), accessor.detailed_log_message(b"")):
            assert "secret" not in text
        assert str(message.headers[CREDENTIALS]) == "[PROTECTED]"
        assert f"{StompPasscode('secret')}" == "[PROTECTED]"


class TestSimpToNative:
    def simp(self, message_type=SimpMessageType.MESSAGE, **native):
        accessor = SimpMessageHeaderAccessor.create(message_type, native_headers=native)
        accessor.destination = "/d"
        accessor.subscription_id = "s1"
        accessor.content_type = MimeType("application", "json")
        return Message(b"", accessor.message_headers)

    def test_destination_and_content_type(self):
        accessor = StompHeaderAccessor.wrap(self.simp())
        assert accessor.to_native_header_map() == {"destination": ["/d"], "content-type": ["application/json"]}

    def test_they_overwrite_what_is_there_and_leave_the_rest(self):
        accessor = StompHeaderAccessor.wrap(self.simp(destination=["/old"], other=["1"]))
        assert accessor.get_native_header("destination") == ["/d"]
        assert accessor.get_native_header("other") == ["1"]

    @pytest.mark.parametrize(
        ("message_type", "name"),
        [(SimpMessageType.SUBSCRIBE, "id"), (SimpMessageType.UNSUBSCRIBE, "id"), (SimpMessageType.CONNECT, None)],
    )
    def test_subscription_id_by_type(self, message_type, name):
        native = StompHeaderAccessor.wrap(self.simp(message_type)).to_native_header_map()
        assert native.get("id") == (["s1"] if name == "id" else None)
        assert "subscription" not in native

    def test_subscription_id_of_a_message(self):
        accessor = frame(StompCommand.MESSAGE)
        accessor.set_header("simpSubscriptionId", "s1")
        wrapped = StompHeaderAccessor.wrap(Message(b"", accessor.message_headers))
        assert wrapped.get_native_header("subscription") == ["s1"]

    def test_a_content_type_as_text(self):
        wrapped = StompHeaderAccessor.wrap(Message(b"", {"contentType": "text/plain"}))
        assert wrapped.get_native_header("content-type") == ["text/plain"]
        assert wrapped.content_type == MimeType("text", "plain")

    def test_nothing_to_map(self):
        assert NATIVE_HEADERS not in StompHeaderAccessor.wrap(Message(b"", {"a": 1})).to_map()

    def test_the_original_does_not_change_and_wrapping_is_no_modification(self):
        message = self.simp(destination=["/old"])
        assert not StompHeaderAccessor.wrap(message).is_modified
        assert message.headers[NATIVE_HEADERS] == {"destination": ["/old"]}


class TestSettersKeepBothSidesInStep:
    def test_destination(self):
        accessor = frame(StompCommand.SEND)
        accessor.destination = "/d"
        assert accessor.get_native_header("destination") == ["/d"]
        accessor.destination = None
        assert accessor.get_native_header("destination") is None

    def test_content_type(self):
        accessor = frame(StompCommand.SEND)
        accessor.content_type = MimeType("text", "plain", {"charset": "utf-8"})
        assert accessor.get_native_header("content-type") == ["text/plain;charset=utf-8"]
        accessor.content_type = None
        assert accessor.get_native_header("content-type") is None

    @pytest.mark.parametrize(
        ("command", "name"),
        [(StompCommand.MESSAGE, "subscription"), (StompCommand.SUBSCRIBE, "id"), (StompCommand.UNSUBSCRIBE, "id")],
    )
    def test_subscription_id(self, command, name):
        accessor = frame(command)
        accessor.subscription_id = "s1"
        assert accessor.to_native_header_map() == {name: ["s1"]}
        assert accessor.get_header("simpSubscriptionId") == "s1"


class TestCommands:
    def test_server_message(self):
        accessor = SimpMessageHeaderAccessor.create()
        accessor.session_id, accessor.subscription_id = "s1", "sub0"
        stomp = StompHeaderAccessor.wrap(Message(b"", accessor.message_headers))
        before = next_message_number()
        stomp.update_stomp_command_as_server_message()
        assert stomp.command is StompCommand.MESSAGE
        assert stomp.get_native_header("subscription") == ["sub0"]
        assert stomp.message_id == f"s1-{before + 1}"

    def test_server_message_of_a_send_keeps_a_message_id(self):
        accessor = frame(StompCommand.SEND, message_id="7")
        accessor.update_stomp_command_as_server_message()
        assert (accessor.command, accessor.message_id) == (StompCommand.MESSAGE, "7")
        accessor.update_stomp_command_as_server_message()
        assert accessor.command is StompCommand.MESSAGE

    def test_server_message_of_another_type(self):
        with pytest.raises(RuntimeError, match="^Unexpected message type SUBSCRIBE$"):
            frame(StompCommand.SUBSCRIBE).update_stomp_command_as_server_message()

    @pytest.mark.parametrize("update", ["as_server_message", "as_client_message"])
    def test_another_command(self, update):
        accessor = frame(StompCommand.ACK)
        accessor.set_header("simpMessageType", SimpMessageType.MESSAGE)
        with pytest.raises(RuntimeError, match="^Unexpected STOMP command ACK$"):
            getattr(accessor, f"update_stomp_command_{update}")()

    def test_client_message(self):
        accessor = StompHeaderAccessor.wrap(Message(b"", SimpMessageHeaderAccessor.create().message_headers))
        accessor.update_stomp_command_as_client_message()
        assert accessor.command is StompCommand.SEND
        accessor.update_stomp_command_as_client_message()
        assert accessor.command is StompCommand.SEND

    def test_client_message_of_another_type_or_command(self):
        with pytest.raises(RuntimeError, match="^Unexpected message type CONNECT$"):
            frame(StompCommand.CONNECT).update_stomp_command_as_client_message()
        with pytest.raises(RuntimeError, match="^Unexpected STOMP command MESSAGE$"):
            frame(StompCommand.MESSAGE).update_stomp_command_as_client_message()


class TestTypedHeaders:
    @pytest.mark.parametrize(
        ("text", "pair"),
        [
            (None, (0, 0)),
            ("", (0, 0)),
            ("100", (0, 0)),
            ("100,200", (100, 200)),
            ("0,0", (0, 0)),
            ("+1,-1", (1, -1)),
            ("10000000000,1", (10_000_000_000, 1)),
        ],
    )
    def test_heartbeat(self, text, pair):
        accessor = frame(StompCommand.CONNECT) if text is None else frame(StompCommand.CONNECT, heart_beat=text)
        assert accessor.heartbeat == pair

    @pytest.mark.parametrize("text", ["a,1", "1,b", ",", "1,", ",1", " 1,2", "1, 2", "1,2,3", "1_0,2", "1.5,2", "١,2"])
    def test_garbage_in_heartbeat(self, text):
        with pytest.raises(ValueError, match="integer"):
            _ = frame(StompCommand.CONNECT, heart_beat=text).heartbeat

    @pytest.mark.parametrize(
        ("text", "versions"),
        [(None, set()), ("", set()), ("1.2", {"1.2"}), ("1.1,1.2", {"1.1", "1.2"}), ("1.1, 1.2", {"1.1", " 1.2"})],
    )
    def test_accept_version_is_not_trimmed(self, text, versions):
        accessor = frame(StompCommand.CONNECT) if text is None else frame(StompCommand.CONNECT, accept_version=text)
        assert accessor.accept_version == versions

    def test_content_length(self):
        assert frame(StompCommand.SEND, content_length="12").content_length == 12
        assert frame(StompCommand.SEND).content_length is None
        for garbage in ("x", "", " 1", "1_0"):
            with pytest.raises(ValueError, match="integer"):
                _ = frame(StompCommand.SEND, content_length=garbage).content_length

    @pytest.mark.parametrize(
        ("attribute", "name"),
        [
            ("host", "host"),
            ("login", "login"),
            ("receipt", "receipt"),
            ("receipt_id", "receipt-id"),
            ("message", "message"),
            ("message_id", "message-id"),
            ("ack", "ack"),
            ("nack", "nack"),
            ("version", "version"),
        ],
    )
    def test_text_pairs(self, attribute, name):
        accessor = frame(StompCommand.CONNECT)
        assert getattr(accessor, attribute) is None
        setattr(accessor, attribute, "value")
        assert accessor.get_native_header(name) == ["value"]
        assert getattr(accessor, attribute) == "value"
        setattr(accessor, attribute, None)
        assert not accessor.contains_native_header(name)

    def test_other_pairs(self):
        accessor = frame(StompCommand.CONNECT)
        accessor.heartbeat = (10, 20)
        accessor.accept_version = "1.1,1.2"
        accessor.content_length = 5
        accessor.passcode = "secret"
        assert accessor.to_native_header_map() == {
            "heart-beat": ["10,20"],
            "accept-version": ["1.1,1.2"],
            "content-length": ["5"],
            "passcode": ["PROTECTED"],
        }
        assert accessor.passcode == "secret"


class TestLogForms:
    @pytest.mark.parametrize(
        ("accessor", "text"),
        [
            (frame(StompCommand.CONNECT, login="l"), "CONNECT user=joe session=x"),
            (frame(StompCommand.STOMP), "STOMP user=joe session=x"),
            (frame(StompCommand.SUBSCRIBE, destination="/topic/a", id="sub0"), "SUBSCRIBE /topic/a id=sub0 session=x"),
            (frame(StompCommand.UNSUBSCRIBE, id="sub0"), "UNSUBSCRIBE id=sub0 session=x"),
            (
                frame(StompCommand.SEND, destination="/foo", content_type="application/json"),
                'SEND /foo session=x application/json payload={"a": 1}',
            ),
            (frame(StompCommand.SEND, destination="/foo"), "SEND /foo session=x payload=byte[8]"),
            (frame(StompCommand.CONNECTED), "CONNECTED heart-beat=[0, 0] session=x"),
            (frame(StompCommand.DISCONNECT, receipt="r1"), "DISCONNECT receipt=r1 session=x"),
            (frame(StompCommand.DISCONNECT), "DISCONNECT session=x"),
            (frame(StompCommand.ACK, id="1"), "ACK {'id': ['1']} session=x user=joe"),
            (StompHeaderAccessor.create_for_heartbeat(), "heart-beat in session x"),
        ],
    )
    def test_forms(self, accessor, text):
        accessor.session_id, accessor.user = "x", Joe()
        assert accessor.short_log_message(b'{"a": 1}') == text
        assert accessor.detailed_log_message(b'{"a": 1}') == text

    def test_connect_without_user(self):
        accessor = frame(StompCommand.CONNECT)
        accessor.session_id = "x"
        assert accessor.short_log_message(b"") == "CONNECT session=x"

    def test_a_long_payload_is_cut_in_the_short_form(self):
        accessor = frame(StompCommand.SEND, destination="/foo", content_type="text/plain")
        assert accessor.short_log_message(b"a" * 100).endswith("payload=" + "a" * 80 + "...(truncated)")
        assert accessor.detailed_log_message(b"a" * 100).endswith("payload=" + "a" * 100)

    def test_without_a_command_it_is_the_general_form(self):
        accessor = StompHeaderAccessor(SimpMessageType.MESSAGE)
        accessor.session_id = "x"
        assert accessor.short_log_message(b"abc") == "MESSAGE session=x payload=byte[3]"
        assert accessor.detailed_log_message(b"abc") == "MESSAGE session=x payload=byte[3]"

    def test_the_payload_must_be_bytes(self):
        with pytest.raises(RuntimeError, match="Expected byte array payload but got: str"):
            frame(StompCommand.SEND).short_log_message("text")

    @pytest.mark.spec("LOG-01")
    def test_a_header_cannot_forge_a_line(self):
        text = frame(StompCommand.SUBSCRIBE, destination="/a\nERROR b", id="\r").short_log_message(b"")
        assert text == r"SUBSCRIBE /a\nERROR b id=\r session=None"


@pytest.mark.spec("MSG-04")
class TestHeadersOfFrames:
    """The decoder's headers make their accessor when somebody asks for it."""

    def headers(self):
        return headers_of_frame(StompCommand.SEND, {"destination": ["/a"], "x": ["1", "2"]})

    def test_are_those_that_the_accessor_makes(self):
        created = StompHeaderAccessor.create(StompCommand.SEND, native_headers={"destination": ["/a"], "x": ["1", "2"]})
        assert self.headers() == created.message_headers

    def test_have_one_accessor_that_is_live(self):
        headers = self.headers()
        accessor = StompHeaderAccessor.get_accessor(headers)
        assert accessor is headers.accessor
        assert accessor.message_headers is headers
        accessor.set_native_header("x", "3")
        accessor.session_id = "s1"
        assert headers[NATIVE_HEADERS]["x"] == ["3"]
        assert headers["simpSessionId"] == "s1"
        headers.freeze()
        assert not accessor.is_mutable

    def test_frozen_before_the_accessor_is_made(self):
        headers = self.headers()
        headers.freeze()
        headers.freeze()
        accessor = headers.accessor
        assert not headers.mutable
        assert not accessor.is_mutable
        with pytest.raises(TypeError):
            headers[NATIVE_HEADERS]["x"] = []
        with pytest.raises(RuntimeError, match="Already immutable"):
            accessor.set_native_header("x", "3")
        assert accessor.get_native_header("x") == ["1", "2"]
        copied = SimpMessageHeaderAccessor.get_mutable_accessor(Message(b"", headers))
        assert type(copied) is StompHeaderAccessor
        assert copied.is_mutable

    def test_messages_do_not_wait_for_the_garbage_collector(self):
        while gc.collect():  # What earlier tests left may leave more behind when it goes.
            pass
        gc.disable()
        try:
            for freeze in (True, False):
                headers = self.headers()
                assert headers.accessor.message_headers is headers
                if freeze:
                    headers.freeze()
                del headers
            assert gc.collect() == 0
        finally:
            gc.enable()
