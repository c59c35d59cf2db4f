import threading

import gevent
import pytest

from wellhead.messaging.message import Message
from wellhead.messaging.simp.accessor import SimpMessageHeaderAccessor
from wellhead.messaging.simp.attributes import (
    COMPLETED,
    DESTRUCTION_CALLBACK,
    MUTEX,
    SimpAttributes,
    bind,
    bound,
    current_attributes,
    current_attributes_or_none,
    unbind,
)

pytestmark = pytest.mark.spec("SCOPE-01")


@pytest.fixture
def attributes():
    return SimpAttributes("s1", {})


def test_reserved_keys():
    assert MUTEX == "wellhead.messaging.simp.SimpAttributes.MUTEX"
    assert COMPLETED == "wellhead.messaging.simp.SimpAttributes.COMPLETED"
    assert DESTRUCTION_CALLBACK + "a" == "wellhead.messaging.simp.SimpAttributes.DESTRUCTION_CALLBACK.a"


def test_it_is_a_view_of_the_sessions_own_dict():
    values = {"from": "handshake"}
    attributes = SimpAttributes("s1", values)
    attributes.set_attribute("a", 1)
    assert attributes.session_id == "s1"
    assert values == {"from": "handshake", "a": 1}
    assert attributes.get_attribute("from") == "handshake"
    assert attributes.get_attribute("missing") is None
    assert attributes.get_attribute("missing", 5) == 5


def test_session_id_and_attributes_are_required():
    with pytest.raises(ValueError, match="session_id"):
        SimpAttributes(None, {})
    with pytest.raises(ValueError, match="attributes"):
        SimpAttributes("s1", None)


def test_names_leave_the_reserved_ones_out(attributes):
    attributes.set_attribute("a", 1)
    attributes.register_destruction_callback("a", print)
    attributes.session_completed()
    assert attributes.names == ("a",)


def test_from_message():
    values = {}
    accessor = SimpMessageHeaderAccessor.create()
    accessor.session_id, accessor.session_attributes = "s1", values
    attributes = SimpAttributes.from_message(Message(b"", accessor.message_headers))
    attributes.set_attribute("a", 1)
    assert attributes.session_id == "s1"
    assert values == {"a": 1}


def test_from_message_without_session():
    accessor = SimpMessageHeaderAccessor.create()
    with pytest.raises(RuntimeError, match="No session id in GenericMessage"):
        SimpAttributes.from_message(Message(b"", accessor.message_headers))
    accessor = SimpMessageHeaderAccessor.create()
    accessor.session_id = "s1"
    with pytest.raises(RuntimeError, match="No session attributes in GenericMessage"):
        SimpAttributes.from_message(Message(b"", accessor.message_headers))


class TestMutex:
    def test_all_views_have_the_same_one(self):
        values = {}
        assert SimpAttributes("s1", values).mutex is SimpAttributes("s1", values).mutex
        assert SimpAttributes("s1", values).mutex is values[MUTEX]

    def test_it_can_be_taken_again_by_its_holder(self, attributes):
        with attributes.mutex, attributes.mutex:
            attributes.register_destruction_callback("a", print)

    def test_it_is_made_only_when_it_is_needed(self):
        values = {}
        SimpAttributes("s1", values).set_attribute("a", 1)
        assert values == {"a": 1}

    def test_it_keeps_greenlets_apart(self):
        values, inside = {}, []

        def work():
            with SimpAttributes("s1", values).mutex:
                inside.append("in")
                gevent.sleep(0)
                inside.append("out")

        gevent.joinall([gevent.spawn(work) for _ in range(3)], timeout=10, raise_error=True)
        assert inside == ["in", "out"] * 3


