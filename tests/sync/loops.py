"""Event loops for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


def run(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """A whole event loop; nothing may be left of it."""

    async def limited() -> Any:
        async with asyncio.timeout(30):
            result = await main()
        assert len(asyncio.all_tasks()) == 1
        return result

    return asyncio.run(limited())


async def until_waiters(thing: Any, count: int) -> None:
    while len(thing.waiters) != count:
        await asyncio.sleep(0.001)
