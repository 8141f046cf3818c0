"""Objects in a manager, awaited."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from queue import Empty, Full
from typing import Any

import pytest

import procession
from eventloops import LOOPS, Run
from procession.managers import call_async
from procession.testing.watch import eventually

LONG = 20.0


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    return Run(request.param)


@pytest.fixture
def manager() -> Iterator[Any]:
    with procession.Manager() as manager:
        yield manager


def test_all_forms(manager: Any, run: Run) -> None:
    event, lock, permits, queue = manager.Event(), manager.Lock(), manager.BoundedSemaphore(2), manager.JoinableQueue(1)

    async def main() -> None:
        threads = set(threading.enumerate())
        assert await event.wait_async(0.01) is False
        event.set()
        assert await event.wait_async(LONG) is True
        async with lock:
            assert not lock.acquire(False)
            assert await lock.acquire_async(0.01) is False
            assert await lock.acquire_async(-1) is False
        assert await permits.acquire_async() is await permits.acquire_async() is True
        assert await permits.acquire_async(0) is False
        await queue.put_async("item")
        with pytest.raises(Full):
            await queue.put_async("another", 0.01)
        assert await queue.get_async() == "item"
        with pytest.raises(Empty):
            await queue.get_async(0.01)
        queue.task_done()
        await queue.join_async()
        assert await call_async(manager.dict(a=1), "get", "a") == 1
        with pytest.raises(KeyError):
            await call_async(manager.dict(), "pop", "a")
        with pytest.raises(TypeError, match="proxy must be that of a manager's object; got 3"):
            await call_async(3, "pop")  # type: ignore[arg-type]
        assert set(threading.enumerate()) <= threads

    run(main)


def test_many_wait_and_the_loop_goes_on(manager: Any, run: Run) -> None:
    event, queue, got = manager.Event(), manager.Queue(), []

    async def main() -> None:
        async def one() -> None:
            await event.wait_async()
            got.append(await queue.get_async())

        async with run.tasks() as begin:
            for _ in range(10):
                begin(one)
            await run.sleep(0.02)
            event.set()
            for number in range(10):
                await queue.put_async(number)

    run(main)
    assert sorted(got) == list(range(10))


def test_what_was_cancelled_has_taken_nothing(manager: Any, run: Run) -> None:
    lock, permits, queue = manager.Lock(), manager.Semaphore(0), manager.Queue()
    lock.acquire()

    async def main() -> None:
        for thing in (lock, permits):
            assert await run.cancelled(thing.acquire_async)
        assert await run.cancelled(queue.get_async)
        lock.release()
        permits.release()
        for number in range(3):
            queue.put(number)
        assert await lock.acquire_async(LONG)
        assert await permits.acquire_async(LONG)
        first = await queue.get_async(LONG)
        await run.until(lambda: queue.qsize() == 2)  # (what was put back comes first)
        assert [first, *[await queue.get_async(LONG) for _ in range(2)]] in ([0, 1, 2], [1, 0, 2])

    run(main)


def test_who_is_killed_has_taken_nothing(manager: Any, run: Run) -> None:
    """It waits in its loop, and dies; what it waited for comes afterwards."""
    lock, queue, ready = manager.Lock(), manager.Queue(), procession.Semaphore(0)
    lock.acquire()
    library = run.library

    def wait_in_a_loop(thing: Any) -> None:
        async def main() -> None:
            ready.release()
            await (thing.acquire_async() if hasattr(thing, "acquire_async") else thing.get_async())

        Run(library)(main)

    processes = [procession.Process(target=wait_in_a_loop, args=(thing,)) for thing in (lock, queue)]
    for process in processes:
        process.start()
    for _ in processes:
        assert ready.acquire(True, LONG)
    for process in processes:
        process.kill()
        process.join()
    lock.release()
    queue.put("item")
    assert lock.acquire(True, LONG)
    assert queue.get(True, LONG) == "item"


def test_the_server_is_killed(manager: Any, run: Run) -> None:
    event, lock, queue = manager.Event(), manager.Lock(), manager.Queue()
    lock.acquire()
    errors: list[Exception] = []

    async def main() -> None:
        async def fails(call: Any) -> None:
            try:
                await call()
            except (EOFError, OSError) as error:
                errors.append(error)

        async with run.tasks() as begin:
            for call in (event.wait_async, lock.acquire_async, queue.get_async):
                begin(fails, call)
            await run.sleep(0.02)
            os.kill(manager._process.pid, signal.SIGKILL)
        await fails(event.wait_async)

    run(main)
    eventually(lambda: len(errors) == 4)


def test_what_cannot_be_offered_is_an_error(manager: Any, run: Run) -> None:
    from procession.share import proxies

    with pytest.raises(Exception, match="cannot be offered"):
        run(lambda: proxies._take_async(manager.dict(a=1), "pop", "a"))


def test_of_a_lock_that_belongs_to_a_thread_there_is_none(manager: Any) -> None:
    for thing in (manager.RLock(), manager.Condition(), manager.Barrier(2)):
        assert not hasattr(thing, "acquire_async")
        assert not hasattr(thing, "wait_async")
