"""The SockJS protocol over real sockets: every URL, header, status, prelude and frame that it names."""

import json
import re

import pytest
from kit.serving import RawClient, RecordingHandler, echo, handshake_request, running_server
from kit.sockjs import Browser, CloseAtOnce, fresh_url, sockjs_app

pytestmark = pytest.mark.integration

NO_CACHE = "no-store, no-cache, no-transform, must-revalidate, max-age=0"
JAVASCRIPT = "application/javascript;charset=UTF-8"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PRELUDE = b"h" * 2048 + b"\n"

IFRAME = re.compile(
    r"""<!DOCTYPE html>
<html>
<head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
  <script src="(?P<url>[^"]*)"></script>
  <script>
    document\.domain = document\.domain;
    SockJS\.bootstrap_iframe\(\);
  </script>
</head>
<body>
  <h2>Don't panic!</h2>
  <p>This is a SockJS hidden iframe\. It's used for cross domain magic\.</p>
</body>
</html>"""
)
HTMLFILE = """<!doctype html>
<html><head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
</head><body><h2>Don't panic!</h2>
  <script>
    document.domain = document.domain;
    var c = parent.callback;
    c.start();
    function p(d) {c.message(d);};
    window.onload = function() {c.stop();};
  </script>"""


def register(registry):
    for path, handler, options in (
        ("/echo", RecordingHandler(echo), {"stream_bytes_limit": 4096}),
        ("/disabled_websocket_echo", RecordingHandler(echo), {"web_socket_enabled": False}),
        ("/cookie_needed_echo", RecordingHandler(echo), {"session_cookie_needed": True}),
        ("/close", CloseAtOnce(), {}),
    ):
        registry.add_handler(handler, path, allowed_origin_patterns=["*"]).with_sockjs(jsonp_enabled=True, **options)
    registry.add_handler(RecordingHandler(echo), "/same").with_sockjs()
    registry.add_handler(RecordingHandler(echo), "/listed", allowed_origins=["http://a.example"]).with_sockjs()


@pytest.fixture(scope="module")
def server():
    with running_server(sockjs_app(register)) as running:
        yield running


@pytest.fixture
def browser(server):
    browser = Browser(server)
    yield browser
    browser.close()


def content_type(response):
    return (response["Content-Type"] or "").replace(" ", "")


def assert_not_cached(response):
    assert response["Cache-Control"] == NO_CACHE
    assert response["Expires"] is None and response["Last-Modified"] is None


def assert_cors(response, origin):
    assert response["Access-Control-Allow-Origin"] == origin
    assert response["Access-Control-Allow-Credentials"] == "true"


# -- greeting, paths


@pytest.mark.spec("SJS-02")
@pytest.mark.parametrize("path", ["/echo", "/echo/"])
def test_the_greeting(browser, path):
    response = browser.get(path)
    assert (response.status, response.body) == (200, b"Welcome to SockJS!\n")
    assert content_type(response) == "text/plain;charset=UTF-8"
    assert response["Set-Cookie"] is None


