"""What pools need of the native part: tagged messages, what a worker has in hand, packed objects, and who is woken."""

from __future__ import annotations

import gc
import os
import queue
import signal
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

import procession
from procession import _native
from procession.errors import Closed
from procession.process.family import family
from procession.share.queues import _Messages

LIMIT = 20.0  # seconds that no wait here takes


class Tasks(_Messages):
    """A queue of tasks, as pools have them."""

    def __new__(cls) -> Any:
        self = super().__new__(cls)
        self._configure(0, _native.TASKS)
        return self


@pytest.fixture
def tasks() -> Iterator[Any]:
    yield Tasks()
    _native.task_clear()


def cells() -> int:
    gc.collect()
    return _native.cells_in_use()[0]


class Fragile:
    """Can be pickled, not unpickled."""

    def __reduce__(self) -> Any:
        return int, ("no number",)


# --- putting and taking ---


@pytest.mark.parametrize("value", [None, 7, "text", b"bytes", (1, [2.5, {"a": True}]), {}])
def test_plain_values_come_as_they_are(tasks: Any, value: Any) -> None:
    tasks._put_task(1, 2**64 - 1, value)
    assert tasks._take_task(0) == (1, 2**64 - 1, value)


def test_others_come_undecoded(tasks: Any) -> None:
    tasks._put_task(1, 0, Decimal("1.5"))
    tasks._put_task(2, 0, b"x" * 300_000)
    tasks._put_task(3, 0, Fragile())
    first, second, third = tasks._get_tasks(9, 0)
    assert all(isinstance(item[2], _native.Message) for item in (first, second, third))
    assert first[2].load() == Decimal("1.5")
    assert second[2].load() == b"x" * 300_000
    with pytest.raises(ValueError, match="loaded already"):
        first[2].load()
    with pytest.raises(ValueError, match="no number"):
        third[2].load()


def test_what_is_never_loaded_is_given_back(tasks: Any) -> None:
    tasks._put_task(1, 0, 1)  # (the first segment)
    tasks._take_task(0)
    before = cells()
    tasks._put_task(1, 0, b"x" * 300_000)
    tasks._put_task(2, 0, [Tasks()])
    tasks._get_tasks(9, 0)
    assert cells() <= before


def test_a_time_limit(tasks: Any) -> None:
    for limit in (0, -1, 0.01):
        with pytest.raises(queue.Empty):
            tasks._take_task(limit)
        with pytest.raises(queue.Empty):
            tasks._get_tasks(3, limit)
    for wrong in ("soon", float("nan")):
        with pytest.raises((TypeError, ValueError)):
            tasks._take_task(wrong)


def test_closed(tasks: Any) -> None:
    tasks._close()
    with pytest.raises(ValueError, match="closed"):
        tasks._take_task(0)
    with pytest.raises(ValueError, match="closed"):
        tasks._put_task(1, 0, None)
    other = Tasks()
    another = _native.queue_receive(Tasks, *other.parcel())
    other._close()
    another._put_task(1, 0, None)
    assert another._take_task() == (1, 0, None)
    for wait in (lambda: another._take_task(0), another._take_task, lambda: another._get_tasks(9, LIMIT)):
        with pytest.raises(Closed):
            wait()


def test_arguments(tasks: Any) -> None:
    with pytest.raises(TypeError):
        tasks._put_task(1, 2)
    with pytest.raises(TypeError):
        tasks._put_task("1", 2, None)
    with pytest.raises(OverflowError):
        tasks._put_task(-1, 2, None)
    with pytest.raises(TypeError):
        tasks._put_tasks([(1, 2)])
    with pytest.raises(TypeError):
        tasks._get_tasks(1)
    with pytest.raises(TypeError):
        tasks._withdraw("1")
    with pytest.raises(ValueError, match="at least 1"):
        tasks._get_tasks(0, 0)
    with pytest.raises(ValueError, match="REDELIVERS"):
        tasks._configure(0, _native.TASKS | _native.REDELIVERS)
    assert tasks.qsize() == 0


