"""Conditions and barriers in an event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from threading import BrokenBarrierError
from typing import Any

import pytest
from actors import Runner
from loops import run, until_waiters

from procession import Barrier, Condition, Lock, OwnerDied, RLock
from procession.testing.saboteurs import sleep_for_ever

BOTH = pytest.mark.parametrize("make", [Lock, RLock])


# --- conditions ---


async def waits(condition: Any, timeout: float | None = None) -> bool:
    async with condition:
        return bool(await condition.wait_async(timeout))


def notify(condition: Any, n: int = 1) -> None:
    with condition:
        condition.notify(n)


@BOTH
def test_notify(make: Any, actor: Any) -> None:
    condition, other = Condition(make()), actor()

    async def main() -> None:
        tasks = [asyncio.create_task(waits(condition)) for _ in range(4)]
        await until_waiters(condition, 4)
        assert not condition._lock.locked()
        other(notify, condition, 2)
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        while len(done) < 2:
            done, _ = await asyncio.wait(tasks, timeout=0.01)
        assert done == set(tasks[:2])
        async with condition as entered:
            assert entered is True
            condition.notify_all()
        assert await asyncio.gather(*tasks) == [True] * 4
        assert await waits(condition, 0.05) is False
        with pytest.raises(AssertionError, match="must acquire"):
            await condition.wait_async()

    run(main)
    assert not condition._lock.locked()


def test_wait_for_and_depth(actor: Any, numbers: Any) -> None:
    condition, state, other = Condition(), numbers(1), actor()

    def advance() -> None:
        with condition:
            state[0] += 1
            condition.notify_all()

    async def main() -> None:
        async with condition, condition:
            task = asyncio.current_task()
            assert task is not None
            other.begin(lambda: [advance() for _ in range(3)])
            assert await condition.wait_for_async(lambda: state[0] == 3, 20)
            assert repr(condition._lock) == "<RLock(MainProcess, 2)>"
            assert await condition.wait_for_async(lambda: state[0] == 4, 0.05) is False
        other.end()

    run(main)


@BOTH
@pytest.mark.parametrize("first", ["cancel", "notify"])
def test_a_cancelled_wait_takes_the_lock_again_and_no_notification(make: Any, first: str) -> None:
    condition = Condition(make())
    mine: list[bool] = []

    async def cancelled() -> None:
        async with condition:
            try:
                await condition.wait_async()
            finally:
                mine.append(condition._lock._is_mine())

    async def main() -> None:
        one, two = asyncio.create_task(cancelled()), asyncio.create_task(waits(condition))
        await until_waiters(condition, 2)
        async with condition:
            if first == "cancel":
                one.cancel()
                await asyncio.sleep(0.01)
                assert not one.done(), "it waits for the lock"
            condition.notify()
            one.cancel()
        if first == "cancel":
            await asyncio.sleep(0)
        assert await asyncio.wait_for(two, 5) is True, "the notification went to the next"
        with pytest.raises(asyncio.CancelledError):
            await one
        assert mine == [True]

    run(main)
    assert not condition._lock.locked()


@BOTH
def test_the_lock_of_a_dead_holder_is_refused(make: Any, actor: Any) -> None:
    condition, other = Condition(make(on_owner_death="raise")), actor()

    def notify_and_stay() -> None:
        condition.acquire()
        condition.notify()

    async def one() -> None:
        async with condition:
            try:
                await condition.wait_async()
            except OwnerDied:
                assert not condition._lock._is_mine()
                raise

    async def main() -> None:
        tasks = [asyncio.create_task(one()) for _ in range(2)]
        await until_waiters(condition, 2)
        other(notify_and_stay)
        other.kill()
        for task in tasks:  # (the first one's notification goes to the second)
            with pytest.raises(OwnerDied):
                await asyncio.wait_for(task, 5)
        condition._lock.mark_consistent()

    run(main)


def test_when_the_loop_ends_a_wait_takes_the_lock_again() -> None:
    """`asyncio.run` cancels it while it waits for the lock that another has."""
    condition = Condition()
    has, may = threading.Event(), threading.Event()

    def notify_and_stay() -> None:
        with condition:
            condition.notify()
            has.set()
            may.wait(20)

    found: list[Any] = []

    async def one() -> None:
        try:
            await waits(condition)
        except BaseException as error:
            found.append(error)
            raise

    async def main() -> None:
        task = asyncio.create_task(one())
        await until_waiters(condition, 1)
        thread.start()
        await asyncio.to_thread(has.wait, 20)
        await until_waiters(condition._lock, 1)
        assert not task.done()
        asyncio.get_running_loop().call_later(0.05, may.set)

    thread = threading.Thread(target=notify_and_stay)
    asyncio.run(main())
    thread.join()
    assert [type(error) for error in found] == [asyncio.CancelledError]
    assert not condition._lock.locked()


@BOTH
@pytest.mark.parametrize("loop_is", ["closed", "running"])
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_wait_that_is_thrown_away_takes_no_lock(make: Any, loop_is: str) -> None:
    condition = Condition(make())
    wait = waits(condition)
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *said: None)  # (a task that is destroyed)
    task = loop.create_task(wait)
    loop.run_until_complete(until_waiters(condition, 1))
    if loop_is == "closed":
        loop.close()
    wait.close()
    assert not condition._lock.locked()
    assert not condition.waiters
    if loop_is == "running":
        task.cancel()
        with pytest.raises(RuntimeError, match="coroutine"):
            loop.run_until_complete(task)
        assert not condition._lock.locked()
        loop.close()


# --- barriers ---


def test_barrier(actor: Any) -> None:
    barrier, other = Barrier(4, lambda: None), actor()

    async def main() -> None:
        for _ in range(3):
            other.begin(barrier.wait)
            runner = Runner(barrier.wait, 20)
            tasks = [asyncio.create_task(barrier.wait_async()) for _ in range(2)]
            numbers = await asyncio.gather(*tasks)
            assert sorted([*numbers, runner.end(), other.end()]) == [0, 1, 2, 3]

    run(main)
    assert not barrier.broken


def test_a_cancelled_arrival_is_taken_back(actor: Any) -> None:
    barrier, other = Barrier(2), actor()

    async def main() -> None:
        task = asyncio.create_task(barrier.wait_async())
        await until_waiters(barrier, 1)
        assert barrier.n_waiting == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (barrier.n_waiting, barrier.broken) == (0, False)
        other.begin(barrier.wait)
        assert {await barrier.wait_async(20), other.end()} == {0, 1}

    run(main)


@pytest.mark.parametrize("how", ["time-out", "own time-out", "abort", "reset", "action", "death"])
def test_a_barrier_breaks(how: str, actor: Any) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    barrier = Barrier(2, fail if how == "action" else sleep_for_ever, 0.1 if how == "own time-out" else None)
    other = actor()

    async def main() -> None:
        task = asyncio.create_task(barrier.wait_async(0.1 if how == "time-out" else None))
        await until_waiters(barrier, 1)
        began = time.monotonic()
        if how == "abort":
            barrier.abort()
        elif how == "reset":
            other(barrier.reset)
        elif how == "action":
            with pytest.raises(ZeroDivisionError):
                await barrier.wait_async()
        elif how == "death":
            other.begin(barrier.wait)
            while barrier.n_waiting:
                await asyncio.sleep(0.001)
            other.process.kill()
        with pytest.raises(BrokenBarrierError):
            await asyncio.wait_for(task, 5)
        assert time.monotonic() - began < 4
        assert barrier.broken is (how != "reset")

    run(main)
