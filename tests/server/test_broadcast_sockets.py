"""Broadcasts to many clients over real sockets, with whatever may come between: order, slow clients, threads."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import gevent
import pytest
from kit.chat import Config
from kit.serving import TEXT, TIMEOUT, frame
from kit.sockjs import Browser, SockJsClient
from kit.stomp_socket import Served, StompSocket, serving, stomp

from wellhead.messaging.handler.annotations import message_mapping, send_to, send_to_user
from wellhead.server.close import EndReason
from wellhead.server.config.app import WellheadApp
from wellhead.server.subprotocol.mailing import BroadcastMailing

pytestmark = pytest.mark.integration

CLIENTS = 40
ROUNDS = 20


class Talk:
    """Publishes and answers, and writes down in which order: a session's id, or None for everybody."""

    def __init__(self) -> None:
        self.app: Any = None
        self.log: list[tuple[str | None, str]] = []

    def publish(self, body: str) -> None:
        self.log.append((None, body))
        self.app.template.convert_and_send("/topic/news", body)

    def answer(self, session_id: str, body: str) -> None:
        self.log.append((session_id, body))
        self.app.template.send_to_session(session_id, "/queue/answers", body)

    @message_mapping("/mix")
    @send_to("/topic/news")
    def mix(self, name: str) -> str:
        self.publish(f"{name} begins")
        self.publish(f"{name} goes on")
        self.log.append((None, f"{name} ends"))
        return f"{name} ends"

    @message_mapping("/ask")
    @send_to_user("/queue/answers", broadcast=False)
    def ask(self, question: str) -> str:
        self.publish(f"{question} was asked")
        return f"answer to {question}"

    def expected(self, session_id: str) -> list[str]:
        return [body for to, body in self.log if to in (None, session_id)]


class Transport(Config):
    """Endpoints with and without SockJS; a client may ask for compression. *limits* are set by name."""

    def __init__(self, **limits: int) -> None:
        super().__init__()
        self.limits = limits

    def register_stomp_endpoints(self, registry: Any) -> None:
        registry.add_endpoint("/ws")
        registry.add_endpoint("/sockjs").with_sockjs(disconnect_delay_ms=60_000)

    def configure_web_socket_transport(self, registration: Any) -> None:
        registration.set_web_socket_options(deflate=True)
        for name, limit in self.limits.items():
            getattr(registration, f"set_{name}")(limit)


class Room:
    """A served application and its clients, all of which have subscribed to the news and to their answers."""

    def __init__(self, served: Served, talk: Talk, stack: ExitStack) -> None:
        self.served, self.talk = served, talk
        self._stack = stack
        self.clients = [self.join() for _ in range(CLIENTS)]
        self.ids = [served.session_of(client).id for client in self.clients]

    def join(self, kind: type[StompSocket] = StompSocket, **options: Any) -> StompSocket:
        client = kind(self.served.port, "/ws", **options)
        self._stack.callback(client.close_socket)
        client.send_frame_of("CONNECT", accept_version="1.2", host="localhost", heart_beat="0,0")
        assert client.next_frame().command == "CONNECTED"
        client.subscribe("/topic/news", "news")
        client.subscribe("/user/queue/answers", "answers")
        return client

    def call(self, function: Callable[[], Any]) -> Any:
        return self.served.running.call(function)


@contextmanager
def room(**limits: int) -> Iterator[Room]:
    talk = Talk()
    talk.app = WellheadApp(None, Transport(**limits), controllers=[talk])
    with serving(talk.app) as served, ExitStack() as stack:
        yield Room(served, talk, stack)


def bodies(client: StompSocket, count: int) -> list[str]:
    frames = [client.next_frame() for _ in range(count)]
    assert {frame.command for frame in frames} <= {"MESSAGE"}
    return [frame.body.decode() for frame in frames]


@pytest.mark.spec("SB-03", "CDS-01", "SWS-04")
def test_publishes_and_answers_arrive_in_the_order_in_which_they_were_sent() -> None:
    with room() as this:
        talk = this.talk

        def send() -> None:
            mailed = 0
            for number in range(ROUNDS):
                talk.publish(f"{number} first")
                mailed += isinstance(this.served.running.runtime.flusher.mailing, BroadcastMailing)
                talk.answer(this.ids[number], f"{number} answer")
                talk.publish(f"{number} second")
                talk.publish(f"{number} third")
                if number % 5 == 0:
                    gevent.sleep(0)
            assert mailed == ROUNDS

        this.call(send)
        for client, id in zip(this.clients, this.ids, strict=True):
            expected = talk.expected(id)
            assert bodies(client, len(expected)) == expected


