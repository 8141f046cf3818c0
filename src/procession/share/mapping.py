"""SharedDict."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping, MutableMapping, ValuesView
from typing import Any, TypeVar

from procession import _native
from procession.process.family import family

__all__ = ["SharedDict"]

K = TypeVar("K")
V = TypeVar("V")

_NOTHING: Any = object()


class SharedDict(_native.Map, MutableMapping[K, V]):
    """A dict in the family's memory, for threads and processes. No process serves it, and none that dies in it harms it.

    It can be sent to any process of the family at any time; all have the same dict, and it lives as long as one of them has it.
    Keys are None, bool, int, float, str, bytes and tuples of these; values are whatever can be pickled. What cannot raises at
    the call, and nothing is changed; without room for it, MemoryError.

    A value is a copy: to change what was returned does not change the dict. Assign it again, or use `apply`. What is shared
    itself stays so: another SharedDict in a value is that one. It lives until it is taken out (`pop`), and then dropped, or
    until who put it there ends.

    Each method is done in one step, or not at all; only `update`, `|=` and the constructor put one item after the other. Keys
    have the order in which they came. To iterate is to go through those of one moment. A method may block while another process
    is in one; Ctrl-C is heard meanwhile. A fork's child has the dict, too.
    """

    __slots__ = ()

    def __new__(cls, mapping: Any = (), /, **kwargs: Any) -> Any:
        family.ensure()
        return _native.map_make(cls)

    def __init__(self, mapping: Mapping[K, V] | Iterable[tuple[K, V]] = (), /, **kwargs: V) -> None:
        self.update(mapping, **kwargs)

    def __reduce__(self) -> Any:
        return _native.heap_attach, (type(self), *_native.heap_parcel(self))

    # --- as a dict has it ---

    def items(self) -> ItemsView[K, V]:
        """A view. To iterate over it is to go through the items of one moment."""
        return _Items(self)

    def values(self) -> ValuesView[V]:
        """A view. To iterate over it is to go through the values of one moment."""
        return _Values(self)

    def __reversed__(self) -> Iterator[K]:
        keys: list[K] = self._keys()
        return reversed(keys)

    def copy(self) -> dict[K, V]:
        """A dict of this process, with the items of one moment."""
        return dict(self._items())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, SharedDict):
            return self.copy() == other.copy()
        return self.copy() == other if isinstance(other, Mapping) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __or__(self, other: Mapping[K, V]) -> dict[K, V]:
        return self.copy() | dict(other) if isinstance(other, Mapping) else NotImplemented

    def __ror__(self, other: Mapping[K, V]) -> dict[K, V]:
        return dict(other) | self.copy() if isinstance(other, Mapping) else NotImplemented

    def __ior__(self, other: Any) -> SharedDict[K, V]:  # type: ignore[misc]
        self.update(other)
        return self

    @classmethod
    def fromkeys(cls, keys: Iterable[K], value: Any = None, /) -> SharedDict[K, Any]:
        """A new one, in which all `keys` have this value."""
        return cls((key, value) for key in keys)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.copy()!r})"

    # --- what changes a value by what it was ---

    def apply(self, key: K, function: Callable[[V], V], /, default: V = _NOTHING) -> V:
        """Put ``function(value)`` in the place of the value, and return it.

        Raises KeyError if there is none, unless there is a `default`. If another has changed the value meanwhile, `function` is
        called again, with the new one: nothing is locked while it runs. What it raises is raised, and nothing is changed.
        """
        while True:
            seen = self._see(key)
            if seen is None and default is _NOTHING:
                raise KeyError(key)
            value, token = (default, b"") if seen is None else seen
            new = function(value)
            if self._swap(key, token, new):
                return new

    def increment(self, key: K, n: Any = 1, /) -> Any:
        """Add `n` to a number, which is 0 if there is none, and return the sum. Nobody's addition is lost."""
        done = self._add(key, n)
        return self.apply(key, lambda value: value + n, default=0) if done is None else done  # type: ignore[arg-type]


class _Items(ItemsView[K, V]):
    __slots__ = ()
    _mapping: SharedDict[K, V]

    def __iter__(self) -> Iterator[tuple[K, V]]:
        return iter(self._mapping._items())

    def __reversed__(self) -> Iterator[tuple[K, V]]:
        items: list[tuple[K, V]] = self._mapping._items()
        return reversed(items)


class _Values(ValuesView[V]):
    __slots__ = ()
    _mapping: SharedDict[Any, V]

    def __iter__(self) -> Iterator[V]:
        return iter(self._mapping._values())

    def __contains__(self, value: object) -> bool:
        return value in self._mapping._values()

    def __reversed__(self) -> Iterator[V]:
        values: list[V] = self._mapping._values()
        return reversed(values)
