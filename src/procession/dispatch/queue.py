"""DispatchQueue."""

from __future__ import annotations

import math
import os
import time
import weakref
from collections.abc import Callable
from typing import Any, ParamSpec, Self, TypeVar

from procession.dispatch import home
from procession.dispatch.group import DispatchGroup
from procession.dispatch.guests import Errand, Guests
from procession.pool import dropping
from procession.pool.block import Block
from procession.pool.engine import Engine
from procession.pool.future import Future
from procession.pool.lanes import Lane
from procession.pool.messages import Shape
from procession.pool.options import PLAIN, Options

__all__ = ["DispatchQueue", "check_block", "check_priority"]

P = ParamSpec("P")
T = TypeVar("T")

#: A call of `apply` makes so many blocks for each that may run at a time, at most.
PIECES = 8


class DispatchQueue:
    """Blocks (calls of functions) that worker processes do, begun in the order in which they were submitted.

    name
        For people.
    concurrent
        False: one block at a time; each begins when the one before it has ended. True: up to `width` at a time.
    width
        None: as many as there are workers.
    target
        Another queue, on which this one's blocks run: beside those of the target only as the target allows. A serial target
        excludes all of them from each other.
    priority
        Blocks of a queue with a higher one go before those of others that have the same workers: these are served by the
        workers that are left, or when it has nothing more to do. What runs is not interrupted, and a worker stays with a queue
        for some 10 ms. Of a queue with a target it means nothing.
    executor
        A ProcessPoolExecutor whose workers do it. By default that of the target, or a pool that all queues share: as many
        workers as processors, started when they are needed, gone after some seconds without work.

    A worker that dies fails the block that it had in hand (WorkerDied, or another attempt with ``with_options(retries=)``), and
    no other: the queue goes on. Arguments are written down when a block is submitted, as with an executor.

    A queue can be sent to the pool's workers: in a block that is given one, or has one in its closure, it is the same queue,
    and what is submitted there is done as if it were submitted here. `sync` from within a block lets another worker come
    meanwhile; where blocks would wait for each other in a circle, it raises DispatchDeadlock. Other processes cannot use it.

    Wrong values raise TypeError or ValueError at once. Threads may share it. When it is dropped, what it has is done (what
    was sent to workers must be closed by hand); in a forked child it cannot be used. Making it neither blocks nor starts
    anything.
    """

    _options: Options = PLAIN
    _is_far = False  # another process's

    def __init__(
        self, name: str, concurrent: bool = False, *, width: int | None = None, target: DispatchQueue | None = None,
        priority: int = 0, executor: Any = None,
    ) -> None:  # fmt: skip
        _check(name, concurrent, width, target, priority)
        self._engine: Engine = _engine_of(executor, target)
        self._executor = executor if executor is not None else target  # (kept: it ends with its last reference)
        self._target = target
        below = None if target is None else target._lane
        self._lane: Lane = Lane(self._engine, width if concurrent else 1, target=below, priority=priority, name=name)
        with self._engine.lock:
            if self._engine.guests is None:
                self._engine.guests = Guests(self._engine)
        self._facts = (name, concurrent, width if concurrent else 1, priority, False)
        self._finalizer = weakref.finalize(self, _drop, weakref.ref(self._lane), os.getpid())
        self._finalizer.atexit = False
        _queues[self._place] = self

    # --- what it is ---

    @property
    def name(self) -> str:
        """As it was given."""
        return str(self._facts[0])

    @property
    def concurrent(self) -> bool:
        """Whether several of its blocks may run at a time."""
        return bool(self._facts[1])

    @property
    def width(self) -> int | None:
        """How many blocks at a time; None: as many as there are workers."""
        return self._facts[2]

    @property
    def priority(self) -> int:
        """As it was given."""
        return self._facts[3]

    @property
    def target(self) -> DispatchQueue | None:
        """The queue on which its blocks run, if that is another. Raises RuntimeError in a block."""
        return self._target

    def __repr__(self) -> str:
        kind = "serial" if not self.concurrent else "concurrent" if self.width is None else f"concurrent, width {self.width}"
        return f"<DispatchQueue {self.name!r}, {kind}{self._state()}>"

    def _state(self) -> str:
        lane = self._lane
        state = ", closed" if lane.closed or self._engine.closing else ", suspended" if lane.suspended else ""
        return f"{state}, {lane.outstanding()} blocks"

    # --- blocks ---

    def sync(self, f: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Have ``f(*args, **kwargs)`` called, in its turn, and wait for it: what it returns, or raises. (In an event loop this
        blocks the loop: ``await queue.async_(...)`` there.)

        If the wait is interrupted, by Ctrl-C for instance, the block is cancelled. Raises RuntimeError when the queue is
        closed, DispatchDeadlock in a block that this one would wait for.
        """
        return self._sync(f, args, kwargs, False)  # type: ignore[no-any-return]

    def async_(self, f: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future:
        """Have it called in its turn; its future at once, which can be awaited. Raises RuntimeError when the queue is closed;
        what cannot be pickled is raised by the future."""
        return self._submit(self._block(f, args, kwargs, False))  # type: ignore[no-any-return]

    def barrier_sync(self, f: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """`sync`, of a block that runs alone: when all before it have ended, and before those behind it begin."""
        return self._sync(f, args, kwargs, True)  # type: ignore[no-any-return]

    def barrier_async(self, f: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future:
        """`async_`, of a block that runs alone: when all before it have ended, and before those behind it begin."""
        return self._submit(self._block(f, args, kwargs, True))  # type: ignore[no-any-return]

    def after(self, delay: float, f: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future:
        """`async_`, `delay` seconds from now: not before, and then in its turn. It is cancelled if the queue is closed, or the
        program ends, before. Arguments are written down now."""
        if isinstance(delay, bool) or not isinstance(delay, (int, float)) or not math.isfinite(delay):
            raise ValueError(f"delay must be a number of seconds; got {delay!r}")
        return self._submit_at(self._block(f, args, kwargs, False), time.monotonic() + delay)  # type: ignore[no-any-return]

    def apply(self, n: int, f: Callable[[int], T]) -> list[T]:
        """``[f(0), ..., f(n - 1)]``; waits for all of them. On a concurrent queue as many at a time as it allows, some in one
        block. If one raises, this raises the first of such errors when all blocks have ended; those behind it in its block are
        not called."""
        if isinstance(n, bool) or not isinstance(n, int) or n < 0:
            raise ValueError(f"n must be a whole number, 0 or more; got {n!r}")
        check_block(f)
        size = max(1, -(-n // (PIECES * self._most())))
        blocks = [self._piece(f, i, min(i + size, n)) for i in range(0, n, size)]
        try:
            for block in blocks:
                self._submit(block)
            for error in [block.exception() for block in blocks]:
                if error is not None:
                    raise error
            return [value for block in blocks for value in block.result()]
        except BaseException:
            for block in blocks:
                block.cancel()
            raise
        finally:
            blocks.clear()
            block = error = None  # (no circle with the traceback)

    def with_options(self, **options: Any) -> Self:
        """A view of this queue whose blocks have these options: `timeout`, `retries`, `memory_limit`, `name`, `grace` (see
        `procession.pool.Options`). A block that is tried again goes before those behind it."""
        if "priority" in options:
            raise TypeError("priority is the queue's: blocks of a queue begin in their order")
        view = object.__new__(type(self))
        view.__dict__.update(self.__dict__)
        view._options = self._options.changed(**options)
        view._finalizer = None  # type: ignore[assignment]
        view.__dict__["_origin"] = self.__dict__.get("_origin", self)
        return view

    def group(self) -> DispatchGroup:
        """A new group (of blocks of any queues)."""
        return DispatchGroup()

    # --- life ---

    def suspend(self) -> None:
        """Begin no other block until `resume` was called as often. What runs goes on. Does not block."""
        self._check_own("suspended")
        self._lane.suspend()

    def resume(self) -> None:
        """Let blocks begin again, if this is the last one due. Raises RuntimeError if it is not suspended. Does not block."""
        self._lane.resume()

    def close(self, *, cancel: bool = False, stop: bool = False) -> None:
        """Take nothing more. What was submitted is done; what waits for its time (`after`), and all that has not begun if the
        queue is suspended or with `cancel`, is cancelled; with `stop` what runs is stopped, too, as a cancelled task is. Does
        not block; may be called again."""
        self._check_own("closed")
        self._lane.close(cancel=cancel or stop, later=False)
        if stop:
            for task in list(self._lane.held.values()):
                if isinstance(task, (Block, Errand)):
                    task.cancel()

    def _end(self, refused: Callable[[], RuntimeError]) -> None:
        """Close it, with `stop`; who submits from now on is told what `refused` returns."""
        self._lane.refused = refused
        self.close(stop=True)

    def join(self, timeout: float | None = None) -> bool:
        """Wait until all blocks that were submitted have ended (not those whose time has not come). False after `timeout`
        seconds. Ctrl-C interrupts it."""
        return self._lane.join(timeout)

    def _when_done(self, event: Any) -> None:
        self._lane.when_done(event)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Close it, and wait for what was submitted. If an exception is on its way, what has not begun is cancelled, and what
        runs is stopped after a KeyboardInterrupt or SystemExit. (Not in a forked child.)"""
        self.close(cancel=error[0] is not None, stop=error[0] is not None and not isinstance(error[1], Exception))
        if self._lane.is_ours():
            self.join()

    # --- what is done elsewhere in far.py ---

    def _block(self, f: Any, args: Any, kwargs: Any, barrier: bool) -> Any:
        """Write it down."""
        return self._written(f, Shape.CALL, (args, kwargs), barrier)

    def _piece(self, f: Any, begin: int, end: int) -> Any:
        """The calls of `f` with these numbers."""
        return self._written(f, Shape.MANY, list(range(begin, end)), False)

    def _written(self, f: Any, shape: Shape, body: Any, barrier: bool) -> Any:
        check_block(f)
        block = Block(self._engine, self._lane, barrier)
        try:
            block.prepare(self._engine.functions, f, shape, body, self._options)
        except Exception as error:
            block.set_exception(error)
        return block

    def _submit(self, block: Any) -> Any:
        if not block.done():
            self._lane.submit(block)
        return block

    def _submit_at(self, block: Any, when: float) -> Any:
        if not block.done():
            self._lane.submit_at(when, block)
        return block

    def _submit_late(self, block: Any) -> None:
        """One that somebody has the future of already."""
        try:
            self._submit(block)
        except RuntimeError as error:
            block.fail(error)
            self._engine.nudge()

    def _sync(self, f: Any, args: Any, kwargs: Any, barrier: bool) -> Any:
        block = self._block(f, args, kwargs, barrier)
        try:
            self._submit(block)
            return block.result()
        except BaseException:
            if not block.done():
                block.cancel()
            raise
        finally:
            del block  # (no circle with the traceback)

    def _most(self) -> int:
        return self.width or self._engine.settings.workers

    def _share(self) -> None:
        """It is everybody's from now on."""
        self._facts = (*self._facts[:-1], True)

    def _check_own(self, what: str) -> None:
        if self._facts[-1]:
            raise RuntimeError(f"{self!r} is everybody's and cannot be {what}")

    def _check_adoptable(self) -> None:
        self._check_own("adopted")

    @property
    def _place(self) -> tuple[int, int]:
        return self._engine.results._place, self._lane.id

    def __reduce__(self) -> Any:
        self._lane.sent = True
        return _revive, (os.getpid(), self._place, self._facts, self._options)


def _check(name: Any, concurrent: Any, width: Any, target: Any, priority: Any) -> None:
    if not isinstance(name, str):
        raise TypeError(f"the name of a queue must be a string; got {name!r}")
    if not isinstance(concurrent, bool):
        raise TypeError(f"concurrent must be True or False (how many at a time is width); got {concurrent!r}")
    check_priority(priority)
    if target is not None and type(target) is not DispatchQueue:
        raise TypeError(f"target must be a DispatchQueue of this process, or None; got {target!r}")
    if width is None:
        return
    if isinstance(width, bool) or not isinstance(width, int):
        raise TypeError(f"width must be a whole number, or None; got {width!r}")
    if width < 1 or (width > 1 and not concurrent):
        raise ValueError(f"width must be at least 1, and 1 if the queue is not concurrent; got {width}")


def check_block(f: Any) -> None:
    if not callable(f):
        raise TypeError(f"a block must be callable; got {f!r} (its arguments follow it, as in async_(f, 1))")


def check_priority(priority: Any) -> None:
    if isinstance(priority, bool) or not isinstance(priority, int):
        raise TypeError(f"priority must be a whole number; got {priority!r}")


def _engine_of(executor: Any, target: DispatchQueue | None) -> Engine:
    from procession.pool.executor import ProcessPoolExecutor

    if executor is not None and not isinstance(executor, ProcessPoolExecutor):
        raise TypeError(f"executor must be a procession.ProcessPoolExecutor, or None; got {executor!r}")
    if executor is None:
        return home.engine() if target is None else target._engine
    engine = executor._engine
    engine.check_open()
    if target is not None and target._engine is not engine:
        raise ValueError(f"a queue and its target must have the same pool; {target!r} has another")
    return engine


def _drop(lane: weakref.ref[Lane], pid: int) -> None:
    """(Not the lane itself: a finalizer is kept, and the pool may have a function that has the queue.)"""
    here = lane()
    if here is not None and pid == os.getpid() and not here.sent:
        dropping.drop_lane(here)


_queues: weakref.WeakValueDictionary[tuple[int, int], DispatchQueue] = weakref.WeakValueDictionary()


def _revive(pid: int, place: tuple[int, int], facts: Any, options: Options) -> DispatchQueue:
    """What a pickled queue becomes."""
    if pid == os.getpid() and (here := _queues.get(place)) is not None:
        return here if options is PLAIN or options == here._options else here.with_options(**_changed(options))
    from procession.dispatch.far import FarQueue

    return FarQueue._of(pid, place, facts, options)


def _changed(options: Options) -> dict[str, Any]:
    return {name: value for name, value in options._asdict().items() if name != "priority"}
