"""The measuring code of dispatch queues, in a rival's parent process: a serial queue, or what one has in its place.

All times are CLOCK_MONOTONIC nanoseconds. Every result is checked.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from measuring import ballast, own_facts
from pool_measuring import limited
from pool_rivals import OursExecutor, make_pooling
from pool_tasks import same
from rivals import OURS
from sides import clock

__all__ = ["Blocks", "make"]

_ENDING = 15


class Serial(OursExecutor):
    """procession.DispatchQueue."""

    def open(self) -> None:
        import procession

        self.pool = procession.DispatchQueue("benchmark")

    def close(self) -> None:
        """Its workers are everybody's, and end with the interpreter."""
        self.pool = None

    def lacks(self, what: str) -> str | None:
        import procession

        return None if hasattr(procession, "DispatchQueue") else "not there yet"

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        return self.pool.async_(function, *args)


def make(rival: str, megabytes: int, modules: list[str], limits: str | None) -> Blocks:
    """What answers the driver, by the rival's name."""
    made = Blocks(rival)
    _ballast.extend(ballast(megabytes))
    return made


_ballast: list[bytes] = []


class Blocks:
    """A serial queue, or a pool with one worker, and the commands by their names."""

    def __init__(self, rival: str) -> None:
        self._pooling = Serial() if rival == OURS else make_pooling(rival)
        self._pooling.workers = 1

    def lacks(self, what: str) -> str | None:
        """Why it cannot be measured; None if it can."""
        return self._pooling.lacks(what)

    def warm(self) -> None:
        """It is open, and has worked."""
        if self.lacks("submit") is None:
            with limited():
                if self._pooling.pool is None:
                    self._pooling.open()
            self.many(20)
            self.one_by_one(20)

    def many(self, count: int) -> list[list[int]]:
        """How many blocks, and the nanoseconds from before the first is given to the last result."""
        submit, get = self._pooling.submit, self._pooling.get
        count = max(20, int(count * self._pooling.pace))
        with limited():
            gc.collect()
            begin = clock()
            found = list(map(get, [submit(same, i) for i in range(count)]))
            end = clock()
        if found != list(range(count)):
            raise RuntimeError(f"of {count} results some are wrong: {str(found)[:60]}")
        return [[count, end - begin]]

    def one_by_one(self, count: int) -> list[int]:
        """Nanoseconds for each of `count` blocks, each of which is waited for, on average."""
        call, taken = self._call(), 0
        with limited():
            for i in range(count):
                begin = clock()
                found = call(same, i)
                taken += clock() - begin
                if found != i:
                    raise RuntimeError(f"the result is {found}, not {i}")
        return [taken // count]

    def _call(self) -> Callable[..., Any]:
        """Give a block and wait for its result; in one call, where there is one."""
        pool, submit, get = self._pooling.pool, self._pooling.submit, self._pooling.get
        if isinstance(self._pooling, Serial):
            sync: Callable[..., Any] = pool.sync
            return sync
        if hasattr(pool, "apply"):
            return lambda function, *args: pool.apply(function, args)
        return lambda function, *args: get(submit(function, *args))

    def facts(self) -> dict[str, int]:
        """Descriptors, threads and memory of this process."""
        gc.collect()
        return {"pid": os.getpid(), **own_facts()}

    def end(self) -> None:
        """Nothing of ours outlives us."""
        if self._pooling.pool is not None:
            with suppress(TimeoutError), limited(_ENDING):
                self._pooling.close()
