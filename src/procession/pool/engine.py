"""The engine below every pool: where tasks and workers meet.

    submit ──▶ backlog ──▶ tasks (a queue in the commons) ──▶ worker, worker, ...      worker.py
                 ▲               held: number → task              │
                 │ its worker died, retries are left              ▼
    futures ◀── outcomes ◀────────────────────────── results (another queue)
                                  ▲
        whoever waits for something collects; else the collector thread does.  A worker's death is a message, too.

All that the pool knows of a worker's doings comes through `results`, in one order: when a worker's death is read there, all
that it ever said has been read. What it had in hand then stands in its record of the process table, written in the same step
in which it took the task (native/README.md): so exactly that task is lost with it, and no other.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from procession.core import callers
from procession.pool import crew, verdicts
from procession.pool.backlog import Backlog
from procession.pool.collector import Collector
from procession.pool.forks import engines
from procession.pool.functions import Functions
from procession.pool.idleness import Idleness
from procession.pool.lanes import Order
from procession.pool.laneset import Lanes
from procession.pool.loop_lane import loop_lane
from procession.pool.messages import COROUTINE
from procession.pool.options import GRACE
from procession.pool.rings import ring
from procession.pool.settings import Settings
from procession.pool.shield import shielded
from procession.pool.stopping import Stopper
from procession.pool.task import Task
from procession.process.waiting import seconds_to

if TYPE_CHECKING:
    from procession.pool.member import Member

__all__ = ["Engine"]

#: So many tasks may be in the ring at once: those beyond wait in the backlog, where they can be put in order, and cancelled.
WINDOW = 1024


class Engine:
    """Tasks, workers, and the meeting of the two, of which faces (`Pool`) are made. Any thread may call any method."""

    def __init__(self, settings: Settings, context: Any) -> None:
        crew.expect(settings, context)
        me: Any = weakref.proxy(self)  # (for our parts: in a circle its memory would stay until somebody looks for circles)
        self.settings = settings
        self.functions = Functions()
        self.tasks, self.results = ring(), ring()
        self.lock = threading.RLock()
        self.backlog = Backlog()
        self.held: dict[int, Task] = {}
        self.streams: set[Any] = set()  # those that are not read to their end
        self.lanes = Lanes()
        self.dropped: list[Callable[[], object]] = []  # what is to be done for what nobody has any more
        self.guests: Any = None  # who hears what tasks ask for (dispatch)
        self.broken: BaseException | None = None
        self.closing, self.over = False, threading.Event()
        self.grace = GRACE
        self.exit_results: list[Any] = []
        self.new_number = itertools.count(1).__next__
        self._window = self._least = 2 * settings.workers + 2
        self.collector = Collector(me)
        self.help, self.nudge = self.collector.help, self.collector.nudge
        self._pid = os.getpid()
        self.crew = crew.Crew(me, context)
        self.stopper = Stopper(me)
        self._idleness = None if settings.idle_timeout is None else Idleness(me, settings.idle_timeout)
        engines.add(self)

    # --- tasks ---

    def submit(self, task: Task) -> None:
        """Take it on. Raises when the pool is closed, broken or another process's; the task is untouched then."""
        with self.lock:
            if self.closing:
                self.check_open()
            if task.aux & COROUTINE:
                loop_lane(self).adopt(task)
                return
            if self.backlog.count or len(self.held) - len(self.lanes.held) >= self._window or task.extra is not None:
                self.backlog.push(task)
                self._dispatch()
                return
            task.begin()
            number = task.number = self.new_number()
            job, task.job = task.job, None
            try:
                self.tasks._put_task(number, task.aux, job)
            except MemoryError as error:
                task.fail(error)
            else:
                self.held[number] = task  # (not before: after a Ctrl-C in between there is none that never ends)
            self._see_to_workers()

    def submit_pieces(self, pieces: list[Any]) -> None:
        """Pieces of a stream, or orders of a lane: what was taken on before. If a signal's handler raises in between, some may
        not come: the stream ends then."""
        with self.lock:
            if self.broken is not None or self.crew.ended:
                self.check_open()
            if (lane := pieces[0].lane) is not None:
                for piece in pieces:
                    lane.take_on(piece)
                return
            room = self._window - len(self.held) + len(self.lanes.held)
            if self.backlog.count == 0 and pieces[0].extra is None and room > 0:
                self._hand_out_at_once(pieces[:room])
                pieces = pieces[room:]
            for piece in pieces:
                self.backlog.push(piece)
            self._dispatch()

    def _hand_out_at_once(self, pieces: list[Any]) -> None:
        numbered: dict[int, Task] = {}
        batch = []
        for piece in pieces:
            number = piece.number = self.new_number()
            numbered[number] = piece
            batch.append((number, piece.aux, piece.job))
        try:
            done = self.tasks._put_tasks(batch)
        except MemoryError:
            done = 0
        self.held.update(numbered)  # (not before: see `submit`)
        for message in batch[done:]:
            self._put_one(message, self.tasks)

    def check_open(self) -> None:
        if self._pid != os.getpid():
            raise RuntimeError(f"this pool belongs to process {self._pid}, which made it; this is {os.getpid()}: make one here")
        if self.broken is not None:
            raise verdicts.copy_of(self.broken)
        if self.closing:
            raise RuntimeError("cannot schedule new futures after shutdown")

    def outstanding(self) -> int:
        """How many tasks have not ended."""
        return len(self.held) + len(self.backlog) + self.lanes.waiting()

    def wanted(self) -> int:
        """How many workers there is something to do for."""
        return len(self.held) - len(self.lanes.held) + self.backlog.count

    def is_done(self) -> bool:
        """Whether all that was taken on has ended."""
        return not self.held and not self.backlog.count and not self.streams and not self.lanes.waiting()

    def stream_read(self, stream: Any) -> None:
        """It has no more items."""
        with self.lock:
            self.streams.discard(stream)
            if self.closing and self.is_done():
                self.crew.dismiss()

    def _dispatch(self) -> None:
        """Hand to the workers what there is room for. With the lock."""
        while self.backlog.count and len(self.held) - len(self.lanes.held) < self._window:  # (again: as in `Lane.feed`)
            with shielded():
                self._hand_out()
        self._see_to_workers()

    def _hand_out(self) -> None:
        backlog, held, lanes, batch = self.backlog, self.held, self.lanes, []
        while backlog.count and len(held) - len(lanes.held) < self._window:
            task = backlog.pop()
            try:
                if not task.begin():
                    continue
                job = task.take_job()
            except Exception as error:
                task.fail(error)
                continue
            number = task.number = self.new_number()
            held[number] = task
            batch.append((number, task.aux, job))
            if task.extra is not None:
                self.stopper.watch(task)
        if batch:
            self.put(batch, self.tasks)

    def _see_to_workers(self) -> None:
        if not self.crew.full:
            self.crew.ensure(self.wanted())
        if not self.collector.runs:
            self.collector.begin(self)

    def put(self, batch: list[tuple[int, int, Any]], ring: Any) -> None:
        """Put held tasks into a ring; those for which there is no room fail. With the lock."""
        try:
            done = ring._put_tasks(batch)
        except MemoryError:
            done = 0
        for message in batch[done:]:  # one by one: most find room
            self._put_one(message, ring)

    def _put_one(self, message: tuple[int, int, Any], ring: Any) -> None:
        try:
            ring._put_task(*message)
        except Exception as error:
            task = self.held[message[0]]
            self.let_go(task)
            task.fail(error)

    def let_go(self, task: Task) -> None:
        del self.held[task.number]
        if task.lane is not None:
            task.lane.ended(task.number)

    def lost(self, task: Task, member: Member) -> None:
        """Its worker died with it in hand. With the lock."""
        if not isinstance(task, Order):
            self.stopper.lost(task, member)
        self.let_go(task)
        if isinstance(task, Order):
            task.served.left(task)

    def again(self, task: Task) -> None:
        """It is to be tried once more, before what waits. With the lock."""
        if task.lane is not None:
            task.lane.again(task)
        else:
            self.backlog.push(task, first=True)

    def cancel(self, task: Task) -> None:
        """It is wanted no more, and has been told so: what waits is taken out, what runs is stopped. With the lock."""
        if self._pid != os.getpid():
            return
        if self.held.get(task.number) is not task:
            if task.lane is not None:
                task.lane.unwanted(task)
            return
        ring = self.tasks if task.lane is None else task.lane.ring
        with shielded():  # (never withdrawn and held)
            if ring._withdraw(task.number):
                self.let_go(task)
                self.have_ended()
            else:
                self.stopper.stop(task, "cancelled")

    def start_all(self) -> None:
        """Start all workers. Raises what a start raises, and leaves none then."""
        with self.lock:
            self.crew.start_all()
            self.collector.begin(self)

    def have_ended(self, ended: int = 1) -> None:
        """Some tasks have ended. With the lock."""
        if self.lanes.hungry:
            self.lanes.feed()
        if self.backlog.count:
            ordered = self.backlog.is_ordered()  # (what was handed out is overtaken by nobody)
            self._window = self._least if ordered else max(self._least, min(WINDOW, 4 * ended))
            self._dispatch()
        if self.backlog.count or self.held:
            return
        if self.closing and self.is_done():  # (what waited may have been cancelled, all of it)
            self.crew.dismiss()
        elif self._idleness is not None:
            self._idleness.begin()

    # --- the end ---

    def close(self, *, cancel: bool = False) -> None:
        """Take on nothing more; when all has ended, the workers leave. `cancel`: what waits is cancelled. Does not block."""
        with self.lock:
            self.closing = True
            if self._pid != os.getpid():
                return
            if cancel:
                self.fail_waiting(None)
                for stream in list(self.streams):
                    stream.close()
            self.lanes.close(cancel)
            if self.is_done():
                self.crew.dismiss()
            else:
                self._see_to_workers()  # (who submitted may have been interrupted before it did, and nobody comes any more)

    def fail_waiting(self, error: BaseException | None) -> None:
        """What waits in the backlog ends: cancelled, or with that error. With the lock."""
        for task in list(self.backlog.drain()):
            task.fail(verdicts.copy_of(error) if error is not None else verdicts.cancelled())
        self.nudge()

    def break_down(self, error: BaseException) -> None:
        """No worker can be had: all tasks end with that error, and so does every later call."""
        with self.lock:
            if self.broken is None:
                self.broken = error
            self.closing = True
            self.fail_waiting(error)
            self.lanes.end(error)
            self._fail_held(error)
            self.crew.end("kill")

    def _fail_held(self, error: BaseException) -> None:
        held = list(self.held.values())
        self.held.clear()
        for task in held:
            if task.lane is not None:
                task.lane.ended(task.number)
            task.fail(verdicts.copy_of(error))

    def end(self, how: str, error: BaseException | None) -> None:
        """End the workers: "terminate" (SIGTERM, then SIGKILL) or "kill". All tasks end, cancelled or with `error`. At once."""
        with self.lock:
            self.closing = True
            if self._pid != os.getpid():
                return
            self.fail_waiting(error)
            self.lanes.end(error)
            self._fail_held(error if error is not None else verdicts.ended_early())
            self.crew.end(how)

    def join(self, timeout: float | None = None) -> bool:
        """Wait until all workers have left and all callbacks have run. False after `timeout` seconds."""
        if self._pid != os.getpid():
            return True
        deadline = None if timeout is None else time.monotonic() + timeout
        if not self._join_streams(deadline):
            return False
        if not self.help(self.over.is_set, seconds_to(deadline), self.over.wait):
            return False
        self.crew.reap()
        return callers.drain(seconds_to(deadline))

    def _join_streams(self, deadline: float | None) -> bool:
        """Wait until all that they have is done; not those of a pool that was ended: nothing more comes of them."""
        for stream in list(self.streams):
            if self.crew.ended:
                break
            try:
                if not stream.wait_all(None if deadline is None else deadline - time.monotonic()):
                    return False
            except RuntimeError:  # it was ended meanwhile, and takes on nothing more
                if not self.crew.ended:
                    raise
        return True

    def resize(self, workers: int) -> None:
        """From now on so many workers at most."""
        with self.lock:
            self.check_open()
            self.crew.resize(workers)
            self.lanes.look()
            self.crew.ensure(self.wanted())

    def resized(self, workers: int) -> None:
        """From now on there may be so many. (The window grows at once: workers that wait have their tasks in it.)"""
        self._least = 2 * workers + 2
        self._window = max(self._window, self._least)

    def call_at(self, when: float, call: Callable[[], None]) -> None:
        """Call it then (monotonic seconds), in the collector's thread, with the lock. With the lock."""
        self.stopper.at(when, call)
        self.collector.begin(self)

    def no_worker_left(self) -> None:
        """Called by the crew, with the lock, when the last worker has left and no other is to come."""
        if self.over.is_set():
            return  # (the nudge below comes back here)
        self.over.set()
        self.results._nudge()
        self.nudge()
        self.stopper.clear()
