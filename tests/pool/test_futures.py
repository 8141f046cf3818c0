"""Futures of a pool: true ones of concurrent.futures, and what is new about them."""

from __future__ import annotations

import concurrent.futures
import gc
import os
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any

import pytest

import procession
from procession.pool.executor import ProcessPoolExecutor
from procession.pool.future import Future
from procession.testing.watch import eventually, identity, is_running, wait_gone

numpy = pytest.importorskip("numpy")

LIMIT = 20.0

Make = Callable[..., ProcessPoolExecutor]


def test_a_result_comes_and_stays(executor: ProcessPoolExecutor) -> None:
    future = executor.submit(pow, 2, 10)
    assert type(future) is Future
    assert future.result(LIMIT) == 1024
    assert future.result() == 1024
    assert future.exception() is None
    assert (future.done(), future.running(), future.cancelled(), future.cancel()) == (True, False, False, False)
    assert "finished returned int" in repr(future)


def test_an_error_comes_and_stays(executor: ProcessPoolExecutor) -> None:
    future = executor.submit(divmod, 1, 0)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            future.result(LIMIT)
    assert type(future.exception()) is ZeroDivisionError
    assert "finished raised ZeroDivisionError" in repr(future)


def test_a_wait_ends_in_time(executor: ProcessPoolExecutor, doors: Any) -> None:
    future = executor.submit(doors.enter, 0, "late")
    doors.wait(0)
    assert future.running()
    for wait in (future.result, future.exception):
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            wait(0.05)
        assert time.monotonic() - began < LIMIT / 2
    with pytest.raises(concurrent.futures.TimeoutError):
        future.result(0)
    doors.let(0)
    assert future.result(LIMIT) == "late"


def test_many_threads_wait_for_one(executor: ProcessPoolExecutor, doors: Any) -> None:
    future = executor.submit(doors.enter, 0, "all")
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(future.result(LIMIT))) for _ in range(5)]
    for thread in threads:
        thread.start()
    doors.wait(0)
    doors.let(0)
    for thread in threads:
        thread.join(LIMIT)
    assert found == ["all"] * 5


