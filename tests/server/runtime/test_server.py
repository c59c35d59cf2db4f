"""The server's own life: starting the application, accepting many, stopping gracefully and within its time."""

from __future__ import annotations

import resource
import ssl
import threading
from typing import Any

import gevent
import pytest
from kit.certificate import certificate
from kit.serving import (
    CLOSE,
    TIMEOUT,
    Gate,
    RawClient,
    RecordingHandler,
    RunningServer,
    echo,
    handshake_request,
    running_server,
    websocket_app,
)

from wellhead.messaging.executor import PooledExecutor, TaskScheduler
from wellhead.server.close import EndReason
from wellhead.server.message import BinaryMessage
from wellhead.server.runtime import server as server_module
from wellhead.server.runtime import services
from wellhead.server.runtime.server import ServerState, WellheadServer, raise_file_limit, server_context
from wellhead.server.runtime.services import Runtime
from wellhead.server.transport_options import TransportOptions


class Application:
    """With the hooks of its life."""

    def __init__(self, app: Any, stop: Any = None) -> None:
        self.app = app
        self.log: list[str] = []
        self.runtime: Runtime | None = None
        self._stop = stop

    def start(self, runtime: Runtime) -> None:
        self.log.append("start")
        self.runtime = runtime

    def stop(self) -> None:
        self.log.append("stop")
        if self._stop is not None:
            self._stop()

    def __call__(self, environ: Any, start_response: Any) -> Any:
        return self.app(environ, start_response)


def stop_in_background(running: RunningServer, timeout_ms: int = 5_000) -> threading.Event:
    """Begin to stop; the event says when it is done."""
    stopped = threading.Event()

    def stop() -> None:
        running.server.stop(timeout_ms=timeout_ms)
        stopped.set()

    running.runtime.flusher.hand_over(gevent.spawn_raw, stop)
    return stopped


def wait_until_stopping(running: RunningServer) -> None:
    """In a greenlet of the server."""
    while running.server.state is ServerState.STARTED:
        gevent.sleep(0)


@pytest.mark.spec("LIFE-01")
def test_the_application_is_started_before_the_first_connection_and_stopped_once() -> None:
    app = Application(websocket_app(RecordingHandler(echo)))
    with running_server(app) as running:
        assert app.log == ["start"]
        assert app.runtime is running.runtime
        assert running.server.state is ServerState.STARTED
        with running.client() as client:
            client.send("x")
            assert client.receive() == "x"
        running.stop()
        running.stop()
        assert app.log == ["start", "stop"]
        assert running.server.state is ServerState.STOPPED


@pytest.mark.spec("LIFE-01")
def test_the_runtime_offers_timers_and_executors() -> None:
    app = Application(websocket_app(RecordingHandler()))
    done = [threading.Event() for _ in range(3)]
    with running_server(app):
        assert app.runtime is not None
        scheduler: TaskScheduler = app.runtime.scheduler
        scheduler.schedule(done[0].set, 1)
        pools: list[PooledExecutor] = [
            app.runtime.executor("a-", core_pool_size=2, queue_capacity=3),
            app.runtime.thread_executor("b-", core_pool_size=1),
        ]
        for pool, event in zip(pools, done[1:], strict=True):
            pool.execute(event.set)
        assert all(event.wait(TIMEOUT) for event in done)


@pytest.mark.spec("LIFE-01")
def test_stopping_closes_sessions_with_1001_and_waits_for_their_answer() -> None:
    handler = RecordingHandler(echo)
    with running_server(websocket_app(handler)) as running:
        clients = [running.client() for _ in range(5)]
        handler.wait_for("established", 5)
        stopped = stop_in_background(running)
        for client in clients:
            assert client.receive_close()[0] == 1001
            assert not stopped.is_set()
        with pytest.raises(ConnectionRefusedError):
            RawClient(running.port, handshake=False)
        for client in clients:
            client.send_close(1001)
            assert client.at_end()
            client.close_socket()
        assert stopped.wait(TIMEOUT)
        assert not running.runtime.connections
    assert handler.named("closed") == [("closed", 1001, EndReason.SERVER_STOPPED)] * 5


