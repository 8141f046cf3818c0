"""Ctrl-C, and other signals whose handlers raise, interrupt every kind of wait."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from actors import Actor, Runner, wait_for_waiters

import procession
from procession import Barrier, BoundedSemaphore, Condition, Event, Lock, RLock, RWLock, Semaphore, _native
from procession.testing.watch import eventually


def wait_in(condition: Any) -> None:
    with condition:
        condition.wait()


def wait_for_in(condition: Any) -> None:
    with condition:
        condition.wait_for(lambda: False)


def with_all(lock: Any) -> None:
    with procession.acquire_all(Lock(), lock):
        pass


def busy(thing: Any) -> Any:
    thing.acquire()
    return thing


def written(lock: Any) -> Any:
    lock.acquire_write()
    return lock


#: What is waited for, and the call that waits. We have what can be had.
WAITS: dict[str, Callable[[], tuple[Any, Callable[..., Any]]]] = {
    "Lock": lambda: (busy(Lock()), lambda lock: lock.acquire()),
    "Lock, a long time": lambda: (busy(Lock()), lambda lock: lock.acquire(True, 100)),
    "with Lock": lambda: (busy(Lock()), lambda lock: lock.__enter__()),
    "RLock": lambda: (busy(RLock()), lambda lock: lock.acquire()),
    "Semaphore": lambda: (busy(Semaphore()), lambda semaphore: semaphore.acquire()),
    "BoundedSemaphore": lambda: (busy(BoundedSemaphore()), lambda semaphore: semaphore.acquire()),
    "reader": lambda: (written(RWLock()), lambda lock: lock.acquire_read()),
    "writer": lambda: (written(RWLock()), lambda lock: lock.acquire_write()),
    "Event": lambda: (Event(), lambda event: event.wait()),
    "Event, a long time": lambda: (Event(), lambda event: event.wait(100)),
    "Condition": lambda: (Condition(), wait_in),
    "Condition(Lock)": lambda: (Condition(Lock()), wait_in),
    "wait_for": lambda: (Condition(), wait_for_in),
    "Barrier": lambda: (Barrier(2), lambda barrier: barrier.wait()),
    "acquire_all": lambda: (busy(Lock()), with_all),
    "procession.wait": lambda: (Event(), lambda event: procession.wait([event, Event()])),
    "repair": lambda: (busy(Lock()), lambda lock: lock.repair().__enter__()),
    "asyncio": lambda: (busy(Lock()), lambda lock: asyncio.run(lock.acquire_async())),
}


def ready_for_signals(call: Callable[..., Any], thing: Any) -> str:
    """In an actor: what becomes of the wait, and whether it held anything afterwards."""

    def once(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # (they come until we answer)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, once)
    try:
        call(thing)
    except KeyboardInterrupt:
        held = thing._lock if isinstance(thing, Condition_) else thing
        who = getattr(held, "holder", None)
        return "holds it" if who is not None and who.pid == os.getpid() else "interrupted"
    return "went on"


Condition_ = type(Condition())


def interrupt(actor: Actor) -> float:
    """Send it SIGINT until it answers: a signal that comes after Python's last look at its signals, and before the call that
    sleeps, is seen when the next one comes (Python's own calls that block have the same gap). How long that took."""
    began = time.monotonic()
    while actor.busy():
        os.kill(actor.process.pid, signal.SIGINT)
        actor.pipe.poll(0.3)
        assert time.monotonic() - began < 10, "it does not react"
    return time.monotonic() - began


@pytest.mark.parametrize("kind", WAITS)
def test_control_c(kind: str, actor: Any) -> None:
    thing, call = WAITS[kind]()
    other = actor()
    other.begin(ready_for_signals, call, thing)
    wait_for_waiters(thing, 1)
    assert interrupt(other) < 2
    assert other.end() == "interrupted"
    assert thing.waiters == ()
    check_unharmed(thing, other)


def check_unharmed(thing: Any, other: Actor) -> None:
    """It works on for others."""
    if isinstance(thing, type(Event())):
        thing.set()
        assert other(thing.wait, 5)
    elif isinstance(thing, Condition_):
        with thing:
            thing.notify_all()
        assert other(lambda: thing.acquire(True, 5) and thing.release() is None)
    elif hasattr(thing, "parties"):
        assert (thing.n_waiting, thing.broken) == (0, False)
        other.begin(thing.wait)
        assert {thing.wait(5), other.end()} == {0, 1}
    elif hasattr(thing, "writer"):
        thing.release_write()
        assert other(thing.acquire_write, True, 5)
        other(thing.release_write)
    else:
        thing.release()
        assert other(thing.acquire, True, 5)
        other(thing.release)


class Alarm(Exception):
    pass


class CutOff:
    """Its handler raises just when the wait has begun, before anybody has noted it."""

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def _watch(self, channel: int) -> int:
        self.thing._watch(channel)
        self.between()
        raise Alarm

    def between(self) -> None:
        """What happens meanwhile."""


@pytest.mark.parametrize(
    "make", [Event, lambda: busy(Lock()), lambda: busy(Semaphore()), procession.Queue, lambda: busy(Semaphore(robust=False))]
)
def test_a_wait_that_nobody_noted_ends_with_the_call(make: Callable[[], Any]) -> None:
    thing = make()
    with pytest.raises(Alarm):
        procession.wait([CutOff(thing)])
    _, waits = _native.cells_in_use()
    with pytest.raises(Alarm):
        procession.wait([CutOff(thing)])
    assert _native.cells_in_use()[1] == waits


@pytest.mark.parametrize("make", [Lock, Semaphore, lambda: Semaphore(robust=False)])
def test_what_it_was_told_goes_to_the_next(make: Callable[[], Any]) -> None:
    class Released(CutOff):
        def between(self) -> None:
            nonlocal runner
            runner = Runner(self.thing.acquire)
            wait_for_waiters(self.thing, 2)
            self.thing.release()

    thing, runner = busy(make()), None
    with pytest.raises(Alarm):
        procession.wait([Released(thing)])
    assert runner is not None
    assert runner.end() is True
    thing.release()


def alarmed(first: float, every: float, call: Callable[..., Any], *args: Any) -> Any:
    """The call, while alarms ring. (Again and again: one that comes just before the sleep is seen with the next. Within the
    very statement that expects it: it may come early on a busy machine.)"""
    signal.setitimer(signal.ITIMER_REAL, first, every)
    return call(*args)


@pytest.mark.parametrize("returns", [True, False])
@pytest.mark.parametrize("kind", [kind for kind in WAITS if kind not in ("RLock", "asyncio")])
def test_a_handler_that_returns_does_not_interrupt_and_one_that_raises_does(kind: str, returns: bool) -> None:
    """In the main thread here; what stops the wait in the end is another error from the handler."""
    thing, call = WAITS[kind]()
    seen: list[int] = []

    def handler(*_: object) -> None:
        seen.append(1)
        if not returns or len(seen) > 20:
            signal.setitimer(signal.ITIMER_REAL, 0)  # (the next would come wherever we are then)
            raise Alarm

    old = signal.signal(signal.SIGALRM, handler)
    try:
        with pytest.raises(Alarm):
            alarmed(0.02, 0.005, call, thing)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert len(seen) >= (21 if returns else 1)
    assert thing.waiters == ()


def test_a_time_out_is_kept_however_many_signals_come() -> None:
    lock, seen = busy(Lock()), []
    old = signal.signal(signal.SIGALRM, lambda *_: seen.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        began = time.monotonic()
        assert lock.acquire(True, 0.2) is False
        assert 0.2 <= time.monotonic() - began < 10
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert len(seen) > 5


def test_a_condition_that_is_interrupted_in_its_wait_has_the_lock_again() -> None:
    condition = Condition()

    def handler(*_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise Alarm

    old = signal.signal(signal.SIGALRM, handler)
    try:
        with condition:
            with pytest.raises(Alarm):
                alarmed(0.05, 0.05, condition.wait)
            assert condition._lock._is_mine()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert not condition._lock.locked()


def test_a_notification_that_an_interrupted_one_got_goes_to_the_next(actor: Any) -> None:
    """The first is notified and then interrupted while it waits for the lock."""
    condition = Condition()
    first, second = actor(), actor()
    first.begin(ready_for_signals, wait_in, condition)
    wait_for_waiters(condition, 1)
    second.begin(lambda: (condition.acquire(), condition.wait(20), condition.release())[1])
    wait_for_waiters(condition, 2)
    with condition:
        condition.notify()
        eventually(lambda: len(condition._lock.waiters) == 1)
        interrupt(first)
    assert first.end() == "interrupted"
    assert second.end(5) is True


def test_other_threads_wait_on() -> None:
    """A signal is the main thread's affair."""
    lock = busy(Lock())
    runner = Runner(lock.acquire)
    wait_for_waiters(lock, 1)
    old = signal.signal(signal.SIGALRM, lambda *_: None)
    try:
        for _ in range(5):
            signal.pthread_kill(runner.ident or 0, signal.SIGALRM)
            time.sleep(0.005)
        assert runner.is_alive()
        lock.release()
        assert runner.end() is True
    finally:
        signal.signal(signal.SIGALRM, old)
    assert threading.main_thread() is threading.current_thread()
