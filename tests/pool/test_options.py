"""with_options: what can be asked for each task."""

from __future__ import annotations

import copy
import os
import pickle
import time
from collections.abc import Callable
from typing import Any

import pytest

import procession
from procession import TaskTimeout, WorkerDied
from procession.pool.executor import ProcessPoolExecutor
from procession.pool.options import PLAIN
from procession.testing import saboteurs
from procession.testing.watch import eventually

LIMIT = 20.0

Make = Callable[..., ProcessPoolExecutor]


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"timeout": -1}, ValueError, "timeout must be a number of seconds, 0 or more, or None for no limit; got -1"),
        ({"timeout": float("nan")}, ValueError, "timeout must be a number of seconds"),
        ({"timeout": "1"}, ValueError, "timeout must be a number of seconds"),
        ({"grace": None}, ValueError, "grace must be a number of seconds, 0 or more; got None"),
        ({"retries": -1}, ValueError, "retries must be at least 0; got -1"),
        ({"retries": 1.5}, TypeError, "retries must be a whole number; got 1.5"),
        ({"retries": True}, TypeError, "retries must be a whole number; got True"),
        ({"priority": "high"}, TypeError, "priority must be a whole number; got 'high'"),
        ({"memory_limit": 0}, ValueError, "memory_limit must be at least 1; got 0"),
        ({"name": 5}, TypeError, "name must be a string or None; got 5"),
        ({"speed": 1}, TypeError, "there is no option 'speed': the options of a task are timeout, retries, priority, memory"),
    ],
    ids=str,
)
def test_bad_options_are_refused_before_anything_starts(
    executors: Make, options: dict[str, Any], error: type[Exception], text: str
) -> None:
    executor = executors()
    with pytest.raises(error) as caught:
        executor.with_options(**options)
    assert text in str(caught.value)
    assert executor._processes == {}


def test_a_view_shares_all_but_the_options(executor: ProcessPoolExecutor) -> None:
    view = executor.with_options(retries=1).with_options(name="job")
    assert (view._options.retries, view._options.name) == (1, "job")
    assert executor._options.retries == 0
    assert view.submit(os.getpid).result(LIMIT) in executor._processes
    view.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(abs, 1)


def test_a_view_keeps_the_pool(executors: Make) -> None:
    view = ProcessPoolExecutor(1).with_options(name="kept")
    assert view.submit(abs, -1).result(LIMIT) == 1
    view.shutdown()


def test_a_view_of_a_pool_is_in_the_pools_state(pools: Any) -> None:
    pool = pools()
    view = pool.with_options(retries=1)
    assert view.map(abs, [-1, -2]) == [1, 2]
    view.close()
    assert pool._state == "CLOSE"
    pool.join()
    with pytest.raises(ValueError, match="Pool not running"):
        view.apply(abs, (1,))


# --- time limits ---


def test_a_task_that_takes_too_long_is_stopped(executors: Make, lines: Any) -> None:
    executor = executors(1)
    pid = executor.submit(os.getpid).result(LIMIT)

    def late() -> None:
        try:
            time.sleep(60)
        finally:
            lines.add("cleaned up")

    began = time.monotonic()
    with pytest.raises(TaskTimeout) as caught:
        executor.with_options(timeout=0.1).submit(late).result(LIMIT)
    assert 0.1 <= time.monotonic() - began < LIMIT / 2
    assert (caught.value.timeout, caught.value.stopped_by) == (0.1, "exception")
    assert "late was not done within 0.1 s" in str(caught.value)
    assert lines.wait(1) == ["cleaned up"]
    assert executor.submit(os.getpid).result(LIMIT) == pid


def deaf(number: int) -> None:
    """Does not hear the exception; with 2, nor SIGTERM."""
    import signal

    if number > 1:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass


@pytest.mark.parametrize(("number", "step"), [(1, "SIGTERM"), (2, "SIGKILL")])
def test_the_ladder(executors: Make, number: int, step: str) -> None:
    executor = executors(1)
    with pytest.raises(TaskTimeout) as caught:
        executor.with_options(timeout=0.05, grace=0.1).submit(deaf, number).result(LIMIT)
    assert caught.value.stopped_by == step
    assert executor.submit(abs, -1).result(LIMIT) == 1


