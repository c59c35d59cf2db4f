import json
import logging

import pytest
from kit.serving import RecordingHandler, echo
from kit.streams import Service

from wellhead.server.close import CloseStatus, EndReason
from wellhead.server.exceptions import SessionLimitExceededError
from wellhead.server.gathering import concurrent_session
from wellhead.server.message import BinaryMessage, PingMessage, TextMessage
from wellhead.server.sockjs.delivery import MESSAGES_AT_ONCE
from wellhead.server.sockjs.session import SessionState

GO_AWAY = b'c[3000,"Go away!"]\n'


@pytest.fixture(params=[True, False], ids=["loop", "threads"])
def loop(request):
    return request.param


def texts(*payloads):
    return [TextMessage(payload) for payload in payloads]


def send(service, *payloads):
    """As a handler sends, and the turn of the loop that follows."""
    for payload in payloads:
        service.session.send_message(TextMessage(payload))
    service.loop.turn()


# -- opening


@pytest.mark.spec("SJS-07", "SJS-08")
def test_the_first_poll_gets_the_open_frame_and_ends(loop):
    service = Service(RecordingHandler(), loop=loop)
    stream = service.poll()
    assert (stream.body, stream.finished) == (b"o\n", True)
    assert service.handler.named("established")
    assert service.session.state is SessionState.OPEN


@pytest.mark.spec("SJS-07")
@pytest.mark.parametrize("transport, expected", [("xhr", b"o\n"), ("xhr_streaming", b'o\na["first"]\n')])
def test_what_the_handler_sends_first_follows_the_open_frame(loop, transport, expected):
    class Greeter(RecordingHandler):
        def after_connection_established(self, session):
            session.send_message(TextMessage("first"))

    service = Service(Greeter(), loop=loop)
    stream = service.poll(transport=transport)
    service.loop.turn()
    assert stream.body.endswith(expected)
    if transport == "xhr":
        assert service.poll().body == b'a["first"]\n'


@pytest.mark.spec("SJS-07")
def test_the_open_frame_does_not_wait_for_the_handler():
    service = Service(RecordingHandler())
    service.host.hold = True
    assert service.poll().body == b"o\n"
    assert service.handler.events == []
    assert service.send(b'["early"]').status == 204
    assert [event[0] for event in service.handler.events] == []
    service.host.run_tasks()
    assert [event[0] for event in service.handler.events] == ["established", "message"]


@pytest.mark.spec("SJS-07")
def test_a_handler_that_fails_to_open_is_told_and_the_session_closed(loop):
    class Broken(RecordingHandler):
        def after_connection_established(self, session):
            raise LookupError("broken")

    service = Service(Broken(), loop=loop)
    service.poll()
    assert service.handler.events[0] == ("error", LookupError)
    assert service.handler.events[1][:2] == ("closed", 1011)
    assert service.poll().body == b'c[1011,""]\n'


@pytest.mark.spec("SJS-07")
def test_what_a_handler_sees_of_the_session():
    service = Service(RecordingHandler())
    service.poll(headers={"X-Mine": "1", "Host": "example.org"}, environ={"REMOTE_USER": "joe"})
    session = service.session
    assert (session.key, len(session.id)) == ("s1", 36)
    assert session.uri == "http://example.org/echo/000/s1/xhr"
    assert session.handshake_headers["X-Mine"] == "1"
    assert session.principal.name == "joe"
    assert session.remote_address == ("10.0.0.7", 40000)
    assert session.local_address == ("server.local", 8080)
    assert (session.accepted_protocol, list(session.extensions)) == (None, [])
    assert (session.transport, session.transport_kind) == ("xhr", "http_polling")
    session.text_message_size_limit = session.binary_message_size_limit = 7
    assert (session.text_message_size_limit, session.binary_message_size_limit) == (-1, -1)


# -- sending


@pytest.mark.spec("SJS-08")
def test_a_poll_waits_for_messages_and_brings_one_frame(loop):
    service = Service(RecordingHandler(), loop=loop)
    service.poll()
    stream = service.poll()
    assert (stream.body, stream.finished) == (b"", False)
    send(service, "a", "b")
    if loop:
        assert (stream.body, stream.finished) == (b'a["a","b"]\n', True)
    else:
        assert (stream.body, stream.finished) == (b'a["a"]\n', True)
        assert service.poll().body == b'a["b"]\n'