@pytest.mark.spec("SB-03", "ANN-07", "SPH-07")
def test_what_a_controller_publishes_and_answers_keeps_its_order() -> None:
    with room() as this:
        for number, client in enumerate(this.clients):
            client.send_frame_of("SEND", b"mix %d" % number, destination="/app/mix", content_type="text/plain")
            client.send_frame_of("SEND", b"question %d" % number, destination="/app/ask", content_type="text/plain")
        received = [bodies(client, CLIENTS * 4 + 1) for client in this.clients]
        for number, got in enumerate(received):
            answer = f"answer to question {number}"
            assert got.index(answer) > got.index(f"question {number} was asked")
            got.remove(answer)
            for name in (f"mix {each}" for each in range(CLIENTS)):
                assert [body for body in got if body.startswith(f"{name} ")] == [
                    f"{name} begins",
                    f"{name} goes on",
                    f"{name} ends",
                ]
        assert all(got == received[0] for got in received), "not all saw the same"
        assert received[0] == [body for _, body in this.talk.log]


@pytest.mark.spec("SB-03", "SPH-07")
def test_a_receipt_comes_after_what_was_published_before_it() -> None:
    with room() as this:
        for number, client in enumerate(this.clients):
            data = [
                stomp("SEND", b"%d.%d" % (number, each), destination="/topic/news", receipt=f"r{each}")
                for each in (0, 1)
            ]
            client.send_bytes(b"".join(frame(TEXT, each) for each in data))
        for number, client in enumerate(this.clients):
            frames = [client.next_frame() for _ in range(2 * CLIENTS + 2)]
            own = [
                dict(each.headers).get("receipt-id") or each.body.decode()
                for each in frames
                if each.command == "RECEIPT" or each.body.startswith(b"%d." % number)
            ]
            assert own == [f"{number}.0", "r0", f"{number}.1", "r1"]


@pytest.mark.spec("SWS-04", "CDS-02", "EVT-01")
def test_a_client_that_never_reads_is_ended_and_the_others_get_everything() -> None:
    with room(send_buffer_size_limit=64 * 1024, send_time_limit=60_000) as this:
        slow = this.join(receive_buffer=8 * 1024)
        slow_id = this.served.session_of(slow).id
        rounds = 0
        while not this.served.ended:
            assert rounds < 1_000, "it goes on and on"
            this.call(lambda: [this.talk.publish(f"{rounds} {each} " + "x" * 8_000) for each in range(3)])  # noqa: B023
            for client in this.clients:
                assert [body[:20] for body in bodies(client, 3)] == [
                    f"{rounds} {each} {'x' * 20}"[:20] for each in range(3)
                ]
            rounds += 1
        event = this.served.end_of(slow_id)
        assert event.close_status.code == 4500
        assert event.close_status.because is EndReason.SEND_BUFFER_LIMIT
        assert [each.session_id for each in this.served.ended] == [slow_id]
        this.call(lambda: this.talk.publish("still here"))
        assert [bodies(client, 1) for client in this.clients] == [["still here"]] * CLIENTS


@pytest.mark.spec("SB-03", "CDS-01")
def test_what_a_thread_publishes_comes_in_its_place() -> None:
    with room() as this:
        talk = this.talk

        def send() -> None:
            pool = gevent.get_hub().threadpool
            for number in range(ROUNDS):
                talk.publish(f"{number} loop")
                pool.apply(talk.publish, (f"{number} thread",))
                talk.publish(f"{number} loop again")
                pool.apply(talk.answer, (this.ids[number], f"{number} answer by a thread"))

        this.call(send)
        for client, id in zip(this.clients, this.ids, strict=True):
            expected = talk.expected(id)
            assert bodies(client, len(expected)) == expected


@pytest.mark.spec("SB-03", "CDS-01")
def test_threads_and_the_loop_at_the_same_time_lose_nothing() -> None:
    with room() as this:

        def send(name: str) -> None:
            for number in range(50):
                this.talk.app.template.convert_and_send("/topic/news", f"{name} {number}")
                if number % 7 == 0:
                    this.talk.app.template.send_to_session(this.ids[3], "/queue/answers", f"{name} {number}")

        def send_all() -> None:
            pool = gevent.get_hub().threadpool
            results = [pool.spawn(send, f"thread{number}") for number in range(3)]
            for number in range(50):
                send_one(number)
                gevent.sleep(0)
            for result in results:
                result.get(timeout=TIMEOUT)

        def send_one(number: int) -> None:
            this.talk.app.template.convert_and_send("/topic/news", f"loop {number}")

        this.call(send_all)
        for index, client in enumerate(this.clients):
            frames = [client.next_frame() for _ in range(200 + 8 * 3 * (index == 3))]
            for name in ("loop", "thread0", "thread1", "thread2"):
                own = [each for each in frames if each.body.decode().startswith(f"{name} ")]
                news = [each.body.decode() for each in own if dict(each.headers)["subscription"] == "news"]
                assert news == [f"{name} {number}" for number in range(50)]
                if index == 3 and name != "loop":
                    numbers = [int(each.body.split()[1]) for each in own]
                    assert numbers == sorted(numbers)


