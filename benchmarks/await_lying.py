"""Many awaits that lie there: what each takes while nothing happens, and how they all end.

For a parent that has done nothing else before: memory that was free already would not be counted.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import select
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from threading import Thread
from typing import Any

import await_sides as sides
from looking import descendants, memory
from measuring import finish, own_facts
from pool_measuring import limited
from rivals import OURS
from share_rivals import make_library
from sides import clock

__all__ = ["Lying"]

#: Seconds for all of it, beside those in which they lie.
_LIMIT = 100

_Wait = Callable[[], Awaitable[Any]]


class Lying:
    """Processes, a queue and a lock of one library, and those who await them."""

    def __init__(self, rival: str, runner: asyncio.Runner) -> None:
        self._rival, self._runner = rival, runner
        self._library: Any = make_library(rival)
        self._children: list[Any] = []
        self._directory = tempfile.TemporaryDirectory(prefix="procession-bench-")
        self._ready, self._ready_fd = self._pipe("ready")
        self._release, self._release_fd = self._pipe("release")

    def _pipe(self, name: str) -> tuple[str, int]:
        path = os.path.join(self._directory.name, name)
        os.mkfifo(path)
        return path, os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)

    def lie(self, processes: int, gets: int, acquires: int, idle: float, settle: float) -> dict[str, int]:
        """So many awaits of each: how many have begun, what they add, and the nanoseconds that they take to end.

        Also the processor's time of the whole family in `idle` seconds. All have `settle` seconds to come to rest, before the
        awaits begin and after.
        """
        _raise_limit()
        if self._rival == "loop_future":
            processes, gets, acquires = 0, processes + gets + acquires, 0
        with limited(_LIMIT + int(idle)):
            try:
                self._start(processes)
                found = self._runner.run(self._lie(gets, acquires, idle, settle))
                self._end()
            finally:
                self._drop()
        return found

    def _start(self, count: int) -> None:
        """Processes that stand there; all have come to rest."""
        for _ in range(count):
            child = self._library.process(sides.stand, (self._ready, self._release))
            child.start()
            self._children.append(child)
        poller, told = select.poll(), 0
        poller.register(self._ready_fd, select.POLLIN)
        while told < 8 * count:
            poller.poll()
            told += len(os.read(self._ready_fd, 65536))

    async def _lie(self, gets: int, acquires: int, idle: float, settle: float) -> dict[str, int]:
        waiting = _WAITING.get(self._rival, _Threads)(self._library)
        gc.collect()
        await asyncio.sleep(settle)
        resident, threads = _resident(), own_facts()["threads"]
        tasks = waiting.begin(self._children, gets, acquires)
        await asyncio.sleep(settle)
        refused = _refused(tasks)
        found = {"lying": len(tasks) - refused, "bytes": max(0, _resident() - resident),
                 "threads": own_facts()["threads"] - threads, "spent": await _spent(idle)}  # fmt: skip
        if any(task.done() for task in tasks) and not refused:
            raise RuntimeError("an await has ended before it was to")
        begin = clock()
        os.write(self._release_fd, b"x" * len(self._children))
        waiting.release()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        found["ended"] = clock() - begin
        _check(results, refused)
        waiting.drop()
        return found

    def _end(self) -> None:
        while self._children:
            self._children[-1].join()
            finish(self._children[-1], 0)
            del self._children[-1]

    def _drop(self) -> None:
        """What an error has left, too."""
        for child in self._children:
            child.kill()
        for child in self._children:
            child.join()
        for fd in (self._ready_fd, self._release_fd):
            os.close(fd)
        self._directory.cleanup()


class _Ours:
    """procession's awaitable forms."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._queue, self._lock = library.queue(), library.context.Lock()
        self._gets = 0

    def begin(self, children: list[Any], gets: int, acquires: int) -> list[asyncio.Task[Any]]:
        """A task for each await; what it gives is 1 if it was what it must be."""
        self._lock.acquire()
        loop = asyncio.get_running_loop()
        made = [loop.create_task(self._ended(child)) for child in children]
        made += [loop.create_task(self._got()) for _ in range(gets)]
        return made + [loop.create_task(self._taken()) for _ in range(acquires)]

    async def _ended(self, child: Any) -> int:
        return int(await child == 0)

    async def _got(self) -> int:
        self._gets += 1
        got: int = await self._queue.get_async()
        return got

    async def _taken(self) -> int:
        async with self._lock:
            return 1

    def release(self) -> None:
        """All of them, but for the processes."""
        for _ in range(self._gets):
            self._queue.put(1)
        self._lock.release()

    def drop(self) -> None:
        self._library.drop(self._queue)


class _Threads(_Ours):
    """multiprocessing's blocking forms, in a thread for each."""

    async def _ended(self, child: Any) -> int:
        await _in_thread(child.join)
        return int(child.exitcode == 0)

    async def _got(self) -> int:
        got = _in_thread(self._queue.get)
        self._gets += 1
        return int(await got)

    async def _taken(self) -> int:
        def take() -> int:
            with self._lock:
                return 1

        taken: int = await _in_thread(take)
        return taken


class _Futures(_Ours):
    """Futures of the loop itself, with nothing behind them."""

    def __init__(self, library: Any) -> None:
        super().__init__(library)
        self._made: list[asyncio.Future[int]] = []

    async def _got(self) -> int:
        future = asyncio.get_running_loop().create_future()
        self._made.append(future)
        got: int = await future
        return got

    def release(self) -> None:
        for future in self._made:
            future.set_result(1)


_WAITING: dict[str, type[_Ours]] = {OURS: _Ours, "loop_future": _Futures}


def _in_thread(function: Callable[[], Any]) -> asyncio.Future[Any]:
    loop = asyncio.get_running_loop()
    told = loop.create_future()

    def run() -> None:
        loop.call_soon_threadsafe(told.set_result, function())

    Thread(target=run, daemon=True).start()
    return told


def _refused(tasks: list[asyncio.Task[Any]]) -> int:
    """How many could not begin, since the machine lets no more threads start."""
    return sum(task.done() and isinstance(task.exception(), RuntimeError) for task in tasks)


def _check(results: list[Any], refused: int) -> None:
    wrong = [result for result in results if result != 1]
    if len(wrong) != refused:
        raise RuntimeError(f"of {len(results)} awaits {len(wrong)} have ended wrongly: {wrong[0]!r}")


def _raise_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _resident() -> int:
    return memory(os.getpid())["Rss"] * 1024


async def _spent(idle: float) -> int:
    """The processor's time of this process and all below it in so many seconds, in nanoseconds."""
    others = descendants(os.getpid())
    before = {pid: spent for pid in others if (spent := _clock_of(pid)) is not None}
    own = time.process_time_ns()
    await asyncio.sleep(idle)
    own = time.process_time_ns() - own
    return own + sum(now - spent for pid, spent in before.items() if (now := _clock_of(pid)) is not None)


def _clock_of(pid: int) -> int | None:
    """The processor's time of a process; None if it is gone."""
    with suppress(OSError):
        return time.clock_gettime_ns(~pid << 3 | 2)  # (as clock_getcpuclockid has it)
    return None
