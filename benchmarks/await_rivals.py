"""Who awaits tasks and processes in an event loop: each rival's ways, under the same names.

What is not installed is said by `lacks`, and left out. All of it runs in the loop of the rival's parent.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from importlib.util import find_spec
from typing import Any

import await_sides as sides
from pool_rivals import WORKERS, Futures, OursExecutor
from pool_tasks import same
from rivals import OURS, OURS_BY_LOOP, OURS_CORO

__all__ = ["Awaiting", "make_awaiting"]


class Awaiting:
    """What the others are derived from. One that gives no tasks, or starts no processes, has no such method."""

    #: Of as many tasks as the fastest does in a sample, the part that this one is given.
    pace = 1.0
    #: The module without which it is not there.
    requires: str | None = None
    pool: Any = None
    process: Any = None

    def lacks(self) -> str | None:
        """Why it cannot be measured; None if it can."""
        return f"{self.requires} is not installed" if self.requires and find_spec(self.requires) is None else None

    async def prepare(self) -> None:
        """The library, before anything else."""

    async def open(self) -> None:
        """The pool, if it is not open."""

    async def close(self) -> None:
        """The pool, if it is open."""

    def task(self, thing: Any) -> Awaitable[Any]:
        """Give a task that gives back `thing`; to be awaited."""
        raise NotImplementedError

    def make(self) -> None:
        """The object of a process that does nothing, if there is one before it is started. Not measured."""

    async def run(self) -> int | None:
        """Start it, await its end; its exit code."""
        raise NotImplementedError

    def drop(self) -> None:
        """The object. Not measured."""
        if self.process is not None:
            self.process.close()
            self.process = None


class Ours(Awaiting):
    """procession: what `submit` gives back is awaitable, and so is a process."""

    target: Any = staticmethod(sides.nothing)

    def __init__(self) -> None:
        self._pooling: Futures = OursExecutor()

    async def open(self) -> None:
        if self.pool is None:
            self._pooling.open()
            self.pool = self._pooling.pool

    async def close(self) -> None:
        if self.pool is not None:
            self._pooling.close()
            self.pool = None

    def task(self, thing: Any) -> Awaitable[Any]:
        submitted: Awaitable[Any] = self.pool.submit(same, thing)
        return submitted

    def make(self) -> None:
        import procession

        self.process = procession.Process(target=self.target)

    async def run(self) -> int | None:
        self.process.start()
        code: int = await self.process
        return code


class OursCoro(Ours):
    """Its processes with a coroutine function as target, which runs in a loop of the child's own."""

    target = staticmethod(sides.nothing_async)


class OursByLoop(Ours):
    """Its executor, used as any other in a loop."""

    def task(self, thing: Any) -> Awaitable[Any]:
        return asyncio.get_running_loop().run_in_executor(self.pool, same, thing)


class FuturesByLoop(OursByLoop):
    """The standard library's executor in a loop."""

    pace = 0.2

    def __init__(self) -> None:
        self._pooling = Futures()


class Fork(Awaiting):
    """multiprocessing.Process, its join() in a thread of the loop's."""

    def make(self) -> None:
        import multiprocessing

        self.process = multiprocessing.get_context("fork").Process(target=sides.nothing)

    async def run(self) -> int | None:
        self.process.start()
        await asyncio.get_running_loop().run_in_executor(None, self.process.join)
        code: int | None = self.process.exitcode
        return code


class Exec(Awaiting):
    """asyncio's own way to a program. Before Python 3.12 it has a thread for each; here it has what came then, a pidfd."""

    program: tuple[str, ...] = ("/bin/true",)

    async def prepare(self) -> None:
        if sys.version_info < (3, 12):
            asyncio.get_child_watcher().close()
            watcher = asyncio.PidfdChildWatcher()
            watcher.attach_loop(asyncio.get_running_loop())
            asyncio.set_child_watcher(watcher)

    async def run(self) -> int | None:
        process = await asyncio.create_subprocess_exec(*self.program)
        return await process.wait()


class ExecPython(Exec):
    """With the least that is a Python."""

    program = (sys.executable, "-S", "-c", "")


class Aiomultiprocess(Awaiting):
    """Its pool and its processes. They take coroutine functions only. It starts by spawn, if it is not told otherwise."""

    pace = 0.02
    requires = "aiomultiprocess"
    method = "spawn"

    async def prepare(self) -> None:
        import aiomultiprocess

        aiomultiprocess.set_start_method(self.method)
        self._library: Any = aiomultiprocess

    async def open(self) -> None:
        if self.pool is None:
            self.pool = self._library.Pool(WORKERS)

    async def close(self) -> None:
        if self.pool is not None:
            self.pool.close()
            await self.pool.join()
            self.pool = None

    def task(self, thing: Any) -> Awaitable[Any]:
        applied: Awaitable[Any] = self.pool.apply(sides.same_async, (thing,))
        return applied

    def make(self) -> None:
        self.process = self._library.Process(target=sides.nothing_async)

    async def run(self) -> int | None:
        self.process.start()
        await self.process.join()
        code: int | None = self.process.exitcode
        return code


class AiomultiprocessFork(Aiomultiprocess):
    """Told otherwise."""

    method = "fork"


_CLASSES: dict[str, type[Awaiting]] = {
    OURS: Ours, OURS_CORO: OursCoro, OURS_BY_LOOP: OursByLoop, "futures_by_loop": FuturesByLoop, "fork": Fork,
    "exec_true": Exec, "exec_python": ExecPython, "aiomultiprocess": Aiomultiprocess,
    "aiomultiprocess_fork": AiomultiprocessFork,
}  # fmt: skip


def make_awaiting(rival: str) -> Awaiting:
    """By its name in rivals.py; one that does nothing for who is in none of these questions."""
    return _CLASSES.get(rival, Awaiting)()