@pytest.mark.spec("SWS-05", "LIFE-01")
def test_stopping_the_server_delivers_what_was_published_before() -> None:
    with room() as this:
        stopped = threading.Event()

        def publish_and_stop() -> None:
            for number in range(ROUNDS):
                this.talk.publish(f"{number}")
            this.served.running.server.stop(timeout_ms=5_000)
            stopped.set()

        this.served.running.runtime.flusher.hand_over(gevent.spawn_raw, publish_and_stop)
        for client in this.clients:
            assert bodies(client, ROUNDS) == [f"{number}" for number in range(ROUNDS)]
            assert client.receive_close()[0] == 1001
            client.send_close(1001)
        assert stopped.wait(TIMEOUT)


@pytest.mark.spec("SB-03", "SWS-02")
def test_a_session_that_is_closed_gets_what_was_published_before() -> None:
    with room() as this:

        def publish_and_close() -> None:
            this.talk.publish("before")
            this.talk.app.disconnect(this.ids[7])
            this.talk.publish("after")

        this.call(publish_and_close)
        for number, client in enumerate(this.clients):
            if number == 7:
                assert bodies(client, 1) == ["before"]
                assert client.receive_close()[0] == 1000
                client.send_close(1000)
            else:
                assert bodies(client, 2) == ["before", "after"]


class DeflatingSocket(StompSocket):
    """Offers compression, and inflates what it gets."""

    def __init__(self, port: int, path: str = "/ws", **options: Any) -> None:
        extensions = (("Sec-WebSocket-Extensions", "permessage-deflate; server_no_context_takeover"),)
        super().__init__(port, path, headers=extensions, **options)
        assert self.header("Sec-WebSocket-Extensions") is not None

    def receive(self) -> str | bytes:
        start = self.receive_bytes(2)
        self.buffer = start + self.buffer
        opcode, payload = self.receive_frame()
        assert opcode == TEXT
        if not start[0] & 0x40:  # short ones are not worth it
            return payload.decode()
        return zlib.decompressobj(-15).decompress(payload + b"\0\0\xff\xff").decode()


@pytest.mark.spec("SB-03", "CDS-01")
def test_sessions_that_compress_get_it_too() -> None:
    with room() as this:
        compressing = [this.join(DeflatingSocket) for _ in range(3)]
        for client in compressing:
            this.ids.append(this.served.session_of(client).id)
        this.clients += compressing

        def send() -> None:
            for number in range(ROUNDS):
                this.talk.publish(f"{number} first")
                this.talk.publish(f"{number} second")
                this.talk.answer(this.ids[-1], f"{number} answer")

        this.call(send)
        for client, id in zip(this.clients, this.ids, strict=True):
            expected = this.talk.expected(id)
            assert bodies(client, len(expected)) == expected


@pytest.mark.spec("SB-03", "CDS-01", "SJS-05")
def test_sessions_of_sockjs_get_it_too() -> None:
    with room() as this:
        browser = Browser(this.served.running)
        try:
            sockjs = [
                SockJsClient(browser, transport, "/sockjs")
                for transport in ("websocket", "xhr", "xhr_streaming", "eventsource", "htmlfile")
            ]
            for client in sockjs:
                client.send("CONNECT\naccept-version:1.2\nheart-beat:0,0\n\n\0")
                assert client.receive(1)[0].startswith("CONNECTED")
                client.send("SUBSCRIBE\nid:news\ndestination:/topic/news\nreceipt:1\n\n\0")
                assert client.receive(1)[0].startswith("RECEIPT")

            def send() -> None:
                for number in range(ROUNDS):
                    this.talk.publish(f'{number} "\u00e9\u2028\U0001f600\\" %41')
                    this.talk.publish(f"{number} second")
                    this.talk.answer(sockjs[number % 5].url.rpartition("/")[2], f"{number} answer")
                    if number % 5 == 0:
                        gevent.sleep(0)

            this.call(send)
            expected = this.talk.expected("nobody")
            for client in this.clients:
                assert bodies(client, len(expected)) == expected
            for each in sockjs:
                got: list[str] = []
                while len(got) < len(expected):
                    got += [text.rpartition("\n")[2].removesuffix("\0") for text in each.receive(1)]
                assert got == expected, each.transport
        finally:
            for each in sockjs:
                each.vanish()
            browser.close()
