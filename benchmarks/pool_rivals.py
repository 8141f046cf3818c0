"""Pools of two workers: each rival's ways to give tasks to a pool, under the same names.

What a rival has not is said by `lacks`, and left out. Each is used as its documentation says; where it takes a number of tasks
per message, the measuring code names it or leaves it at the default, as the question says.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.util import find_spec
from typing import Any

from rivals import OURS, OURS_EXECUTOR

__all__ = ["HEAVY", "LIGHT", "WORKERS", "Pooling", "make_pooling", "not_installed"]

WORKERS = 2
#: Rivals that run beside each other, and those with services of their own, which run alone.
LIGHT = (OURS, OURS_EXECUTOR, "mp_pool", "futures", "loky", "pebble", "mpire", "joblib")
HEAVY = ("ray", "dask")

_Function = Callable[[Any], Any]


class Pooling:
    """multiprocessing.Pool, with fork where that is the default; and what the others are derived from."""

    workers = WORKERS
    #: Of as many tasks as the fastest does in a sample, the part that this one is given.
    pace = 1.0
    #: The same where it gathers tasks into messages.
    batched_pace = 1.0
    #: Whether a map has to come before the first single task: after that no map works any more.
    map_first = False
    #: Ways to give tasks that it has not, and why.
    without: dict[str, str] = {}  # noqa: RUF012
    get: Any = operator.methodcaller("get")

    def __init__(self) -> None:
        self.pool: Any = None

    def lacks(self, what: str) -> str | None:
        """Why it cannot be measured at that; None if it can."""
        return self.without.get(what)

    def open(self) -> None:
        from multiprocessing import Pool

        self.pool = Pool(self.workers)

    def close(self) -> None:
        """In order, nothing being under way; the workers have ended after that."""
        self.pool.close()
        self.pool.join()
        self.pool = None

    def drop(self) -> None:
        """At once, whatever is under way."""
        self.pool.terminate()
        self.pool.join()
        self.pool = None

    def kind(self) -> str:
        """Where the pool's class comes from."""
        return type(self.pool).__module__

    def submit(self, function: _Function, *args: Any) -> Any:
        """One task; `get` of what comes back is its result."""
        return self.pool.apply_async(function, args)

    def get_within(self, ticket: Any, seconds: float) -> Any:
        """The same, with a time limit."""
        return ticket.get(seconds)

    def one_by_one(self, function: _Function, things: Sequence[Any]) -> Any:
        """map, a message per task."""
        return self.pool.map(function, things, 1)

    def lazily(self, function: _Function, things: Sequence[Any]) -> Iterable[Any]:
        """imap, a message per task."""
        return self.pool.imap(function, things, 1)

    def by_default(self, function: _Function, things: Sequence[Any]) -> Any:
        """map, without a word about how."""
        return self.pool.map(function, things)

    def in_chunks(self, function: _Function, things: Sequence[Any], size: int) -> Any:
        """map, with so many tasks per message."""
        return self.pool.map(function, things, size)

    def unordered(self, function: _Function, things: Sequence[Any]) -> Iterable[Any]:
        """Results as they come, without a word about how."""
        return self.pool.imap_unordered(function, things)


class Ours(Pooling):
    """procession.Pool."""

    def open(self) -> None:
        import procession

        self.pool = procession.Pool(self.workers)

    def lacks(self, what: str) -> str | None:
        import procession

        return super().lacks(what) if hasattr(procession, "Pool") else "not there yet"


class Futures(Pooling):
    """concurrent.futures. Its map gives results in order as they are asked for: it is lazy already. A task per message."""

    pace = 0.2
    without = {"lazily": "its map is lazy already"}  # noqa: RUF012
    get = operator.methodcaller("result")

    def open(self) -> None:
        from concurrent.futures import ProcessPoolExecutor

        self.pool = ProcessPoolExecutor(self.workers)

    def close(self) -> None:
        self.pool.shutdown(wait=True)
        self.pool = None

    def drop(self) -> None:
        for process in list((getattr(self.pool, "_processes", None) or {}).values()):
            process.kill()
        self.pool.shutdown(wait=True, cancel_futures=True)
        self.pool = None

    def submit(self, function: _Function, *args: Any) -> Any:
        return self.pool.submit(function, *args)

    def get_within(self, ticket: Any, seconds: float) -> Any:
        return ticket.result(seconds)

    def one_by_one(self, function: _Function, things: Sequence[Any]) -> Any:
        return list(self.pool.map(function, things))

    by_default = one_by_one

    def in_chunks(self, function: _Function, things: Sequence[Any], size: int) -> Any:
        return list(self.pool.map(function, things, chunksize=size))

    def unordered(self, function: _Function, things: Sequence[Any]) -> Iterator[Any]:
        from concurrent.futures import as_completed

        return (future.result() for future in as_completed([self.pool.submit(function, thing) for thing in things]))


class OursExecutor(Futures):
    """procession.ProcessPoolExecutor."""

    pace = 1.0

    def open(self) -> None:
        import procession

        self.pool = procession.ProcessPoolExecutor(self.workers)

    def drop(self) -> None:
        self.pool.shutdown(wait=False, cancel_futures=True)
        self.pool = None

    def lacks(self, what: str) -> str | None:
        import procession

        return super().lacks(what) if hasattr(procession, "ProcessPoolExecutor") else "not there yet"