def test_all_or_none_are_put(tasks: Any) -> None:
    with pytest.raises(Exception, match=r"pickle|lock"):
        tasks._put_tasks([(1, 0, 1), (2, 0, b"x" * 300_000), (3, 0, threading.Lock())])
    assert tasks.qsize() == 0
    assert tasks._put_tasks([]) == 0
    assert tasks._put_tasks([(i, i + 1, i) for i in range(5000)]) == 5000
    assert tasks._get_tasks(3, 0) == [(i, i + 1, i) for i in range(3)]
    assert [item[0] for item in tasks._get_tasks(10_000, 0)] == list(range(3, 5000))


# --- what is in hand ---


def test_what_is_in_hand(tasks: Any) -> None:
    member = family.ensure()
    began = time.monotonic_ns()
    tasks._put_tasks([(5, 0, None), (6, 0, None)])
    tasks._take_task()
    number, since, stop = _native.task_of(member)
    assert (number, _native.task_mine(), stop) == (5, 5, 0)
    assert began <= since <= time.monotonic_ns()
    tasks._get_tasks(1, 0)
    assert _native.task_mine() == 5  # (that claims nothing)
    with pytest.raises(Exception, match=r"pickle|lock"):
        tasks._end_task(5, 0, threading.Lock())
    assert (_native.task_mine(), tasks.qsize()) == (5, 0)
    tasks._end_task(5, 1, "done")
    assert (_native.task_mine(), tasks._get_tasks(9, 0)) == (0, [(5, 1, "done")])


def test_asking_to_stop() -> None:
    member = family.ensure()
    assert _native.task_stop() == 0
    assert _native.task_ask_stop(member, 9)
    assert _native.task_stop() == 9
    assert _native.task_ask_stop(member, 0)
    assert _native.task_of(_native.NOBODY) is None
    assert not _native.task_ask_stop(_native.NOBODY, 9)


@pytest.mark.parametrize("method", ["zygote", "fork", "spawn"])
def test_a_worker_killed_with_a_task_in_hand(tasks: Any, method: str) -> None:
    ctx = procession.get_context(method)
    results = Tasks()

    def work(tasks: Any, results: Any) -> None:
        while True:
            number, aux, _ = tasks._take_task()
            if aux:
                results._put_task(number, aux, "at it")
                signal.pause()
            results._end_task(number, aux, "done")

    worker = ctx.Process(target=work, args=(tasks, results))
    worker.start()
    child = worker._popen.child
    tasks._put_tasks([(1, 0, None), (2, 1, None), (3, 0, None)])
    got: list[Any] = []
    while len(got) < 2:
        got += results._get_tasks(9, LIMIT)
    assert got == [(1, 0, "done"), (2, 1, "at it")]
    assert child.task == 2 == _native.task_of(child.member)[0]
    assert child.peak_kib == 0
    os.kill(worker.pid, signal.SIGKILL)
    worker.join(LIMIT)
    assert (worker.exitcode, child.task) == (-signal.SIGKILL, 2)
    assert child.peak_kib > 1000
    assert not tasks._withdraw(2)  # it had it in hand, and did not put its result
    assert tasks._get_tasks(9, 0) == [(3, 0, None)]


def test_an_idle_worker_has_nothing_in_hand(tasks: Any) -> None:
    def work(tasks: Any, results: Any) -> None:
        results._end_task(tasks._take_task()[0], 0, None)
        tasks._take_task()

    results = Tasks()
    worker = procession.Process(target=work, args=(tasks, results))
    worker.start()
    tasks._put_task(1, 0, None)
    assert results._get_tasks(9, LIMIT) == [(1, 0, None)]
    until(lambda: worker._popen.child.task == 0)  # (the result is there a moment before)
    worker.kill()
    worker.join(LIMIT)
    assert worker._popen.child.task == 0
    tasks._put_task(2, 0, None)
    assert tasks._take_task(0) == (2, 0, None)


