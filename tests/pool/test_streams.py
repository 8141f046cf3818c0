"""map, imap, imap_unordered: the results of an iterable, in order or as they come."""

from __future__ import annotations

import gc
import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from types import SimpleNamespace
from typing import Any

import pytest

import procession
from procession.pool.executor import ProcessPoolExecutor
from procession.pool.streams import AHEAD, Stream
from procession.testing.watch import eventually

LIMIT = 20.0

Make = Callable[..., ProcessPoolExecutor]


class Source:
    """An iterator that notes who reads it, and how far."""

    def __init__(self, items: Any) -> None:
        self.items = iter(items)
        self.read = 0
        self.threads: set[int] = set()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        item = next(self.items)
        self.read += 1
        self.threads.add(threading.get_ident())
        return item


KINDS = ["executor.map", "imap", "imap_unordered", "map"]


@pytest.fixture(params=KINDS)
def results(request: pytest.FixtureRequest, executors: Make, pools: Any) -> Any:
    """``results(function, items, **options)``: an iterator over results, of each kind."""
    if request.param == "executor.map":
        return executors().map
    if request.param == "map":
        return lambda *args, **options: iter(pools().map(*args, **options))
    return lambda *args, **options: getattr(pools(), request.param)(*args, **options)


@pytest.mark.parametrize("chunksize", [1, 7, 1000])
@pytest.mark.parametrize("count", [0, 1, 100])
def test_all_come_whatever_the_pieces(results: Any, chunksize: int, count: int) -> None:
    assert sorted(results(abs, range(count), chunksize=chunksize)) == list(range(count))
    assert sorted(results(abs, iter(range(count)), chunksize=chunksize)) == list(range(count))


def test_order(executor: ProcessPoolExecutor, pool: Any, doors: Any) -> None:
    """The first result is the last to be there."""

    def work(number: int) -> int:
        if number == 0:
            doors.enter(0)
        return number

    for stream in (executor.map(work, range(50)), pool.imap(work, range(50))):
        threading.Timer(0.05, doors.let, (0,)).start()
        assert list(stream) == list(range(50))


def test_as_they_come(pool: Any, doors: Any) -> None:
    stream = pool.imap_unordered(lambda number: doors.enter(0, number) if number == 0 else number, range(10))
    first = [stream.next(LIMIT) for _ in range(9)]
    assert sorted(first) == list(range(1, 10))
    doors.let(0)
    assert list(stream) == [0]


def test_executor_map_of_several(executor: ProcessPoolExecutor) -> None:
    assert list(executor.map(pow, [2, 3, 4], [5, 2])) == [32, 9]
    assert list(executor.map(pow, [2, 3, 4], itertools.count(1), chunksize=2)) == [2, 9, 64]
    assert list(executor.map(pow)) == []


def test_starmap(pool: Any) -> None:
    assert pool.starmap(pow, [(2, 5), [3, 2]]) == [32, 9]
    assert pool.starmap(pow, ((number, 2) for number in range(20)), 3) == [number**2 for number in range(20)]
    assert pool.starmap_async(divmod, [(7, 2)]).get(LIMIT) == [(3, 1)]


# --- laziness ---


def test_executor_map_reads_in_the_thread_that_iterates(executor: ProcessPoolExecutor) -> None:
    source = Source(range(500))
    assert list(executor.map(abs, source)) == list(range(500))
    assert source.threads == {threading.get_ident()}


@pytest.mark.parametrize("buffersize", [None, 1, 5])
def test_executor_map_reads_so_far_ahead_and_no_further(executors: Make, buffersize: int | None) -> None:
    executor = executors(2)
    ahead = buffersize or 2 * AHEAD
    source = Source(itertools.count())
    stream = executor.map(abs, source, buffersize=buffersize)
    assert source.read <= ahead
    for number in range(200):
        assert next(stream) == number
        assert source.read <= number + 1 + ahead
    stream.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["imap", "imap_unordered"])
def test_imap_reads_so_far_ahead_and_no_further(pool: Any, kind: str) -> None:
    source = Source(itertools.count())
    stream = getattr(pool, kind)(abs, source)
    for number in range(200):
        stream.next(LIMIT)
        assert source.read <= number + 1 + 2 * AHEAD
    stream._stream.close()


def test_results_come_before_the_iterable_goes_on(executor: ProcessPoolExecutor, pool: Any) -> None:
    """It may wait for a result of an item before."""

    def items(have: threading.Event) -> Iterator[int]:
        yield 1
        assert have.wait(LIMIT)
        yield 2

    have = threading.Event()
    stream = pool.imap(abs, items(have))
    assert stream.next(LIMIT) == 1
    have.set()
    assert list(stream) == [2]
    stream = executor.map(abs, Source(range(1000)), buffersize=1)
    assert list(itertools.islice(stream, 10)) == list(range(10))
    stream.close()  # type: ignore[attr-defined]


