"""A target, or a `run`, that is an `async def` runs in an event loop of the child's own."""

from __future__ import annotations

import asyncio
import functools
import os
from typing import Any

import pytest

import procession
from procession.core.coroutines import finished, is_coroutine_function


class Caller:
    async def method(self) -> str:
        return "method"

    async def __call__(self) -> str:
        return "called"


async def plain(value: int = 1) -> int:
    await asyncio.sleep(0)
    return value


def test_what_is_seen_to_be_one() -> None:
    partial = functools.partial(functools.partial(plain, 2))
    assert all(map(is_coroutine_function, [plain, partial, Caller().method, Caller.method, Caller()]))
    assert not any(map(is_coroutine_function, [finished, len, int, Caller, functools.partial(len), None, 3, "x".upper]))


def test_what_comes_of_a_call() -> None:
    assert finished(3) == 3
    assert finished(plain(4)) == 4
    with pytest.raises(ZeroDivisionError):
        finished(functools.partial(_divide, 0)())


async def _divide(by: int) -> float:
    await asyncio.sleep(0)
    return 1 / by


def test_a_target(ctx: Any) -> None:
    """Many at a time within it; its arguments and its queue are as for any other."""

    async def work(queue: Any, count: int) -> None:
        async def one(number: int) -> None:
            await asyncio.sleep(0.01 * (count - number))
            await queue.put_async((number, os.getpid()))

        await asyncio.gather(*[one(number) for number in range(count)])

    queue = ctx.Queue()
    process = ctx.Process(target=work, args=(queue,), kwargs={"count": 3})
    process.start()
    assert [queue.get(timeout=30) for _ in range(3)] == [(number, process.pid) for number in (2, 1, 0)]
    process.join()
    assert process.exitcode == 0


class Reader(procession.Process):
    def __init__(self, queue: Any) -> None:
        super().__init__()
        self.queue = queue

    async def run(self) -> None:  # type: ignore[override]
        await self.queue.put_async(await asyncio.wait_for(plain(7), 30))


def test_a_run() -> None:
    queue: Any = procession.SimpleQueue()
    process = Reader(queue)
    process.start()
    process.join()
    assert (process.exitcode, queue.get()) == (0, 7)


def test_how_it_ends(ctx: Any, capfd: pytest.CaptureFixture[str]) -> None:
    async def exits() -> None:
        raise SystemExit(5)

    async def raises() -> None:
        await asyncio.sleep(0)
        raise ValueError("from within")

    processes = [ctx.Process(target=target, name=target.__name__) for target in (exits, raises)]
    for process in processes:
        process.start()
        process.join()
    assert [process.exitcode for process in processes] == [5, 1]
    error = capfd.readouterr().err
    assert "Process raises:\nTraceback" in error
    assert "ValueError: from within" in error


def test_interrupted(ctx: Any) -> None:
    """Ctrl-C cancels it, and it tidies up."""

    async def waits(began: Any, tidied: Any) -> None:
        try:
            began.set()
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            tidied.set()
            raise

    began, tidied = ctx.Event(), ctx.Event()
    process = ctx.Process(target=waits, args=(began, tidied))
    process.start()
    assert began.wait(30)
    process.interrupt()
    process.join(30)
    assert (process.exitcode, tidied.is_set()) == (1, True)


def test_started_from_within_a_loop(ctx: Any) -> None:
    """The child of a fork has a loop of its own, not its parent's."""

    async def main() -> int:
        process = ctx.Process(target=plain)
        process.start()
        code: int = await process
        return code

    assert asyncio.run(main()) == 0
