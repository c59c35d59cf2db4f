import logging
from typing import Any

import flask
import pytest
from kit.handshakes import make_environ, make_request

from wellhead.server.handlers import TextWebSocketHandler, WebSocketHandler
from wellhead.server.handshake.interceptors import HandshakeInterceptorChain, HttpSessionHandshakeInterceptor
from wellhead.server.handshake.request import HandshakeRequest, HandshakeResponse

HANDLER = TextWebSocketHandler()


class Step:
    """Notes its calls in a shared journal."""

    def __init__(
        self, name: str, journal: list[str], *, passes: bool = True, raises: bool = False, raises_after: bool = False
    ) -> None:
        self.name = name
        self.journal = journal
        self.passes = passes
        self.raises = raises
        self.raises_after = raises_after
        self.exception: Exception | None = None

    def before_handshake(
        self,
        request: HandshakeRequest,
        response: HandshakeResponse,
        handler: WebSocketHandler,
        attributes: dict[str, Any],
    ) -> bool:
        self.journal.append(f"before {self.name}")
        attributes[self.name] = handler
        if self.raises:
            raise RuntimeError("boom before")
        return self.passes

    def after_handshake(
        self,
        request: HandshakeRequest,
        response: HandshakeResponse,
        handler: WebSocketHandler,
        exception: Exception | None,
    ) -> None:
        self.journal.append(f"after {self.name}")
        self.exception = exception
        if self.raises_after:
            raise RuntimeError("boom after")


@pytest.mark.spec("HS-04")
def test_before_runs_in_order_and_after_in_reverse() -> None:
    journal: list[str] = []
    steps = [Step("a", journal), Step("b", journal), Step("c", journal)]
    chain = HandshakeInterceptorChain(steps, HANDLER)
    request, response, attributes = make_request(), HandshakeResponse(), dict[str, Any]()
    assert chain.apply_before_handshake(request, response, attributes)
    assert attributes == {"a": HANDLER, "b": HANDLER, "c": HANDLER}
    error = RuntimeError()
    chain.apply_after_handshake(request, response, error)
    assert journal == ["before a", "before b", "before c", "after c", "after b", "after a"]
    assert all(step.exception is error for step in steps)


@pytest.mark.spec("HS-04")
def test_a_refusal_stops_and_those_before_it_are_told() -> None:
    journal: list[str] = []
    steps = [Step("a", journal), Step("b", journal), Step("c", journal, passes=False), Step("d", journal)]
    chain = HandshakeInterceptorChain(steps, HANDLER)
    assert not chain.apply_before_handshake(make_request(), HandshakeResponse(), {})
    assert journal == ["before a", "before b", "before c", "after b", "after a"]


@pytest.mark.spec("HS-04")
def test_an_exception_before_leaves_after_to_those_that_passed() -> None:
    journal: list[str] = []
    chain = HandshakeInterceptorChain([Step("a", journal), Step("b", journal, raises=True)], HANDLER)
    request, response = make_request(), HandshakeResponse()
    with pytest.raises(RuntimeError, match="boom before"):
        chain.apply_before_handshake(request, response, {})
    chain.apply_after_handshake(request, response, None)
    chain.apply_after_handshake(request, response, None)
    assert journal == ["before a", "before b", "after a"]


@pytest.mark.spec("HS-04")
def test_an_exception_after_is_a_warning_and_the_others_are_told(caplog: pytest.LogCaptureFixture) -> None:
    journal: list[str] = []
    chain = HandshakeInterceptorChain([Step("a", journal), Step("b", journal, raises_after=True)], HANDLER)
    request, response = make_request(), HandshakeResponse()
    chain.apply_before_handshake(request, response, {})
    chain.apply_after_handshake(request, response, None)
    assert journal[-2:] == ["after b", "after a"]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


class HttpSession(dict[str, Any]):
    sid = "session-7"


def copied(interceptor: HttpSessionHandshakeInterceptor, environ: dict[str, Any] | None = None) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    assert interceptor.before_handshake(make_request(environ=environ), HandshakeResponse(), HANDLER, attributes)
    return attributes


@pytest.mark.spec("HS-05")
@pytest.mark.parametrize("key", ["wellhead.http_session", "werkzeug.session", "beaker.session"])
def test_all_attributes_and_the_id_of_the_http_session_are_copied(key: str) -> None:
    session = HttpSession(foo="bar", bar="baz")
    assert copied(HttpSessionHandshakeInterceptor(), {key: session}) == {
        "foo": "bar",
        "bar": "baz",
        "HTTP.SESSION.ID": "session-7",
    }


@pytest.mark.spec("HS-05")
def test_only_named_attributes_are_copied() -> None:
    environ = {"wellhead.http_session": HttpSession(foo="bar", bar="baz")}
    interceptor = HttpSessionHandshakeInterceptor(["foo", "absent"])
    assert copied(interceptor, environ) == {"foo": "bar", "HTTP.SESSION.ID": "session-7"}
    assert copied(HttpSessionHandshakeInterceptor([]), environ) == {"HTTP.SESSION.ID": "session-7"}


@pytest.mark.spec("HS-05")
def test_copying_all_overrules_the_names() -> None:
    environ = {"wellhead.http_session": HttpSession(foo="bar", bar="baz")}
    interceptor = HttpSessionHandshakeInterceptor(["foo"], copy_all_attributes=True, copy_http_session_id=False)
    assert copied(interceptor, environ) == {"foo": "bar", "bar": "baz"}


@pytest.mark.spec("HS-05")
def test_the_id_can_be_left_out_and_may_be_missing() -> None:
    environ = {"wellhead.http_session": HttpSession(foo="bar")}
    assert copied(HttpSessionHandshakeInterceptor(copy_http_session_id=False), environ) == {"foo": "bar"}
    assert copied(HttpSessionHandshakeInterceptor(), {"wellhead.http_session": {"foo": "bar"}}) == {"foo": "bar"}


@pytest.mark.spec("HS-05")
def test_without_a_session_nothing_is_copied() -> None:
    assert copied(HttpSessionHandshakeInterceptor()) == {}


@pytest.mark.spec("HS-05")
def test_a_session_is_created_only_if_asked_for() -> None:
    interceptor = HttpSessionHandshakeInterceptor(create_session=lambda request: HttpSession(new=True))
    assert copied(interceptor) == {"new": True, "HTTP.SESSION.ID": "session-7"}
    assert copied(interceptor, {"werkzeug.session": {"old": True}}) == {"old": True}


@pytest.mark.spec("HS-05")
def test_the_session_of_flask_is_found_by_a_callable() -> None:
    app = flask.Flask("test")
    app.secret_key = "secret"

    @app.route("/login")
    def login() -> str:
        flask.session["user"] = "joe"
        return "ok"

    cookie = app.test_client().get("/login").headers["Set-Cookie"].partition(";")[0]
    interceptor = HttpSessionHandshakeInterceptor(
        session_of=lambda request: app.session_interface.open_session(app, request.wsgi_request)  # type: ignore[arg-type]  # Flask wants its own Request; the cookies are all it reads.
    )
    attributes: dict[str, Any] = {}
    request = HandshakeRequest(make_environ(headers={"Cookie": cookie}))
    interceptor.before_handshake(request, HandshakeResponse(), HANDLER, attributes)
    interceptor.after_handshake(request, HandshakeResponse(), HANDLER, None)
    assert attributes == {"user": "joe"}
