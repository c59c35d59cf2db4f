import pytest

from wellhead.messaging.header_mapper import AbstractHeaderMapper
from wellhead.messaging.headers import MessageHeaders

pytestmark = pytest.mark.spec("MSG-08")


class DictHeaderMapper(AbstractHeaderMapper[dict]):
    def from_headers(self, headers, target):
        for name in headers:
            value = self.header_if_available(headers, name, str)
            if value is not None:
                target[self.from_header_name(name)] = value

    def to_headers(self, source):
        return MessageHeaders({self.to_header_name(name): value for name, value in source.items()})


def test_both_ways_without_prefixes():
    target: dict = {}
    mapper = DictHeaderMapper()
    mapper.from_headers(MessageHeaders({"a": "1"}), target)
    assert target == {"a": "1"}
    assert mapper.to_headers({"a": "1"})["a"] == "1"


def test_prefixes_are_added_unless_there_already():
    mapper = DictHeaderMapper(inbound_prefix="in_", outbound_prefix="out_")
    target: dict = {}
    mapper.from_headers(MessageHeaders({"a": "1", "out_b": "2"}), target)
    assert target == {"out_a": "1", "out_b": "2"}
    headers = mapper.to_headers({"a": "1", "in_b": "2"})
    assert (headers["in_a"], headers["in_b"]) == ("1", "2")


def test_a_header_of_another_type_is_skipped_with_a_debug_line(caplog):
    caplog.set_level("DEBUG")
    target: dict = {}
    DictHeaderMapper().from_headers(MessageHeaders({"a": 1, "b": "2"}), target)
    assert target == {"b": "2"}
    assert "Skipping header 'a': expected type [str], but got [int]" in caplog.text
