"""Deaths of which no reaper hears: who waits looks for himself. And locks at a plain os.fork()."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from actors import Runner, timed, told, wait_for_waiters

import procession
from procession import BoundedSemaphore, Lock, OwnerDiedWarning, RLock, RWLock
from procession.testing.saboteurs import sleep_for_ever
from procession.testing.watch import eventually, identity, is_zombie, stop

#: A waiter looks after 5 ms, and from then on once a second.
LOOK = 3


@contextmanager
def forked(child: Callable[[], object]) -> Iterator[int]:
    """A child of a plain os.fork() that has called `child()` and lives; nobody waits for it before the end of the block."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, b"1" if child() else b"0")
            sleep_for_ever()
        finally:
            os._exit(1)
    try:
        assert os.read(read, 1) == b"1"
        yield pid
    finally:
        os.close(read)
        os.close(write)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def kill_unseen(pid: int) -> None:
    who = identity(pid)
    os.kill(pid, signal.SIGKILL)
    assert who is not None
    eventually(lambda: is_zombie(who))


# --- a reaper that does not hear ---


@pytest.mark.parametrize("make", [Lock, RLock, BoundedSemaphore, lambda: RWLock().writing()])
def test_a_holder_dies_while_its_parent_is_stopped(make: Any, actor: Any) -> None:
    lock, parent, other = make(), actor(), actor()

    def start_holder() -> int:
        process = procession.Process(target=lambda: (lock.acquire(), sleep_for_ever()))
        process.start()
        assert process.pid is not None
        return process.pid

    holder = parent(start_holder)
    bare = getattr(lock, "_lock", lock)
    eventually(lambda: bare.writer if isinstance(lock, type(RWLock().writing())) else lock.locked())
    other.begin(told, lock.acquire)
    wait_for_waiters(bare, 1)
    stop(parent.process.pid)
    try:
        kill_unseen(holder)
        (result, warned), took = timed(other.end)
        assert result is True
        assert took < LOOK
        assert [w.pid for w in warned] == ([holder] if hasattr(lock, "owner_died") else [])
    finally:
        os.kill(parent.process.pid, signal.SIGCONT)
    other(lock.release)


@pytest.mark.parametrize("make", [Lock, RLock, BoundedSemaphore, lambda: RWLock().writing()])
def test_a_holder_that_came_from_a_plain_fork_dies(make: Any) -> None:
    lock = make()
    bare = getattr(lock, "_lock", lock)
    with forked(lock.acquire) as pid:
        runner = Runner(told, lock.acquire)
        wait_for_waiters(bare, 1)
        kill_unseen(pid)
        (result, warned), took = timed(runner.end)
        assert result is True
        assert took < LOOK
        assert [w.pid for w in warned] == ([pid] if hasattr(lock, "owner_died") else [])


def test_a_task_looks_too() -> None:
    import asyncio

    lock = BoundedSemaphore(1)
    with forked(lock.acquire) as pid:

        async def main() -> float:
            waiting = asyncio.create_task(lock.acquire_async())
            while not lock.waiters:
                await asyncio.sleep(0.001)
            kill_unseen(pid)
            began = time.monotonic()
            assert await waiting is True
            return time.monotonic() - began

        assert asyncio.run(main()) < LOOK


# --- what the parent holds at a fork ---


@pytest.mark.parametrize("make", [Lock, RLock])
def test_the_child_of_a_fork_does_not_hold_what_its_parent_holds(make: Any) -> None:
    lock = make()
    lock.acquire()

    def look() -> bool:
        mine = lock._is_mine() or lock._count()
        free = lock.acquire(False) or lock.acquire(True, 0.05)
        return not mine and not free and lock.holder.pid == os.getppid()

    with forked(look):
        assert lock.locked()
        assert lock._is_mine()
    assert lock._is_mine(), "the child's end gave nothing back"
    lock.release()
    assert lock.acquire(False)


def test_the_child_of_a_fork_cannot_release_a_recursive_lock() -> None:
    lock = RLock()

    def release() -> bool:
        try:
            lock.release()
        except AssertionError:
            return True
        return False

    with lock:
        with forked(release):
            assert lock._is_mine()
        assert repr(lock) == "<RLock(MainProcess, 1)>"


def test_the_child_of_a_fork_waits_for_its_parent() -> None:
    lock, semaphore = Lock(), BoundedSemaphore(1)
    lock.acquire()
    semaphore.acquire()
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, b"." if lock.acquire(True, 20) and semaphore.acquire(True, 20) else b"-")
            lock.release()
            semaphore.release()
        finally:
            os._exit(0)
    for thing in (lock, semaphore):
        wait_for_waiters(thing, 1)
        thing.release()
    assert os.read(read, 1) == b"."
    os.waitpid(pid, 0)
    os.close(read)
    os.close(write)
    assert lock.acquire(True, 5)
    assert semaphore.acquire(True, 5)


def test_the_end_of_a_forked_child_that_drops_its_copies_frees_nothing() -> None:
    lock = Lock()
    lock.acquire()

    def drop() -> bool:
        nonlocal lock
        del lock
        return True

    with forked(drop):
        pass
    others = [Lock() for _ in range(10)]
    assert lock.locked()
    assert not any(other.locked() for other in others)


def test_a_parent_that_dies_after_a_fork_leaves_the_lock_to_its_child(actor: Any) -> None:
    """Below a member that holds a lock there is a plain fork's child: its end, not the child's, counts."""
    lock, parent = Lock(), actor()

    def hold_and_fork() -> int:
        lock.acquire()
        pid = os.fork()
        if pid == 0:
            sleep_for_ever()
        return pid

    parent(hold_and_fork)
    assert not lock.acquire(False)
    parent.kill()
    with pytest.warns(OwnerDiedWarning) as seen:
        assert lock.acquire(True, LOOK)
    assert seen[0].message.pid == parent.process.pid
