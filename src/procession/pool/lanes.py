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

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from procession.pool import verdicts
from procession.pool.messages import Shape, work
from procession.pool.options import Options
from procession.pool.rings import address_of, ring
from procession.pool.shield import shielded
from procession.pool.task import Extra, Task

if TYPE_CHECKING:
    from procession.pool.engine import Engine

__all__ = ["Lane", "Order"]

#: So many tasks of a lane are in its ring, at most.
WINDOW = 1024


class Order(Task):
    """One worker more is to serve a lane. `lane` is the one in whose ring it goes, None in the pool's."""

    __slots__ = ("lane", "served")

    def __init__(self, served: Lane) -> None:
        self.served, self.lane = served, served.target
        self.number, self.function, self.job = 0, None, None
        self.aux = work(served.id, served.shape)
        self.extra = Extra(Options(priority=served.priority)) if served.priority else None

    def end(self, kind: int, payload: Any, seconds: float) -> None:
        self.served.left(self)

    def fail(self, error: BaseException) -> None:
        self.served.unserved(self, error)


class Lane:
    """Tasks that at most `width` workers do at a time (None: as many as there are), begun in the order in which they came. All
    methods may be called by any thread.

    `priority`: of its orders among what waits in the pool. A task that is a `barrier` begins when all before it have ended, and
    those behind it begin when it has ended.
    """

    shape = Shape.SERVE  # of its orders
    window = WINDOW
    in_order = True  # with a width of 1 one is done after another
    ranks = True  # its priority counts

    def __init__(
        self, engine: Engine, width: int | None = 1, *, target: Lane | None = None, priority: int = 0, name: str = "lane"
    ) -> None:
        self._engine: Engine = weakref.proxy(engine)  # (which has us)
        self.width, self.target, self.priority, self.name = width, target, priority, name
        self.ranks = self.ranks and target is None
        self.passed = False  # it has tasks, and must wait for others to give orders
        self.ring = ring()
        self.backlog: deque[Task] = deque()
        self.held: dict[int, Task] = {}  # in the ring, or in hand; by number, in order
        self.orders: set[Order] = set()
        self.suspended = 0
        self.closed = self.over = self.sent = False  # (the latter: handles of it may be in workers)
        self.refused: Callable[[], RuntimeError] | None = None  # what is raised, if it was closed by more than `close`
        self._timed: set[Task] = set()  # those whose time has not come
        self._joins: list[Any] = []  # events
        self._barrier = 0  # the number of the one that is held
        self._above = 0  # lanes whose target it is
        self._lanes, self._new_number, self._held_by_pool = engine.lanes, engine.new_number, engine.held
        with engine.lock:
            if target is not None:
                target.take_above()
            self.id = next(engine.lanes.numbers)
            engine.functions.table[-self.id] = address_of(self.ring)  # (where workers look for it)
            engine.lanes.open[self.id] = self
            engine.lanes.ranked |= priority != 0

    def take_above(self) -> None:
        """It is the target of one more. With the lock. Raises RuntimeError if it was closed."""
        if self.closed:
            raise RuntimeError(f"{self.name!r} cannot be a target: it was closed")
        self._above += 1

    # --- for users of the lane ---

    def submit(self, task: Task) -> None:
        """Take it on; its `lane` is this one. Raises RuntimeError when lane or pool is closed; the task is untouched then."""
        with self._engine.lock:
            if self.closed or self._engine.closing:
                self._check_open()
            self.take_on(task)

    def submit_at(self, when: float, task: Task) -> None:
        """The same at that time (monotonic seconds). What is cancelled, or still waits when the pool is closed, never comes."""
        with self._engine.lock:
            self._check_open()
            self._timed.add(task)
            self._engine.call_at(when, lambda: self._is_due(task))

    def _is_due(self, task: Task) -> None:
        if task in self._timed:
            self._timed.discard(task)
            if self._is_given_up():
                self._fail({task}, None)
                self._leave_if_done()
            else:
                self.take_on(task)

    def _check_open(self) -> None:
        if self.refused is not None:
            raise self.refused()
        self._engine.check_open()
        if self.closed:
            raise RuntimeError(f"cannot submit to {self.name!r}: it was closed")

    def take_on(self, task: Task) -> None:
        """The same, also while the pool is being closed. With the lock."""
        if self.backlog or task.extra is not None or not self._has_room(task):
            self.backlog.append(task)
            self.feed()
            return
        if not task.begin():
            return
        number = task.number = self._new_number()
        try:
            self.ring._put_task(number, task.aux, task.job)
        except MemoryError as error:
            task.fail(error)
        else:
            self._hold(number, task)
        self.see_to_service()

    def suspend(self) -> None:
        """Begin no other task until `resume` was called as often. What runs goes on. Does not block."""
        self._check_ours()
        with self._engine.lock:
            self.suspended += 1
            if self.suspended == 1:
                self.take_back()

    def resume(self) -> None:
        """Raises RuntimeError if it is not suspended."""
        self._check_ours()
        with self._engine.lock:
            if not self.suspended:
                raise RuntimeError("resume() was called more often than suspend()")
            self.suspended -= 1
            self.feed()

    def is_ours(self) -> bool:
        """Not the parent's, in a forked child."""
        return bool(self._engine._pid == os.getpid())

    def _check_ours(self) -> None:
        if not self.is_ours():
            self._engine.check_open()

    def outstanding(self) -> int:
        """How many tasks have not ended, but for those whose time has not come."""
        return len(self.held) + len(self.backlog)

    def join(self, timeout: float | None = None) -> bool:
        """Wait until none is outstanding. False after `timeout` seconds."""
        event = threading.Event()
        self.when_done(event)
        try:
            return self._engine.help(event.is_set, timeout, event.wait)
        finally:
            with self._engine.lock:
                if event in self._joins:
                    self._joins.remove(event)

    def when_done(self, event: Any) -> None:
        """Have ``event.set()`` called, with the lock, once none is outstanding."""
        with self._engine.lock:
            self._joins.append(event)
            self._tell_joins()

    def close(self, *, cancel: bool = False, later: bool = True) -> None:
        """Take on nothing more; when all that was taken on has ended, nothing is left of it. Does not block. What waits is
        cancelled if it is suspended, or with `cancel`; without `later` what has not come yet is cancelled, too. (In a forked
        child it does nothing: what waits there, in the same ring, is the parent's.)"""
        if not self.is_ours():
            return
        with self._engine.lock:
            self.closed = True
            if cancel:
                self.take_back()
            if cancel or self.suspended:
                self.fail_waiting(None)
            if not later:
                self.fail_timed(None)
            self.see_to_service()  # (who submitted may have been interrupted before)
            self._leave_if_done()

    # --- for the engine; with the lock ---

    def feed(self) -> None:
        """From the backlog into the ring, as much as there is room for."""
        while self.backlog and self._has_room(self.backlog[0]):  # (again, if there was no memory for what was handed out)
            with shielded():
                self._hand_out()
            if self._joins or self.closed:  # (all that waited was cancelled)
                self._leave_if_done()
        self.see_to_service()

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
            number = task.number = self._new_number()
            self._hold(number, task)
            batch.append((number, task.aux, job))
            if task.extra is not None:
                engine.stopper.watch(task)
        if batch:
            engine.put(batch, self.ring)

    def _has_room(self, task: Task) -> bool:
        held = self.held
        if self.suspended or self._barrier or len(held) >= self.window:
            return False
        return not task.barrier or not held or self.width == 1 or not task.is_wanted()

    def _hold(self, number: int, task: Task) -> None:
        """It was put into the ring, or is about to be. (In this order: what only the lane has is forgotten at its outcome.)"""
        self.held[number] = task
        if task.barrier and self.width != 1:
            self._barrier = number
        self._held_by_pool[number] = task
        self._lanes.held.add(number)

    def see_to_service(self) -> None:
        """Give as many orders as there are tasks for, and workers that may do them."""
        most = self._engine.crew.size if self.width is None else self.width
        while len(self.orders) < min(most, len(self.held)):
            self.passed = self.ranks and self._lanes.ranked and not self._lanes.may_give(self.priority, self._engine.crew.size)
            if self.passed or not self._order():
                return
        self.passed = False

    def _order(self) -> bool:
        engine = self._engine
        if self.over or engine.broken is not None or engine.crew.ended:
            return False
        with shielded():  # (never counted and not given, nor given twice)
            order = Order(self)
            if self.ranks and self._lanes.ranked:
                self._lanes.pass_by(self.priority, engine)
            self.orders.add(order)
            if self.target is None:
                engine.submit_pieces([order])
            else:
                self.target.take_on(order)
        return order in self.orders

    def ended(self, number: int) -> None:
        """A task that was held has ended, or is to be held anew."""
        self.held.pop(number, None)
        self._lanes.held.discard(number)
        if self._barrier == number:
            self._barrier = 0
        if self.backlog:
            self._lanes.hungry.add(self)
        elif self.closed or self._joins:
            self._leave_if_done()

    def left(self, order: Order) -> None:
        """A worker serves it no more: it was done, or has died."""
        self.orders.discard(order)
        self.see_to_service()
        if self._lanes.ranked:
            self._lanes.see_to_passed()
        if self.target is not None and self.target.backlog and self._engine.guests is not None:
            self._engine.guests.look_again()
        if self.closed:
            self._leave_if_done()

    def unserved(self, order: Order, error: BaseException) -> None:
        """The order could not be given: there is no memory, or no worker will come."""
        self.orders.discard(order)
        if not self.over:
            self.take_back()
            self.fail_waiting(error)

    def again(self, task: Task) -> None:
        """Its worker died, and it is tried again: before those behind it, if one is done after another. (It is still held: so
        nobody takes the lane for done in between.)"""
        if self._is_given_up():
            task.fail(verdicts.cancelled())
            return
        if self.width == 1 and self.in_order:
            self.take_back()
        self.backlog.appendleft(task)
        self._lanes.hungry.add(self)

    def take_back(self) -> None:
        """What is in the ring goes back to the backlog, in order. (The last one first: workers go on taking the others.)"""
        with shielded():
            back = [(number, task) for number, task in reversed(self.held.items()) if self.ring._withdraw(number)]
            self.backlog.extendleft(task for _, task in back)  # (first: the lane is not done in between)
            for number, _ in back:
                del self._engine.held[number]
                self.ended(number)

    def unwanted(self, task: Task) -> None:
        """One that waits, or whose time has not come, was cancelled: nothing is to wait for it."""
        self._timed.discard(task)
        while self.backlog and not self.backlog[0].is_wanted():
            self.backlog.popleft()
        self.feed()
        self._leave_if_done()
        self._engine.have_ended()

    def _is_given_up(self) -> bool:
        """Whether what waits has been cancelled, since nobody will go on with it: nor is there to be more."""
        return bool(self.suspended) and (self.closed or self._engine.closing)

    def fail_waiting(self, error: BaseException | None) -> None:
        """What waits in the backlog ends: cancelled, or with that error."""
        self._fail(self.backlog, error)
        self._tell_joins()

    def fail_timed(self, error: BaseException | None) -> None:
        """The same for those whose time has not come."""
        self._fail(self._timed, error)

    def _fail(self, tasks: deque[Task] | set[Task], error: BaseException | None) -> None:
        told, pop = bool(tasks), tasks.pop if isinstance(tasks, set) else tasks.popleft
        while tasks:
            pop().fail(verdicts.copy_of(error) if error is not None else verdicts.cancelled())
        if told:
            self._engine.nudge()

    def _tell_joins(self) -> None:
        if self._joins and not self.held and not self.backlog:
            told, self._joins = self._joins, []
            for event in told:
                event.set()
            self._engine.nudge()

    def _leave_if_done(self) -> None:
        self._tell_joins()
        if not self.closed or self.held or self.backlog or self.orders or self._timed or self._above:
            return
        if self._lanes.open.pop(self.id, None) is not None:
            self._engine.functions.drop(-self.id)
            if self.target is not None:
                self.target._left_by_one()

    def _left_by_one(self) -> None:
        self._above -= 1
        self._leave_if_done()
