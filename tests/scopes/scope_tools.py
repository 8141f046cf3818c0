"""What tests of scopes need: event loops by name, marks of children, a look at a pid."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import procession
from procession.testing.watch import Identity, identity, is_running

#: Nothing in a test takes so long, in seconds.
LIMIT = 30


class Loops:
    """One library's event loop."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, main: Callable[[], Awaitable[Any]]) -> Any:
        async def limited() -> Any:
            if self.name == "trio":
                with self._trio().fail_after(LIMIT):
                    return await main()
            async with asyncio.timeout(LIMIT):
                return await main()

        return self._trio().run(limited) if self.name == "trio" else asyncio.run(limited())

    def _trio(self) -> Any:
        return pytest.importorskip("trio", reason="trio is not installed")

    async def sleep_for_ever(self) -> None:
        await (self._trio().sleep_forever() if self.name == "trio" else asyncio.sleep(3600))

    async def pause(self) -> None:
        await (self._trio() if self.name == "trio" else asyncio).sleep(0.001)

    async def eventually(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + LIMIT
        while not condition():
            assert time.monotonic() < deadline
            await self.pause()


class Marks:
    """Files by which children tell that they have come so far."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def made(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}

    def wait(self, *names: str) -> None:
        procession.testing.watch.eventually(lambda: self.made() >= set(names), LIMIT, f"{names} of {self.made()}")


def alive(pid: int) -> bool:
    who: Identity | None = identity(pid)
    return who is not None and is_running(who)
