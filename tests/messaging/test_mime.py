import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wellhead.messaging.mime import (
    ALL,
    APPLICATION_ANY_JSON,
    APPLICATION_JSON,
    APPLICATION_OCTET_STREAM,
    APPLICATION_XML,
    CACHED_TEXT_LENGTH,
    TEXT_PLAIN,
    TEXT_PLAIN_UTF_8,
    InvalidMimeTypeError,
    MimeType,
    parse_mime_type,
)

pytestmark = pytest.mark.spec("CONV-02")


@pytest.mark.spec("MSG-07")
@pytest.mark.parametrize(
    ("text", "type_", "subtype", "parameters"),
    [
        ("text/plain", "text", "plain", {}),
        ("TEXT/Plain", "text", "plain", {}),
        ("  text/plain ; Charset = utf-8 ", "text", "plain", {"charset": "utf-8"}),
        ('a/b;x="1;2";y=3', "a", "b", {"x": '"1;2"', "y": "3"}),
        ("a/b;;x=1;", "a", "b", {"x": "1"}),
        ("a/b;ignored", "a", "b", {}),
        ("a/b;x='1 2'", "a", "b", {"x": "'1 2'"}),
        ("*", "*", "*", {}),
        ("*/*", "*", "*", {}),
        ("application/*+json", "application", "*+json", {}),
        ("application/vnd.x+json", "application", "vnd.x+json", {}),
    ],
)
def test_parse(text: str, type_: str, subtype: str, parameters: dict[str, str]) -> None:
    mime_type = parse_mime_type(text)
    assert (mime_type.type, mime_type.subtype, dict(mime_type.parameters)) == (type_, subtype, parameters)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "'mimeType' must not be empty"),
        ("  ", "'mimeType' must not be empty"),
        (";charset=utf-8", "'mimeType' must not be empty"),
        ("text", "does not contain '/'"),
        ("text/", "does not contain subtype after '/'"),
        ("*/plain", "wildcard type is legal only in '*/*' (all mime types)"),
        ("/plain", "a token must not be empty"),
        ("te xt/plain", 'Invalid token "te xt"'),
        ("text/pl/ain", 'Invalid token "pl/ain"'),
        ("tëxt/plain", 'Invalid token "tëxt"'),
        ('a/b;x="unclosed;y=3', 'Invalid token ""unclosed;y=3"'),
        ("text/pla\nin", 'Invalid token "pla\nin"'),
        ("text/plain;a b=c", 'Invalid token "a b"'),
        ("text/plain;a=b c", 'Invalid token "b c"'),
        ("text/plain;a=", "a token must not be empty"),
        ("text/plain;=a", "a token must not be empty"),
        ("text/plain;charset=nothing-known", "unsupported charset 'nothing-known'"),
        ("text/plain;charset=base64", "unsupported charset 'base64'"),
        ("text/plain;charset=idna", "unsupported charset 'idna'"),
        ("text/plain;charset=unicode_escape", "unsupported charset 'unicode_escape'"),
        ('text/plain;charset="\0"', "unsupported charset '\0'"),
    ],
)
def test_invalid_text_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidMimeTypeError) as caught:
        parse_mime_type(text)
    assert str(caught.value) == f'Invalid mime type "{text}": {reason}'
    assert caught.value.mime_type == text
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("text", "other", "expected"),
    [
        ("text/plain", "text/plain", True),
        ("text/plain", "text/plain;charset=utf-8", True),
        ("text/plain;charset=utf-8", "text/plain", True),
        ("text/plain", "TEXT/PLAIN", True),
        ("text/plain", "text/html", False),
        ("text/plain", "application/plain", False),
        ("text/*", "text/plain", True),
        ("text/plain", "text/*", False),
        ("*/*", "text/plain", True),
        ("text/plain", "*/*", False),
        ("application/*+json", "application/vnd.x+json", True),
        ("application/*+json", "application/vnd.x+y+json", True),
        ("application/*+json", "application/*+json", True),
        ("application/*+json", "application/json", False),
        ("application/*+json", "application/vnd.x+xml", False),
        ("application/*+json", "text/vnd.x+json", False),
        ("application/vnd.x+json", "application/*+json", False),
        ("application/json", "application/vnd.x+json", False),
    ],
)
def test_includes(text: str, other: str, expected: bool) -> None:
    assert parse_mime_type(text).includes(parse_mime_type(other)) is expected