# --- errors ---


def bad_third() -> Iterator[int]:
    yield 1
    yield 2
    raise KeyError("third")


def test_what_the_iterable_raises_comes_in_its_place(executor: ProcessPoolExecutor, pool: Any) -> None:
    for stream in (executor.map(abs, bad_third()), pool.imap(abs, bad_third())):
        assert [next(stream), next(stream)] == [1, 2]
        with pytest.raises(KeyError, match="third"):
            next(stream)
        with pytest.raises(StopIteration):
            next(stream)
    unordered = pool.imap_unordered(abs, bad_third())
    found: list[Any] = []
    for _ in range(3):
        try:
            found.append(unordered.next(LIMIT))
        except KeyError as error:
            found.append(type(error))
    assert set(found) == {1, 2, KeyError}
    with pytest.raises(KeyError):
        pool.map(abs, bad_third())
    assert pool.map(abs, [-1]) == [1]


def test_what_is_not_iterable_is_refused_at_once(executor: ProcessPoolExecutor, pool: Any) -> None:
    for refused in (executor.map, pool.map, pool.imap, pool.imap_unordered):
        with pytest.raises(TypeError, match="not iterable"):
            refused(abs, 5)
    assert pool.map(abs, [-1]) == [1]
    assert executor._engine.streams == set()


