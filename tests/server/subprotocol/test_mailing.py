"""Mailings: who gets what in which order, whatever happens between and while it is written."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import gevent
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.chat import Chat, Config
from kit.flushing import FakeFrameWritingSession, FakeNonBlockingSession, ManualFlusher
from kit.stomp_socket import serving

from wellhead.messaging.broker.contract import LONGEST_PREPARED, Subscription
from wellhead.server.close import CloseStatus, EndReason
from wellhead.server.config.app import WellheadApp
from wellhead.server.exceptions import SessionLimitExceededError
from wellhead.server.framing import TextFraming
from wellhead.server.gathering import concurrent_session
from wellhead.server.message import BinaryMessage, TextMessage, WebSocketMessage
from wellhead.server.subprotocol.holder import SessionHolder
from wellhead.server.subprotocol.mailing import MANY, BroadcastMailing

pytestmark = pytest.mark.spec("SB-03", "CDS-01")

HEAD = b"head "


class Text:
    """Implements SharedText: head, the subscription's id, a space, tail."""

    def __init__(self, tail: bytes, head: bytes = HEAD, *, is_text: bool = True) -> None:
        self.head, self.tail, self.is_text = head, tail, is_text
        self.error_for: Subscription | None = None

    def before_tail(self, subscription: Subscription) -> bytes:
        if subscription is self.error_for:
            raise ValueError("no text for this one")
        head, before_tail = subscription.prepared
        if head is not self.head:
            before_tail = self.head + subscription.id.encode()
            if len(before_tail) <= LONGEST_PREPARED:
                subscription.prepared = self.head, before_tail
        return before_tail


class Endpoint:
    """Implements Targets; ``on_failure`` may do something."""

    def __init__(self, send_buffer_size_limit: int = 512 * 1024) -> None:
        self.send_buffer_size_limit = send_buffer_size_limit
        self.holders: dict[str, SessionHolder] = {}
        self.failures: list[tuple[str, Exception]] = []
        self.on_failure: Callable[[SessionHolder], object] = lambda holder: None

    def target_of(self, subscription: Subscription) -> SessionHolder | None:
        subscription.target = self.holders.get(subscription.session_id)
        return subscription.target

    def failed_to_send(self, holder: SessionHolder, error: Exception) -> None:
        self.failures.append((holder.session.id, error))
        self.on_failure(holder)


class Post:
    """Sessions that a mailing goes to, in their order."""

    def __init__(
        self,
        count: int = 16,
        ids: Callable[[int], str] = str,
        kind: type[Any] = FakeFrameWritingSession,
        **options: Any,
    ) -> None:
        self.flusher = ManualFlusher()
        self.endpoint = Endpoint()
        self.sessions = [kind(f"s{number}", flusher=self.flusher) for number in range(count)]
        for session in self.sessions:
            self.join(session, **options)
        self.subscriptions = tuple(Subscription(f"s{number}", ids(number), "/a") for number in range(count))

    def join(self, session: Any, *, takes_binary: bool = True, **options: Any) -> SessionHolder:
        concurrent = concurrent_session(session, **options)
        holder = SessionHolder(self.endpoint, concurrent, None, "web_socket", 0, takes_binary=takes_binary)  # type: ignore[arg-type]  # no protocol
        self.endpoint.holders[session.id] = holder
        return holder

    def publish(self, tail: bytes, head: bytes = HEAD, *, is_text: bool = True) -> BroadcastMailing:
        """As the endpoint does."""
        mailing, text = self.flusher.mailing, Text(tail, head, is_text=is_text)
        if not isinstance(mailing, BroadcastMailing) or not mailing.add(self.endpoint, self.subscriptions, text):
            self.flusher.settle()
            mailing = BroadcastMailing(self.endpoint, self.subscriptions, text)
            self.flusher.mail(mailing)
        return mailing

    def leave(self, number: int) -> None:
        self.endpoint.holders.pop(f"s{number}").endpoint = None

    def concurrent(self, number: int) -> Any:
        return self.endpoint.holders[f"s{number}"].session

    def texts(self, number: int, *tails: bytes) -> list[bytes]:
        return [HEAD + self.subscriptions[number].id.encode() + tail for tail in tails]

    def got(self, number: int) -> list[bytes]:
        return [message.as_bytes() for message in self.sessions[number].sent]

    def all_got(self, *tails: bytes) -> bool:
        return all(self.got(number) == self.texts(number, *tails) for number in range(len(self.sessions)))


