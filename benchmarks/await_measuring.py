"""The measuring code of awaiting, in a rival's parent process: one event loop, which runs while a command does.

All times are CLOCK_MONOTONIC nanoseconds. Every result and exit code is checked. Every command ends within its limit, with an
error if need be.
"""

from __future__ import annotations

import asyncio
import gc
import os
from contextlib import suppress
from typing import Any

from await_items import Items
from await_lying import Lying
from await_rivals import make_awaiting
from measuring import ballast, own_facts
from pool_measuring import limited
from rivals import OURS
from sides import clock

__all__ = ["Loop", "make"]

_ENDING = 15
#: Who exchanges items, in the names of share_rivals.py.
_ITEMS = (OURS, "mp")
_NOTHING = "it has none"


def make(rival: str, megabytes: int, modules: list[str], limits: str | None) -> Loop:
    """What answers the driver, by the rival's name."""
    made = Loop(rival)
    _ballast.extend(ballast(megabytes))
    return made


_ballast: list[bytes] = []


class Loop:
    """One library in one event loop, and the commands by their names."""

    def __init__(self, rival: str) -> None:
        self._rival = rival
        self._runner = asyncio.Runner()
        self._awaiting = make_awaiting(rival)
        self._items: Items | None = None
        if self._awaiting.lacks() is None:
            self._runner.run(self._awaiting.prepare())

    def lacks(self, what: str) -> str | None:
        """Why it cannot be measured at that; None if it can."""
        if what in ("queue", "pipe"):
            return self._exchanging().lacks(what) if self._rival in _ITEMS else _NOTHING
        return self._awaiting.lacks()

    def warm(self, what: str) -> None:
        """Helpers, workers and queues stand after that."""
        if self.lacks(what) is not None:
            return
        if what == "task":
            with limited():
                self._runner.run(self._awaiting.open())
            self.tasks(20)
        elif what == "process":
            self.process()
        else:
            self.round_trips(what, "tuple", 20, False)

    def _exchanging(self) -> Items:
        if self._items is None:
            self._items = Items(self._rival, self._runner)
        return self._items

    # --- the questions ---

    def tasks(self, count: int, pause: float = 0.0) -> list[int]:
        """Nanoseconds for each of `count` tasks awaited one after another, from before it is given, on average.

        `pause`: seconds before each in which the loop sleeps, as all others do; not counted.
        """
        count = max(5, int(count * self._awaiting.pace))
        with limited():
            return [self._runner.run(self._one_by_one(count, pause)) // count]

    async def _one_by_one(self, count: int, pause: float) -> int:
        task, taken = self._awaiting.task, 0
        for i in range(count):
            if pause:
                await asyncio.sleep(pause)
            begin = clock()
            found = await task(i)
            taken += clock() - begin
            if found != i:
                raise RuntimeError(f"the result is {found}, not {i}")
        return taken

    def together(self, count: int) -> list[int]:
        """Nanoseconds from before the first of `count` tasks is given to the last result, by `asyncio.gather`."""
        with limited():
            return [self._runner.run(self._gather(count))]

    async def _gather(self, count: int) -> int:
        task = self._awaiting.task
        begin = clock()
        found = await asyncio.gather(*[task(i) for i in range(count)])
        end = clock()
        if found != list(range(count)):
            raise RuntimeError(f"of {count} results some are wrong: {str(found)[:60]}")
        return end - begin

    def process(self) -> list[int]:
        """Nanoseconds from before the start of a process to its exit code."""
        with limited():
            return [self._runner.run(self._process())]

    async def _process(self) -> int:
        self._awaiting.make()
        begin = clock()
        code = await self._awaiting.run()
        end = clock()
        self._awaiting.drop()
        if code != 0:
            raise RuntimeError(f"the exit code is {code}, not 0")
        return end - begin

    def round_trips(self, by: str, kind: str, count: int, apart: bool) -> list[int]:
        """As `Sharing.round_trips`; what comes back is awaited."""
        return self._exchanging().round_trips(by, kind, count, apart)

    def late(self, by: str, count: int) -> list[int]:
        """See `Items`."""
        return self._exchanging().late(by, count)

    def lie(self, **how: Any) -> dict[str, int]:
        """See `Lying`."""
        return Lying(self._rival, self._runner).lie(**how)

    # --- what the driver looks at ---

    def facts(self) -> dict[str, int]:
        """Descriptors, threads and memory of this process."""
        gc.collect()
        return {"pid": os.getpid(), **own_facts()}

    def end(self) -> None:
        """Nothing of ours outlives us."""
        with suppress(TimeoutError), limited(_ENDING):
            self._runner.run(self._awaiting.close())
        if self._items is not None:
            self._items.end()
        self._runner.close()