def test_the_next_member_of_a_slot_has_nothing_in_hand() -> None:
    member = _native.table_add(_native.RUNNING, 0, _native.NOBODY, "worker")
    assert _native.task_ask_stop(member, 9)
    _native.table_free(member)
    again = _native.table_add(_native.RUNNING, 0, _native.NOBODY, "worker")
    assert again & 0xFFFFFFFF == member & 0xFFFFFFFF
    assert _native.task_of(again) == (0, 0, 0)
    assert _native.task_of(member) is None
    _native.table_free(again)


# --- withdrawing ---


def test_withdrawing(tasks: Any) -> None:
    tasks._put_tasks([(i, 0, i) for i in range(1, 2001)])
    assert all(tasks._withdraw(i) for i in range(2000, 0, -2))
    assert not tasks._withdraw(2)
    assert not tasks._withdraw(2**64 - 1)
    assert tasks.qsize() == 1000
    assert [item[0] for item in tasks._get_tasks(9999, 0)] == list(range(1, 2001, 2))
    assert tasks.empty()
    tasks._put_task(1, 0, None)
    assert tasks._withdraw(1)
    assert tasks.empty()
    assert tasks.qsize() == 0
    with pytest.raises(queue.Empty):
        tasks._take_task(0)


def test_what_was_withdrawn_is_given_back(tasks: Any) -> None:
    tasks._put_task(1, 0, None)
    before = cells()
    tasks._put_task(2, 0, b"x" * 300_000)
    tasks._put_task(3, 0, [Tasks()])
    assert tasks._withdraw(3)
    assert tasks._withdraw(2)
    assert cells() <= before


# --- packed objects ---


def test_a_small_one_is_small() -> None:
    packed = _native.pack((1, "two"))
    assert packed.reusable
    assert 0 < packed.size < 40
    assert packed.__sizeof__() < 120
    with pytest.raises(Exception, match=r"pickle|lock"):
        _native.pack(threading.Lock())


@pytest.mark.parametrize("value", [1, Decimal("1.5"), b"x" * 300_000, [bytearray(2_000_000), Decimal(2)]])
def test_put_again_and_again(tasks: Any, value: Any) -> None:
    packed = _native.pack(value)
    assert packed.reusable
    for number in range(3):
        tasks._put_task(number, 0, packed)
    tasks._put_tasks([(3, 0, packed), (4, 0, value)])
    del packed
    got = [item[2] for item in tasks._get_tasks(9, 0)]
    assert [thing.load() if isinstance(thing, _native.Message) else thing for thing in got] == [value] * 5


def test_a_large_one_knows_its_size() -> None:
    assert _native.pack(b"x" * 300_000).size == 300_000
    assert _native.pack([bytearray(2_000_000)]).size > 2_000_000


def test_what_has_shared_objects_in_it_is_put_once(tasks: Any) -> None:
    shared = Tasks()
    packed = _native.pack([shared])
    assert not packed.reusable
    tasks._put_task(1, 0, packed)
    with pytest.raises(ValueError, match="once"):
        tasks._put_task(2, 0, packed)
    del packed
    (copy,) = tasks._take_task(0)[2].load()
    copy._put_task(1, 2, "through the copy")
    assert shared._take_task(0) == (1, 2, "through the copy")


def test_what_is_packed_and_never_put_is_given_back() -> None:
    before = cells()
    _native.pack(b"x" * 300_000)
    _native.pack([Tasks(), bytearray(2_000_000)])
    assert cells() <= before


def test_a_fork_gives_back_nothing_of_its_parents(tasks: Any) -> None:
    shared = Tasks()
    packed = _native.pack([shared])
    tasks._put_task(1, 0, [shared, bytearray(2_000_000)])
    message = tasks._take_task(0)[2]

    def drop() -> None:
        nonlocal packed, message
        with pytest.raises(ValueError, match="once"):
            shared._put_task(1, 0, packed)
        with pytest.raises(procession.errors.FamilyError):
            message.load()
        del packed, message

    process = procession.get_context("fork").Process(target=drop)
    process.start()
    process.join(LIMIT)
    assert process.exitcode == 0
    message.load()[0]._put_task(7, 0, packed)
    assert isinstance(shared._take_task(0)[2].load()[0], Tasks)


