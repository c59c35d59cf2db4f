import copy
import pickle

import msgspec
import pytest

from wellhead.messaging.builder import MessageBuilder
from wellhead.messaging.message import Message
from wellhead.messaging.native_headers import (
    NATIVE_HEADERS,
    NativeMessageHeaderAccessor,
    first_native_header,
)

pytestmark = pytest.mark.spec("MSG-05")


def accessor_with(**native):
    return NativeMessageHeaderAccessor(native_headers=native)


def message_with(**native):
    return Message("x", accessor_with(**native).message_headers)


def test_given_headers_are_copied():
    given = {"a": ["1"]}
    accessor = NativeMessageHeaderAccessor(native_headers=given)
    given["a"].append("2")
    assert accessor.get_native_header("a") == ["1"]
    assert accessor.get_header(NATIVE_HEADERS) == {"a": ["1"]}


def test_none_given_none_there():
    for accessor in (NativeMessageHeaderAccessor(), NativeMessageHeaderAccessor(native_headers={})):
        assert NATIVE_HEADERS not in accessor.to_map()
        assert accessor.to_native_header_map() == {}


def test_set_replaces_by_one_value():
    accessor = accessor_with(a=["1", "2"])
    accessor.set_native_header("a", "3")
    assert accessor.get_native_header("a") == ["3"]
    accessor.set_native_header("a", None)
    assert accessor.get_native_header("a") is None
    assert not accessor.contains_native_header("a")


def test_add_appends_and_ignores_none():
    accessor = NativeMessageHeaderAccessor()
    accessor.add_native_header("a", "1")
    accessor.add_native_header("a", None)
    accessor.add_native_header("b", None)
    accessor.add_native_headers({"a": ["2"], "c": ["3", "4"]})
    accessor.add_native_headers(None)
    assert accessor.to_native_header_map() == {"a": ["1", "2"], "c": ["3", "4"]}


def test_values_and_removal():
    accessor = NativeMessageHeaderAccessor()
    accessor.set_native_header_values("a", ["1", "2"])
    assert accessor.get_first_native_header("a") == "1"
    assert accessor.contains_native_header("a")
    assert accessor.remove_native_header("a") == ["1", "2"]
    assert accessor.remove_native_header("a") is None
    accessor.set_native_header_values("b", ["1"])
    accessor.set_native_header_values("b", None)
    assert accessor.get_first_native_header("b") is None


def test_order_is_kept():
    accessor = accessor_with(z=["1"])
    for name in ("b", "a", "c"):
        accessor.add_native_header(name, "1")
    assert list(accessor.to_native_header_map()) == ["z", "b", "a", "c"]


def test_map_is_a_detached_copy():
    accessor = accessor_with(a=["1"])
    accessor.to_native_header_map()["a"].append("2")
    accessor.to_map()[NATIVE_HEADERS]["a"].append("3")
    assert accessor.get_native_header("a") == ["1"]


def test_modified_only_by_another_value():
    accessor = accessor_with(a=["1"])
    accessor.set_native_header("a", "1")
    accessor.add_native_header("a", None)
    accessor.remove_native_header("b")
    assert not accessor.is_modified
    accessor.set_native_header("a", "2")
    assert accessor.is_modified


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.set_native_header("a", "2"),
        lambda a: a.set_native_header("a", None),
        lambda a: a.set_native_header_values("a", ["2"]),
        lambda a: a.add_native_header("a", "2"),
        lambda a: a.add_native_header("a", None),
        lambda a: a.add_native_headers({"a": ["2"]}),
        lambda a: a.remove_native_header("a"),
        lambda a: a.copy_headers({NATIVE_HEADERS: {"a": ["2"]}}),
        lambda a: a.copy_headers_if_absent({"b": ["2"]}),
        lambda a: a.set_header(NATIVE_HEADERS, {"a": ["2"]}),
    ],
)
def test_mutators_raise_once_frozen(change):
    accessor = accessor_with(a=["1"])
    accessor.set_immutable()
    with pytest.raises(RuntimeError, match="Already immutable"):
        change(accessor)
    assert accessor.to_native_header_map() == {"a": ["1"]}


def test_freezing_makes_the_map_read_only():
    headers = accessor_with(a=["1"]).message_headers
    with pytest.raises(TypeError):
        headers[NATIVE_HEADERS]["a"] = ["2"]


