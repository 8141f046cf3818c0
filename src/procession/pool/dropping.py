"""Pools, lanes and streams that nobody has any more.

A finalizer may come at any point of any thread, whatever locks it has: a future's, for instance, for which the pool waits. So
ours wait for no lock, end no task, and call nobody. What cannot be done in place is done by who collects, whom a message tells
(DROPPED); by a thread of its own when nobody does any more.
"""

from __future__ import annotations

import _thread
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from procession.pool.messages import Kind

if TYPE_CHECKING:
    from procession.pool.engine import Engine
    from procession.pool.lanes import Lane
    from procession.pool.streams import Stream

__all__ = ["drop_lane", "drop_pool", "drop_stream", "heard"]


def drop_pool(engine: Engine, how: str) -> None:
    """Nobody has it any more: "close" it, or "terminate" its workers."""
    end = engine.close if how == "close" else lambda: engine.end(how, None)
    _do(engine, end, lambda: engine.is_done() and not engine.lanes.timed())


def drop_lane(lane: Lane) -> None:
    """Nobody has it any more: what it has is done, and then it goes."""
    _do(lane._engine, lane.close, lambda: not lane.outstanding() and not lane._timed)


def drop_stream(stream: Stream) -> None:
    """Nobody reads it any more. (Its progress bar is told.)"""
    _do(stream._engine, stream.forget, lambda: stream._progress is None)


def heard(dropped: list[Callable[[], object]]) -> None:
    """By who collects; with the lock, or by a thread that has none."""
    while dropped:
        with suppress(ReferenceError):  # (its pool went with it)
            dropped.pop(0)()


def _do(engine: Engine, end: Callable[[], object], ends_nothing: Callable[[], bool]) -> None:
    if engine._pid != os.getpid() or sys.is_finalizing():
        return  # (in a forked child: it is the parent's; our threads have been left, perhaps with our locks)
    lock: Any = engine.lock
    if not lock._is_owned() and lock.acquire(blocking=False):
        try:
            if ends_nothing():
                end()
                return
        finally:
            lock.release()
    engine.dropped.append(end)
    if engine.over.is_set():
        _thread.start_new_thread(heard, (engine.dropped,))
        return
    engine.results._put_task(0, Kind.DROPPED, None)
