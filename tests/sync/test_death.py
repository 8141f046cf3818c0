"""Holders that die: who comes next gets the lock, and is told."""

from __future__ import annotations

import os
import signal
import time
import warnings
from typing import Any

import pytest
from actors import Actor, Runner, timed, told, wait_for_waiters

from procession import Lock, OwnerDied, OwnerDiedWarning, RLock

BOTH = pytest.mark.parametrize("make", [Lock, RLock])
#: Well below a waiter's second own look: it is the reaper, which hears of the death at once, that the next one owes it to.
SOON = 0.9


def die_holding(lock: Any, actor: Any, **options: Any) -> Actor:
    """A process that was killed with the lock in its hands."""
    other: Actor = actor(**options)
    assert other(lock.acquire)
    other.kill()
    return other


# --- the next one ---


@BOTH
def test_the_next_one_gets_it_and_is_told(make: Any, actor: Any, ctx: Any) -> None:
    lock, other, before = make(), actor(ctx, name="librarian"), time.time()
    assert other(lock.acquire)
    taken = time.time()
    runner = Runner(told, lock.acquire)
    wait_for_waiters(lock, 1)
    other.process.kill()
    (result, (warning,)), took = timed(runner.end)
    assert result is True
    assert took < SOON
    assert isinstance(warning, OwnerDiedWarning)
    assert (warning.kind, warning.process, warning.pid) == (type(lock).__name__, "librarian", other.process.pid)
    assert warning.thread == other.process.pid
    assert before - 0.05 < warning.since < taken + 0.05
    assert f"librarian (pid {other.process.pid}), which held it since" in str(warning)
    assert lock.holder.pid == os.getpid()


@BOTH
def test_only_the_first_is_told(make: Any, actor: Any) -> None:
    lock = make()
    die_holding(lock, actor)
    assert lock.owner_died
    assert lock.holder is None
    with pytest.warns(OwnerDiedWarning):
        assert lock.acquire(False)
    assert lock.owner_died
    lock.release()
    assert not lock.owner_died
    with lock:
        assert not lock.owner_died


@BOTH
def test_a_warning_that_is_an_error_leaves_it_free(make: Any, actor: Any) -> None:
    lock = make()
    die_holding(lock, actor)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(OwnerDiedWarning):
            lock.acquire()
    assert not lock.locked()
    assert lock.owner_died, "nobody holds what he was warned of: the next one is told, too"
    with pytest.warns(OwnerDiedWarning):
        lock.acquire()


def test_the_depth_of_the_dead_is_forgotten(actor: Any) -> None:
    lock, other = RLock(), actor()
    for _ in range(5):
        assert other(lock.acquire)
    other.kill()
    with pytest.warns(OwnerDiedWarning):
        lock.acquire()
    assert repr(lock) == "<RLock(MainProcess, 1)>"
    lock.release()
    assert not lock.locked()


@BOTH
def test_many_deaths_in_a_row(make: Any, actor: Any) -> None:
    """Each is the next holder, is told of the one before, and dies of it."""
    lock, others = make(), [actor() for _ in range(4)]
    assert others[0](lock.acquire)
    for n, other in enumerate(others[1:], 1):
        other.begin(told, lock.acquire)
        wait_for_waiters(lock, 1)
        others[n - 1].kill()
        _, (warning,) = other.end()
        assert warning.pid == others[n - 1].process.pid
    others[-1].kill()
    with pytest.warns(OwnerDiedWarning):
        lock.acquire()


# --- on_owner_death="raise" ---


@BOTH
def test_everybody_is_refused_until_all_is_well(make: Any, actor: Any) -> None:
    lock, other = make(on_owner_death="raise"), actor()
    dead = die_holding(lock, actor, name="librarian")
    for _ in range(2):
        with pytest.raises(OwnerDied) as caught:
            lock.acquire()
        assert not lock.locked()
        with pytest.raises(OwnerDied):
            other(lock.acquire)
        with pytest.raises(OwnerDied):
            lock.__enter__()
        with pytest.raises(OwnerDied):
            lock.acquire(False)
    assert caught.value.kind == type(lock).__name__
    assert lock.owner_died
    lock.mark_consistent()
    assert not lock.owner_died
    assert other(lock.acquire) is True
    other(lock.release)
    assert dead.process.exitcode == -signal.SIGKILL


def test_the_error_says_who(actor: Any) -> None:
    lock = Lock(on_owner_death="raise")
    dead = die_holding(lock, actor, name="librarian")
    with pytest.raises(OwnerDied, match="Lock: librarian") as caught:
        lock.acquire()
    assert (caught.value.process, caught.value.pid) == ("librarian", dead.process.pid)
    lock.mark_consistent()


@BOTH
def test_all_waiters_are_refused(make: Any, actor: Any) -> None:
    lock, others = make(on_owner_death="raise"), [actor() for _ in range(3)]
    assert others[0](lock.acquire)
    for other in others[1:]:
        other.begin(lock.acquire)
    wait_for_waiters(lock, 2)
    others[0].kill()
    for other in others[1:]:
        with pytest.raises(OwnerDied):
            other.end(SOON)
    lock.mark_consistent()


@BOTH
@pytest.mark.parametrize("how", ["warn", "raise"])
def test_repair(make: Any, how: str, actor: Any) -> None:
    lock = make(on_owner_death=how)
    die_holding(lock, actor)
    with lock.repair():
        assert lock.locked()
        assert lock._is_mine()
    assert not lock.owner_died
    with lock:
        pass
    with lock.repair():
        pass
    assert not lock.owner_died


def test_a_repair_that_fails(actor: Any) -> None:
    lock = Lock(on_owner_death="raise")
    die_holding(lock, actor)
    with pytest.raises(ZeroDivisionError):
        with lock.repair():
            raise ZeroDivisionError
    assert not lock.locked()
    with pytest.raises(OwnerDied):
        lock.acquire()
    lock.mark_consistent()


def test_a_repair_waits_for_its_turn(actor: Any) -> None:
    lock, other = Lock(on_owner_death="raise"), actor()
    assert other(lock.acquire)

    def repair() -> bool:
        with lock.repair():
            return True

    runner = Runner(repair)
    wait_for_waiters(lock, 1)
    other.kill()
    assert runner.end(SOON) is True
    assert not lock.owner_died


# --- other ends ---


@pytest.mark.parametrize("end", ["returns", "raises", "os._exit"])
def test_a_holder_that_ends_by_itself(end: str, ctx: Any, capfd: Any) -> None:
    lock, semaphore = ctx.Lock(), ctx.BoundedSemaphore(1)

    def child() -> None:
        lock.acquire()
        semaphore.acquire()
        if end == "raises":
            raise ZeroDivisionError
        if end == "os._exit":
            os._exit(7)

    process = ctx.Process(target=child)
    process.start()
    process.join()
    assert lock.owner_died
    assert semaphore.get_value() == 1
    with pytest.warns(OwnerDiedWarning) as seen:
        lock.acquire()
    assert seen[0].message.pid == process.pid
    assert capfd.readouterr()
