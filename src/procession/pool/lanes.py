"""Lanes: lines of tasks within a pool, each served by so many workers at a time, at most.

    submit ──▶ the lane's backlog ──▶ its ring (a queue in the commons) ──▶ a worker that serves the lane ──▶ results
                                            │                                          ▲
                                            └─ an *order*: a task of the pool ─────────┘  its ring, as any other task

A lane's tasks do not pass through the pool's ring. What does is an order to serve the lane. The worker that takes the order
says TAKEN, then takes tasks from the lane's ring until there is none, or until others have waited long enough; then the order
ends, as a task does, and if tasks are left there is another one, behind what waits. There are at most `width` orders of a lane
at a time: so with one its tasks are done one after another, in order, and cost what those of a pool with one worker cost.

A lane with a *target* sends its orders through that lane's ring. So a lane whose target has width 1 runs beside none of the
target's other tasks.

What a worker that dies had in hand stands in its record, as always; the order that it followed stands in `Member.many`, since
TAKEN is in `results` before the record is written again. Both are lost with it, and nothing else: a new order goes to the next
worker.
"""

from __future__ import annotations

import itertools
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

from procession import _native
from procession.pool import verdicts
from procession.pool.messages import Shape, work
from procession.pool.options import Options
from procession.pool.shield import shielded
from procession.pool.task import Extra, Task
from procession.share.queues import SimpleQueue

if TYPE_CHECKING:
    from procession.pool.engine import Engine

__all__ = ["Lane", "Lanes", "Order", "ring"]

#: So many tasks of a lane are in its ring, at most.
WINDOW = 1024


def ring() -> Any:
    """A queue of tagged messages."""
    made = SimpleQueue()
    made._configure(0, _native.TASKS)
    return made


class Order(Task):
    """One worker more is to serve a lane. `lane` is the one in whose ring it goes, None in the pool's."""

    __slots__ = ("lane", "served")

    def __init__(self, served: Lane) -> None:
        self.served, self.lane = served, served.target
        self.number, self.function, self.job = 0, None, None
        self.aux = work(served.id, Shape.SERVE)
        self.extra = Extra(Options(priority=served.priority)) if served.priority else None

    def end(self, kind: int, payload: Any, seconds: float) -> None:
        self.served.left(self)

    def fail(self, error: BaseException) -> None:
        self.served.unserved(self, error)


class Lanes:
    """All lanes of a pool. The engine's lock guards it."""

    def __init__(self) -> None:
        self.open: dict[int, Lane] = {}
        self.held: set[int] = set()  # numbers of tasks that are in lanes' rings, or came from there
        self.hungry: set[Lane] = set()  # room has come into their rings
        self.numbers = itertools.count(1)

    def waiting(self) -> int:
        """How many tasks wait in backlogs."""
        return sum(len(lane.backlog) for lane in self.open.values()) if self.open else 0

    def feed(self) -> None:
        """Tasks have ended: let others follow."""
        while self.hungry:
            lane = next(iter(self.hungry))
            lane.feed()
            self.hungry.discard(lane)

    def forget(self, number: int) -> None:
        """It is not held, whatever a lane knows of it. (A signal's handler may raise while it is put, or has just ended.)"""
        for lane in list(self.open.values()):
            if number in lane.held:
                lane.ended(number)

    def close(self, cancel: bool) -> None:
        """Nothing more comes. What waits in a lane that is suspended ends, since nobody will go on with it."""
        for lane in list(self.open.values()):
            if cancel or lane.suspended:
                lane.fail_waiting(None)

    def end(self, error: BaseException | None) -> None:
        """No worker will come any more."""
        for lane in list(self.open.values()):
            lane.over = True
            lane.fail_waiting(error)


