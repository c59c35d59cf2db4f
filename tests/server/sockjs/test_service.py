import logging

import pytest
from kit.handshakes import FakeUpgradeStrategy, make_environ
from kit.serving import RecordingHandler
from kit.streams import Service

from wellhead.server.decorators import ExceptionWebSocketHandlerDecorator
from wellhead.server.exceptions import HandshakeFailureError
from wellhead.server.handshake.handler import DefaultHandshakeHandler
from wellhead.server.handshake.origin import OriginPolicy
from wellhead.server.handshake.request import HandshakeRequest, HandshakeResponse
from wellhead.server.session import UserPrincipal
from wellhead.server.sockjs.frame import messages_frame
from wellhead.server.sockjs.iframe import IframePage
from wellhead.server.sockjs.options import CLIENT_LIBRARY_URL
from wellhead.server.sockjs.request_handler import SockJsHttpRequestHandler
from wellhead.server.sockjs.websocket import SockJsWebSocketHandler

FOREIGN = {"Origin": "http://evil.example"}


def user(name):
    return {"environ": {"REMOTE_USER": name}}


def at(address):
    return {"environ": {"REMOTE_ADDR": address}}


# -- who may use a session


@pytest.mark.spec("SJS-07")
def test_a_session_is_used_by_the_user_who_opened_it():
    service = Service(RecordingHandler())
    service.poll(**user("joe"))
    assert service.send(b"[]", **user("joe")).status == 204
    assert service.send(b"[]", **user("eve")).status == 404
    assert service.send(b"[]").status == 404
    assert service.request("POST", "/000/s1/xhr", **user("eve")).status == 404
    joe = UserPrincipal("joe")
    assert service.send(b"[]", environ={"wellhead.principal": joe, "REMOTE_ADDR": "10.9.9.9"}).status == 204


@pytest.mark.spec("SJS-07")
def test_a_session_of_nobody_is_used_by_nobody_from_the_same_address():
    service = Service(RecordingHandler())
    service.poll(**at("10.0.0.1"))
    assert service.send(b"[]", environ={"REMOTE_ADDR": "10.0.0.1", "REMOTE_PORT": "1"}).status == 204
    assert service.send(b"[]", **at("10.0.0.2")).status == 404
    assert service.send(b"[]", environ={"REMOTE_ADDR": "10.0.0.1", "REMOTE_USER": "eve"}).status == 404


@pytest.mark.spec("SJS-07")
def test_the_handshake_handler_says_who_the_user_is_on_every_transport():
    class Named(DefaultHandshakeHandler):
        def determine_user(self, request, handler, attributes):
            return UserPrincipal("guest-7")

    service = Service(RecordingHandler(), handshake_handler=Named())
    service.poll()
    assert service.session.principal == UserPrincipal("guest-7")
    assert service.send(b"[]").status == 204


# -- interceptors


class Interceptor:
    def __init__(self, status=None, **attributes):
        self.status = status
        self.attributes = attributes
        self.calls = []

    def before_handshake(self, request, response, handler, attributes):
        self.calls.append("before")
        attributes.update(self.attributes)
        if self.status is not None:
            response.refuse(self.status)
        return self.status is None

    def after_handshake(self, request, response, handler, exception):
        self.calls.append("after")
        response.headers["X-After"] = "1"


@pytest.mark.spec("SJS-07")
def test_interceptors_see_the_first_request_of_a_session():
    interceptor = Interceptor(color="red")
    service = Service(RecordingHandler(), interceptors=[interceptor])
    stream = service.poll()
    service.poll()
    service.send(b"[]")
    assert interceptor.calls == ["before", "after"]
    assert service.session.attributes == {"color": "red"}
    assert ("X-After", "1") in stream.headers


@pytest.mark.spec("SJS-07")
def test_a_refused_first_request_leaves_no_session():
    service = Service(RecordingHandler(), interceptors=[Interceptor(status=401)])
    assert service.request("POST", "/000/s1/xhr").status == 401
    assert service.service.sessions == []
    assert service.handler.events == []


@pytest.mark.spec("SJS-07")
@pytest.mark.parametrize("status, sessions", [(399, 1), (400, 0), (401, 0), (499, 0), (500, 1)])
def test_a_status_of_the_clients_fault_leaves_no_session_although_the_request_may_pass(status, sessions):
    class Marking(Interceptor):
        def before_handshake(self, request, response, handler, attributes):
            self.calls.append("before")
            response.refuse(status, "Who are you?")
            return True

    interceptor = Marking()
    service = Service(RecordingHandler(), interceptors=[interceptor])
    response = service.request("POST", "/000/s1/xhr")
    assert len(service.service.sessions) == len(service.handler.events) == sessions
    assert interceptor.calls == ["before", "after"]
    assert response.upgraded is bool(sessions)
    if not sessions:
        assert (response.status, response.body, response.headers["X-After"]) == (status, b"Who are you?", "1")


