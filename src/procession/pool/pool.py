"""Pool, with the interface of `multiprocessing.pool.Pool`."""

from __future__ import annotations

import itertools
import warnings
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from procession.core.counts import count_of
from procession.pool import atexit, dropping, tokens
from procession.pool import progress as bars
from procession.pool.contexts import context_of
from procession.pool.engine import Engine
from procession.pool.face import Face
from procession.pool.messages import Shape
from procession.pool.options import PLAIN
from procession.pool.results import AsyncResult, Callback, IMapIterator, MapResult, error_of
from procession.pool.settings import Settings
from procession.pool.streams import AHEAD, Stream

__all__ = ["CLOSE", "INIT", "RUN", "TERMINATE", "Pool"]

INIT, RUN, CLOSE, TERMINATE = "INIT", "RUN", "CLOSE", "TERMINATE"

_numbers = itertools.count(1)

Function = Callable[..., Any]
Items = Iterable[Any]


class Pool(Face):
    """A pool of worker processes, as `multiprocessing.Pool`, in which every task ends.

    A worker that dies fails the task that it had in hand, and no other: WorkerDied, or another attempt
    (``with_options(retries=)``); with an explicit `chunksize` the chunk is the task. A callback that raises is reported and
    harms nothing. Left to itself (chunksize None), `map` finds out how many items to hand over at a time. Iterables without a
    length are read only as far ahead as the workers need.

    All workers are started at once, and stay. Keyword-only additions as in `ProcessPoolExecutor`. Threads may share it; in a
    forked child it cannot be used.
    """

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Items = (),
        maxtasksperchild: int | None = None,
        context: Any = None,
        *,
        max_memory_per_child: int | None = None,
        max_age_per_child: float | None = None,
        exit_function: Function | None = None,
        exit_args: Items = (),
        threads_per_worker: int | None = None,
    ) -> None:
        self._states = [INIT]  # (one for all views)
        if processes is None:
            processes = tokens.default_workers()
        if (processes := count_of(processes, "processes")) < 1:
            raise ValueError("Number of processes must be at least 1")
        if maxtasksperchild is not None and (not isinstance(maxtasksperchild, int) or maxtasksperchild <= 0):
            raise ValueError("maxtasksperchild must be a positive int or None")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if exit_function is not None and not callable(exit_function):
            raise TypeError(f"exit_function must be a callable; got {exit_function!r}")
        self._processes = processes
        self._ctx = context_of(context)
        settings = Settings(
            workers=processes, initializer=initializer, initargs=tuple(initargs), max_tasks=maxtasksperchild,
            max_memory=max_memory_per_child, max_age=max_age_per_child, exit_function=exit_function,
            exit_args=tuple(exit_args), threads=threads_per_worker,
            eager=True, daemon=True, name=f"Pool-{next(_numbers)}-worker",
        )  # fmt: skip
        self._engine = Engine(settings, self._ctx)
        self._engine.start_all()
        self._finalizer = weakref.finalize(self, dropping.drop_pool, self._engine, "terminate")
        self._finalizer.atexit = False
        atexit.register(self._engine, 0.0)
        self._state = RUN

    @property
    def _state(self) -> str:
        return self._states[0]

    @_state.setter
    def _state(self, state: str) -> None:
        self._states[0] = state

    # --- one task ---

    def apply(self, func: Function, args: Items = (), kwds: Mapping[str, Any] = {}) -> Any:
        """``func(*args, **kwds)``, in a worker; waits for it."""
        return self.apply_async(func, args, kwds).get()

    def apply_async(
        self, func: Function, args: Items = (), kwds: Mapping[str, Any] = {}, callback: Callback | None = None,
        error_callback: Callback | None = None,
    ) -> AsyncResult:  # fmt: skip
        """The same, not waiting. What cannot be pickled is raised by `get`. The callback runs in a thread of ours, before
        `get` returns."""
        self._check_running()
        result = AsyncResult()
        result._start(self._engine, callback, error_callback)
        try:
            result.prepare(self._engine.functions, func, Shape.CALL, (tuple(args), dict(kwds)), self._options)
        except Exception as error:
            result.fail(error)
            return result
        self._engine.submit(result)
        return result

    # --- many ---

    def map(self, func: Function, iterable: Items, chunksize: int | None = None, *, progress: Any = None) -> list[Any]:
        """``[func(x) for x in iterable]``, by the workers; waits for it. `progress`: True draws a bar (rich), a function is
        called with (items done, how many there are)."""
        return self.map_async(func, iterable, chunksize, progress=progress).get()  # type: ignore[no-any-return]

    def starmap(
        self, func: Function, iterable: Iterable[Items], chunksize: int | None = None, *, progress: Any = None
    ) -> list[Any]:
        """``[func(*x) for x in iterable]``; see `map`."""
        return self.starmap_async(func, iterable, chunksize, progress=progress).get()  # type: ignore[no-any-return]

    def map_async(
        self, func: Function, iterable: Items, chunksize: int | None = None, callback: Callback | None = None,
        error_callback: Callback | None = None, *, progress: Any = None,
    ) -> MapResult:  # fmt: skip
        """`map`, not waiting."""
        return self._map_async(func, iterable, False, chunksize, callback, error_callback, progress)

    def starmap_async(
        self, func: Function, iterable: Iterable[Items], chunksize: int | None = None, callback: Callback | None = None,
        error_callback: Callback | None = None, *, progress: Any = None,
    ) -> MapResult:  # fmt: skip
        """`starmap`, not waiting."""
        return self._map_async(func, iterable, True, chunksize, callback, error_callback, progress)

    def _map_async(
        self, func: Function, iterable: Items, star: bool, chunksize: int | None, callback: Callback | None,
        error_callback: Callback | None, progress: Any,
    ) -> MapResult:  # fmt: skip
        self._check_running()
        if not hasattr(iterable, "__len__"):
            iterable = list(iterable)
        if chunksize is None and self._options is not PLAIN:
            chunksize = 1  # (they hold for each item, not for as many as we should gather)
        size = None if chunksize is None else max(count_of(chunksize, "chunksize"), 1)
        sized: Any = iterable
        stream = self._stream(func, iterable, star, size, True, len(sized), None, progress)
        result = MapResult(stream, self._engine, callback, error_callback)
        stream.feed()
        return result

    def imap(self, func: Function, iterable: Items, chunksize: int = 1, *, progress: Any = None) -> IMapIterator:
        """An iterator over the results, in order, each as soon as it is there."""
        return self._imap(func, iterable, chunksize, True, progress)

    def imap_unordered(self, func: Function, iterable: Items, chunksize: int = 1, *, progress: Any = None) -> IMapIterator:
        """An iterator over the results, in the order in which they come."""
        return self._imap(func, iterable, chunksize, False, progress)

    def _imap(self, func: Function, iterable: Items, chunksize: int, ordered: bool, progress: Any) -> IMapIterator:
        self._check_running()
        if (chunksize := count_of(chunksize, "chunksize")) < 1:
            raise ValueError(f"Chunksize must be 1+, not {chunksize:n}")
        sized: Any = iterable
        length = len(sized) if hasattr(iterable, "__len__") else None
        ahead = None if length is not None else AHEAD * self._processes * chunksize
        stream = self._stream(func, iterable, False, chunksize, ordered, length, ahead, progress)
        if length is None:
            stream.feed_by_thread()
        else:
            stream.feed()
        return IMapIterator(stream)

    def _stream(
        self, func: Function, iterable: Items, star: bool, size: int | None, ordered: bool, length: int | None,
        ahead: int | None, progress: Any,
    ) -> Stream:  # fmt: skip
        bar = None if progress is None else bars.make(progress, length)
        return Stream(
            self._engine, func, iterable, star=star, size=size, ordered=ordered, options=self._options, error_of=error_of,
            length=length, ahead=ahead, progress=bar,
        )  # fmt: skip

    # --- workers ---

    @property
    def _pool(self) -> list[Any]:
        return list(self._engine.crew.processes.values())

    def _repopulate_pool(self) -> None:
        with self._engine.lock:
            self._engine.crew.ensure(0)

    def resize(self, processes: int) -> None:
        """From now on there are so many workers. Those beyond leave after the task that they have. Does not block."""
        if processes < 1:
            raise ValueError("Number of processes must be at least 1")
        self._engine.resize(processes)
        self._processes = processes

    # --- the end ---

    def close(self) -> None:
        """Take on nothing more. Does not block; the workers leave when all is done."""
        if self._state == RUN:
            self._state = CLOSE
        self._engine.close()

    def terminate(self) -> None:
        """End the workers: SIGTERM, and SIGKILL after a while. What was not done ends with CancelledError. Waits until they
        are gone."""
        self._state = TERMINATE
        self._engine.end("terminate", None)
        self._engine.join(4 * self._engine.grace + 1)

    def join(self) -> None:
        """Wait until the workers have left. Raises ValueError before `close` or `terminate`."""
        if self._state == RUN:
            raise ValueError("Pool is still running")
        if self._state not in (CLOSE, TERMINATE):
            raise ValueError("In unknown state")
        self._engine.join()

    def _check_running(self) -> None:
        if self._state != RUN:
            raise ValueError("Pool not running")
        self._engine.check_open()

    def __enter__(self) -> Pool:
        self._check_running()
        return self

    def __exit__(self, *error: object) -> None:
        self.terminate()

    def __reduce__(self) -> Any:
        raise NotImplementedError("pool objects cannot be passed between processes or pickled")

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__qualname__} state={self._state} pool_size={len(self._pool)}>"

    def __del__(self, _warn: Any = warnings.warn, RUN: str = RUN) -> None:
        if self.__dict__.get("_states") == [RUN] and self.__dict__.get("_origin") is None:
            _warn(f"unclosed running multiprocessing pool {self!r}", ResourceWarning, source=self)