@pytest.mark.spec("SJS-08", "SJS-10")
def test_a_poll_brings_all_that_was_cached(loop):
    service = Service(RecordingHandler(), loop=loop)
    service.poll()
    send(service, "a", "b")
    assert service.session.cached_messages == 2
    assert service.poll().body == b'a["a","b"]\n'
    assert service.session.cached_messages == 0


@pytest.mark.spec("SJS-09")
def test_streaming_brings_a_frame_for_each_message_in_one_write():
    service = Service(RecordingHandler())
    stream = service.stream()
    for text in ("a", "b"):
        service.session.send_message(TextMessage(text))
    assert stream.written == []
    service.loop.turn()
    assert stream.written == [b'a["a"]\na["b"]\n']


@pytest.mark.spec("SJS-09")
@pytest.mark.parametrize("limit, ends", [(6, True), (7, True), (8, False)])  # The frame a["x"] counts as 7.
def test_a_streaming_response_ends_when_its_count_reaches_the_limit(loop, limit, ends):
    service = Service(RecordingHandler(), loop=loop, options={"stream_bytes_limit": limit})
    stream = service.stream()
    send(service, "x")
    assert stream.finished is ends


@pytest.mark.spec("SJS-09")
def test_what_is_over_the_limit_stays_cached_for_the_next_response(loop):
    service = Service(RecordingHandler(), loop=loop, options={"stream_bytes_limit": 14})
    stream = service.stream()
    send(service, "1", "2", "3")
    assert (stream.take(), stream.finished) == (b'a["1"]\na["2"]\n', True)
    stream = service.poll(transport="xhr_streaming")
    assert stream.take().endswith(b'\na["3"]\n')
    send(service, "4")
    assert (stream.take(), stream.finished) == (b'a["4"]\n', True)  # The count began anew.


@pytest.mark.spec("SJS-10")
def test_the_cache_is_bounded(loop):
    service = Service(RecordingHandler(), loop=loop, options={"http_message_cache_size": 3})
    service.poll()
    send(service, "1", "2", "3")
    with pytest.raises(RuntimeError, match="Queue full"):
        send(service, "4")
    assert service.poll().body == b'a["1","2","3"]\n'
    send(service, "5")


@pytest.mark.spec("SJS-10")
def test_a_burst_does_not_fill_the_cache_while_a_response_takes_it():
    service = Service(RecordingHandler(), options={"http_message_cache_size": 3})
    stream = service.stream()
    send(service, *"0123456789")
    assert stream.body.count(b"a[") == 10


@pytest.mark.spec("SJS-10")
def test_while_the_client_takes_nothing_messages_wait(loop):
    service = Service(RecordingHandler(), loop=loop, options={"http_message_cache_size": 2})
    stream = service.stream()
    stream.blocked = True
    send(service, "1")
    assert stream.take() == b'a["1"]\n'
    send(service, "2", "3")
    assert stream.take() == b""
    with pytest.raises(RuntimeError, match="Queue full"):
        send(service, "4")
    stream.drain()
    assert stream.take() == b'a["2"]\na["3"]\n'


@pytest.mark.spec("SJS-12")
@pytest.mark.parametrize("message", [BinaryMessage(b"x"), PingMessage()])
def test_only_text_can_be_sent(loop, message):
    service = Service(RecordingHandler(), loop=loop)
    service.poll()
    with pytest.raises(ValueError, match="SockJS supports text messages only"):
        service.session.send_message(message)


@pytest.mark.spec("SJS-12")
def test_nothing_can_be_sent_after_the_close(loop):
    service = Service(RecordingHandler(), loop=loop)
    service.poll()
    service.session.close()
    with pytest.raises(RuntimeError, match="Cannot send a message when session is closed"):
        service.session.send_message(TextMessage("x"))


# -- under the concurrent decorator


@pytest.mark.spec("CDS-01", "SJS-10")
def test_a_concurrent_session_loses_nothing_between_polls_and_ignores_the_cache_limit():
    service = Service(RecordingHandler(), options={"http_message_cache_size": 2})
    service.poll()
    session = concurrent_session(service.session)
    received = []
    for number in range(50):
        session.send_message(TextMessage(str(number)))
        if number % 7 == 0:
            service.loop.turn()
        if number % 20 == 19:
            received += json.loads(service.poll().body[1:])
            service.loop.turn()
    while service.session.cached_messages:
        received += json.loads(service.poll().body[1:])
    assert received == [str(number) for number in range(50)]


