"""Coroutine functions as tasks: many at a time in a worker's own event loop, and every one of them ends."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pytest

import procession
from procession import ProcessPoolExecutor, TaskTimeout, UnpicklableError, WorkerDied
from procession.pool.worker import current_worker
from procession.testing.watch import eventually


async def echo(value: Any, seconds: float = 0) -> Any:
    await asyncio.sleep(seconds)
    return value


async def meet(barrier_of: Any, gate: Any) -> int:
    """Count in, and wait to be let go."""
    with barrier_of.get_lock():
        barrier_of.value += 1
    await gate.wait_async()
    return os.getpid()


@pytest.fixture
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2) as made:
        yield made


@pytest.fixture
def alone() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(1) as made:
        yield made


@pytest.fixture
def held(alone: ProcessPoolExecutor) -> Iterator[Any]:
    """Ten coroutines, all in the hands of one worker, and the gate that lets them go."""
    arrived, gate = procession.Value("i", 0), procession.Event()
    futures = [alone.submit(meet, arrived, gate) for _ in range(10)]
    try:
        eventually(lambda: arrived.value == 10)
        yield futures, gate, alone
    finally:
        gate.set()


def test_many_at_a_time(held: Any) -> None:
    futures, gate, _ = held
    assert not any(future.done() for future in futures)
    gate.set()
    assert len({future.result(30) for future in futures}) == 1, "all of them were in one worker"


def test_results_and_errors(pool: ProcessPoolExecutor) -> None:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise KeyError("mine")

    async def exits() -> None:
        sys.exit(3)

    async def cancels_itself() -> None:
        raise asyncio.CancelledError

    async def unpicklable() -> Any:
        return threading.Lock()

    error = pool.submit(fails).exception(30)
    assert isinstance(error, KeyError)
    assert "in fails" in str(error.__cause__)
    assert isinstance(pool.submit(exits).exception(30), SystemExit)
    with pytest.raises(CancelledError):
        pool.submit(cancels_itself).result(30)
    assert isinstance(pool.submit(unpicklable).exception(30), (UnpicklableError, TypeError))
    assert pool.submit(echo, 5).result(30) == 5


def test_whatever_makes_one(pool: ProcessPoolExecutor) -> None:
    class Caller:
        async def __call__(self, value: int) -> int:
            return value + 1

        async def method(self, value: int) -> int:
            return value + 2

    def hidden(value: int) -> Any:
        return echo(value)  # (nothing tells before it is called)

    calls = [functools.partial(echo, 1), functools.partial(Caller(), 1), functools.partial(Caller().method, 1)]
    assert [pool.submit(call).result(30) for call in calls] == [1, 2, 3]
    assert pool.submit(hidden, 4).result(30) == 4
    assert pool.submit(lambda value: echo([value]), 4).result(30) == [4]


def test_maps(pool: ProcessPoolExecutor) -> None:
    assert list(pool.map(echo, range(50))) == list(range(50))
    assert list(pool.map(echo, range(50), chunksize=7)) == list(range(50))
    assert list(pool.map(echo, iter(range(20)), [0.001] * 20)) == list(range(20))
    with procession.Pool(2) as other:
        assert other.map(echo, range(20)) == list(range(20))
        assert sorted(other.imap_unordered(echo, range(20), 3)) == list(range(20))
        assert other.apply_async(echo, ("it",)).get(30) == "it"


def test_one_of_a_chunk_fails(alone: ProcessPoolExecutor) -> None:
    """The others of the message are cancelled."""
    cancelled = procession.Value("i", 0)

    async def step(number: int) -> int:
        if number == 1:
            await asyncio.sleep(0.01)
            raise ValueError(number)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            with cancelled.get_lock():
                cancelled.value += 1
            raise
        return number

    with pytest.raises(ValueError, match="1"):  # (0 waits, 1 fails)
        list(alone.map(step, [0, 1, 2], chunksize=3))
    eventually(lambda: cancelled.value == 2)


def test_a_worker_dies_with_many_in_hand(held: Any) -> None:
    """All that it had, and nothing else."""
    futures, gate, pool = held
    (pid,) = pool._processes
    waiting = pool.submit(os.getpid)  # (for the loop, or its successor)
    os.kill(pid, signal.SIGKILL)
    errors = [future.exception(30) for future in futures]
    assert all(isinstance(error, WorkerDied) and error.exitcode == -signal.SIGKILL for error in errors), errors
    gate.set()
    assert isinstance(waiting.exception(30), (WorkerDied, type(None)))
    assert pool.submit(echo, "alive").result(30) == "alive"


def test_tried_again(alone: ProcessPoolExecutor) -> None:
    arrived, gate = procession.Value("i", 0), procession.Event()
    view = alone.with_options(retries=1)
    futures = [view.submit(meet, arrived, gate) for _ in range(5)]
    eventually(lambda: arrived.value == 5)
    (pid,) = alone._processes
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: arrived.value == 10)
    gate.set()
    assert pid not in {future.result(30) for future in futures}


def test_cancelled(held: Any) -> None:
    """One is stopped, as asyncio stops: it can tidy up. The others do not notice."""
    futures, gate, pool = held
    began, tidied = procession.Event(), procession.Event()

    async def tidy() -> None:
        try:
            began.set()
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            tidied.set()

    future = pool.submit(tidy)
    assert began.wait(30)
    assert future.cancel()
    assert tidied.wait(30)
    gate.set()
    assert len({future.result(30) for future in futures}) == 1


def test_cancelled_when_nobody_knew_what_it_is(alone: ProcessPoolExecutor) -> None:
    """A plain function that returns a coroutine: what was stopped does not go on when the loop does."""
    began, tidied, went_on = procession.Event(), procession.Event(), procession.Event()

    async def wait() -> None:
        try:
            began.set()
            await asyncio.sleep(0.1)
            went_on.set()
        finally:
            tidied.set()

    def hidden() -> Any:
        return wait()

    future = alone.submit(hidden)
    assert began.wait(30)
    (before,) = alone._processes
    assert future.cancel()
    assert tidied.wait(30)
    assert alone.submit(echo, before, 0.3).result(30) in alone._processes, "it is the same worker"
    assert not went_on.is_set()


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_what_asyncio_lets_out_of_the_loop(held: Any, error: type[BaseException]) -> None:
    """A task that a coroutine has begun wants to end the whole program: that is its own affair, and nobody else's."""
    futures, gate, pool = held

    async def begun() -> None:
        raise error

    async def awaits() -> None:
        await asyncio.create_task(begun())

    async def calls_back() -> int:
        def stop() -> None:
            asyncio.get_running_loop().stop()
            raise error

        asyncio.get_running_loop().call_soon(stop)
        await asyncio.sleep(0.01)
        return 1

    async def one_of_many(number: int) -> None:
        raise error

    assert isinstance(pool.submit(awaits).exception(30), error)
    assert pool.submit(calls_back).result(30) == 1
    with pytest.raises(error):
        list(pool.map(one_of_many, range(3), chunksize=3))
    gate.set()
    assert len({future.result(30) for future in futures}) == 1


