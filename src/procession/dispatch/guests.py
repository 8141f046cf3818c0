"""What blocks ask of queues from within the workers, as the queues' own process hears it. The other side is far.py.

    a block, in a worker: queue.sync(f) ── REQUEST ──▶ results ──▶ Guests.heard ──▶ the queue's lane ──▶ a worker does it
                              ◀── the worker's ring of replies ◀── Errand.end ◀── results ◀───────────────┘

What is called, with its arguments, comes pickled and stays so until the worker that does it unpickles it; so does what it
returns. So nothing of a user's runs here, in the thread that collects.
"""

from __future__ import annotations

import time
import weakref
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from procession import _native
from procession.core import codec
from procession.core.coroutines import pending
from procession.dispatch.waits import Waits, Wanted
from procession.errors import DispatchDeadlock
from procession.pool import messages, verdicts
from procession.pool.functions import received
from procession.pool.options import PLAIN, Options
from procession.pool.task import Task

if TYPE_CHECKING:
    from procession.pool.engine import Engine
    from procession.pool.lanes import Lane
    from procession.pool.member import Member

__all__ = ["Ask", "Errand", "Guests", "Reply", "do", "written"]


class Ask(IntEnum):
    """What a worker asks. Each is a tuple of this and what is said here; `call` is the worker's number for the block."""

    HELLO = 1  # the ring for replies
    CALL = 2  # call, lane, barrier, seconds from now or None, who waits (a task's number; -1: nobody), options, name, function
    WAIT = 3  # call, who waits
    WAIT_NO_MORE = 4  # call
    CANCEL = 5  # call
    SUSPEND = 6  # call, lane
    RESUME = 7  # call, lane


class Reply(IntEnum):
    """What is answered, in place of messages.Kind, which is what a worker said of the block."""

    FAILED = 32  # the object is an exception, pickled
    REFUSED = 33  # the same, of the wait: the block goes on
    DONE = 34


def do(data: bytes) -> Any:
    """In the worker that does it: the result as bytes, or a coroutine that will give it so."""
    function, args, kwargs = codec.loads(data, None)
    result = received(function)(*args, **kwargs)
    left = pending(result)
    return codec.dumps(result, whole=True)[0] if left is None else _done(left)


async def _done(left: Any) -> bytes:
    return codec.dumps(await left, whole=True)[0]


class Errand(Task):
    """A block that was submitted by another."""

    __slots__ = ("_desk", "_name", "barrier", "call", "lane", "over")

    lane: Lane

    def __init__(self, desk: _Desk, call: int, lane: Lane, barrier: bool, name: str | None) -> None:
        self._desk, self.call, self.lane, self.barrier, self._name = desk, call, lane, barrier, name
        self.over = False

    def called(self) -> str | None:
        return self._name

    def is_wanted(self) -> bool:
        return not self.over

    def begin(self) -> bool:
        return not self.over

    def end(self, kind: int, payload: Any, seconds: float) -> None:
        if not self.over:
            self._desk.reply(self.call, kind, payload)
            self.over = True  # (not before: who is interrupted does it once more)

    def fail(self, error: BaseException) -> None:
        self.end(Reply.FAILED, written(error), 0.0)

    def cancel(self) -> None:
        """As a future's."""
        self._desk.cancel(self)


def written(error: BaseException) -> bytes:
    """An exception, pickled; if it cannot be, another one says what it said."""
    try:
        return codec.dumps(error, whole=True)[0]
    except Exception:
        return codec.dumps(RuntimeError(f"{type(error).__name__}: {error}"), whole=True)[0]


class _Desk:
    """For one worker."""

    def __init__(self, guests: Guests, worker: int) -> None:
        self._guests = guests
        self.worker = worker
        self.replies: Any = None
        self.errands: dict[int, Errand] = {}
        self.cancel = guests.cancel

    def reply(self, call: int, kind: int, payload: Any) -> None:
        if kind != Reply.REFUSED:
            self.errands.pop(call, None)
            self._guests.waits_no_more(self.worker, call)
        if type(payload) is _native.Message:
            payload = payload.load()  # (bytes that were too many for a message)
        try:
            self.replies._put_task(call, kind, payload)
        except MemoryError as error:
            self.replies._put_task(call, Reply.FAILED, written(error))