@pytest.mark.spec("CDS-02")
def test_a_concurrent_session_is_bounded_by_its_buffer_between_polls():
    service = Service(RecordingHandler())
    service.poll()
    session = concurrent_session(service.session, buffer_size_limit=10)
    session.send_message(TextMessage("0123456789"))
    service.loop.turn()
    session.send_message(TextMessage("0123456789"))
    with pytest.raises(SessionLimitExceededError):
        session.send_message(TextMessage("x"))


@pytest.mark.spec("CDS-01")
def test_a_slow_streaming_client_holds_up_its_own_session_alone():
    service = Service(RecordingHandler())
    stream = service.stream()
    session = concurrent_session(service.session)
    stream.blocked = True
    session.send_message(TextMessage("1"))
    service.loop.turn()
    session.send_message(TextMessage("2"))
    service.loop.turn()
    assert stream.take() == b'a["1"]\n'
    assert service.session.pending_bytes == 7
    stream.drain()
    service.loop.turn()
    assert stream.take() == b'a["2"]\n'


@pytest.mark.spec("CDS-03", "SJS-14")
@pytest.mark.parametrize("waiting", [True, False])
def test_what_was_sent_before_the_close_still_arrives(waiting):
    service = Service(RecordingHandler())
    service.poll()
    stream = service.poll() if waiting else None
    session = concurrent_session(service.session)
    session.send_message(TextMessage("last words"))
    session.close(CloseStatus(1002, "bye"))
    stream = stream or service.poll()
    assert stream.body == b'a["last words"]\n'
    assert service.poll().body == b'c[1002,"bye"]\n'
    assert service.poll().body == b'c[1002,"bye"]\n'


@pytest.mark.spec("SJS-14")
def test_a_streaming_request_after_the_close_gets_all_at_once():
    service = Service(RecordingHandler(), options={"stream_bytes_limit": 1})
    service.stream()
    send(service, "1", "2")
    service.session.close()
    stream = service.poll(transport="xhr_streaming")
    assert stream.body.endswith(b'h\na["2"]\n' + GO_AWAY) and stream.finished


# -- heart-beats


@pytest.mark.spec("SJS-13", "LIFE-02")
@pytest.mark.parametrize("transport, frame", [("xhr", b"h\n"), ("xhr_streaming", b"h\n"),
                                              ("eventsource", b"data: h\r\n\r\n")])  # fmt: skip
def test_a_heartbeat_comes_so_long_after_the_last_frame(loop, transport, frame):
    service = Service(RecordingHandler(), loop=loop)
    stream = service.poll(transport=transport)
    if transport == "xhr":
        stream = service.poll()
    service.clock.advance(20_000)
    if transport != "xhr":
        send(service, "x")
        service.clock.advance(20_000)
    stream.take()
    service.clock.advance(4_999)
    assert stream.take() == b""
    service.clock.advance(1)
    assert stream.take() == frame
    assert stream.finished is (transport == "xhr")
    if transport != "xhr":
        service.clock.advance(25_000)
        assert stream.take() == frame


@pytest.mark.spec("SJS-13", "SPH-06")
def test_heartbeats_can_be_disabled_for_good(loop):
    service = Service(RecordingHandler(), loop=loop)
    stream = service.stream()
    service.session.disable_heartbeat()
    service.clock.advance(100_000)
    assert stream.take() == b""
    assert service.session.is_open


@pytest.mark.spec("SJS-13")
def test_no_heartbeats_at_all():
    service = Service(RecordingHandler(), options={"heartbeat_ms": 0})
    stream = service.stream()
    service.clock.advance(100_000)
    assert stream.take() == b"" and service.session.is_open


@pytest.mark.spec("SJS-13")
def test_no_heartbeat_while_the_client_takes_nothing():
    service = Service(RecordingHandler())
    stream = service.stream()
    stream.blocked = True
    send(service, "x")
    stream.take()
    service.clock.advance(100_000)
    assert stream.take() == b""


# -- clean-up


