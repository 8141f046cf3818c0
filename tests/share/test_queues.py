"""Queue, JoinableQueue and SimpleQueue: what goes in comes out, once and in order; limits, closing, errors."""

from __future__ import annotations

import array
import gc
import pickle
import threading
import time
from typing import Any

import pytest

try:  # (here: its import leaves threads behind)
    import numpy
except ImportError:
    numpy = None  # type: ignore[assignment]

import procession
from procession import Closed, JoinableQueue, Queue, SimpleQueue, _native
from procession.share import queues
from procession.share.queues import Empty, Full
from procession.testing.watch import eventually


class Opaque:
    """Derived from nothing, pickled by reference to its class."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Opaque) and other.value == self.value

    __hash__ = None  # type: ignore[assignment]


class Number(int):
    pass


SHARED = [1]
MESSAGES = [
    None, True, 0, -(2**70), 1.5, 2j, "", "text", "\ud800", b"", b"\0" * 100_000, bytearray(b"abc"), (), ((1,), [2], {3: 4}),
    [[[[[[1]]]]]], {"a": {"b": [1, 2, (3,)]}}, {1, 2}, frozenset("ab"), range(10), Number(7), Opaque([1, 2]), len, Opaque,
    "x" * 1_000_000, list(range(1000)), array.array("d", [1.0] * 50_000), ..., NotImplemented, slice(1, 2), memoryview,
    {"big": b"y" * 200_000, "more": ["z" * 100_000] * 3},
]  # fmt: skip


def used() -> int:
    gc.collect()
    size: int = _native.commons_facts()["arena_used"]
    return size


@pytest.mark.parametrize("kind", [Queue, JoinableQueue, SimpleQueue])
def test_what_goes_in_comes_out(kind: Any) -> None:
    queue = kind()
    for message in MESSAGES:
        queue.put(message)
    for message in MESSAGES:
        got = queue.get()
        assert got == message
        assert type(got) is type(message)
    assert queue.empty()


def test_one_object_twice_in_a_message_is_one_object() -> None:
    queue = Queue()
    queue.put([SHARED, SHARED])
    one, two = queue.get()
    assert one is two
    assert one is not SHARED


def test_a_child_gets_and_puts(ctx: Any) -> None:
    def answer(questions: Any, answers: Any) -> None:
        for message in questions:
            answers.put((message, procession.current_process().name))

    questions, answers = ctx.Queue(), ctx.SimpleQueue()
    process = ctx.Process(target=answer, args=(questions, answers), name="oracle")
    process.start()
    for message in (1, "two", b"3" * 100_000, [4.0]):
        questions.put(message)
        assert answers.get() == (message, "oracle")
    questions.close()
    process.join()
    assert process.exitcode == 0


def test_a_process_that_has_put_much_is_joined_before_anybody_gets(ctx: Any) -> None:
    def put(queue: Any) -> None:
        for i in range(200):
            queue.put((i, b"x" * 50_000))

    queue = ctx.Queue()
    process = ctx.Process(target=put, args=(queue,))
    process.start()
    process.join()
    assert [queue.get()[0] for _ in range(200)] == list(range(200))


def test_limits() -> None:
    queue = Queue(2)
    queue.put(1)
    assert (queue.qsize(), queue.full(), queue.empty()) == (1, False, False)
    queue.put_nowait(2)
    assert (queue.qsize(), queue.full()) == (2, True)
    with pytest.raises(Full):
        queue.put_nowait(3)
    with pytest.raises(Full):
        queue.put(3, timeout=0.01)
    with pytest.raises(Full):
        queue.put(3, True, 0)
    assert queue.get_nowait() == 1
    queue.put(3, False)
    assert [queue.get(), queue.get(timeout=1)] == [2, 3]
    for get in (queue.get_nowait, lambda: queue.get(timeout=0.01), lambda: queue.get(False), lambda: queue.get(timeout=-1)):
        with pytest.raises(Empty):
            get()


def test_put_waits_for_space() -> None:
    queue = Queue(1)
    queue.put(1)
    thread = threading.Thread(target=queue.put, args=(2,))
    thread.start()
    eventually(lambda: queue._waiting(_native.PART_SPACE) == 1, 10, "it waits for space")
    assert queue.get() == 1
    thread.join()
    assert queue.get() == 2


def test_many_at_once() -> None:
    queue = Queue()
    assert queue.put_many(range(5000)) == 5000
    assert queue.get_many(3) == [0, 1, 2]
    assert queue.get_many() == list(range(3, 5000))
    with pytest.raises(Empty):
        queue.get_many(block=False)
    with pytest.raises(ValueError, match="at least 1"):
        queue.get_many(0)
    small = Queue(3)
    assert small.put_many("abcde", block=False) == 3
    assert small.put_many("x", timeout=0.01) == 0
    assert small.get_many() == ["a", "b", "c"]
    with pytest.raises(AttributeError):
        small.put_many([1, Unpicklable()])
    assert small.empty()


class Unpicklable:
    def __reduce__(self) -> Any:
        raise AttributeError("not me")


def test_what_cannot_be_pickled_raises_where_it_is_put() -> None:
    queue = Queue()
    with pytest.raises(AttributeError, match="not me"):
        queue.put(Unpicklable())
    with pytest.raises(TypeError, match="lock"):
        queue.put([1, threading.Lock()])
    assert queue.empty()
    queue.put(lambda x: x + 1)
    assert queue.get()(1) == 2


def test_what_cannot_be_unpickled_is_used_up() -> None:
    queue = Queue()
    queue.put(Poison())
    queue.put("next")
    with pytest.raises(ZeroDivisionError):
        queue.get()
    assert queue.get() == "next"


def explode() -> None:
    raise ZeroDivisionError


class Poison:
    def __reduce__(self) -> Any:
        return explode, ()


def test_a_class_with_a_hook_gets_the_error() -> None:
    seen = []

    class Hooked(queues.Queue):
        @staticmethod
        def _on_queue_feeder_error(e: BaseException, obj: Any) -> None:
            seen.append((type(e), type(obj)))

    queue = Hooked()
    queue.put(Unpicklable())
    assert seen == [(AttributeError, Unpicklable)]
    assert queue.empty()


# --- closing ---


def test_a_closed_handle_is_used_no_more() -> None:
    queue = Queue()
    with pytest.raises(AssertionError, match="not closed"):
        queue.join_thread()
    queue.cancel_join_thread()
    queue.put(1)
    queue.close()
    queue.close()
    queue.join_thread()
    for use in (lambda: queue.put(1), queue.get, queue.get_nowait, queue.get_many, lambda: queue.put_many([1])):
        with pytest.raises(ValueError, match="is closed"):
            use()
    with pytest.raises(OSError, match="is closed"):
        queue.empty()
    unused = JoinableQueue()
    unused.close()
    assert unused.empty()
    simple = SimpleQueue()
    simple.close()
    for use in (lambda: simple.put(1), simple.get, simple.empty):
        with pytest.raises(OSError, match="is closed"):
            use()
    assert simple._reader.closed
    assert simple._writer.closed


def test_an_iteration_ends_when_nobody_is_left_who_could_put(ctx: Any) -> None:
    def put(queue: Any, numbers: range) -> None:
        for number in numbers:
            queue.put(number)
        queue.close()

    queue = ctx.Queue()
    processes = [ctx.Process(target=put, args=(queue, range(n, 300, 3))) for n in range(3)]
    for process in processes:
        process.start()
    assert sorted(queue) == list(range(300))
    with pytest.raises(Closed):
        queue.get()
    with pytest.raises(Closed):
        queue.get_nowait()
    queue.put("again")
    assert queue.get() == "again"
    with pytest.raises(Closed):
        queue.get(timeout=0.01)
    for process in processes:
        process.join()


def test_all_who_wait_see_the_end(ctx: Any) -> None:
    """Consumers that wait for each other's puts, when the only producer has closed."""

    def consume(queue: Any, results: Any) -> None:
        results.put(sum(queue))

    queue, results = ctx.Queue(), ctx.SimpleQueue()
    processes = [ctx.Process(target=consume, args=(queue, results)) for _ in range(3)]
    for process in processes:
        process.start()
    queue.put_many(range(101))
    queue.close()
    assert sum(results.get() for _ in processes) == 5050
    for process in processes:
        process.join()
        assert process.exitcode == 0


