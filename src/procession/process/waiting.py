"""Waiting for several things at once, in place or in an event loop. Every class that can be waited for joins here.

What has a descriptor becomes readable; what lies in the family's memory rings our doorbell, which makes one descriptor
readable for all such waits of a call. The kernel notifies, nothing polls.
"""

from __future__ import annotations

import os
import select
import weakref
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from procession import _native
from procession.core import loops
from procession.process.family import family
from procession.process.process import Process

__all__ = ["ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION", "DoneAndNotDone", "wait", "wait_async"]

FIRST_COMPLETED = "FIRST_COMPLETED"
FIRST_EXCEPTION = "FIRST_EXCEPTION"
ALL_COMPLETED = "ALL_COMPLETED"


class DoneAndNotDone(NamedTuple):
    """The result of `wait`, as in `concurrent.futures`."""

    done: set[Any]
    not_done: set[Any]


def wait(
    objects: Iterable[Any], timeout: float | None = None, return_when: str = ALL_COMPLETED
) -> DoneAndNotDone:
    """Wait until all of `objects`, or the first, are done: a process when it has ended, a future (of `concurrent.futures`, or
    of a pool of ours) when it is done, an event when it is set, a lock or semaphore when it could be taken (it is not: another
    may be quicker).

    Returns the sets ``(done, not_done)``. `objects` may mix processes with anything that has a ``fileno()`` or is a
    descriptor (sentinels, connections, sockets): those are done when they can be read. `timeout` in seconds (None: for
    ever). `return_when` is ALL_COMPLETED, FIRST_COMPLETED, or FIRST_EXCEPTION (the first process that ended with another
    exit code than 0, the first future that ended with an exception, or all). Blocks with the GIL released; Ctrl-C interrupts
    it. Raises ValueError for a process that was not started, TypeError for what cannot be waited for; both before it waits.
    """
    if return_when not in (ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION):
        raise ValueError(
            f"return_when must be FIRST_COMPLETED, FIRST_EXCEPTION or ALL_COMPLETED; got {return_when!r}"
        )
    things = list(objects)
    cells = [thing for thing in things if _is_watched(thing)]
    waiting = {_fd_of(thing): thing for thing in things if not _is_watched(thing)}
    done: set[Any] = set()
    _native.table_waiting(family.me, _native.WAIT_ANY, _native.NOBODY)
    watch = _Watch(cells) if cells else None
    try:
        _collect(waiting, watch, done, timeout, return_when)
    finally:
        if watch is not None:
            watch.close()
        _native.table_waiting(family.me, _native.WAIT_NOTHING, _native.NOBODY)
    return DoneAndNotDone(done, set(things) - done)


def _is_watched(thing: Any) -> bool:
    return hasattr(thing, "_watch") or _is_future(thing)


def _is_future(thing: Any) -> bool:
    return hasattr(thing, "add_done_callback") and hasattr(thing, "_condition")


class _FutureWait:
    """A wait for a future, as `concurrent.futures.wait` has it: told under the future's condition, and not after `_unwatch`."""

    def __init__(self, future: Any, bell: _native.Bell) -> None:
        self._future = future
        self._bell = weakref.ref(bell)  # (if we are interrupted, nobody unwatches, and the descriptor's number is another's)
        with future._condition:
            future._waiters.append(self)

    def add_result(self, future: Any) -> None:
        bell = self._bell()
        if bell is not None and bell.fd >= 0:
            os.write(bell.fd, (1).to_bytes(8, "little"))

    add_exception = add_cancelled = add_result

    def _watch(self, channel: int) -> int:
        return 0

    def _is_ready(self, wait: int) -> bool:
        return bool(self._future.done())

    def _unwatch(self, wait: int) -> None:
        with self._future._condition:
            self._future._waiters.remove(self)