@pytest.mark.spec("SJS-14", "LIFE-02")
def test_a_session_without_a_request_ends_after_the_delay(loop):
    service = Service(RecordingHandler(), loop=loop)
    service.poll()
    service.clock.advance(4_999)
    assert service.session.is_open
    service.clock.advance(1)
    assert service.service.sessions == []
    assert service.handler.named("closed") == [("closed", 3000, EndReason.CLIENT_VANISHED)]
    assert service.send(b'["x"]').status == 404
    assert service.poll().body == b"o\n"


@pytest.mark.spec("SJS-14", "LIFE-02")
def test_each_session_ends_when_its_own_delay_is_over(loop):
    service = Service(RecordingHandler(), loop=loop)
    for number in range(3):
        service.poll(f"s{number}")
        service.clock.advance(1_500)
    ends = [5_000, 6_500, 8_000]
    for number, end in enumerate(ends):
        service.clock.advance(end - 1 - service.clock.now_ms())
        assert len(service.handler.named("closed")) == number
        service.clock.advance(1)
        assert len(service.handler.named("closed")) == number + 1
    assert set(service.handler.named("closed")) == {("closed", 3000, EndReason.CLIENT_VANISHED)}
    assert service.service.sessions == [] and service.clock.pending == []


@pytest.mark.spec("SJS-14")
def test_each_request_puts_the_end_off(loop):
    service = Service(RecordingHandler(), loop=loop)
    service.poll()
    for _ in range(10):
        service.clock.advance(4_000)
        stream = service.poll()
        service.clock.advance(20_000)
        send(service, "x")
        assert stream.finished
    assert service.session.is_open
    assert len(service.service.timers) <= 10


@pytest.mark.spec("SJS-14")
def test_a_closed_session_is_remembered_for_the_delay(loop):
    service = Service(RecordingHandler(), loop=loop)
    service.poll()
    service.session.close()
    service.clock.advance(4_999)
    assert service.poll().body == GO_AWAY
    service.clock.advance(1)
    assert service.service.sessions == []
    assert service.poll().body == b"o\n"


@pytest.mark.spec("SJS-13", "SJS-14")
def test_one_timer_serves_all_sessions():
    service = Service(RecordingHandler())
    for number in range(100):
        service.stream(f"s{number}")
    assert len(service.clock.pending) == 1
    service.clock.advance(26_000)
    assert all(stream.body == b"h\n" for stream in service.host.streams)
    assert len(service.clock.pending) == 1


# -- closing


@pytest.mark.spec("SJS-14")
@pytest.mark.parametrize("status, frame", [(None, GO_AWAY), (CloseStatus(1011), b'c[1011,""]\n'),
                                           (CloseStatus(4000, "so"), b'c[4000,"so"]\n')])  # fmt: skip
def test_close_tells_the_waiting_request_and_the_handler(loop, status, frame):
    service = Service(RecordingHandler(), loop=loop)
    service.poll()
    stream = service.poll()
    session = service.session
    session.close() if status is None else session.close(status)
    session.close(CloseStatus(1001))
    assert (stream.body, stream.finished) == (frame, True)
    expected = 3000 if status is None else status.code
    assert service.handler.named("closed") == [("closed", expected, EndReason.SERVER_CLOSED)]
    assert session.close_status.code == expected


@pytest.mark.spec("SJS-14")
def test_an_unreliable_session_is_cut_without_a_word(loop):
    service = Service(RecordingHandler(), loop=loop)
    stream = service.stream()
    service.session.close(CloseStatus.SESSION_NOT_RELIABLE)
    assert (stream.body, stream.aborted) == (b"", True)
    assert service.handler.named("closed")[0][1] == 4500
    assert service.poll(transport="xhr_streaming").body.endswith(GO_AWAY)


@pytest.mark.spec("SJS-14")
def test_an_error_after_the_close_is_a_debug_line(loop, caplog):
    class Broken(RecordingHandler):
        def after_connection_closed(self, session, status):
            raise LookupError("broken")

    service = Service(Broken(), loop=loop)
    service.poll()
    with caplog.at_level(logging.DEBUG):
        service.session.close()
    (record,) = [record for record in caplog.records if record.exc_info]
    assert record.levelno == logging.DEBUG