def test_time_counts_from_when_a_worker_has_it(executors: Make, doors: Any) -> None:
    executor = executors(1)
    first = executor.submit(doors.enter, 0)
    doors.wait(0)
    second = executor.with_options(timeout=0.2).submit(abs, -1)
    with pytest.raises(TimeoutError):
        second.result(0.3)
    doors.let(0)
    assert second.result(LIMIT) == 1
    assert first.result(LIMIT) is None


def test_time_limits_of_a_map_are_for_each_task(pools: Any) -> None:
    view = pools().with_options(timeout=0.1)
    stream = view.imap(lambda number: time.sleep(60) if number == 1 else number, range(3))
    assert next(stream) == 0
    with pytest.raises(TaskTimeout):
        next(stream)
    assert next(stream) == 2


def test_who_is_in_time_is_not_stopped(executor: ProcessPoolExecutor) -> None:
    view = executor.with_options(timeout=LIMIT)
    assert list(view.map(abs, range(50))) == list(range(50))


# --- retries ---


def dying(path: str, times: int) -> int:
    """Dies so many times; then says how often it was begun."""
    with open(path, "a+") as file:
        file.write(".")
        file.flush()
        begun = os.stat(path).st_size
    if begun <= times:
        saboteurs.kill_self()
    return begun


def test_a_task_is_tried_again(executor: ProcessPoolExecutor, lines: Any, pools: Any) -> None:
    assert executor.with_options(retries=2).submit(dying, lines.path, 2).result(LIMIT) == 3
    assert pools(1).with_options(retries=1).apply(dying, (lines.path, 4)) == 5


def test_so_often_and_no_more(executor: ProcessPoolExecutor, lines: Any) -> None:
    with pytest.raises(WorkerDied) as caught:
        executor.with_options(retries=1, name="risky").submit(dying, lines.path, 10).result(LIMIT)
    assert (caught.value.attempts, caught.value.signal, caught.value.task) == (2, "SIGKILL", "risky")
    assert os.stat(lines.path).st_size == 2


def test_what_it_raises_is_no_reason(executor: ProcessPoolExecutor, lines: Any) -> None:
    def work() -> None:
        lines.add("begun")
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        executor.with_options(retries=5).submit(work).result(LIMIT)
    assert lines.all() == ["begun"]


def test_big_arguments_are_there_in_the_next_attempt(executor: ProcessPoolExecutor, lines: Any) -> None:
    data = bytes(1 << 20)
    work = executor.with_options(retries=3).submit(lambda data: dying(lines.path, 3) and len(data), data)
    assert work.result(LIMIT) == 1 << 20


# --- priority ---


def test_the_urgent_go_first(executors: Make, doors: Any, lines: Any) -> None:
    executor = executors(1)
    blocked = [executor.submit(doors.enter, 0), *(executor.submit(abs, 0) for _ in range(3))]  # (as many as are handed out)
    doors.wait(0)
    rest = [executor.with_options(priority=priority).submit(lines.add, priority) for priority in (-1, 0, 5, 1, 5)]
    doors.let(0)
    procession.wait([*blocked, *rest], LIMIT)
    assert lines.all() == ["5", "5", "1", "0", "-1"]


# --- memory ---


def test_a_memory_limit(executors: Make) -> None:
    executor = executors(1)
    pid = executor.submit(os.getpid).result(LIMIT)
    limited = executor.with_options(memory_limit=1 << 26)
    with pytest.raises(MemoryError):
        limited.submit(lambda: len(bytearray(1 << 28))).result(LIMIT)
    assert limited.submit(lambda: len(bytearray(1 << 20))).result(LIMIT) == 1 << 20
    assert executor.submit(lambda: len(bytearray(1 << 27))).result(LIMIT) == 1 << 27
    assert executor.submit(os.getpid).result(LIMIT) == pid


def test_all_options_at_once_in_pieces(executor: ProcessPoolExecutor) -> None:
    view = executor.with_options(timeout=LIMIT, retries=1, priority=1, memory_limit=1 << 28, name="all", grace=0.1)
    assert list(view.map(pow, range(50), [2] * 50, chunksize=7)) == [number**2 for number in range(50)]
    assert view.submit(lambda *, a: a, a=5).result(LIMIT) == 5
    eventually(lambda: executor._engine.outstanding() == 0)


def test_options_can_be_copied_and_sent() -> None:
    options = PLAIN.changed(timeout=2, name="slow")
    assert pickle.loads(pickle.dumps(options)) == copy.copy(options) == options != PLAIN