def test_closed_is_told_only_after_the_time_limit() -> None:
    queue = Queue()
    other = pickle.loads(pickle.dumps(queue))
    other.close()
    with pytest.raises(Closed):
        queue.get(timeout=0.01)


# --- tasks ---


def test_tasks(ctx: Any) -> None:
    def work(tasks: Any) -> None:
        for _ in iter(tasks.get, None):
            tasks.task_done()

    tasks = ctx.JoinableQueue()
    assert tasks.join() is True
    with pytest.raises(ValueError, match="too many times"):
        tasks.task_done()
    tasks.put_many(range(20))
    assert tasks.join(timeout=0.01) is False
    processes = [ctx.Process(target=work, args=(tasks,)) for _ in range(2)]
    for process in processes:
        process.start()
    assert tasks.join() is True
    tasks.put_many([None, None])
    for process in processes:
        process.join()


# --- handles ---


def test_queues_travel_through_queues(ctx: Any) -> None:
    def serve(requests: Any) -> None:
        for number, answers in iter(requests.get, None):
            answers.put(number * 2)

    requests = ctx.Queue()
    process = ctx.Process(target=serve, args=(requests,))
    process.start()
    for number in range(5):
        answers = Queue()
        requests.put((number, answers))
        assert answers.get() == number * 2
    requests.put(None)
    process.join()


