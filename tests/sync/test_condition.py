"""Condition."""

from __future__ import annotations

import gc
import threading
import time
from typing import Any

import pytest
from actors import Runner, timed, wait_for_waiters

from procession import Condition, Lock, RLock, _native

BOTH = pytest.mark.parametrize("lock", [Lock, RLock, lambda: None], ids=["Lock", "RLock", "None"])


def waits(condition: Any, timeout: float | None = 20) -> bool:
    with condition:
        return bool(condition.wait(timeout))


@BOTH
def test_notify(lock: Any, actor: Any) -> None:
    condition, other = Condition(lock()), actor()
    other.begin(waits, condition)
    wait_for_waiters(condition, 1)
    with condition as entered:
        assert entered is True
        condition.notify()
        assert other.busy()
    assert other.end() is True


def test_as_many_as_are_notified_and_the_first_first(actor: Any) -> None:
    condition, done = Condition(), []

    def one(n: int) -> None:
        with condition:
            condition.wait()
            done.append(n)

    runners = []
    for n in range(6):
        runners.append(Runner(one, n))
        wait_for_waiters(condition, n + 1)
    with condition:
        condition.notify(n=2)
        condition.notify(0)
        condition.notify(-1)
    wait_for_waiters(condition, 4)
    for runner in runners[:2]:
        runner.end()
    assert sorted(done) == [0, 1]
    with condition:
        condition.notify()
    runners[2].end()
    assert sorted(done) == [0, 1, 2]
    with condition:
        condition.notify_all()
    for runner in runners:
        runner.end()
    with condition:
        condition.notify(3)
        condition.notify_all()
    assert waits(condition, 0.02) is False, "a notification is only for those who wait"


def test_it_must_be_held() -> None:
    condition = Condition()
    for call, text in (
        (condition.wait, r"must acquire\(\) condition before using wait\(\)"),
        (condition.notify, "lock is not owned"),
        (condition.notify_all, "lock is not owned"),
        (condition.release, "not owned by thread"),
    ):
        with pytest.raises(AssertionError, match=text):
            call()
    with pytest.raises(AssertionError, match="must acquire"):
        condition.wait_for(lambda: False)
    with condition, pytest.raises(AssertionError, match="lock is not owned"):
        Runner(condition.notify).end()
    with pytest.raises(AssertionError):
        Condition(Lock()).notify()


def test_arguments() -> None:
    for wrong in (threading.Lock(), 1, "lock"):
        with pytest.raises(TypeError, match="lock must be a Lock or RLock of procession"):
            Condition(wrong)
    condition = Condition()
    with condition:
        with pytest.raises(TypeError):
            condition.wait("a")
        with pytest.raises(ValueError, match="NaN"):
            condition.wait(float("nan"))
        assert condition.acquire() is True
        assert condition.release() is None


@BOTH
@pytest.mark.parametrize("timeout", [-1, 0, 0.1])
def test_time_outs(lock: Any, timeout: float) -> None:
    condition = Condition(lock())
    with condition:
        result, took = timed(condition.wait, timeout)
        assert condition._lock._is_mine()
    assert result is False
    assert max(timeout, 0) <= took < max(timeout, 0) + 1


def test_while_it_waits_the_lock_is_free_however_deep_it_was(actor: Any) -> None:
    condition, other = Condition(), actor()

    def deep() -> tuple[bool, int]:
        with condition, condition, condition:
            result = condition.wait(20)
            return result, condition._lock._count()

    other.begin(deep)
    wait_for_waiters(condition, 1)
    assert condition.acquire(True, 5)
    condition.notify()
    condition.release()
    assert other.end() == (True, 3)
    assert not condition._lock.locked()


def test_wait_for(actor: Any, numbers: Any) -> None:
    condition, state, other = Condition(), numbers(1), actor()

    def reach(n: int) -> int:
        with condition:
            return int(condition.wait_for(lambda: state[0] if state[0] >= n else 0, 20))

    other.begin(reach, 3)
    for n in range(1, 4):
        wait_for_waiters(condition, 1)
        assert other.busy()
        with condition:
            state[0] = n
            condition.notify_all()
    assert other.end() == 3
    with condition:
        assert condition.wait_for(lambda: "yes") == "yes"
        result, took = timed(condition.wait_for, lambda: 0, 0.1)
        assert result == 0
        assert 0.1 <= took < 1.1
        assert condition.wait_for(lambda: None, 0) is None


def test_many_threads_and_processes(actor: Any, numbers: Any) -> None:
    """A bounded buffer of one place: all that is put is got."""
    condition, place = Condition(), numbers(2)

    def get(count: int) -> int:
        got = 0
        for _ in range(count):
            with condition:
                condition.wait_for(lambda: place[0])
                got, place[0] = got + place[0], 0
                condition.notify_all()
        return got

    def put(count: int) -> None:
        for n in range(1, count + 1):
            with condition:
                condition.wait_for(lambda: not place[0])
                place[0] = n
                condition.notify_all()

    others = [actor() for _ in range(3)]
    others[0].begin(put, 200)
    others[1].begin(get, 150)
    others[2].begin(put, 100)
    runner = Runner(get, 150)
    assert others[1].end() + runner.end() == sum(range(201)) + sum(range(101))
    others[0].end()
    others[2].end()


def test_two_conditions_of_one_lock(actor: Any) -> None:
    lock, other = Lock(), actor()
    one, two = Condition(lock), Condition(lock)
    other.begin(waits, one)
    wait_for_waiters(one, 1)
    with lock:
        two.notify_all()
    assert waits(two, 0.02) is False
    assert other.busy()
    with two:
        one.notify()
    assert other.end() is True


def test_repr(actor: Any) -> None:
    condition, other = Condition(), actor()
    assert repr(condition) == "<Condition(<RLock(None, 0)>, 0)>"
    other.begin(waits, condition)
    wait_for_waiters(condition, 1)
    assert repr(condition) == "<Condition(<RLock(None, 0)>, 1)>"
    assert condition.waiters[0].pid == other.process.pid
    with condition:
        condition.notify_all()
    assert other.end()


def test_lifetime() -> None:
    gc.collect()
    before = _native.cells_in_use()
    for _ in range(1000):
        with Condition() as _:
            pass
    condition = Condition()
    waits(condition, 0.001)
    del condition
    gc.collect()
    assert _native.cells_in_use() <= before


def test_a_waiter_whose_time_is_up_takes_nobodys_notification() -> None:
    condition = Condition()
    for _ in range(20):
        short, long = Runner(waits, condition, 0.004), Runner(waits, condition, 20)
        wait_for_waiters_or_less(condition)
        with condition:
            condition.notify()
        if short.end():
            with condition:
                condition.notify()
        assert long.end() is True


def wait_for_waiters_or_less(condition: Any) -> None:
    """Until both wait, or the short one's time must be nearly up."""
    deadline = time.monotonic() + 0.01
    while len(condition.waiters) < 2 and time.monotonic() < deadline:
        pass
    while len(condition.waiters) < 1:
        time.sleep(0.001)
