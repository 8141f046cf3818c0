"""What a type checker knows of all the forms of waiting. Not run: mypy --strict reads it (`test_typing`, and CI's own)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_type

import procession
from procession import DoneAndNotDone, Process, as_completed, wait, wait_async
from procession.pool.future import Future
from procession.pool.results import AsyncResult, IMapIterator, MapResult
from procession.process.completion import Completions
from procession.share.connection import Connection
from procession.share.managers import call_async
from procession.share.proxies import EventProxy, LockProxy, QueueProxy
from procession.share.queues import JoinableQueue, Queue, SimpleQueue
from procession.share.views import Joined, Space
from procession.sync.barrier import Barrier
from procession.sync.condition import Condition
from procession.sync.event import Event
from procession.sync.locks import Lock, RLock
from procession.sync.rwlock import RWLock, Side
from procession.sync.semaphores import BoundedSemaphore, Semaphore


def several(processes: list[Process], lock: Lock, event: Event) -> None:
    assert_type(wait(processes), DoneAndNotDone[Process])
    assert_type(wait(processes, 1.0, procession.FIRST_EXCEPTION).done, set[Process])
    assert_type(wait([lock, event, 3]).not_done, set[object])
    assert_type(as_completed(processes, timeout=1), Completions[Process])
    for process in as_completed(processes):
        assert_type(process, Process)


async def several_async(processes: list[Process]) -> None:
    assert_type(await wait_async(processes, 1.0, procession.FIRST_COMPLETED), DoneAndNotDone[Process])
    async for process in as_completed(processes):
        assert_type(process, Process)


def callbacks(
    process: Process, lock: Lock, side: Side, condition: Condition, barrier: Barrier, queue: SimpleQueue,
    connection: Connection, result: AsyncResult, function: Callable[[object], object],
) -> None:  # fmt: skip
    for add in (process.add_done_callback, lock.add_done_callback, side.add_done_callback, condition.add_done_callback):
        add(function)
    for more in (barrier.add_done_callback, queue.add_done_callback, connection.add_done_callback, result.add_done_callback):
        more(function)


async def processes(process: Process) -> None:
    assert_type(process.join(1.0), None)
    assert_type(process.is_alive(), bool)
    assert_type(await process, int)
    assert_type(await process.join_async(1.0, stop=True), int | None)


async def locks(lock: Lock, recursive: RLock, semaphore: Semaphore, bounded: BoundedSemaphore, rwlock: RWLock) -> None:
    for one in (lock, recursive):
        assert_type(one.acquire(True, 1.0), bool)
        assert_type(one.locked(), bool)
        assert_type(await one.acquire_async(1.0), bool)
        with one as got:
            assert_type(got, bool)
        async with one as got:
            assert_type(got, bool)
    for permits in (semaphore, bounded):
        assert_type(permits.acquire(block=False), bool)
        assert_type(await permits.acquire_async(), bool)
    assert_type(rwlock.reading(), Side)
    assert_type(rwlock.writing().acquire(timeout=1.0), bool)
    assert_type(await rwlock.writing().acquire_async(), bool)
    async with rwlock.reading() as got:
        assert_type(got, bool)


async def meetings(event: Event, condition: Condition, barrier: Barrier) -> None:
    assert_type(event.wait(1.0), bool)
    assert_type(event.is_set(), bool)
    assert_type(await event.wait_async(1.0), bool)
    assert_type(condition.wait(1.0), bool)
    assert_type(condition.wait_for(lambda: 3), int)
    assert_type(await condition.wait_async(), bool)
    assert_type(await condition.wait_for_async(lambda: 3), int)
    assert_type(barrier.wait(1.0), int)
    assert_type(await barrier.wait_async(), int)


async def messages(queue: Queue, joinable: JoinableQueue, connection: Connection) -> None:
    assert_type(queue.get_nowait(), Any)
    assert_type(await queue.get_async(1.0), Any)
    assert_type(await queue.put_async(3, 1.0), None)
    assert_type(queue.space, Space)
    assert_type(queue.space.done(), bool)
    assert_type(joinable.join(1.0), bool)
    assert_type(await joinable.join_async(1.0), bool)
    assert_type(joinable.joined, Joined)
    assert_type(await connection.recv_async(), Any)
    assert_type(await connection.send_async(3), None)


async def tasks(future: Future, result: AsyncResult, results: MapResult, iterator: IMapIterator) -> None:
    assert_type(future.result(1.0), Any)
    assert_type(future.done(), bool)
    assert_type(await future, Any)
    assert_type(await future.result_async(1.0, stop=False), Any)
    assert_type(result.ready(), bool)
    assert_type(await result.get_async(1.0), Any)
    assert_type(await results, Any)
    async for value in iterator:
        assert_type(value, Any)


async def proxies(event: EventProxy, lock: LockProxy, queue: QueueProxy, any_proxy: procession.managers.BaseProxy) -> None:
    assert_type(await event.wait_async(1.0), bool)
    assert_type(await lock.acquire_async(), bool)
    assert_type(await queue.get_async(), Any)
    assert_type(await queue.put_async(3), None)
    assert_type(await call_async(any_proxy, "get", 3), Any)
