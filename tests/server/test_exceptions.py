import pytest

from wellhead.server.close import CloseStatus, EndReason
from wellhead.server.exceptions import HandshakeFailureError, SessionLimitExceededError, WebSocketError


@pytest.mark.spec("CDS-02", "WSA-03")
def test_a_limit_error_carries_the_status_to_close_with() -> None:
    error = SessionLimitExceededError("too slow")
    assert error.status == CloseStatus.SESSION_NOT_RELIABLE
    assert str(error) == "too slow"
    status = CloseStatus.SESSION_NOT_RELIABLE.with_cause(EndReason.SEND_TIME_LIMIT)
    assert SessionLimitExceededError("too slow", status).status.because is EndReason.SEND_TIME_LIMIT


@pytest.mark.spec("EXC-01")
def test_the_errors_have_one_root() -> None:
    assert issubclass(HandshakeFailureError, WebSocketError)
    assert issubclass(SessionLimitExceededError, WebSocketError)
