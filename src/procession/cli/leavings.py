"""What the runner is given by the kernel: orphans. They are reaped while the program runs, and ended after it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from procession import _native
from procession.cli.guard import Guard
from procession.observe import procfs

__all__ = ["LeftOver", "Orphans", "news"]

_LONG = 10.0  #: seconds: what outruns us for so long, or cannot be ended, is beyond help
_PATIENCE = 0.02
#: Members that are the user's own, not our helpers.
_USERS = _native.PROCESS | _native.FORKED


class LeftOver(NamedTuple):
    """A process that was there when what started it was gone."""

    name: str
    pid: int
    status: int  #: as wait(2) gives it


def news() -> Iterator[Any]:
    """Children that have ended or stopped, one after the other. The caller reaps; whatever it leaves comes again."""
    while True:
        try:
            child = os.waitid(os.P_ALL, 0, os.WEXITED | os.WSTOPPED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if child is None:
            return
        yield child


class Orphans:
    """The orphans of one run."""

    def __init__(self) -> None:
        self.found: list[LeftOver] = []

    def bury(self, pid: int) -> bool:
        """Reap one. True if it was a member of the family: then it may have left something, too."""
        stat = procfs.stat(pid)
        record = _member_of(stat) if stat else None
        _, status = os.waitpid(pid, 0)
        if record is None:
            return False
        if record["flags"] & _USERS and _was_killed(status) and record["state"] != _native.EXITED:
            self.found.append(LeftOver(record["name"], pid, status))
        _native.kin_mark_dead(record["member"])
        return True

    def end(self, guard: Guard) -> None:
        """End all that is below us but the guard and what is detached, and reap it."""
        deadline = time.monotonic() + _LONG
        while time.monotonic() < deadline:
            self._reap(guard)
            left = list(_left(os.getpid(), {guard.pid}))
            if not left:
                return
            for stat in left:
                self._kill(stat)
            signal.sigtimedwait({signal.SIGCHLD}, _PATIENCE)

    def _reap(self, guard: Guard) -> None:
        for child in news():
            if child.si_code in (os.CLD_STOPPED, os.CLD_TRAPPED):
                os.waitid(os.P_PID, child.si_pid, os.WSTOPPED | os.WNOHANG)
            elif child.si_pid == guard.pid:
                guard.reap()
            else:
                self.bury(child.si_pid)

    def _kill(self, stat: procfs.Stat) -> None:
        record = _member_of(stat)
        users = record["flags"] & _USERS if record else procfs.is_plain(stat.pid)
        if users and stat.pid not in {one.pid for one in self.found}:
            self.found.append(LeftOver(record["name"] if record else stat.name, stat.pid, signal.SIGKILL))
        with contextlib.suppress(OSError):
            pidfd = os.pidfd_open(stat.pid)
            try:
                again = procfs.stat(stat.pid)
                if again is not None and again.start_time == stat.start_time:
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            finally:
                os.close(pidfd)


def _left(pid: int, spared: set[int]) -> Iterator[procfs.Stat]:
    """What is below `pid`, children before their parents."""
    for child in procfs.children(pid):
        stat = procfs.stat(child)
        if stat is None or child in spared or stat.letter in "ZX" or _detached(stat):
            continue
        yield from _left(child, spared)
        yield stat


def _detached(stat: procfs.Stat) -> bool:
    """Whether it is a detached member, or its cookie says that one started it."""
    record = _member_of(stat)
    if record is not None:
        return _below_detached(record)
    cookie = procfs.environment(stat.pid, _native.COOKIE)
    try:
        family, slot, generation = (int(part, 16) for part in (cookie or "").split("."))
    except ValueError:
        return False
    if family != int(_native.commons_facts()["family"], 16):
        return False
    return _below_detached(_native.table_get(generation << 32 | slot))


def _below_detached(record: dict[str, Any] | None) -> bool:
    for _ in range(_native.SLOTS):
        if record is None or record["state"] == _native.EXITED:
            return False
        if record["flags"] & _native.DETACHED:
            return True
        record = _native.table_get(record["parent"])
    return False


def _was_killed(status: int) -> bool:
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def _member_of(stat: procfs.Stat) -> dict[str, Any] | None:
    for record in _native.table_list():
        if record["pid"] == stat.pid and record["start_time"] == stat.start_time:
            return record
    return None