@pytest.mark.spec("SJS-05", "SJS-07")
def test_a_bad_callback_leaves_no_session():
    service = Service(RecordingHandler())
    assert service.request("GET", "/000/s1/htmlfile").status == 500
    assert service.service.sessions == []


# -- origins


@pytest.mark.spec("SJS-05", "SJS-15")
def test_suppressed_cors_adds_no_headers_and_checks_all_the_same():
    policy = OriginPolicy(["http://a.example"], allow_credentials=True)
    service = Service(RecordingHandler(), options={"suppress_cors": True}, policy=policy)
    response = service.request("GET", "/info", headers={"Origin": "http://a.example"})
    names = {name.lower() for name, _ in response.header_list}
    assert response.status == 200 and not any("access-control" in name or name == "vary" for name in names)
    response = service.request("OPTIONS", "/a/b/xhr", headers={"Origin": "http://a.example"})
    assert (response.status, response.headers.get("Access-Control-Allow-Methods")) == (204, None)
    refused = service.request("GET", "/info", headers=FOREIGN)
    assert (refused.status, refused.body, refused.headers.get("Vary")) == (403, b"", None)


@pytest.mark.spec("SJS-04")
@pytest.mark.parametrize(
    "policy, status, frame_options",
    [(OriginPolicy(), 200, "SAMEORIGIN"), (OriginPolicy((), ("*",)), 200, None), (OriginPolicy(("*",)), 200, None),
     (OriginPolicy(("http://a.example",)), 404, None), (OriginPolicy((), ("http://*.a.example",)), 404, None)],
)  # fmt: skip
def test_the_iframe_page_and_the_allowed_origins(policy, status, frame_options):
    response = HandshakeResponse()
    IframePage(CLIENT_LIBRARY_URL, policy).answer(HandshakeRequest(make_environ("/echo/iframe.html")), response)
    assert (response.status, response.headers.get("X-Frame-Options")) == (status, frame_options)


@pytest.mark.spec("SJS-01", "SJS-04")
def test_the_iframe_page_loads_the_client_library():
    service = Service(RecordingHandler(), options={"client_library_url": 'https://lib.example/s.js?a=1&b="2'})
    page = service.request("GET", "/iframe.html")
    assert b'<script src="https://lib.example/s.js?a=1&amp;b=&quot;2"></script>' in page.body
    other = Service(RecordingHandler()).request("GET", "/iframe.html")
    assert page.headers["ETag"] != other.headers["ETag"]


# -- paths


@pytest.mark.spec("SJS-02")
@pytest.mark.parametrize(
    "pattern, path, status",
    [("/echo", "/echo", 200), ("/echo", "/echo/", 200), ("/echo/", "/echo/info", 200), ("echo", "/echo/info", 200),
     ("/{room}/echo", "/blue/echo/info", 200), ("/", "/info", 200), ("/a/b", "/a/b/000/x/xhr", 405)],
)  # fmt: skip
def test_the_services_own_part_of_the_path(pattern, path, status):
    handler = SockJsHttpRequestHandler(pattern, Service(RecordingHandler()).service, RecordingHandler())
    assert isinstance(handler.handler, ExceptionWebSocketHandlerDecorator)
    request = HandshakeRequest(make_environ(path, headers={"Upgrade": None}))
    assert handler.handle(request).status == status


@pytest.mark.spec("SJS-02")
def test_what_is_not_found_is_a_warning(caplog):
    service = Service(RecordingHandler())
    with caplog.at_level(logging.WARNING):
        assert service.request("GET", "/nothing").status == 404
    assert "404 for http://localhost:8080/echo/nothing: no SockJS path" in caplog.text


# -- WebSocket


def service_with_upgrades(**options):
    strategy = FakeUpgradeStrategy()
    service = Service(RecordingHandler(), handshake_handler=DefaultHandshakeHandler(strategy), **options)
    return service, strategy


def handshake(service, path, **headers):
    environ = make_environ("/echo" + path, headers=headers)
    return service.service.handle(HandshakeRequest(environ), path, service.handler)


@pytest.mark.spec("SJS-12")
def test_a_handshake_is_made_for_frames_or_for_the_handler_itself():
    service, strategy = service_with_upgrades()
    assert handshake(service, "/000/s1/websocket").upgraded
    assert handshake(service, "/websocket").upgraded
    assert isinstance(strategy.upgrades[0].handler, SockJsWebSocketHandler)
    assert strategy.upgrades[1].handler is service.handler


@pytest.mark.spec("SJS-12")
def test_the_sub_protocols_offered_are_the_handlers():
    service, strategy = service_with_upgrades()
    service.handler.sub_protocols = ["v12.stomp"]
    handshake(service, "/000/s1/websocket", **{"Sec-WebSocket-Protocol": "x, v12.stomp"})
    assert strategy.upgrades[0].sub_protocol == "v12.stomp"