@pytest.mark.spec("LIFE-01")
def test_clients_that_answer_the_close_and_keep_their_sockets_do_not_hold_up_the_stop() -> None:
    handler = RecordingHandler()
    options = TransportOptions(close_timeout_ms=60_000)
    with running_server(websocket_app(handler, options=options)) as running:
        clients = [running.client() for _ in range(5)]
        stopped = stop_in_background(running, timeout_ms=60_000)
        for client in clients:
            assert client.receive_close()[0] == 1001
            client.send_close(1001)
        assert stopped.wait(TIMEOUT)
        for client in clients:
            assert client.at_end()
            client.close_socket()


@pytest.mark.spec("LIFE-01")
def test_clients_that_never_answer_are_cut_when_the_time_is_over() -> None:
    handler = RecordingHandler()
    options = TransportOptions(close_timeout_ms=60_000)
    with running_server(websocket_app(handler, options=options)) as running:
        clients = [running.client() for _ in range(5)]
        stopped = stop_in_background(running, timeout_ms=50)
        assert stopped.wait(TIMEOUT)
        assert not running.runtime.connections
        for client in clients:
            assert client.receive_close()[0] == 1001
            assert client.at_end()
            client.close_socket()
    assert handler.named("closed") == [("closed", 1001, EndReason.SERVER_STOPPED)] * 5


@pytest.mark.spec("LIFE-01")
def test_a_handshake_that_ends_while_the_server_stops_gives_a_session_that_is_closed() -> None:
    gate = Gate()
    handler = RecordingHandler()

    class Waiting:
        def before_handshake(self, *arguments: Any) -> bool:
            gate.wait()
            return True

        def after_handshake(self, *arguments: Any) -> None:
            """Nothing to do."""

    with running_server(websocket_app(handler, interceptors=[Waiting()])) as running:
        with RawClient(running.port, handshake=False) as client:
            client.send_bytes(handshake_request(running.port))
            assert gate.reached.wait(TIMEOUT)
            stopped = stop_in_background(running, timeout_ms=60_000)

            running.call(lambda: wait_until_stopping(running))
            gate.open()
            assert client.receive_head().startswith(b"HTTP/1.1 101")
            assert client.receive_close()[0] == 1001
            client.send_close(1001)
            assert client.at_end()
            assert stopped.wait(TIMEOUT)
    assert handler.events == [("established",), ("closed", 1001, EndReason.SERVER_STOPPED)]


