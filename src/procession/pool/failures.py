"""What a pool raises when tasks end otherwise than by themselves.

`TaskTimeout` and `TaskStopped` are defined in `procession.errors`: workers need them, and must not pay for
`concurrent.futures.process`, which takes 40 ms to import. The two here derive from what is raised there; `procession.errors`
imports them when they are asked for.
"""

from __future__ import annotations

import signal as signals
from concurrent.futures.process import BrokenProcessPool

from procession.errors import ProcessionError, TaskStopped, TaskTimeout

__all__ = ["InitializerFailed", "TaskStopped", "TaskTimeout", "WorkerDied", "signal_name"]

_ORDINALS = {2: "second", 3: "third"}


class WorkerDied(ProcessionError, BrokenProcessPool):
    """The worker that had the task in hand died, and the task is not to be tried again.

    `pid`, `exitcode` (as `Process.exitcode`; None if not known), `signal` (the name of the signal that killed it, or None),
    `peak_memory` (most that it ever had in memory, in bytes; 0 if not known), `oom` (the kernel's out-of-memory killer struck
    while it ran, and it died as that kills), `stack` (its threads' Python stacks when it crashed, or None), `task` (the name of
    the task's function, or None), `attempts` (how many workers the task was given to).
    """

    def __init__(
        self,
        pid: int | None = None,
        exitcode: int | None = None,
        *,
        peak_memory: int = 0,
        oom: bool = False,
        stack: str | None = None,
        task: str | None = None,
        attempts: int = 1,
    ) -> None:
        self.pid = pid
        self.exitcode = exitcode
        self.signal = signal_name(exitcode)
        self.peak_memory = peak_memory
        self.oom = oom
        self.stack = stack
        self.task = task
        self.attempts = attempts
        super().__init__(self._message())

    def _message(self) -> str:
        who = "a worker" if self.pid is None else f"the worker (pid {self.pid})"
        what = "" if self.task is None else f" while it ran {self.task}"
        again = "" if self.attempts <= 1 else f", in the {_ORDINALS.get(self.attempts, f'{self.attempts}th')} attempt"
        if self.signal is not None:
            how = f"was killed by {self.signal}"
        elif self.exitcode is None:
            how = "died"
        else:
            how = f"ended with exit code {self.exitcode}"
        text = f"{who} {how}{what}{again}"
        if self.oom:
            text += f". The kernel's out-of-memory killer struck meanwhile; the worker had up to {_size(self.peak_memory)}"
        return text


class InitializerFailed(ProcessionError, BrokenProcessPool):
    """The initializer raised in a worker, so the pool cannot work. `reason` says what it raised."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the initializer of the pool's workers failed: {reason}")
        self.reason = reason


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
