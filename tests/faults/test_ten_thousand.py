"""Ten thousand awaits in one loop: processes, queues and locks, mixed. No thread for each, no polling, and all end properly.

(``PROCESSION_SHORT`` in the environment: they are idle for a second, not for ten.)
"""

from __future__ import annotations

import contextlib
import gc
import os
import threading
import time
from collections import Counter
from typing import Any

import pytest

import procession
from eventloops import LOOPS, Run
from procession.testing.saboteurs import sleep_for_ever

IDLE = 1 if os.environ.get("PROCESSION_SHORT") else 10
#: Processes, queues, and locks.
PROCESSES, QUEUES, LOCKS = 30, 20, 20


def threads() -> list[str]:
    found = []
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/self/task/{thread}/comm") as file:
            found.append(file.read().strip())
    return sorted(found)


def switches() -> int:
    """How often any of our threads has gone to sleep."""
    total = 0
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/self/task/{thread}/status") as file:
            total += int(file.read().partition("\nvoluntary_ctxt_switches:")[2].split()[0])
    return total


@pytest.mark.parametrize("library", LOOPS)
def test_ten_thousand_awaits(library: str) -> None:
    run, count = Run(library), 10_000 if library == "asyncio" else 3_000
    processes = [procession.Process(target=sleep_for_ever) for _ in range(PROCESSES)]
    queues = [procession.Queue() for _ in range(QUEUES)]
    locks = [procession.Lock() for _ in range(LOCKS)]
    ended: dict[str, list[Any]] = {"process": [], "item": [], "lock": []}

    async def join(n: int) -> None:
        ended["process"].append(await processes[n % PROCESSES])

    async def get(n: int) -> None:
        ended["item"].append(await queues[n % QUEUES].get_async())

    async def acquire(n: int) -> None:
        async with locks[n % LOCKS]:
            ended["lock"].append(n)

    def waiting() -> int:
        return sum(len(lock.waiters) for lock in locks)

    async def main() -> tuple[float, int, list[str]]:
        async with run.tasks() as start:
            for n in range(count):
                start((join, get, acquire)[n % 3], n)
            await run.until(lambda: waiting() == count // 3)
            await run.sleep(0.2)
            there, spent, slept = threads(), time.process_time(), switches()
            await run.sleep(IDLE)
            spent, slept = time.process_time() - spent, switches() - slept
            assert not any(ended.values())
            for n in range(1, count, 3):
                queues[n % QUEUES].put(n)
            for lock in locks:
                lock.release()
            for process in processes:
                process.kill()
        return spent, slept, there

    before = threads()
    for process in processes:
        process.start()
    for lock in locks:
        lock.acquire()
    gc.collect()
    spent, slept, there = run(main)
    for process in processes:
        process.join()
    assert ended["process"] == [-9] * len(range(0, count, 3))
    assert sorted(ended["item"]) == list(range(1, count, 3))
    assert sorted(ended["lock"]) == list(range(2, count, 3))
    assert waiting() == 0
    assert not any(lock.locked() for lock in locks)
    new = Counter(there) - Counter(before)  # (of what came before us, some thread may just have been about to leave)
    assert set(new) <= {"procession-bell", "procession-reap"}, "the reaper, and one for all waits"
    assert threading.active_count() == 1
    assert spent < 0.01, "seconds of a processor, while nothing happens"
    assert slept <= 3 * (IDLE + 1), "the loop sleeps, and so do our threads, but for a look once a second"