def test_what_is_long_is_not_kept_with_the_subscriptions() -> None:
    post, long = Post(), b"x" * LONGEST_PREPARED
    for head in (HEAD, long, HEAD):
        post.publish(b"a", head)
        post.flusher.turn()
    assert all(post.got(number)[1] == long + post.subscriptions[number].id.encode() + b"a" for number in range(16))
    assert {each.prepared[0] for each in post.subscriptions} == {HEAD}


# -- frames


@pytest.mark.parametrize("size", [6, 125, 126, 2_047, 2_048, 65_535, 65_536, 70_000])
def test_frames_have_the_header_of_their_length(size: int) -> None:
    post = Post(2, ids=lambda number: "x")
    post.publish(b"y" * (size - len(HEAD) - 1))
    post.flusher.turn()
    assert [len(text) for text in post.got(0) + post.got(1)] == [size, size]
    assert post.all_got(b"y" * (size - len(HEAD) - 1))


def test_an_empty_text_is_a_frame_too() -> None:
    post = Post(1, ids=lambda number: "")
    mailing = BroadcastMailing(post.endpoint, post.subscriptions, Text(b"", b""))
    assert mailing.add(post.endpoint, post.subscriptions, Text(b"", b""))
    assert mailing.write(1)
    assert post.got(0) == [b"", b""]


@pytest.mark.parametrize("settle", [False, True])
def test_what_a_subscription_keeps_is_for_one_head(settle: bool) -> None:
    """A subscription to a pattern gets broadcasts to several destinations."""
    post = Post(4)
    heads = [b"one ", b"two ", b"two ", b"one "]
    for head in heads:
        post.flusher.mail(BroadcastMailing(post.endpoint, post.subscriptions, Text(b"!", head)))
        if settle:
            post.flusher.settle()
        post.flusher.turn()
    assert post.got(2) == [head + b"2!" for head in heads]


@pytest.mark.parametrize("rest", [125, 65_535])
def test_each_recipient_has_the_length_of_its_own(rest: int) -> None:
    """Around the limit at which a header grows, for recipients whose own parts differ in length."""
    post = Post(8, ids=lambda number: "i" * (number + 1))
    tails = [b"", b"t" * (rest - len(HEAD) - 4), b"short", b"u" * (rest - len(HEAD) - 3)]
    for tail in tails:
        post.publish(tail)
    post.flusher.turn()
    assert post.all_got(*tails)


def test_what_came_together_goes_out_in_one_write() -> None:
    post = Post(16)
    for tail in (b"1", b"2", b"3"):
        post.publish(tail)
    assert all(session.writes == [] for session in post.sessions)
    post.flusher.turn()
    assert post.all_got(b"1", b"2", b"3")
    assert [session.frame_writes for session in post.sessions] == [1] * 16
    assert post.flusher.mailing is None
    assert post.flusher.requests == 0


def test_a_session_that_takes_no_frames_gets_messages() -> None:
    post = Post(3)
    post.sessions[1].takes_frames = False
    post.publish(b"1")
    post.publish(b"2")
    post.flusher.turn()
    assert post.all_got(b"1", b"2")
    assert [session.frame_writes for session in post.sessions] == [1, 0, 1]


