"""Pools of processes: `ProcessPoolExecutor` and `Pool`, two faces of one engine. Stands for `multiprocessing.pool`, too.

    executor.py, pool.py      the faces: what users call          future.py, results.py, streams.py   what they get back
    engine.py                 where tasks and workers meet
    backlog.py                tasks that wait                     stopping.py   time limits, and how a task is stopped
    crew.py                   the workers, seen from the pool     worker.py     the worker, from within
    functions.py              functions, sent once                messages.py   what travels

The rest are small things on their own: options, settings, sizing (of batches), verdicts (how tasks fail), obituary (why a
worker died), callers (threads for users' callbacks), relay (logging), caps and tokens (processors), progress, limits
(memory), atexit, reusable.
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
