"""The death of those who have permits, read, write, wait, or are to meet others."""

from __future__ import annotations

import os
from threading import BrokenBarrierError
from typing import Any

import pytest
from actors import Runner, told, wait_for_waiters

from procession import Barrier, BoundedSemaphore, Condition, Event, Lock, RLock, RWLock, Semaphore
from procession.testing.saboteurs import sleep_for_ever
from procession.testing.watch import eventually, stop

#: Well below a waiter's second own look: it is the reaper, which hears of the death at once, that the next one owes it to.
SOON = 0.9


def waits(condition: Any) -> bool:
    with condition:
        return bool(condition.wait(20))


def notify(condition: Any, n: int = 1) -> None:
    with condition:
        condition.notify(n)


def test_a_condition_returns_with_the_lock_of_the_dead(actor: Any) -> None:
    condition, other = Condition(), actor()

    def wait() -> Any:
        with condition:
            return told(condition.wait, 20)

    def notify_and_stay() -> None:
        condition.acquire()
        condition.notify()

    runner = Runner(wait)
    wait_for_waiters(condition, 1)
    other(notify_and_stay)
    other.kill()
    result, (warning,) = runner.end()
    assert result is True
    assert warning.pid == other.process.pid


def test_permits_of_a_robust_semaphore_go_back(actor: Any, ctx: Any) -> None:
    for semaphore in (BoundedSemaphore(3), Semaphore(3, robust=True)):
        one, two = actor(ctx), actor(ctx)
        for _ in range(2):
            assert one(semaphore.acquire)
        assert two(semaphore.acquire)
        runners = [Runner(semaphore.acquire) for _ in range(2)]
        wait_for_waiters(semaphore, 2)
        one.kill()
        assert [runner.end(SOON) for runner in runners] == [True, True]
        assert semaphore.get_value() == 0
        two.kill()
        eventually(lambda s=semaphore: s.get_value() == 1)
        assert [(who.pid, n) for who, n in semaphore.holders] == [(os.getpid(), 2)]


def test_permits_of_a_plain_one_do_not(actor: Any) -> None:
    for semaphore in (Semaphore(2), BoundedSemaphore(2, robust=False)):
        other = actor()
        assert other(semaphore.acquire)
        other.kill()
        assert semaphore.acquire(True, 0.05)
        assert not semaphore.acquire(True, 0.05)


def test_a_reader_and_a_writer_die(actor: Any) -> None:
    lock, reader, writer = RWLock(), actor(), actor()
    assert reader(lock.acquire_read)
    writer.begin(lock.acquire_write)
    wait_for_waiters(lock, 1)
    reader.kill()
    assert writer.end(SOON)
    runners = [Runner(lock.acquire_read) for _ in range(3)]
    wait_for_waiters(lock, 3)
    writer.kill()
    assert [runner.end(SOON) for runner in runners] == [True] * 3
    assert (len(lock.readers), lock.writer) == (1, None)


# --- those who wait ---


@pytest.mark.parametrize("make", [Lock, RLock, Semaphore, BoundedSemaphore, lambda: RWLock().writing()])
def test_a_waiter_that_died_is_passed_over(make: Any, actor: Any) -> None:
    lock, dead, other = make(), actor(), actor()
    lock.acquire()
    for one in (dead, other):
        one.begin(lock.acquire)
        wait_for_waiters(getattr(lock, "_lock", lock), 1 if one is dead else 2)
    dead.kill()
    lock.release()
    assert other.end(SOON) is True
    other(lock.release)


def test_a_notification_is_not_lost_on_the_dead(actor: Any) -> None:
    condition = Condition()
    for _ in range(5):
        dead, other = actor(), actor()
        for n, one in enumerate((dead, other), 1):
            one.begin(waits, condition)
            wait_for_waiters(condition, n)
        dead.process.kill()
        notify(condition)  # (whether its death was noticed before or not)
        assert other.end(SOON) is True
        dead.process.join()


def test_a_woken_waiter_that_dies_before_it_runs_passes_it_on(actor: Any) -> None:
    """It is stopped, told that it is its turn, and killed."""
    for thing, wait, give in (
        (lock := Lock(), lock.acquire, lock.release),
        (semaphore := Semaphore(0), semaphore.acquire, semaphore.release),
        (condition := Condition(), waits, notify),
    ):
        if thing is lock:
            lock.acquire()
        args = (condition,) if thing is condition else ()
        dead, other = actor(), actor()
        for n, one in enumerate((dead, other), 1):
            one.begin(wait, *args)
            wait_for_waiters(thing, n)
        stop(dead.process.pid)
        give(*args)
        assert other.busy()
        dead.kill()
        assert other.end(SOON) is True, thing
        if thing is lock:
            other(lock.release)


def test_readers_do_not_wait_behind_a_writer_that_died(actor: Any) -> None:
    lock, reader = RWLock(), actor()
    lock.acquire_read()
    for busy in (True, False):
        writer = actor()
        writer.begin(lock.acquire_write)
        wait_for_waiters(lock, 1)
        assert not lock.acquire_read(False)
        if busy:
            reader.begin(lock.acquire_read)
            wait_for_waiters(lock, 2)
        writer.kill()
        assert reader.end(SOON) if busy else lock.acquire_read(False)


def test_a_waiter_of_an_event_that_died_keeps_nobody(actor: Any) -> None:
    event, others = Event(), [actor() for _ in range(3)]
    for other in others:
        other.begin(event.wait)
    wait_for_waiters(event, 3)
    others[0].process.kill()
    event.set()
    assert [other.end(SOON) for other in others[1:]] == [True, True]
    others[0].process.join()


# --- those who are to meet ---


@pytest.mark.parametrize("when", ["before it waits", "while it waits"])
def test_a_party_that_dies_breaks_the_barrier(when: str, actor: Any, ctx: Any) -> None:
    barrier, ready, waiting = Barrier(4), Event(), actor()

    def child(given: Any) -> None:
        ready.set()
        (given.wait if when == "while it waits" else sleep_for_ever)()

    party = ctx.Process(target=child, args=(barrier,))
    party.start()
    waiting.begin(barrier.wait)
    runner = Runner(barrier.wait)
    assert ready.wait(20)
    wait_for_waiters(barrier, 3 if when == "while it waits" else 2)
    party.kill()
    for one in (waiting, runner):
        with pytest.raises(BrokenBarrierError):
            one.end(SOON)
    party.join()


def test_the_leader_dies_in_the_action(actor: Any) -> None:
    barrier = Barrier(2, sleep_for_ever)
    leader = actor()
    runner = Runner(barrier.wait)
    eventually(lambda: barrier.n_waiting == 1)
    leader.begin(barrier.wait)
    eventually(lambda: barrier.n_waiting == 0)  # (all are there)
    leader.kill()
    with pytest.raises(BrokenBarrierError):
        runner.end(SOON)
    assert barrier.broken


def test_a_party_that_ends_in_order_breaks_nothing(ctx: Any) -> None:
    barrier = Barrier(2)
    for _ in range(3):
        process = ctx.Process(target=barrier.wait)
        process.start()
        barrier.wait(20)
        process.join()
    assert process.exitcode == 0
    assert not barrier.broken