def test_sessions_that_know_nothing_of_frames_get_messages() -> None:
    post = Post(3, kind=FakeNonBlockingSession)
    post.publish(b"1")
    post.publish(b"2")
    post.flusher.turn()
    assert post.all_got(b"1", b"2")


class Lines:
    """Implements TextFraming: each text in a line, its words joined by hyphens."""

    @property
    def binary(self) -> TextFraming:
        return self

    def own(self, before: bytes) -> bytes:
        return before.replace(b" ", b"-")

    def pieces(self, own_size: int, tails: list[bytes]) -> list[bytes]:
        ends = [tail.replace(b" ", b"-") + b"\n" for tail in tails]
        return [b"<%d>" % own_size, *(end + b"<%d>" % own_size for end in ends[:-1]), ends[-1]]


class LineSession(FakeFrameWritingSession):
    text_framing = Lines()

    def read(self, texts: bytes) -> list[WebSocketMessage[Any]]:
        assert texts.endswith(b"\n") and b" " not in texts
        lines = [line[1:].split(b">", 1) for line in texts.splitlines()]
        assert all(int(size) == len(own) - 2 for size, own in lines), "two bytes are the tail's"
        return [TextMessage(own.replace(b"-", b" ")) for _, own in lines]


def test_each_session_gets_texts_in_its_own_framing() -> None:
    post = Post(0)
    kinds = [FakeFrameWritingSession, LineSession, FakeNonBlockingSession, FakeNonBlockingSession, LineSession]
    kinds += [LineSession, FakeFrameWritingSession, FakeFrameWritingSession]
    post.sessions = [kind(f"s{number}", flusher=post.flusher) for number, kind in enumerate(kinds)]
    post.subscriptions = tuple(Subscription(f"s{number}", f"i {number}", "/a") for number in range(len(kinds)))
    for session in post.sessions:
        post.join(session)
    post.publish(b" 1")
    post.publish(b" 2")
    post.flusher.turn()
    post.publish(b" 3")
    post.sessions[4].takes_frames = False
    post.flusher.turn()
    post.sessions[4].takes_frames = True
    post.publish(b" 4")
    post.publish(b" 5")
    post.flusher.turn()
    assert post.all_got(b" 1", b" 2", b" 3", b" 4", b" 5")
    assert [getattr(session, "frame_writes", None) for session in post.sessions] == [3, 3, None, None, 2, 3, 3, 3]


def test_what_is_binary_is_so_where_the_transport_has_such_and_joined_likewise() -> None:
    post = Post(0)
    kinds = [FakeFrameWritingSession, LineSession, FakeNonBlockingSession, FakeFrameWritingSession]
    post.sessions = [kind(f"s{number}", flusher=post.flusher) for number, kind in enumerate(kinds)]
    post.subscriptions = tuple(Subscription(f"s{number}", f"i {number}", "/a") for number in range(len(kinds)))
    for session in post.sessions:
        post.join(session, takes_binary=not isinstance(session, LineSession))
    post.publish(b" 1", is_text=False)
    post.publish(b" 2", is_text=False)
    post.flusher.turn()
    post.publish(b" 3", is_text=False)
    post.sessions[1].takes_frames = post.sessions[3].takes_frames = False
    post.flusher.turn()
    assert post.all_got(b" 1", b" 2", b" 3")
    for session in post.sessions:
        assert {type(message) for message in session.sent} == {
            TextMessage if isinstance(session, LineSession) else BinaryMessage
        }
    assert [getattr(session, "frame_writes", None) for session in post.sessions] == [2, 1, None, 1]


def test_texts_and_binaries_are_not_joined_but_come_in_their_order() -> None:
    post = Post(4)
    mailing = post.publish(b"1")
    assert not mailing.add(post.endpoint, post.subscriptions, Text(b"no", is_text=False))
    post.publish(b"2", is_text=False)
    post.flusher.turn()
    assert post.all_got(b"1", b"2")
    assert [type(message) for message in post.sessions[0].sent] == [TextMessage, BinaryMessage]


