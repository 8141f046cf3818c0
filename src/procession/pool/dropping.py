"""Pools, lanes and streams that nobody has any more.

A finalizer may come at any point of any thread, whatever locks it has: a future's, for instance, for which the pool waits. So
ours wait for no lock, and end no task. What cannot be done in place is done by who collects, whom a message tells (DROPPED).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from procession.pool.messages import Kind

if TYPE_CHECKING:
    from procession.pool.engine import Engine
    from procession.pool.lanes import Lane
    from procession.pool.streams import Stream

__all__ = ["drop_lane", "drop_pool", "drop_stream", "heard"]


def drop_pool(engine: Engine, how: str) -> None:
    """Nobody has it any more: "close" it, or "terminate" its workers."""
    _do(engine, engine.close if how == "close" else lambda: engine.end(how, None), engine.is_done)


def drop_lane(lane: Lane) -> None:
    """Nobody has it any more: what it has is done, and then it goes."""
    _do(lane._engine, lane.close, lambda: not lane.outstanding() and not lane._timed)


def drop_stream(stream: Stream) -> None:
    """Nobody reads it any more."""
    _do(stream._engine, stream.forget)


def heard(engine: Engine) -> None:
    """By who collects, with the lock."""
    while engine.dropped:
        engine.dropped.pop(0)()


def _do(engine: Engine, end: Callable[[], object], ends_nothing: Callable[[], bool] = lambda: True) -> None:
    if engine._pid != os.getpid():
        return  # (in a forked child: it is the parent's)
    lock: Any = engine.lock
    if not lock._is_owned() and lock.acquire(blocking=False):
        try:
            if ends_nothing():
                end()
                return
        finally:
            lock.release()
    engine.dropped.append(end)
    engine.results._put_task(0, Kind.DROPPED, None)
