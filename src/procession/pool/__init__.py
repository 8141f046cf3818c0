"""Pools of processes: `ProcessPoolExecutor` and `Pool`, two faces of one engine. Stands for `multiprocessing.pool`, too.

    executor.py, pool.py      the faces: what users call; face.py: what they share
    future.py, results.py     what they get back; mapping.py: an executor's map
    streams.py                the items of an iterable as tasks; piece.py, sources.py, sizing.py: of what, from where, how many
    engine.py                 where tasks and workers meet; backlog.py: tasks that wait; task.py: one of them
    collector.py              who reads what the workers say; shield.py: and is not interrupted in the middle
    crew.py, member.py        the workers, seen from the pool; worker.py: the worker, from within; messages.py: what travels
    lanes.py, laneset.py      lines of tasks that so many workers do at a time; block.py: one; service.py: a worker in a lane
    rings.py                  the queues in the commons through which all of that goes
    stopping.py, idleness.py  what time brings: time limits, how a task is stopped, workers that are not needed
    functions.py              functions, sent once

The rest are small things on their own: options, settings, contexts, verdicts (how tasks fail), failures, obituary (why a worker
died), relay (logging), caps and tokens (processors), limits (memory), progress and meter, atexit, forks, reusable.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Pool": "pool.pool", "INIT": "pool.pool", "RUN": "pool.pool", "CLOSE": "pool.pool", "TERMINATE": "pool.pool",
    "AsyncResult": "pool.results", "ApplyResult": "pool.results", "MapResult": "pool.results", "IMapIterator": "pool.results",
    "IMapUnorderedIterator": "pool.results",
    "ProcessPoolExecutor": "pool.executor", "Future": "pool.future", "Options": "pool.options",
    "WorkerInfo": "pool.worker", "current_worker": "pool.worker", "get_reusable_executor": "pool.reusable",
}  # fmt: skip
_ALIASES = {"ApplyResult": "AsyncResult", "IMapUnorderedIterator": "IMapIterator"}
#: Of the standard library, as they are.
_THEIRS = ("MaybeEncodingError", "RemoteTraceback", "ThreadPool")

__all__ = [*_HOMES, *_THEIRS]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f"procession.{_HOMES[name]}"), _ALIASES.get(name, name))
    elif name in _THEIRS:
        value = getattr(import_module("multiprocessing.pool"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value
