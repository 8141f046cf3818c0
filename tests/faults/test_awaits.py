"""Whatever is awaited, in whichever library's event loop: in time, too late, cancelled, and when the other side is killed."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from multiprocessing import TimeoutError as PoolTimeout
from queue import Empty, Full
from types import SimpleNamespace
from typing import Any

import pytest
from sleepers import sleeper

import procession
from eventloops import Run
from procession.pool.executor import ProcessPoolExecutor
from procession.pool.pool import Pool
from procession.share.connection import Connection

LIMIT = 20

pytestmark = pytest.mark.usefixtures("callers_leave_soon")

# --- what is awaited ---
#
# Each kind is made so that a wait for it waits. ``wait(timeout)`` is awaited; `give` ends it well, with `good`; `late` is
# what a time-out gives, or raises. `take` takes in place what a cancelled wait must not have taken.


def case(wait: Callable[..., Any], give: Callable[[], Any], good: Any = True, late: Any = False, **more: Any) -> Any:
    return SimpleNamespace(wait=wait, give=give, good=good, late=late, **more)


Made = Iterator[Any]
KINDS: dict[str, Callable[[], contextlib.AbstractContextManager[Any]]] = {}


def kind(function: Callable[..., Made]) -> Callable[..., Made]:
    KINDS[function.__name__] = contextlib.contextmanager(function)
    return function


def held(thing: Any) -> Any:
    thing.acquire()
    return case(thing.acquire_async, thing.release, take=lambda: thing.acquire(timeout=LIMIT), thing=thing)


@kind
def lock() -> Made:
    yield held(procession.Lock())


@kind
def semaphore() -> Made:
    yield held(procession.Semaphore())


@kind
def robust_semaphore() -> Made:
    yield held(procession.BoundedSemaphore())


@kind
def rlock() -> Made:
    """(The thread has it, and the task is another owner.)"""
    yield case(held(thing := procession.RLock()).wait, thing.release, thing=thing)


@kind
def reading() -> Made:
    thing = procession.RWLock()
    thing.acquire_write()
    yield case(thing.acquire_read_async, thing.release_write, thing=thing)


@kind
def writing() -> Made:
    thing = procession.RWLock()
    thing.acquire_read()
    yield case(thing.acquire_write_async, thing.release_read, thing=thing)


@kind
def event() -> Made:
    thing = procession.Event()
    yield case(thing.wait_async, thing.set, thing=thing)


@kind
def condition() -> Made:
    thing = procession.Condition()

    async def wait(timeout: float | None = None) -> bool:
        async with thing:
            return await thing.wait_async(timeout)

    def give() -> None:
        with thing:
            thing.notify()

    yield case(wait, give, thing=thing)


@kind
def predicate() -> Made:
    thing, state = procession.Condition(procession.Lock()), [False]

    async def wait(timeout: float | None = None) -> bool:
        async with thing:
            return await thing.wait_for_async(lambda: state[0], timeout)

    def give() -> None:
        with thing:
            state[0] = True
            thing.notify_all()

    yield case(wait, give, thing=thing)


@kind
def item() -> Made:
    queue = procession.Queue()
    yield case(queue.get_async, lambda: queue.put(True), late=Empty, take=lambda: queue.get(timeout=LIMIT))


@kind
def simple_item() -> Made:
    queue = procession.SimpleQueue()
    yield case(queue.get_async, lambda: queue.put(True), late=Empty, take=queue.get)


@kind
def space() -> Made:
    queue = procession.Queue(1)
    queue.put(1)

    async def wait(timeout: float | None = None) -> None:
        await queue.put_async(2, timeout)

    yield case(wait, queue.get, good=None, late=Full)


@kind
def tasks_done() -> Made:
    queue = procession.JoinableQueue()
    queue.put(1)
    yield case(queue.join_async, lambda: (queue.get(), queue.task_done()))


def received(first: Any, second: Any) -> Made:
    async def wait(timeout: float | None = None) -> Any:
        assert timeout is None
        return await second.recv_async()

    def take() -> Any:
        assert second.poll(LIMIT)
        return second.recv()

    with first, second:
        yield case(wait, lambda: first.send(True), late=None, take=take)


@kind
def message() -> Made:
    yield from received(*procession.Pipe())


@kind
def stream_message() -> Made:
    yield from received(*(Connection(each.detach()) for each in socket.socketpair()))


@kind
def process() -> Made:
    gate = procession.Event()
    with sleeper(lambda: gate.wait() and os._exit(7)) as child:
        yield case(child.join_async, gate.set, good=7, late=None)


@kind
def future() -> Made:
    gate = procession.SimpleQueue()
    with ProcessPoolExecutor(1) as pool:
        found = pool.submit(gate.get)
        yield case(lambda t=None: found.result_async(t, stop=False), lambda: gate.put(True), late=TimeoutError)


@kind
def no_exception() -> Made:
    gate = procession.SimpleQueue()
    with ProcessPoolExecutor(1) as pool:
        found = pool.submit(gate.get)
        wait = lambda t=None: found.exception_async(t, stop=False)  # noqa: E731
        yield case(wait, lambda: gate.put(True), good=None, late=TimeoutError)


def of_pool(begin: Callable[[Any, Any], Any], good: Any) -> Made:
    gate = procession.SimpleQueue()
    with Pool(1) as pool:
        yield case(begin(pool, gate), lambda: gate.put(True), good=good, late=PoolTimeout)
        pool.close()
        pool.join()


@kind
def async_result() -> Made:
    yield from of_pool(lambda pool, gate: pool.apply_async(gate.get).get_async, True)


@kind
def called_back_result() -> Made:
    yield from of_pool(lambda pool, gate: pool.apply_async(gate.get, callback=str).get_async, True)


@kind
def map_result() -> Made:
    yield from of_pool(lambda pool, gate: pool.map_async(lambda _: gate.get(), [1]).get_async, [True])


@kind
def next_result() -> Made:
    yield from of_pool(lambda pool, gate: pool.imap(lambda _: gate.get(), [1]).next_async, True)


ALL = pytest.mark.parametrize("name", KINDS)


async def outcome(made: Any, timeout: float | None) -> Any:
    """What the wait gave; of an exception, its class."""
    try:
        return await made.wait(timeout)
    except Exception as error:
        return type(error)


@ALL
def test_too_late_cancelled_and_in_time(name: str, run: Run) -> None:
    found: list[Any] = []

    async def main(made: Any) -> None:
        if "message" not in name:
            for timeout in (0, 0.01):
                assert await outcome(made, timeout) == made.late
        assert await run.cancelled(made.wait), "nobody has given it"
        async with run.tasks() as start:
            for n in range(2):
                if n:  # (one of two is cancelled, and the other has it)
                    assert await run.cancelled(made.wait, after=0.005)
                else:
                    start(one, made)
                    await run.sleep(0.005)
            made.give()

    async def one(made: Any) -> None:
        found.append(await outcome(made, None))

    with KINDS[name]() as made:
        run(lambda: main(made))
        assert found == [made.good]
        if hasattr(made, "thing"):
            assert made.thing.waiters == ()


TAKEN = pytest.mark.parametrize(
    "name", ["lock", "semaphore", "robust_semaphore", "item", "simple_item", "message", "stream_message"]
)


@TAKEN
def test_each_is_a_checkpoint_of_trio_before_it_takes_anything(name: str) -> None:
    trio = pytest.importorskip("trio", reason="trio is not installed")

    async def main(made: Any) -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            await made.wait()
        assert scope.cancelled_caught

    with KINDS[name]() as made:
        made.give()
        trio.run(main, made)
        assert made.take() is True


@TAKEN
def test_cancelled_in_the_moment_in_which_it_is_given(name: str, run_either: Run) -> None:
    """Either it has it, or it is there for the next: never both, never neither."""
    run = run_either
    found: list[str] = []

    async def main(made: Any) -> None:
        for n in range(9):
            state: list[Any] = []

            async def one(state: list[Any] = state) -> None:
                state.append(await made.wait())

            async with run.tasks() as start:
                cancel = start(one)
                await run.sleep(0.002)
                made.give()
                if n % 3 == 1:
                    time.sleep(0.001)  # (the doorbell rings meanwhile)
                elif n % 3 == 2:
                    await run.sleep(0)
                cancel()
            if not state:
                assert made.take() is True
            found.append("had" if state else "left")

    with KINDS[name]() as made:
        run(lambda: main(made))
    assert len(found) == 9
