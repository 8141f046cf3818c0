"""The lane of a pool's coroutine functions: they run in the workers' event loops (looping.py), many at a time in each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from procession.core import coroutines
from procession.pool.lanes import Lane
from procession.pool.messages import Shape
from procession.process.nursery import nursery

if TYPE_CHECKING:
    from procession.pool.engine import Engine

__all__ = ["LoopLane", "loop_lane"]


class LoopLane(Lane):
    """As many loops as there are workers, if there are as many tasks. These begin in order, and no more is promised: those
    that share a loop run between each other's steps."""

    shape = Shape.LOOP
    window = 16384
    in_order = ranks = False

    def adopt(self, task: Any) -> None:
        """Take on a task that was made before it was known where it belongs. With the lock."""
        task.lane = self
        self.take_on(task)


def loop_lane(engine: Engine) -> LoopLane:
    """The pool's. Made when it is asked for the first time."""
    with engine.lock:
        lanes = engine.lanes
        if lanes.loop is None:
            modules: set[str] = set()
            coroutines.expect(modules)
            nursery.learn(modules)
            lanes.loop = LoopLane(engine, None, name="loops")
        return lanes.loop
