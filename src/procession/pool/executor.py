"""ProcessPoolExecutor."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

from procession.core.counts import count_of
from procession.pool import atexit, dropping, tokens
from procession.pool.contexts import context_of
from procession.pool.engine import Engine
from procession.pool.face import Face
from procession.pool.future import Future
from procession.pool.messages import Shape
from procession.pool.settings import Settings

if TYPE_CHECKING:
    from procession.pool.mapping import Results

__all__ = ["ProcessPoolExecutor"]


class ProcessPoolExecutor(Face, Executor):
    """A pool of worker processes, as `concurrent.futures.ProcessPoolExecutor`, in which every task ends.

    A worker that dies fails the task that it had in hand, and no other: WorkerDied, or another attempt
    (``with_options(retries=)``). What cannot be pickled, in either direction, is that task's error. Functions may be lambdas
    and closures; they go to each worker once. Arguments are written down by `submit`, in the caller: what is changed
    afterwards does not change the task.

    max_workers
        Processes at most; by default as many as there are processors for us, in a worker of another pool its share of them.
    mp_context, initializer, initargs, max_tasks_per_child
        As in the standard library. The default context is procession's, with its start method.
    max_memory_per_child, max_age_per_child
        A worker with more bytes in memory, or older than so many seconds, is relieved after its task, its successor up first.
    idle_timeout
        Workers leave when there was nothing to do for so many seconds; the next task starts others. None: they stay.
    exit_function, exit_args
        Called in each worker that leaves in order; `exit_results` has what it returned.
    threads_per_worker
        Of BLAS and OpenMP; by default the processors divided by the workers. What the environment says already is left alone.
    exit_timeout
        Seconds that tasks which still run when the interpreter exits are given before they are ended, with a report.

    Making it neither blocks nor starts anything. Threads may share it; in a forked child it cannot be used.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: Any = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        max_tasks_per_child: int | None = None,
        max_memory_per_child: int | None = None,
        max_age_per_child: float | None = None,
        idle_timeout: float | None = None,
        exit_function: Callable[..., Any] | None = None,
        exit_args: tuple[Any, ...] = (),
        threads_per_worker: int | None = None,
        exit_timeout: float | None = atexit.PATIENCE,
    ) -> None:
        if max_workers is None:
            max_workers = tokens.default_workers()
        elif (max_workers := count_of(max_workers, "max_workers")) <= 0:
            raise ValueError("max_workers must be greater than 0")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if exit_function is not None and not callable(exit_function):
            raise TypeError(f"exit_function must be a callable; got {exit_function!r}")
        self._mp_context = context_of(mp_context)
        self._max_workers = max_workers
        _check_tasks_per_child(max_tasks_per_child, self._mp_context)
        settings = Settings(
            workers=max_workers, initializer=initializer, initargs=tuple(initargs), max_tasks=max_tasks_per_child,
            max_memory=max_memory_per_child, max_age=max_age_per_child, idle_timeout=idle_timeout, exit_function=exit_function,
            exit_args=tuple(exit_args), threads=threads_per_worker, name="ProcessPoolExecutor-worker",
        )  # fmt: skip
        self._engine = Engine(settings, self._mp_context)
        self._finalizer = weakref.finalize(self, dropping.drop_pool, self._engine, "close")
        self._finalizer.atexit = False
        atexit.register(self._engine, exit_timeout)

    # --- tasks ---

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        """Have ``fn(*args, **kwargs)`` called by a worker; its Future. Does not block.

        Raises RuntimeError after `shutdown`, BrokenProcessPool if no worker can be had (its initializer fails); what cannot
        be pickled is raised by the future.
        """
        engine = self._engine
        if engine.closing:
            engine.check_open()
        future = Future(engine)
        try:
            future.prepare(engine.functions, fn, Shape.CALL, (args, kwargs), self._options)
        except Exception as error:
            future.set_exception(error)
            return future
        engine.submit(future)
        return future

    def map(
        self, fn: Callable[..., Any], *iterables: Iterable[Any], timeout: float | None = None, chunksize: int = 1,
        buffersize: int | None = None, progress: Any = None,
    ) -> Results:  # fmt: skip
        """The results of ``fn`` for the items of the iterables, in their order, as `concurrent.futures.Executor.map` (3.14)
        has it.

        What has a length is submitted as workers get through it, without waiting for who iterates; of other iterables only so
        much is read as the workers need, and what nobody has fetched is bounded by it (`buffersize` says how many items).
        What an iterable raises is raised where its item would have come. `progress`: True draws a bar (rich, extra
        `progress`), a function is called with (items done, how many there are or None).
        """
        from procession.pool.mapping import executor_map

        return executor_map(self._engine, fn, iterables, timeout, chunksize, buffersize, progress, self._options)

    # --- workers ---

    @property
    def _executor_manager_thread(self) -> Any:
        """(For people who wait for the threads of the standard library's: what is joined here is the pool's end.)"""
        return _Joinable(self._engine)

    _call_queue = _executor_manager_thread

    @property
    def _processes(self) -> dict[Any, Any]:
        return self._engine.crew.processes

    @property
    def _broken(self) -> Any:
        return self._engine.broken or False

    def resize(self, max_workers: int) -> None:
        """From now on there are at most so many workers. Those beyond leave after the task that they have. Does not block."""
        if (max_workers := count_of(max_workers, "max_workers")) <= 0:
            raise ValueError(f"max_workers must be greater than 0; got {max_workers}")
        self._engine.resize(max_workers)
        self._max_workers = max_workers

    # --- the end ---

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take on nothing more; `wait` for what was taken on and for the workers to leave. `cancel_futures`: what waits is
        cancelled, what runs is waited for. May be called again. Ctrl-C interrupts the wait."""
        self._engine.close(cancel=cancel_futures)
        if wait:
            self._engine.join()

    def terminate_workers(self) -> None:
        """End the pool: SIGTERM to its workers, SIGKILL to what is left after a while. All tasks end, with BrokenProcessPool.
        Does not block."""
        self._end("terminate")

    def kill_workers(self) -> None:
        """End the pool: SIGKILL to its workers. All tasks end, with BrokenProcessPool. Does not block."""
        self._end("kill")

    def _end(self, how: str) -> None:
        from concurrent.futures.process import BrokenProcessPool

        self._engine.end(how, BrokenProcessPool(f"the pool was ended by {how}_workers()"))

    def __exit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        """Wait for all tasks; after a KeyboardInterrupt or SystemExit end them instead."""
        if exc_type is not None and not issubclass(exc_type, Exception):
            self._engine.end("kill", None)
        self.shutdown(wait=True)


class _Joinable:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def join(self, timeout: float | None = None) -> None:
        self._engine.join(timeout)

    join_thread = join


def _check_tasks_per_child(number: Any, context: Any) -> None:
    if number is None:
        return
    if not isinstance(number, int):
        raise TypeError("max_tasks_per_child must be an integer")
    if number <= 0:
        raise ValueError("max_tasks_per_child must be >= 1")
    if context.get_start_method(allow_none=False) == "fork":
        raise ValueError(
            "max_tasks_per_child is incompatible with the 'fork' multiprocessing start method; supply a different mp_context."
        )


