"""What is awaited to its end although we are cancelled meanwhile."""

from __future__ import annotations

import asyncio
import importlib.util
from typing import Any

import pytest

from eventloops import ALL_LOOPS, Run
from procession.core import loops


@pytest.fixture(params=ALL_LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    return Run(request.param)


def test_shielded(run: Run) -> None:
    """To its end, though we are cancelled meanwhile; and then that comes out."""
    steps: list[Any] = []

    async def main() -> None:
        async def work(note: Any) -> None:
            await note.wait()
            steps.append("worked")

        async def host(note: Any) -> None:
            loop = loops.current()
            came = await loop.shielded(work, note)
            steps.append(came is not None)
            if came is not None:
                await loop.be_cancelled(came)
                steps.append("never")

        for cancel in (False, True):
            note = loops.current().note()
            async with run.tasks() as start:
                stop = start(host, note)
                await run.sleep(0.01)
                if cancel:
                    stop()
                    await run.sleep(0.01)
                note.set()

    run(main)
    assert steps == ["worked", False, "worked", True]


def test_shielded_raises_what_it_awaits_raises(run: Run) -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            await loops.current().shielded(fail)

    run(main)


@pytest.mark.skipif(importlib.util.find_spec("anyio") is None, reason="anyio is not installed")
def test_who_is_cancelled_again_and_again_sleeps_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """anyio cancels a task in each turn of asyncio's loop, until it has gone."""
    import anyio

    sleeps: list[Any] = []
    ours = asyncio.wait

    async def counted(tasks: Any) -> Any:
        sleeps.append(tasks)
        return await ours(tasks)

    monkeypatch.setattr(asyncio, "wait", counted)

    async def main() -> None:
        async def host() -> None:
            try:
                await anyio.sleep(20)
            finally:
                await loops.current().shielded(anyio.sleep, 0.1)

        with anyio.move_on_after(0.01):
            await host()

    anyio.run(main)
    assert len(sleeps) == 1


def test_at_the_end_of_asyncios_run_it_insists() -> None:
    """`asyncio.run` cancels all tasks at its end, that of ours which is shielded as well."""
    steps: list[Any] = []

    async def work(notes: list[Any]) -> None:
        note = loops.current().note()
        notes.append(note)
        asyncio.get_running_loop().call_later(0.05, lambda: len(notes) > 1 and note.set())
        await note.wait()
        steps.append("worked")

    async def host(notes: list[Any], insist: bool) -> None:
        try:
            steps.append(await loops.current().shielded(work, notes, insist=insist) is not None)
        except asyncio.CancelledError:
            steps.append("cancelled")

    async def main(insist: bool) -> None:
        task = asyncio.create_task(host([], insist))
        await asyncio.sleep(0.01)
        assert not task.done()

    asyncio.run(main(True))
    asyncio.run(main(False))
    assert steps == ["worked", True, "cancelled"]
