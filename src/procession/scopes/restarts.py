"""When a supervisor starts children anew, and which: Erlang's rules, as plain functions.

https://www.erlang.org/doc/apps/stdlib/supervisor.html has the words.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TypeVar

__all__ = ["STRATEGIES", "Intensity", "affected", "is_wanted"]

STRATEGIES = ("one_for_one", "rest_for_one", "one_for_all")

C = TypeVar("C")


def is_wanted(restart: str, failed: bool) -> bool:
    """Whether a child that has ended is to run again: a permanent one always, a transient one when it has failed, a temporary
    one never."""
    return restart == "permanent" or (restart == "transient" and failed)


def affected(strategy: str, children: Sequence[C], child: C) -> list[C]:
    """Which of `children`, in the order of their start, are started anew when `child` has ended: itself; itself and those
    that were started after it; all."""
    if strategy == "one_for_one":
        return [child]
    if strategy == "one_for_all":
        return list(children)
    return list(children[children.index(child) :])


class Intensity:
    """How often is too often: more than `most` times within `period` seconds."""

    def __init__(self, most: int, period: float) -> None:
        self.most = most
        self.period = period
        self._times: deque[float] = deque()

    def is_exceeded(self, now: float) -> bool:
        """There is one more, now."""
        self._times.append(now)
        while self._times[0] < now - self.period:
            self._times.popleft()
        return len(self._times) > self.most