# -- what can be added


def test_only_broadcasts_that_differ_in_nothing_but_the_tail_are_added() -> None:
    post = Post()
    mailing = BroadcastMailing(post.endpoint, post.subscriptions, Text(b"1"))
    assert not mailing.add(post.endpoint, list(post.subscriptions), Text(b"no"))
    assert not mailing.add(post.endpoint, post.subscriptions, Text(b"no", b"other "))
    assert not mailing.add(Endpoint(), post.subscriptions, Text(b"no"))
    assert mailing.add(post.endpoint, post.subscriptions, Text(b"2"))
    assert mailing.write(16)
    assert post.all_got(b"1", b"2")


def test_a_session_with_two_subscriptions_gets_one_broadcast_after_the_other() -> None:
    post = Post(16)
    post.subscriptions = (*post.subscriptions, Subscription("s3", "again", "/*"))
    post.publish(b"1")
    post.publish(b"2")
    post.flusher.turn()
    assert post.got(3) == [HEAD + own for own in (b"31", b"again1", b"32", b"again2")]
    assert post.got(4) == post.texts(4, b"1", b"2")


@pytest.mark.spec("CDS-02")
@pytest.mark.parametrize(("size", "fits"), [(50, True), (51, False)])
def test_a_mailing_is_no_larger_than_the_buffer_of_a_session(size: int, fits: bool) -> None:
    post = Post()
    post.endpoint.send_buffer_size_limit = 100
    mailing = BroadcastMailing(post.endpoint, post.subscriptions, Text(b"x" * 50))
    assert mailing.add(post.endpoint, post.subscriptions, Text(b"y" * size)) is fits
    assert mailing.write(16)
    assert post.all_got(*[b"x" * 50, b"y" * size][: 1 + fits])


@pytest.mark.spec("CDS-02")
def test_the_size_of_a_mailing_is_what_the_slowest_has_not_got() -> None:
    post = Post()
    post.endpoint.send_buffer_size_limit = 100
    mailing = BroadcastMailing(post.endpoint, post.subscriptions, Text(b"x" * 50))
    assert not mailing.write(8)
    assert mailing.add(post.endpoint, post.subscriptions, Text(b"y" * 50))
    assert not mailing.write(8)
    assert mailing.add(post.endpoint, post.subscriptions, Text(b"z" * 50))
    assert not mailing.add(post.endpoint, post.subscriptions, Text(b"no"))
    assert mailing.write(16)
    assert post.all_got(b"x" * 50, b"y" * 50, b"z" * 50)


# -- slices


def test_a_slice_is_no_larger_than_was_said() -> None:
    post = Post(10)
    mailing = post.publish(b"1")
    assert not mailing.write(4)
    assert [len(session.sent) for session in post.sessions] == [1] * 4 + [0] * 6
    assert not mailing.write(5)
    assert [len(session.sent) for session in post.sessions] == [1] * 9 + [0]
    assert mailing.write(1)
    assert post.all_got(b"1")


def test_a_broadcast_between_slices_goes_along_with_what_is_left_and_then_to_those_before() -> None:
    post = Post(10)
    mailing = post.publish(b"1")
    assert not mailing.write(4)
    assert post.publish(b"2") is mailing
    assert not mailing.write(6)
    assert [session.frame_writes for session in post.sessions] == [1] * 10
    assert [len(session.sent) for session in post.sessions] == [1] * 4 + [2] * 6
    assert post.publish(b"3") is mailing
    assert not mailing.write(4)
    assert post.got(0) == post.texts(0, b"1", b"2", b"3")
    assert mailing.write(6)
    assert post.all_got(b"1", b"2", b"3")


def test_a_slice_may_cover_several_runs() -> None:
    post = Post(10)
    mailing = post.publish(b"1")
    mailing.write(3)
    post.publish(b"2")
    mailing.write(3)
    post.publish(b"3")
    assert mailing.write(1_000)
    assert post.all_got(b"1", b"2", b"3")


