"""Who holds a lock and who waits for it, and what the next holder is told when one died."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from procession import _native
from procession.errors import OwnerDied, OwnerDiedWarning

__all__ = ["Holder", "Waiter", "holder_of", "queue", "shares_of", "short", "silence", "tell", "waiters_of"]


class Holder(NamedTuple):
    """Who holds a lock.

    `thread` is the kernel's id of the thread (as `threading.get_native_id`); of a task that holds an RLock it is a number of
    its own, from 2**31 on. `since` is a time as `time.time()` gives it, to some milliseconds.
    """

    process: str
    pid: int
    thread: int
    since: float


class Waiter(NamedTuple):
    """Who waits, in the same terms."""

    process: str
    pid: int
    thread: int
    since: float


def holder_of(lock: Any) -> Holder | None:
    """A look at this moment; does not block."""
    found = _native.cell_holder(lock)
    return None if found is None else Holder(*found[:3], time.time() - found[3])


def waiters_of(thing: Any) -> tuple[Waiter, ...]:
    """Those who wait, the first come first. A look at this moment; does not block."""
    now = time.time()
    return tuple(Waiter(*found[:3], now - found[3]) for found in _native.cell_waiters(thing))


def shares_of(thing: Any) -> tuple[tuple[Holder, int], ...]:
    """Who has how many permits. A look at this moment; does not block."""
    return tuple((Holder(who[0], who[1], 0, 0.0), units) for who, units in _native.cell_stakes(thing) if who is not None)


def short(lock: Any) -> str:
    """Who holds `lock`, for its repr: as `multiprocessing` says it where it can, by name where that would say "some other"."""
    from multiprocessing import process

    found = _native.cell_holder(lock)
    if found is None:
        return "None"
    name, pid, thread, seconds, ours = found
    if not ours:
        return f"{name}, pid {pid}, thread {thread}, for {seconds:.1f} s"
    if lock._is_mine():
        current = threading.current_thread()
        mine: str = process.current_process().name
        return mine if current is threading.main_thread() else f"{mine}|{current.name}"
    return "SomeOtherTask" if thread >> 31 else "SomeOtherThread"


def queue(lock: Any) -> str:
    """How many wait for `lock`, for its repr; nothing when nobody does."""
    count = len(_native.cell_waiters(lock))
    return f", {count} waiting" if count else ""


_silent = threading.local()


@contextmanager
def silence() -> Iterator[None]:
    """What this thread takes from dead holders in the block it is not told of: it knows."""
    _silent.on = True
    try:
        yield
    finally:
        _silent.on = False


def tell(lock: Any, kind: str, raises: bool) -> None:
    """The caller has just taken `lock` from a dead holder: raise OwnerDied, with the lock given back, or warn."""
    silent = getattr(_silent, "on", False)
    found = _native.cell_epitaph(lock, raises and not silent)
    if silent:
        return
    name, pid, thread, seconds = found or (None, None, None, None)
    since = None if seconds is None else time.time() - seconds
    if raises:
        lock._refuse()
        raise OwnerDied(kind, name, pid, thread, since)
    try:
        warnings.warn(OwnerDiedWarning(kind, name, pid, thread, since), stacklevel=3)
    except BaseException:  # warnings are errors here: then nothing may be held
        lock._refuse()
        raise
