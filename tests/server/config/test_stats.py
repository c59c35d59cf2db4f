from __future__ import annotations

import logging

import pytest
from kit.channels import HeldExecutor
from kit.scheduling import ManualTaskScheduler
from kit.stomp import HeldPool

from wellhead.messaging.subscribable import ExecutorSubscribableChannel
from wellhead.server.config.stats import WebSocketMessageBrokerStats
from wellhead.server.subprotocol.stats import SessionStats, StompStats

MINUTE_MS = 60_000
LINE = (
    "WebSocketSession[0 current WS(0)-HttpStream(0)-HttpPoll(0), 0 total, 0 closed abnormally "
    "(0 connect failure, 0 send limit, 0 transport error)], "
    "stompSubProtocol[processed CONNECT(0)-CONNECTED(0)-DISCONNECT(0)], stompBrokerRelay[null], "
    "inboundChannel[pool size = 8, active threads = 0, queued tasks = 1, completed tasks = 15], "
    "outboundChannel[{outbound}], sockJsScheduler[unknown]"
)


class Line:
    def __init__(self, outbound=None) -> None:
        pool = HeldPool("inbound-", {"core_pool_size": 8})
        pool.completed_task_count = 15
        pool.execute(print)
        self.scheduler = ManualTaskScheduler()
        self.stats = WebSocketMessageBrokerStats(
            SessionStats(),
            StompStats(),
            ExecutorSubscribableChannel(pool),
            ExecutorSubscribableChannel(outbound),
            self.scheduler,
        )


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO)

    def count() -> int:
        return sum("WebSocketSession[" in record.message for record in caplog.records)

    return count


@pytest.mark.spec("STAT-01")
@pytest.mark.parametrize(("outbound", "text"), [(None, "null"), (HeldExecutor(), "unknown")])
def test_the_line(outbound, text):
    assert str(Line(outbound).stats) == LINE.format(outbound=text)


@pytest.mark.spec("STAT-01", "LIFE-02")
def test_the_line_is_logged_after_a_minute_and_then_every_half_hour(lines):
    line = Line()
    line.stats.start()
    line.scheduler.advance(MINUTE_MS - 1)
    assert lines() == 0
    line.scheduler.advance(1)
    assert lines() == 1
    line.scheduler.advance(30 * MINUTE_MS - 1)
    assert lines() == 1
    line.scheduler.advance(1)
    assert lines() == 2
    line.stats.stop()
    line.scheduler.advance(60 * MINUTE_MS)
    assert lines() == 2


@pytest.mark.spec("STAT-01")
def test_another_period_begins_at_once(lines):
    line = Line()
    assert line.stats.logging_period_ms == 30 * MINUTE_MS
    line.stats.start()
    line.stats.logging_period_ms = 1000
    line.scheduler.advance(0)
    assert lines() == 1
    line.scheduler.advance(1000)
    assert lines() == 2


@pytest.mark.spec("STAT-01")
@pytest.mark.parametrize("period", [0, -1])
def test_no_period_is_off(lines, period):
    line = Line()
    line.stats.start()
    line.stats.logging_period_ms = period
    line.scheduler.advance(100 * MINUTE_MS)
    assert lines() == 0


@pytest.mark.spec("STAT-01")
def test_a_period_set_before_the_start(lines):
    line = Line()
    line.stats.logging_period_ms = 1000
    assert line.scheduler.pending == []
    line.stats.start()
    line.scheduler.advance(MINUTE_MS + 1000)
    assert lines() == 2


@pytest.mark.spec("STAT-01")
def test_without_info_at_the_start_there_is_no_task(caplog):
    caplog.set_level(logging.WARNING, logger="wellhead.server.config.stats")
    line = Line()
    line.stats.start()
    assert line.scheduler.pending == []


@pytest.mark.spec("STAT-01")
def test_structured_counters():
    stats = Line().stats
    assert isinstance(stats.web_socket_session_stats, SessionStats)
    assert isinstance(stats.stomp_sub_protocol_stats, StompStats)
