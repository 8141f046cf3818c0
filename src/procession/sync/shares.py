"""Permits with an owner, awaited: below the robust semaphore and RWLock."""

from __future__ import annotations

from typing import Any

from procession.core import loops
from procession.sync import tasks

__all__ = ["take"]


async def take(shares: Any, units: int, timeout: float | None) -> bool:
    """Wait in the event loop for `units` permits; False: `timeout` seconds passed. Cancelled, it has taken nothing."""
    loop = loops.current()
    deadline = loop.deadline(timeout)
    await loop.checkpoint()
    if shares._take(units, False):
        return True
    if timeout is not None and timeout <= 0:
        return False
    with tasks.channel_of(loop) as channel:
        wait = shares._begin(units, channel.number)
        if wait is None:
            return True
        told = False
        try:
            told = await channel.told(wait, deadline)
        finally:
            has: bool = shares._end(wait)
            if has and not told:  # it came while we were giving up
                shares._give(units, True)
        return told and has
