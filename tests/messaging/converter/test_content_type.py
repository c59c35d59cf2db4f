"""Where the content type of a message comes from."""

from __future__ import annotations

import pytest

from wellhead.messaging.converter.content_type import DefaultContentTypeResolver
from wellhead.messaging.mime import APPLICATION_JSON, TEXT_PLAIN


@pytest.mark.spec("CONV-02")
def test_the_header_is_read_as_a_type_or_as_text() -> None:
    resolver = DefaultContentTypeResolver()
    assert resolver.resolve({"contentType": TEXT_PLAIN}) is TEXT_PLAIN
    assert resolver.resolve({"contentType": "application/json"}) == APPLICATION_JSON


@pytest.mark.spec("CONV-02")
def test_without_header_there_is_the_default() -> None:
    assert DefaultContentTypeResolver().resolve({}) is None
    assert DefaultContentTypeResolver().resolve(None) is None
    assert DefaultContentTypeResolver(APPLICATION_JSON).resolve({}) is APPLICATION_JSON


@pytest.mark.spec("CONV-02")
def test_any_other_header_is_refused() -> None:
    with pytest.raises(ValueError, match="Unknown type for contentType header value: int"):
        DefaultContentTypeResolver().resolve({"contentType": 5})
    with pytest.raises(ValueError, match="Invalid mime type"):
        DefaultContentTypeResolver().resolve({"contentType": "nothing"})
