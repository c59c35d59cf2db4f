from __future__ import annotations

import pytest

from wellhead.server.close import CloseStatus, EndReason
from wellhead.server.subprotocol.stats import SessionStats, StompStats


@pytest.mark.spec("SWS-06")
def test_sessions_are_counted_by_transport():
    stats = SessionStats()
    for kind in ("web_socket", "web_socket", "http_streaming", "http_polling"):
        stats.opened(kind)
    stats.closed("web_socket", CloseStatus.NORMAL)
    stats.no_messages_received = 1
    stats.limit_exceeded = 2
    stats.transport_error = 3
    assert str(stats) == (
        "3 current WS(1)-HttpStream(1)-HttpPoll(1), 4 total, 3 closed abnormally "
        "(1 connect failure, 2 send limit, 3 transport error)"
    )
    assert (stats.current, stats.total) == (3, 4)


@pytest.mark.spec("SWS-06")
def test_ends_are_counted_by_reason():
    stats = SessionStats()
    for because in (EndReason.CLIENT_CLOSED, EndReason.CLIENT_CLOSED, EndReason.SERVER_STOPPED):
        stats.opened("web_socket")
        stats.closed("web_socket", CloseStatus.NORMAL.with_cause(because))
    assert stats.ends == {EndReason.CLIENT_CLOSED: 2, EndReason.SERVER_STOPPED: 1}


@pytest.mark.spec("SPH-09")
def test_stomp_frames():
    stats = StompStats()
    stats.connect, stats.connected, stats.disconnect = 3, 2, 1
    assert str(stats) == "processed CONNECT(3)-CONNECTED(2)-DISCONNECT(1)"


@pytest.mark.spec("SWS-06")
def test_no_other_thread_comes_between_reading_and_writing_a_gauge():
    seen = []

    class Watched(SessionStats):
        def __setattr__(self, name, value):
            if name == "web_socket" and hasattr(self, name):
                seen.append(self._changing.locked())
            super().__setattr__(name, value)

    stats = Watched()
    stats.opened("web_socket")
    stats.closed("web_socket", CloseStatus.NORMAL)
    assert (seen, stats.web_socket) == ([True, True], 0)
