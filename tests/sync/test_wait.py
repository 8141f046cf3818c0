"""`procession.wait` for what lies in shared memory, among other things."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest
from actors import Runner, timed, wait_for_waiters

import procession
from procession import FIRST_COMPLETED, BoundedSemaphore, Event, JoinableQueue, Lock, RLock, RWLock, Semaphore, wait
from procession.testing import leaks
from procession.testing.saboteurs import sleep_for_ever

TAKEN = [Lock, RLock, Semaphore, BoundedSemaphore, lambda: Semaphore(robust=True)]


def busy(make: Any) -> Any:
    """A new one that this thread has."""
    thing = make()
    thing.acquire()
    return thing


def test_what_is_free_is_done_and_not_taken() -> None:
    things = [make() for make in TAKEN] + [make() for make in TAKEN]
    for how in (procession.ALL_COMPLETED, FIRST_COMPLETED):
        assert wait(things, 5, how) == (set(things), set())
        assert not any(thing.locked() for thing in things)
    assert not any(thing.waiters for thing in things)
    assert wait(things[:1] * 2).done == {things[0]}


def test_what_is_taken_is_not() -> None:
    things = [busy(make) for make in TAKEN] + [Event()]
    for timeout in (-1, 0, 0.1):
        result, took = timed(wait, things, timeout)
        assert result == (set(), set(things))
        assert max(timeout, 0) <= took + 0.002 < max(timeout, 0) + 1
    assert not any(thing.waiters for thing in things)
    assert wait([*things, lock := Lock()], 10, FIRST_COMPLETED).done == {lock}
    for thing in things[:-1]:
        thing.release()
        assert wait([thing], 5).done == {thing}
        assert thing.acquire(False)


@pytest.mark.parametrize("make", TAKEN)
def test_it_is_given_by_another_process(make: Any, actor: Any) -> None:
    thing, other = make(), actor()
    assert other(thing.acquire)
    event = Event()
    runner = Runner(wait, [event, thing], 20, FIRST_COMPLETED)
    wait_for_waiters(thing, 1)
    other(thing.release)
    assert runner.end() == ({thing}, {event})
    assert not thing.locked()
    assert event.waiters == ()


@pytest.mark.parametrize("make", TAKEN)
def test_who_waits_behind_it_is_not_kept(make: Any, actor: Any) -> None:
    """It is woken, takes nothing, and wakes the next."""
    thing, other, event = busy(make), actor(), Event()
    looker = Runner(wait, [thing, event], 20)
    wait_for_waiters(thing, 1)
    other.begin(thing.acquire)
    wait_for_waiters(thing, 2)
    thing.release()
    assert other.end(5) is True
    event.set()
    assert looker.end() == ({thing, event}, set())
    other(thing.release)


def test_a_mix(ctx: Any) -> None:
    here, there = socket.socketpair()
    read, write = os.pipe()
    ended, lives = ctx.Process(target=int), ctx.Process(target=sleep_for_ever)
    event, unset, lock, taken = Event(), Event(), Lock(), busy(Lock)
    ended.start()
    lives.start()
    ended.join()
    mix = [here, read, ended, lives, event, unset, lock, taken]
    assert wait(mix, 0).done == {ended, lock}
    event.set()
    there.send(b".")
    assert wait(mix, 0.05).done == {here, ended, event, lock}
    os.write(write, b".")
    for how in (procession.ALL_COMPLETED, FIRST_COMPLETED):
        assert wait(mix, 0.05, how) == ({here, read, ended, event, lock}, {lives, unset, taken})
    runner = Runner(wait, mix, 20)
    wait_for_waiters(unset, 1)
    unset.set()
    taken.release()
    lives.kill()
    assert runner.end() == (set(mix), set())
    for thing in (here, there):
        thing.close()
    os.close(read)
    os.close(write)
    lives.join()


def test_a_process_first_and_an_event_first(ctx: Any) -> None:
    event = Event()
    process = ctx.Process(target=sleep_for_ever)
    process.start()
    runner = Runner(wait, [event, process], 20, FIRST_COMPLETED)
    wait_for_waiters(event, 1)
    process.kill()
    assert runner.end() == ({process}, {event})
    process.join()
    setter = ctx.Process(target=lambda: (event.set(), sleep_for_ever()))
    setter.start()
    assert wait([event, setter], 20, FIRST_COMPLETED) == ({event}, {setter})
    setter.kill()
    setter.join()


def test_an_event_that_is_set_and_cleared_counts() -> None:
    event = Event()
    runner = Runner(wait, [event], 20)
    wait_for_waiters(event, 1)
    event.set()
    event.clear()
    assert runner.end().done == {event}


@pytest.mark.parametrize("make", [make for make in TAKEN if make is not Semaphore])
def test_its_holder_dies(make: Any, actor: Any) -> None:
    thing, other = make(), actor()
    assert other(thing.acquire)
    runner = Runner(wait, [thing], 20)
    wait_for_waiters(thing, 1)
    other.kill()
    assert runner.end(0.9).done == {thing}
    if hasattr(thing, "owner_died"):
        with pytest.warns(procession.OwnerDiedWarning):
            assert thing.acquire(False)


def test_what_cannot_be_waited_for() -> None:
    for wrong in (RWLock(), JoinableQueue, True, object()):
        with pytest.raises(TypeError, match="cannot wait for"):
            wait([Lock(), wrong])


def test_a_thousand_waits_leave_nothing() -> None:
    before = leaks.descriptors().total()
    things = [Lock(), Event()]
    for _ in range(1000):
        assert wait(things, 0).done == {things[0]}
    assert leaks.descriptors().total() <= before
