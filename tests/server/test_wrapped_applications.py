"""A WellheadApp that something is wrapped around: the server hears of it with its first request."""

import pytest
from kit.serving import handshake_request, running_server
from kit.stomp_socket import StompSocket
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from wellhead.server.config.app import WellheadApp
from wellhead.server.config.configurer import WebSocketMessageBrokerConfigurer

pytestmark = pytest.mark.integration


class Config(WebSocketMessageBrokerConfigurer):
    def configure_message_broker(self, registry) -> None:
        registry.enable_simple_broker("/topic")

    def register_stomp_endpoints(self, registry) -> None:
        registry.add_endpoint("/ws")


class Site:
    """What knows of no life but that of a WSGI application."""

    def __init__(self, app) -> None:
        self.wsgi_app = app

    def __call__(self, environ, start_response):
        return self.wsgi_app(environ, start_response)


@pytest.mark.spec("LIFE-01", "CFG-03")
@pytest.mark.parametrize(
    ("wrap", "path"),
    [(ProxyFix, "/ws"), (lambda app: DispatcherMiddleware(None, {"/live": app}), "/live/ws"), (Site, "/ws")],
)
def test_it_is_started_with_its_first_request_and_stopped_with_the_server(wrap, path, caplog):
    app = WellheadApp(None, Config())
    wrapped = wrap(app)
    for _ in range(2):  # As the same application may be served again.
        with running_server(wrapped) as server:
            assert not app.simple_broker_message_handler.is_running
            for _ in range(2):
                with StompSocket(server.port, path) as client:
                    client.send_frame_of("CONNECT", accept_version="1.2", host="localhost")
                    assert client.next_frame().command == "CONNECTED"
                    client.subscribe("/topic/a")
                    app.template.convert_and_send("/topic/a", "hi")
                    assert client.next_frame().body == b"hi"
            server.stop()
        assert not app.simple_broker_message_handler.is_running
    assert caplog.records == []


@pytest.mark.spec("LIFE-01")
def test_one_that_was_stopped_is_not_started_again() -> None:
    app = WellheadApp(None, Config())
    with running_server(Site(app)) as server:
        StompSocket(server.port).close_socket()
        assert app.simple_broker_message_handler.is_running
        server.call(app.stop)
        StompSocket(server.port).close_socket()
        assert not app.simple_broker_message_handler.is_running


@pytest.mark.spec("LIFE-01", "LOG-01")
def test_a_start_that_fails_is_tried_again_with_the_next_request(caplog) -> None:
    app, starts = WellheadApp(None, Config()), []
    start = app.start

    def fail_once(runtime) -> None:
        starts.append(runtime)
        start(runtime)
        if len(starts) == 1:
            raise OSError("no luck")

    app.start = fail_once
    with running_server(Site(app)) as server:
        with StompSocket(server.port, handshake=False) as client:
            client.send_bytes(handshake_request(server.port, "/ws"))
            assert client.receive_head().startswith(b"HTTP/1.1 500 ")
        assert not app.simple_broker_message_handler.is_running
        StompSocket(server.port).close_socket()
        assert app.simple_broker_message_handler.is_running
    assert len(starts) == 2
    assert "no luck" in caplog.text
