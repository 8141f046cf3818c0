"""acquire_all."""

from __future__ import annotations

import time
from typing import Any

import pytest
from actors import Runner

from procession import BoundedSemaphore, Condition, Lock, RLock, RWLock, Semaphore, acquire_all


def make_all() -> tuple[Any, ...]:
    return Lock(), RLock(), Semaphore(), BoundedSemaphore(), RWLock().writing(), RWLock().reading()


def free(things: Any) -> list[bool]:
    """Which could be taken by another thread."""

    def look(thing: Any) -> bool:
        got = thing.acquire(False)
        if got:
            thing.release()
        return bool(got)

    return [Runner(look, thing).end() for thing in things]


def test_all_are_held_in_the_block_and_none_after() -> None:
    things = make_all()
    with acquire_all(*things) as nothing:
        assert nothing is None
        assert free(things) == [False] * 5 + [True]  # (readers share)
        assert not things[5]._lock.acquire_write(False)
    assert free(things) == [True] * 6
    with pytest.raises(ZeroDivisionError):
        with acquire_all(*things):
            raise ZeroDivisionError
    assert free(things) == [True] * 6
    with acquire_all():
        pass


def test_within_a_time_or_none() -> None:
    things = make_all()
    for blocked in things[:5]:
        holder = Runner(blocked.acquire)
        holder.end()
        began = time.monotonic()
        with pytest.raises(TimeoutError, match="could not be had within"):
            with acquire_all(*things, timeout=0.05):
                raise AssertionError
        assert 0.05 <= time.monotonic() - began < 10
        assert free([thing for thing in things if thing is not blocked]) == [True] * 5
        if isinstance(blocked, type(RLock())):
            things = tuple(RLock() if thing is blocked else thing for thing in things)
        else:
            blocked.release()


def test_what_is_refused() -> None:
    lock, rw = Lock(), RWLock()
    for twice in ((lock, Lock(), lock), (rw.reading(), rw.writing())):
        with pytest.raises(ValueError, match="given twice"):
            with acquire_all(*twice):
                pass
    for wrong in (None, rw, Condition(), object()):
        with pytest.raises(TypeError, match="acquire_all takes locks"):
            with acquire_all(lock, wrong):
                pass
    assert not lock.locked()


def test_no_deadlock_in_any_order(actor: Any) -> None:
    a, b, c = Lock(), BoundedSemaphore(), RWLock()
    orders = [(a, b, c), (c, a, b), (b, c, a), (c, b, a)]

    def many(order: tuple[Any, ...]) -> int:
        for _ in range(200):
            with acquire_all(*(thing.writing() if isinstance(thing, RWLock_) else thing for thing in order), timeout=20):
                pass
        return 1

    RWLock_ = type(c)
    others = [actor() for _ in orders[1:]]
    for other, order in zip(others, orders[1:], strict=True):
        other.begin(many, order)
    assert many(orders[0]) + sum(other.end(30) for other in others) == 4
