"""How tasks end otherwise than by themselves, as errors."""

from __future__ import annotations

import copy
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING

from procession.core import codec
from procession.errors import TaskTimeout, UnpicklableError

if TYPE_CHECKING:
    from procession.pool.member import Member
    from procession.pool.task import Task

__all__ = [
    "cancelled", "copy_of", "death", "ended_early", "hopeless", "initializer_failed", "loaded", "name_of", "not_started",
    "timed_out",
]  # fmt: skip


def name_of(task: Task) -> str | None:
    """What people call the task: the name it was given, or its function's."""
    if task.options.name is not None:
        return task.options.name
    return task.called()


def death(member: Member, task: Task | None) -> BaseException:
    """The worker died with that task in its hands."""
    from procession.pool import obituary
    from procession.pool.failures import WorkerDied

    attempts = task.extra.attempts if task is not None and task.extra is not None else 1
    facts = obituary.describe(member.pid or 0, member.exitcode, member.peak_kib, member.oom_kills, member.stack)
    return WorkerDied.of(facts, None if task is None else name_of(task), attempts)


def initializer_failed(payload: tuple[bytes | None, str, str]) -> BaseException:
    """The initializer raised."""
    from procession.pool.failures import InitializerFailed

    error = InitializerFailed(payload[1])
    error.__cause__ = loaded(payload)
    return error


def hopeless(member: Member, times: int) -> BaseException:
    """Workers die before they do anything."""
    from procession.pool.failures import InitializerFailed

    return InitializerFailed(f"{times} workers died one after another before they could do anything; {death(member, None)}")


def not_started(error: Exception) -> BaseException:
    """There is no worker, and none can be started."""
    from procession.pool.failures import InitializerFailed

    failed = InitializerFailed(f"no worker can be started: {type(error).__name__}: {error}")
    failed.__cause__ = error
    return failed


def loaded(payload: tuple[bytes | None, str, str], remote: type[Exception] | None = None) -> BaseException:
    """The exception that a task raised, with its remote traceback as its cause. Runs the user's code (unpickling). `remote`:
    the class of the cause, by default that of `concurrent.futures`."""
    if remote is None:
        from concurrent.futures import process

        remote = process._RemoteTraceback
    pickle, text, trace = payload
    try:
        error = codec.loads(pickle, None) if pickle is not None else UnpicklableError("task", "exception", text)
        if not isinstance(error, BaseException):
            raise TypeError(f"what the task raised was unpickled as {type(error).__name__}, which is no exception")
    except BaseException as reason:
        error = reason
    error.__cause__ = remote(f'\n"""\n{trace}"""' if remote.__name__ == "_RemoteTraceback" else trace)
    return error


def timed_out(task: Task) -> BaseException:
    """It ran longer than it may."""
    extra = task.more()
    return TaskTimeout(extra.options.timeout or 0.0, name_of(task), extra.step or "exception")


def ended_early() -> BaseException:
    """The pool was ended while the task ran."""
    return CancelledError("the pool was terminated")


def cancelled() -> BaseException:
    """Somebody wanted it no more."""
    return CancelledError()


def copy_of(error: BaseException) -> BaseException:
    """One for each who gets it: a traceback belongs to one raise."""
    try:
        twin = copy.copy(error)
    except Exception:
        return error
    twin.__cause__ = error.__cause__
    return twin
