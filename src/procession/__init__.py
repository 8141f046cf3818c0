"""Processes for Linux that leave nothing behind. A superset of `multiprocessing`: ``import procession as multiprocessing``.

The floors; each imports only from those below it:

    8  cli        the `procession` command: run, ps, tree
    7  observe    reads the process table and /proc; never writes
    7  testing    leak guard, saboteurs: what procession is tested with
    6  compat     install(): stand in for `multiprocessing`
    5  dispatch   DispatchQueue, DispatchGroup: serial and concurrent queues, submitted to with sync and async_
    5  scopes     scope, supervisor: processes and tasks that are over with a block
    4  pool       ProcessPoolExecutor, Pool: workers and their tasks
    3  share      Pipe, Queue, JoinableQueue, SimpleQueue, Value, Array, SharedMemory, arrays, SharedDict, SharedList, Manager
    3  sync       Lock, RLock, semaphores, Condition, Event, Barrier, RWLock
    2  process    Process, its life cycle, zygote, reaper, family
    1  core       pickling, the child's __main__, processors, fork hooks
    0  _native    commons, process table, arena, clone, pidfd, reaper thread (C, in native/)

"""

from __future__ import annotations

import sys as _sys

if not _sys.platform.startswith("linux"):
    raise ImportError(f"procession needs Linux 5.10 or later (pidfds, memfds, process events); this is {_sys.platform}")

TYPE_CHECKING = False  # (to import it from typing would take longer than the rest of this file)
if TYPE_CHECKING:
    from multiprocessing import reducer

    from procession import connection, pool
    from procession.core.cpus import cpu_count
    from procession.dispatch.group import DispatchGroup
    from procession.dispatch.home import global_queue
    from procession.dispatch.queue import DispatchQueue
    from procession.errors import (
        AuthenticationError,
        BufferTooShort,
        Closed,
        ClosedError,
        DispatchDeadlock,
        FamilyError,
        InitializerFailed,
        InternalError,
        OwnerDied,
        OwnerDiedWarning,
        ProcessDied,
        ProcessError,
        ProcessionError,
        ProcessStateError,
        ProcessTimeout,
        RestartLimit,
        ScopeEnded,
        ScopeTimeout,
        StartError,
        StartMethodError,
        TaskStopped,
        TaskTimeout,
        TimeoutError,
        UnpicklableError,
        WaitTimeout,
        WorkerDied,
    )
    from procession.pool.executor import ProcessPoolExecutor
    from procession.pool.reusable import get_reusable_executor
    from procession.pool.worker import current_worker
    from procession.process.completion import as_completed, wait_async
    from procession.process.context import default_context as _context
    from procession.process.process import Process, Times, active_children, current_process, parent_process
    from procession.process.waiting import ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION, DoneAndNotDone, wait
    from procession.scopes.scope import scope
    from procession.scopes.supervisor import supervisor
    from procession.share import managers, queues, shared_memory, sharedctypes
    from procession.share.arrays import asarray as asarray
    from procession.share.arrays import empty as empty
    from procession.share.arrays import full as full
    from procession.share.arrays import zeros as zeros
    from procession.share.mapping import SharedDict
    from procession.share.sequence import SharedList
    from procession.share.usage import memory_use
    from procession.sync.several import acquire_all

    Array, Barrier, BoundedSemaphore = _context.Array, _context.Barrier, _context.BoundedSemaphore
    Condition, Event, JoinableQueue, Lock = _context.Condition, _context.Event, _context.JoinableQueue, _context.Lock
    Manager, Pipe, Pool, Queue, RLock = _context.Manager, _context.Pipe, _context.Pool, _context.Queue, _context.RLock
    RawArray, RawValue, RWLock, Semaphore = _context.RawArray, _context.RawValue, _context.RWLock, _context.Semaphore
    SimpleQueue, Value = _context.SimpleQueue, _context.Value
    allow_connection_pickling, freeze_support = _context.allow_connection_pickling, _context.freeze_support
    get_all_start_methods, get_context = _context.get_all_start_methods, _context.get_context
    get_logger, get_start_method, log_to_stderr = _context.get_logger, _context.get_start_method, _context.log_to_stderr
    set_executable, set_start_method = _context.set_executable, _context.set_start_method
    set_forkserver_preload = _context.set_forkserver_preload

