"""Numbers of seconds: what every call that can wait says of a wrong one, and how it takes a very long one."""

from __future__ import annotations

import asyncio
import inspect
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import Any

import pytest

import procession
from procession.core.seconds import LONGEST, grace_of, timeout_of

LIMIT = 30.0
NO_NUMBERS = ["5", [], procession.Process, 1j]


def test_what_a_time_limit_is() -> None:
    assert timeout_of(None) is None
    assert timeout_of(-1) == -1
    assert [timeout_of(value) for value in (0.5, Fraction(1, 2), True)] == [0.5, 0.5, 1.0]
    assert [timeout_of(value) for value in (LONGEST, 1e300, float("inf"))] == [None, None, None]


@pytest.mark.parametrize("value", NO_NUMBERS)
def test_what_is_no_number_is_refused_by_name(value: Any) -> None:
    with pytest.raises(TypeError, match="timeout must be a number of seconds or None; got "):
        timeout_of(value)
    with pytest.raises(TypeError, match="grace must be a number of seconds, 0 or more; got "):
        grace_of(value)


def locked(lock: Any) -> Any:
    lock.acquire()
    return lock


def filled() -> Any:
    queue: Any = procession.JoinableQueue(1)
    queue.put(1)
    return queue


def in_condition(wait: Callable[[Any], object]) -> object:
    condition = procession.Condition()
    with condition:
        return wait(condition)


async def in_condition_async(wait: Callable[[Any], Any]) -> object:
    condition = procession.Condition()
    async with condition:
        return await wait(condition)


def of_group(wait: Callable[[Any], Any]) -> Any:
    group = procession.DispatchGroup()
    group.enter()
    return wait(group)


#: Each is about to wait so many seconds.
WAITS: dict[str, Callable[[Any], Any]] = {
    "wait": lambda t: procession.wait([procession.Event()], t),
    "as_completed": lambda t: procession.as_completed([procession.Event()], t),
    "wait_async": lambda t: procession.wait_async([procession.Event()], t),
    "Lock": lambda t: locked(procession.Lock()).acquire(True, t),
    "Lock, async": lambda t: locked(procession.Lock()).acquire_async(t),
    "Semaphore": lambda t: procession.Semaphore(0).acquire(True, t),
    "Semaphore, async": lambda t: procession.Semaphore(0).acquire_async(t),
    "RWLock": lambda t: procession.RWLock().acquire_read(True, t),
    "RWLock, async": lambda t: procession.RWLock().acquire_write_async(t),
    "Event": lambda t: procession.Event().wait(t),
    "Event, async": lambda t: procession.Event().wait_async(t),
    "Condition": lambda t: in_condition(lambda c: c.wait(t)),
    "Condition, async": lambda t: in_condition_async(lambda c: c.wait_async(t)),
    "Condition, for": lambda t: in_condition(lambda c: c.wait_for(bool, t)),
    "Condition, for, async": lambda t: in_condition_async(lambda c: c.wait_for_async(bool, t)),
    "Barrier": lambda t: procession.Barrier(2).wait(t),
    "Barrier, async": lambda t: procession.Barrier(2).wait_async(t),
    "Barrier, made": lambda t: procession.Barrier(2, None, t),
    "acquire_all": lambda t: procession.acquire_all(procession.Lock(), timeout=t),
    "get": lambda t: procession.Queue().get(True, t),
    "get_async": lambda t: procession.Queue().get_async(t),
    "put": lambda t: filled().put(1, True, t),
    "put_async": lambda t: filled().put_async(1, t),
    "join of a queue": lambda t: filled().join(t),
    "join_async of a queue": lambda t: filled().join_async(t),
    "poll": lambda t: procession.Pipe()[0].poll(t),
    "join of a dispatch queue": lambda t: procession.DispatchQueue("q").join(t),
    "group": lambda t: of_group(lambda group: group.wait(t)),
    "map": lambda t: procession.ProcessPoolExecutor(1).map(abs, [1], timeout=t),
    "group, async": lambda t: of_group(lambda group: group.wait_async(t)),
}


def done(result: Any) -> Any:
    return asyncio.run(result) if inspect.iscoroutine(result) else result


@pytest.mark.parametrize("name", WAITS)
def test_each_call_says_what_it_takes(name: str) -> None:
    with pytest.raises(TypeError, match="timeout must be a number of seconds or None; got '5'"):
        done(WAITS[name]("5"))
    with pytest.raises(ValueError, match="timeout must be a number of seconds or None, not NaN"):
        done(WAITS[name](float("nan")))


def nap() -> int:
    time.sleep(0.05)
    return 1


@pytest.mark.parametrize("forever", [1e300, float("inf")])
def test_a_very_long_time_limit_is_none(forever: float) -> None:
    """Also where several threads wait, of which one collects for all."""

    def all_get(wait: Callable[[float], Any]) -> list[Any]:
        with ThreadPoolExecutor(3) as threads:
            return [each.result(LIMIT) for each in [threads.submit(wait, forever) for _ in range(3)]]

    with procession.scope() as s:
        assert all_get(s.submit(nap).result) == [1, 1, 1]
        assert all_get(s.start(nap).result) == [1, 1, 1]
        queue = s.queue("serial")
        queue.async_(nap)
        assert all_get(queue.join) == [True, True, True]
    with procession.Pool(1) as pool:
        assert all_get(pool.apply_async(nap).get) == [1, 1, 1]


def wait_for_the_end(ready: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ready.set()
    threading.Event().wait()


def test_a_very_long_grace_is_not_none_at_all() -> None:
    ready = procession.Event()
    process = procession.Process(target=wait_for_the_end, args=(ready,))
    process.start()
    try:
        assert ready.wait(LIMIT)
        process.terminate(grace=1e300)
        process.join(0.2)
        assert process.is_alive()
    finally:
        process.kill()
        process.join()


@pytest.mark.parametrize("call", [procession.wait, procession.as_completed, procession.wait_async])
def test_what_is_not_several_things_is_refused(call: Any) -> None:
    for things in (None, 3, procession.Process()):
        with pytest.raises(TypeError, match=r"expected an iterable of what is to be waited for, \[thing\] for one; got "):
            done(call(things))
        with pytest.raises(TypeError, match=r"cannot wait for \[\]: expected a process"):
            done(call([[]]))
