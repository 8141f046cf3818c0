"""What bounds pools, and answers their commands: pickle alone, a copy in C, a word between two processes."""

from __future__ import annotations

import pickle
from typing import Any

from share_limits import Alone, Copying, Waking
from share_sides import MEGABYTE
from sides import clock

__all__ = ["Bounds"]


class Bounds(Alone):
    """The limit of that name. `built` is the source of limits, built."""

    def __init__(self, rival: str, built: str | None) -> None:
        if rival != "pickle" and built is None:
            raise ValueError(f"{rival}: the limits were not built")
        self._by: Any = Copying(str(built)) if rival == "memcpy" else Waking(rival, str(built)) if rival != "pickle" else None

    def stand(self) -> None:
        """There is nothing to open."""

    def tasks(self, way: str, count: int) -> list[list[int]]:
        """A task and its result, one by one, in one process."""
        dumps, loads, count = pickle.dumps, pickle.loads, min(count, 40_000)
        begin = clock()
        for i in range(count):
            loads(dumps((i,)))
            loads(dumps(i))
        return [[count, clock() - begin]]

    def round_trips(self, count: int, pause: float = 0.0) -> list[int]:
        """Without a pause: each has a core of its own."""
        (taken,) = self._by.round_trips("queue", "tuple", count, True)
        return [taken // count]

    def out_and_back(self, count: int, singly: bool = False) -> list[list[int]]:
        """As if each direction were one copy."""
        return [[2 * count * MEGABYTE, 2 * self._by.flow("bytes", count)[0]]]

    def prepare_array(self, megabytes: int) -> int:
        """The copying makes its own."""
        self._megabytes = megabytes
        return megabytes * 1_000_000

    def arrays(self, times: int) -> list[int]:
        """One copy."""
        found: list[int] = self._by.arrays(self._megabytes, times)
        return found
