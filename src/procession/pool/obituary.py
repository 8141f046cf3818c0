"""Why a worker died: its exit code in words, the kernel's out-of-memory killer, and its threads' stacks if it crashed."""

from __future__ import annotations

import os
import signal as signals
from typing import NamedTuple

__all__ = ["Blackbox", "Facts", "describe", "enable", "how", "oom_kills", "signal_name"]

_PROC = "/proc"
_CGROUPS = "/sys/fs/cgroup"
_MOST = 256 * 1024  # of a stack, in bytes


class Facts(NamedTuple):
    """What is known of a death; `str` puts it in a sentence. Attributes as those of `WorkerDied`."""

    pid: int | None
    exitcode: int | None
    signal: str | None
    peak_memory: int
    oom: bool
    stack: str | None

    def __str__(self) -> str:
        return how(self)


def describe(pid: int, exitcode: int | None, peak_kib: int, oom_kills_before: int | None, stack: str | None) -> Facts:
    """The facts of a death, as soon as it is known.

    `peak_kib` is the most memory that it ever had, 0 if not known; `oom_kills_before` is what `oom_kills` said before it died.
    Raises nothing; reads some files in /proc if it was killed by SIGKILL.
    """
    oom = False
    if exitcode == -signals.SIGKILL and oom_kills_before is not None:
        now = oom_kills()
        oom = now is not None and now > oom_kills_before
    return Facts(pid, exitcode, signal_name(exitcode), peak_kib * 1024, oom, stack)


def how(facts: Facts, during: str = "") -> str:
    """One or two sentences, without a full stop at the end; `during` follows the first one's verb."""
    who = "a worker" if facts.pid is None else f"the worker (pid {facts.pid})"
    if facts.signal is not None:
        end = f"was killed by {facts.signal}"
    elif facts.exitcode is None:
        end = "died"
    else:
        end = f"ended with exit code {facts.exitcode}"
    text = f"{who} {end}{during}"
    if facts.oom:
        text += ". The kernel's out-of-memory killer struck meanwhile"
        if facts.peak_memory:
            text += f"; the worker had up to {_size(facts.peak_memory)}"
    return text


def signal_name(exitcode: int | None) -> str | None:
    """The name of the signal that an exit code tells of, e.g. "SIGKILL"; None if it tells of none."""
    if exitcode is None or exitcode >= 0:
        return None
    try:
        return signals.Signals(-exitcode).name
    except ValueError:
        return f"signal {-exitcode}"


def _size(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


# --- the kernel's out-of-memory killer ---


def oom_kills() -> int | None:
    """A number that grows whenever the out-of-memory killer strikes, on this machine or in our control group.

    None if the kernel does not tell. Takes a fraction of a millisecond; does not block.
    Sources: proc(5), "oom_kill" in /proc/vmstat; Documentation/admin-guide/cgroup-v2.rst, memory.events;
    Documentation/admin-guide/cgroup-v1/memory.rst, memory.oom_control.
    """
    counts = [_count(f"{_PROC}/vmstat"), *map(_count, _events())]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _count(path: str) -> int | None:
    for line in _read(path).splitlines():
        if line.startswith("oom_kill "):
            return int(line.split()[1])
    return None


def _events() -> list[str]:
    """The files of our control groups that count: one, as a rule."""
    found = []
    for line in _read(f"{_PROC}/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        path = path.rstrip("/")
        if "memory" in controllers.split(","):
            found.append(_first(f"{_CGROUPS}/memory{path}/memory.oom_control", f"{_CGROUPS}/memory/memory.oom_control"))
        elif not controllers:
            found.append(_first(f"{_CGROUPS}{path}/memory.events", f"{_CGROUPS}/memory.events"))
    return found


def _first(inside: str, at_root: str) -> str:
    """Inside a container the path may be the host's: then only the root is ours to see."""
    return inside if os.path.exists(inside) else at_root


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


# --- stacks ---


class Blackbox:
    """Memory of the parent's in which a worker writes its threads' stacks when it crashes (`faulthandler`).

    `path` is what the worker gives to `enable`; empty if there is no descriptor left for it. One descriptor here and one in the
    worker, until `close`. The making of it and `enable` never raise and take some 30 µs together. Not for use after a fork.
    """

    __slots__ = ("_fd", "path")

    def __init__(self) -> None:
        self._fd = -1
        self.path = ""
        try:
            self._fd = os.memfd_create("procession-blackbox", os.MFD_CLOEXEC)
        except OSError:
            return
        self.path = f"/proc/{os.getpid()}/fd/{self._fd}"

    def read(self) -> str | None:
        """What the worker wrote: the stacks of all of its threads, or None if it wrote nothing. Does not block."""
        if self._fd < 0:
            return None
        try:
            written = os.pread(self._fd, _MOST, 0)
        except OSError:
            return None
        return written.decode(errors="replace") or None

    def close(self) -> None:
        """Give the memory back. May be done twice."""
        fd, self._fd, self.path = self._fd, -1, ""
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.close()


def enable(path: str) -> bool:
    """In a worker: from now on a crash is written to the parent's black box. What `faulthandler` wrote to before it does not
    any more. Whether it could be done: the parent may be out of sight (another user's, a process that must not be looked into).
    """
    try:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        import faulthandler

        faulthandler.enable(fd)
    except Exception:
        os.close(fd)
        return False
    return True
