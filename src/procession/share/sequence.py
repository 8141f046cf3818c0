"""SharedList."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableSequence
from typing import Any, TypeVar

from procession import _native
from procession.process.family import family

__all__ = ["SharedList"]

T = TypeVar("T")

#: How often a sort begins anew when others have changed the list meanwhile.
_SORTS = 16


class SharedList(_native.List, MutableSequence[T]):
    """A list in the family's memory, for threads and processes. No process serves it, and none that dies in it harms it.

    It can be sent to any process of the family at any time; all have the same list, and it lives as long as one of them has it.
    Items are whatever can be pickled. What cannot raises at the call, and nothing is changed; without room for it, MemoryError.

    An item is a copy: to change what was returned does not change the list. Assign it again. What is shared itself stays so, as
    in a SharedDict.

    Each method is done in one step, or not at all. `append`, `pop()` and an index take the same time in a long list as in a
    short one; what changes the middle writes the list's words anew. To iterate is to go through the items of one moment. A
    method may block while another process is in one; Ctrl-C is heard meanwhile. A fork's child has the list, too.
    """

    __slots__ = ()

    def __new__(cls, iterable: Iterable[T] = (), /) -> Any:
        family.ensure()
        return _native.list_make(cls)

    def __init__(self, iterable: Iterable[T] = (), /) -> None:
        self.extend(iterable)

    def __reduce__(self) -> Any:
        return _native.heap_attach, (type(self), *_native.heap_parcel(self))

    # --- what looks at all of it ---

    def copy(self) -> list[T]:
        """A list of this process, with the items of one moment."""
        items: list[T] = self[:]
        return items

    def __contains__(self, value: object) -> bool:
        return value in self.copy()

    def __reversed__(self) -> Iterator[T]:
        return reversed(self.copy())

    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """Where the first one is that equals `value`. Raises ValueError if there is none."""
        items = self.copy()
        return items.index(value, start, len(items) if stop is None else stop)

    def count(self, value: Any) -> int:
        """How many equal `value`."""
        return self.copy().count(value)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, SharedList):
            return self.copy() == other.copy()
        return self.copy() == other if isinstance(other, list) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: Iterable[T]) -> list[T]:
        return self.copy() + list(other) if isinstance(other, (list, SharedList)) else NotImplemented

    def __radd__(self, other: list[T]) -> list[T]:
        return other + self.copy() if isinstance(other, list) else NotImplemented

    def __mul__(self, times: int) -> list[T]:
        return self.copy() * times

    __rmul__ = __mul__

    def __iadd__(self, other: Iterable[T]) -> SharedList[T]:
        self.extend(other)
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.copy()!r})"

    # --- what looks first, and then changes ---

    def remove(self, value: Any) -> None:
        """Remove the first item that equals `value`. Raises ValueError if there is none."""
        while True:
            _, items = self._see()
            at = next((at for at, (item, _) in enumerate(items) if item is value or item == value), None)
            if at is None:
                raise ValueError("SharedList.remove(x): x not in list")
            if self._delete_if(at, items[at][1]):
                return

    def sort(self, *, key: Callable[[T], Any] | None = None, reverse: bool = False) -> None:
        """Sort it, in one step. Nothing is locked while `key` and comparisons run: if others change the list meanwhile, it
        begins anew, and raises ValueError if that never ends, as `list.sort` does."""
        for _ in range(_SORTS):
            version, items = self._see()
            values = [value for value, _ in items]
            keys = values if key is None else [key(value) for value in values]
            if self._arrange(version, sorted(range(len(keys)), key=keys.__getitem__, reverse=reverse)):
                return
        raise ValueError("list modified during sort")
