"""`supervisor`: a scope for children that run for long, and are started anew when they end."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec, TypeVar

from procession.process.process import Process
from procession.scopes.face import Face
from procession.scopes.handle import Call, Handle
from procession.scopes.keeper import Keeper
from procession.scopes.options import GRACE, PLAIN, ChildOptions, check_flag, check_name, check_seconds
from procession.scopes.restarts import STRATEGIES, Intensity

__all__ = ["AnyChild", "Child", "ChildInfo", "Supervisor", "SupervisorView", "supervisor"]

P = ParamSpec("P")
T = TypeVar("T")

_numbers = itertools.count(1)
_OPTIONS = ("name", "timeout", "grace", "restart")


def supervisor(
    strategy: str = "one_for_one", *, intensity: int = 3, period: float = 5.0, grace: float = GRACE,
    timeout: float | None = None, name: str | None = None, shield: bool = False, mp_context: Any = None,
) -> Supervisor:  # fmt: skip
    """A block for children that are started anew when they end: ``with procession.supervisor() as s:``, or ``async with``.
    The words and their meaning are Erlang's.

    strategy
        Who is started anew when one has ended: "one_for_one": that one; "rest_for_one": it and those started after it;
        "one_for_all": all. Those that run are ended before, the last first.
    intensity, period
        More than `intensity` restarts within `period` seconds: all are ended, and leaving the block raises RestartLimit.
    grace, timeout, name, shield, mp_context
        As of a scope.

    Raises TypeError and ValueError for what makes no sense. Starts nothing and does not block.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy must be one of {', '.join(STRATEGIES)}; got {strategy!r}")
    if isinstance(intensity, bool) or not isinstance(intensity, int) or intensity < 0:
        raise ValueError(f"intensity must be a number of restarts, 0 or more; got {intensity!r}")
    for what, value in (("period", period), ("grace", grace)):
        check_seconds(what, value)
        if value is None:
            raise ValueError(f"{what} must be a number of seconds, 0 or more; got None")
    if period == 0:
        raise ValueError("period must be more than 0 seconds: in none there is never more than one restart; got 0")
    check_seconds("timeout", timeout)
    check_name(name)
    check_flag("shield", shield)
    core = Keeper(f"supervisor {name or next(_numbers)}", grace, timeout, shield, mp_context)
    core.keep(strategy, Intensity(intensity, period))
    return Supervisor(core)


class Child(Handle[T]):
    """The handle of a supervised child: the same over all its restarts, and done when it is not started anew any more."""

    def __init__(self, core: Keeper, number: int, call: Call, options: ChildOptions) -> None:
        super().__init__(core, number, call, options)
        self.restart = options.restart or "permanent"
        self.restarts = 0  # so far
        self.unwanted = False  # it was cancelled
        self.starting = False  # anew

    def launch(self) -> None:
        self._said, self._timed_out, self.asked, self.told = None, False, False, False
        super().launch()


AnyChild = Child[Any]


class ChildInfo(NamedTuple):
    """One child, at one moment. `process` is its present or last one; `restarts` how often it was started anew."""

    name: str
    process: Process
    restart: str
    restarts: int


class SupervisorView:
    """A supervisor's `start` with some options (`Supervisor.with_options`)."""

    def __init__(self, core: Keeper, options: ChildOptions) -> None:
        self._core = core
        self._options = options

    def start(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Child[T]:
        """As `Supervisor.start`."""
        core = self._core
        child: Child[T] = Child(core, core.number(), (function, args, kwargs), self._options)
        core.start(child)
        return child

    def with_options(self, **options: Any) -> SupervisorView:
        """A view with more options."""
        return SupervisorView(self._core, self._options.changed(_OPTIONS, **options))


class Supervisor(Face):
    """Made by `supervisor`. Its children are started anew when they end, as its strategy and their `restart` say:

    "permanent" (the default): always; "transient": when it has failed, that is, raised, died, or ended with another exit code
    than 0; "temporary": never, not even with others.

    Leaving the block waits until all are over: permanent ones until `stop`. What a child ends with is its handle's, and no
    failure of the supervisor; RestartLimit, and what the block raises, end all, the last first, and are raised in an
    ExceptionGroup.

    Arguments are pickled anew at each start. A child that cannot be started anew has ended once more. Threads may share it
    within its block; whoever opened it leaves it.
    """

    _core: Keeper

    def __init__(self, core: Keeper) -> None:
        self._core = core

    def start(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Child[T]:
        """Have ``function(*args, **kwargs)`` run in a process of its own, and again when it ends; its handle. Blocks and raises
        as `Scope.start`."""
        return SupervisorView(self._core, PLAIN).start(function, *args, **kwargs)

    def with_options(self, **options: Any) -> SupervisorView:
        """`start` with options: `restart`, `name`, `timeout` (seconds that each run of it may take; then it is ended, and has
        failed), `grace`."""
        return SupervisorView(self._core, PLAIN.changed(_OPTIONS, **options))

    def stop(self) -> None:
        """End all children, one after another, the last first: each by SIGTERM and, after its grace, SIGKILL. Leaving the block
        raises nothing then. Does not block; the same as `cancel`."""
        self.cancel()

    def children(self) -> list[ChildInfo]:
        """Those that run or are about to be started anew, in the order of their start. Does not block."""
        with self._core.lock:
            children: list[Child[Any]] = [child for child in self._core.members if child.has_process]
        return [ChildInfo(child.name, child.process, child.restart, child.restarts) for child in children]
