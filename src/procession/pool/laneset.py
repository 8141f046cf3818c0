"""All lanes of a pool, as its engine has them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from procession.pool.shield import shielded

if TYPE_CHECKING:
    from procession.pool.engine import Engine
    from procession.pool.lanes import Lane
    from procession.pool.loop_lane import LoopLane

__all__ = ["Lanes"]


class Lanes:
    """All lanes of a pool. The engine's lock guards it."""

    def __init__(self) -> None:
        self.open: dict[int, Lane] = {}
        self.held: set[int] = set()  # numbers of tasks that are in lanes' rings, or came from there
        self.hungry: set[Lane] = set()  # room has come into their rings
        self.numbers = itertools.count(1)
        self.loop: LoopLane | None = None  # of coroutine functions
        self.ranked = False  # some go before others, or did

    def waiting(self) -> int:
        """How many tasks wait in backlogs."""
        return sum(len(lane.backlog) for lane in self.open.values()) if self.open else 0

    def timed(self) -> bool:
        """Whether there are tasks whose time has not come."""
        return any(lane._timed for lane in self.open.values())

    def feed(self) -> None:
        """Tasks have ended: let others follow."""
        while self.hungry:
            lane = next(iter(self.hungry))
            lane.feed()
            self.hungry.discard(lane)

    def look(self) -> None:
        """There may be more workers than before: those that any number may serve."""
        for lane in list(self.open.values()):
            if lane.width is None and lane.held:
                lane.see_to_service()
        self.see_to_passed()

    # --- priorities: a lane gives no order while those of others, among them a higher one, have all workers ---

    def may_give(self, priority: int, workers: int) -> bool:
        """Whether a lane of that priority may give one."""
        ranks = [(lane.priority, len(lane.orders)) for lane in self.open.values() if lane.ranks and lane.orders]
        return sum(orders for _, orders in ranks) < workers or priority >= max(ranks)[0]

    def pass_by(self, priority: int, engine: Engine) -> None:
        """An order of that priority comes: lower ones that no worker has taken yet come back."""
        for lane in [lane for lane in self.open.values() if lane.ranks and lane.orders and lane.priority < priority]:
            for order in list(lane.orders):
                with shielded():
                    if order.number and engine.tasks._withdraw(order.number):
                        engine.let_go(order)
                        lane.orders.discard(order)
                        lane.passed = True

    def see_to_passed(self) -> None:
        """Orders are done, or there are more workers: others may be given."""
        for lane in sorted((lane for lane in self.open.values() if lane.passed), key=lambda lane: -lane.priority):
            lane.see_to_service()

    def forget(self, number: int) -> None:
        """It is not held, whatever a lane knows of it. (A signal's handler may raise while it is put, or has just ended.)"""
        for lane in list(self.open.values()):
            if number in lane.held:
                lane.ended(number)

    def close(self, cancel: bool) -> None:
        """Nothing more comes. What waits in a lane that is suspended ends, since nobody will go on with it."""
        for lane in list(self.open.values()):
            lane.fail_timed(None)
            if cancel:
                lane.take_back()
            if cancel or lane.suspended:
                lane.fail_waiting(None)
            lane.see_to_service()  # (as in `Lane.close`)

    def end(self, error: BaseException | None) -> None:
        """No worker will come any more."""
        for lane in list(self.open.values()):
            lane.over = True
            lane.fail_waiting(error)
            lane.fail_timed(error)
