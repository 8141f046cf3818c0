"""Semaphore and BoundedSemaphore, plain and robust."""

from __future__ import annotations

import gc
import os
import weakref
from typing import Any

import pytest
from actors import Runner, timed, wait_for_waiters

from procession import BoundedSemaphore, Semaphore, _native

KINDS = {
    "plain": Semaphore,
    "robust": lambda value=1: Semaphore(value, robust=True),
    "bounded": BoundedSemaphore,
    "bounded plain": lambda value=1: BoundedSemaphore(value, robust=False),
}
ALL = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS.keys())


@ALL
def test_permits(make: Any) -> None:
    semaphore = make(2)
    for left in (1, 0):
        assert semaphore.acquire() is True
        assert semaphore.get_value() == left
    assert semaphore.locked()
    assert semaphore.acquire(False) is False
    for free in (1, 2):
        assert semaphore.release() is None
        assert semaphore.get_value() == free
    with semaphore as entered:
        assert entered is True
        assert semaphore.get_value() == 1
    assert semaphore.__enter__() is True
    assert semaphore.__exit__() is None
    assert make().get_value() == 1
    assert make(0).acquire(False) is False


@pytest.mark.parametrize("robust", [False, True])
def test_a_semaphore_may_have_more_than_at_first(robust: bool) -> None:
    semaphore = Semaphore(0, robust=robust)
    for _ in range(3):
        semaphore.release()
    assert semaphore.get_value() == 3
    assert [semaphore.acquire(False) for _ in range(4)] == [True, True, True, False]


@pytest.mark.parametrize("robust", [False, True])
def test_a_bounded_one_may_not(robust: bool, actor: Any) -> None:
    semaphore, other = BoundedSemaphore(2, robust=robust), actor()
    for _ in range(2):
        with pytest.raises(ValueError, match="semaphore or lock released too many times"):
            semaphore.release()
    semaphore.acquire()
    other(semaphore.release)
    with pytest.raises(ValueError, match="too many times"):
        other(semaphore.release)
    assert semaphore.get_value() == 2


@ALL
def test_first_values(make: Any) -> None:
    with pytest.raises(OSError, match=r"\[Errno 22\]"):
        make(-1)
    for wrong in ("a", 1.5):
        with pytest.raises(TypeError, match=r"a semaphore.s value must be a whole number; got"):
            make(wrong)
    with pytest.raises(OverflowError):
        make(2**31)
    assert make(0).get_value() == 0
    assert make(True).get_value() == 1


def test_the_largest() -> None:
    most = Semaphore(2**31 - 1)
    with pytest.raises(ValueError, match="too many times"):
        most.release()
    assert BoundedSemaphore(2**31 - 1, robust=False).get_value() == 2**31 - 1
    assert BoundedSemaphore(2**30 - 1).get_value() == 2**30 - 1
    assert not BoundedSemaphore(2**30).robust  # as in the standard library's queues
    with pytest.raises(OverflowError):
        Semaphore(2**30, robust=True)
    with pytest.raises(ValueError, match="too many times"):
        Semaphore(2**30 - 1, robust=True).release()


@ALL
def test_arguments(make: Any) -> None:
    semaphore = make()
    for wrong in ({"blocking": True}, {"timeout": "a"}):
        with pytest.raises(TypeError):
            semaphore.acquire(**wrong)
    with pytest.raises(TypeError):
        semaphore.release(1)
    with pytest.raises(ValueError, match="NaN"):
        semaphore.acquire(timeout=float("nan"))
    assert semaphore.acquire(block=True, timeout=None)
    assert not semaphore.acquire(False, 0.1)


@ALL
@pytest.mark.parametrize("timeout", [-1, 0, 0.1])
def test_time_outs(make: Any, timeout: float) -> None:
    semaphore = make(0)
    result, took = timed(semaphore.acquire, True, timeout)
    assert result is False
    assert max(timeout, 0) <= took < max(timeout, 0) + 1
    assert semaphore.waiters == ()


