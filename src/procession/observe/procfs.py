"""What /proc says of a process (man 5 proc). A process that ends while it is read is simply not there: None, or
empty."""

from __future__ import annotations

import os
import time
from typing import NamedTuple

__all__ = ["COMMONS", "Stat", "age", "all_stats", "children", "command", "environment", "is_plain", "memory_kib", "stat"]

#: What a family's shared memory is called in /proc/PID/maps and /proc/PID/fd.
COMMONS = b"/memfd:procession (deleted)"
_TICKS = os.sysconf("SC_CLK_TCK")


class Stat(NamedTuple):
    """One line of /proc/PID/stat, as far as it is of use here."""

    pid: int
    name: str
    letter: str  #: R S D T t Z X I; S for one whose first thread has ended while others go on (/proc says Z)
    parent: int
    group: int
    start_time: int  #: clock ticks since boot: with the pid, the process's identity
    cpu: float  #: seconds, of all its threads


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def _of_any_thread(pid: int, name: str) -> bytes:
    """What all threads have in common. When the first one has ended, another has it."""
    found = _read(f"/proc/{pid}/{name}")
    if found.strip(b"0 \n"):  # (its size is told in zeros then)
        return found
    others = (_read(f"/proc/{pid}/task/{thread}/{name}") for thread in _threads(pid))
    return next((text for text in others if text.strip(b"0 \n")), found)


def _threads(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []


def stat(pid: int) -> Stat | None:
    """The process with this pid, or None."""
    line = _read(f"/proc/{pid}/stat")
    before, bracket, after = line.rpartition(b")")  # the name may hold anything, brackets too
    if not bracket:
        return None
    name = before.partition(b"(")[2].decode(errors="replace")
    f = after.split()
    cpu = (int(f[11]) + int(f[12])) / _TICKS
    headless = f[0] == b"Z" and int(f[17]) > 1
    return Stat(pid, name, "S" if headless else f[0].decode(), int(f[1]), int(f[2]), int(f[19]), cpu)


def all_stats() -> dict[int, Stat]:
    """Every process that there is, by pid."""
    found = (stat(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return {one.pid: one for one in found if one is not None}


def children(pid: int) -> list[int]:
    """The pids of the children of all its threads, zombies among them."""
    found: list[int] = []
    for thread in _threads(pid):
        found += map(int, _read(f"/proc/{pid}/task/{thread}/children").split())
    return found


def environment(pid: int, key: str) -> str | None:
    """A variable of the environment that it was started with; None if it is not set or not ours to read."""
    prefix = os.fsencode(key) + b"="
    for variable in _of_any_thread(pid, "environ").split(b"\0"):
        if variable.startswith(prefix):
            return os.fsdecode(variable[len(prefix) :])
    return None


def is_plain(pid: int) -> bool:
    """Whether it has memory, and no family's shared memory in it."""
    maps = _of_any_thread(pid, "maps")
    # (One that ends loses its memory between two reads: what still has some afterwards was read to the end.)
    return COMMONS not in maps and _of_any_thread(pid, "statm")[:1] not in (b"", b"0")


def command(pid: int) -> str:
    """Its command line, blanks between the arguments; empty for a zombie or a kernel thread."""
    return _of_any_thread(pid, "cmdline").rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")


def memory_kib(pid: int) -> int:
    """Its proportional share of memory (PSS); what it has in memory (RSS) where the kernel does not let us see that."""
    for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1])
    fields = _read(f"/proc/{pid}/statm").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") // 1024 if fields else 0


def age(of: Stat) -> float:
    """Seconds since it was started."""
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - of.start_time / _TICKS)