class Guests:
    """Of one pool. With the engine's lock."""

    def __init__(self, engine: Engine) -> None:
        self._engine: Engine = weakref.proxy(engine)
        self._desks: dict[int, _Desk] = {}
        self.waits = Waits()

    def heard(self, member: Member, payload: Any) -> None:
        if type(payload) is _native.Message:
            payload = payload.load()
        ask, *rest = payload
        if ask == Ask.HELLO:
            self._desks[member.id] = _Desk(self, member.id)
            self._desks[member.id].replies = rest[0]
            return
        desk = self._desks[member.id]
        try:
            _ANSWERS[ask](self, desk, *rest)
        except Exception as error:
            desk.reply(rest[0], Reply.FAILED, written(error))

    def died(self, member: Member) -> None:
        """What it asked for is done, and nobody is told."""
        if self._desks.pop(member.id, None) is not None:
            self.waits.end_all(member.id)
            self._lend()

    def waits_no_more(self, worker: int, call: int) -> None:
        if self.waits.end((worker, call)):
            self._lend()

    def look_again(self) -> None:
        """Orders went behind a barrier, so a circle may have closed: those in it are told, one after another, until there is
        none."""
        while (stuck := self.waits.stuck()) is not None:
            (worker, call), who, wanted = stuck
            error = DispatchDeadlock(wanted.lane.name, self.waits.chain(who, wanted))
            self._desks[worker].reply(call, Reply.REFUSED, written(error))
            self.waits_no_more(worker, call)

    def _lend(self) -> None:
        if not self._engine.crew.ended:
            self._engine.crew.lend(self.waits.workers())
            self._engine.lanes.look()

    # --- what is asked ---

    def _call(
        self, desk: _Desk, call: int, lane_id: int, barrier: bool, delay: float | None, who: int, options: Any,
        name: str | None, data: bytes,
    ) -> None:
        lane = self._lane(lane_id)
        errand = Errand(desk, call, lane, barrier, name)
        how = PLAIN if options is None else Options(*options)
        errand.prepare(self._engine.functions, do, messages.Shape.ONE, data, how)
        if who >= 0:
            self._begin_wait(desk, call, who, Wanted(lane, barrier, None), errand)
        desk.errands[call] = errand
        if delay is None:
            lane.submit(errand)
        else:
            lane.submit_at(time.monotonic() + delay, errand)

    def _wait(self, desk: _Desk, call: int, who: int) -> None:
        errand = desk.errands.get(call)
        if errand is None:
            return  # the reply is on its way
        try:
            self._begin_wait(desk, call, who, Wanted(errand.lane, errand.barrier, errand), errand)
        except DispatchDeadlock as error:
            desk.reply(call, Reply.REFUSED, written(error))

    def _begin_wait(self, desk: _Desk, call: int, number: int, wanted: Wanted, errand: Errand) -> None:
        who = self._engine.held.get(number)
        if who is not None and self.waits.would_stick(who, wanted):
            raise DispatchDeadlock(wanted.lane.name, self.waits.chain(who, wanted))
        self.waits.begin((desk.worker, call), who, wanted._replace(task=errand))
        self._lend()

    def _wait_no_more(self, desk: _Desk, call: int) -> None:
        self.waits_no_more(desk.worker, call)

    def _cancel(self, desk: _Desk, call: int) -> None:
        errand = desk.errands.get(call)
        if errand is not None:
            self.cancel(errand)

    def cancel(self, errand: Errand) -> None:
        with self._engine.lock:
            errand.fail(verdicts.cancelled())
            self._engine.cancel(errand)

    def _suspend(self, desk: _Desk, call: int, lane: int) -> None:
        self._lane(lane).suspend()
        desk.reply(call, Reply.DONE, None)

    def _resume(self, desk: _Desk, call: int, lane: int) -> None:
        self._lane(lane).resume()
        desk.reply(call, Reply.DONE, None)

    def _lane(self, number: int) -> Lane:
        lane = self._engine.lanes.open.get(number)
        if lane is None:
            raise RuntimeError("the queue was closed")
        return lane


_ANSWERS: dict[int, Any] = {
    Ask.CALL: Guests._call, Ask.WAIT: Guests._wait, Ask.WAIT_NO_MORE: Guests._wait_no_more, Ask.CANCEL: Guests._cancel,
    Ask.SUSPEND: Guests._suspend, Ask.RESUME: Guests._resume,
}  # fmt: skip