class _Watch:
    """Waits for objects in the family's memory, and for futures, behind one descriptor.

    A signal's handler may raise at any moment, in here as well. Then the waits end with the bell.
    """

    def __init__(self, things: list[Any]) -> None:
        self._bell = _native.Bell()
        self.fd = self._bell.fd
        self._waits: list[tuple[int, Any, Any]] = []
        try:
            for thing in things:
                watched = _FutureWait(thing, self._bell) if _is_future(thing) else thing
                self._waits.append((watched._watch(self._bell.number), watched, thing))
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self._waits)

    def ready(self) -> Iterator[Any]:
        """Those that are done, each once; after each look, and after the descriptor became readable."""
        with suppress(BlockingIOError):
            os.read(self.fd, 8)
        for entry in self._waits[:]:
            wait, watched, thing = entry
            if watched._is_ready(wait):
                self._waits.remove(entry)
                watched._unwatch(wait)
                yield thing

    def close(self) -> None:
        while self._waits:
            wait, watched, _ = self._waits.pop()
            watched._unwatch(wait)
        self._bell.close()


def _collect(
    waiting: dict[int, Any], watch: _Watch | None, done: set[Any], timeout: float | None, return_when: str
) -> None:
    import time

    deadline = None if timeout is None else time.monotonic() + max(timeout, 0)
    poller = select.poll()
    for fd in waiting:
        poller.register(fd, select.POLLIN)
    if watch is not None:
        poller.register(watch.fd, select.POLLIN)
        done.update(watch.ready())
    while waiting or watch:
        left = None if deadline is None else max(deadline - time.monotonic(), 0)
        if done and return_when == FIRST_COMPLETED:
            left = 0  # others may be done, too
        ready = poller.poll(None if left is None else left * 1000)
        for fd, _ in ready:
            if watch is not None and fd == watch.fd:
                continue
            poller.unregister(fd)
            thing = waiting.pop(fd)
            if isinstance(thing, Process):
                thing.join()  # it has ended; the reaper may be about to note how
            done.add(thing)
        if watch is not None and ready:
            done.update(watch.ready())  # (what happened before is told, too, though its bell be slower)
        if return_when == FIRST_COMPLETED and done:
            return
        if return_when == FIRST_EXCEPTION and any(map(_has_failed, done)):
            return
        if not ready and left is not None and left <= 0:
            return


def _has_failed(thing: Any) -> bool:
    if isinstance(thing, Process):
        return thing.exitcode != 0
    return _is_future(thing) and not thing.cancelled() and thing.exception() is not None


def _fd_of(thing: Any) -> int:
    if isinstance(thing, Process):
        return thing.sentinel
    if isinstance(thing, int) and not isinstance(thing, bool):
        return thing
    try:
        return int(thing.fileno())
    except AttributeError:
        raise TypeError(
            f"cannot wait for {thing!r}: expected a process, a future, an event, a lock, a semaphore, a descriptor, or an "
            "object with fileno()"
        ) from None


async def wait_async(process: Process, timeout: float | None = None) -> int | None:
    """Wait in the running event loop until `process` has ended; its exit code. None: `timeout` seconds passed before."""
    loop = loops.current()
    deadline = loop.deadline(timeout)
    fd = process.sentinel
    await loop.checkpoint()
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    while process.exitcode is None:
        if poller.poll(0):
            process.join()  # it has ended; the reaper may be about to note how
        elif not await loop.usable(fd, deadline=deadline):
            return None
    process.join()  # (nobody has to any more)
    return process.exitcode


async def stop_async(process: Process, grace: float) -> None:
    """End `process`, with all that it started, as `Process.terminate` does, and wait until it is gone."""
    process.terminate(grace=grace)
    await wait_async(process)


async def join_async(process: Process, timeout: float | None, stop: bool, grace: float) -> int | None:
    """See `Process.join_async`."""
    loop = loops.current()
    loop.deadline(timeout)  # (what is no time limit ends no process)
    try:
        code = await wait_async(process, timeout)
    except GeneratorExit:  # (the loop is gone: nothing can be awaited any more)
        if stop:
            process.terminate(grace=grace)
        raise
    except BaseException:
        if stop:
            await loop.shielded(stop_async(process, grace))
        raise
    if code is None and stop:
        await stop_shielded(process, grace)
    return code


async def stop_shielded(process: Process, grace: float) -> None:
    """`stop_async`, to its end although we are cancelled meanwhile; that comes out then."""
    loop = loops.current()
    came = await loop.shielded(stop_async(process, grace))
    try:
        if came is not None:
            await loop.be_cancelled(came)
    finally:
        del came
