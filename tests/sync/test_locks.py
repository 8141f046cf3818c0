"""Lock and RLock: what `multiprocessing`'s promise, and who holds and who waits."""

from __future__ import annotations

import gc
import os
import threading
import time
import weakref
from typing import Any

import pytest
from actors import Runner, timed, wait_for_waiters

from procession import Lock, RLock, _native

BOTH = pytest.mark.parametrize("make", [Lock, RLock])


# --- taking and giving ---


def test_a_lock_is_taken_once() -> None:
    lock = Lock()
    assert lock.acquire() is True
    assert lock.acquire(False) is False
    assert lock.release() is None
    assert lock.acquire(block=True, timeout=None) is True
    lock.release()


def test_a_recursive_lock_is_taken_again_by_its_holder() -> None:
    lock = RLock()
    assert [lock.acquire() for _ in range(3)] == [True] * 3
    assert Runner(lock.acquire, False).end() is False
    for _ in range(3):
        assert lock.locked()
        assert lock.release() is None
    assert not lock.locked()
    assert Runner(lambda: (lock.acquire(False), lock.release())).end() == (True, None)


def test_too_many_releases() -> None:
    with pytest.raises(ValueError, match="semaphore or lock released too many times"):
        Lock().release()
    lock = RLock()
    with pytest.raises(AssertionError, match="attempt to release recursive lock not owned by thread"):
        lock.release()
    with lock, pytest.raises(AssertionError):
        Runner(lock.release).end()
    with pytest.raises(AssertionError):
        lock.release()


def test_a_lock_is_released_by_another_thread_and_another_process(actor: Any) -> None:
    lock = Lock()
    lock.acquire()
    Runner(lock.release).end()
    assert lock.acquire(False)
    actor()(lock.release)
    assert lock.acquire(False)
    lock.release()


@BOTH
def test_in_a_block(make: Any) -> None:
    lock = make()
    with lock as entered:
        assert entered is True
        assert lock.locked()
    assert not lock.locked()
    with pytest.raises(ZeroDivisionError):
        with lock:
            raise ZeroDivisionError
    assert lock.__enter__() is True
    assert lock.__exit__() is None
    assert not lock.locked()


@BOTH
def test_arguments(make: Any) -> None:
    lock = make()
    for wrong in ({"blocking": True}, {"timeout": "a"}):
        with pytest.raises(TypeError):
            lock.acquire(**wrong)
    with pytest.raises(TypeError):
        lock.acquire(True, None, 3)
    with pytest.raises(TypeError):
        lock.release(1)
    with pytest.raises(ValueError, match="NaN"):
        lock.acquire(timeout=float("nan"))
    with pytest.raises(TypeError):
        make(None)
    with pytest.raises(ValueError, match="on_owner_death"):
        make(on_owner_death="ignore")
    assert lock.acquire(True, float("inf")) is True
    assert not Runner(lock.acquire, False, 0.1).end()
    lock.release()


@BOTH
@pytest.mark.parametrize("timeout", [-1, 0, 0.05, 0.2])
def test_time_outs(make: Any, timeout: float) -> None:
    lock = make()
    assert lock.acquire(True, timeout)
    result, took = Runner(timed, lock.acquire, True, timeout).end()
    assert result is False
    assert max(timeout, 0) <= took < max(timeout, 0) + 1
    lock.release()


@BOTH
def test_a_lock_is_true_and_equal_to_itself_only(make: Any) -> None:
    lock = make()
    assert lock
    assert lock == lock
    assert lock != make()


# --- other processes ---


def test_one_at_a_time(ctx: Any, numbers: Any) -> None:
    """What is changed under the lock is changed by one at a time."""
    lock, counter = ctx.Lock(), numbers(1)

    def count() -> None:
        for _ in range(2000):
            with lock:
                counter[0] += 1

    processes = [ctx.Process(target=count) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert counter[0] == 6000


@BOTH
def test_it_waits_for_another_process(make: Any, actor: Any) -> None:
    lock, other = make(), actor()
    assert other(lock.acquire)
    runner = Runner(lock.acquire)
    wait_for_waiters(lock, 1)
    other(lock.release)
    assert runner.end() is True
    assert not other(lock.acquire, False)


def test_waiters_come_in_order() -> None:
    lock, order = Lock(), []
    lock.acquire()

    def take(n: int) -> None:
        lock.acquire()
        order.append(n)
        lock.release()

    runners = []
    for n in range(5):
        runners.append(Runner(take, n))
        wait_for_waiters(lock, n + 1)
    assert [w.thread for w in lock.waiters] == [runner.native_id for runner in runners]
    lock.release()
    for runner in runners:
        runner.end()
    assert sorted(order) == list(range(5))


# --- who ---


@BOTH
def test_holder_and_waiters(make: Any, actor: Any) -> None:
    lock, other = make(), actor(name="librarian")
    assert lock.holder is None
    assert lock.waiters == ()
    before = time.time()
    assert other(lock.acquire)
    holder = lock.holder
    assert (holder.process, holder.pid, holder.thread) == ("librarian", other.process.pid, other.process.pid)
    assert before - 0.05 < holder.since < time.time() + 0.05
    runner = Runner(lock.acquire)
    wait_for_waiters(lock, 1)
    assert lock.waiters[0][:3] == ("MainProcess", os.getpid(), runner.native_id)
    assert other(lambda lock: (lock.holder, lock.waiters), lock)[1][0].pid == os.getpid()
    other(lock.release)
    assert runner.end()
    assert lock.holder[:3] == ("MainProcess", os.getpid(), runner.native_id)
    assert lock.waiters == ()


def test_repr_of_a_lock(actor: Any) -> None:
    lock, other = Lock(), actor(name="librarian")
    assert repr(lock) == "<Lock(owner=None)>"
    with lock:
        assert repr(lock) == "<Lock(owner=MainProcess)>"
        assert Runner(repr, lock).end() == "<Lock(owner=SomeOtherThread)>"
        assert other(repr, lock).startswith(f"<Lock(owner=MainProcess, pid {os.getpid()}, thread")
    assert other(lambda: (lock.acquire(), repr(lock), lock.release()))[1] == "<Lock(owner=librarian)>"
    thread = threading.Thread(target=lock.acquire)
    thread.start()
    thread.join()
    assert repr(lock) == "<Lock(owner=SomeOtherThread)>"
    lock.release()


def test_repr_of_a_recursive_lock(actor: Any) -> None:
    lock, other = RLock(), actor(name="librarian")
    assert repr(lock) == "<RLock(None, 0)>"
    with lock, lock:
        assert repr(lock) == "<RLock(MainProcess, 2)>"
        assert Runner(repr, lock).end() == "<RLock(SomeOtherThread, nonzero)>"
        assert other(repr, lock).startswith("<RLock(MainProcess, pid ")
        assert other(repr, lock).endswith(", nonzero)>")
    name = Runner(lambda: (lock.acquire(), repr(lock), lock.release())).end()[1]
    assert name.startswith("<RLock(MainProcess|Thread-")


# --- lifetime ---


@BOTH
def test_a_lock_can_be_referred_to_weakly(make: Any) -> None:
    lock = make()
    reference = weakref.ref(lock)
    assert reference() is lock
    del lock
    gc.collect()
    assert reference() is None


def test_ten_thousand_locks_leave_nothing() -> None:
    gc.collect()
    before = _native.cells_in_use()
    for _ in range(5000):
        with Lock(), RLock():
            pass
    some = [Lock() for _ in range(1000)]
    assert _native.cells_in_use()[0] == before[0] + 1000
    del some
    assert _native.cells_in_use() <= before
