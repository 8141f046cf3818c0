"""Waiting for several things at once, in place or in an event loop. Processes now; every later class joins here.

Whatever can be waited for has a descriptor that becomes readable; the kernel notifies, nothing polls.
"""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Iterable
from typing import Any, NamedTuple

from procession import _native
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
    """Wait until all of `objects`, or the first, are done: for a process, until it has ended.

    Returns the sets ``(done, not_done)``. `objects` may mix processes with anything that has a ``fileno()`` or is a
    descriptor (sentinels, connections, sockets): those are done when they can be read. `timeout` in seconds (None: for
    ever). `return_when` is ALL_COMPLETED, FIRST_COMPLETED, or FIRST_EXCEPTION (the first process that ended with another
    exit code than 0, or all). Blocks with the GIL released; Ctrl-C interrupts it. Raises ValueError for a process that was
    not started, TypeError for what cannot be waited for; both before it waits.
    """
    if return_when not in (ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION):
        raise ValueError(
            f"return_when must be FIRST_COMPLETED, FIRST_EXCEPTION or ALL_COMPLETED; got {return_when!r}"
        )
    waiting = {_fd_of(thing): thing for thing in objects}
    done: set[Any] = set()
    _native.table_waiting(family.me, _native.WAIT_ANY, _native.NOBODY)
    try:
        _collect(waiting, done, timeout, return_when)
    finally:
        _native.table_waiting(family.me, _native.WAIT_NOTHING, _native.NOBODY)
    return DoneAndNotDone(done, set(waiting.values()))


def _collect(waiting: dict[int, Any], done: set[Any], timeout: float | None, return_when: str) -> None:
    import time

    deadline = None if timeout is None else time.monotonic() + max(timeout, 0)
    poller = select.poll()
    for fd in waiting:
        poller.register(fd, select.POLLIN)
    while waiting:
        left = None if deadline is None else max(deadline - time.monotonic(), 0)
        ready = poller.poll(None if left is None else left * 1000)
        for fd, _ in ready:
            poller.unregister(fd)
            thing = waiting.pop(fd)
            if isinstance(thing, Process):
                thing.join()  # it has ended; the reaper may be about to note how
            done.add(thing)
        if return_when == FIRST_COMPLETED and done:
            return
        if return_when == FIRST_EXCEPTION and any(isinstance(d, Process) and d.exitcode != 0 for d in done):
            return
        if not ready and left is not None and left <= 0:
            return


def _fd_of(thing: Any) -> int:
    if isinstance(thing, Process):
        return thing.sentinel
    if isinstance(thing, int) and not isinstance(thing, bool):
        return thing
    try:
        return int(thing.fileno())
    except AttributeError:
        raise TypeError(
            f"cannot wait for {thing!r}: expected a process, a descriptor, or an object with fileno()"
        ) from None


async def wait_async(process: Process) -> int:
    """Wait in the running event loop until `process` has ended; its exit code."""
    fd = process.sentinel
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def end() -> None:
        if not ended.done():
            ended.set_result(None)

    own = os.dup(fd)  # a loop takes each descriptor once: two tasks may await the same process
    loop.add_reader(own, end)
    try:
        await ended
    finally:
        loop.remove_reader(own)
        os.close(own)
    process.join()
    code = process.exitcode
    assert code is not None
    return code