def test_memory_is_given_back() -> None:
    before = used()
    queue, inner = Queue(), Queue()
    queue.put(b"x" * 3_000_000)
    inner.put(b"y" * 1_000_000)
    queue.put(inner)
    del inner
    assert used() >= before + 4_000_000
    copy = pickle.loads(pickle.dumps(queue))
    del queue
    assert len(copy.get()) == 3_000_000
    assert len(copy.get().get()) == 1_000_000
    for i in range(10_000):
        copy.put(i)
    del copy
    assert used() <= before


def test_a_queue_that_nobody_has_any_more_is_gone() -> None:
    queue = Queue()
    data = pickle.dumps(queue)
    again = pickle.loads(data)
    del again, queue
    gc.collect()
    with pytest.raises(procession.FamilyError, match="is gone"):
        pickle.loads(data)


def test_big_buffers_are_not_copied_by_the_receiver() -> None:
    if numpy is None:
        pytest.skip("numpy is an extra")
    before = used()
    queue = Queue()
    queue.put({"a": numpy.arange(1_000_000.0), "b": numpy.zeros(10)})
    got = queue.get()
    assert got["a"][-1] == 999_999.0
    assert got["a"].flags.writeable
    got["a"][0] = 5
    del queue
    assert before + 8_000_000 <= used() < before + 8_200_000  # (the block itself; the pickle had no such bytes)
    del got
    assert used() <= before


def test_bad_arguments() -> None:
    for bad in ("1", None, 1.5):
        with pytest.raises(TypeError, match="maxsize"):
            Queue(bad)
    with pytest.raises(ValueError, match="maxsize"):
        Queue(2**31)
    queue = Queue(-1)
    with pytest.raises(TypeError, match="obj"):
        queue.put()
    with pytest.raises(TypeError, match="unexpected"):
        queue.put(1, now=True)
    with pytest.raises(TypeError):
        queue.get(timeout="soon")
    with pytest.raises(ValueError, match="NaN"):
        queue.get(timeout=float("nan"))
    queue.put(obj=1)
    assert queue.get() == 1
    assert "messages" in repr(queue)
    queue.close()
    assert "closed" in repr(queue)


def test_get_waits_for_its_time() -> None:
    queue = Queue()
    began = time.monotonic()
    with pytest.raises(Empty):
        queue.get(timeout=0.05)
    assert 0.05 <= time.monotonic() - began < 5


def test_what_lies_within_a_message_goes_with_it(ctx: Any) -> None:
    """Queues in a message that nobody gets, one that is got, one that cannot be read."""

    def put(queue: Any) -> None:
        for _ in range(3):
            inner = Queue()
            inner.put("in there")
            queue.put([inner] * 2)

    before = used()
    queue = ctx.Queue()
    process = ctx.Process(target=put, args=(queue,))
    process.start()
    process.join()
    one, two = queue.get()
    assert one is two
    assert one.get() == "in there"
    queue.put([Queue(), Poison()])
    with pytest.raises(AttributeError):
        queue.put([Queue(), Unpicklable()])
    queue.get()
    queue.get()
    with pytest.raises(ZeroDivisionError):
        queue.get()
    queue.put([Queue() for _ in range(400)])
    assert len(queue.get()) == 400
    queue.put(Queue())
    del queue, one, two, process
    assert used() <= before
