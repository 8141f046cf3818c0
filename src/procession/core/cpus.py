"""How many processors this process may really use."""

from __future__ import annotations

import math
import os

__all__ = ["cpu_count"]


def cpu_count() -> int:
    """Return the number of processors that this process can keep busy: at least 1.

    That is the number in its affinity mask, lowered to the CPU quota of its control group (rounded up) where one is set,
    as in a container. ``multiprocessing`` returns the machine's count, whatever is allowed. Does not block.
    Sources: sched_getaffinity(2); Documentation/admin-guide/cgroup-v2.rst, "cpu.max".
    """
    allowed = len(os.sched_getaffinity(0))
    quota = _quota()
    return max(1, allowed if quota is None else min(allowed, math.ceil(quota)))


def _quota() -> float | None:
    """The tightest CPU quota of our control groups, in processors."""
    found = [quota for folder in _groups() if (quota := _quota_of(folder)) is not None]
    return min(found, default=None)


def _groups() -> list[str]:
    """The folders of our control groups and of those above them, in both versions of cgroups."""
    try:
        with open("/proc/self/cgroup") as file:
            lines = file.read().splitlines()
    except OSError:
        return []
    folders: list[str] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "cpu", "cpu,cpuacct", "cpuacct,cpu"):
            continue
        root = os.path.join("/sys/fs/cgroup", controllers)
        parts = [part for part in path.split("/") if part]
        # Inside a container the path may be the host's: then only the root is ours to see.
        folders += [os.path.join(root, *parts[:depth]) for depth in range(len(parts), -1, -1)]
    return folders


def _quota_of(folder: str) -> float | None:
    for names in (["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):
        fields = " ".join(_read(os.path.join(folder, name)) for name in names).split()
        if len(fields) == 2 and fields[0] not in ("max", "-1"):
            return int(fields[0]) / int(fields[1])
    return None


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""
