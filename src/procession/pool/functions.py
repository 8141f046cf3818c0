"""Functions go to the workers once, not with every task: under a key, in a table in the family's memory.

What goes there is a plain function, a builtin or a class, because they stay what they are. A function that travels by value
takes values with it, of its closure and of the globals that it names: it gets a new key as soon as one of these is another
object. (A list that was changed in place is the same object: hand such things over as arguments.) Everything else that can be
called, bound methods and partials among them, has a state of its own and travels with each task.
"""

from __future__ import annotations

import marshal
import threading
import types
import weakref
from typing import Any

from procession.core import plain
from procession.process.nursery import nursery
from procession.share.mapping import SharedDict

__all__ = ["Functions", "Loader"]

_KINDS = (types.FunctionType, types.BuiltinFunctionType, type)


class Functions:
    """The pool's side. Threads may share it."""

    def __init__(self) -> None:
        self.table: Any = SharedDict()
        self._keys: weakref.WeakKeyDictionary[Any, tuple[int, Any]] = weakref.WeakKeyDictionary()
        self._lock = threading.RLock()
        self._next = 1
        self._last: tuple[Any, int] = (None, 0)  # the one by name that was asked for last

    def key_of(self, function: Any) -> int:
        """Its key, 0 if it has none and travels with the task. Writes it down if it is new; raises what pickling raises."""
        last, key = self._last
        if last is function:
            return key
        if type(function) not in _KINDS or _is_bound(function):
            return 0
        with self._lock:
            stamp = _stamp(function)
            try:
                known = self._keys.get(function)
            except TypeError:
                return 0
            if known is not None and _same(known[1], stamp):
                if stamp is None:
                    self._last = (function, known[0])
                return known[0]
            return self._add(function, stamp)

    def _add(self, function: Any, stamp: Any) -> int:
        key = self._next
        self.table[key] = _written(function)
        self._next += 1
        try:
            self._keys[function] = (key, stamp)
            if stamp is not None:
                weakref.finalize(function, self._drop, key).atexit = False
        except TypeError:  # (it takes no weak references: some builtins)
            del self.table[key]
            return 0
        return key

    def _drop(self, key: int) -> None:
        try:
            del self.table[key]
        except Exception:  # (the family's memory may be gone)
            pass


class Loader:
    """The worker's side."""

    MOST = 512

    def __init__(self, table: Any) -> None:
        self._table = table
        self.known: dict[int, Any] = {}

    def load(self, key: int) -> Any:
        """The function of a key that is not known yet. Raises what unpickling raises."""
        function = _read(self._table[key])
        self.known[key] = function
        if len(self.known) > self.MOST:
            del self.known[next(iter(self.known))]  # the oldest
        return function


def _written(function: Any) -> bytes:
    """As the target of a process travels: by marshal if it is simple, else by cloudpickle."""
    modules: set[str] = set()
    try:
        data = b"m" + marshal.dumps(plain.plainly(function, (), {}, modules))
    except (plain.Intricate, ValueError):
        from procession.core import pickling

        data = b"p" + pickling.dumps(function, modules)
    nursery.learn(modules)  # workers to come have them
    return data


def _read(data: bytes) -> Any:
    if data[:1] == b"m":
        return plain.loads(marshal.loads(data[1:]))[0]
    from procession.core import pickling

    return pickling.loads(data[1:])


def _is_bound(function: Any) -> bool:
    """A builtin method of an object; those of modules are functions."""
    owner = getattr(function, "__self__", None) if isinstance(function, types.BuiltinFunctionType) else None
    return owner is not None and not isinstance(owner, types.ModuleType)


def _stamp(function: Any) -> tuple[Any, ...] | None:
    """The values that go with it; None if it goes by its name, and nothing else does."""
    if not isinstance(function, types.FunctionType):
        return () if _is_of_main(function) else None
    if function.__closure__ is None and not _is_of_main(function):
        return None
    cells = tuple(_content(cell) for cell in function.__closure__ or ())
    named = function.__globals__
    code = function.__code__
    return (*cells, *(named[name] for name in code.co_names if name in named), function.__defaults__, code)


def _is_of_main(function: Any) -> bool:
    return function.__module__ in ("__main__", "__mp_main__", None) or "<" in function.__qualname__


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # empty
        return None


def _same(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))