__version__ = "0.1.0"

__all__ = [
    "ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION", "Array", "AuthenticationError", "Barrier", "BoundedSemaphore",
    "BufferTooShort", "Closed", "ClosedError", "Condition", "DispatchDeadlock", "DispatchGroup", "DispatchQueue",
    "DoneAndNotDone", "Event", "FamilyError", "InitializerFailed", "InternalError", "JoinableQueue", "Lock", "Manager",
    "OwnerDied", "OwnerDiedWarning", "Pipe", "Pool", "Process", "ProcessDied", "ProcessError", "ProcessPoolExecutor",
    "ProcessStateError", "ProcessTimeout", "ProcessionError", "Queue", "RLock", "RWLock", "RawArray", "RawValue",
    "RestartLimit", "ScopeEnded", "ScopeTimeout", "Semaphore", "SharedDict", "SharedList", "SimpleQueue", "StartError",
    "StartMethodError", "TaskStopped", "TaskTimeout", "TimeoutError", "Times", "UnpicklableError", "Value", "WaitTimeout",
    "WorkerDied", "acquire_all", "active_children", "allow_connection_pickling", "as_completed", "connection", "cpu_count",
    "current_process", "current_worker", "freeze_support", "get_all_start_methods", "get_context", "get_logger",
    "get_reusable_executor", "get_start_method", "global_queue", "log_to_stderr", "managers", "memory_use", "parent_process",
    "pool", "queues", "reducer", "scope", "set_executable", "set_forkserver_preload", "set_start_method", "shared_memory",
    "sharedctypes", "supervisor", "wait", "wait_async",
]  # fmt: skip
#: They need numpy, so that `from procession import *` does without them.
_ARRAYS = ("asarray", "empty", "full", "zeros")

#: Where a public name lives; what is not listed is bound to the default context. Nothing is imported before it is used, so that
#: `procession run`, which uses little, starts fast.
_HOMES = {
    "multiprocessing": ("reducer",),
    "procession.core.cpus": ("cpu_count",),
    "procession.errors": (
        "BufferTooShort", "Closed", "DispatchDeadlock", "InitializerFailed", "OwnerDied", "OwnerDiedWarning", "ProcessDied",
        "ProcessTimeout", "RestartLimit", "ScopeEnded", "ScopeTimeout", "TaskStopped", "TaskTimeout", "WaitTimeout",
        "WorkerDied",
        *(_name for _name in __all__ if _name.endswith("Error")),
    ),
    "procession.dispatch.group": ("DispatchGroup",),
    "procession.dispatch.home": ("global_queue",),
    "procession.dispatch.queue": ("DispatchQueue",),
    "procession.pool.executor": ("ProcessPoolExecutor",),
    "procession.pool.reusable": ("get_reusable_executor",),
    "procession.pool.worker": ("current_worker",),
    "procession.process.process": ("Process", "Times", "active_children", "current_process", "parent_process"),
    "procession": ("connection", "managers", "pool", "queues", "shared_memory", "sharedctypes"),
    "procession.share.arrays": _ARRAYS,
    "procession.scopes.scope": ("scope",),
    "procession.scopes.supervisor": ("supervisor",),
    "procession.share.usage": ("memory_use",),
    "procession.share.mapping": ("SharedDict",),
    "procession.share.sequence": ("SharedList",),
    "procession.sync.several": ("acquire_all",),
    "procession.process.completion": ("as_completed", "wait_async"),
    "procession.process.waiting": ("ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION", "DoneAndNotDone", "wait"),
}
#: Those that are modules.
_MODULES = ("connection", "managers", "pool", "queues", "shared_memory", "sharedctypes")


def __getattr__(name: str) -> object:
    if name not in __all__ and name not in _ARRAYS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    home = next((home for home, names in _HOMES.items() if name in names), None)
    if home is None:
        value = getattr(import_module("procession.process.context").default_context, name)
    else:
        value = import_module(f"{home}.{name}") if name in _MODULES else getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ARRAYS})
