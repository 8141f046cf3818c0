"""A connection that another thread closes, for those who wait for it in an event loop."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from eventloops import LOOPS, Run
from procession import Pipe
from procession.core import loops


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    return Run(request.param)


@pytest.mark.parametrize("when", ["before it waits", "while it waits"])
def test_who_receives_comes_to_know(run: Run, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its descriptor is closed when all were told, and they may have looked by then, or others have come."""
    here, there = Pipe()
    over, closing = threading.Event(), threading.Event()
    tell, usable = loops.closing, loops.Loop.usable

    def told_first(fd: int) -> None:
        tell(fd)
        closing.set()
        over.wait(5)

    async def late(*args: Any, **options: Any) -> bool:
        thread.start()
        closing.wait(20)
        return await usable(*args, **options)

    async def receive() -> None:
        with pytest.raises(OSError, match="closed"):
            await here.recv_async()
        over.set()

    async def main() -> None:
        async with run.tasks() as begin:
            cancel = begin(receive)
            if when == "while it waits":
                await run.until(lambda: bool(loops.current()._lookout._places))
                thread.start()
            await run.until(lambda: over.is_set() or (closing.is_set() and not thread.is_alive()))
            cancel()

    thread = threading.Thread(target=here.close)
    monkeypatch.setattr(loops, "closing", told_first)
    if when == "before it waits":
        monkeypatch.setattr(loops.Loop, "usable", late)
    run(main)
    assert over.is_set()
    thread.join()
    there.close()
