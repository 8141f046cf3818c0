"""What answers the commands of `Synchronising` in place of a library: C alone (limits_sync.c), and calls that do nothing."""

from __future__ import annotations

import ctypes
import os

import sides
from measuring import own_facts

__all__ = ["Limits", "Nothing"]


class Nothing:
    """The loop and the calls, into C and back, by the calling convention that is the quickest (METH_FASTCALL)."""

    acquire = release = "".strip

    def pairs(self, kind: str, way: str, count: int) -> list[int]:
        """As of the libraries."""
        return [sides.pairs(self, count)]

    def facts(self) -> dict[str, int]:
        """As of the libraries."""
        return {"pid": os.getpid(), **own_facts()}

    def end(self) -> None:
        """Nothing to end."""


class Limits:
    """In C; each limit knows some of the commands."""

    def __init__(self, rival: str, built: str) -> None:
        self._library, self._spins = ctypes.CDLL(built), rival == "c_spin"

    def _call(self, name: str, argument: float) -> int:
        function = self._library[name]
        function.restype, function.argtypes = ctypes.c_int64, [ctypes.c_int64]
        result: int = function(int(argument))
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        return result

    def pairs(self, kind: str, way: str, count: int) -> list[int]:
        return [self._call("limit_mutex_pairs", count)]

    def contend(self, kind: str, seconds: float, counting: bool = False, apart: bool = True) -> list[list[int]]:
        return [[self._call("limit_mutex_contend", seconds * 1e9), 0, int(seconds * 1e9)]]

    def wake(self, times: int, asleep: float = 0.02) -> list[int]:
        if self._spins:
            return [self._call("limit_spin_rounds", 10_000) // 20_000 for _ in range(times)]
        return [self._call("limit_futex_wake", asleep * 1e9) for _ in range(times)]

    def barrier(self, count: int) -> list[int]:
        return [self._call("limit_spin_barrier", count)]

    def set_apart(self, yes: bool) -> None:
        """Whether the two processes of what follows get a core each."""
        self._library.limit_apart(ctypes.c_int64(yes))

    def turns(self, count: int) -> list[int]:
        return [self._call("limit_spin_rounds" if self._spins else "limit_futex_rounds", count)]

    def death(self, kind: str = "Lock", asleep: float = 0.02, patience: float = 5.0) -> list[int]:
        return [self._call("limit_mutex_death", asleep * 1e9)]

    def facts(self) -> dict[str, int]:
        """As of the libraries."""
        return {"pid": os.getpid(), **own_facts()}

    def end(self) -> None:
        """Each function has reaped its processes."""
