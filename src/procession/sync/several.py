"""acquire_all: several locks at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from procession import _native
from procession.core.seconds import timeout_of
from procession.sync.locks import Lock, RLock
from procession.sync.rwlock import Side
from procession.sync.semaphores import Semaphore

__all__ = ["acquire_all"]

def _place(lock: Any) -> int:
    """In the order of their places in the shared memory all take them, so that no two wait for each other."""
    if not isinstance(lock, (Lock, RLock, Semaphore, Side)):
        raise TypeError(f"acquire_all takes locks, semaphores, and sides of an RWLock; got {lock!r}")
    place: int = _native.cell_place(lock._lock if isinstance(lock, Side) else lock)
    return place

def acquire_all(
    *locks: Lock | RLock | Semaphore | Side, timeout: float | None = None
) -> AbstractContextManager[None]:
    """``with acquire_all(a, b, c):`` holds them all for the block, and never deadlocks with another such call.

    Takes them in one order, the same in all processes. Raises TimeoutError when `timeout` seconds (for all together) are
    over, holding none of them then. Raises ValueError when one is named twice, TypeError for what is no lock, at the call.
    """
    places = {_place(lock): lock for lock in locks}
    if len(places) != len(locks):
        raise ValueError("acquire_all: the same lock was given twice")
    return _holding([lock for _, lock in sorted(places.items())], timeout_of(timeout))

@contextmanager
def _holding(locks: list[Lock | RLock | Semaphore | Side], timeout: float | None) -> Iterator[None]:
    end = None if timeout is None else time.monotonic() + timeout
    with ExitStack() as stack:
        for lock in locks:
            if not lock.acquire(True, None if end is None else max(0.0, end - time.monotonic())):
                raise TimeoutError(f"acquire_all: {lock!r} could not be had within {timeout} s")
            stack.callback(lock.release)
        yield
