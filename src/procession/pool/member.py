"""One worker of a pool, as the pool sees it (crew.py has all of them)."""

from __future__ import annotations

import time
from typing import Any

from procession import _native
from procession.core.recent import Recent
from procession.pool import obituary

__all__ = ["Member"]

_oom_kills = Recent(obituary.oom_kills)


class Member:
    """One worker."""

    __slots__ = (
        "blackbox", "born", "exitcode", "heir", "id", "leaving", "many", "member", "most", "oom_kills", "peak_kib", "pid",
        "process", "requests", "serving", "stack", "task",
    )  # fmt: skip

    def __init__(self, number: int, process: Any, blackbox: Any, heir: bool) -> None:
        self.id = number
        self.process = process
        self.blackbox = blackbox
        self.heir = heir  # the one worker of a nested pool that needs no token
        self.born = time.monotonic()
        self.serving = False  # has it done anything yet?
        self.leaving = False
        self.many: dict[int, float] = {}  # in hand beside the one in its record: since when; some have ended
        self.most = 64
        self.requests = 0  # the number of its last one
        self.oom_kills = _oom_kills()
        self.pid: int | None = None
        self.member = _native.NOBODY
        self.exitcode: int | None = None
        self.task = self.peak_kib = 0
        self.stack: str | None = None

    def started(self) -> None:
        self.pid = self.process.pid
        self.member = self.process._popen.child.member

    def in_hand(self) -> tuple[int, float] | None:
        """The number of the task that it has, and since when (monotonic seconds)."""
        seen = _native.task_of(self.member)
        return (seen[0], seen[1] / 1e9) if seen is not None and seen[0] else None

    def took(self, number: int, since: float, held: Any) -> None:
        """It has that task in hand, as one of many. (Those that have ended are held no more; they go when they are many.)"""
        self.many[number] = since
        if len(self.many) > self.most:
            self.many = {number: since for number, since in self.many.items() if number in held}
            self.most = max(64, 2 * len(self.many))

    def died(self) -> None:
        """Note how, and what it had in hand."""
        self.exitcode = self.process.exitcode
        child = self.process._popen.child
        self.task, self.peak_kib = child.task, child.peak_kib
        if self.blackbox is not None:
            self.stack = self.blackbox.read() if self.exitcode else None
            self.blackbox.close()
