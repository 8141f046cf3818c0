"""The worker's side of lanes (lanes.py): what it does when it is ordered to serve one."""

from __future__ import annotations

import time
from queue import Empty
from typing import TYPE_CHECKING, Any

from procession import _native
from procession.pool import messages
from procession.pool.messages import Kind
from procession.pool.rings import found

if TYPE_CHECKING:
    from procession.pool.worker import _Worker

__all__ = ["Service"]

#: So long, in nanoseconds, a worker serves a lane while something else waits.
QUANTUM = 10_000_000
#: So often, and each time for so many seconds, it waits for another task of the lane while nothing else does: to end an order
#: and to be given another one costs more than to wait for a task that comes soon.
PATIENCE = (0.0002,) * 5
#: It keeps so many lanes' rings, each of which is there as long as somebody has it.
MOST = 64


class Service:
    """Of one worker."""

    def __init__(self, worker: _Worker, tasks: Any) -> None:
        self._worker = worker
        self._rings: dict[int, Any] = {}  # by the lane's number
        self._chain = [tasks]  # rings: the pool's, that of the lane that we serve, or of its target and then its own, ...

    def serve(self, number: int, lane: int) -> None:
        """Follow an order. Before anything else is taken, TAKEN is in `results`: whoever reads of our death has read that, so
        the order is lost with us although our record says something else by then. If it cannot be put, we end with the order
        in our record."""
        worker = self._worker
        worker.results._put_task(number, messages.outcome(Kind.TAKEN, worker.id), time.monotonic())
        ring = self.ring(lane)
        if ring is not None:
            self._chain.append(ring)
            try:
                self._serve(ring)
            finally:
                self._chain.pop()
        worker.results._end_task(number, messages.outcome(Kind.VALUE, worker.id), None)

    def ring(self, lane: int) -> Any:
        """None: the lane is gone."""
        ring = self._rings.get(lane)
        if ring is None:
            address = self._worker.loader.table.get(-lane)
            ring = None if address is None else found(address)
            if ring is not None:
                self._rings[lane] = ring
                if len(self._rings) > MOST:
                    del self._rings[next(iter(self._rings))]
        return ring

    def _serve(self, ring: Any) -> None:
        worker, turn = self._worker, self._worker.turn
        until = time.monotonic_ns() + QUANTUM
        while (most := worker.room()) > 0:
            handed = ring._work(worker.results, worker.loader.known, worker.id, most, until, turn.begin, turn.end, False)
            over = time.monotonic_ns() >= until
            if handed is None and not over:
                if _native.task_stop() == messages.RETIRE:
                    return
                handed = self._linger(ring)
                if handed is None:
                    return
            if handed is not None:
                worker.run(*handed[:3]) if handed[3] is None else worker.failed(*handed)
                del handed
            if over:
                if worker.watched:
                    worker.look()
                if self._others_wait():
                    return
                until = time.monotonic_ns() + QUANTUM

    def _others_wait(self) -> bool:
        loop = self._worker.loop
        if loop is not None and loop.busy:
            return True
        return any(not ring.empty() for ring in self._chain[:-1])

    def _linger(self, ring: Any) -> Any:
        """The next task, if one comes soon and nothing else is to be done."""
        for pause in PATIENCE:
            if self._others_wait() or self._worker.room() <= 0:
                return None
            try:
                return (*ring._take_task(pause), None, None)
            except Empty:
                pass
        return None
