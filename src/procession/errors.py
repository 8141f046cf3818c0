"""All that procession raises of its own.

    ProcessionError
    ├── ProcessStateError  (AssertionError)   start twice, join before start, join by a stranger
    ├── ClosedError        (ValueError)       use after close()
    ├── StartError         (OSError)          a process could not be made
    ├── UnpicklableError   (PicklingError, TypeError)  target or argument cannot be sent to the child
    ├── StartMethodError   (ValueError)       no such start method
    └── InternalError      (AssertionError)   a bug of ours: please report it

Each has the base class that `multiprocessing` raises in the same place, so existing handlers catch it; each pickles,
and carries its facts as attributes.
"""

from __future__ import annotations

import pickle
from multiprocessing import AuthenticationError, BufferTooShort, ProcessError, TimeoutError
from typing import Any

__all__ = [
    "AuthenticationError",
    "BufferTooShort",
    "ClosedError",
    "InternalError",
    "ProcessError",
    "ProcessStateError",
    "ProcessionError",
    "StartError",
    "StartMethodError",
    "TimeoutError",
    "UnpicklableError",
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


class InternalError(ProcessionError, AssertionError):
    """A bug in procession itself. Please report it with the traceback."""
