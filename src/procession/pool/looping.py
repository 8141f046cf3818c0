"""The worker's side of coroutine functions: an event loop in which many tasks run at a time.

The loop runs while a worker follows an order (Shape.LOOP) of the pool's loop lane (lanes.py): it takes tasks from that lane's
ring as they come, says TAKEN of each, and puts each one's outcome when it has it. When none is left the order ends, and the
worker goes back to plain tasks. It is the same loop each time: what belongs to it (connections, sessions) may be kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import time
from queue import Empty
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from procession import _native
from procession.core.remote import written
from procession.errors import TaskStopped
from procession.pool import messages
from procession.pool.messages import Kind
from procession.share.queues import _Part as Part
from procession.sync import tasks

if TYPE_CHECKING:
    from procession.pool.worker import _Worker

__all__ = ["Looping"]

#: So long, in seconds, the loop waits for more when it has nothing to do: to end an order and be given the next costs more.
PATIENCE = 0.005
#: So long a plain task waits for a worker that is idle before it is done in between, here.
HESITATION = 0.005


class Looping:
    """Of one worker."""

    def __init__(self, worker: _Worker, plain: Any) -> None:
        self._worker = worker
        self._plain = plain  # the pool's ring
        self._runner = asyncio.Runner()
        self._context = contextvars.copy_context()
        self._loop: Any = None  # while an order is followed
        self._in_hand: Any = None  # the coroutine that runs, or follows an order
        self._orders: list[int] = []
        self._running: dict[int, asyncio.Task[None]] = {}
        self._open: set[int] = set()  # those whose own code may be interrupted
        self._unsaid: set[int] = set()  # those that have no outcome yet
        self._asked: set[int] = set()  # those that were asked to stop
        self._full = False  # no more are taken
        self._rest: asyncio.TimerHandle | None = None

    # --- outside of orders ---

    def finish(self, coroutine: Any, *, initial: bool = False) -> Any:
        """What comes of a coroutine that plain code returned: it runs to its end, alone. What it sets of context variables is
        its own, and all others' if it is the `initial` one."""
        if self._loop is not None:  # (it is a plain task's, between others in the loop)
            return asyncio.run(coroutine)
        return self._complete(coroutine, self._context if initial else self._context.copy())

    def _complete(self, coroutine: Any, context: contextvars.Context) -> Any:
        """What comes of it, when it has run to its end in our loop: also when an order to stop comes between its steps."""
        loop = self._runner.get_loop()
        try:
            self._in_hand = coroutine
            return self._until_done(loop, loop.create_task(coroutine, context=context))
        except TaskStopped:
            for task in asyncio.all_tasks(loop):
                if task.get_coro() is coroutine:  # (else it would go on when the loop does)
                    task.cancel()
                    with contextlib.suppress(BaseException):
                        self._until_done(loop, task)
            raise
        finally:
            self._in_hand = None

    def _until_done(self, loop: Any, task: asyncio.Task[Any]) -> Any:
        """Run the loop until then, whatever else stops it: asyncio lets SystemExit and KeyboardInterrupt of any task out of it
        (that task has it as its exception), and the others are to go on."""
        task.add_done_callback(lambda _: loop.stop())
        while not task.done():
            with contextlib.suppress(SystemExit, KeyboardInterrupt):
                loop.run_forever()
        return task.result()

    def is_in_hand(self) -> bool:
        """Whether the caller is the coroutine that the worker has in hand, and not another in its loop."""
        task = asyncio.current_task(self._runner.get_loop())
        return task is not None and task.get_coro() is self._in_hand

    def close(self) -> None:
        """The worker ends. What tasks have left running in the loop is cancelled."""
        self._runner.close()

    # --- orders ---

    def serve(self, number: int, lane: int) -> None:
        """Follow an order. (TAKEN of it first: see service.py.)"""
        worker = self._worker
        worker.results._end_task(number, messages.outcome(Kind.TAKEN, worker.id), time.monotonic())
        self._orders.append(number)
        if self._loop is not None:  # we are at it: this one ends with that which we follow
            return
        ring = worker.lanes.ring(lane)
        if ring is not None:
            self._complete(self._serve(ring), self._context)
        orders, self._orders = self._orders, []
        for order in orders:
            worker.results._end_task(order, messages.outcome(Kind.VALUE, worker.id), None)

    async def _serve(self, ring: Any) -> None:
        loop = self._loop = asyncio.get_running_loop()
        self._full = False
        self._left: asyncio.Future[None] = loop.create_future()
        self._have_rest()
        helpers = [loop.create_task(self._take_in(ring)), loop.create_task(self._watch_plain())]
        for helper in helpers:
            helper.add_done_callback(self._failed)
        try:
            await self._left
        finally:
            self._loop = None
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)

    def _failed(self, helper: asyncio.Task[None]) -> None:
        if not helper.cancelled() and (error := helper.exception()) is not None and not self._left.done():
            self._left.set_exception(error)  # (a bug of ours: the worker ends, and its tasks are told)

    # --- taking ---

    async def _take_in(self, ring: Any) -> None:
        """Tasks begin as they come, one in each turn of the loop: so a loop that is busy takes fewer than others."""
        found: list[Any] = []

        def attempt() -> bool:
            if not self._has_room():  # (plain tasks have been done meanwhile, and count)
                return True
            try:
                found.append(ring._take_task(0))
            except Empty:
                return False
            return True

        while self._has_room():
            await tasks.take(Part(ring, _native.PART_ITEMS), attempt, None)
            if not found:
                break
            number, aux, body = found.pop()
            self._worker.results._end_task(number, messages.outcome(Kind.TAKEN, self._worker.id), time.monotonic())
            self._begin(number, aux, body)
            del body
            await asyncio.sleep(0)
        self._take_no_more()

    def _has_room(self) -> bool:
        return not self._full and self._worker.room() > len(self._running)

    def _take_no_more(self) -> None:
        self._full = True
        if not self._running:
            self._leave()

    def _begin(self, number: int, aux: int, body: Any) -> None:
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        for group in (self._open, self._unsaid):
            group.add(number)
        task = self._loop.create_task(self._do(number, aux, body))
        self._running[number] = task
        task.add_done_callback(lambda _: self._ended(number))

    async def _do(self, number: int, aux: int, body: Any) -> None:
        """One task, to its outcome. Whatever it raises is its outcome: nothing of it reaches the loop."""
        began = time.perf_counter_ns()
        value: Any
        try:
            kind, value = Kind.VALUE, await self._call(aux, body)
            self._open.discard(number)
        except (TaskStopped, asyncio.CancelledError):
            self._open.discard(number)
            kind, value = Kind.STOPPED, None
        except BaseException as error:
            self._open.discard(number)
            kind, value = Kind.ERROR, written(error)
        self._worker.put(number, kind, value, began)
        self._unsaid.discard(number)

    async def _call(self, aux: int, body: Any) -> Any:
        if type(body) is _native.Message:
            body = body.load()
        made = self._worker.call(aux, body)
        del body
        if type(made) is list and made and all(type(one) is CoroutineType for one in made):
            return await _all(made)
        return await made if type(made) is CoroutineType else made

    def _ended(self, number: int) -> None:
        if number in self._unsaid:  # (an order to stop came in the few steps between its own code and its outcome)
            self._unsaid.discard(number)
            self._worker.stopped(number)
        for group in (self._open, self._asked):
            group.discard(number)
        del self._running[number]
        _native.work_done()
        if not self._running:
            self._have_rest()

    def _have_rest(self) -> None:
        """Nothing is running."""
        if self._full or not self._plain.empty():
            self._leave()
        else:
            self._rest = self._loop.call_later(PATIENCE, self._leave_if_idle)

    def _leave_if_idle(self) -> None:
        if not self._running:
            self._leave()

    def _leave(self) -> None:
        self._full = True
        if not self._left.done():
            self._left.set_result(None)

    # --- plain tasks meanwhile ---

    async def _watch_plain(self) -> None:
        """A plain task waits in the pool's ring. An idle worker takes it, at once; if none does, we do it in between: all that
        runs in the loop waits as long."""
        while True:
            await tasks.take(Part(self._plain, _native.PART_WATCH), lambda: not self._plain.empty(), None)
            if not self._running:
                self._leave()
            if self._left.done() or not self._has_room():  # (it is for others, or for us when the loop has been left)
                return
            done: asyncio.Future[None] = self._loop.create_future()
            self._loop.call_later(HESITATION, self._do_plain, done)
            await done

    def _do_plain(self, done: asyncio.Future[None]) -> None:
        """(No task of the loop is running now, and as far as the plain one can see no loop is.)"""
        loop, worker = self._loop, self._worker
        if not done.done():
            done.set_result(None)
        if loop is None or not self._has_room():
            return
        try:
            number, aux, body = self._plain._take_task(0)
        except Empty:
            return
        if number == messages.STOP:
            worker.gone = True
            self._take_no_more()
            return
        asyncio._set_running_loop(None)
        try:
            worker.run(number, aux, body)
        finally:
            asyncio._set_running_loop(loop)

    @property
    def busy(self) -> bool:
        """Whether others wait while something plain is done."""
        return self._loop is not None

    # --- orders to stop ---

    def ordered(self, what: int) -> bool:
        """In a signal's handler: stop a task, or leave. Whether it was for us; TaskStopped is raised in the task that runs at
        this moment, others are cancelled."""
        loop = self._loop
        if loop is None:
            return False
        if what == messages.RETIRE:
            loop.call_soon_threadsafe(self._take_no_more)
            return False  # (the worker has to know as well)
        number = what & ~messages.UNWANTED
        task = self._running.get(number)
        if task is None:
            return False
        reason = "cancelled" if what & messages.UNWANTED else "timeout"
        if number in self._asked:  # (it is asked again until its outcome has come, and may be tidying up)
            return True
        self._asked.add(number)
        if number in self._open and asyncio.current_task(loop) is task:
            raise TaskStopped(reason)
        loop.call_soon_threadsafe(task.cancel, reason)
        return True


async def _all(coroutines: list[Any]) -> list[Any]:
    """Their results; if one fails, the others are cancelled."""
    running = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        await asyncio.wait(running, return_when=asyncio.FIRST_EXCEPTION)
        return [one.result() for one in running if one.done()]
    finally:
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)
