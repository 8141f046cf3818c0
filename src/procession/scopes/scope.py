"""`scope`: processes, tasks and queues that are over when a block is left."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from procession.scopes.core import Core
from procession.scopes.face import Face
from procession.scopes.handle import Handle
from procession.scopes.members import AdoptedQueue, AdoptedThing, Task, adopted
from procession.scopes.options import GRACE, PLAIN, ChildOptions, check_flag, check_name, check_seconds
from procession.scopes.pools import OwnPool
from procession.scopes.quiet import Quiet

if TYPE_CHECKING:
    from procession.dispatch.queue import DispatchQueue

__all__ = ["Scope", "View", "scope"]

P = ParamSpec("P")
T = TypeVar("T")

_numbers = itertools.count(1)
#: Options of children and tasks, and those of tasks alone.
_BOTH = ("name", "timeout", "shield", "grace")
_TASK = ("retries", "priority", "memory_limit")


def scope(
    timeout: float | None = None, *, grace: float = GRACE, name: str | None = None, shield: bool = False,
    pool: Executor | None = None, mp_context: Any = None,
) -> Scope:  # fmt: skip
    """A block in which processes and tasks are started, and after which all of them are over: ``with procession.scope() as
    s:``, or ``async with``.

    timeout
        Seconds from its opening on, after which all in it is ended; leaving it raises ScopeTimeout (a TimeoutError) then.
    grace
        Seconds between SIGTERM and SIGKILL for what is ended.
    name
        For people: in error messages.
    shield
        When an outer scope is ended, this one is let finish.
    pool
        An executor for `submit`; by default one of its own, made when it is needed. Yours is not shut down.
    mp_context
        The context of its processes; its start method. The default context is procession's.

    Raises TypeError and ValueError for what makes no sense. Starts nothing and does not block.
    """
    check_name(name)
    check_flag("shield", shield)
    check_seconds("timeout", timeout)
    check_seconds("grace", grace)
    if grace is None:
        raise ValueError("grace must be a number of seconds, 0 or more; got None")
    if pool is not None and not isinstance(pool, Executor):
        raise TypeError(f"pool must be an executor or None; got {pool!r}")
    return Scope(Core(f"scope {name or next(_numbers)}", grace, timeout, shield, mp_context), pool)


class View:
    """A scope's `start` and `submit` with some options (`Scope.with_options`)."""

    def __init__(self, scope: Scope, options: ChildOptions) -> None:
        self._scope = scope
        self._options = options

    def start(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Handle[T]:
        """As `Scope.start`. Raises TypeError for options of tasks alone."""
        if self._options.task:
            raise TypeError(f"{self._options.task[0][0]} is an option of tasks, not of processes: use submit")
        core = self._scope._core
        handle: Handle[T] = Handle(core, core.number(), (function, args, kwargs), self._options)
        core.start(handle)
        return handle

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As `Scope.submit`."""
        return self._scope._submit(self._options, function, args, kwargs)

    def with_options(self, **options: Any) -> View:
        """A view with more options."""
        return View(self._scope, self._options.changed((*_BOTH, *_TASK), **options))


class Scope(Face):
    """Made by `scope`. What is started in it is over when its block has been left.

    The first failure (a child or task that raises, a process that dies) ends all others: SIGTERM to their processes and what
    those started, SIGKILL after the grace. So does what the block itself raises. Leaving then raises an ExceptionGroup of all
    that has failed; what was ended because of it is not in it. KeyboardInterrupt, SystemExit and an event loop's cancellation
    of the block end all, too, and are raised alone.

    The block of a ``with`` is not interrupted: `start` and `submit` raise ScopeEnded from the first failure on,
    `procession.wait` takes the scope, `failing` and `cancelled` tell. The task of an ``async with`` is cancelled.

    A scope opened within the block of another, in the same thread or task, is ended with it: leaving it raises ScopeEnded,
    which the outer one takes (or, in the task of an ``async with``, the cancellation).

    Threads may share it within its block; whoever opened it leaves it. In a forked child it cannot be used.
    """

    def __init__(self, core: Core, pool: Executor | None) -> None:
        self._core = core
        self._pool = pool
        self._own: OwnPool | None = None

    def start(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Handle[T]:
        """Have ``function(*args, **kwargs)`` called in a process of its own; its handle, a future. An ``async def`` runs in an
        event loop there.

        Blocks as `Process.start` does: hardly. Raises ScopeEnded when the scope takes on nothing more, ProcessStateError when
        it is not open or is another process's, TypeError, UnpicklableError, StartError.
        """
        return View(self, PLAIN).start(function, *args, **kwargs)

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have it called by a worker of the scope's pool; its future. Does not block; raises as `start`."""
        return View(self, PLAIN).submit(function, *args, **kwargs)

    def with_options(self, **options: Any) -> View:
        """`start` and `submit` with options: `name`, `timeout` (seconds; then it alone is ended, and has failed), `shield` (it
        is let finish when the scope is ended), `grace`; for tasks also `retries`, `priority`, `memory_limit` (see
        `procession.pool.Options`)."""
        return View(self, PLAIN).with_options(**options)

    def adopt(self, thing: T, *, name: str | None = None, shield: bool = False, grace: float | None = None) -> T:
        """From now on `thing` is over with the scope; returns it. It may be a started Process (ended by SIGTERM and SIGKILL,
        and failed with another exit code than 0), a future (cancelled), a dispatch queue, or an object with ``close()``,
        ``cancel()`` and ``add_done_callback(function)``, as `procession.scopes.Adoptable` has them. Raises as `start`;
        TypeError for what is none of these, RuntimeError for a queue that is not yours to close."""
        check_name(name)
        check_flag("shield", shield)
        check_seconds("grace", grace)
        member = adopted(self._core, thing, name, shield, self._core.grace if grace is None else grace)
        self._take(member)
        return thing

    def queue(self, name: str, *args: Any, **options: Any) -> DispatchQueue:
        """A `DispatchQueue` (its arguments), done by the workers of the scope's pool unless `executor` or `target` says
        otherwise: closed when the block is left, and its blocks are waited for; when the scope is ended, they are stopped. What
        a block raises is its future's, and no failure of the scope."""
        from procession.dispatch.queue import DispatchQueue

        self._core.check_open()
        if options.get("target") is None:
            options.setdefault("executor", self._workers())
        return self.adopt(DispatchQueue(name, *args, **options))

    # --- inside ---

    def _take(self, member: Any) -> None:
        core = self._core
        try:
            core.enlist(member)
            member.watch()
        except BaseException:  # (a Ctrl-C, perhaps: nobody would see its end)
            core.gone(member)
            raise
        if core.why is not None:
            core.end_all()

    def _submit(self, options: ChildOptions, function: Any, args: Any, kwargs: Any) -> Future[Any]:
        if not callable(function):
            raise TypeError(f"what a task does must be callable, not {type(function).__name__}: {function!r}")
        if self._pool is not None:  # (yours may have us wait)
            return self._take_task(options, function, args, kwargs)
        with Quiet():  # (a Ctrl-C in here would leave a task that is nobody's, for which the workers stay)
            return self._take_task(options, function, args, kwargs)

    def _take_task(self, options: ChildOptions, function: Any, args: Any, kwargs: Any) -> Future[Any]:
        core = self._core
        core.check_open()
        name = options.name or getattr(function, "__name__", None) or type(function).__name__
        try:
            future: Future[Any] = self._executor(options).submit(function, *args, **kwargs)
        except RuntimeError:
            core.check_open()  # (else it was left just now, and its pool has gone home)
            raise
        try:
            self._take(Task(core, future, name, options.shield))
        except BaseException:
            future.cancel()
            raise
        return future

    def _executor(self, options: ChildOptions) -> Any:
        pool = self._workers()
        wanted = dict(options.task)
        wanted.update({"name": options.name} if options.name is not None else {})
        wanted.update({"timeout": options.timeout} if options.timeout is not None else {})
        if hasattr(pool, "with_options"):
            grace = self._core.grace if options.grace is None else options.grace
            return pool.with_options(**wanted, grace=grace)
        if wanted and set(wanted) != {"name"}:
            raise TypeError(f"{pool!r} knows no options")
        return pool

    def _workers(self) -> Any:
        """The pool, yours or its own."""
        if self._pool is not None:
            return self._pool
        if self._own is None:
            with Quiet(), self._core.lock:
                if self._own is None:
                    own = OwnPool(self._core)
                    self._core.enlist_last(own)
                    self._own = own
        return self._own.pool

    def _tidy(self, hurried: bool) -> None:
        if self._own is not None and not hurried:
            self._own.pool.shutdown(wait=True)  # (its workers have left, but callbacks of futures may run yet)
        super()._tidy(hurried)

    def _closing(self) -> None:
        for member in list(self._core.members):
            if isinstance(member, AdoptedQueue | AdoptedThing):
                member.close()
