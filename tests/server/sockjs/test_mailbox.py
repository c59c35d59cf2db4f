import threading

import pytest

from wellhead.server.sockjs.mailbox import Mailbox


@pytest.mark.spec("WSA-01")
def test_calls_come_one_after_the_other_in_order():
    mailbox, done = Mailbox(), []

    def outer():
        mailbox.post(lambda: done.append("inner"), lambda task: task())
        done.append("outer")

    mailbox.call(outer, 5)
    assert done == ["outer", "inner"]
    assert mailbox.waiting_bytes == 0


@pytest.mark.spec("WSA-01")
def test_what_is_posted_is_run_by_the_executor_once():
    mailbox, done, tasks = Mailbox(), [], []
    mailbox.post(lambda: done.append(1), tasks.append)
    mailbox.post(lambda: done.append(2), tasks.append)
    mailbox.call(lambda: done.append(3), 7)
    assert (done, len(tasks), mailbox.waiting_bytes) == ([], 1, 7)
    tasks[0]()
    assert (done, mailbox.waiting_bytes) == ([1, 2, 3], 0)


@pytest.mark.spec("WSA-01")
def test_an_error_does_not_keep_the_next_call_from_coming(caplog):
    mailbox, done = Mailbox(), []

    def fail():
        mailbox.call(lambda: done.append("next"), 0)
        raise LookupError("broken")

    mailbox.call(fail, 0)
    assert done == ["next"]
    assert "Error in a call of a SockJS session's handler" in caplog.text


@pytest.mark.spec("WSA-01")
def test_a_killed_caller_leaves_the_rest_to_the_next_one():
    mailbox, done = Mailbox(), []

    def killed():
        mailbox.call(lambda: done.append(1), 0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mailbox.call(killed, 3)
    assert mailbox.waiting_bytes == 0
    mailbox.call(lambda: done.append(2), 0)
    assert done == [1, 2]


@pytest.mark.spec("WSA-01", "SJS-14")
def test_the_end_behind_a_killed_caller_is_told_by_another():
    tasks, done = [], []
    mailbox = Mailbox(tasks.append)

    def killed():
        mailbox.post(lambda: done.append("closed"), tasks.append)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mailbox.call(killed, 3)
    mailbox.call(lambda: done.append("more"), 1)
    assert done == []
    tasks.pop()()
    assert (done, tasks, mailbox.waiting_bytes) == (["closed", "more"], [], 0)


@pytest.mark.spec("WSA-01")
@pytest.mark.modes("threads")
def test_threads_never_call_at_once():
    mailbox, done, busy = Mailbox(), [], threading.Lock()

    def call():
        assert busy.acquire(blocking=False)
        done.append(1)
        busy.release()

    threads = [threading.Thread(target=lambda: [mailbox.call(call, 1) for _ in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 800


@pytest.mark.spec("WSA-01")
def test_what_comes_while_others_wait_comes_after_them():
    mailbox, done = Mailbox(), []

    def first():
        for number in range(3):
            mailbox.call(lambda number=number: during(number), 1)

    def during(number):
        done.append(number)
        if number < 3:
            mailbox.call(lambda: during(number + 10), 1)

    mailbox.call(first, 1)
    assert done == [0, 1, 2, 10, 11, 12]
    assert mailbox.waiting_bytes == 0
