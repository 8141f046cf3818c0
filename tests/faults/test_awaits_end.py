"""Awaits whose other side is killed, that end what they began, and many at one thing; in all event loops."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
import warnings
from collections.abc import Callable
from threading import BrokenBarrierError
from typing import Any

import pytest
from sleepers import sleeper

import procession
from eventloops import Run
from procession import Closed, OwnerDiedWarning, WorkerDied
from procession.pool.executor import ProcessPoolExecutor
from procession.pool.pool import Pool
from procession.testing.saboteurs import sleep_for_ever
from procession.testing.watch import eventually

LIMIT = 20

pytestmark = pytest.mark.usefixtures("callers_leave_soon")


# --- the other side dies ---


def killed(child: Any, ready: Any, lookout: Callable[[], bool] = lambda: True) -> None:
    assert ready.wait(LIMIT)
    eventually(lookout)
    child.kill()
    child.join()


@pytest.mark.parametrize("make", [procession.Lock, procession.RLock, procession.BoundedSemaphore, procession.RWLock])
def test_the_holder_is_killed(make: Any, run_either: Run) -> None:
    run, thing, ready = run_either, make(), procession.Event()
    acquire = getattr(thing, "acquire", None) or thing.acquire_write
    wait = getattr(thing, "acquire_async", None) or thing.acquire_write_async
    found: list[Any] = []

    async def main(child: Any) -> None:
        async with run.tasks() as start:
            start(one)
            await run.until(lambda: len(thing.waiters) == 1)
            child.kill()

    async def one() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OwnerDiedWarning)
            found.append(await wait())

    with sleeper(lambda: (acquire(), ready.set(), sleep_for_ever())) as child:
        assert ready.wait(LIMIT)
        run(lambda: main(child))
    assert found == [True]


def test_a_party_is_killed(run_either: Run) -> None:
    barrier, ready = procession.Barrier(3), procession.Event()

    async def main(child: Any) -> None:
        async with run_either.tasks() as start:
            start(one)
            await run_either.until(lambda: barrier.n_waiting == 2)
            child.kill()

    async def one() -> None:
        with pytest.raises(BrokenBarrierError):
            await barrier.wait_async()

    with sleeper(lambda: (ready.set(), barrier.wait())) as child:
        run_either(lambda: main(child))


def test_the_last_producer_is_killed(run_either: Run) -> None:
    queue, closed = procession.Queue(), procession.Event()

    def put(queue: Any) -> None:
        queue.put(1)
        queue.close()
        closed.set()
        sleep_for_ever()

    async def main(child: Any) -> None:
        assert await queue.get_async() == 1
        await closed.wait_async()
        child.kill()
        with pytest.raises(Closed):
            await queue.get_async()

    with sleeper(lambda: put(queue)) as child:
        run_either(lambda: main(child))


@pytest.mark.parametrize("long", [False, True])
def test_the_sender_is_killed(long: bool, run_either: Run) -> None:
    first, second = procession.Pipe()

    async def main(child: Any) -> None:
        async with run_either.tasks() as start:
            start(one)
            await run_either.sleep(0.05 if long else 0)
            child.kill()

    async def one() -> None:
        with pytest.raises(EOFError):
            await second.recv_async()

    def send(end: Any) -> None:
        if long:
            end.send(bytes(30_000_000))
        sleep_for_ever()

    with second:
        child = procession.Process(target=send, args=(first,))
        child.start()
        first.close()
        if long:  # (what had come of it, no more will follow)
            os.kill(child.pid or 0, 19)
        run_either(lambda: main(child))
        child.join()


def test_processes_and_workers_are_killed(run_either: Run) -> None:
    async def main(child: Any, future: Any, ready: Any) -> None:
        async with run_either.tasks() as start:
            start(ends)
            start(dies, future)
            await run_either.until(ready.is_set)
            child.kill()
            os.kill(next(iter(pool._processes)), 9)

    async def ends() -> None:
        assert await child == -9

    async def dies(future: Any) -> None:
        with pytest.raises(WorkerDied):
            await future

    ready = procession.Event()
    with sleeper(sleep_for_ever) as child, ProcessPoolExecutor(1) as pool:
        future = pool.submit(lambda: (ready.set(), sleep_for_ever()))
        run_either(lambda: main(child, future, ready))


# --- what the await began, or asks for, ends with it ---


@pytest.mark.parametrize("how", ["cancelled", "too late", "left alone", "thrown away"])
def test_a_process_that_is_to_stop_with_the_await(how: str, run_either: Run) -> None:
    run, ready = run_either, procession.Event()

    async def main(child: Any) -> None:
        assert ready.wait(LIMIT)
        if how == "cancelled":
            assert await run.cancelled(lambda: child.join_async(stop=True, grace=0.05))
        elif how == "too late":
            assert await child.join_async(0.01, stop=True, grace=0.05) is None
        elif how == "thrown away":
            awaiting = child.join_async(stop=True, grace=0.05)
            with contextlib.suppress(StopIteration):
                awaiting.send(None)
            awaiting.close()
            return
        else:
            assert await child.join_async(0.01) is None
            assert await run.cancelled(child.join_async)
            assert child.is_alive()
            return
        assert not child.is_alive(), "it is gone before the await ends"
        assert child.exitcode == -9, "it did not heed SIGTERM"

    def stay() -> None:
        import signal

        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        ready.set()
        sleep_for_ever()

    with sleeper(stay) as child:
        if how == "thrown away" and run.library == "trio":
            pytest.skip("trio does not have it")
        run(lambda: main(child))
        if how == "thrown away":
            child.join(LIMIT)
            assert child.exitcode == -9


@pytest.mark.parametrize("beside", ["", "anyio._backends._asyncio"])
def test_a_process_is_to_stop_though_the_loop_ends_at_the_cancellation(beside: str) -> None:
    """No task that would do it is begun any more."""
    if beside:
        pytest.importorskip(beside)
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)  # (that a task was thrown away)

    def cancel_and_end() -> None:
        task.cancel()
        loop.call_soon(loop.stop)

    with sleeper(sleep_for_ever) as child:
        awaiting = child.join_async(stop=True)
        task = loop.create_task(awaiting)
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.call_soon(cancel_and_end)
        loop.run_forever()
        assert not task.done()
        awaiting.close()
        child.join(LIMIT)
        assert child.exitcode == -15
        loop.run_until_complete(asyncio.sleep(0.01))  # (anyio keeps a task that is thrown away, and that keeps the loop)
        loop.close()


def test_what_a_join_refuses(run_either: Run) -> None:
    async def main(child: Any) -> None:
        with pytest.raises(ValueError, match="grace"):
            await child.join_async(grace=-1)
        with pytest.raises(ValueError, match="NaN"):
            await child.join_async(float("nan"), stop=True)
        assert child.is_alive()
        with pytest.raises(procession.ProcessStateError):
            await procession.Process().join_async()

    with sleeper(sleep_for_ever) as child:
        run_either(lambda: main(child))


@pytest.mark.parametrize("how", ["cancelled", "too late"])
@pytest.mark.parametrize("stop", [True, False])
def test_a_task_of_a_pool_stops_with_the_await(how: str, stop: bool, run_either: Run) -> None:
    run, ready, gate = run_either, procession.Event(), procession.SimpleQueue()

    async def main(future: Any) -> None:
        await run.until(ready.is_set)
        if how == "cancelled":
            assert await run.cancelled(lambda: future.result_async(stop=stop))
        else:
            with pytest.raises(TimeoutError):
                await future.result_async(0.01, stop=stop)
        assert future.cancelled() is stop
        gate.put(3)
        if not stop:
            assert await future == 3

    with ProcessPoolExecutor(1) as pool:
        run(lambda: main(pool.submit(lambda: (ready.set(), gate.get())[1])))
        assert pool.submit(abs, -1).result(LIMIT) == 1


# --- several at one ---


def test_many_tasks_at_one_process_and_one_result(run: Run) -> None:
    found: list[Any] = []

    async def one(thing: Any) -> None:
        found.append(await thing)

    async def main(child: Any, pool: Any) -> None:
        things = [child, pool.apply_async(gate.get), pool.map_async(abs, [-2])]
        async with run.tasks() as start:
            for thing in things:
                for _ in range(20):
                    start(one, thing)
            await run.sleep(0.01)
            gate.put(5)
            child.kill()

    gate = procession.SimpleQueue()
    with sleeper(sleep_for_ever) as child, Pool(1) as pool:
        run(lambda: main(child, pool))
        pool.close()
        pool.join()
    assert sorted(found, key=str) == [-9] * 20 + [5] * 20 + [[2]] * 20


def test_iterating(run: Run) -> None:
    """More than is read ahead, of what has no length as well; and a failure in the middle."""

    async def main(pool: Any, executor: Any) -> None:
        assert [n async for n in pool.imap(abs, range(-300, 0))] == list(range(300, 0, -1))
        assert sorted([n async for n in pool.imap_unordered(abs, iter(range(300)), chunksize=7)]) == list(range(300))
        assert [n async for n in executor.map(pow, range(300), iter(range(300)))] == [n**n for n in range(300)]
        results = pool.imap(divmod_by, [1, 0, 2])
        assert await results.next_async() == (10, 0)
        with pytest.raises(ZeroDivisionError):
            await results.next_async()
        assert [n async for n in results] == [(5, 0)]
        with pytest.raises(StopAsyncIteration):
            await results.next_async()
        with pytest.raises(TimeoutError):
            assert [n async for n in executor.map(time.sleep, [5], timeout=0.01)]
        executor.kill_workers()

    def divmod_by(n: int) -> Any:
        return divmod(10, n)

    with Pool(2) as pool, ProcessPoolExecutor(2) as executor:
        run(lambda: main(pool, executor))
        pool.close()
        pool.join()


def test_a_map_that_is_longer_than_what_is_under_way_at_once(run_either: Run) -> None:
    async def main(pool: Any) -> Any:
        return await pool.map_async(abs, range(3000), chunksize=1)

    with Pool(2) as pool:
        assert run_either(lambda: main(pool)) == list(range(3000))
        pool.close()
        pool.join()


def test_a_loop_that_ends_while_tasks_wait(run_either: Run) -> None:
    """As at the end of a program: all of them are cancelled, and nothing is left of them."""
    lock, queue = procession.Lock(), procession.Queue()
    lock.acquire()

    async def main(child: Any) -> None:
        async with run_either.tasks() as start:
            for wait in (lock.acquire_async, queue.get_async, child.join_async):
                start(wait)
            await run_either.sleep(0.01)
            raise ZeroDivisionError

    with sleeper(sleep_for_ever) as child:
        with pytest.raises(ExceptionGroup):
            run_either(lambda: main(child))
        assert lock.waiters == ()
        queue.put(1)
        assert queue.get(timeout=LIMIT) == 1


def test_two_loops_in_two_threads_and_a_fork_while_they_wait(run_either: Run) -> None:
    event, found = procession.Event(), []

    async def main() -> None:
        found.append(await event.wait_async(LIMIT))

    threads = [threading.Thread(target=run_either, args=(main,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(event.waiters) == 2)

    def child() -> None:
        """It has a loop of its own, in which it waits."""
        import asyncio

        async def main() -> None:
            assert await event.wait_async(0.01) is False
            event.set()

        asyncio.run(main())

    forked = procession.get_context("fork").Process(target=child)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        forked.start()
    forked.join()
    assert forked.exitcode == 0
    for thread in threads:
        thread.join()
    assert found == [True, True]
