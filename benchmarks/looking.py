"""Looking at other processes from outside, through /proc."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from contextlib import suppress

__all__ = ["Memory", "descendants", "memory", "settled_descendants", "total"]

#: KiB by the names of /proc/PID/smaps_rollup.
Memory = dict[str, int]


def _parents() -> dict[int, int]:
    """The parent of every living process here; a zombie is none."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as file:
                    state, parent = file.read().rpartition(b")")[2].split()[:2]
            except OSError:
                continue
            if state not in (b"Z", b"X"):
                found[int(entry)] = int(parent)
    return found


def descendants(root: int) -> set[int]:
    """The living processes below `root`."""
    children = defaultdict(list)
    for pid, parent in _parents().items():
        children[parent].append(pid)
    found: set[int] = set()
    left = list(children[root])
    while left:
        pid = left.pop()
        found.add(pid)
        left += children[pid]
    return found


def settled_descendants(root: int, quiet: float = 0.3, patience: float = 10.0) -> set[int]:
    """The same, once they have not changed for `quiet` seconds (spares are made in the background)."""
    now = time.monotonic()
    seen, since, end = descendants(root), now, now + patience
    while now - since < quiet and now < end:
        time.sleep(0.02)
        now, found = time.monotonic(), descendants(root)
        if found != seen:
            seen, since = found, now
    return seen


def memory(pid: int) -> Memory:
    """What `pid` has: `Pss` counts a page shared by N processes as a N-th; `Private` is what only it has."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        next(file)
        facts = {key: int(rest.split()[0]) for key, rest in (line.split(":", 1) for line in file)}
    facts["Private"] = facts["Private_Clean"] + facts["Private_Dirty"]
    return facts


def total(pids: set[int], what: str) -> int:
    """The sum over `pids`, in KiB; one that has ended meanwhile (it held the memory of a child that left) has none."""
    found = 0
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            found += memory(pid)[what]
    return found
