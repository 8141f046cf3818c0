"""One test, many event loops: asyncio's, trio's, and anyio's names for either.

    @pytest.mark.parametrize("run", LOOPS, ...)  ->  run = Run(library);  run(main)
"""

from __future__ import annotations

import importlib.util
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

__all__ = ["LOOPS", "Run"]

#: Nothing that is waited for in a test takes longer, in seconds.
LIMIT = 30


def _marked(library: str) -> Any:
    there = importlib.util.find_spec(library.partition("+")[0]) is not None
    there = there and importlib.util.find_spec(library.rpartition("+")[2]) is not None
    return pytest.param(library, marks=() if there else pytest.mark.skip(reason=f"{library} is not installed"))


#: Those of which ours knows: what anyio adds to either lies above them.
LOOPS = [_marked("asyncio"), _marked("trio")]
#: The same through anyio.
ALL_LOOPS = [*LOOPS, _marked("anyio+asyncio"), _marked("anyio+trio")]

Start = Callable[..., Callable[[], None]]


class Run:
    """``run(main)``: the result of ``await main()`` in a loop of that library; the rest is for within."""

    def __init__(self, library: str) -> None:
        self.library = library
        self._face = _FACES[library.partition("+")[0]]()
        self._backend = library.rpartition("+")[2]

    def __call__(self, main: Callable[[], Awaitable[Any]]) -> Any:
        return self._face.run(main, self._backend)

    async def sleep(self, seconds: float) -> None:
        await self._face.sleep(seconds)

    def tasks(self) -> Any:
        """``async with run.tasks() as start:``; ``cancel = start(async_function, *args)``. Waits for all at its end."""
        return self._face.tasks()

    async def cancelled(self, function: Callable[..., Awaitable[Any]], *args: Any, after: float = 0.01) -> bool:
        """Await ``function(*args)`` and be cancelled after a moment; whether that came out of it."""
        state: list[str] = []

        async def one() -> None:
            try:
                await function(*args)
                state.append("ended")
            except self._face.cancellation():
                state.append("cancelled")
                raise

        async with self.tasks() as start:
            cancel = start(one)
            await self.sleep(after)
            cancel()
        return state == ["cancelled"]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Until ``condition()``; looks again and again."""
        end = time.monotonic() + LIMIT
        while not condition():
            assert time.monotonic() < end, "it has not come to be"
            await self.sleep(0.001)

    async def readable(self, thing: socket.socket) -> None:
        """As a user of that library waits for a descriptor."""
        await self._face.readable(thing)


class _Asyncio:
    def run(self, main: Callable[[], Awaitable[Any]], backend: str) -> Any:
        import asyncio

        async def limited() -> Any:
            async with asyncio.timeout(LIMIT):
                result = await main()
            assert len(asyncio.all_tasks()) == 1, "a task is left"
            return result

        return asyncio.run(limited())

    async def sleep(self, seconds: float) -> None:
        import asyncio

        await asyncio.sleep(seconds)

    def cancellation(self) -> type[BaseException]:
        import asyncio

        return asyncio.CancelledError

    @asynccontextmanager
    async def tasks(self) -> AsyncIterator[Start]:
        import asyncio

        async with asyncio.TaskGroup() as group:

            def start(function: Callable[..., Any], *args: Any) -> Callable[[], None]:
                task = group.create_task(function(*args))
                return lambda: task.cancel() and None

            yield start

    async def readable(self, thing: socket.socket) -> None:
        import asyncio

        loop, told = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(thing, told.set)
        try:
            await told.wait()
        finally:
            loop.remove_reader(thing)


class _Trio:
    def run(self, main: Callable[[], Awaitable[Any]], backend: str) -> Any:
        import trio

        async def limited() -> Any:
            with trio.fail_after(LIMIT):
                return await main()

        return trio.run(limited, strict_exception_groups=True)

    async def sleep(self, seconds: float) -> None:
        import trio

        await trio.sleep(seconds)

    def cancellation(self) -> type[BaseException]:
        import trio

        return trio.Cancelled

    @asynccontextmanager
    async def tasks(self) -> AsyncIterator[Start]:
        import trio

        async with trio.open_nursery() as nursery:

            def start(function: Callable[..., Any], *args: Any) -> Callable[[], None]:
                scope = trio.CancelScope()

                async def run() -> None:
                    with scope:
                        await function(*args)

                nursery.start_soon(run)
                return lambda: scope.cancel()

            yield start

    async def readable(self, thing: socket.socket) -> None:
        import trio

        await trio.lowlevel.wait_readable(thing)


class _Anyio:
    def run(self, main: Callable[[], Awaitable[Any]], backend: str) -> Any:
        import anyio

        async def limited() -> Any:
            with anyio.fail_after(LIMIT):
                return await main()

        return anyio.run(limited, backend=backend)

    async def sleep(self, seconds: float) -> None:
        import anyio

        await anyio.sleep(seconds)

    def cancellation(self) -> type[BaseException]:
        import anyio

        return anyio.get_cancelled_exc_class()

    @asynccontextmanager
    async def tasks(self) -> AsyncIterator[Start]:
        import anyio

        async with anyio.create_task_group() as group:

            def start(function: Callable[..., Any], *args: Any) -> Callable[[], None]:
                scope = anyio.CancelScope()

                async def run() -> None:
                    with scope:
                        await function(*args)

                group.start_soon(run)
                return lambda: scope.cancel()

            yield start

    async def readable(self, thing: socket.socket) -> None:
        import anyio

        await anyio.wait_readable(thing)


_FACES: dict[str, Any] = {"asyncio": _Asyncio, "trio": _Trio, "anyio": _Anyio}