Steps = st.lists(
    st.one_of(
        st.just(("publish", 0)),
        st.tuples(st.just("write"), st.integers(1, 12)),
        st.tuples(st.sampled_from(["direct", "leave", "block", "take", "compress"]), st.integers(0, 9)),
        st.tuples(st.sampled_from(["settle", "turn"]), st.just(0)),
    ),
    max_size=40,
)


@given(Steps)
@settings(deadline=None)
def test_everybody_gets_everything_once_and_in_order(steps: list[tuple[str, int]]) -> None:
    post = Post(10, ids=lambda number: "i" * number)
    expected: list[list[bytes]] = [[] for _ in range(10)]
    gone: set[int] = set()
    for count, (step, number) in enumerate(steps):
        tail = b" %d" % count
        if step == "publish":
            post.publish(tail)
            for each in {*range(10)} - gone:
                expected[each] += post.texts(each, tail)
        elif step == "write":
            post.flusher.write_mailing(number)
        elif step == "settle":
            post.flusher.settle()
        elif step == "turn":
            post.flusher.turn()
        elif step == "take":
            post.sessions[number].take()
        elif step == "compress":
            post.sessions[number].takes_frames ^= True
        elif step == "block":
            post.sessions[number].blocked = True
        elif number not in gone and step == "direct":
            post.concurrent(number).send_text(b"direct", tail)
            expected[number].append(b"direct" + tail)
        elif number not in gone:
            gone.add(number)
            post.leave(number)
        for each in range(10):
            got = post.got(each)
            assert got == expected[each][: len(got)]
    post.flusher.turn()
    for session in post.sessions:
        session.take()
    post.flusher.turn()
    for each in {*range(10)} - gone:
        assert post.got(each) == expected[each]
    assert post.endpoint.failures == []


# -- settling


def test_settling_buffers_what_is_left_and_nothing_twice() -> None:
    post = Post(10)
    mailing = post.publish(b"1")
    mailing.write(4)
    post.publish(b"2")
    post.flusher.settle()
    assert post.flusher.mailing is None
    assert [session.frame_writes for session in post.sessions] == [1] * 4 + [0] * 6
    assert [post.concurrent(number).buffer_size for number in range(10)] == [7] * 4 + [14] * 6
    post.flusher.turn()
    assert post.all_got(b"1", b"2")


@pytest.mark.parametrize("send", ["message", "text"])
def test_who_sends_otherwise_comes_after_what_was_published_and_before_what_comes_then(send: str) -> None:
    post = Post(16)
    post.publish(b"1")
    if send == "message":
        post.concurrent(5).send_message(TextMessage("direct"))
    else:
        post.concurrent(5).send_text(b"dir", b"ect")
    post.publish(b"2")
    post.flusher.turn()
    [before], [after] = post.texts(5, b"1"), post.texts(5, b"2")
    assert post.got(5) == [before, b"direct", after]
    assert post.got(6) == post.texts(6, b"1", b"2")


def test_who_closes_a_session_closes_it_after_what_was_published() -> None:
    post = Post(16)
    post.publish(b"1")
    post.concurrent(5).close(CloseStatus.NORMAL)
    assert post.got(5) == post.texts(5, b"1")
    post.flusher.turn()
    assert post.all_got(b"1")


# -- sessions that have ended, and those that are new


@pytest.mark.parametrize("settle", [False, True])
def test_recipients_whose_session_has_ended_are_passed_over(settle: bool) -> None:
    post = Post(10)
    post.publish(b"1")
    post.flusher.turn()
    post.publish(b"2")
    for number in (0, 4, 9):
        post.leave(number)
    if settle:
        post.flusher.settle()
    post.flusher.turn()
    for number in range(10):
        assert post.got(number) == post.texts(number, *([b"1"] if number in (0, 4, 9) else [b"1", b"2"]))
    assert post.endpoint.failures == []