@pytest.mark.parametrize(
    ("text", "other", "expected"),
    [
        ("text/plain", "text/plain;charset=utf-8", True),
        ("text/*", "text/plain", True),
        ("*/*", "text/plain", True),
        ("text/plain", "text/html", False),
        ("application/*+json", "application/vnd.x+json", True),
        ("application/*+json", "application/json", True),
        ("application/*+json", "application/*+xml", False),
        ("application/*+json", "application/xml", False),
        ("application/*+json", "text/json", False),
    ],
)
def test_compatibility_is_symmetric(text: str, other: str, expected: bool) -> None:
    assert parse_mime_type(text).is_compatible_with(parse_mime_type(other)) is expected
    assert parse_mime_type(other).is_compatible_with(parse_mime_type(text)) is expected


def test_nothing_includes_none() -> None:
    assert not ALL.includes(None)
    assert not ALL.is_compatible_with(None)


def test_equality_disregards_case_of_names_and_the_spelling_of_a_charset() -> None:
    plain = parse_mime_type("text/plain;charset=UTF-8")
    for same in ('TEXT/plain;CHARSET="utf-8"', "text/plain; charset=utf8", "text/plain;charset=utf-8"):
        assert plain == parse_mime_type(same)
        assert hash(plain) == hash(parse_mime_type(same))
    assert plain != parse_mime_type("text/plain")
    assert plain != parse_mime_type("text/plain;charset=latin-1")
    assert parse_mime_type("a/b;x=A") != parse_mime_type("a/b;x=a")
    assert parse_mime_type("a/b;x=1;y=2") == parse_mime_type("a/b;y=2;x=1")
    assert plain != "text/plain;charset=UTF-8"
    assert {plain: 1}[TEXT_PLAIN_UTF_8] == 1


def test_charset() -> None:
    assert TEXT_PLAIN.charset is None
    assert TEXT_PLAIN_UTF_8.charset == "utf-8"
    assert parse_mime_type('text/plain;charset="ISO-8859-1"').charset == "iso-8859-1"
    assert "ä".encode(parse_mime_type("text/plain;charset=Windows-1252").charset or "") == b"\xe4"
    assert parse_mime_type("text/plain;charset=koi8-u").charset == "koi8-u"


def test_text_is_kept() -> None:
    assert str(parse_mime_type('Text/Plain; charset="UTF-8";A=b')) == 'text/plain;charset="UTF-8";a=b'
    assert str(APPLICATION_OCTET_STREAM) == "application/octet-stream"
    assert repr(APPLICATION_XML) == "<MimeType application/xml>"


def test_parts() -> None:
    assert APPLICATION_ANY_JSON.subtype_suffix == "json"
    assert APPLICATION_JSON.subtype_suffix is None
    assert APPLICATION_ANY_JSON.is_wildcard_subtype
    assert not APPLICATION_ANY_JSON.is_concrete
    assert APPLICATION_JSON.is_concrete
    assert ALL.is_wildcard_type
    assert parse_mime_type("a/b;X=1").parameter("x") == "1"
    assert parse_mime_type("a/b").parameter("x") is None


def test_value_is_immutable() -> None:
    mime_type = MimeType("a", "b", {"x": "1"})
    with pytest.raises(AttributeError):
        mime_type.type = "c"  # type: ignore[misc]  # what the test is about
    with pytest.raises(TypeError):
        mime_type.parameters["x"] = "2"  # type: ignore[index]  # what the test is about


@pytest.mark.parametrize("token", ["", "a b", "a/b", "ä", "a;b"])
def test_constructor_refuses_what_is_no_token(token: str) -> None:
    with pytest.raises(ValueError):
        MimeType(token, "b")
    with pytest.raises(ValueError):
        MimeType("a", token)


@pytest.mark.parametrize(("more", "cached"), [(-1, True), (0, True), (1, False)])
def test_only_short_texts_are_cached(more: int, cached: bool) -> None:
    text = "a/b;x=".ljust(CACHED_TEXT_LENGTH + more, "y")
    assert (parse_mime_type(text) is parse_mime_type(text)) is cached
    assert parse_mime_type(text) == parse_mime_type(text)


@settings(deadline=None)
@given(st.text(alphabet='ab/;="*+ \\', max_size=30))
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        mime_type = parse_mime_type(text)
    except InvalidMimeTypeError:
        return
    assert parse_mime_type(str(mime_type)) == mime_type
    assert ALL.includes(mime_type) and mime_type.includes(mime_type)
