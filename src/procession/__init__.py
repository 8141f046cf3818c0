"""Processes for Linux that leave nothing behind. A superset of `multiprocessing`: ``import procession as multiprocessing``.

The floors; each imports only from those below it:

    8  cli        the `procession` command: run, ps, tree
    7  observe    reads the process table and /proc; never writes
    7  testing    leak guard, saboteurs: what procession is tested with
    6  compat     install(): stand in for `multiprocessing`
    2  process    Process, its life cycle, zygote, reaper, family
    1  core       pickling, the child's __main__, processors, fork hooks
    0  _native    commons, process table, arena, clone, pidfd, reaper thread (C, in native/)

Floors 3 to 5 (sync and share, pool, dispatch and aio) are being built; until then Lock, Queue, Pool, Manager and the rest are
the standard library's, on our processes.
"""

from __future__ import annotations

import sys as _sys

if not _sys.platform.startswith("linux"):
    raise ImportError(f"procession needs Linux 5.10 or later (pidfds, memfds, process events); this is {_sys.platform}")

from multiprocessing import reducer  # noqa: E402

from procession.core import forkhooks as _forkhooks  # noqa: E402
from procession.core.cpus import cpu_count  # noqa: E402
from procession.errors import (  # noqa: E402
    AuthenticationError,
    BufferTooShort,
    ClosedError,
    InternalError,
    ProcessError,
    ProcessionError,
    ProcessStateError,
    StartError,
    StartMethodError,
    TimeoutError,  # noqa: A004
    UnpicklableError,
)
from procession.process.context import default_context as _context  # noqa: E402
from procession.process.process import Process, Times, active_children, current_process, parent_process  # noqa: E402

_forkhooks.install()

#: What is the context's: each is bound to the default start method.
_FROM_CONTEXT = (
    "Array", "Barrier", "BoundedSemaphore", "Condition", "Event", "JoinableQueue", "Lock", "Manager", "Pipe", "Pool",
    "Queue", "RLock", "RawArray", "RawValue", "Semaphore", "SimpleQueue", "Value",
    "allow_connection_pickling", "freeze_support", "get_all_start_methods", "get_context", "get_logger",
    "get_start_method", "log_to_stderr", "set_executable", "set_forkserver_preload", "set_start_method",
)  # fmt: skip
globals().update((_name, getattr(_context, _name)) for _name in _FROM_CONTEXT)

_LAZY = {
    "wait": "procession.process.waiting",
    "DoneAndNotDone": "procession.process.waiting",
    "FIRST_COMPLETED": "procession.process.waiting",
    "FIRST_EXCEPTION": "procession.process.waiting",
    "ALL_COMPLETED": "procession.process.waiting",
}

__version__ = "0.1.0"

__all__ = [
    "ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION", "AuthenticationError", "BufferTooShort", "ClosedError",
    "DoneAndNotDone", "InternalError", "Process", "ProcessError", "ProcessStateError", "ProcessionError", "StartError",
    "StartMethodError", "TimeoutError", "Times", "UnpicklableError", "active_children", "cpu_count", "current_process",
    "parent_process", "reducer", "wait", *_FROM_CONTEXT,
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name in _LAZY:
        from importlib import import_module

        value = getattr(import_module(_LAZY[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
