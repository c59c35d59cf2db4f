import copy
import os
import pickle
import sys
import time
import uuid

import pytest

from wellhead.messaging.header_accessor import MessageHeaderAccessor
from wellhead.messaging.headers import ID, ID_VALUE_NONE, TIMESTAMP, MessageHeaders, set_id_generator

pytestmark = pytest.mark.spec("MSG-01")


@pytest.fixture
def counted_ids():
    """A generator that counts; gives the list of what it made."""
    made: list[uuid.UUID] = []

    def generate():
        made.append(uuid.UUID(int=len(made) + 1))
        return made[-1]

    set_id_generator(generate)
    yield made
    set_id_generator(None)


def test_id_and_timestamp_are_made():
    before = time.time_ns() // 1_000_000
    headers = MessageHeaders({"a": 1})
    assert isinstance(headers.id, uuid.UUID)
    assert headers.id.version == 4
    assert before <= headers.timestamp <= time.time_ns() // 1_000_000
    assert set(headers) == {"a", "id", "timestamp"}


def test_id_and_timestamp_of_a_mapping_are_replaced():
    old = uuid.UUID(int=7)
    headers = MessageHeaders({ID: old, TIMESTAMP: 1, "a": 1})
    assert headers.id not in (None, old)
    assert headers.timestamp > 1


def test_id_and_timestamp_of_other_headers_are_replaced():
    first = MessageHeaders({"a": 1}, timestamp=5)
    second = MessageHeaders(first)
    assert first.id != second.id
    assert second.timestamp > 5
    assert second["a"] == 1


def test_explicit_id_and_timestamp():
    headers = MessageHeaders({}, id=uuid.UUID(int=9), timestamp=12)
    assert (headers.id, headers.timestamp) == (uuid.UUID(int=9), 12)


def test_no_id_and_negative_timestamp_remove_the_headers():
    headers = MessageHeaders({ID: uuid.UUID(int=7), TIMESTAMP: 1, "a": 1}, id=ID_VALUE_NONE, timestamp=-1)
    assert dict(headers) == {"a": 1}
    assert (headers.id, headers.timestamp) == (None, None)
    assert ID not in headers


def test_zero_is_a_timestamp():
    assert MessageHeaders(timestamp=0).timestamp == 0


def test_id_is_made_once_and_only_when_asked_for(counted_ids):
    headers = MessageHeaders({"a": 1})
    assert headers["a"] == 1
    assert headers.get("b") is None
    assert "a" in headers
    assert counted_ids == []
    assert headers.id == headers["id"] == headers.get("id") == uuid.UUID(int=1)
    assert len(counted_ids) == 1


@pytest.mark.parametrize(
    "look", [dict, len, repr, hash, list, lambda h: ID in h, lambda h: h.items(), lambda h: h == {}]
)
def test_whatever_shows_all_headers_shows_the_id(counted_ids, look):
    headers = MessageHeaders({"a": 1})
    look(headers)
    assert len(counted_ids) == 1
    assert set(headers.keys()) == {"a", "id", "timestamp"}


def test_hash_does_not_change_when_the_id_is_made():
    headers = MessageHeaders({"a": []})
    before = hash(headers)
    assert headers.id is not None
    assert hash(headers) == before


def test_generator_that_gives_no_id(counted_ids):
    set_id_generator(lambda: ID_VALUE_NONE)
    assert MessageHeaders().id is None


def test_default_ids_differ():
    assert len({MessageHeaders().id for _ in range(1000)}) == 1000


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork: use a POSIX system")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_makes_other_ids():
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, str(MessageHeaders().id).encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as pipe:
        assert pipe.read() != str(MessageHeaders().id)


@pytest.mark.parametrize(
    "change",
    [
        lambda h: h.__setitem__("a", 2),
        lambda h: h.__delitem__("a"),
        lambda h: h.update(a=2),
        lambda h: h.pop("a"),
        lambda h: h.popitem(),
        lambda h: h.clear(),
        lambda h: h.setdefault("b", 1),
    ],
)
def test_mutators_raise(change):
    headers = MessageHeaders({"a": 1})
    with pytest.raises(TypeError, match="MessageHeaders is immutable"):
        change(headers)
    assert headers["a"] == 1


def test_views_are_read_only():
    headers = MessageHeaders({"a": 1}, id=ID_VALUE_NONE, timestamp=-1)
    assert list(headers.keys()) == ["a"]
    assert list(headers.values()) == [1]
    assert list(headers.items()) == [("a", 1)]
    for view in (headers.keys(), headers.values(), headers.items()):
        with pytest.raises(TypeError):
            view.mapping["a"] = 2


def test_the_given_mapping_is_copied():
    given = {"a": 1}
    headers = MessageHeaders(given)
    given["a"] = 2
    assert headers["a"] == 1


def test_get_with_a_type():
    headers = MessageHeaders({"n": 5})
    assert headers.get("n", type=int) == 5
    assert headers.get("missing", type=int) is None
    assert headers.get("missing", 3) == 3
    with pytest.raises(ValueError, match="Incorrect type specified for header 'n'"):
        headers.get("n", type=str)


def test_shortcuts():
    headers = MessageHeaders({"replyChannel": "r", "errorChannel": "e"})
    assert (headers.reply_channel, headers.error_channel) == ("r", "e")
    assert (MessageHeaders().reply_channel, MessageHeaders().error_channel) == (None, None)


def test_equality():
    one = MessageHeaders({"a": b"x"}, id=ID_VALUE_NONE, timestamp=1)
    assert one == MessageHeaders({"a": b"x"}, id=ID_VALUE_NONE, timestamp=1)
    assert one == {"a": b"x", "timestamp": 1}
    assert one != MessageHeaders({"a": b"y"}, id=ID_VALUE_NONE, timestamp=1)
    assert one != 1


def test_pickling_leaves_out_what_cannot_be_pickled(caplog):
    caplog.set_level("DEBUG")
    headers = MessageHeaders({"a": 1, "lock": lambda: None})
    restored = pickle.loads(pickle.dumps(headers))
    assert dict(restored) == {"a": 1, "id": headers.id, "timestamp": headers.timestamp}
    assert "Header 'lock' is left out" in caplog.text


def test_mutable_headers_are_pickled_as_plain_ones():
    accessor = MessageHeaderAccessor()
    accessor.set_header("a", 1)
    restored = pickle.loads(pickle.dumps(accessor.message_headers))
    assert type(restored) is MessageHeaders
    assert dict(restored) == {"a": 1, "id": accessor.id}


def test_a_copy_is_equal():
    headers = MessageHeaders({"a": [1]})
    assert copy.deepcopy(headers) == headers
