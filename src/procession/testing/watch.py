"""Wait for conditions, not for time; and look at processes by pid and start time, never by the pid alone."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from procession import _native

__all__ = [
    "Identity", "children_of", "descendants_of", "eventually", "identity", "is_running", "is_zombie", "stop", "wait_gone",
]


class Identity(NamedTuple):
    """One process, for ever: pids are used again, the two together are not."""

    pid: int
    start_time: int


def eventually(condition: Callable[[], object], timeout: float = 10.0, what: str = "") -> None:
    """Return as soon as `condition()` is true; AssertionError with `what` if it is not within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what or condition}")
        time.sleep(0.002)


def identity(pid: int) -> Identity | None:
    """Of the process that has this pid now, living or zombie; None if there is none."""
    stat = _native.proc_stat(pid)
    return None if stat is None else Identity(pid, stat[2])


def _letter(who: Identity) -> str:
    stat = _native.proc_stat(who.pid)
    return stat[0] if stat is not None and stat[2] == who.start_time else ""


def is_running(who: Identity) -> bool:
    """Whether it lives (a zombie does not)."""
    return _letter(who) not in ("", "Z", "X")


def is_zombie(who: Identity) -> bool:
    """Whether it has ended and nobody has waited for it."""
    return _letter(who) == "Z"


def stop(pid: int, timeout: float = 10.0) -> None:
    """Send SIGSTOP, and return when every thread has stopped: until then the others may go on.

    AssertionError if that takes longer than `timeout` seconds.
    """
    os.kill(pid, signal.SIGSTOP)
    tasks = Path(f"/proc/{pid}/task")
    eventually(lambda: set(map(_letter_of_thread, tasks.glob("*/stat"))) == {"T"}, timeout, f"{pid} has stopped")


def _letter_of_thread(stat: Path) -> str:
    try:
        return stat.read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""  # it has ended meanwhile


def wait_gone(everyone: Iterable[Identity], timeout: float = 5.0) -> None:
    """Wait until none of them runs; AssertionError naming those that still do after `timeout` seconds."""
    everyone = list(everyone)
    deadline = time.monotonic() + timeout
    while left := [who for who in everyone if is_running(who)]:
        if time.monotonic() > deadline:
            raise AssertionError(f"still running after {timeout} s: " + ", ".join(map(_describe, left)))
        time.sleep(0.002)


def _describe(who: Identity) -> str:
    try:
        command = Path(f"/proc/{who.pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        command = "?"
    return f"{who.pid} ({command[:80]!r})"


def children_of(pid: int) -> list[int]:
    """Pids of its children, zombies included."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                found += map(int, file.read().split())
    except OSError:
        pass
    return found


def descendants_of(pid: int) -> set[Identity]:
    """All below it that are linked to it by living parents."""
    found: set[Identity] = set()
    for child in children_of(pid):
        who = identity(child)
        if who is not None:
            found |= {who} | descendants_of(child)
    return found