# --- who is woken ---


def in_thread(function: Any, *args: Any) -> tuple[threading.Thread, list[Any]]:
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(function(*args)))
    thread.start()
    return thread, answers


def until(condition: Any) -> None:
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end
        os.sched_yield()


def watching(tasks: Any) -> bool:
    return bool(tasks._waiting(_native.PART_WATCH))


def test_watching(tasks: Any) -> None:
    assert tasks._watch_tasks(0) is False
    thread, answers = in_thread(tasks._watch_tasks, LIMIT)
    until(lambda: watching(tasks))
    tasks._put_task(1, 0, None)
    thread.join(LIMIT)
    assert answers == [True]
    assert tasks._watch_tasks(None) is True


def test_nobody_is_woken_while_somebody_attends(tasks: Any) -> None:
    tasks._attend(True)
    thread, answers = in_thread(tasks._watch_tasks, LIMIT)
    until(lambda: watching(tasks))
    tasks._put_task(1, 0, None)
    assert watching(tasks)
    assert tasks._watch_tasks(0) is False
    tasks._attend(False)
    thread.join(LIMIT)
    assert answers == [True]


def test_a_nudge_is_for_all_that_watch_or_the_next(tasks: Any) -> None:
    tasks._nudge()
    assert tasks._watch_tasks(None) is False
    several = [in_thread(tasks._watch_tasks, None) for _ in range(3)]
    until(lambda: tasks._waiting(_native.PART_WATCH) == 3)
    tasks._nudge()
    for thread, answers in several:
        thread.join(LIMIT)
        assert answers == [False]
    tasks._put_task(1, 0, None)
    assert tasks._watch_tasks(None) is True


def test_another_who_attends_is_killed(tasks: Any) -> None:
    def attend(tasks: Any) -> None:
        tasks._attend(True)
        tasks._put_task(1, 0, None)
        signal.pause()

    process = procession.Process(target=attend, args=(tasks,))
    process.start()
    until(lambda: tasks.qsize() == 1)
    assert tasks._watch_tasks(0) is False
    thread, answers = in_thread(tasks._watch_tasks, LIMIT)
    until(lambda: watching(tasks))
    process.kill()
    process.join(LIMIT)
    thread.join(LIMIT)
    assert answers == [True]


def test_a_signal_is_seen_while_it_waits(tasks: Any) -> None:
    for wait in (tasks._take_task, lambda: tasks._get_tasks(9, None), lambda: tasks._watch_tasks(None)):

        def waits() -> bool:
            return bool(watching(tasks) or tasks._waiting(_native.PART_ITEMS))

        def interrupt() -> None:
            """Until it is seen: one between Python's last look at its signals and the sleep is seen with the next."""
            until(waits)
            while waits():
                os.kill(os.getpid(), signal.SIGINT)
                end = time.monotonic() + 0.3
                while waits() and time.monotonic() < end:
                    time.sleep(0.001)

        thread, _ = in_thread(interrupt)
        with pytest.raises(KeyboardInterrupt):
            wait()
        thread.join(LIMIT)


def test_all_workers_get_their_share_when_some_spin(tasks: Any) -> None:
    """One task at a time, then many: none is overlooked by those who sleep, or are kept asleep."""
    results = Tasks()

    def work(tasks: Any, results: Any) -> None:
        while (task := tasks._take_task())[0]:
            results._end_task(*task)

    workers = [procession.Process(target=work, args=(tasks, results)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for number in range(1, 2000):
        tasks._put_task(number, 0, number)
        if number % 5 == 0:
            tasks._put_task(number, 1, number)
            assert len(results._get_tasks(1, LIMIT)) == 1
        assert len(results._get_tasks(1, LIMIT)) == 1
    tasks._put_tasks([(0, 0, None)] * 3)
    for worker in workers:
        worker.join(LIMIT)
        assert worker.exitcode == 0
    assert results.empty()