@pytest.mark.spec("SJS-14")
def test_a_vanished_client_ends_the_session(loop, caplog):
    service = Service(RecordingHandler(), loop=loop)
    stream = service.stream()
    with caplog.at_level(logging.DEBUG, "wellhead.server.sockjs.disconnected_client"):
        stream.vanish()
    assert service.handler.events[1:] == [("error", ConnectionResetError), ("closed", 1006, EndReason.CLIENT_VANISHED)]
    assert service.service.sessions == []
    lines = [record for record in caplog.records if record.name.endswith("disconnected_client")]
    assert [(record.levelno, record.exc_info) for record in lines] == [(logging.DEBUG, None)]


@pytest.mark.spec("SJS-14")
def test_a_client_that_ends_the_connection_says_good_bye():
    service = Service(RecordingHandler())
    service.stream().vanish(EOFError("the connection ended"))
    assert service.handler.events[1:] == [("closed", 1006, EndReason.CLIENT_VANISHED)]


@pytest.mark.spec("SJS-14")
def test_a_client_that_vanishes_before_it_had_the_end_of_a_response_lost_messages():
    service = Service(RecordingHandler(), options={"stream_bytes_limit": 5})
    stream = service.stream()
    stream.blocked = True
    send(service, "x")
    assert stream.finished and service.session.is_open
    stream.vanish()
    assert service.handler.named("closed")[0][1] == 1006


def fail_to_write(stream):
    """The next write finds out that the client is gone."""
    stream.write = lambda data: stream.vanish()


VANISHED = ("closed", 1006, EndReason.CLIENT_VANISHED)


@pytest.mark.spec("SJS-14")
@pytest.mark.parametrize("transport", ["xhr", "xhr_streaming"])
def test_a_write_that_finds_the_client_gone_ends_the_session(loop, transport):
    service = Service(RecordingHandler(), loop=loop)
    service.poll(transport=transport)
    stream = service.host.streams[0] if transport == "xhr_streaming" else service.poll()
    fail_to_write(stream)
    send(service, "x")
    assert service.handler.events[1:] == [("error", ConnectionResetError), VANISHED]
    assert service.service.sessions == []


@pytest.mark.spec("SJS-13", "SJS-14")
def test_a_heartbeat_that_finds_the_client_gone_ends_the_session(loop):
    service = Service(RecordingHandler(), loop=loop)
    fail_to_write(service.stream())
    service.clock.advance(25_000)
    assert service.handler.named("closed") == [VANISHED]
    assert service.service.sessions == [] and len(service.service.timers) == 0


@pytest.mark.spec("SJS-14")
def test_a_close_that_finds_the_client_gone_is_told_once(loop):
    service = Service(RecordingHandler(), loop=loop)
    fail_to_write(service.stream())
    service.session.close()
    assert service.handler.named("closed") == [("closed", 3000, EndReason.SERVER_CLOSED)]
    service.clock.advance(5_000)
    assert service.service.sessions == []


@pytest.mark.spec("SJS-07")
def test_a_refused_request_that_vanishes_does_not_end_the_session():
    service = Service(RecordingHandler())
    service.stream()
    service.stream().vanish()
    assert service.session.is_open


@pytest.mark.spec("SJS-14")
def test_the_server_stops():
    service = Service(RecordingHandler())
    stream = service.stream()
    stream.listener.stream_stopping(CloseStatus.GOING_AWAY.with_cause(EndReason.SERVER_STOPPED))
    assert (stream.body, stream.finished) == (b'c[1001,""]\n', True)
    assert service.handler.named("closed") == [("closed", 1001, EndReason.SERVER_STOPPED)]


@pytest.mark.spec("SJS-14")
def test_all_sessions_are_closed():
    service = Service(RecordingHandler())
    streams = [service.stream("a"), service.stream("b")]
    service.service.close_sessions(CloseStatus.GOING_AWAY)
    assert [stream.body for stream in streams] == [b'c[1001,""]\n'] * 2


# -- receiving


@pytest.mark.spec("SJS-11")
def test_messages_are_delivered_one_by_one_before_the_answer(loop):
    service = Service(RecordingHandler(echo), loop=loop)
    service.poll()
    response = service.send(b'["a","b"]')
    assert (response.status, response.body) == (204, b"")
    assert service.handler.messages == ["a", "b"]
    service.loop.turn()
    assert service.poll().body == b'a["a","b"]\n'