@pytest.mark.spec("SJS-02")
def test_a_plain_web_socket_client_is_told_where_to_go(server):
    with RawClient(server.port, handshake=False) as client:
        client.send_bytes(b"GET /echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        assert b" 400 " in client.receive_head()


@pytest.mark.spec("SJS-02")
@pytest.mark.parametrize("suffix", ["/a", "/a.html", "//", "///", "/a/a", "/a/a/", "/a/", "/a/b/c/xhr", "/a/b/nothing",
                                    "/a/b/xhr;x=1", "/%20/a/xhr"])  # fmt: skip
def test_other_paths_are_not_found(browser, suffix):
    assert browser.get("/echo" + suffix).status == 404
    assert browser.post("/echo" + suffix).status == 404


@pytest.mark.spec("SJS-02")
@pytest.mark.parametrize("suffix", ["//", "/a./a", "/a/a.", "/./.", "/", "///"])
def test_dots_and_empty_ids_are_not_found(browser, suffix):
    assert browser.get(f"/echo{suffix}/xhr").status == 404
    assert browser.post(f"/echo{suffix}/xhr").status == 404


@pytest.mark.spec("SJS-02")
@pytest.mark.parametrize("session", ["/a/a", "/_/_", "/1/1", "/abcdefgh_i-j%20/abcdefg_i-j%20"])
def test_any_other_ids_will_do(browser, session):
    response = browser.post(f"/echo{session}/xhr")
    assert (response.status, response.body) == (200, b"o\n")


@pytest.mark.spec("SJS-02")
def test_the_server_id_means_nothing(browser):
    session = fresh_url().rpartition("/")[2]
    assert browser.post(f"/echo/000/{session}/xhr").body == b"o\n"
    assert browser.post(f"/echo/111/{session}/xhr_send", '["a"]').status == 204
    assert browser.post(f"/echo/999/{session}/xhr").body == b'a["a"]\n'


# -- iframe


@pytest.mark.spec("SJS-04")
@pytest.mark.parametrize(
    "name", ["", "-a", "-", "-0.1.2", "-0.1.2abc-dirty.2144", "-a.html?t=1234", "-0.1.2.html?t=123414"]
)
def test_the_iframe_page(browser, name):
    response = browser.get(f"/echo/iframe{name}" + ("" if "?" in name else ".html"))
    assert response.status == 200
    assert content_type(response) == "text/html;charset=UTF-8"
    assert re.search(r"public.*max-age=[1-9][0-9]{6}", response["Cache-Control"])
    assert response["Expires"] and response["ETag"]
    assert response["Last-Modified"] is None and response["Set-Cookie"] is None
    match = IFRAME.fullmatch(response.body.decode().strip())
    assert match and match["url"].startswith("https://")
    assert int(response["Content-Length"]) == len(response.body)


@pytest.mark.spec("SJS-04")
@pytest.mark.parametrize(
    "name", ["iframe.htm", "iframe", "IFRAME.HTML", "IFRAME", "iframe.HTML", "iframe.xml", "iframe-/.html"]
)
def test_other_names_of_the_iframe_page_are_not_found(browser, name):
    assert browser.get("/echo/" + name).status == 404


@pytest.mark.spec("SJS-04")
def test_the_iframe_page_is_not_sent_again(browser):
    tag = browser.get("/echo/iframe.html")["ETag"]
    assert re.fullmatch(r'"0[0-9a-f]{32}"', tag)
    response = browser.get("/echo/iframe.html", headers={"If-None-Match": tag})
    assert (response.status, response.body, response["Content-Type"]) == (304, b"", None)
    assert browser.get("/echo/iframe.html", headers={"If-None-Match": '"other"'}).status == 200


@pytest.mark.spec("SJS-04")
def test_the_iframe_page_is_for_get_alone(browser):
    response = browser.post("/echo/iframe.html")
    assert (response.status, response["Allow"], response.body) == (405, "GET", b"")


@pytest.mark.spec("SJS-04")
def test_the_iframe_page_where_origins_are_restricted(browser):
    assert browser.get("/listed/iframe.html").status == 404
    assert browser.get("/same/iframe.html")["X-Frame-Options"] == "SAMEORIGIN"
    assert browser.get("/echo/iframe.html")["X-Frame-Options"] is None


# -- info


@pytest.mark.spec("SJS-03")
def test_info(browser):
    response = browser.get("/echo/info", headers={"Origin": "test"})
    assert response.status == 200
    assert content_type(response) == "application/json;charset=UTF-8"
    assert response["Set-Cookie"] is None
    assert_not_cached(response)
    assert_cors(response, "test")
    data = json.loads(response.body)
    assert data["websocket"] is True and data["cookie_needed"] is True and data["origins"] == ["*:*"]
    assert -(2**31) <= data["entropy"] < 2**31
    assert data["entropy"] != json.loads(browser.get("/echo/info").body)["entropy"]


@pytest.mark.spec("SJS-03")
def test_info_where_web_socket_is_disabled(browser):
    assert json.loads(browser.get("/disabled_websocket_echo/info").body)["websocket"] is False


@pytest.mark.spec("SJS-03")
def test_info_takes_no_other_method(browser):
    response = browser.post("/echo/info")
    assert (response.status, response["Allow"], response.body) == (405, "GET, OPTIONS", b"")


# -- CORS

PREFLIGHTS = [
    ("/info", "OPTIONS, GET"),
    ("/abc/abc/xhr", "OPTIONS, POST"),
    ("/abc/abc/xhr_send", "OPTIONS, POST"),
    ("/abc/abc/xhr_streaming", "OPTIONS, POST"),
    ("/abc/abc/htmlfile", "OPTIONS, GET"),
]


@pytest.mark.spec("SJS-03", "SJS-05", "SJS-15")
@pytest.mark.parametrize("origin", ["test", "null", "https://example.org:8443"])
@pytest.mark.parametrize("path, methods", PREFLIGHTS)
def test_preflights_can_be_kept_for_a_year(browser, path, methods, origin):
    headers = {"Origin": origin, "Access-Control-Request-Method": methods}
    response = browser.options("/echo" + path, headers=headers)
    assert (response.status, response.body) == (204, b"")
    assert response["Cache-Control"] == "public, max-age=31536000"
    assert response["Expires"]
    assert response["Access-Control-Max-Age"] == "31536000"
    assert response["Access-Control-Allow-Methods"] == methods
    assert_cors(response, origin)
    assert "Origin" in response["Vary"]


@pytest.mark.spec("SJS-15")
@pytest.mark.parametrize("headers, allowed", [("a, b, c", "a, b, c"), ("", None), (None, None)])
def test_a_preflight_gets_the_headers_that_it_asks_for(browser, headers, allowed):
    wanted = {} if headers is None else {"Access-Control-Request-Headers": headers}
    response = browser.options("/echo/a/a/xhr", headers={"Origin": "test", **wanted})
    assert response["Access-Control-Allow-Headers"] == allowed


@pytest.mark.spec("SJS-15")
def test_requests_of_the_same_origin_get_no_headers_for_others(server, browser):
    for headers in ({}, {"Origin": f"http://127.0.0.1:{server.port}"}):
        response = browser.post(fresh_url() + "/xhr", headers=headers)
        assert response["Access-Control-Allow-Origin"] is None


@pytest.mark.spec("SJS-03", "SJS-05", "SJS-15")
@pytest.mark.parametrize("base", ["/same", "/listed"])
@pytest.mark.parametrize(
    "method, path",
    [("GET", "/info"), ("OPTIONS", "/info"), ("OPTIONS", "/a/f/xhr"), ("POST", "/a/f/xhr"), ("POST", "/a/f/xhr_send"),
     ("POST", "/a/f/xhr_streaming"), ("GET", "/a/f/eventsource"), ("GET", "/a/f/htmlfile?c=x")],
)  # fmt: skip
def test_a_foreign_origin_is_refused(browser, base, method, path):
    response = browser.connect().request(method, base + path, headers={"Origin": "http://evil.example"})
    assert (response.status, response.body) == (403, b"Invalid CORS request")
    assert response["Access-Control-Allow-Origin"] is None


@pytest.mark.spec("SJS-12", "SJS-15")
@pytest.mark.parametrize("path", ["/websocket", "/000/f1/websocket"])
def test_a_foreign_origin_is_refused_by_web_socket(server, path):
    with RawClient(server.port, "/same" + path, handshake=False) as client:
        client.send_bytes(handshake_request(server.port, "/same" + path, (("Origin", "http://evil.example"),)))
        assert b" 403 " in client.receive_head()


@pytest.mark.spec("SJS-15")
def test_a_listed_origin_is_let_in(browser):
    response = browser.post(fresh_url("/listed") + "/xhr", headers={"Origin": "http://a.example"})
    assert (response.status, response.body) == (200, b"o\n")
    assert_cors(response, "http://a.example")


# -- sessions


@pytest.mark.spec("SJS-07", "SJS-08", "SJS-11", "SJS-16")
def test_a_simple_session(server, browser):
    url = fresh_url()
    response = browser.post(url + "/xhr")
    assert (response.status, response.body) == (200, b"o\n")
    response = browser.post(url + "/xhr_send", '["hi"]')
    assert (response.status, response.body) == (204, b"")
    response = browser.post(url + "/xhr")
    assert (response.status, response.body) == (200, b'a["hi"]\n')
    assert browser.post("/echo/000/zz/xhr_send", '["hi"]').status == 404
    waiting = browser.connect()
    waiting.send("POST", url + "/xhr")
    wait_for_request(server, "/echo", url)
    response = browser.post(url + "/xhr")
    assert (response.status, response.body) == (200, b'c[2010,"Another connection still open"]\n')
    browser.post(url + "/xhr_send", '["still there"]')
    assert waiting.response().body == b'a["still there"]\n'


def service_of(server, base):
    return server.server.application._mapping.match({"PATH_INFO": base})[0].service


def session_of(server, base, url):
    return service_of(server, base)._sessions.get(url.rpartition("/")[2])


def wait_for_request(server, base, url, waiting=True):
    """Until a request of the session waits, which its client cannot see; or until none does any more."""
    import gevent

    def wait():
        with gevent.Timeout(10):
            while True:
                session = session_of(server, base, url)
                if (session is not None and session.is_waiting) is waiting:
                    return
                gevent.idle()

    server.call(wait)


@pytest.mark.spec("SJS-07", "SJS-14", "SJS-16")
def test_a_session_that_the_server_closed(browser):
    url = fresh_url("/close")
    assert browser.post(url + "/xhr").body == b"o\n"
    for _ in range(2):
        response = browser.post(url + "/xhr")
        assert (response.status, response.body) == (200, b'c[3000,"Go away!"]\n')


@pytest.mark.spec("SJS-07", "SJS-09")
def test_a_close_frame_ends_a_streaming_response_and_is_told_again(browser):
    url = fresh_url("/close")
    first = browser.post(url + "/xhr_streaming")
    assert [first.chunk() for _ in range(4)] == [PRELUDE, b"o\n", b'c[3000,"Go away!"]\n', b""]
    second = browser.post(url + "/xhr_streaming")
    assert [second.chunk() for _ in range(3)] == [PRELUDE, b'c[3000,"Go away!"]\n', b""]


@pytest.mark.spec("SJS-07")
def test_a_second_streaming_request_gets_its_prelude_and_is_refused(browser):
    url = fresh_url()
    first = browser.post(url + "/xhr_streaming")
    assert [first.chunk() for _ in range(2)] == [PRELUDE, b"o\n"]
    second = browser.post(url + "/xhr_streaming")
    assert [second.chunk() for _ in range(3)] == [PRELUDE, b'c[2010,"Another connection still open"]\n', b""]


@pytest.mark.spec("SJS-14")
def test_an_aborted_streaming_request_ends_its_session_at_once(server, browser):
    url = fresh_url()
    connection = browser.connect()
    first = connection.request("POST", url + "/xhr_streaming")
    assert [first.chunk() for _ in range(2)] == [PRELUDE, b"o\n"]
    connection.close()
    wait_for_request(server, "/echo", url, waiting=False)
    again = browser.post(url + "/xhr_streaming")
    assert [again.chunk() for _ in range(2)] == [PRELUDE, b"o\n"]


@pytest.mark.spec("SJS-14")
@pytest.mark.parametrize("how", ["close", "reset"])
def test_an_aborted_poll_ends_its_session_at_once(server, browser, how):
    url = fresh_url()
    assert browser.post(url + "/xhr").body == b"o\n"
    connection = browser.connect()
    connection.send("POST", url + "/xhr")
    wait_for_request(server, "/echo", url)
    getattr(connection, how)()
    wait_for_request(server, "/echo", url, waiting=False)
    assert browser.post(url + "/xhr").body == b"o\n"


@pytest.mark.spec("SJS-07")
@pytest.mark.parametrize("other", ["/xhr_streaming", "/eventsource", "/htmlfile?c=x", "/jsonp?c=x"])
def test_a_session_keeps_its_transport(browser, other):
    url = fresh_url()
    assert browser.post(url + "/xhr").body == b"o\n"
    method = "POST" if other.startswith("/xhr") else "GET"
    assert browser.connect().request(method, url + other).status == 404


@pytest.mark.spec("SJS-07")
def test_a_session_over_http_is_no_web_socket_and_the_other_way_round(server, browser):
    url = fresh_url()
    assert browser.post(url + "/xhr").body == b"o\n"
    with RawClient(server.port, handshake=False) as client:
        client.send_bytes(handshake_request(server.port, url + "/websocket"))
        assert b" 404 " in client.receive_head()
    url = fresh_url()
    with server.client(url + "/websocket") as client:
        assert client.receive() == "o"
        assert browser.post(url + "/xhr").status == 404
        assert browser.post(url + "/xhr_send", '["x"]').status == 404


# -- xhr


@pytest.mark.spec("SJS-05", "SJS-08")
def test_xhr_polling(browser):
    url = fresh_url()
    response = browser.post(url + "/xhr", headers={"Origin": "test"})
    assert (response.status, response.body) == (200, b"o\n")
    assert content_type(response) == JAVASCRIPT
    assert_cors(response, "test")
    assert_not_cached(response)
    response = browser.post(url + "/xhr_send", '["x"]', headers={"Origin": "test"})
    assert (response.status, response.body) == (204, b"")
    assert content_type(response) == "text/plain;charset=UTF-8"
    assert_cors(response, "test")
    assert_not_cached(response)
    assert browser.post(url + "/xhr").body == b'a["x"]\n'


@pytest.mark.spec("SJS-11")
def test_broken_requests_do_no_harm(browser):
    url = fresh_url()
    browser.post(url + "/xhr")
    for body, text in (
        ('["x', b"Broken JSON encoding."),
        ("", b"Payload expected."),
        ("[1]", b"Broken JSON encoding."),
    ):
        response = browser.post(url + "/xhr_send", body)
        assert (response.status, response.body) == (500, text)
    assert browser.post(url + "/xhr_send", '["a"]').status == 204
    assert browser.post(url + "/xhr").body == b'a["a"]\n'


@pytest.mark.spec("SJS-11")
def test_the_content_type_does_not_matter(browser):
    url = fresh_url()
    browser.post(url + "/xhr")
    kinds = ["text/plain", "T", "application/json", "application/xml", "", "application/json; charset=utf-8",
             "text/xml; charset=utf-8", "text/xml"]  # fmt: skip
    for kind in kinds:
        response = browser.post(url + "/xhr_send", '["a"]', headers={"Content-Type": kind})
        assert (response.status, response.body) == (204, b"")
    assert browser.post(url + "/xhr").body == b"a[" + b",".join([b'"a"'] * len(kinds)) + b"]\n"


@pytest.mark.spec("SJS-11")
def test_no_messages_are_fine(browser):
    url = fresh_url()
    browser.post(url + "/xhr")
    assert browser.post(url + "/xhr_send", "[]").status == 204
    assert browser.post(url + "/xhr_send", '["a"]').status == 204
    assert browser.post(url + "/xhr").body == b'a["a"]\n'


@pytest.mark.spec("SJS-05")
@pytest.mark.parametrize(
    "method, path, allow",
    [("GET", "/a/m/xhr", "POST, OPTIONS"), ("PUT", "/a/m/xhr_send", "POST, OPTIONS"),
     ("GET", "/a/m/xhr_streaming", "POST, OPTIONS"), ("POST", "/a/m/eventsource", "GET"),
     ("OPTIONS", "/a/m/eventsource", "GET"), ("POST", "/a/m/htmlfile", "GET, OPTIONS"), ("POST", "/a/m/jsonp", "GET"),
     ("GET", "/a/m/jsonp_send", "POST"), ("POST", "/a/m/websocket", "GET"), ("POST", "/websocket", "GET")],
)  # fmt: skip
def test_other_methods_are_refused(browser, method, path, allow):
    response = browser.connect().request(method, "/echo" + path)
    assert (response.status, response["Allow"], response.body) == (405, allow, b"")
    assert response["Content-Type"] is None


@pytest.mark.spec("SJS-05", "SJS-09")
def test_xhr_streaming(browser):
    url = fresh_url()
    response = browser.post(url + "/xhr_streaming", headers={"Origin": "test"})
    assert response.status == 200
    assert content_type(response) == JAVASCRIPT
    assert_cors(response, "test")
    assert_not_cached(response)
    assert response.chunk() == PRELUDE
    assert response.chunk() == b"o\n"
    assert browser.post(url + "/xhr_send", '["x"]').status == 204
    assert response.chunk() == b'a["x"]\n'


@pytest.mark.spec("SJS-09")
def test_a_streaming_response_ends_at_its_limit(browser):
    url = fresh_url()
    connection = browser.connect()
    response = connection.request("POST", url + "/xhr_streaming")
    assert [response.chunk() for _ in range(2)] == [PRELUDE, b"o\n"]
    message = '["' + "x" * 128 + '"]'
    sender = browser.connect()
    for _ in range(31):  # 31 frames of 133 bytes, each counted with one more, are the first to reach 4096.
        assert sender.request("POST", url + "/xhr_send", message).status == 204
        assert response.chunk() == f"a{message}\n".encode()
    assert response.chunk() == b""
    sender.request("POST", url + "/xhr_send", '["kept"]')
    again = connection.request("POST", url + "/xhr_streaming")
    assert [again.chunk() for _ in range(2)] == [PRELUDE, b'a["kept"]\n']


# -- eventsource, htmlfile


@pytest.mark.spec("SJS-05", "SJS-09")
def test_eventsource(browser):
    url = fresh_url()
    response = browser.get(url + "/eventsource")
    assert response.status == 200
    assert content_type(response) == "text/event-stream"
    assert_not_cached(response)
    assert response.chunk() == b"\r\n"
    assert response.chunk() == b"data: o\r\n\r\n"
    browser.post(url + "/xhr_send", '["x"]')
    assert response.chunk() == b'data: a["x"]\r\n\r\n'
    browser.post(url + "/xhr_send", r'["  \u0000\n\r "]')
    assert response.chunk() == b'data: a["  \\u0000\\n\\r "]\r\n\r\n'
    browser.post(url + "/xhr_send", '["100% %41"]')  # Clients decode it with decodeURI.
    assert response.chunk() == b'data: a["100%25 %2541"]\r\n\r\n'
    message = '["' + "x" * 4096 + '"]'
    browser.post(url + "/xhr_send", message)
    assert response.chunk() == f"data: a{message}\r\n\r\n".encode()
    assert response.chunk() == b""


@pytest.mark.spec("SJS-05", "SJS-09")
def test_htmlfile(browser):
    url = fresh_url()
    response = browser.get(url + "/htmlfile?c=%63allback")
    assert response.status == 200
    assert content_type(response) == "text/html;charset=UTF-8"
    assert_not_cached(response)
    prelude = response.chunk()
    assert prelude.decode().strip() == HTMLFILE
    assert len(prelude) == 1025 and prelude.endswith(b" \n")
    assert response.chunk() == b'<script>\np("o");\n</script>\r\n'
    browser.post(url + "/xhr_send", '["x"]')
    assert response.chunk() == b'<script>\np("a[\\"x\\"]");\n</script>\r\n'
    browser.post(url + "/xhr_send", json.dumps(["x" * 4096]))
    assert response.chunk() == b'<script>\np("a[\\"' + b"x" * 4096 + b'\\"]");\n</script>\r\n'
    assert response.chunk() == b""


@pytest.mark.spec("SJS-05")
@pytest.mark.parametrize("transport", ["htmlfile", "jsonp"])
def test_a_missing_or_bad_callback(browser, transport):
    for query in ("", "?c=", "?d=x"):
        response = browser.get(f"/echo/a/callback/{transport}{query}")
        assert (response.status, response.body) == (500, b'"callback" parameter required')
    for callback in ("%20", "*", "abc(", "abc%28"):
        response = browser.get(f"/echo/a/callback/{transport}?c={callback}")
        assert (response.status, response.body) == (500, b'invalid "callback" parameter')


# -- jsonp


@pytest.mark.spec("SJS-05")
def test_jsonp(browser):
    url = fresh_url()
    response = browser.get(url + "/jsonp?c=%63allback")
    assert (response.status, response.body) == (200, b'/**/callback("o");\r\n')
    assert content_type(response) == JAVASCRIPT
    assert response["X-Content-Type-Options"] == "nosniff"
    assert_not_cached(response)
    response = browser.post(url + "/jsonp_send", "d=%5B%22x%22%5D", headers=FORM)
    assert (response.status, response.body) == (200, b"ok")
    assert content_type(response) == "text/plain;charset=UTF-8"
    assert_not_cached(response)
    assert browser.get(url + "/jsonp?c=%63allback").body == b'/**/callback("a[\\"x\\"]");\r\n'


@pytest.mark.spec("SJS-05", "SJS-11")
def test_what_jsonp_send_takes(browser):
    url = fresh_url()
    browser.get(url + "/jsonp?c=x")
    response = browser.post(url + "/jsonp_send", "d=%5B%22x", headers=FORM)
    assert (response.status, response.body) == (500, b"Broken JSON encoding.")
    for data in ("", "d=", "p=p"):
        response = browser.post(url + "/jsonp_send", data, headers=FORM)
        assert (response.status, response.body) == (500, b"Payload expected.")
    assert browser.post(url + "/jsonp_send", "d=%5B%5D", headers=FORM).body == b"ok"
    assert browser.post(url + "/jsonp_send", "d=%5B%22abc%22%5D", headers=FORM).body == b"ok"
    assert browser.post(url + "/jsonp_send", '["%61bc"]', headers={"Content-Type": "text/plain"}).body == b"ok"
    assert browser.get(url + "/jsonp?c=x").body == b'/**/x("a[\\"abc\\",\\"%61bc\\"]");\r\n'


@pytest.mark.spec("SJS-05")
def test_jsonp_of_a_closed_session(browser):
    url = fresh_url("/close")
    assert browser.get(url + "/jsonp?c=x").body == b'/**/x("o");\r\n'
    for _ in range(2):
        assert browser.get(url + "/jsonp?c=x").body == b'/**/x("c[3000,\\"Go away!\\"]");\r\n'


@pytest.mark.spec("SJS-05")
def test_jsonp_is_off_unless_switched_on(browser):
    assert browser.get("/same/a/a/jsonp?c=x").status == 404
    assert browser.post("/same/a/a/jsonp_send", '["x"]').status == 404


# -- cookies

COOKIES = [("POST", "/xhr"), ("POST", "/xhr_streaming"), ("GET", "/eventsource"), ("GET", "/htmlfile?c=x"),
           ("GET", "/jsonp?c=x")]  # fmt: skip


@pytest.mark.spec("SJS-03", "SJS-05")
def test_info_tells_that_cookies_are_needed_and_sets_none(browser):
    response = browser.get("/cookie_needed_echo/info")
    assert json.loads(response.body)["cookie_needed"] is True
    assert response["Set-Cookie"] is None


@pytest.mark.spec("SJS-05")
@pytest.mark.parametrize("method, path", COOKIES)
def test_a_cookie_is_set_where_it_is_needed(browser, method, path):
    url = fresh_url("/cookie_needed_echo")
    assert browser.connect().request(method, url + path).all("Set-Cookie") == ["JSESSIONID=dummy; path=/"]
    assert browser.post(url + "/xhr_send", "[]").all("Set-Cookie") == ["JSESSIONID=dummy; path=/"]
    assert browser.post(fresh_url() + "/xhr")["Set-Cookie"] is None


@pytest.mark.spec("SJS-05")
@pytest.mark.parametrize("cookie, value", [("abcdef", "abcdef"), ('"a\\073 Domain=x"', "dummy"), ("", "dummy")])
def test_a_cookie_is_sent_back_if_it_is_one(browser, cookie, value):
    response = browser.post(fresh_url("/cookie_needed_echo") + "/xhr", headers={"Cookie": f"JSESSIONID={cookie}"})
    assert response.all("Set-Cookie") == [f"JSESSIONID={value}; path=/"]


# -- WebSocket


@pytest.mark.spec("SJS-12")
def test_what_is_no_web_socket_handshake(browser):
    assert browser.get("/echo/0/0/websocket").status == 400
    headers = {"Upgrade": "WebSocket", "Connection": "close"}
    assert browser.get("/echo/0/0/websocket", headers=headers).status == 400


@pytest.mark.spec("SJS-12")
def test_web_socket(server):
    with server.client(fresh_url() + "/websocket") as client:
        assert client.receive() == "o"
        client.send("")
        client.send("[]")
        client.send('["a"]')
        assert client.receive() == 'a["a"]'
        client.send('"single"')
        assert client.receive() == 'a["single"]'


@pytest.mark.spec("SJS-12", "SJS-14")
def test_a_closed_web_socket(server):
    with server.client(fresh_url("/close") + "/websocket") as client:
        assert client.receive() == "o"
        assert client.receive() == 'c[3000,"Go away!"]'
        assert client.receive_close() == (3000, "Go away!")


@pytest.mark.spec("SJS-12")
def test_two_web_sockets_with_the_same_id_are_two_sessions(server):
    url = fresh_url() + "/websocket"
    with server.client(url) as first, server.client(url) as second:
        assert (first.receive(), second.receive()) == ("o", "o")
        first.send('["a"]')
        second.send('["b"]')
        assert (first.receive(), second.receive()) == ('a["a"]', 'a["b"]')
    with server.client(url) as third:
        assert third.receive() == "o"
        third.send('["c"]')
        assert third.receive() == 'a["c"]'


@pytest.mark.spec("SJS-12")
@pytest.mark.parametrize("text", ['["a', "[1]", "{}"])
def test_broken_json_ends_a_web_socket(server, text):
    with server.client(fresh_url() + "/websocket") as client:
        assert client.receive() == "o"
        client.send(text)
        assert client.receive_close()[0] == 1007


@pytest.mark.spec("SJS-12")
def test_binary_messages_end_a_web_socket(server):
    with server.client(fresh_url() + "/websocket") as client:
        assert client.receive() == "o"
        client.send(b"binary")
        assert client.receive() == 'c[1003,"Binary messages not supported"]'
        assert client.receive_close()[0] == 1003


@pytest.mark.spec("SJS-02", "SJS-12")
def test_the_raw_web_socket(server):
    with server.client("/echo/websocket") as client:
        client.send("Hello world!\uffff")
        assert client.receive() == "Hello world!\uffff"
    with server.client("/close/websocket") as client:
        assert client.receive_close() == (3000, "Go away!")


@pytest.mark.spec("SJS-02", "SJS-12")
@pytest.mark.parametrize("path", ["/websocket", "/0/0/websocket"])
def test_a_disabled_web_socket_is_not_found(browser, path):
    assert browser.get("/disabled_websocket_echo" + path).status == 404


# -- escapes on the wire


@pytest.mark.spec("SJS-06")
def test_the_server_escapes_what_browsers_mangle(browser):
    url = fresh_url()
    browser.post(url + "/xhr")
    ranges = [(0x200C, 0x200F), (0x2028, 0x202F), (0x2060, 0x206F), (0xFFF0, 0xFFFF)]
    codes = [code for first, last in ranges for code in range(first, last + 1)]
    assert browser.post(url + "/xhr_send", json.dumps(["".join(map(chr, codes))], ensure_ascii=False)).status == 204
    expected = "".join(f"\\u{code:04x}" for code in codes)
    assert browser.post(url + "/xhr").body.decode() == f'a["{expected}"]\n'


# -- HTTP


@pytest.mark.spec("SJS-08")
def test_a_connection_is_used_again_after_polls_that_waited_or_did_not(server, browser):
    url = fresh_url()
    connection, sender = browser.connect(), browser.connect()
    for _ in range(2):
        assert connection.request("GET", "/echo").body == b"Welcome to SockJS!\n"
    assert connection.request("POST", url + "/xhr").body == b"o\n"
    for text in ("a", "b"):
        connection.send("POST", url + "/xhr")
        wait_for_request(server, "/echo", url)
        assert sender.request("POST", url + "/xhr_send", json.dumps([text])).status == 204
        assert connection.response().body == f'a["{text}"]\n'.encode()
    assert connection.request("GET", "/echo").body == b"Welcome to SockJS!\n"


@pytest.mark.spec("SJS-08")
def test_a_request_sent_while_a_poll_waits_is_answered_after_it(server, browser):
    url = fresh_url()
    connection = browser.connect()
    assert connection.request("POST", url + "/xhr").body == b"o\n"
    connection.send("POST", url + "/xhr")
    wait_for_request(server, "/echo", url)
    connection.send("GET", "/echo")
    browser.post(url + "/xhr_send", '["a"]')
    assert connection.response().body == b'a["a"]\n'
    assert connection.response().body == b"Welcome to SockJS!\n"
    assert connection.request("GET", "/echo").body == b"Welcome to SockJS!\n"


@pytest.mark.spec("SJS-09")
def test_http_1_0_streams_until_the_connection_ends(browser):
    connection = browser.connect()
    headers = {"Connection": "Keep-Alive"}
    response = connection.request("POST", fresh_url("/close") + "/xhr_streaming", version="1.0", headers=headers)
    assert response.status == 200
    assert response["Transfer-Encoding"] is None and response["Content-Length"] is None
    assert connection.read(2049) == PRELUDE
    assert connection.read_all() == b'o\nc[3000,"Go away!"]\n'


@pytest.mark.spec("SJS-08")
@pytest.mark.parametrize("keep", [True, False])
def test_http_1_0_polls(browser, keep):
    connection = browser.connect()
    headers = {"Connection": "Keep-Alive"} if keep else {}
    response = connection.request("POST", fresh_url() + "/xhr", version="1.0", headers=headers)
    assert response["Transfer-Encoding"] is None
    assert response.body == b"o\n"
    assert (response["Connection"] or "").lower() == ("keep-alive" if keep else "close")
    if keep:
        assert connection.request("GET", "/echo", version="1.0", headers=headers).status == 200
    else:
        assert connection.is_ended()


@pytest.mark.spec("SJS-09")
def test_a_connection_that_is_to_close_closes_after_the_stream(browser):
    connection = browser.connect()
    url = fresh_url("/close")
    response = connection.request("POST", url + "/xhr_streaming", headers={"Connection": "close"})
    assert response.body.endswith(b'o\nc[3000,"Go away!"]\n')
    assert response["Connection"] == "close"
    assert connection.is_ended()


@pytest.mark.spec("SJS-09")
def test_a_connection_is_used_again_after_a_stream(browser):
    connection = browser.connect()
    response = connection.request("POST", fresh_url("/close") + "/xhr_streaming")
    assert response.body.endswith(b'c[3000,"Go away!"]\n')
    assert connection.request("GET", "/echo").body == b"Welcome to SockJS!\n"


# -- bodies


@pytest.mark.spec("SJS-11")
def test_a_body_that_is_too_long_is_refused_unread(browser):
    url = fresh_url()
    browser.post(url + "/xhr")
    connection = browser.connect()
    response = connection.request("POST", url + "/xhr_send", '["' + "x" * 1024 * 1024 + '"]')
    assert response.status == 413
    assert response.body == b"" and connection.is_ended()
    limit = '["' + "x" * (1024 * 1024 - 4) + '"]'
    assert browser.post(url + "/xhr_send", limit).status == 204
    assert browser.post(url + "/xhr_send", limit + " ").status == 413


@pytest.mark.spec("SJS-11")
def test_chunked_bodies(browser):
    url = fresh_url()
    browser.post(url + "/xhr")
    connection = browser.connect()
    head = f"POST {url}/xhr_send HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    connection.socket.sendall(head + b'2\r\n["\r\n4\r\nabc"\r\n1\r\n]\r\n0\r\n\r\n')
    assert connection.response().status == 204
    assert connection.request("POST", url + "/xhr").body == b'a["abc"]\n'
    connection.socket.sendall(head + b"%x\r\n" % (1024 * 1024 + 1) + b"x" * (1024 * 1024 + 1) + b"\r\n0\r\n\r\n")
    assert connection.response().status == 413


@pytest.mark.spec("SJS-11")
def test_a_body_that_ends_early_does_no_harm(browser):
    url = fresh_url()
    browser.post(url + "/xhr")
    connection = browser.connect()
    connection.send("POST", url + "/xhr_send", '["a"', headers={"Content-Length": "100"})
    connection.socket.shutdown(1)
    answer = connection.read_all()
    assert answer == b"" or b" 500 " in answer.split(b"\r\n")[0]
    assert browser.post(url + "/xhr_send", '["b"]').status == 204
    assert browser.post(url + "/xhr").body == b'a["b"]\n'


@pytest.mark.spec("SJS-02", "SJS-03")
def test_a_head_request_is_answered_without_a_body(server):
    with RawClient(server.port, handshake=False) as client:
        client.send_bytes(b"HEAD /echo HTTP/1.1\r\nHost: x\r\n\r\nGET /echo HTTP/1.1\r\nHost: x\r\n\r\n")
        heads = []
        for body in (b"", b"Welcome to SockJS!\n"):
            head = client.receive_head()
            heads.append([line for line in head.splitlines() if not line.startswith(b"Date:")])
            assert client.receive_bytes(len(body)) == body
        assert heads[0] == heads[1]
