"""Pool: the interface of multiprocessing.pool.Pool."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import threading
import time
import warnings
from concurrent.futures import CancelledError
from typing import Any

import pytest

import procession
from procession.pool.pool import Pool
from procession.pool.results import AsyncResult, MapResult
from procession.testing.watch import eventually, identity, is_running

numpy = pytest.importorskip("numpy")

LIMIT = 20.0


def test_apply(pool: Pool) -> None:
    assert pool.apply(pow, (2, 5)) == 32
    assert pool.apply(int, ("ff",), {"base": 16}) == 255
    assert pool.apply(os.getpid) in {process.pid for process in pool._pool}


def test_apply_async(pool: Pool, doors: Any) -> None:
    result = pool.apply_async(doors.enter, (0, "late"))
    assert type(result) is AsyncResult
    doors.wait(0)
    assert not result.ready()
    with pytest.raises(ValueError, match="not ready"):
        result.successful()
    with pytest.raises(multiprocessing.TimeoutError):
        result.get(0.01)
    result.wait(0.01)
    doors.let(0)
    assert result.get(LIMIT) == result.get() == "late"
    assert (result.ready(), result.successful()) == (True, True)


def test_an_error(pool: Pool) -> None:
    result = pool.apply_async(divmod, (1, 0))
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            result.get(LIMIT)
    assert (result.ready(), result.successful()) == (True, False)


@pytest.mark.parametrize("size", [None, 0, 1, 3, 1000])
@pytest.mark.parametrize("items", [range(500), list(range(500)), tuple(range(500)), dict.fromkeys(range(500))])
def test_map(pool: Pool, size: int | None, items: Any) -> None:
    assert pool.map(abs, items, size) == list(range(500))


def test_map_of_nothing(pool: Pool) -> None:
    assert pool.map(abs, []) == pool.starmap(pow, iter([])) == list(pool.imap(abs, ())) == []
    result = pool.map_async(abs, [])
    assert result.get(LIMIT) == []
    assert result.successful()


def test_map_of_an_array(pool: Pool) -> None:
    assert pool.map(float, numpy.arange(100.0)) == [float(number) for number in range(100)]


def test_map_async(pool: Pool, doors: Any) -> None:
    result = pool.map_async(lambda number: doors.enter(number, number), [0, 1])
    assert type(result) is MapResult
    doors.wait(0)
    assert not result.ready()
    with pytest.raises(multiprocessing.TimeoutError):
        result.get(0.01)
    doors.let(0, 1)
    result.wait(LIMIT)
    assert result.ready()
    assert result.successful()
    assert result.get() == [0, 1]


def test_a_map_async_that_nobody_waits_for_is_done(pool: Pool, lines: Any) -> None:
    pool.map_async(lines.add, range(3000), 100)
    lines.wait(3000)


# --- callbacks ---


def test_callbacks_come_before_get(pool: Pool) -> None:
    for _ in range(50):
        told: list[Any] = []
        assert pool.apply_async(abs, (-1,), callback=told.append).get(LIMIT) == 1
        assert told == [1]
        assert pool.map_async(abs, [-1, -2], callback=told.append).get(LIMIT) == [1, 2]
        assert told == [1, [1, 2]]


def test_error_callbacks(pool: Pool) -> None:
    told: list[Any] = []
    results = [
        pool.apply_async(divmod, (1, 0), {}, None, told.append),
        pool.map_async(lambda _: 1 // 0, [1], 1, None, told.append),
        pool.starmap_async(divmod, [(1, 0)], 1, None, told.append),
    ]
    for result in results:
        with pytest.raises(ZeroDivisionError):
            result.get(LIMIT)
    assert [type(error) for error in told] == [ZeroDivisionError] * 3


@pytest.mark.parametrize("kind", ["apply_async", "map_async"])
def test_a_result_is_not_ready_while_its_callback_runs(pool: Pool, kind: str) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def wait(_: Any) -> None:
        begun.set()
        go_on.wait(LIMIT)

    result = getattr(pool, kind)(abs, [-1], callback=wait)
    assert begun.wait(LIMIT)
    assert not result.ready()
    with pytest.raises(ValueError, match="not ready"):
        result.successful()
    go_on.set()
    assert result.get(LIMIT) in (1, [1])


def test_many_threads_get_one_result(pool: Pool, doors: Any) -> None:
    for result in (pool.apply_async(doors.enter, (0, {1})), pool.map_async(lambda _: doors.enter(0, {1}), [0])):
        found: list[Any] = []
        threads = [threading.Thread(target=lambda: found.append(result.get(LIMIT))) for _ in range(4)]  # noqa: B023
        for thread in threads:
            thread.start()
        doors.let(0)
        for thread in threads:
            thread.join(LIMIT)
        assert found in ([{1}] * 4, [[{1}]] * 4)


def test_a_callback_that_raises_is_reported_and_harms_nothing(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", lambda facts: reported.append(facts.exc_type))
    assert pool.apply_async(abs, (-1,), callback=lambda _: 1 // 0).get(LIMIT) == 1
    eventually(lambda: reported == [ZeroDivisionError])
    assert pool.apply(abs, (-1,)) == 1


# --- the end ---


def test_close_and_join_wait_for_all(pools: Any, lines: Any) -> None:
    pool = pools()
    results = [pool.apply_async(lines.add, (number,)) for number in range(50)]
    pool.close()
    with pytest.raises(ValueError, match="Pool not running"):
        pool.apply(abs, (1,))
    pool.join()
    assert all(result.ready() for result in results)
    assert len(lines.all()) == 50
    pool.close()
    pool.join()


def test_join_comes_after_close(pool: Pool) -> None:
    with pytest.raises(ValueError, match="Pool is still running"):
        pool.join()


def test_terminate_ends_what_runs(pools: Any, doors: Any) -> None:
    pool = pools()
    everyone = [identity(process.pid) for process in pool._pool]
    results = [pool.apply_async(doors.enter, (door,)) for door in range(5)]
    doors.wait(0, 1)
    began = time.monotonic()
    pool.terminate()
    assert time.monotonic() - began < LIMIT / 2
    assert not any(who and is_running(who) for who in everyone)
    for result in results:
        with pytest.raises(CancelledError):
            result.get(LIMIT)
    pool.join()


def test_a_with_block_terminates(pools: Any) -> None:
    with pools() as pool:
        assert pool.map(abs, [-1]) == [1]
        assert "state=RUN pool_size=2" in repr(pool)
    assert "state=TERMINATE" in repr(pool)
    with pytest.raises(ValueError, match="Pool not running"), pool:
        pass


def test_a_pool_that_is_lost_warns_and_ends() -> None:
    pool = procession.Pool(1)
    who = identity(pool._pool[0].pid)
    assert who is not None
    with pytest.warns(ResourceWarning, match="unclosed running multiprocessing pool"):
        del pool
    eventually(lambda: not is_running(who))


def test_a_pool_is_not_sent(pool: Pool) -> None:
    with pytest.raises(NotImplementedError, match="cannot be passed between processes"):
        pickle.dumps(pool)


def test_a_view_that_is_lost_does_not_warn(pool: Pool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pool.with_options(retries=1).apply(abs, (-1,)) == 1
        gc.collect()
    assert pool.apply(abs, (-1,)) == 1
