"""Clients that leave without a word, over real sockets: each handler hears of the end, and why."""

import logging
import time

import pytest
from kit.serving import RawClient, RecordingHandler, running_server
from kit.sockjs import Browser, fresh_url, sockjs_app

from wellhead.server.close import EndReason
from wellhead.server.message import TextMessage

pytestmark = pytest.mark.integration

DELAY_MS = 200


@pytest.fixture
def handler():
    return RecordingHandler()


@pytest.fixture
def server(handler):
    app = sockjs_app(lambda registry: registry.add_handler(handler, "/echo").with_sockjs(disconnect_delay_ms=DELAY_MS))
    with running_server(app) as running:
        yield running


@pytest.fixture
def browser(server):
    browser = Browser(server)
    yield browser
    browser.close()


@pytest.mark.spec("SJS-14", "LIFE-02")
def test_sessions_without_a_request_end_after_their_delay_and_never_before(browser, handler):
    began = time.monotonic()
    urls = [fresh_url() for _ in range(20)]
    for url in urls:
        assert browser.post(url + "/xhr").body == b"o\n"
    assert handler.wait_for("closed") == ("closed", 3000, EndReason.CLIENT_VANISHED)
    assert time.monotonic() - began >= DELAY_MS / 1000
    handler.wait_for("closed", len(urls))
    assert set(handler.named("closed")) == {("closed", 3000, EndReason.CLIENT_VANISHED)}
    assert {browser.post(url + "/xhr_send", "[]").status for url in urls} == {404}


@pytest.mark.spec("SJS-08", "SJS-14")
def test_a_session_whose_poll_waits_has_no_end(browser, handler):
    url, other = fresh_url(), fresh_url()
    waiting = browser.connect()
    poll = f"POST {url}/xhr HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode()
    waiting.socket.sendall(poll + poll)  # at once: between them it may not be without a request for long
    assert waiting.response().body == b"o\n"
    for number in range(1, 4):  # Meanwhile others come, and go when their delay is over.
        assert browser.post(f"{other}{number}/xhr").body == b"o\n"
        handler.wait_for("closed", number)
    assert browser.post(url + "/xhr_send", "[]").status == 204


@pytest.mark.spec("SJS-14")
@pytest.mark.parametrize("transport", ["xhr_streaming", "eventsource"])
def test_a_client_that_is_gone_when_something_is_written(server, browser, handler, transport):
    connection = browser.connect()
    response = connection.request("POST" if transport.startswith("xhr") else "GET", f"{fresh_url()}/{transport}")
    response.chunk()
    handler.wait_for("established")

    def reset_and_send():
        # In one turn of the loop: the write comes before it looks at its sockets.
        connection.reset()
        handler.sessions[0].send_message(TextMessage("x"))

    server.call(reset_and_send)
    assert handler.wait_for("closed") == ("closed", 1006, EndReason.CLIENT_VANISHED)
    assert browser.get("/echo").status == 200


@pytest.mark.spec("SJS-14", "LOG-01")
@pytest.mark.parametrize("transport", ["xhr", "xhr_streaming"])
def test_a_client_that_leaves_in_the_middle_of_its_request_is_no_error_of_ours(
    server, browser, handler, transport, caplog
):
    with RawClient(server.port, handshake=False) as client:
        client.send_bytes(f"POST {fresh_url()}/{transport} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab".encode())
    assert handler.wait_for("closed")[2] is EndReason.CLIENT_VANISHED
    assert browser.get("/echo").status == 200
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