@pytest.mark.spec("SJS-12")
@pytest.mark.parametrize("path", ["/000/s1/websocket", "/websocket"])
def test_interceptors_see_handshakes(path):
    interceptor = Interceptor(color="red")
    service, strategy = service_with_upgrades(interceptors=[interceptor])
    handshake(service, path)
    assert interceptor.calls == ["before", "after"]
    assert strategy.upgrades[0].attributes == {"color": "red"}
    interceptor.status = 401
    assert handshake(service, path).status == 401
    strategy.error, interceptor.status = HandshakeFailureError("no"), None
    with pytest.raises(HandshakeFailureError):
        handshake(service, path)
    assert interceptor.calls[-2:] == ["before", "after"]


class Meanwhile:
    """An interceptor that waits for something, and what happens then."""

    def __init__(self):
        self.happen = lambda: None

    def before_handshake(self, request, response, handler, attributes):
        happen, self.happen = self.happen, lambda: None
        happen()
        return True

    def after_handshake(self, request, response, handler, error): ...


@pytest.mark.spec("SJS-07")
@pytest.mark.parametrize("name, status", [("joe", 200), ("eve", 404)])
def test_of_two_first_requests_at_once_the_later_one_is_checked_as_any_further_one(name, status):
    interceptor = Meanwhile()
    service = Service(RecordingHandler(), interceptors=[interceptor])
    interceptor.happen = lambda: service.stream(**user("joe"))
    response = service.request("POST", "/000/s1/xhr_streaming", **user(name))
    assert response.upgraded is (status == 200)
    if status == 200:
        assert service.host.streams[-1].body.endswith(b'c[2010,"Another connection still open"]\n')
    else:
        assert (response.status, len(service.host.streams)) == (404, 1)
    assert service.session.owner.name == "joe"
    assert len(service.handler.named("established")) == 1


@pytest.mark.spec("SJS-07")
def test_of_two_first_requests_at_once_the_later_one_must_be_of_the_same_transport():
    interceptor = Meanwhile()
    service = Service(RecordingHandler(), interceptors=[interceptor])
    interceptor.happen = lambda: service.stream()
    assert service.request("POST", "/000/s1/xhr").status == 404
    assert service.session.transport == "xhr_streaming"


class Journal:
    """An interceptor that writes down what it hears, and may fail."""

    def __init__(self, fails=False):
        self.fails = fails
        self.heard = []

    def before_handshake(self, request, response, handler, attributes):
        if self.fails:
            raise LookupError("no database")
        return True

    def after_handshake(self, request, response, handler, error):
        self.heard.append(None if error is None else str(error))


@pytest.mark.spec("SJS-02", "HS-04")
@pytest.mark.parametrize("path", ["/000/s1/xhr", "/000/s1/websocket", "/websocket"])
def test_an_interceptor_that_fails_is_told_to_the_others_as_on_any_path(path):
    journal = Journal()
    service = Service(RecordingHandler(), interceptors=[journal, Journal(fails=True)])
    url = f"http://localhost:8080/echo{path}"
    with pytest.raises(HandshakeFailureError, match=f"Uncaught failure for request {url} - no database"):
        service.request("POST" if path.endswith("xhr") else "GET", path)
    assert journal.heard == [f"Uncaught failure for request {url} - no database"]
    assert service.service.sessions == []


@pytest.mark.spec("SJS-02", "HS-04")
def test_a_user_who_cannot_be_determined_fails_the_first_request():
    class Broken(DefaultHandshakeHandler):
        def determine_user(self, request, handler, attributes):
            raise LookupError("no database")

    journal = Journal()
    service = Service(RecordingHandler(), interceptors=[journal], handshake_handler=Broken())
    with pytest.raises(HandshakeFailureError):
        service.request("POST", "/000/s1/xhr")
    assert len(journal.heard) == 1
    assert journal.heard[0].endswith(" - no database")
    service = Service(RecordingHandler(), interceptors=[journal])
    service.poll()
    assert journal.heard[1:] == [None]


@pytest.mark.spec("SJS-11")
def test_a_codec_of_ones_own_that_fails_is_an_answer(caplog):
    class Broken:
        encode = staticmethod(messages_frame)

        def decode(self, data):
            raise LookupError("no such table")

    service = Service(RecordingHandler(), options={"message_codec": Broken()})
    service.poll()
    response = service.send(b'["a"]')
    assert (response.status, response.body) == (500, b"Failed to read message(s)")
    assert [(each.levelname, each.exc_info[0]) for each in caplog.records if each.exc_info] == [("ERROR", LookupError)]
    assert service.session.is_open


@pytest.mark.spec("SJS-11")
def test_only_a_body_that_is_too_long_ends_the_connection():
    service = Service(RecordingHandler(), options={"max_body_size": 10})
    service.poll()
    assert service.send(b"[").status == 500
    assert not service.host.is_ended
    response = service.send(b'["12345678"]')
    assert response.status == 413
    assert "Connection" not in response.headers
    assert service.host.is_ended