def test_cancelled_before_it_began(held: Any) -> None:
    futures, gate, pool = held
    later = pool.submit(echo, 1)
    assert later.cancel() or later.result(30) == 1
    gate.set()
    assert all(future.result(30) for future in futures)


def test_time_limits(alone: ProcessPoolExecutor) -> None:
    """In the loop it is cancelled; one that computes is stopped in the middle, and the loop goes on."""

    def compute() -> None:
        while True:
            pass

    async def computes() -> None:
        compute()

    async def swallows() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass
        return "all the same"

    view = alone.with_options(timeout=0.1)
    other = alone.submit(echo, "other", 0.3)
    errors = [view.submit(echo, 1, 60).exception(30), view.submit(computes).exception(30)]
    assert all(isinstance(error, TaskTimeout) for error in errors), errors
    assert view.submit(swallows).result(30) == "all the same"
    assert other.result(30) == "other"
    assert len(alone._processes) == 1, "no worker had to die for it"


def test_plain_tasks_in_between(held: Any) -> None:
    """They need not wait until the loop is empty, and may use a loop of their own."""
    futures, gate, pool = held

    def own_loop() -> Any:
        return asyncio.run(echo(os.getpid()))

    pid = pool.submit(own_loop).result(30)
    assert pool.submit(lambda: echo(7)).result(30) == 7
    serial = list(pool.map(abs, range(-5, 0)))
    gate.set()
    assert {future.result(30) for future in futures} == {pid}
    assert serial == [5, 4, 3, 2, 1]


