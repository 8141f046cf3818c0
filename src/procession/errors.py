"""All that procession raises of its own.

    ProcessionError
    ├── ProcessStateError  (AssertionError)   start twice, join before start, join by a stranger
    ├── ClosedError        (ValueError)       use after close()
    ├── StartError         (OSError)          a process could not be made
    ├── UnpicklableError   (PicklingError, TypeError)  target or argument cannot be sent to the child
    ├── StartMethodError   (ValueError)       no such start method
    ├── FamilyError        (RuntimeError)     an object of another family of processes
    ├── Closed             (queue.Empty)      a queue is empty, and nobody is left who could put something
    ├── OwnerDied                             a lock's holder died, and what it left is not put right
    ├── WorkerDied         (BrokenProcessPool)  a pool's worker died, and its task is not tried again
    ├── InitializerFailed  (BrokenProcessPool)  a pool's initializer raised in a worker
    ├── DispatchDeadlock   (RuntimeError)     a block would wait for itself, by way of others
    ├── TaskTimeout        (TimeoutError)     a task was not done within its time limit, and was stopped
    ├── WaitTimeout        (TimeoutError)     not all that was waited for came in time
    ├── ProcessDied                           a scope's child ended without a word of how its function ended
    ├── ProcessTimeout     (TimeoutError)     a scope's child had not ended within its time limit, and was ended
    ├── ScopeTimeout       (TimeoutError)     a scope was not over within its time limit, and all in it was ended
    ├── ScopeEnded         (RuntimeError)     a scope that ends, or is over, takes on nothing more
    ├── RestartLimit                          a supervisor's children died too often, and all were ended
    └── InternalError      (AssertionError)   a bug of ours: please report it

    OwnerDiedWarning       (RuntimeWarning)   a lock's holder died; you have the lock now
    TaskStopped            (BaseException)    raised inside a task that is to end

Each has the base class that `multiprocessing` raises in the same place, so existing handlers catch it; each pickles,
and carries its facts as attributes. (What is a TimeoutError here is both, the builtin one and `multiprocessing`'s.)
"""

from __future__ import annotations

import builtins
import pickle
import time
from multiprocessing import AuthenticationError, BufferTooShort, ProcessError, TimeoutError
from queue import Empty
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from procession.pool.failures import InitializerFailed as InitializerFailed
    from procession.pool.failures import WorkerDied as WorkerDied

#: Without InitializerFailed and WorkerDied, which would make importing all of these slow, and TaskStopped, which is no error.
__all__ = [
    "AuthenticationError",
    "BufferTooShort",
    "Closed",
    "ClosedError",
    "DispatchDeadlock",
    "FamilyError",
    "InternalError",
    "OwnerDied",
    "OwnerDiedWarning",
    "ProcessDied",
    "ProcessError",
    "ProcessStateError",
    "ProcessTimeout",
    "ProcessionError",
    "RestartLimit",
    "ScopeEnded",
    "ScopeTimeout",
    "StartError",
    "StartMethodError",
    "TaskTimeout",
    "TimeoutError",
    "UnpicklableError",
    "WaitTimeout",
]


