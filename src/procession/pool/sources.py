"""Where a stream's items come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

__all__ = ["nothing", "source_of"]


def nothing(size: int) -> list[Any]:
    return []


def source_of(items: Iterable[Any], length: int | None) -> Callable[[int], Any]:
    """A function that gives the next so many items, and nothing at the end. Slices of what can be sliced."""
    if length is not None and (type(items) in (list, tuple, range) or type(items).__module__ == "numpy"):
        return _Slices(items).next
    iterator = iter(items)
    return lambda size: islice(iterator, size)


class _Slices:
    def __init__(self, items: Any) -> None:
        self._items = items
        self._at = 0

    def next(self, size: int) -> Any:
        piece = self._items[self._at : self._at + size]
        self._at += size
        return piece
