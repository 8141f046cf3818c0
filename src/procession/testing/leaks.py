"""What a piece of code left behind: children, zombies, descriptors, threads.

    with procession.testing.leaks.guard():
        ...

The zygote, its spares and the threads of the reaper and of the doorbell are procession's own: the guard brings them into the
same state before and after, so that what they hold cancels out.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from procession import _native
from procession.process import oswait
from procession.process.nursery import SPARES, nursery
from procession.process.process import active_children

__all__ = ["Leak", "Snapshot", "descriptors", "guard", "left_since", "settle", "take"]


class Leak(AssertionError):
    """Something was left behind; the message says what."""


class Snapshot(NamedTuple):
    """What this process holds at one moment."""

    children: frozenset[int]
    descriptors: Counter[str]
    threads: frozenset[threading.Thread]
    tasks: int


def settle() -> None:
    """Bring the zygote and its spares to their resting state: launched, all spares there and met; and start the threads."""
    active_children()  # (forgets the ended)
    _settle_children()
    _native.Bell().close()  # (a launch stops the thread, which comes back when somebody needs it)


def _settle_children() -> None:
    for _ in range(10):  # (any of them may be dying just now)
        nursery.warm_up()
        with nursery._lock:
            if nursery._zygote is None or nursery._zygote.poll():
                nursery._launch()
            for spare in [spare for spare in nursery._spares if not spare.child.hello() or spare.child.poll()]:
                nursery._spares.remove(spare)
            if len(nursery._spares) >= SPARES:
                return
            while len(nursery._spares) < SPARES and nursery._order():
                pass


def take() -> Snapshot:
    """A look at this process."""
    return Snapshot(
        frozenset(oswait.children() - oswait.hidden()),
        _descriptors(),
        frozenset(threading.enumerate()),
        len(os.listdir("/proc/self/task")),
    )


def descriptors() -> Counter[str]:
    """How many descriptors this process has of each thing, to be compared at once: without those of /proc, which the reaper
    reads for a moment, after a death, in a thread of its own."""
    return Counter({target: count for target, count in _descriptors().items() if not target.startswith("/proc")})


def _descriptors() -> Counter[str]:
    found: Counter[str] = Counter()
    for fd in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:  # the one of listdir itself
            continue
        kind, _, _ = target.partition(":[")
        found[kind if kind in ("socket", "pipe") else target] += 1
    return found


def left_since(before: Snapshot, timeout: float = 3.0) -> list[str]:
    """What is here now and was not at `before`, in words; waits up to `timeout` seconds for it to go by itself."""
    deadline = time.monotonic() + timeout
    gc.collect()
    while True:
        settle()
        found = list(_differences(before, take()))
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.01)
        gc.collect()  # (a thread may just have let go of the last hold on a circle)


def _differences(before: Snapshot, now: Snapshot) -> Iterator[str]:
    for pid in now.children - before.children:
        stat = _native.proc_stat(pid)
        yield f"child {pid} in state {stat[0] if stat else '?'}"
    for target, count in (now.descriptors - before.descriptors).items():
        yield f"{count} descriptor(s) of {target}"
    for thread in now.threads - before.threads:
        yield f"thread {thread.name!r}"
    if now.tasks > before.tasks:
        yield f"{now.tasks - before.tasks} thread(s) more than before"


@contextmanager
def guard(timeout: float = 3.0) -> Iterator[None]:
    """Raise `Leak` if the block leaves anything behind. What the block raises comes first."""
    settle()
    before = take()
    yield
    left = left_since(before, timeout)
    if left:
        raise Leak("left behind: " + "; ".join(left))