def test_what_is_kept_of_a_session_of_another_endpoint_is_not_used() -> None:
    post, other = Post(2), Post(2)
    other.publish(b"other")
    for mine, theirs in zip(post.subscriptions, other.subscriptions, strict=True):
        mine.target = other.endpoint.target_of(theirs)
    post.publish(b"1")
    post.flusher.turn()
    assert post.all_got(b"1")
    other.flusher.turn()
    assert other.all_got(b"other")


# -- failures


class BrokenSession(FakeFrameWritingSession):
    """Fails to write while it is broken."""

    broken = False

    def try_write(self, texts: bytes) -> bool | None:
        if self.broken:
            raise OSError("broken")
        return super().try_write(texts)


@pytest.fixture
def broken() -> Post:
    """The fourth of ten sessions fails to write."""
    post = Post(10, kind=BrokenSession)
    post.sessions[3].broken = True
    return post


def well(post: Post, *tails: bytes) -> bool:
    return all(post.got(number) == post.texts(number, *tails) for number in range(10) if number != 3)


def test_a_failure_concerns_one_recipient_alone(broken: Post) -> None:
    broken.publish(b"1")
    broken.publish(b"2")
    broken.flusher.turn()
    assert well(broken, b"1", b"2")
    [(session_id, error)] = broken.endpoint.failures
    assert (session_id, str(error)) == ("s3", "broken")


@pytest.mark.parametrize("settle", [False, True])
def test_a_recipient_whose_text_cannot_be_made_does_not_keep_the_others_from_theirs(settle: bool) -> None:
    post = Post(10)
    text = Text(b"1")
    text.error_for = post.subscriptions[3]
    post.flusher.mail(BroadcastMailing(post.endpoint, post.subscriptions, text))
    if settle:
        post.flusher.settle()
    post.flusher.turn()
    assert well(post, b"1")
    assert [session_id for session_id, _ in post.endpoint.failures] == ["s3"]


def test_a_failure_may_publish_again(broken: Post) -> None:
    broken.endpoint.on_failure = lambda holder: (broken.leave(3), broken.publish(b"gone"))
    broken.publish(b"1")
    broken.publish(b"2")
    broken.flusher.turn()
    broken.flusher.turn()
    assert well(broken, b"1", b"2", b"gone")
    assert len(broken.endpoint.failures) == 1


def test_a_failure_of_the_last_recipient_may_publish_again() -> None:
    post = Post(10, kind=BrokenSession)
    post.sessions[9].broken = True
    post.endpoint.on_failure = lambda holder: (post.leave(9), post.publish(b"gone"))
    post.publish(b"1")
    post.flusher.turn()
    post.flusher.turn()
    assert [post.got(number) for number in range(9)] == [post.texts(number, b"1", b"gone") for number in range(9)]


def test_a_failure_may_publish_to_others(broken: Post) -> None:
    others = tuple(Subscription(f"s{number}", "other", "/b") for number in range(5, 10))

    def tell_others(holder: SessionHolder) -> None:
        broken.leave(3)
        broken.flusher.settle()
        broken.flusher.mail(BroadcastMailing(broken.endpoint, others, Text(b" gone")))

    broken.endpoint.on_failure = tell_others
    broken.publish(b"1")
    broken.flusher.turn()
    broken.flusher.turn()
    for number in (0, 1, 2, 4):
        assert broken.got(number) == broken.texts(number, b"1")
    for number in range(5, 10):
        assert broken.got(number) == [*broken.texts(number, b"1"), HEAD + b"other gone"]


@pytest.mark.parametrize("other", [1, 4, 9])
def test_a_failure_may_close_another_session(broken: Post, other: int) -> None:
    broken.endpoint.on_failure = lambda holder: broken.concurrent(other).close()
    broken.publish(b"1")
    broken.flusher.turn()
    assert well(broken, b"1")
    assert broken.sessions[other].closed_with == [CloseStatus.NORMAL]