@pytest.mark.spec("SJS-11")
def test_an_error_of_the_handler_is_answered_with_500_and_names_what_was_not_delivered(caplog):
    def fail(session, message):
        if message.payload == "b":
            raise LookupError("broken")

    service = Service(RecordingHandler(fail))
    service.poll()
    response = service.send(b'["a","b","c"]')
    assert (response.status, response.body) == (500, b"Failed to deliver message(s)")
    assert service.handler.messages == ["a", "b"]
    assert f"Failed to deliver 2 message(s) for session '{service.session.id}': broken" in caplog.text


@pytest.mark.spec("SJS-11")
def test_one_request_with_many_messages_lets_others_run_between_them(loop):
    service = Service(RecordingHandler(), loop=loop)
    service.poll()
    for count, ways_given in ((MESSAGES_AT_ONCE, 0), (MESSAGES_AT_ONCE + 1, 1), (3 * MESSAGES_AT_ONCE, 2)):
        service.host.ways_given = 0
        assert service.send(json.dumps([str(number) for number in range(count)]).encode()).status == 204
        assert service.host.ways_given == ways_given
        assert service.handler.messages[-count:] == [str(number) for number in range(count)]


@pytest.mark.spec("SJS-11")
def test_what_comes_while_a_request_with_many_messages_gives_way_is_delivered_after_it():
    service = Service(RecordingHandler())
    service.poll()
    service.host.give_way = lambda: service.send(b'["later"]')
    service.send(json.dumps(["early"] * (MESSAGES_AT_ONCE + 1)).encode())
    assert service.handler.messages == ["early"] * (MESSAGES_AT_ONCE + 1) + ["later"]


@pytest.mark.spec("SJS-06", "SJS-11")
@pytest.mark.parametrize("joined", [True, False])
def test_octets_that_are_no_utf_8_are_replaced(loop, joined):
    service = Service(RecordingHandler(), loop=loop)
    stream = service.stream()
    stream.take()
    if joined:
        service.session.send_text(b"caf", b"\xe9")
    else:
        service.session.send_message(TextMessage(b"caf\xe9"))
    service.loop.turn()
    assert stream.take() == b'a["caf\\ufffd"]\n'
    assert service.session.is_open


@pytest.mark.spec("SJS-06", "CFG-02")
def test_a_codec_of_ones_own_reads_what_comes_over_http(loop):
    class Lines:
        def encode(self, messages):
            return b"a" + "\n".join(messages).encode()

        def decode(self, data):
            return data.decode().split("\n")

    service = Service(RecordingHandler(), loop=loop, options={"message_codec": Lines()})
    service.poll()
    assert service.send(b"one\ntwo").status == 204
    assert service.handler.messages == ["one", "two"]
    assert service.session.is_open


@pytest.mark.spec("SJS-11")
def test_what_comes_behind_a_close_is_dropped():
    service = Service(RecordingHandler(lambda session, message: session.close()))
    service.poll()
    assert service.send(b'["a","b"]').status == 204
    assert service.send(b'["c"]').status == 204
    assert service.handler.messages == ["a"]


@pytest.mark.spec("WSA-01")
def test_the_close_comes_after_the_message_that_is_being_handled(loop):
    service = Service(RecordingHandler(), loop=loop)
    service.poll()

    def closes(session, message):
        session.close()
        service.handler.events.append(("end of message",))

    service.handler.on_message = closes
    service.send(b'["a"]')
    assert [event[0] for event in service.handler.events] == ["established", "message", "end of message", "closed"]


@pytest.mark.spec("SJS-11")
def test_what_waits_for_a_busy_handler_is_bounded():
    service = Service(RecordingHandler(), options={"max_body_size": 10})
    service.poll()
    answers = []

    def sends_more(session, message):
        service.handler.on_message = None
        answers.extend(service.send(b'["%d"]' % number).status for number in range(3))

    service.handler.on_message = sends_more
    assert service.send(b'["a"]').status == 204
    assert answers == [204, 503, 503]  # Five bytes are being handled, five wait.
    assert service.handler.messages == ["a", "0"]
    assert service.send(b'["b"]').status == 204


def test_how_long_nothing_came(loop):
    service = Service(RecordingHandler(), loop=loop)
    stream = service.stream()
    service.clock.advance(3_000)
    send(service, "x")
    assert service.session.idle_ms() == 3_000
    if loop:
        assert service.session.last_read_ms == 0
    service.send(b"[]")
    assert service.session.idle_ms() == 0
    assert not stream.finished
