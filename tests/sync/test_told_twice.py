"""Two are told nothing twice: a wake-up for what somebody else took is another's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from actors import wait_for_waiters

from procession import Queue, Semaphore, _native
from procession.share.queues import _Part
from procession.sync import tasks


class Semaphores:
    def __init__(self) -> None:
        self.thing = self.waited_for = Semaphore(0, robust=False)
        self.give: Callable[[], Any] = self.thing.release
        self.take = lambda timeout: self.thing.acquire(timeout=timeout)

    def try_to_take(self) -> bool:
        return bool(self.thing.acquire(False))

    def sleepers(self, count: int) -> None:
        wait_for_waiters(self.thing, count)


class Queues:
    def __init__(self) -> None:
        self.queue: Queue = Queue()
        self.waited_for = _Part(self.queue, _native.PART_ITEMS)
        self.give = lambda: self.queue.put(True)
        self.take = lambda timeout: self.queue.get(timeout=timeout)

    def try_to_take(self) -> bool:
        return bool(self.queue.get(False))

    def sleepers(self, count: int) -> None:
        while self.queue._waiting(_native.PART_ITEMS) < count:
            threading.Event().wait(0.001)


@pytest.mark.parametrize("kind", [Semaphores, Queues])
def test_who_is_told_of_one_more_than_it_takes_tells_the_next(kind: Any) -> None:
    """A task finds one by itself, just when it is told of a second, for which a thread has been asleep."""
    it = kind()
    got: list[bool] = []
    sleeper = threading.Thread(target=lambda: got.append(it.take(20)))
    attempts = 0

    def attempt() -> bool:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            it.give()  # (nobody waits yet)
            return False
        assert it.try_to_take()
        sleeper.start()
        it.sleepers(2)
        it.give()  # the task is told, which came first
        return True

    assert asyncio.run(tasks.take(it.waited_for, attempt, None))
    sleeper.join(10)
    assert not sleeper.is_alive(), "nobody told the thread"
    assert got == [True]