@pytest.mark.parametrize("other", [1, 4, 9])
def test_a_failure_may_send_to_another_session(broken: Post, other: int) -> None:
    broken.endpoint.on_failure = lambda holder: broken.concurrent(other).send_text(b"gone", b"")
    broken.publish(b"1")
    broken.publish(b"2")
    broken.flusher.turn()
    assert broken.got(other) == [*broken.texts(other, b"1", b"2"), b"gone"]
    assert all(broken.got(each) == broken.texts(each, b"1", b"2") for each in range(10) if each not in (3, other))


def test_a_failure_may_settle(broken: Post) -> None:
    broken.endpoint.on_failure = lambda holder: broken.flusher.settle()
    mailing = broken.publish(b"1")
    assert mailing.write(5)
    assert [session.frame_writes for session in broken.sessions] == [1, 1, 1] + [0] * 7
    broken.flusher.turn()
    assert well(broken, b"1")


def overflowing(post: Post, rest: int = 0) -> None:
    """The fourth session does not read, and has room for *rest* bytes and no more."""
    post.sessions[3].blocked = True
    post.concurrent(3).buffer_size_limit = 20 + rest
    post.concurrent(3).send_text(b"x", b"y")
    post.flusher.turn()
    post.concurrent(3).send_text(b"x" * 15, b"y" * 5)


@pytest.mark.spec("CDS-02")
@pytest.mark.parametrize("settle", [False, True])
def test_the_limit_of_a_buffer_holds(settle: bool) -> None:
    post = Post(10)
    overflowing(post)
    post.publish(b"1")
    if settle:
        post.flusher.settle()
    post.flusher.turn()
    assert well(post, b"1")
    [(session_id, error)] = post.endpoint.failures
    assert session_id == "s3"
    assert isinstance(error, SessionLimitExceededError)
    assert error.status.because is EndReason.SEND_BUFFER_LIMIT


@pytest.mark.parametrize("act", ["send", "publish", "close", "settle"])
def test_who_acts_on_a_failure_while_it_is_settled_comes_after_what_was_published(act: str) -> None:
    post = Post(10)
    overflowing(post)

    def react(holder: SessionHolder) -> None:
        post.leave(3)
        if act == "send":
            post.concurrent(7).send_text(b"", b"left")
        elif act == "publish":
            post.publish(b"left")
        elif act == "close":
            post.concurrent(7).close()
        else:
            post.flusher.settle()

    post.endpoint.on_failure = react
    post.publish(b"1")
    post.publish(b"2")
    post.flusher.settle()
    post.flusher.turn()
    post.flusher.turn()
    extra = {"send": [b"left"], "publish": post.texts(7, b"left")}.get(act, [])
    assert post.got(7) == [*post.texts(7, b"1", b"2"), *extra]
    assert post.got(2) == post.texts(2, b"1", b"2", *([b"left"] if act == "publish" else []))
    assert len(post.endpoint.failures) == 1


def test_what_is_published_while_it_is_settled_goes_to_those_before_too() -> None:
    """They are in another run, which is settled already."""
    post = Post(10)
    overflowing(post, rest=7)
    post.endpoint.on_failure = lambda holder: (post.leave(3), post.publish(b"left"))
    mailing = post.publish(b"1")
    mailing.write(5)
    post.publish(b"2")
    post.flusher.settle()
    post.flusher.turn()
    assert well(post, b"1", b"2", b"left")
    assert len(post.endpoint.failures) == 1


# -- peers that do not read


def test_a_peer_that_does_not_read_is_written_to_once_and_buffered_for_then() -> None:
    post = Post(10)
    post.sessions[3].blocked = True
    for tail in (b"1", b"2", b"3"):
        post.publish(tail)
        post.flusher.turn()
    assert post.sessions[3].frame_writes == 1
    assert post.got(3) == []
    assert well(post, b"1", b"2", b"3")
    post.sessions[3].take()
    assert post.all_got(b"1", b"2", b"3")