def test_each_thread_gets_its_own(executor: ProcessPoolExecutor) -> None:
    """All wait, one of them collects for all."""
    found: dict[int, list[int]] = {}

    def run(number: int) -> None:
        found[number] = [executor.submit(pow, number, power).result(LIMIT) for power in range(50)]

    threads = [threading.Thread(target=run, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert found == {number: [number**power for power in range(50)] for number in range(5)}


def test_results_come_though_nobody_waits(executor: ProcessPoolExecutor) -> None:
    future = executor.submit(pow, 3, 2)
    eventually(future.done)
    assert future._state == "FINISHED"


# --- callbacks ---


def test_callbacks_run_in_the_order_of_the_ends(executor: ProcessPoolExecutor, doors: Any) -> None:
    told: list[Any] = []
    all_told = threading.Event()
    futures = [executor.submit(doors.enter, door, door) for door in (0, 1)]
    for future in futures:
        future.add_done_callback(lambda future: told.append(future.result()))
        future.add_done_callback(lambda future: len(told) == 2 and all_told.set())
    doors.wait(0, 1)
    doors.let(1)
    assert futures[1].result(LIMIT) == 1
    doors.let(0)
    assert futures[0].result(LIMIT) == 0
    assert all_told.wait(LIMIT)
    assert told == [1, 0]


def test_a_callback_of_what_has_ended_runs_at_once(executor: ProcessPoolExecutor) -> None:
    future = executor.submit(abs, -1)
    future.result(LIMIT)
    told: list[Any] = []
    future.add_done_callback(told.append)
    assert told == [future]


def test_a_callback_that_raises_is_logged(executor: ProcessPoolExecutor, doors: Any, caplog: Any) -> None:
    told = threading.Event()
    future = executor.submit(doors.enter, 0)
    future.add_done_callback(lambda _: 1 / 0)
    future.add_done_callback(lambda _: told.set())
    doors.let(0)
    assert told.wait(LIMIT)
    assert "exception calling callback" in caplog.text
    assert executor.submit(abs, -1).result(LIMIT) == 1


def test_a_callback_may_submit_and_wait(executor: ProcessPoolExecutor) -> None:
    found: list[Any] = []
    done = threading.Event()

    def go_on(future: Any) -> None:
        found.append(executor.submit(pow, future.result(), 2).result(LIMIT))
        done.set()

    executor.submit(abs, -3).add_done_callback(go_on)
    assert done.wait(LIMIT)
    assert found == [9]


def test_a_callback_that_hangs_holds_up_no_other(executor: ProcessPoolExecutor) -> None:
    release, told = threading.Event(), threading.Event()
    executor.submit(abs, -1).add_done_callback(lambda _: release.wait(LIMIT))
    try:
        executor.submit(abs, -2).add_done_callback(lambda _: told.set())
        assert told.wait(LIMIT)
        assert executor.submit(abs, -2).result(LIMIT) == 2
    finally:
        release.set()


def test_shutdown_waits_for_callbacks(executor: ProcessPoolExecutor) -> None:
    told: list[Any] = []
    for number in range(20):
        executor.submit(abs, number).add_done_callback(lambda future: told.append(future.result()))
    executor.shutdown()
    assert sorted(told) == list(range(20))


# --- cancelling ---


def test_what_waits_is_never_run(executors: Make, doors: Any, lines: Any) -> None:
    executor = executors(1)
    first = executor.submit(doors.enter, 0)
    doors.wait(0)
    rest = [executor.submit(lines.add, number) for number in range(100)]
    told = threading.Event()
    rest[7].add_done_callback(lambda _: told.set())
    assert all(future.cancel() for future in rest if future is not rest[50])
    assert all(future.cancelled() and future.done() and not future.running() for future in rest if future is not rest[50])
    assert rest[0].cancel()
    assert told.wait(LIMIT)
    doors.let(0)
    assert first.result(LIMIT) is None
    assert rest[50].result(LIMIT) is None
    for wait in (rest[0].result, rest[99].exception):
        with pytest.raises(CancelledError):
            wait(LIMIT)
    assert lines.all() == ["50"]


def test_what_runs_is_stopped_and_its_worker_goes_on(executors: Make, doors: Any, lines: Any) -> None:
    executor = executors(1)
    pid = executor.submit(os.getpid).result(LIMIT)

    def run() -> None:
        try:  # (within: the stop may come while the door is still being reached for)
            doors.enter(0)
        except BaseException as error:
            lines.add(type(error).__name__)
            raise

    future = executor.submit(run)
    doors.wait(0)
    assert future.cancel()
    assert future.cancelled()
    assert lines.wait(1) == ["TaskStopped"]
    assert executor.submit(os.getpid).result(LIMIT) == pid


def test_the_stop_is_heard_in_any_instruction(executors: Make) -> None:
    """A signal that comes just before the task goes to sleep wakes nobody: it is sent again."""
    executor = executors(1)
    pid = executor.submit(os.getpid).result(LIMIT)
    for _ in range(40):
        here, never = procession.Event(), procession.Event()
        future = executor.submit(lambda here, never: here.set() or never.wait(LIMIT), here, never)
        assert here.wait(LIMIT)
        assert future.cancel()
        assert executor.submit(os.getpid).result(LIMIT) == pid


def test_what_does_not_listen_is_killed_with_its_worker(executors: Make, doors: Any) -> None:
    executor = executors(1).with_options(grace=0.1)
    pid = executor.submit(os.getpid).result(LIMIT)
    worker = identity(pid)
    assert worker is not None
    future = executor.submit(deaf, doors)
    doors.wait(0)
    assert future.cancel()
    wait_gone([worker], LIMIT)
    assert executor.submit(os.getpid).result(LIMIT) != pid
    assert not is_running(worker)


def deaf(doors: Any) -> None:
    """It sees TaskStopped and goes on; SIGTERM does not reach it, either."""
    import signal

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        try:
            doors.here[0].set()
            time.sleep(60)
        except BaseException:
            pass


def test_the_cancelled_wakes_who_waits(executor: ProcessPoolExecutor, doors: Any) -> None:
    future = executor.submit(doors.enter, 0)
    doors.wait(0)
    found: list[Any] = []

    def wait() -> None:
        try:
            future.result(LIMIT)
        except CancelledError as error:
            found.append(error)

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    future.cancel()
    for thread in threads:
        thread.join(LIMIT)
    assert len(found) == 3


def test_cancelling_frees_what_it_held(executor: ProcessPoolExecutor, doors: Any) -> None:
    blocked = [executor.submit(doors.enter, door) for door in (0, 1)]

    def function() -> None:
        pass

    there = weakref.ref(function)
    future = executor.submit(function)
    del function
    assert there() is not None
    future.cancel()
    eventually(lambda: gc.collect() is not None and there() is None, what="the function is forgotten")
    doors.let(0, 1)
    assert [task.result(LIMIT) for task in blocked] == [None, None]


# --- wait, as_completed ---


def test_wait_and_as_completed_of_the_standard_library(executor: ProcessPoolExecutor, doors: Any) -> None:
    late = executor.submit(doors.enter, 0, "late")
    quick = [executor.submit(abs, -number) for number in range(5)]
    done, pending = concurrent.futures.wait([late, *quick], LIMIT, concurrent.futures.FIRST_COMPLETED)
    assert late in pending
    assert done <= set(quick)
    done, pending = concurrent.futures.wait([late, *quick], 0.05)
    assert late in pending
    completed = concurrent.futures.as_completed([late, *quick], LIMIT)
    assert {next(completed) for _ in quick} == set(quick)
    doors.let(0)
    assert list(completed) == [late]
    assert concurrent.futures.wait([late, *quick]).not_done == set()


def test_wait_for_the_first_exception(executor: ProcessPoolExecutor, doors: Any) -> None:
    late, bad = executor.submit(doors.enter, 0), executor.submit(divmod, 1, 0)
    done, pending = concurrent.futures.wait([late, bad], LIMIT, concurrent.futures.FIRST_EXCEPTION)
    assert (done, pending) == ({bad}, {late})
    doors.let(0)


def test_futures_of_two_pools_and_of_threads_are_waited_for_together(executors: Make) -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        futures = [executors(1).submit(abs, -1), executors(1).submit(abs, -2), threads.submit(abs, -3)]
        assert sorted(future.result() for future in concurrent.futures.as_completed(futures, LIMIT)) == [1, 2, 3]


def test_waits_count_each_end_once(executor: ProcessPoolExecutor) -> None:
    """Who installs a waiter while futures end is told of each end that it has not seen, and of no other."""
    for _ in range(30):
        futures = [executor.submit(abs, number) for number in range(20)]
        if _ % 2:
            assert len(list(concurrent.futures.as_completed(futures, LIMIT))) == 20
        else:
            done, pending = concurrent.futures.wait(futures, LIMIT)
            assert (len(done), pending) == (20, set())


def test_procession_waits_for_futures_beside_other_things(executor: ProcessPoolExecutor, doors: Any) -> None:
    event = procession.Event()
    future = executor.submit(doors.enter, 0)
    doors.wait(0)
    assert procession.wait([future, event], 0.02) == (set(), {future, event})
    event.set()
    assert procession.wait([future, event], LIMIT, procession.FIRST_COMPLETED) == ({event}, {future})
    doors.let(0)
    assert procession.wait([future, event], LIMIT) == ({future, event}, set())
    assert future._waiters == []


def test_procession_waits_for_the_first_future_that_fails(executor: ProcessPoolExecutor, doors: Any) -> None:
    futures = [executor.submit(doors.enter, 0), executor.submit(abs, -1), executor.submit(divmod, 1, 0)]
    _, pending = procession.wait(futures, LIMIT, procession.FIRST_EXCEPTION)
    assert pending == {futures[0]}
    doors.let(0)


def test_procession_waits_for_futures_of_threads(executor: ProcessPoolExecutor) -> None:
    go = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        future = threads.submit(go.wait, LIMIT)
        other = executor.submit(go.is_set)
        assert procession.wait([future, other], LIMIT, procession.FIRST_COMPLETED).done == {other}
        go.set()
        assert procession.wait([future], LIMIT).done == {future}


# --- what comes back ---


def test_big_results_come_back_whole(executor: ProcessPoolExecutor) -> None:
    size = 1 << 22
    assert executor.submit(bytes, size).result(LIMIT) == bytes(size)
    assert len(executor.submit(lambda data: data + b".", b"x" * size).result(LIMIT)) == size + 1


def test_arrays_come_back_as_arrays(executor: ProcessPoolExecutor) -> None:
    array = numpy.arange(100_000.0)
    found = executor.submit(lambda a: a * 2, array).result(LIMIT)
    assert (found == array * 2).all()


def test_what_is_changed_after_submit_does_not_change_the_task(executor: ProcessPoolExecutor, doors: Any) -> None:
    blocked = [executor.submit(doors.enter, door) for door in (0, 1)]
    items = [1, 2]
    future = executor.submit(sum, items)
    items.append(3)
    doors.let(0, 1)
    assert future.result(LIMIT) == 3
    assert [task.result(LIMIT) for task in blocked] == [None, None]


def test_a_result_is_unpickled_in_the_thread_that_wants_it(executor: ProcessPoolExecutor) -> None:
    def make() -> Any:
        class Result:
            def __reduce__(self) -> Any:
                return threading.get_ident, ()

        return Result()

    assert executor.submit(make).result(LIMIT) == threading.get_ident()


def test_a_result_is_not_held_by_the_pool(executor: ProcessPoolExecutor) -> None:
    future = executor.submit(lambda: {1, 2})
    assert future.result(LIMIT) == {1, 2}
    result = weakref.ref(future.result())
    del future
    eventually(lambda: result() is None)