class Loky(Futures):
    """Its executor, not the reusable one: that is what joblib measures."""

    pace = 0.1

    def open(self) -> None:
        from loky import ProcessPoolExecutor

        self.pool = ProcessPoolExecutor(self.workers)

    def drop(self) -> None:
        self.pool.shutdown(wait=True, kill_workers=True)
        self.pool = None

    def unordered(self, function: _Function, things: Sequence[Any]) -> Iterator[Any]:
        from loky import as_completed

        return (future.result() for future in as_completed([self.pool.submit(function, thing) for thing in things]))


class Pebble(Futures):
    """Futures that know which worker has them."""

    pace = 0.05

    def open(self) -> None:
        from pebble import ProcessPool

        self.pool = ProcessPool(max_workers=self.workers)

    def close(self) -> None:
        self.pool.close()
        self.pool.join()
        self.pool = None

    def drop(self) -> None:
        self.pool.stop()
        self.pool.join()
        self.pool = None

    def submit(self, function: _Function, *args: Any) -> Any:
        return self.pool.schedule(function, args=args)

    def one_by_one(self, function: _Function, things: Sequence[Any]) -> Any:
        return list(self.pool.map(function, things).result())

    by_default = one_by_one

    def in_chunks(self, function: _Function, things: Sequence[Any], size: int) -> Any:
        return list(self.pool.map(function, things, chunksize=size).result())

    def unordered(self, function: _Function, things: Sequence[Any]) -> Iterator[Any]:
        from concurrent.futures import as_completed

        return (future.result() for future in as_completed([self.submit(function, thing) for thing in things]))


class Mpire(Pooling):
    """Its default is to keep no workers; here they are kept."""

    pace = 0.2
    batched_pace = 0.1
    map_first = True
    without = {"unordered": "after a map the workers that it keeps fail at that"}  # noqa: RUF012

    def open(self) -> None:
        from mpire import WorkerPool

        self.pool = WorkerPool(self.workers, keep_alive=True)

    def close(self) -> None:
        self.pool.stop_and_join()
        self.pool = None

    def drop(self) -> None:
        self.pool.terminate()
        self.pool = None

    def one_by_one(self, function: _Function, things: Sequence[Any]) -> Any:
        return self.pool.map(function, things, chunk_size=1)

    def lazily(self, function: _Function, things: Sequence[Any]) -> Iterable[Any]:
        found: Iterable[Any] = self.pool.imap(function, things, chunk_size=1)
        return found

    def in_chunks(self, function: _Function, things: Sequence[Any], size: int) -> Any:
        return self.pool.map(function, things, chunk_size=size)


class Joblib(Pooling):
    """Parallel over loky's reusable executor, which stays between calls. It has no way to give one task and go on."""

    pace = 0.05
    batched_pace = 0.3
    without = {"lazily": "it has none without batches", "submit": "it has no submit"}  # noqa: RUF012

    def open(self) -> None:
        self.pool = True

    def close(self) -> None:
        self._end(kill_workers=False)

    def drop(self) -> None:
        self._end(kill_workers=True)

    def _end(self, kill_workers: bool) -> None:
        from joblib.externals.loky import get_reusable_executor

        get_reusable_executor(max_workers=self.workers).shutdown(wait=True, kill_workers=kill_workers)
        self.pool = None

    def kind(self) -> str:
        return "joblib"

    def _run(self, function: _Function, things: Iterable[Any], **how: Any) -> Any:
        from joblib import Parallel, delayed

        return Parallel(n_jobs=self.workers, **how)(delayed(function)(thing) for thing in things)

    def submit(self, function: _Function, *args: Any) -> Any:
        """Not measured where a task's latency is: a thread waits in its call."""
        from concurrent.futures import Future
        from threading import Thread

        future: Future[Any] = Future()

        def call() -> None:
            try:
                future.set_result(self._run(function, args, batch_size=1)[0])
            except BaseException as error:
                future.set_exception(error)

        Thread(target=call, daemon=True).start()
        return future

    get = operator.methodcaller("result")

    def get_within(self, ticket: Any, seconds: float) -> Any:
        return ticket.result(seconds)

    def one_by_one(self, function: _Function, things: Sequence[Any]) -> Any:
        return self._run(function, things, batch_size=1)

    def by_default(self, function: _Function, things: Sequence[Any]) -> Any:
        return self._run(function, things)

    def in_chunks(self, function: _Function, things: Sequence[Any], size: int) -> Any:
        return self._run(function, things, batch_size=size)

    def unordered(self, function: _Function, things: Sequence[Any]) -> Iterable[Any]:
        found: Iterable[Any] = self._run(function, things, return_as="generator_unordered")
        return found


_CLASSES: dict[str, type[Pooling]] = {
    OURS: Ours, OURS_EXECUTOR: OursExecutor, "mp_pool": Pooling, "futures": Futures, "loky": Loky, "pebble": Pebble,
    "mpire": Mpire, "joblib": Joblib,
}  # fmt: skip
_MODULES = {name: name for name in ("loky", "pebble", "mpire", "joblib", "ray")} | {"dask": "distributed"}


def not_installed(rival: str) -> str | None:
    """The module without which it is not there, if that is missing."""
    module = _MODULES.get(rival)
    return module if module and find_spec(module) is None else None


def make_pooling(rival: str) -> Pooling:
    """By its name in rivals.py. What it imports is imported now."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy's threads would be there in every worker, idle
    if rival in _MODULES:
        __import__(_MODULES[rival])
    if rival in HEAVY:
        import pool_heavy

        return {"ray": pool_heavy.Ray, "dask": pool_heavy.Dask}[rival]()
    return _CLASSES[rival]()