@pytest.mark.spec("CDS-02")
def test_a_peer_that_takes_nothing_of_a_mailing_is_ended_after_the_time_limit() -> None:
    post = Post(10, send_time_limit_ms=1_000)
    post.sessions[3].blocked = True
    post.publish(b"1")
    post.flusher.turn()
    assert post.concurrent(3).time_since_send_started_ms == 0
    post.flusher.advance(1_000)
    assert post.sessions[3].closed_with == []
    assert post.concurrent(3).time_since_send_started_ms == 1_000
    post.flusher.advance(1)
    assert post.sessions[3].closed_with == [CloseStatus.SESSION_NOT_RELIABLE]
    assert post.sessions[4].closed_with == []


@pytest.mark.spec("CDS-04")
def test_a_callback_sees_what_comes_by_a_mailing() -> None:
    post = Post(10)
    seen: list[tuple[bytes, int]] = []
    post.concurrent(3).message_callback = lambda message: seen.append((message.as_bytes(), len(post.got(3))))
    post.publish(b"1")
    post.publish(b"2")
    post.flusher.turn()
    assert seen == [(text, 0) for text in post.texts(3, b"1", b"2")]
    assert post.all_got(b"1", b"2")


# -- other threads


def test_threads_settle_while_the_loop_writes_and_adds() -> None:
    """Several settle at once, at any moment: everybody gets everything once, in order."""
    post = Post(64)
    tails = [b"%d" % number for number in range(300)]
    done: list[bool] = []

    def settle() -> None:
        while not done:
            post.flusher.settle()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [gevent.get_hub().threadpool.spawn(settle) for _ in range(2)]
        for tail in tails:
            post.publish(tail)
            post.flusher.write_mailing(24)
    finally:
        done.append(True)
        for thread in threads:
            thread.get()
        sys.setswitchinterval(interval)
    while post.flusher.mailing is not None or post.flusher._dirty:
        post.flusher.turn()
    assert post.all_got(*tails)


def test_a_thread_that_settles_leaves_the_limits_to_the_loop() -> None:
    post = Post(buffer_size_limit=100)
    post.sessions[3].blocked = True
    post.publish(b"x" * 50)
    post.flusher.turn()
    mailing = post.publish(b"y" * 200)
    gevent.get_hub().threadpool.spawn(mailing.settle_from_thread).get(timeout=10)
    assert post.endpoint.failures == []
    post.flusher.turn()
    assert post.got(2) == post.texts(2, b"x" * 50, b"y" * 200)
    post.publish(b"z")
    post.flusher.turn()
    assert [id for id, error in post.endpoint.failures if isinstance(error, SessionLimitExceededError)] == ["s3"]


@pytest.mark.spec("SPH-04")
def test_over_sockets_octets_are_binary_for_many_and_for_few() -> None:
    with serving(WellheadApp(None, Config(), controllers=[Chat()])) as served, ExitStack() as stack:
        clients = [stack.enter_context(served.connected()) for _ in range(MANY + 1)]
        for client in clients:
            client.subscribe("/topic/many")
        clients[0].subscribe("/topic/few", "1")
        template = served.app.template

        def publish() -> None:
            for number in range(3):
                template.convert_and_send(
                    "/topic/many", b"\xff\0%d" % number, {"contentType": "application/octet-stream"}
                )
            template.convert_and_send("/topic/few", b"\xffend")

        served.running.call(publish)
        for client in clients:
            for number in range(3):
                frame = client.receive()
                assert isinstance(frame, bytes)
                assert frame.endswith(b"\n\n\xff\0%d\0" % number)
        assert clients[0].receive().endswith(b"\n\n\xffend\0")
