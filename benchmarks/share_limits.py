"""What answers the commands of `Sharing` in place of a library: pickle alone, a copy in C (limits_share.c), a plain dict."""

from __future__ import annotations

import ctypes
import os
import pickle

import share_sides as sides
import sync_limits
from measuring import own_facts
from share_sides import MEGABYTE
from sides import clock

__all__ = ["Alone", "Copying", "Waking"]


class Alone:
    """In one process, without anybody to share with."""

    def warm(self) -> None:
        """There is nothing to warm."""

    def lacks(self, what: str) -> None:
        """It has what it is asked for."""

    def flow(self, kind: str, count: int, each: int = 1) -> list[int]:
        """Pickling, and back."""
        dumps, loads = pickle.dumps, pickle.loads
        begin = clock()
        for i in range(count):
            loads(dumps((i, "text", 1.5)))
        return [clock() - begin]

    def dictionary(self, clients: int, seconds: float) -> list[list[int]]:
        """The loop, and a dictionary of this process."""
        plain: dict[int, int] = {}
        begin, count = clock(), 0
        while (end := clock()) < begin + seconds * 1e9:
            sides.use_dict(plain, sides.KEYS)
            count += sides.KEYS
        return [[count, end - begin]]

    def facts(self) -> dict[str, int]:
        """As of the libraries."""
        return {"pid": os.getpid(), **own_facts()}

    def end(self) -> None:
        """Nothing to end."""


class Copying(Alone):
    """memcpy."""

    def __init__(self, built: str) -> None:
        self._library = ctypes.CDLL(built)

    def _copy(self, size: int, count: int) -> int:
        function = self._library.limit_memcpy
        function.restype, function.argtypes = ctypes.c_int64, [ctypes.c_int64, ctypes.c_int64]
        taken: int = function(size, count)
        if taken < 0:
            raise OSError(-taken, os.strerror(-taken))
        return taken

    def flow(self, kind: str, count: int, each: int = 1) -> list[int]:
        return [self._copy(MEGABYTE, count)]

    def arrays(self, megabytes: int, times: int, own: bool = False) -> list[int]:
        """As of the libraries."""
        return [self._copy(megabytes * 1_000_000, 1) for _ in range(times)]


class Waking(Alone):
    """A word between two processes: a futex, or spun on."""

    def __init__(self, rival: str, built: str) -> None:
        self._limits = sync_limits.Limits(rival, built)

    def round_trips(self, by: str, kind: str, count: int, apart: bool) -> list[int]:
        """As of the libraries."""
        self._limits.set_apart(apart)
        samples = self._limits.turns(count)
        self._limits.set_apart(False)
        return samples
