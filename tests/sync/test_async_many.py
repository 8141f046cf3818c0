"""Events in an event loop, very many waits, several loops."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from actors import Runner
from loops import run, until_waiters

import procession
from procession import Event, Lock
from procession.testing import leaks


def test_event(actor: Any) -> None:
    event, other = Event(), actor()

    async def main() -> None:
        assert await event.wait_async(0) is False
        assert await event.wait_async(0.05) is False
        tasks = [asyncio.create_task(event.wait_async()) for _ in range(5)]
        await until_waiters(event, 5)
        tasks[0].cancel()
        other(lambda: (event.set(), event.clear()))
        assert await asyncio.gather(*tasks[1:]) == [True] * 4
        event.set()
        assert await event.wait_async() is True
        assert tasks[0].cancelled()
        assert event.waiters == ()

    run(main)


# --- very many, and what they cost ---


def test_two_thousand_tasks() -> None:
    lock, event, state = Lock(), Event(), [0, 0]
    threads, descriptors = [], []

    async def one() -> None:
        await event.wait_async()
        async with lock:
            state[0] += 1
            state[1] = max(state)
            await asyncio.sleep(0)
            state[0] -= 1

    async def main() -> None:
        tasks = [asyncio.create_task(one()) for _ in range(2000)]
        await asyncio.sleep(0)
        await until_waiters(event, 2000)
        threads.append([name(thread) for thread in os.listdir("/proc/self/task")].count("procession-bell"))
        descriptors.append(leaks.descriptors().total())
        event.set()
        await asyncio.gather(*tasks)

    def name(thread: str) -> str:
        try:
            with open(f"/proc/self/task/{thread}/comm") as file:
                return file.read().strip()
        except (FileNotFoundError, ProcessLookupError):  # (it has just gone)
            return ""

    before = leaks.descriptors().total()
    run(main)
    assert state == [0, 1]
    assert threads == [1]
    assert descriptors[0] <= before + 5, "two for all waits, and the loop's own"
    assert leaks.descriptors().total() <= before


def test_two_loops_in_two_threads(actor: Any) -> None:
    event, other = Event(), actor()

    async def main() -> bool:
        return await event.wait_async(20)

    runners = [Runner(asyncio.run, main()) for _ in range(2)]
    while len(event.waiters) != 2:
        time.sleep(0.001)
    other(event.set)
    assert [runner.end() for runner in runners] == [True, True]


def test_in_a_child(ctx: Any) -> None:
    """A child has a doorbell of its own, whether its parent's rings or not."""
    there, back = Event(), Event()

    async def child() -> None:
        back.set()
        assert await there.wait_async(20)
        back.set()

    async def main() -> None:
        process = ctx.Process(target=lambda: asyncio.run(child()))
        process.start()
        for _ in range(2):
            assert await back.wait_async(20)
            back.clear()
            there.set()
        process.join()
        assert process.exitcode == 0

    run(main)
    assert procession.active_children() == []


