"""Blocks: futures of tasks in lanes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from procession.pool.future import Future

if TYPE_CHECKING:
    from procession.pool.engine import Engine
    from procession.pool.lanes import Lane

__all__ = ["Block"]


class Block(Future):
    """A task of a lane."""

    __slots__ = ("barrier",)

    def __init__(self, engine: Engine, lane: Lane, barrier: bool = False) -> None:
        super().__init__(engine)
        self.lane = lane
        self.barrier = barrier
