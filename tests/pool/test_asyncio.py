"""Pools in an event loop."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from procession import WorkerDied
from procession.pool.executor import ProcessPoolExecutor
from procession.testing import saboteurs

LIMIT = 20.0


def run(coroutine: Any) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, LIMIT))


def test_run_in_executor(executor: ProcessPoolExecutor) -> None:
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loop.run_in_executor(executor, pow, number, 2) for number in range(50)))

    assert run(main()) == [number**2 for number in range(50)]


def test_wrap_future(executor: ProcessPoolExecutor) -> None:
    async def main() -> Any:
        return await asyncio.wrap_future(executor.submit(abs, -5))

    assert run(main()) == 5


def test_futures_are_awaited(executor: ProcessPoolExecutor) -> None:
    async def main() -> Any:
        ended = executor.submit(abs, -1)
        ended.result(LIMIT)
        return await ended, await executor.submit(abs, -2), [await future for future in map(executor.submit, [dict] * 3)]

    assert run(main()) == (1, 2, [{}, {}, {}])


def test_errors_come_through(executor: ProcessPoolExecutor) -> None:
    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            await executor.submit(divmod, 1, 0)
        with pytest.raises(WorkerDied):
            await executor.submit(saboteurs.kill_self)
        assert await executor.submit(abs, -1) == 1

    run(main())


def test_cancelling_the_await_stops_the_task(executor: ProcessPoolExecutor, doors: Any, lines: Any) -> None:
    def work() -> None:
        try:
            doors.enter(0)
        except BaseException as error:
            lines.add(type(error).__name__)
            raise

    async def main() -> None:
        task = asyncio.ensure_future(wait_for(executor.submit(work)))
        await asyncio.to_thread(doors.wait, 0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def wait_for(future: Any) -> None:
        await future

    run(main())
    assert lines.wait(1) == ["TaskStopped"]
    assert executor.submit(abs, -1).result(LIMIT) == 1


def test_a_time_limit_of_the_loop_stops_the_task(executor: ProcessPoolExecutor, doors: Any, lines: Any) -> None:
    async def main() -> None:
        def work() -> None:
            try:
                doors.enter(0)
            finally:
                lines.add("over")

        future = asyncio.get_running_loop().run_in_executor(executor, work)
        await asyncio.to_thread(doors.wait, 0)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(future, 0.02)

    run(main())
    assert lines.wait(1) == ["over"]


def test_the_loop_goes_on_meanwhile(executor: ProcessPoolExecutor, doors: Any) -> None:
    async def main() -> int:
        future = asyncio.wrap_future(executor.submit(doors.enter, 0, 1))
        turns = 0
        while not future.done():
            await asyncio.sleep(0)
            turns += 1
            if turns == 100:
                doors.let(0)
        return turns

    assert run(main()) >= 100


def test_as_completed_of_asyncio(executor: ProcessPoolExecutor) -> None:
    async def main() -> list[int]:
        futures = [asyncio.wrap_future(executor.submit(abs, -number)) for number in range(20)]
        return sorted([await future for future in asyncio.as_completed(futures)])

    assert run(main()) == list(range(20))


def test_it_is_the_default_executor_of_no_loop_but_may_be_asked_for(executor: ProcessPoolExecutor) -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(executor, os.getpid)

    assert run(main()) != os.getpid()