def test_the_idle_one_takes_plain_tasks(pool: ProcessPoolExecutor) -> None:
    arrived, gate = procession.Value("i", 0), procession.Event()
    one = pool.submit(meet, arrived, gate)
    eventually(lambda: arrived.value == 1)
    for _ in range(10):
        began = time.monotonic()
        pool.submit(os.getpid).result(30)
    assert time.monotonic() - began < 30
    gate.set()
    assert one.result(30) in pool._processes


def test_it_is_the_same_loop(alone: ProcessPoolExecutor) -> None:
    async def connect() -> None:
        worker = current_worker()
        assert worker is not None
        worker.state["loop"] = asyncio.get_running_loop()

    async def same() -> bool:
        worker = current_worker()
        assert worker is not None
        return worker.state["loop"] is asyncio.get_running_loop()

    alone.submit(connect).result(30)
    alone.submit(os.getpid).result(30)  # (the loop has rested meanwhile)
    assert alone.submit(same).result(30)
    with ProcessPoolExecutor(1, initializer=connect) as pool:
        assert pool.submit(same).result(30), "also for a coroutine function as initializer"


def test_workers_that_are_relieved() -> None:
    with ProcessPoolExecutor(1, max_tasks_per_child=3) as pool:
        pids = [future.result(30) for future in [pool.submit(meet_alone) for _ in range(10)]]
    assert all(pids.count(pid) <= 3 for pid in pids)
    assert len(set(pids)) >= 4


def test_plain_tasks_count_as_well() -> None:
    """Of a worker that may do so many, in whatever order they come."""
    with ProcessPoolExecutor(1, max_tasks_per_child=3) as pool:
        futures = [pool.submit(os.getpid if number % 2 else meet_alone) for number in range(30)]
        pids = [future.result(30) for future in futures]
    assert all(pids.count(pid) <= 3 for pid in pids)


async def meet_alone() -> int:
    await asyncio.sleep(0.001)
    return os.getpid()


@pytest.mark.parametrize("how", ["shutdown", "cancel", "terminate_workers", "kill_workers"])
def test_the_end(how: str) -> None:
    pool = ProcessPoolExecutor(2)
    futures = [pool.submit(echo, number, 0.05 if how in ("shutdown", "cancel") else 60) for number in range(30)]
    if how in ("shutdown", "cancel"):
        pool.shutdown(cancel_futures=how == "cancel")
        done = [future.result() for future in futures if not future.cancelled()]
        assert how == "cancel" or done == list(range(30))
    else:
        getattr(pool, how)()
        assert all(isinstance(future.exception(30), BrokenProcessPool) for future in futures)
        pool.shutdown()
    assert all(future.done() for future in futures)


def test_resize(pool: ProcessPoolExecutor) -> None:
    futures = [pool.submit(echo, number, 0.01) for number in range(100)]
    pool.resize(1)
    assert [future.result(30) for future in futures] == list(range(100))
    pool.resize(3)
    assert list(pool.map(echo, range(10))) == list(range(10))


def test_what_cannot_be(alone: ProcessPoolExecutor) -> None:
    error = alone.with_options(memory_limit=1 << 20).submit(echo, 1).exception(30)
    assert isinstance(error, ValueError)
    assert "memory_limit" in str(error)


def test_thousands(pool: ProcessPoolExecutor) -> None:
    arrived, gate = procession.Value("i", 0), procession.Event()
    count = 2000
    futures = [pool.submit(meet, arrived, gate) for _ in range(count)]
    eventually(lambda: arrived.value == count, 30)
    gate.set()
    assert {future.result(30) for future in futures} <= set(pool._processes)


def test_killed_at_any_moment(alone: ProcessPoolExecutor) -> None:
    """Every task ends, with its own result or the death of a worker, whenever it came."""
    for round in range(8):
        futures = [alone.submit(echo, number, 0.0005 * (number % 3)) for number in range(40)]
        kill = [futures[5 * round].result(30)] if round else []
        for pid in list(alone._processes):
            os.kill(pid, signal.SIGKILL)
        for number, future in enumerate(futures):
            error = future.exception(30)
            assert isinstance(error, WorkerDied) or (error is None and future.result() == number)
        del kill
