"""Locks and semaphores in an event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from actors import Runner
from loops import run, until_waiters

from procession import BoundedSemaphore, Lock, OwnerDied, OwnerDiedWarning, RLock, RWLock, Semaphore

#: What can be taken, and what it is that is waited for.
KINDS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "Lock": lambda: (thing := Lock(), thing),
    "RLock": lambda: (thing := RLock(), thing),
    "Semaphore": lambda: (thing := Semaphore(), thing),
    "BoundedSemaphore": lambda: (thing := BoundedSemaphore(), thing),
    "RWLock": lambda: ((thing := RWLock()).writing(), thing),
}
ALL = pytest.mark.parametrize("kind", KINDS)


def take(thing: Any, timeout: float | None = None) -> Any:
    """Its `acquire_async`."""
    if hasattr(thing, "acquire_write_async"):
        return thing.acquire_write_async(timeout)
    return thing.acquire_async(timeout)


async def turn(lock: Any, thing: Any) -> bool:
    """Take it and give it back; whether it was taken."""
    taken: bool = await take(thing)
    lock.release()
    return taken


# --- locks and semaphores ---


@ALL
def test_take_and_wait(kind: str, actor: Any) -> None:
    lock, thing = KINDS[kind]()
    other = actor()

    async def main() -> None:
        assert await take(thing) is True
        lock.release()
        async with lock as entered:
            assert entered is True
            assert not other(lock.acquire, False)
        assert other(lock.acquire)
        task = asyncio.create_task(turn(lock, thing))
        await until_waiters(thing, 1)
        assert not task.done()
        other(lock.release)
        assert await task is True

    run(main)
    assert other(lock.acquire, False)
    other(lock.release)


@ALL
def test_time_outs(kind: str) -> None:
    lock, thing = KINDS[kind]()
    Runner(lock.acquire).end()

    async def main() -> None:
        for timeout in (-1, 0, 0.1):
            began = time.monotonic()
            assert await take(thing, timeout) is False
            assert max(timeout, 0) <= time.monotonic() - began + 0.002 < max(timeout, 0) + 1
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(take(thing), 0.05)
        assert thing.waiters == ()
        with pytest.raises(ValueError, match="NaN"):
            await take(thing, float("nan"))

    run(main)


@ALL
def test_who_is_cancelled_has_taken_nothing_and_keeps_nobody(kind: str) -> None:
    """Cancelled before, at, and after the moment in which it is given what it waits for."""

    async def main() -> None:
        lock, thing = KINDS[kind]()
        for n in range(16):
            assert await take(thing)
            first, second = (asyncio.create_task(turn(lock, thing)) for _ in range(2))
            await until_waiters(thing, 2)
            if n % 2:
                first.cancel()
            lock.release()
            time.sleep(0.0002 * (n // 2))  # (the loop does not run; the doorbell rings)
            if n % 4 == 2:
                await asyncio.sleep(0)
            first.cancel()
            assert await asyncio.wait_for(second, 5) is True
            await asyncio.gather(first, return_exceptions=True)
            assert thing.waiters == ()

    run(main)


def test_a_recursive_lock_belongs_to_a_task() -> None:
    lock = RLock()

    async def main() -> None:
        async with lock, lock:
            assert repr(lock) == "<RLock(MainProcess, 2)>"
            other = asyncio.create_task(take(lock, 0))
            assert await other is False
            with pytest.raises(AssertionError, match="not owned"):
                await asyncio.create_task(give())
            assert not Runner(lock.acquire, False).end()
        cancelled, waiting = asyncio.create_task(hold()), asyncio.create_task(hold())
        async with lock:
            await until_waiters(lock, 2)
            cancelled.cancel()
        assert await waiting is True
        assert cancelled.cancelled() or await asyncio.gather(cancelled, return_exceptions=True)

    async def give() -> None:
        lock.release()

    async def hold() -> bool:
        async with lock:
            return lock._is_mine()

    run(main)
    assert not lock.locked()


def test_a_dead_holder(actor: Any) -> None:
    lock, strict, other = Lock(), Lock(on_owner_death="raise"), actor()

    async def main() -> None:
        for each in (lock, strict):
            other(each.acquire)
        tasks = [asyncio.create_task(take(each)) for each in (lock, strict)]
        for each in (lock, strict):
            await until_waiters(each, 1)
        other.process.kill()
        with pytest.warns(OwnerDiedWarning):
            assert await tasks[0] is True
        with pytest.raises(OwnerDied):
            await tasks[1]
        strict.mark_consistent()

    run(main)


def test_readers(actor: Any) -> None:
    lock, other = RWLock(), actor()

    async def main() -> None:
        async with lock.reading():
            assert other(lock.acquire_read, False)
            writer = asyncio.create_task(lock.acquire_write_async())
            await until_waiters(lock, 1)
            late = asyncio.create_task(lock.acquire_read_async())
            await until_waiters(lock, 2)
            writer.cancel()
            assert await asyncio.wait_for(late, 5) is True, "nobody writes any more"
        lock.release_read()
        other(lock.release_read)

    run(main)