class TestDestruction:
    def test_the_end_does_not_wait_for_who_holds_the_mutex(self, attributes):
        log, held, may_end = [], threading.Event(), threading.Event()
        attributes.register_destruction_callback("a", lambda: log.append("destroyed"))

        def hold():
            with attributes.mutex:
                held.set()
                may_end.wait(10)
            log.append("given back")

        thread = threading.Thread(target=hold)
        thread.start()
        assert held.wait(10)
        attributes.session_completed()
        assert (log, attributes.is_session_completed) == (["destroyed"], True)
        may_end.set()
        thread.join()

    def test_of_two_who_end_it_at_once_one_runs_the_callbacks(self, attributes):
        ran = []

        def again():
            ran.append("a")
            attributes.session_completed()

        attributes.register_destruction_callback("a", again)
        attributes.register_destruction_callback("b", lambda: ran.append("b"))
        attributes.session_completed()
        assert ran == ["a", "b"]

    def test_callbacks_run_once_at_the_end_of_the_session(self, attributes):
        ran = []
        attributes.set_attribute("a", 1)
        attributes.register_destruction_callback("a", lambda: ran.append("a"))
        attributes.register_destruction_callback("b", lambda: ran.append("b"))
        assert not attributes.is_session_completed
        attributes.session_completed()
        attributes.session_completed()
        assert ran == ["a", "b"]
        assert attributes.is_session_completed

    def test_a_second_callback_of_a_name_replaces_the_first(self, attributes):
        ran = []
        for number in (1, 2):
            attributes.register_destruction_callback("a", lambda number=number: ran.append(number))
        attributes.session_completed()
        assert ran == [2]

    def test_registering_after_the_end_raises(self, attributes):
        attributes.session_completed()
        with pytest.raises(RuntimeError, match="^Session id=s1 already completed$"):
            attributes.register_destruction_callback("a", print)

    def test_removing_an_attribute_removes_its_callback_without_running_it(self, attributes):
        ran = []
        attributes.set_attribute("a", 1)
        attributes.register_destruction_callback("a", lambda: ran.append("a"))
        attributes.remove_attribute("a")
        attributes.remove_attribute("a")
        attributes.session_completed()
        assert ran == []
        assert attributes.get_attribute("a") is None

    @pytest.mark.spec("LOG-01")
    def test_an_error_is_logged_and_the_others_run(self, attributes, caplog):
        ran = []

        def fail():
            raise ValueError("bad")

        attributes.register_destruction_callback("a", fail)
        attributes.register_destruction_callback("b", lambda: ran.append("b"))
        attributes.session_completed()
        assert ran == ["b"]
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        assert "destruction callback of a, session s1" in caplog.text

    def test_callbacks_run_without_the_mutex(self, attributes):
        free = []

        def other():
            taken = attributes.mutex.acquire(timeout=0)
            free.append(taken)
            if taken:
                attributes.mutex.release()

        def callback():
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()

        attributes.register_destruction_callback("a", callback)
        attributes.session_completed()
        assert free == [True]


class TestCurrent:
    def test_nothing_is_bound_outside(self):
        assert current_attributes_or_none() is None
        with pytest.raises(RuntimeError, match=r"^No thread-bound SimpAttributes found\. "):
            current_attributes()

    def test_bound_inside_the_block(self, attributes):
        inner = SimpAttributes("s2", {})
        with bound(attributes) as given:
            assert given is attributes
            assert current_attributes() is attributes
            with bound(inner):
                assert current_attributes() is inner
            assert current_attributes() is attributes
        assert current_attributes_or_none() is None

    def test_unbound_after_an_error(self, attributes):
        with pytest.raises(ZeroDivisionError), bound(attributes):
            _ = 1 / 0
        assert current_attributes_or_none() is None

    def test_bind_and_unbind(self, attributes):
        token = bind(attributes)
        assert current_attributes_or_none() is attributes
        unbind(token)
        assert current_attributes_or_none() is None

    def test_they_do_not_follow_into_threads(self, attributes):
        seen = []
        with bound(attributes):
            thread = threading.Thread(target=lambda: seen.append(current_attributes_or_none()))
            thread.start()
            thread.join()
        assert seen == [None]
