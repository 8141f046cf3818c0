"""A task: what a pool has been asked to do, from the asking to its end.

    waits (backlog) --dispatch--> held (in the ring, then in a worker's hands) --outcome--> ended
      |  ^                          |
      |  '---- its worker died, and it has retries left
      '--------- cancelled ---------'-----------------------------------------------------> ended
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from procession import _native
from procession.core.coroutines import is_coroutine_function
from procession.pool import messages
from procession.pool.functions import Functions
from procession.pool.options import PLAIN, Options

if TYPE_CHECKING:
    from procession.pool.lanes import Lane

__all__ = ["Task"]


class Task:
    """What the engine knows of a task. Subclasses say what its end means: futures, results of a Pool, pieces of a stream."""

    __slots__ = ("aux", "extra", "function", "job", "number")

    number: int  # 0 while it is not held
    aux: int
    job: Any  # _native.Packed, until it is dispatched for the last time
    function: Any  # kept: its key is good as long as it is there
    extra: Extra | None
    lane: Lane | None = None  # the one that it belongs to (those that can belong to one have a slot for it)
    barrier: bool = False  # in its lane

    def prepare(self, functions: Functions, function: Any, shape: messages.Shape, body: Any, options: Options) -> None:
        """Write the task down, in the caller's thread. Raises what pickling raises, and TypeError for what cannot be
        called."""
        self.number = 0
        self.extra = None
        if not callable(function):
            raise TypeError(f"a task's function must be callable, not {type(function).__name__}: {function!r}")
        key = functions.key_of(function)
        if key:
            self.aux, self.function = messages.work(key, shape), function
        else:
            self.aux, self.function = messages.work(0, messages.Shape.OWN), None
            if is_coroutine_function(function):
                self.aux |= messages.COROUTINE
            body = _own(function, shape, body)
        if options is not PLAIN:
            self.extra = Extra(options)
            if options.memory_limit is not None:
                if self.aux & messages.COROUTINE:
                    raise ValueError("memory_limit is a limit of a process, which coroutine functions share with others")
                self.aux |= messages.LIMITED
                body = (options.memory_limit, body)
            if options.retries:
                self.extra.body = body
        self.job = _native.pack(body)
        if (self.lane is not None or self.aux & messages.COROUTINE) and not self.job.reusable:
            self.more().body = body  # (a lane may take back what is in its ring)

    @property
    def options(self) -> Options:
        return self.extra.options if self.extra is not None else PLAIN

    def called(self) -> str | None:
        """What people call its function."""
        return getattr(self.function, "__qualname__", None)

    def more(self) -> Extra:
        """Its extra part, made if it has none."""
        if self.extra is None:
            self.extra = Extra(PLAIN)
        return self.extra

    def take_job(self) -> Any:
        """What to put into the ring. Kept only if it may be wanted again."""
        job = self.job
        extra = self.extra
        if extra is None or extra.body is None:
            self.job = None
        elif job is None or not job.reusable:
            job = _native.pack(extra.body)
        return job

    # --- for subclasses ---

    def begin(self) -> bool:
        """It is about to be handed to the workers. False: it was cancelled, and is forgotten."""
        return True

    def is_wanted(self) -> bool:
        """False: it was cancelled."""
        return True

    def end(self, kind: int, payload: Any, seconds: float) -> None:
        """A worker's outcome: VALUE, ERROR, UNSENT, with what the message had. In any thread; must not run users' code."""
        raise NotImplementedError

    def fail(self, error: BaseException) -> None:
        """It ended otherwise: with this error."""
        raise NotImplementedError


class Extra:
    """What few tasks have."""

    __slots__ = ("attempts", "body", "options", "step", "stopping")

    def __init__(self, options: Options) -> None:
        self.options = options
        self.attempts = 0  # how many workers died with it
        self.body: Any = None  # to be written down anew for another attempt
        self.stopping: str | None = None  # why it is being stopped: "timeout" or "cancelled"
        self.step = ""  # of the ladder: the last one that was taken


def _own(function: Any, shape: messages.Shape, body: Any) -> Any:
    """The call of a function that travels with each task, as (f, args, kwargs)."""
    if shape is messages.Shape.CALL:
        return (function, *body)
    if shape is messages.Shape.ONE:
        return (function, (body,), {})
    if shape is messages.Shape.STAR:
        return (function, tuple(body), {})
    return (_each if shape is messages.Shape.MANY else _each_star, (function, body), {})


def _each(function: Callable[..., Any], items: Any) -> list[Any]:
    return [function(item) for item in items]


def _each_star(function: Callable[..., Any], items: Any) -> list[Any]:
    return [function(*item) for item in items]