def test_what_a_task_raises_ends_executor_map(executor: ProcessPoolExecutor) -> None:
    stream = executor.map(lambda number: 10 // number, [5, 2, 0, 1])
    assert [next(stream), next(stream)] == [2, 5]
    with pytest.raises(ZeroDivisionError):
        next(stream)
    with pytest.raises(StopIteration):
        next(stream)


def test_imap_goes_on_after_what_a_task_raises(pool: Any) -> None:
    stream = pool.imap(lambda number: 10 // number, [5, 0, 2])
    assert next(stream) == 2
    with pytest.raises(ZeroDivisionError):
        next(stream)
    assert list(stream) == [5]


def test_pool_map_raises_the_first_error_of_the_items(pool: Any) -> None:
    def work(number: int) -> None:
        if number in (30, 60):
            raise ValueError(number)

    for size in (None, 1, 10):
        with pytest.raises(ValueError, match="30"):
            pool.map(work, range(100), size)


def test_what_cannot_be_pickled_is_its_items_error(pool: Any, executor: ProcessPoolExecutor) -> None:
    lock = threading.Lock()
    stream = pool.imap(type, [1, lock, 2])
    assert next(stream) is int
    with pytest.raises(TypeError, match="pickle"):
        next(stream)
    assert next(stream) is int
    with pytest.raises(TypeError, match="pickle"):
        list(executor.map(type, [1, lock, 2]))


def test_bad_sizes_are_refused(executor: ProcessPoolExecutor, pool: Any) -> None:
    with pytest.raises(ValueError, match="chunksize must be >= 1"):
        executor.map(abs, [1], chunksize=0)
    with pytest.raises(ValueError, match="buffersize must be None or > 0"):
        executor.map(abs, [1], buffersize=0)
    with pytest.raises(TypeError, match="buffersize must be an integer or None"):
        executor.map(abs, [1], buffersize="many")  # type: ignore[arg-type]
    for kind in (pool.imap, pool.imap_unordered):
        with pytest.raises(ValueError, match=r"Chunksize must be 1\+"):
            kind(abs, [1], 0)


# --- time ---


def test_time_limits(executor: ProcessPoolExecutor, pool: Any, doors: Any) -> None:
    late = executor.map(lambda number: doors.enter(number, number), [0, 1], timeout=0.05)
    with pytest.raises(TimeoutError):
        next(late)
    stream = pool.imap(lambda number: doors.enter(number, number), [2])
    with pytest.raises(procession.TimeoutError):
        stream.next(0.05)
    doors.let(0, 1, 2)
    assert stream.next(LIMIT) == 2


# --- progress ---


@pytest.mark.parametrize("sized", [True, False])
def test_progress_is_told_to_a_function(results: Any, request: pytest.FixtureRequest, sized: bool) -> None:
    told: list[tuple[int, int | None]] = []
    list(results(abs, range(20) if sized else iter(range(20)), chunksize=4, progress=lambda *facts: told.append(facts)))
    eventually(lambda: told[-1:] and told[-1][0] == 20, what="the last is told")
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    total = 20 if sized or "[map" in request.node.name or "-map]" in request.node.name else None
    assert {total for _, total in told} == {total}


def test_a_progress_that_raises_harms_nothing(results: Any, capfd: Any) -> None:
    told = threading.Event()

    def fail(done: int, total: int | None) -> None:
        if done == 10:
            told.set()
        raise ZeroDivisionError

    assert sorted(results(abs, range(10), chunksize=1, progress=fail)) == list(range(10))
    assert told.wait(LIMIT)
    eventually(lambda: "ZeroDivisionError" in capfd.readouterr().err)


def test_progress_must_be_a_function(executor: ProcessPoolExecutor) -> None:
    with pytest.raises(TypeError, match="progress must be a function"):
        executor.map(abs, [1], progress=5)
    assert executor._engine.streams == set()


# --- who does not read ---


def test_a_map_that_was_begun_and_dropped_is_forgotten(executor: ProcessPoolExecutor, pool: Any) -> None:
    source, other = Source(itertools.count()), Source(itertools.count())
    streams = [executor.map(abs, source), pool.imap(abs, other)]
    assert [next(stream) for stream in streams] == [0, 0]
    del streams
    gc.collect()
    assert executor._engine.streams == set()
    executor.shutdown()
    pool.close()
    pool.join()
    assert source.read <= 1 + 2 * AHEAD


def test_all_is_done_though_nobody_reads(executors: Make, pools: Any, lines: Any) -> None:
    with executors() as executor:
        executor.map(lines.add, range(20))
        executor.map(lines.add, iter(range(20, 100)))
    pool = pools()
    pool.imap(lines.add, range(100, 110))
    pool.imap_unordered(lines.add, iter(range(110, 200)))
    pool.map_async(lines.add, range(200, 210))
    pool.close()
    pool.join()
    assert sorted(map(int, lines.all())) == list(range(210))


def test_what_was_made_before_the_shutdown_is_read_after_it(executors: Make, pools: Any) -> None:
    with executors() as executor:
        streams = [executor.map(abs, range(1000)), executor.map(abs, iter(range(1000)))]
    assert [list(stream) for stream in streams] == [list(range(1000))] * 2
    pool = pools()
    streams = [pool.imap(abs, range(1000)), pool.imap(abs, iter(range(1000)))]
    pool.close()
    pool.join()
    assert [list(stream) for stream in streams] == [list(range(1000))] * 2


def test_a_cancelling_shutdown_ends_a_stream(executor: ProcessPoolExecutor, doors: Any) -> None:
    stream = executor.map(lambda number: doors.enter(number % 2), itertools.count())
    doors.wait(0, 1)
    executor.shutdown(wait=False, cancel_futures=True)
    doors.let(0, 1)
    executor.shutdown()
    with pytest.raises(CancelledError):
        list(stream)


def test_terminate_ends_who_reads(pool: Any, doors: Any) -> None:
    stream = pool.imap(lambda _: doors.enter(0), itertools.count())
    doors.wait(0)
    ended = threading.Event()

    def read() -> None:
        try:
            list(stream)
        except BaseException:
            pass
        ended.set()

    thread = threading.Thread(target=read)
    thread.start()
    pool.terminate()
    assert ended.wait(LIMIT)
    thread.join(LIMIT)


def test_memory_stays_bounded_by_who_reads(executor: ProcessPoolExecutor) -> None:
    stream = executor.map(bytes, itertools.repeat(100_000))
    for _ in range(50):
        next(stream)
    for _ in range(300):
        next(stream)
    assert executor._engine.outstanding() <= 2 * AHEAD
    stream.close()  # type: ignore[attr-defined]
    eventually(lambda: executor._engine.outstanding() == 0)


def test_several_streams_at_once(executor: ProcessPoolExecutor) -> None:
    streams = [executor.map(pow, itertools.count(), itertools.repeat(power)) for power in range(3)]
    rows = list(itertools.islice(zip(*streams, strict=False), 100))
    assert rows == [(1, number, number**2) for number in range(100)]
    for stream in streams:
        stream.close()  # type: ignore[attr-defined]


def test_who_is_interrupted_waits_no_more() -> None:
    stream = Stream.__new__(Stream)
    stream._lock, stream._parked, stream._feeder = threading.RLock(), 0, threading.current_thread()

    def interrupted(timeout: float | None) -> None:
        raise KeyboardInterrupt

    stream._came = SimpleNamespace(wait=interrupted)  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        stream._park(lambda: False, None)
    assert stream._parked == 0
