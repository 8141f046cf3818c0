"""What a pool raises when tasks end otherwise than by themselves.

`TaskTimeout` and `TaskStopped` are defined in `procession.errors`: workers need them, and must not pay for
`concurrent.futures.process`, which takes 40 ms to import. The two here derive from what is raised there; `procession.errors`
imports them when they are asked for.
"""

from __future__ import annotations

from concurrent.futures.process import BrokenProcessPool

from procession.errors import ProcessionError, TaskStopped, TaskTimeout
from procession.pool import obituary

__all__ = ["InitializerFailed", "TaskStopped", "TaskTimeout", "WorkerDied"]

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
        self.signal = obituary.signal_name(exitcode)
        self.peak_memory = peak_memory
        self.oom = oom
        self.stack = stack
        self.task = task
        self.attempts = attempts
        super().__init__(self._message())

    @classmethod
    def of(cls, facts: obituary.Facts, task: str | None = None, attempts: int = 1) -> WorkerDied:
        """The error for the death that `obituary.describe` described."""
        known = {"peak_memory": facts.peak_memory, "oom": facts.oom, "stack": facts.stack}
        return cls(facts.pid, facts.exitcode, **known, task=task, attempts=attempts)  # type: ignore[arg-type]

    def _message(self) -> str:
        during = "" if self.task is None else f" while it ran {self.task}"
        if self.attempts > 1:
            during += f", in the {_ORDINALS.get(self.attempts, f'{self.attempts}th')} attempt"
        facts = obituary.Facts(self.pid, self.exitcode, self.signal, self.peak_memory, self.oom, self.stack)
        return obituary.how(facts, during)


class InitializerFailed(ProcessionError, BrokenProcessPool):
    """The initializer raised in a worker, so the pool cannot work. `reason` says what it raised."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the initializer of the pool's workers failed: {reason}")
        self.reason = reason
