"""How an object is written down to be sent: as `multiprocessing.reduction.ForkingPickler` does, in a fifth of its time."""

from __future__ import annotations

import pickle
from typing import Any

from procession.core import pickling
from procession.core.codec import Reducers

__all__ = ["pickled"]

#: What a pickler raises of an object that it cannot write down.
_UNPICKLABLE = (pickle.PicklingError, AttributeError, TypeError)


class _File:
    """What a pickler writes to: a list. Bytes that are long stand in it as they are, uncopied."""

    __slots__ = ("write",)

    def __init__(self, pieces: list[bytes]) -> None:
        self.write = pieces.append


def _new() -> tuple[Any, list[bytes]]:
    pieces: list[bytes] = []
    pickler: Any = pickle.Pickler(_File(pieces))
    pickler.dispatch_table = Reducers()
    return pickler, pieces


#: Picklers that nobody uses at the moment: to make one takes longer than most objects do. (A reducer may come back to us.)
_idle: list[tuple[Any, list[bytes]]] = []


def _write(obj: Any) -> list[bytes]:
    pickler, pieces = _idle.pop() if _idle else _new()
    pickler.dump(obj)
    result = pieces[:]
    pieces.clear()
    pickler.clear_memo()
    _idle.append((pickler, pieces))
    return result


class _ByValue:
    """A function or class that has no name to be found by."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __reduce__(self) -> tuple[Any, ...]:
        return pickling.loads, (self._data,)


def pickled(obj: Any) -> list[bytes]:
    """The pickle of `obj`, in pieces. What plain pickle cannot write goes by cloudpickle: lambdas, closures, local classes.

    Raises what plain pickle raises if neither can.
    """
    try:
        return _write(obj)
    except _UNPICKLABLE:
        try:
            data = pickling.dumps(obj)
        except Exception:
            data = b""
        if not data:
            raise
    return _write(_ByValue(data))
