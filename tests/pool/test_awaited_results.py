"""What `Pool` returns is told like a future: callbacks, waiters; and a map of a pool that is ended comes to an end."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import CancelledError
from multiprocessing import TimeoutError as PoolTimeout
from typing import Any

import pytest

from procession.core import callers
from procession.pool.pool import Pool

LIMIT = 20.0
BEGIN = {
    "one": lambda pool, gate, **more: pool.apply_async(gate.enter, (0, 5), **more),
    "many": lambda pool, gate, **more: pool.map_async(lambda n: gate.enter(0, n), [5], **more),
}
BOTH = pytest.mark.parametrize("begin", BEGIN.values(), ids=BEGIN)


@BOTH
@pytest.mark.parametrize("called_back", [False, True])
def test_done_callbacks(begin: Any, called_back: bool, doors: Any) -> None:
    """After the callback that the method was given, each with the result itself; at once when it has ended."""
    told: list[Any] = []

    def first(value: Any) -> None:
        assert not result.ready()
        told.append(value)

    with Pool(1) as pool:
        result = begin(pool, doors, **({"callback": first} if called_back else {}))
        assert result.done() is False
        for _ in range(2):
            result.add_done_callback(told.append)
        doors.wait(0)
        doors.let(0)
        value = result.get(LIMIT)
        callers.drain(LIMIT)
        assert told == ([value] if called_back else []) + [result, result]
        assert result.done()
        result.add_done_callback(told.append)
        callers.drain(LIMIT)
        assert told[-1] is result
        with pytest.raises(TypeError, match="callable"):
            result.add_done_callback(3)
        pool.close()
        pool.join()


@BOTH
def test_waiters_are_told_as_those_of_a_future(begin: Any, doors: Any) -> None:
    class Waiter:
        def __init__(self) -> None:
            self.told = threading.Event()

        def add_result(self, result: Any) -> None:
            assert result.done()
            self.told.set()

    with Pool(1) as pool:
        result, waiter = begin(pool, doors), Waiter()
        with result._condition:
            result._waiters.append(waiter)
        doors.wait(0)
        assert not waiter.told.is_set()
        doors.let(0)
        assert waiter.told.wait(LIMIT)
        pool.close()
        pool.join()


@pytest.mark.parametrize("callback", [None, print])
@pytest.mark.parametrize("way", ["get", "await", "callback"])
def test_a_map_of_a_pool_that_is_terminated_ends(way: str, callback: Any) -> None:
    """Also what had not been handed to workers yet."""
    failed: list[Any] = []
    pool = Pool(1)
    called = failed.append if callback or way == "callback" else None
    result = pool.map_async(time.sleep, [0.001] * 3000, 1, callback, called)
    ender = threading.Timer(0.03, pool.terminate)
    ender.start()


    async def main() -> Any:
        return await result.get_async(LIMIT)

    def of_callback() -> None:
        result.wait(LIMIT)
        callers.drain(LIMIT)
        raise failed[0]

    ends = {"get": lambda: result.get(LIMIT), "await": lambda: asyncio.run(main()), "callback": of_callback}
    with pytest.raises(CancelledError, match="the pool was terminated"):
        ends[way]()
    ender.join()
    pool.join()


def test_time_outs_are_those_of_multiprocessing(doors: Any) -> None:
    async def main(result: Any, results: Any) -> None:
        with pytest.raises(PoolTimeout):
            await result.get_async(0.01)
        with pytest.raises(PoolTimeout):
            await results.next_async(0.01)

    with Pool(2) as pool:
        asyncio.run(main(pool.apply_async(doors.enter, (0,)), pool.imap(doors.enter, [1])))
        doors.let(0, 1)
        pool.close()
        pool.join()