class Lane:
    """Tasks that at most `width` workers do at a time, begun in the order in which they came. All methods may be called by any
    thread.

    `priority`: of its orders among what waits in the pool. A task that is a `barrier` begins when all before it have ended, and
    those behind it begin when it has ended.
    """

    def __init__(self, engine: Engine, width: int = 1, *, target: Lane | None = None, priority: int = 0) -> None:
        self._engine: Engine = weakref.proxy(engine)  # (which has us)
        self.width, self.target, self.priority = width, target, priority
        self.ring = ring()
        self.backlog: deque[Task] = deque()
        self.held: dict[int, Task] = {}  # in the ring, or in hand; by number, in order
        self.orders: set[Order] = set()
        self.suspended = 0
        self.closed = self.over = False
        self._barrier = 0  # the number of the one that is held
        with engine.lock:
            self.id = next(engine.lanes.numbers)
            engine.functions.table[-self.id] = self.ring  # (where workers look for it)
            engine.lanes.open[self.id] = self

    # --- for users of the lane ---

    def submit(self, task: Task) -> None:
        """Take it on; its `lane` is this one. Raises RuntimeError when lane or pool is closed; the task is untouched then."""
        engine = self._engine
        with engine.lock:
            if engine.closing:
                engine.check_open()
            if self.closed:
                raise RuntimeError("cannot submit to a lane that was closed")
            self.take_on(task)

    def take_on(self, task: Task) -> None:
        """The same, also while the pool is being closed. With the lock."""
        if self.backlog or task.extra is not None or not self._has_room(task):
            self.backlog.append(task)
            self.feed()
            return
        task.begin()
        number = task.number = self._engine.new_number()
        try:
            self.ring._put_task(number, task.aux, task.job)
        except MemoryError as error:
            task.fail(error)
        else:
            self._hold(number, task)
        self._see_to_service()

    def suspend(self) -> None:
        """Begin no other task until `resume` was called as often. What runs goes on. Does not block."""
        with self._engine.lock:
            self.suspended += 1
            if self.suspended == 1:
                self._take_back()

    def resume(self) -> None:
        """Raises RuntimeError if it is not suspended."""
        with self._engine.lock:
            if not self.suspended:
                raise RuntimeError("resume() was called more often than suspend()")
            self.suspended -= 1
            self.feed()

    def outstanding(self) -> int:
        """How many tasks have not ended."""
        return len(self.held) + len(self.backlog)

    def close(self) -> None:
        """Take on nothing more; when all that was taken on has ended, nothing is left of it. Does not block."""
        with self._engine.lock:
            self.closed = True
            if self.suspended:
                self.fail_waiting(None)
            self._leave_if_done()

    # --- for the engine; with the lock ---

    def feed(self) -> None:
        """From the backlog into the ring, as much as there is room for."""
        if self.backlog and self._has_room(self.backlog[0]):
            with shielded():
                self._hand_out()
        self._see_to_service()

    def _hand_out(self) -> None:
        engine, batch = self._engine, []
        while self.backlog and self._has_room(self.backlog[0]):
            task = self.backlog.popleft()
            try:
                if not task.begin():
                    continue
                job = task.job if task.job is None or task.job.reusable else task.take_job()
            except Exception as error:
                task.fail(error)
                continue
            number = task.number = engine.new_number()
            self._hold(number, task)
            batch.append((number, task.aux, job))
            if task.extra is not None:
                engine.stopper.watch(task)
        if batch:
            engine.put(batch, self.ring)

    def _has_room(self, task: Task) -> bool:
        held = self.held
        if self.suspended or self._barrier or len(held) >= WINDOW:
            return False
        return not held or not task.barrier or self.width == 1

    def _hold(self, number: int, task: Task) -> None:
        """It was put into the ring, or is about to be. (In this order: what only the lane has is forgotten at its outcome.)"""
        self.held[number] = task
        if task.barrier and self.width != 1:
            self._barrier = number
        self._engine.held[number] = task
        self._engine.lanes.held.add(number)

    def _see_to_service(self) -> None:
        while len(self.orders) < min(self.width, len(self.held)) and self._order():
            pass

    def _order(self) -> bool:
        engine = self._engine
        if self.over or engine.broken is not None or engine.crew.ended:
            return False
        with shielded():  # (never counted and not given, nor given twice)
            order = Order(self)
            self.orders.add(order)
            if self.target is None:
                engine.submit_pieces([order])
            else:
                self.target.take_on(order)
        return order in self.orders

    def ended(self, number: int) -> None:
        """A task that was held has ended, or is to be held anew."""
        self.held.pop(number, None)
        self._engine.lanes.held.discard(number)
        if self._barrier == number:
            self._barrier = 0
        if self.backlog:
            self._engine.lanes.hungry.add(self)
        elif self.closed:
            self._leave_if_done()

    def left(self, order: Order) -> None:
        """A worker serves it no more: it was done, or has died."""
        self.orders.discard(order)
        self._see_to_service()
        if self.closed:
            self._leave_if_done()

    def unserved(self, order: Order, error: BaseException) -> None:
        """The order could not be given: there is no memory, or no worker will come."""
        self.orders.discard(order)
        if not self.over:
            self._take_back()
            self.fail_waiting(error)

    def again(self, task: Task) -> None:
        """Its worker died, and it is tried again: before those behind it, if one is done after another."""
        if self.width == 1:
            self._take_back()
        self.backlog.appendleft(task)
        self._engine.lanes.hungry.add(self)

    def _take_back(self) -> None:
        """What is in the ring goes back to the backlog, in order."""
        with shielded():
            back = [(number, task) for number, task in self.held.items() if self.ring._withdraw(number)]
            for number, _ in back:
                del self._engine.held[number]
                self.ended(number)
            self.backlog.extendleft(task for _, task in reversed(back))

    def fail_waiting(self, error: BaseException | None) -> None:
        """What waits in the backlog ends: cancelled, or with that error."""
        while self.backlog:
            self.backlog.popleft().fail(verdicts.copy_of(error) if error is not None else verdicts.cancelled())

    def _leave_if_done(self) -> None:
        if self.held or self.backlog or self.orders:
            return
        engine = self._engine
        if engine.lanes.open.pop(self.id, None) is not None:
            engine.functions.drop(-self.id)
