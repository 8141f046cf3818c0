"""Who may keep a processor busy: one pool of tokens for the family, so that pools within pools do not start more than there
are processors for.

Workers of a pool in the main program take a token before a task if one is free, and work without if not: their pool has as many
workers as it was told. Workers of a pool that was made inside a task wait for one, for a while. All but one: worker 0 runs on
the turn of the task that made the pool and waits for it. That the others do not wait for ever is what lets each pool get on:
who has a task in hand may wait for what only that task's own pool can give back.
"""

from __future__ import annotations

from typing import Any, Literal

from procession.core.cpus import cpu_count
from procession.sync.semaphores import Semaphore

__all__ = ["PATIENCE", "Kind", "Tokens", "Turn", "adopt", "default_workers", "share", "tokens"]

#: Seconds that a worker waits for a token when it has something to do; then it goes without.
PATIENCE = 0.1

#: "top": a worker of a pool in the main program; "nested": of a pool within a task; "heir": the first of those.
Kind = Literal["top", "nested", "heir"]


class Tokens(Semaphore):
    """As many permits as processors. A process has one at most; those of a process that ends, however it ends, go back.

    Can be sent to any process of the family, as all semaphores.
    """

    __slots__ = ()

    def __new__(cls, value: int | None = None, *, ctx: Any = None) -> Any:
        return super().__new__(cls, cpu_count() if value is None else value, robust=True)

    def take_nowait(self) -> bool:
        """Whether this process has a token now. Does not block."""
        return self._held() > 0 or self.acquire(False)

    def take(self, timeout: float | None = None) -> bool:
        """The same, but waits for one, in the order of arrival, up to `timeout` seconds (None: for ever)."""
        return self._held() > 0 or self.acquire(True, timeout)

    def give(self) -> None:
        """Give the token back, if this process has one. Does not block."""
        if self._held():
            self._give(1, True)


_tokens: Tokens | None = None
_siblings = 0  #: with how many workers, in all pools from the main program down to ours, we share the processors; 0: no worker


def tokens() -> Tokens:
    """The family's tokens: made at the first use in its root, or those that were adopted.

    Raises OSError (ENOSPC) when the family's memory has no room for them.
    """
    global _tokens
    if _tokens is None:
        _tokens = Tokens()
    return _tokens


def share(workers: int) -> tuple[Tokens, int]:
    """What a pool of so many workers gives each of them, for `adopt`."""
    return tokens(), max(1, workers) * max(1, _siblings)


def adopt(tokens: Tokens, workers: int) -> None:
    """In a worker: these are the family's, and so many workers share the processors."""
    global _tokens, _siblings
    _tokens, _siblings = tokens, workers


def default_workers() -> int:
    """How many workers a pool that is made here has unless it is told: one for each processor; in a worker its share of them,
    one at least."""
    return max(1, cpu_count() // max(1, _siblings))


class Turn:
    """A worker's turns: `begin` before each task, `end` after it.

    `begin` blocks for a "nested" worker only, up to PATIENCE seconds. A turn that was not ended, because something was raised
    in between, goes on with the next `begin`. Neither raises if there is no room for another who takes tokens: it works
    without. (0.3 µs together.)
    """

    __slots__ = ("_give", "_held", "_take", "begin", "end", "kind")

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        pool = tokens() if kind != "heir" else None
        if pool is None:
            self.begin = self.end = _nothing
            return
        self._held = pool._held
        self._give = pool._give
        self._take = pool.acquire
        self.begin = self._begin_nowait if kind == "top" else self._begin
        self.end = self._end

    def _begin_nowait(self) -> None:
        try:
            if not self._held():
                self._take(False)
        except OSError:
            pass

    def _begin(self) -> None:
        try:
            if not self._held():
                self._take(True, PATIENCE)
        except OSError:
            pass

    def _end(self) -> None:
        if self._held():
            self._give(1, True)


def _nothing() -> None:
    pass