@pytest.mark.parametrize(
    "change",
    [
        lambda values: values.append("2"),
        lambda values: values.clear(),
        lambda values: values.extend(["2"]),
        lambda values: values.insert(0, "2"),
        lambda values: values.pop(),
        lambda values: values.remove("1"),
        lambda values: values.reverse(),
        lambda values: values.sort(),
        lambda values: values.__setitem__(0, "2"),
        lambda values: values.__delitem__(0),
        lambda values: values.__iadd__(["2"]),
        lambda values: values.__imul__(2),
    ],
)
def test_freezing_makes_the_values_read_only(change):
    accessor = accessor_with(a=["1"])
    headers = accessor.message_headers
    for values in (headers[NATIVE_HEADERS]["a"], accessor.get_native_header("a")):
        with pytest.raises(TypeError, match="^These native headers cannot be changed$"):
            change(values)
        assert values == ["1"]


def test_frozen_values_are_lists_for_whoever_reads_or_copies_them():
    headers = accessor_with(a=["1", "2"]).message_headers
    values = headers[NATIVE_HEADERS]["a"]
    assert (values, repr(values), values[0], len(values)) == (["1", "2"], "['1', '2']", "1", 2)
    for copied in (list(values), values.copy(), values[:], copy.copy(values), copy.deepcopy(values)):
        assert type(copied) is list
        assert copied == values
    restored = pickle.loads(pickle.dumps(headers))
    restored[NATIVE_HEADERS]["a"].append("3")
    assert restored[NATIVE_HEADERS] == {"a": ["1", "2", "3"]}
    assert msgspec.json.encode(values) == b'["1","2"]'


def test_headers_that_are_made_from_frozen_ones_can_be_changed():
    accessor = NativeMessageHeaderAccessor.wrap(message_with(a=["1"]))
    accessor.add_native_header("a", "2")
    accessor.get_native_header("a").append("3")
    assert accessor.to_native_header_map() == {"a": ["1", "2", "3"]}


@pytest.mark.parametrize("native", [{"a": ["1"]}, {}])
def test_wrapping_copies_so_that_the_original_never_changes(native):
    source = {NATIVE_HEADERS: native}
    for message in (Message("x", source), message_with(**native)):
        before = dict(message.headers.get(NATIVE_HEADERS) or {})
        wrapped = NativeMessageHeaderAccessor.wrap(message)
        wrapped.add_native_header("a", "2")
        wrapped.add_native_header("b", "3")
        assert (message.headers.get(NATIVE_HEADERS) or {}) == before
        assert wrapped.get_native_header("b") == ["3"]
        assert wrapped.get_header(NATIVE_HEADERS) == wrapped.to_native_header_map()


def test_copy_headers_merges_name_by_name():
    accessor = accessor_with(a=["1"], b=["2"])
    accessor.copy_headers({NATIVE_HEADERS: {"b": ["3", "4"], "c": ["5"]}, "x": 1})
    accessor.copy_headers(None)
    assert accessor.to_native_header_map() == {"a": ["1"], "b": ["3", "4"], "c": ["5"]}
    assert accessor.get_header("x") == 1


def test_copy_headers_if_absent_only_where_there_are_no_native_headers_at_all():
    accessor = accessor_with(a=["1"])
    accessor.copy_headers_if_absent({NATIVE_HEADERS: {"b": ["2"]}, "x": 1})
    assert accessor.to_native_header_map() == {"a": ["1"]}
    assert accessor.get_header("x") == 1

    empty = NativeMessageHeaderAccessor()
    source = {NATIVE_HEADERS: {"b": ["2"]}}
    empty.copy_headers_if_absent(source)
    empty.add_native_header("b", "3")
    assert empty.to_native_header_map() == {"b": ["2", "3"]}
    assert source == {NATIVE_HEADERS: {"b": ["2"]}}


def test_the_whole_header_can_be_set_and_removed():
    accessor = accessor_with(a=["1"])
    accessor.set_header(NATIVE_HEADERS, {"b": ["2"]})
    assert accessor.to_native_header_map() == {"b": ["2"]}
    accessor.remove_header(NATIVE_HEADERS)
    assert accessor.to_native_header_map() == {}
    accessor.set_native_header("c", "3")
    assert accessor.get_header(NATIVE_HEADERS) == {"c": ["3"]}


def test_reading_without_an_accessor():
    headers = message_with(a=["1", "2"]).headers
    assert first_native_header(headers, "a") == "1"
    assert first_native_header(headers, "b") is None
    assert first_native_header({}, "a") is None


def test_a_builder_keeps_native_headers():
    message = MessageBuilder.from_message(message_with(a=["1"])).set_header("x", 1).build()
    assert first_native_header(message.headers, "a") == "1"
