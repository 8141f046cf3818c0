"""Waiting for several things at once, in place. Every class that can be waited for joins here (`watch`); in an event loop and
one by one: `completion`.
"""

from __future__ import annotations

import select
import time
from collections.abc import Iterable
from typing import Any, Generic, NamedTuple, TypeVar

from procession import _native
from procession.core import loops
from procession.core.seconds import timeout_of
from procession.process.family import family
from procession.process.process import Process
from procession.process.watch import Watch, each_of, is_future

__all__ = [
    "ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION", "DoneAndNotDone", "Goal", "deadline_of", "join_async", "seconds_to",
    "wait",
]  # fmt: skip

FIRST_COMPLETED = "FIRST_COMPLETED"
FIRST_EXCEPTION = "FIRST_EXCEPTION"
ALL_COMPLETED = "ALL_COMPLETED"


_T = TypeVar("_T")


class DoneAndNotDone(NamedTuple, Generic[_T]):
    """The result of `wait`, as in `concurrent.futures`."""

    done: set[_T]
    not_done: set[_T]


class Goal(Generic[_T]):
    """What a `wait` is to see: which are done so far, and whether that is enough."""

    def __init__(self, objects: Iterable[_T], return_when: str) -> None:
        if return_when not in (ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION):
            raise ValueError(
                f"return_when must be FIRST_COMPLETED, FIRST_EXCEPTION or ALL_COMPLETED; got {return_when!r}"
            )
        #: With what tells how a process ended, which another may close meanwhile.
        self.things = {thing: thing._popen if isinstance(thing, Process) else None for thing in each_of(objects)}
        self._done: set[_T] = set()
        self._when = return_when
        self._failed = False

    def take(self, done: Iterable[_T]) -> None:
        """These are done, too."""
        for thing in done:
            self._done.add(thing)
            if isinstance(thing, Process):
                thing._is_over()
            self._failed = self._failed or (self._when == FIRST_EXCEPTION and _has_failed(thing, self.things[thing]))

    def is_reached(self) -> bool:
        return self._failed or (self._when == FIRST_COMPLETED and bool(self._done)) or len(self._done) == len(self.things)

    def result(self) -> DoneAndNotDone[_T]:
        return DoneAndNotDone(self._done, {thing for thing in self.things if thing not in self._done})


def wait(
    objects: Iterable[_T], timeout: float | None = None, return_when: str = ALL_COMPLETED
) -> DoneAndNotDone[_T]:
    """Wait until all of `objects`, or the first, are done: a process when it has ended; a future (of `concurrent.futures`, or
    of a pool of ours) or the result of a `Pool`'s method when it is done; an event when it is set; a lock, a semaphore, or a
    side of an RWLock when it could be taken (it is not: another may be quicker); a condition when it is notified; a barrier
    when its present phase has ended, or it is broken; a queue when there is something to get, or nothing can come any more; a
    queue's `space` when there is room to put, its `joined` when all tasks are done.

    Returns the sets ``(done, not_done)``. `objects` may mix all of these with anything that has a ``fileno()`` or is a
    descriptor (sentinels, connections, sockets): those are done when they can be read. `timeout` in seconds (None: for
    ever). `return_when` is ALL_COMPLETED, FIRST_COMPLETED, or FIRST_EXCEPTION (the first process that ended with another
    exit code than 0, the first future that ended with an exception, or all). Blocks with the GIL released; Ctrl-C interrupts
    it. Raises ValueError for a process that was not started, ProcessStateError for another process's child, TypeError for what
    cannot be waited for; all before it waits.
    """
    deadline = deadline_of(timeout)
    goal = Goal(objects, return_when)
    watch = Watch()
    _native.table_waiting(family.me, _native.WAIT_ANY, _native.NOBODY)
    try:
        for thing in goal.things:
            watch.add(thing)
        goal.take(watch.done())
        over = False
        while True:
            watch.look(watch.sleep(0 if over or goal.is_reached() else seconds_to(deadline)))
            goal.take(watch.done())  # (others may be done, too)
            if over or goal.is_reached():
                return goal.result()
            over = deadline is not None and seconds_to(deadline) == 0
    finally:
        watch.close()
        _native.table_waiting(family.me, _native.WAIT_NOTHING, _native.NOBODY)


def deadline_of(timeout: float | None) -> float | None:
    """That many seconds from now, on the monotonic clock. Raises TypeError and ValueError for what is none."""
    seconds = timeout_of(timeout)
    return None if seconds is None else time.monotonic() + max(seconds, 0.0)


def seconds_to(deadline: float | None) -> float | None:
    """What is left until then, 0 or more; None: for ever."""
    return None if deadline is None else max(deadline - time.monotonic(), 0)


def _has_failed(thing: Any, popen: Any) -> bool:
    if popen is not None:
        return bool(popen.poll() != 0)
    if not is_future(thing):
        return False
    if hasattr(thing, "successful"):
        return not thing.successful()
    return not thing.cancelled() and thing.exception() is not None


async def join_async(process: Process, timeout: float | None, stop: bool, grace: float) -> int | None:
    """See `Process.join_async`."""
    loop = loops.current()
    deadline = loop.deadline(timeout)
    popen = process._started("join")  # (with it the descriptor stays, also when another closes the process)
    try:
        code = await _code(process, popen, deadline)
    except GeneratorExit:  # (the loop is gone: nothing can be awaited any more)
        if stop:
            popen.child.terminate(grace)
        raise
    except BaseException:
        if stop:
            popen.child.terminate(grace)  # (at once: who knows whether the loop goes on)
            await loop.shielded(_code, process, popen, insist=True)
        raise
    if code is None and stop:
        popen.child.terminate(grace)
        await _code_shielded(process, popen)
    return code


async def _code(process: Process, popen: Any, deadline: float | None = None) -> int | None:
    """Wait until the child has ended; its exit code. None: `deadline`, by the loop's clock, came before."""
    loop = loops.current()
    fd = popen.sentinel
    await loop.checkpoint()
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    while popen.poll() is None:
        if poller.poll(0):
            popen.wait()  # it has ended; the reaper may be about to note how
        elif not await loop.usable(fd, deadline=deadline):
            return None
    process._is_over()
    code: int = popen.poll()
    return code


async def _code_shielded(process: Process, popen: Any) -> None:
    """`_code`, although we are cancelled meanwhile; that comes out then."""
    loop = loops.current()
    came = await loop.shielded(_code, process, popen, insist=True)
    try:
        if came is not None:
            await loop.be_cancelled(came)
    finally:
        del came