@ALL
def test_between_processes(make: Any, actor: Any) -> None:
    semaphore, other = make(1), actor()
    assert other(semaphore.acquire)
    runner = Runner(semaphore.acquire)
    wait_for_waiters(semaphore, 1)
    assert semaphore.waiters[0][:3] == ("MainProcess", os.getpid(), runner.native_id)
    other(semaphore.release)
    assert runner.end() is True
    assert semaphore.get_value() == 0
    semaphore.release()


@pytest.mark.parametrize("robust", [False, True])
def test_as_a_signal(robust: bool, actor: Any) -> None:
    """One only gives, the other only takes."""
    semaphore, other = Semaphore(0, robust=robust), actor()
    other.begin(lambda: [semaphore.acquire(True, 10) for _ in range(500)])
    for _ in range(500):
        semaphore.release()
    assert other.end() == [True] * 500
    assert semaphore.get_value() == 0


def test_never_more_at_once_than_permits(actor: Any, numbers: Any) -> None:
    semaphore, guard, inside = BoundedSemaphore(2), BoundedSemaphore(1), numbers(2)

    def enter() -> None:
        for _ in range(300):
            with semaphore:
                with guard:
                    inside[0] += 1
                    inside[1] = max(inside[0], inside[1])
                with guard:
                    inside[0] -= 1

    others = [actor() for _ in range(3)]
    for other in others:
        other.begin(enter)
    for other in others:
        other.end()
    assert inside[0] == 0
    assert 1 <= inside[1] <= 2
    assert semaphore.get_value() == 2


def test_robust_ones_are_served_in_order() -> None:
    semaphore, order = BoundedSemaphore(1), []
    semaphore.acquire()

    def take(n: int) -> None:
        semaphore.acquire()
        order.append(n)
        semaphore.release()

    runners = []
    for n in range(6):
        runners.append(Runner(take, n))
        wait_for_waiters(semaphore, n + 1)
    assert not semaphore.acquire(False)
    semaphore.release()
    for runner in runners:
        runner.end()
    assert order == list(range(6))


def test_holders(actor: Any) -> None:
    semaphore, other = Semaphore(5, robust=True), actor(name="librarian")
    assert semaphore.robust
    assert semaphore.holders == ()
    semaphore.acquire()
    for _ in range(2):
        other(semaphore.acquire)
    held = {(who.process, who.pid): permits for who, permits in semaphore.holders}
    assert held == {("MainProcess", os.getpid()): 1, ("librarian", other.process.pid): 2}
    other(semaphore.release)
    semaphore.release()
    assert [permits for _, permits in semaphore.holders] == [1]
    plain = Semaphore(1)
    plain.acquire()
    assert plain.holders == ()
    assert not plain.robust
    assert BoundedSemaphore(1).robust


def test_who_gives_for_another_takes_it_from_the_other(actor: Any) -> None:
    semaphore, other = BoundedSemaphore(2), actor()
    other(semaphore.acquire)
    semaphore.release()
    assert semaphore.holders == ()
    other.kill()
    assert semaphore.get_value() == 2


def test_repr() -> None:
    semaphore = Semaphore(3)
    assert repr(semaphore) == "<Semaphore(value=3)>"
    bounded = BoundedSemaphore(2)
    assert repr(bounded) == "<BoundedSemaphore(value=2, maxvalue=2)>"
    with bounded:
        assert repr(bounded) == "<BoundedSemaphore(value=1, maxvalue=2)>"


@ALL
def test_lifetime(make: Any) -> None:
    gc.collect()
    before = _native.cells_in_use()
    semaphore = make(1)
    with semaphore:
        reference = weakref.ref(semaphore)
    del semaphore
    gc.collect()
    assert reference() is None
    for _ in range(1000):
        with make(1):
            pass
    assert _native.cells_in_use() <= before