class ProcessionError(ProcessError):
    """The base of all errors of procession."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(cls: type[ProcessionError], args: tuple[Any, ...], attributes: dict[str, Any]) -> ProcessionError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error


class ProcessStateError(ProcessionError, AssertionError):
    """The process is not in a state in which this can be done."""


class ClosedError(ProcessionError, ValueError):
    """The process object was closed."""


class StartError(ProcessionError, OSError):
    """A process could not be made. `errno` says why; nothing is left of the attempt, and it may be tried again."""


class StartMethodError(ProcessionError, ValueError):
    """There is no such start method."""


class UnpicklableError(ProcessionError, pickle.PicklingError, TypeError):
    """What the child needs cannot be pickled.

    `process` is the process's name, `part` says which part of it ("target", "args[0]", "kwargs['x']", ...), `reason` is
    the original message.
    """

    def __init__(self, process: str, part: str, reason: str) -> None:
        super().__init__(f"cannot start {process!r}: its {part} cannot be pickled: {reason}")
        self.process = process
        self.part = part
        self.reason = reason


class FamilyError(ProcessionError, RuntimeError):
    """The object was made in another family of processes, with which this one shares no memory."""


class Closed(ProcessionError, Empty):
    """The queue is empty and closed: nobody is left who could put something."""


class _Death(Exception):
    """Who held a lock when it died: `process`, `pid`, `thread` (the kernel's id), `since` (as `time.time()`). Each is None
    where it is not known."""

    def __init__(self, kind: str, process: str | None, pid: int | None, thread: int | None, since: float | None) -> None:
        who = "the process that held it" if process is None else f"{process} (pid {pid}), which held it"
        when = "" if since is None else f" since {time.strftime('%H:%M:%S', time.localtime(since))}"
        super().__init__(f"{kind}: {who}{when}, died; what it guards may be half changed")
        self.kind = kind
        self.process = process
        self.pid = pid
        self.thread = thread
        self.since = since


class OwnerDied(_Death, ProcessionError):
    """The process that held the lock died. You do not hold it; it stays marked until `mark_consistent`."""


class OwnerDiedWarning(_Death, RuntimeWarning):
    """The process that held the lock died. You hold it now; what it guards may be half changed."""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.kind, self.process, self.pid, self.thread, self.since)


class TaskTimeout(ProcessionError, TimeoutError, builtins.TimeoutError):
    """A pool's task was not done within its time limit and was stopped.

    `timeout` is the limit in seconds, `task` the name of the task's function or None, `stopped_by` what ended it: "exception"
    (`TaskStopped`, raised inside it), "SIGTERM" or "SIGKILL".
    """

    def __init__(self, timeout: float, task: str | None = None, stopped_by: str = "exception") -> None:
        what = "the task" if task is None else f"the task {task}"
        how = "" if stopped_by == "exception" else f", with its worker, by {stopped_by}"
        super().__init__(f"{what} was not done within {timeout:g} s and was stopped{how}")
        self.timeout = timeout
        self.task = task
        self.stopped_by = stopped_by


class WaitTimeout(ProcessionError, TimeoutError, builtins.TimeoutError):
    """Of `total` things that were waited for, `not_done` were not done in time."""

    def __init__(self, not_done: int, total: int) -> None:
        super().__init__(f"{not_done} of {total} were not done in time")
        self.not_done = not_done
        self.total = total


class TaskStopped(BaseException):
    """Raised inside a pool's task that is to end; `reason` is "timeout" or "cancelled".

    It is no Exception, so that ``except Exception`` in the task does not keep it alive. A task may clean up on it, and should
    let it pass.
    """

    def __init__(self, reason: str = "cancelled") -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return "its time limit has passed" if self.reason == "timeout" else f"it was {self.reason}"


class DispatchDeadlock(ProcessionError, RuntimeError):
    """A block that runs on a dispatch queue was about to wait for one that could not begin before itself has ended.

    `queue` is the name of the queue on which it would have waited, `chain` those of the queues of the blocks that wait for each
    other, the one that was refused last.
    """

    def __init__(self, queue: str, chain: tuple[str, ...] = ()) -> None:
        super().__init__(f"the block would wait for itself on the queue {queue!r}: {' waits for '.join(map(repr, chain))}")
        self.queue = queue
        self.chain = chain


def _end_of(exitcode: int | None) -> str:
    if exitcode is None:
        return "ended, and nobody knows how"
    if exitcode >= 0:
        return f"ended with exit code {exitcode}"
    import signal

    try:
        return f"was killed by {signal.Signals(-exitcode).name}"
    except ValueError:
        return f"was killed by signal {-exitcode}"


class ProcessDied(ProcessionError):
    """A child of a scope ended before its function had returned or raised anything.

    `name` is the child's, `pid` its process's, `exitcode` as `Process.exitcode`: -N if signal N killed it.
    """

    def __init__(self, name: str, pid: int | None = None, exitcode: int | None = None) -> None:
        who = name if pid is None else f"{name} (pid {pid})"
        super().__init__(f"{who} {_end_of(exitcode)}")
        self.name = name
        self.pid = pid
        self.exitcode = exitcode


class ProcessTimeout(ProcessionError, TimeoutError, builtins.TimeoutError):
    """A child of a scope had not ended within its own time limit, `timeout` seconds, and was ended. `name`, `pid` and
    `exitcode` are as those of `ProcessDied`."""

    def __init__(self, name: str, timeout: float, pid: int | None = None, exitcode: int | None = None) -> None:
        who = name if pid is None else f"{name} (pid {pid})"
        super().__init__(f"{who} had not ended within {timeout:g} s, and was ended")
        self.name = name
        self.timeout = timeout
        self.pid = pid
        self.exitcode = exitcode


class ScopeTimeout(ProcessionError, TimeoutError, builtins.TimeoutError):
    """A scope was not over within its time limit, `timeout` seconds. `scope` is its name, `unfinished` has the names of those
    of its children and tasks that had not ended then."""

    def __init__(self, scope: str, timeout: float, unfinished: tuple[str, ...] = ()) -> None:
        what = f"these had not ended: {', '.join(unfinished)}" if unfinished else "its block was still running"
        super().__init__(f"{scope} was not over within {timeout:g} s; {what}")
        self.scope = scope
        self.timeout = timeout
        self.unfinished = unfinished


class ScopeEnded(ProcessionError, RuntimeError):
    """A scope that is being ended, or is over, takes on nothing more; or an inner scope was ended by an outer one. `scope` is
    the name of the scope that was ended first, `reason` says why."""

    def __init__(self, scope: str, reason: str) -> None:
        super().__init__(f"{scope} takes on nothing more: {reason}")
        self.scope = scope
        self.reason = reason
        self._scope: tuple[int, int] | None = None  # which it is: its process's pid, its number there


class RestartLimit(ProcessionError):
    """The children of a supervisor had to be restarted more than `intensity` times within `period` seconds. `supervisor` is its
    name, `child` that of the last one to end, `restarts` how often that had been restarted. What it ended with is the cause."""

    def __init__(self, supervisor: str, child: str, intensity: int, period: float, restarts: int = 0) -> None:
        super().__init__(
            f"{supervisor} gave up when {child} ended once more: that would be more than "
            f"{intensity} {'restart' if intensity == 1 else 'restarts'} within {period:g} s"
        )
        self.supervisor = supervisor
        self.child = child
        self.intensity = intensity
        self.period = period
        self.restarts = restarts


class InternalError(ProcessionError, AssertionError):
    """A bug in procession itself. Please report it with the traceback."""


#: They derive from what `concurrent.futures` raises, which takes long to import: made when they are asked for.
_OF_POOLS = ("InitializerFailed", "WorkerDied")


def __getattr__(name: str) -> object:
    if name not in _OF_POOLS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from procession.pool import failures

    value = globals()[name] = getattr(failures, name)
    return value
