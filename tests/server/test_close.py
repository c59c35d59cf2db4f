import copy
import pickle

import pytest

from wellhead.server.close import CloseStatus, EndReason

NAMED = [
    (1000, "NORMAL"),
    (1001, "GOING_AWAY"),
    (1002, "PROTOCOL_ERROR"),
    (1003, "NOT_ACCEPTABLE"),
    (1005, "NO_STATUS_CODE"),
    (1006, "NO_CLOSE_FRAME"),
    (1007, "BAD_DATA"),
    (1008, "POLICY_VIOLATION"),
    (1009, "TOO_BIG_TO_PROCESS"),
    (1010, "REQUIRED_EXTENSION"),
    (1011, "SERVER_ERROR"),
    (1012, "SERVICE_RESTARTED"),
    (1013, "SERVICE_OVERLOAD"),
    (1015, "TLS_HANDSHAKE_FAILURE"),
]


@pytest.mark.spec("WSA-03")
@pytest.mark.parametrize(("code", "name"), NAMED)
def test_named_statuses_have_their_code_and_no_reason(code: int, name: str) -> None:
    status = getattr(CloseStatus, name)
    assert (status.code, status.reason, status.because) == (code, None, None)


@pytest.mark.spec("WSA-03")
def test_session_not_reliable_has_a_code_and_reason_of_its_own() -> None:
    assert CloseStatus.SESSION_NOT_RELIABLE.code == 4500
    assert CloseStatus.SESSION_NOT_RELIABLE.reason == "Failed to send message within the configured send limit"


@pytest.mark.spec("WSA-03")
@pytest.mark.parametrize("code", [-1, 0, 999, 5000, 65536])
def test_codes_out_of_range_are_refused(code: int) -> None:
    with pytest.raises(ValueError, match="^Invalid status code$"):
        CloseStatus(code)


@pytest.mark.spec("WSA-03")
@pytest.mark.parametrize("code", [1000, 1001, 4998, 4999])
def test_codes_at_the_edges_are_accepted(code: int) -> None:
    assert CloseStatus(code).code == code


@pytest.mark.spec("WSA-03")
def test_with_reason_copies() -> None:
    status = CloseStatus.NORMAL.with_reason("bye")
    assert (status.code, status.reason) == (1000, "bye")
    assert CloseStatus.NORMAL.reason is None


@pytest.mark.spec("WSA-03")
def test_equality_compares_code_and_reason() -> None:
    assert CloseStatus(1000, "a") == CloseStatus(1000, "a")
    assert hash(CloseStatus(1000, "a")) == hash(CloseStatus(1000, "a"))
    assert CloseStatus(1000, "a") != CloseStatus(1000, "b")
    assert CloseStatus(1000) != CloseStatus(1001)
    assert CloseStatus(1000) != 1000


@pytest.mark.spec("WSA-03")
def test_equals_code_compares_the_code_only() -> None:
    assert CloseStatus(1000, "a").equals_code(CloseStatus.NORMAL)
    assert not CloseStatus(1001, "a").equals_code(CloseStatus(1000, "a"))


@pytest.mark.spec("WSA-03")
def test_the_cause_is_kept_by_copies_and_takes_no_part_in_equality() -> None:
    status = CloseStatus.GOING_AWAY.with_cause(EndReason.SERVER_STOPPED).with_reason("later")
    assert status.because is EndReason.SERVER_STOPPED
    assert status == CloseStatus(1001, "later")
    assert CloseStatus.GOING_AWAY.because is None


@pytest.mark.spec("WSA-03")
def test_a_status_is_immutable_but_can_be_copied_and_pickled() -> None:
    status = CloseStatus(1000, "a", because=EndReason.CLIENT_CLOSED)
    with pytest.raises(AttributeError):
        status.code = 1001
    with pytest.raises(AttributeError):
        del status.reason
    for other in (copy.deepcopy(status), pickle.loads(pickle.dumps(status))):
        assert other == status
        assert other.because is EndReason.CLIENT_CLOSED


@pytest.mark.spec("WSA-03")
def test_the_peers_reason_cannot_break_a_log_line() -> None:
    assert "\n" not in str(CloseStatus(1000, "a\nERROR forged"))


def test_end_reasons_have_texts_of_their_own() -> None:
    assert len({reason.value for reason in EndReason}) == 14
    assert all(isinstance(reason.value, str) and "\n" not in reason.value for reason in EndReason)