@pytest.mark.spec("LIFE-01")
def test_handlers_and_requests_may_finish() -> None:
    gate = Gate()
    handler = RecordingHandler(lambda session, message: gate.wait())
    requested = threading.Event()

    def slow(environ: Any, start_response: Any) -> list[bytes]:
        requested.set()
        gate.wait()
        start_response("200 OK", [("Content-Length", "4")])
        return [b"done"]

    with running_server(websocket_app(handler, other=slow)) as running:
        with running.client() as client, RawClient(running.port, handshake=False) as other:
            client.send("x")
            other.send_bytes(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert gate.reached.wait(TIMEOUT)
            assert requested.wait(TIMEOUT)
            stopped = stop_in_background(running)
            assert client.receive_close()[0] == 1001
            client.send_close(1001)
            assert client.at_end()
            assert not stopped.is_set()
            assert not handler.named("closed")
            gate.open()
            assert stopped.wait(TIMEOUT)
            assert handler.named("closed")
            assert other.receive_all().endswith(b"\r\n\r\ndone")


@pytest.mark.spec("LIFE-01")
@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("secure", [False, True])
def test_a_request_under_way_is_the_last_of_its_connection(version: str, secure: bool) -> None:
    gate = Gate()

    def slow(environ: Any, start_response: Any) -> list[bytes]:
        gate.wait()
        start_response("200 OK", [("Content-Length", "4")])
        return [b"done"]

    context = server_context(certificate()) if secure else None
    with running_server(websocket_app(RecordingHandler(), other=slow), ssl_context=context) as running:
        tls = ssl.create_default_context(cafile=certificate()) if secure else None
        with RawClient(running.port, handshake=False, tls_context=tls) as client:
            request = f"GET / HTTP/{version}\r\nHost: a\r\nConnection: keep-alive\r\n\r\n".encode()
            client.send_bytes(request + request)
            assert gate.reached.wait(TIMEOUT)
            stopped = stop_in_background(running, timeout_ms=60_000)
            running.call(lambda: wait_until_stopping(running))
            gate.open()
            answer = client.receive_all()
            assert answer.count(b"HTTP/1.1 200 OK") == 1
            assert answer.count(b"\r\nConnection: close\r\n") == 1
            assert b"keep-alive" not in answer
            assert answer.endswith(b"\r\n\r\ndone")
            assert stopped.wait(TIMEOUT)


@pytest.mark.spec("LIFE-01")
def test_buffers_are_written_before_the_end() -> None:
    sent = 200

    def fill(session: Any, message: Any) -> None:
        for _ in range(sent):
            session.send_message(BinaryMessage(b"x" * 4096))

    options = TransportOptions(send_buffer_size_limit=1 << 24)
    handler = RecordingHandler(fill)
    with running_server(websocket_app(handler, options=options)) as running:
        with running.client(receive_buffer=8 * 1024) as client:
            client.send("go")
            handler.wait_for("message")
            stopped = stop_in_background(running)
            for _ in range(sent):
                assert len(client.receive()) == 4096
            assert client.receive_close()[0] == 1001
            client.send_close(1001)
            assert client.at_end()
            assert stopped.wait(TIMEOUT)


@pytest.mark.spec("LIFE-01")
def test_what_does_not_end_in_time_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    handler = RecordingHandler()
    ended: list[str] = []

    def stuck(environ: Any, start_response: Any) -> list[bytes]:
        try:
            gate.wait()
        finally:
            ended.append("request")
        return []

    with running_server(websocket_app(handler, other=stuck)) as running:
        with running.client() as client, RawClient(running.port, handshake=False) as other:
            other.send_bytes(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert gate.reached.wait(TIMEOUT)
            running.stop(timeout_ms=50)
            assert client.receive_frame()[0] == CLOSE
            assert client.at_end()
            assert other.receive_all().startswith(b"HTTP/1.1 500 ")
    assert handler.named("closed") == [("closed", 1001, EndReason.SERVER_STOPPED)]
    assert ended == ["request"]
    assert "1 sessions and 1 requests are cut" in caplog.text


@pytest.mark.spec("LIFE-01")
def test_connections_without_a_request_do_not_hold_up_the_stop() -> None:
    with running_server(websocket_app(RecordingHandler())) as running:
        with RawClient(running.port, handshake=False) as silent, RawClient(running.port, handshake=False) as waiting:
            silent.send_bytes(b"GET")
            waiting.send_bytes(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert waiting.receive_head().startswith(b"HTTP/1.1 404")
            running.stop(timeout_ms=TIMEOUT * 1000)
            assert silent.at_end()
            assert waiting.at_end()


@pytest.mark.spec("LIFE-01")
def test_half_a_head_of_a_later_request_does_not_hold_up_the_stop() -> None:
    with running_server(websocket_app(RecordingHandler()), header_timeout_ms=60_000) as running:
        with RawClient(running.port, handshake=False) as client:
            client.send_bytes(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HT")
            assert client.receive_head().startswith(b"HTTP/1.1 404")
            stopped = stop_in_background(running, timeout_ms=60_000)
            assert client.at_end()
            assert stopped.wait(TIMEOUT)


class Clock:
    """Of a stop: only waiting takes time on it."""

    def __init__(self) -> None:
        self.now_ms = 0.0

    def now_s(self) -> float:
        return self.now_ms / 1000.0

    def spend(self, wait_ms: float) -> bool:
        """Wait in vain."""
        self.now_ms += wait_ms
        return False


class StuckPool:
    """An executor whose task never ends."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def shutdown(self, *, wait_ms: int) -> bool:
        return self._clock.spend(wait_ms)


@pytest.mark.spec("LIFE-01")
@pytest.mark.parametrize("timeout_ms", [0, 100, 10_000])
def test_a_stop_is_over_a_second_after_its_time_whatever_never_ends(
    timeout_ms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    with running_server(websocket_app(RecordingHandler())) as running:
        with monkeypatch.context() as patched:
            patched.setattr(server_module, "monotonic", clock.now_s)
            patched.setattr(services, "monotonic", clock.now_s)
            patched.setattr(Runtime, "wait_for_connections", lambda _, wait_ms: clock.spend(wait_ms))
            patched.setattr(running.server, "_http_workers", StuckPool(clock))
            running.runtime._executors.extend(StuckPool(clock) for _ in range(3))
            running.stop(timeout_ms=timeout_ms)
        assert running.server.state is ServerState.STOPPED
        assert timeout_ms < clock.now_ms <= timeout_ms + 1_000


@pytest.mark.spec("LIFE-01")
def test_cutting_all_ends_a_stop_that_waits() -> None:
    gate = Gate()
    handler = RecordingHandler(lambda session, message: gate.wait())
    options = TransportOptions(close_timeout_ms=60_000)
    with running_server(websocket_app(handler, options=options)) as running:
        with running.client() as client, running.client() as busy:
            busy.send("x")
            assert gate.reached.wait(TIMEOUT)
            stopped = stop_in_background(running, timeout_ms=60_000)
            for each in (client, busy):
                assert each.receive_close()[0] == 1001
            running.runtime.flusher.hand_over(gevent.spawn_raw, running.server.cut)
            for each in (client, busy):
                assert each.at_end()
            assert not stopped.is_set()
            gate.open()
            assert stopped.wait(TIMEOUT)


@pytest.mark.spec("LIFE-01")
@pytest.mark.parametrize("fails", [True, False])
def test_an_application_that_does_not_stop_does_not_keep_the_server(
    fails: bool, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()

    def stop() -> None:
        if fails:
            raise OSError("stuck")
        gate.wait()

    app = Application(websocket_app(RecordingHandler()), stop)
    with running_server(app) as running:
        running.client().close_socket()
        running.stop(timeout_ms=50)
        assert running.server.state is ServerState.STOPPED
    assert ("stuck" if fails else "did not stop within") in caplog.text


@pytest.mark.spec("LIFE-01")
def test_a_port_in_use_is_an_error_and_starts_nothing() -> None:
    with running_server(websocket_app(RecordingHandler())) as running:
        app = Application(websocket_app(RecordingHandler()))
        with pytest.raises(OSError, match="in use"):
            running.call(lambda: WellheadServer(("127.0.0.1", running.port), app).start())
        assert app.log == []


@pytest.mark.spec("LIFE-01")
def test_an_application_that_cannot_start_gives_the_port_back() -> None:
    class Broken(Application):
        def start(self, runtime: Runtime) -> None:
            raise LookupError("no configuration")

    with pytest.raises(LookupError):
        with running_server(Broken(None)):
            raise AssertionError("it runs")


@pytest.mark.spec("LIFE-01")
def test_a_server_has_one_life() -> None:
    with running_server(websocket_app(RecordingHandler())) as running:
        with pytest.raises(RuntimeError, match="started"):
            running.call(running.server.start)
        running.stop()
        with pytest.raises(RuntimeError, match="stopped"):
            running.call(running.server.start)


@pytest.mark.spec("WSA-01")
def test_many_connections_at_once() -> None:
    count = 300
    raise_file_limit()
    handler = RecordingHandler(echo)
    with running_server(websocket_app(handler)) as running:
        clients = [RawClient(running.port, handshake=False) for _ in range(count)]
        for client in clients:
            client.send_bytes(handshake_request(running.port))
        for client in clients:
            assert client.receive_head().startswith(b"HTTP/1.1 101")
        handler.wait_for("established", count)
        assert len(running.runtime.connections) == count
        for number, client in enumerate(clients):
            client.send(str(number))
        assert [client.receive() for client in clients] == [str(number) for number in range(count)]
        assert running.call(lambda: running.runtime.workers.pool_size) == 1
        for client in clients:
            client.close_socket()


@pytest.mark.spec("WSA-01")
def test_no_descriptor_left_is_a_log_line_and_a_pause(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with running_server(websocket_app(RecordingHandler(echo))) as running:
        accept = running.server.do_read
        failures = [OSError(24, "Too many open files"), ConnectionAbortedError(103, "gone")]

        def do_read() -> Any:
            if failures:
                raise failures.pop(0)
            return accept()

        running.server.do_read = do_read
        with running.client() as client:
            client.send("x")
            assert client.receive() == "x"
    assert "Cannot accept a connection: Too many open files" in caplog.text
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.spec("LIFE-01")
def test_the_limit_of_open_files_is_raised() -> None:
    raise_file_limit()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft == hard
